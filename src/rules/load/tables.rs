//! The tables: `lists/*.csv` (which code needs what; also the public list of services that need authorization),
//! `plans.csv` and `codes/denial.csv`. A row that cannot be read is a finding with its line.

use crate::fhir::coding::normal_system;
use crate::rules::Finding;
use crate::rules::format::codes::CodeRange;
use chrono::NaiveDate;
use chrono_tz::Tz;
use csv::{ReaderBuilder, Trim};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::sync::Arc;

/// One plan of `plans.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// `Coverage.class[plan]`.
    pub code: String,
    /// What the plan is called.
    pub name: String,
    /// The line of business.
    pub line: String,
    /// The state whose rules bind it.
    pub state: Option<String>,
    /// The contract that metrics are reported under.
    pub contract: String,
    /// Where its days begin and end.
    pub zone: Tz,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: Option<NaiveDate>,
}

/// One reason for a denial, as `codes/denial.csv` lists it. A person picks it; no rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenialReason {
    /// X12 886 decision reason.
    pub code: String,
    /// In our own plain words.
    pub text: String,
    /// The claim adjustment reason code that a patient-facing record shows.
    pub carc: String,
}

/// One row of a list. `code` is `*` on the row that answers for every other code of the line. Texts that many rows
/// share are kept once: a list may have a hundred thousand rows.
#[derive(Debug, Clone)]
pub(in crate::rules) struct Row {
    pub file: Arc<str>,
    pub at: usize,
    pub system: Arc<str>,
    /// One code, or a range of them as `K0813-K0816`.
    pub code: Box<str>,
    /// None stands for every line.
    pub line: Option<Arc<str>>,
    /// None stands for every state.
    pub state: Option<Arc<str>>,
    pub from: NaiveDate,
    pub to: Option<NaiveDate>,
    pub answer: Arc<str>,
    pub policy: Option<Arc<str>>,
}

/// Texts that are kept once.
#[derive(Default)]
struct Shared(HashSet<Arc<str>>);

impl Shared {
    fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(text);
        self.0.insert(Arc::clone(&new));
        new
    }
}

impl Row {
    /// Whether it speaks for this line and state on this day.
    pub(in crate::rules) fn speaks_for(&self, line: &str, state: Option<&str>, day: NaiveDate) -> bool {
        self.line.as_deref().is_none_or(|l| l == line)
            && self.state.as_deref().is_none_or(|s| Some(s) == state)
            && holds_on(self.from, self.to, day)
    }

    /// State over any, then line over any.
    pub(in crate::rules) fn rank(&self) -> (bool, bool) {
        (self.state.is_some(), self.line.is_some())
    }
}

/// Whether a window, both ends included, holds a day.
pub(in crate::rules) fn holds_on(from: NaiveDate, to: Option<NaiveDate>, day: NaiveDate) -> bool {
    from <= day && to.is_none_or(|to| day <= to)
}

