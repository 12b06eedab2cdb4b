//! Reads the tables: `lists/*.csv` (what each code needs; also the source of the public list), `plans.csv`,
//! `codes/denial.csv` and `codes/services.csv`. A row that cannot be read is a finding with its line.

use crate::fhir::coding::{is_billing_system, normal_system};
use crate::rules::finding::Finding;
use crate::rules::format::code_set::{CodeEntry, WRITE_A_BILLING_CODE};
use crate::rules::format::codes::code_key;
use crate::rules::services::Service;
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
    /// The code in `Coverage.class[plan]`.
    pub code: String,
    /// The name of the plan.
    pub name: String,
    /// The line of business: `MA`, `MEDICAID-MC`, `CHIP`, `QHP`, `ERISA`.
    pub line_of_business: String,
    /// The state whose rules apply to it.
    pub state: Option<String>,
    /// The contract under which metrics are reported.
    pub contract: String,
    /// The time zone in which its days begin and end.
    pub zone: Tz,
    /// The first day on which this row applies.
    pub from: NaiveDate,
    /// The last day on which this row applies.
    pub to: Option<NaiveDate>,
    /// How many days before the day of receipt a requested service may be. None: it must not be in the past.
    pub retrospective_days: Option<u32>,
}

/// One reason for a denial, from `codes/denial.csv`. A reviewer selects it; rules cannot deny.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenialReason {
    /// The X12 886 decision reason code.
    pub code: String,
    /// The reason in plain words.
    pub text: String,
    /// The claim adjustment reason code (CARC) for the member's records.
    pub carc: String,
}

/// One row of a list. A row with the code `*` applies to every code of its line of business without a row of its own.
/// Texts that many rows have in common are stored once, because a list may have a hundred thousand rows.
#[derive(Debug, Clone)]
pub(in crate::rules) struct ListRow {
    pub file: Arc<str>,
    /// The line in the file, counted from 1.
    pub line: usize,
    pub system: Arc<str>,
    /// One code, or a range such as `K0813-K0816`.
    pub code: Box<str>,
    /// `None`: all lines of business.
    pub line_of_business: Option<Arc<str>>,
    /// `None`: all states.
    pub state: Option<Arc<str>>,
    pub from: NaiveDate,
    pub to: Option<NaiveDate>,
    /// The name of an answer of `answers/`.
    pub answer: Arc<str>,
    /// The policy that applies instead, on days when it has an active version.
    pub policy: Option<Arc<str>>,
}

/// Stores equal texts once.
#[derive(Default)]
struct SharedTexts(HashSet<Arc<str>>);

impl SharedTexts {
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(text) = self.0.get(text) {
            return Arc::clone(text);
        }
        let new: Arc<str> = Arc::from(text);
        self.0.insert(Arc::clone(&new));
        new
    }
}

impl ListRow {
    /// Whether the row applies to a line of business and state on a day.
    pub(in crate::rules) fn applies_to(&self, lob: &str, state: Option<&str>, day: NaiveDate) -> bool {
        self.line_of_business.as_deref().is_none_or(|own| own == lob)
            && self.state.as_deref().is_none_or(|own| Some(own) == state)
            && contains_day(self.from, self.to, day)
    }

    /// Whether the row names a state, and whether it names a line of business.
    pub(in crate::rules) fn specificity(&self) -> (bool, bool) {
        (self.state.is_some(), self.line_of_business.is_some())
    }
}

/// Whether a day is in a window, both ends included.
pub(in crate::rules) fn contains_day(from: NaiveDate, to: Option<NaiveDate>, day: NaiveDate) -> bool {
    from <= day && to.is_none_or(|to| day <= to)
}

/// Whether two windows have a day in common, both ends included.
pub(in crate::rules) fn overlap(
    a: (NaiveDate, Option<NaiveDate>),
    b: (NaiveDate, Option<NaiveDate>),
) -> bool {
    b.1.is_none_or(|end| a.0 <= end) && a.1.is_none_or(|end| b.0 <= end)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRowKeys {
    code: String,
    system: String,
    line_of_business: String,
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
    line_of_business: String,
    state: Option<String>,
    contract: String,
    zone: String,
    from: NaiveDate,
    to: Option<NaiveDate>,
    /// The column may be left out.
    #[serde(default)]
    retrospective_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenialReasonKeys {
    code: String,
    text: String,
    carc: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceKeys {
    system: String,
    code: String,
    name: String,
}

/// Reads a list file.
pub(in crate::rules) fn read_list(file: &str, text: &str, findings: &mut Vec<Finding>) -> Vec<ListRow> {
    let is_any = |field: &str| matches!(field, "" | "*" | "any");
    let mut shared = SharedTexts::default();
    let mut rows = Vec::new();
    for (line, keys) in read_records::<ListRowKeys>(file, text, findings) {
        let mut error = |message: String, fix: &str| {
            findings.push(Finding::new(file, Some(line), message).fix(fix));
        };
        if keys.code.is_empty() || keys.answer.is_empty() {
            error(
                "A row needs a code and an answer".into(),
                "Write the code in the first column, and the name of an answer of answers/ in the seventh",
            );
        }
        if (keys.code == "*") != keys.system.is_empty() {
            error(
                "A code needs its system, and the row '*' must not have one".into(),
                "Write the system's URL in the second column, or leave the column empty in the row '*'",
            );
        }
        if !keys.code.is_empty() && keys.code != "*" && !keys.system.is_empty() {
            if !is_billing_system(normal_system(&keys.system).as_ref()) {
                let message = format!(
                    "Codes of {} cannot be billed, so the row would apply to no item",
                    keys.system
                );
                error(
                    message,
                    "Name billing codes: HCPCS, CPT, NDC, ICD-10-PCS or X12 service types",
                );
            } else if let Err(message) = CodeEntry::read(&keys.system, &keys.code) {
                error(message, WRITE_A_BILLING_CODE);
            }
        }
        if keys.to.is_some_and(|to| to < keys.from) {
            error(
                "The last day is before the first day".into(),
                "Swap 'from' and 'to', or correct the year",
            );
        }
        rows.push(ListRow {
            file: shared.share(file),
            line,
            system: shared.share(normal_system(&keys.system).as_ref()),
            code: keys.code.into_boxed_str(),
            line_of_business: (!is_any(&keys.line_of_business)).then(|| shared.share(&keys.line_of_business)),
            state: (!is_any(&keys.state)).then(|| shared.share(&keys.state)),
            from: keys.from,
            to: keys.to,
            answer: shared.share(&keys.answer),
            policy: keys.policy.map(|policy| shared.share(&policy)),
        });
    }
    rows
}

/// Reads `plans.csv`. Two rows of one plan with a day in common are a finding.
pub(in crate::rules) fn read_plans(file: &str, text: &str, findings: &mut Vec<Finding>) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for (line, keys) in read_records::<PlanKeys>(file, text, findings) {
        let Ok(zone) = keys.zone.parse::<Tz>() else {
            let message = format!("'{}' is not a valid time zone", keys.zone);
            findings.push(
                Finding::new(file, Some(line), message).fix("Write an IANA name such as America/New_York"),
            );
            continue;
        };
        let is_duplicate =
            |plan: &Plan| plan.code == keys.code && overlap((plan.from, plan.to), (keys.from, keys.to));
        if plans.iter().any(is_duplicate) {
            let message = format!("The plan '{}' has two rows for the same day", keys.code);
            findings.push(
                Finding::new(file, Some(line), message)
                    .fix("End the older row on the day before the newer one begins"),
            );
        }
        plans.push(Plan {
            code: keys.code,
            name: keys.name,
            line_of_business: keys.line_of_business,
            state: keys.state,
            contract: keys.contract,
            zone,
            from: keys.from,
            to: keys.to,
            retrospective_days: keys.retrospective_days,
        });
    }
    plans
}

/// Reads `codes/denial.csv`.
pub(in crate::rules) fn read_denial_reasons(
    file: &str,
    text: &str,
    findings: &mut Vec<Finding>,
) -> Vec<DenialReason> {
    let mut reasons: Vec<DenialReason> = Vec::new();
    for (line, keys) in read_records::<DenialReasonKeys>(file, text, findings) {
        if keys.code.is_empty() || keys.text.is_empty() || keys.carc.is_empty() {
            let message = "A denial reason needs code, text and carc";
            findings.push(Finding::new(file, Some(line), message).fix("Fill in all three columns"));
        }
        if reasons.iter().any(|r| r.code == keys.code) {
            let message = format!("The code '{}' appears twice in this file", keys.code);
            findings.push(Finding::new(file, Some(line), message).fix("Keep one of the two rows"));
        }
        reasons.push(DenialReason {
            code: keys.code,
            text: keys.text,
            carc: keys.carc,
        });
    }
    reasons
}

/// Reads `codes/services.csv`.
pub(in crate::rules) fn read_services(file: &str, text: &str, findings: &mut Vec<Finding>) -> Vec<Service> {
    let mut services = Vec::new();
    let mut seen = HashSet::new();
    for (line, keys) in read_records::<ServiceKeys>(file, text, findings) {
        let mut error = |message: String, fix: &str| {
            findings.push(Finding::new(file, Some(line), message).fix(fix));
        };
        if keys.system.is_empty() || keys.code.is_empty() || keys.name.is_empty() {
            error(
                "A service needs system, code and name".into(),
                "Fill in all three columns",
            );
        }
        if !keys.code.is_empty()
            && !keys.system.is_empty()
            && let Err(message) = CodeEntry::read(&keys.system, &keys.code)
        {
            error(message, WRITE_A_BILLING_CODE);
        }
        if !seen.insert(code_key(&keys.system, &keys.code)) {
            error(
                format!("The code '{}' appears twice in this file", keys.code),
                "Keep one of the two rows",
            );
        }
        services.push(Service {
            system: keys.system,
            code: keys.code,
            name: keys.name,
        });
    }
    services
}

/// The records that can be read, each with its line in the file. Lines that start with `#` are comments.
fn read_records<T: DeserializeOwned>(file: &str, text: &str, findings: &mut Vec<Finding>) -> Vec<(usize, T)> {
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
    let mut lines = LineCounter {
        text,
        byte: 0,
        line: 1,
    };
    for record in reader.records() {
        let mut line =
            |position: Option<&csv::Position>| Some(lines.line_at(usize::try_from(position?.byte()).ok()?));
        match record {
            Err(error) => findings.push(unreadable(file, line(error.position()), &error)),
            Ok(record) => {
                let line = line(record.position());
                match record.deserialize(Some(&headers)) {
                    Ok(keys) => all.push((line.unwrap_or(0), keys)),
                    Err(error) => findings.push(unreadable(file, line, &error)),
                }
            }
        }
    }
    all
}

/// Counts lines while a text is read. The line number of the CSV library is that of the comments before a record.
struct LineCounter<'t> {
    text: &'t str,
    byte: usize,
    line: usize,
}

impl LineCounter<'_> {
    /// The line of the record that is read from a byte on. Calls must have increasing bytes.
    fn line_at(&mut self, byte: usize) -> usize {
        let Some((read, rest)) = self
            .text
            .get(self.byte..)
            .and_then(|text| text.split_at_checked(byte.saturating_sub(self.byte)))
        else {
            return self.line;
        };
        self.line += read.matches('\n').count();
        self.byte = byte.max(self.byte);
        let skipped = rest
            .lines()
            .take_while(|line| line.trim().is_empty() || line.starts_with('#'))
            .count();
        self.line + skipped
    }
}