/// Whether two windows share a day.
pub(in crate::rules) fn overlap(
    a: (NaiveDate, Option<NaiveDate>),
    b: (NaiveDate, Option<NaiveDate>),
) -> bool {
    b.1.is_none_or(|end| a.0 <= end) && a.1.is_none_or(|end| b.0 <= end)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowKeys {
    code: String,
    system: String,
    line: String,
    state: String,
    from: NaiveDate,
    to: Option<NaiveDate>,
    answer: String,
    policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanKeys {
    code: String,
    name: String,
    line: String,
    state: Option<String>,
    contract: String,
    zone: String,
    from: NaiveDate,
    to: Option<NaiveDate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenialKeys {
    code: String,
    text: String,
    carc: String,
}

/// Reads a list file.
pub(in crate::rules) fn read_rows(file: &str, text: &str, findings: &mut Vec<Finding>) -> Vec<Row> {
    let any = |field: &str| matches!(field, "" | "*" | "any");
    let mut shared = Shared::default();
    let mut rows = Vec::new();
    for (at, keys) in read::<RowKeys>(file, text, findings) {
        let mut find = |message: String, mend: &str| {
            findings.push(Finding::new(file, Some(at), message).mend(mend));
        };
        if keys.code.is_empty() || keys.answer.is_empty() {
            find(
                "A row needs a code and an answer".into(),
                "Write the code in the first column and the name of an answer of answers/ in the seventh",
            );
        }
        if (keys.code == "*") != keys.system.is_empty() {
            find(
                "A code needs its system; the row '*' has none".into(),
                "Write the system's URL in the second column, or leave it empty on the row '*'",
            );
        }
        if let Some(Err(why)) = CodeRange::read(&keys.system, &keys.code) {
            find(why, "Write a range as K0813-K0816");
        }
        if keys.to.is_some_and(|to| to < keys.from) {
            find(
                "The last day lies before the first".into(),
                "Swap 'from' and 'to', or mend the year",
            );
        }
        rows.push(Row {
            file: shared.keep(file),
            at,
            system: shared.keep(normal_system(&keys.system).as_ref()),
            code: keys.code.into_boxed_str(),
            line: (!any(&keys.line)).then(|| shared.keep(&keys.line)),
            state: (!any(&keys.state)).then(|| shared.keep(&keys.state)),
            from: keys.from,
            to: keys.to,
            answer: shared.keep(&keys.answer),
            policy: keys.policy.map(|policy| shared.keep(&policy)),
        });
    }
    rows
}

/// Reads `plans.csv`. Two rows of one plan whose windows overlap are a finding.
pub(in crate::rules) fn read_plans(file: &str, text: &str, findings: &mut Vec<Finding>) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for (at, keys) in read::<PlanKeys>(file, text, findings) {
        let Ok(zone) = keys.zone.parse::<Tz>() else {
            let message = format!("'{}' is no time zone", keys.zone);
            findings.push(
                Finding::new(file, Some(at), message).mend("Write an IANA name such as America/New_York"),
            );
            continue;
        };
        let twice = |p: &Plan| p.code == keys.code && overlap((p.from, p.to), (keys.from, keys.to));
        if plans.iter().any(twice) {
            let message = format!("The plan '{}' has two rows for one day", keys.code);
            findings.push(Finding::new(file, Some(at), message).mend("End the older row on the day before"));
        }
        plans.push(Plan {
            code: keys.code,
            name: keys.name,
            line: keys.line,
            state: keys.state,
            contract: keys.contract,
            zone,
            from: keys.from,
            to: keys.to,
        });
    }
    plans
}

/// Reads `codes/denial.csv`.
pub(in crate::rules) fn read_denials(
    file: &str,
    text: &str,
    findings: &mut Vec<Finding>,
) -> Vec<DenialReason> {
    let mut reasons: Vec<DenialReason> = Vec::new();
    for (at, keys) in read::<DenialKeys>(file, text, findings) {
        if keys.code.is_empty() || keys.text.is_empty() || keys.carc.is_empty() {
            let message = "A denial reason needs code, text and carc";
            findings.push(Finding::new(file, Some(at), message).mend("Fill all three columns"));
        }
        if reasons.iter().any(|r| r.code == keys.code) {
            let message = format!("The code '{}' stands here twice", keys.code);
            findings.push(Finding::new(file, Some(at), message).mend("Keep one of the two rows"));
        }
        reasons.push(DenialReason {
            code: keys.code,
            text: keys.text,
            carc: keys.carc,
        });
    }
    reasons
}

/// Every readable record with its line in the file. Lines that start with `#` are remarks.
fn read<T: DeserializeOwned>(file: &str, text: &str, findings: &mut Vec<Finding>) -> Vec<(usize, T)> {
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => {
            findings.push(unreadable(file, Some(1), &error));
            return Vec::new();
        }
    };
    let mut all = Vec::new();
    let mut lines = LineCount {
        text,
        byte: 0,
        line: 1,
    };
    for record in reader.records() {
        let mut line = |p: Option<&csv::Position>| Some(lines.at(usize::try_from(p?.byte()).ok()?));
        match record {
            Err(error) => findings.push(unreadable(file, line(error.position()), &error)),
            Ok(record) => {
                let at = line(record.position());
                match record.deserialize(Some(&headers)) {
                    Ok(keys) => all.push((at.unwrap_or(0), keys)),
                    Err(error) => findings.push(unreadable(file, at, &error)),
                }
            }
        }
    }
    all
}

/// Counts lines on the way through a text: the reader's own count stops at the remarks before a record.
struct LineCount<'t> {
    text: &'t str,
    byte: usize,
    line: usize,
}

impl LineCount<'_> {
    /// The line of the record that is read from a byte on. Bytes must come in order.
    fn at(&mut self, byte: usize) -> usize {
        let Some((passed, after)) = self
            .text
            .get(self.byte..)
            .and_then(|rest| rest.split_at_checked(byte.saturating_sub(self.byte)))
        else {
            return self.line;
        };
        self.line += passed.matches('\n').count();
        self.byte = byte.max(self.byte);
        let skipped = after
            .lines()
            .take_while(|line| line.trim().is_empty() || line.starts_with('#'))
            .count();
        self.line + skipped
    }
}

fn unreadable(file: &str, line: Option<usize>, error: &csv::Error) -> Finding {
    let said = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => match err.field().and_then(|n| usize::try_from(n).ok()) {
            Some(field) => format!("In column {}: {}", field + 1, err.kind()),
            None => err.kind().to_string(),
        },
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("The row has {len} columns and the header {expected_len}")
        }
        _ => error.to_string(),
    };
    Finding::new(file, line, said)
        .mend("Mend the row: the header names the columns, days are written 2026-10-01")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_row_is_found_with_its_line_and_the_others_are_read() {
        let text = "code,name,line,state,contract,zone,from,to\n\
            # a remark\n\
            A,Plan A,MA,,H1,America/New_York,2026-01-01,\n\
            B,Plan B,MA,OH,H2,America/Nowhere,2026-01-01,\n\
            C,Plan C,MA,OH,H3,America/New_York,soon,\n\
            A,Plan A,MA,,H1,America/New_York,2026-06-01,2026-12-31\n";
        let mut findings = Vec::new();
        let plans = read_plans("plans.csv", text, &mut findings);
        let mut lines: Vec<_> = findings.iter().map(|f| f.line.unwrap()).collect();
        lines.sort_unstable();
        assert_eq!(lines, [4, 5, 6]);
        assert_eq!(plans[0].state, None);
    }

    #[test]
    fn an_empty_line_or_state_stands_for_all() {
        let text = "code,system,line,state,from,to,answer,policy\n*,,,,2026-01-01,,free,\n";
        let row = &read_rows("lists/a.csv", text, &mut Vec::new())[0];
        let day = "2026-05-05".parse().unwrap();
        assert!(row.speaks_for("MA", Some("OH"), day) && row.speaks_for("QHP", None, day));
        assert!(!row.speaks_for("MA", None, "2025-12-31".parse().unwrap()));
        assert_eq!(row.rank(), (false, false));
    }
}