fn unreadable(file: &str, line: Option<usize>, error: &csv::Error) -> Finding {
    let message = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => match err.field().and_then(|n| usize::try_from(n).ok()) {
            Some(field) => format!("In column {}: {}", field + 1, err.kind()),
            None => err.kind().to_string(),
        },
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("The row has {len} columns, and the header has {expected_len}")
        }
        _ => error.to_string(),
    };
    Finding::new(file, line, message)
        .fix("Correct the row; the header names the columns, and days are written as 2026-10-01")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_row_is_found_with_its_line_and_other_rows_are_read() {
        let text = "code,name,line_of_business,state,contract,zone,from,to\n\
            # a comment\n\
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
    fn the_days_for_retrospective_requests_may_be_left_out() {
        let header = "code,name,line_of_business,state,contract,zone,from,to";
        let row = "A,Plan A,MA,,H1,America/New_York,2026-01-01,";
        let days = |text: &str| {
            let mut findings = Vec::new();
            let plans = read_plans("plans.csv", text, &mut findings);
            assert!(findings.is_empty(), "{findings:?}");
            plans[0].retrospective_days
        };
        assert_eq!(days(&format!("{header}\n{row}\n")), None);
        assert_eq!(days(&format!("{header},retrospective_days\n{row},\n")), None);
        assert_eq!(
            days(&format!("{header},retrospective_days\n{row},14\n")),
            Some(14)
        );
        let mut findings = Vec::new();
        read_plans(
            "plans.csv",
            &format!("{header},retrospective_days\n{row},-1\n"),
            &mut findings,
        );
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn an_empty_line_of_business_or_state_means_all() {
        let text = "code,system,line_of_business,state,from,to,answer,policy\n*,,,,2026-01-01,,free,\n";
        let row = &read_list("lists/a.csv", text, &mut Vec::new())[0];
        let day = "2026-05-05".parse().unwrap();
        assert!(row.applies_to("MA", Some("OH"), day) && row.applies_to("QHP", None, day));
        assert!(!row.applies_to("MA", None, "2025-12-31".parse().unwrap()));
        assert_eq!(row.specificity(), (false, false));
    }
}
