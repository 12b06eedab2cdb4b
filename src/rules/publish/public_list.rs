//! The public list of items and services that need prior authorization (42 CFR 422.122(c) and its siblings): made from
//! the rules, so that it says what they answer. A policy stands with the window in which it answers; a list row
//! with the part of its window that no policy takes from it. Retired, draft and shadow versions are not in it, nor what
//! needs no authorization.

use crate::rules::CaseDocument;
use crate::rules::evaluate::facts::Budget;
use crate::rules::evaluate::verdict;
use crate::rules::evaluate::verdict::CoverageAnswer;
use crate::rules::format::codes::{CodeRange, CodeTable};
use crate::rules::load::tables::Row;
use crate::rules::{Policy, RuleSet};
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// First and last day, both included.
type Window = (NaiveDate, Option<NaiveDate>);

/// The list as it was on the day when its set came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicList {
    /// The zone of the plan's days.
    pub zone: Tz,
    about: Vec<About>,
    rows: Vec<Listed>,
}

/// What a row says beside its code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The policy's title, or the reason of the list's answer.
    pub title: String,
    /// Forms to fill in, as `name|version`.
    pub forms: Vec<String>,
    /// Texts that the policy rests on: citation and address.
    pub sources: Vec<(String, String)>,
}

/// A code that may need authorization, for one line and state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listed {
    /// The code, or `*` for every code of the line that has no row of its own.
    pub code: String,
    /// Its system; empty for `*`.
    pub system: String,
    /// The line of business; none stands for every line.
    pub line: Option<String>,
    /// The state; none stands for every state.
    pub state: Option<String>,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: Option<NaiveDate>,
    about: usize,
}

impl Listed {
    /// Whether it speaks about a code that begins like this (capital letters). The row `*` speaks about every code.
    fn is_about(&self, code: &str) -> bool {
        let in_range = || match CodeRange::read(&self.system, &self.code) {
            Some(Ok(range)) => {
                CodeRange::of_code(&self.system, code).is_some_and(|asked| range.holds(&asked))
            }
            _ => false,
        };
        self.code == "*" || self.code.to_uppercase().starts_with(code) || in_range()
    }
}

impl PublicList {
    /// Every row, by code, system, line, state and day.
    pub fn rows(&self) -> &[Listed] {
        &self.rows
    }

    /// What a row says beside its code.
    pub fn about(&self, row: &Listed) -> Option<&About> {
        self.about.get(row.about)
    }

    /// The rows about codes that begin with `code` (empty: all), in one line of business (none: all).
    pub fn find<'a>(&'a self, code: &str, line: Option<&'a str>) -> Vec<&'a Listed> {
        let code = code.trim().to_uppercase();
        let in_line = |row: &Listed| match (line, row.line.as_deref()) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        self.rows
            .iter()
            .filter(|row| in_line(row) && (code.is_empty() || row.is_about(&code)))
            .collect()
    }

    /// The lines of business that rows name.
    pub fn lines(&self) -> BTreeSet<&str> {
        self.rows.iter().filter_map(|row| row.line.as_deref()).collect()
    }

    /// The list as a table for spreadsheets. No cell can be read as a formula.
    pub fn csv(&self) -> Vec<u8> {
        let mut table = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        // Writing into memory cannot fail.
        let _ = table.write_record(COLUMNS);
        let none = About::default();
        for row in &self.rows {
            let about = self.about(row).unwrap_or(&none);
            let (cites, urls): (Vec<&str>, Vec<&str>) = about
                .sources
                .iter()
                .map(|(c, u)| (c.as_str(), u.as_str()))
                .unzip();
            let cells = [
                row.code.clone(),
                row.system.clone(),
                row.line.clone().unwrap_or_default(),
                row.state.clone().unwrap_or_default(),
                row.from.to_string(),
                row.to.map(|day| day.to_string()).unwrap_or_default(),
                about.forms.join(" "),
                about.title.clone(),
                cites.join("; "),
                urls.join(" "),
            ];
            let _ = table.write_record(cells.map(harmless));
        }
        table.into_inner().unwrap_or_default()
    }
}

const COLUMNS: [&str; 10] = [
    "code",
    "system",
    "line",
    "state",
    "from",
    "to",
    "form",
    "policy title",
    "source",
    "url",
];

/// A cell that a spreadsheet would calculate gets an apostrophe in front.
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{cell}")
    } else {
        cell
    }
}

impl RuleSet {
    /// The zone of the plan's days: that of the first plan.
    pub fn zone(&self) -> Tz {
        self.plans.first().map_or(Tz::UTC, |plan| plan.zone)
    }

    /// The list on a day: what ended before it is left out.
    pub fn public_list(&self, day: NaiveDate) -> PublicList {
        let mut list = PublicList {
            zone: self.zone(),
            about: Vec::new(),
            rows: Vec::new(),
        };
        let free = self.free_rows();
        let mut speaking = Speaking::default();
        for (n, policy) in (0..).zip(&self.policies) {
            if !policy.is_active() {
                continue;
            }
            speaking.add(n, policy);
            if policy
                .keys
                .coverage
                .iter()
                .any(|rule| demands(&rule.answer.answer()))
            {
                let asks = |system: &str, code: &str| {
                    !free.contains(&(policy.name(), system, code)) || demands_of_all(policy, system, code)
                };
                list.add_policy(policy, &asks);
            }
        }
        speaking.table = std::mem::take(&mut speaking.table).sealed();
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, known) in &self.answers {
            let answer = known.answer.answer();
            if demands(&answer) {
                named.insert(name, list.about.len());
                list.about.push(said(name, &answer));
            }
        }
        for row in &self.rows {
            let Some(about) = named.get(&*row.answer) else {
                continue;
            };
            for window in left_over(row, &speaking.of(row, &self.policies)) {
                list.rows.push(Listed {
                    code: row.code.to_string(),
                    system: row.system.to_string(),
                    line: row.line.as_deref().map(str::to_owned),
                    state: row.state.as_deref().map(str::to_owned),
                    from: window.0,
                    to: window.1,
                    about: *about,
                });
            }
        }
        list.rows.retain(|row| row.to.is_none_or(|last| day <= last));
        list.rows.sort_unstable();
        list.rows.dedup();
        list
    }
}

impl RuleSet {
    /// The codes that stand in a list with an answer that asks for nothing, and the policy that they are given to.
    fn free_rows(&self) -> HashSet<(&str, &str, &str)> {
        let mut free = HashSet::new();
        for row in &self.rows {
            let named = self.answers.get(&*row.answer);
            if let Some(policy) = row.policy.as_deref()
                && named.is_some_and(|known| !demands(&known.answer.answer()))
            {
                free.insert((policy, &*row.system, &*row.code));
            }
        }
        free
    }
}

/// What a policy answers when it knows nothing but the code. Some ask for one of their codes and not for another.
fn demands_of_all(policy: &Policy, system: &str, code: &str) -> bool {
    let first = code.split_once('-').map_or(code, |(first, _)| first);
    let bare = CaseDocument::from_json(json!({
        "kind": "hook",
        "received": policy.effective().from.and_time(NaiveTime::MIN).and_utc(),
        "member": {},
        "item": { "sequence": 1, "codes": [{ "system": system, "code": first }] },
    }));
    bare.is_err() || bare.is_ok_and(|bare| demands(&verdict(policy, &bare, Budget(Budget::WHOLE)).coverage))
}

impl PublicList {
    /// A row for each code of a policy that `asks` says may need authorization.
    fn add_policy(&mut self, policy: &Policy, asks: &dyn Fn(&str, &str) -> bool) {
        let each = |scope: Option<&[String]>| match scope {
            None => vec![None],
            Some(names) => names.iter().cloned().map(Some).collect(),
        };
        let (lines, states) = (each(policy.lines()), each(policy.states()));
        let about = self.about.len();
        self.about.push(About {
            title: policy.title().to_owned(),
            forms: policy.forms().into_iter().map(str::to_owned).collect(),
            sources: policy
                .sources()
                .iter()
                .map(|s| (s.cite.clone(), s.url.clone()))
                .collect(),
        });
        for (system, code) in policy.codes().filter(|(system, code)| asks(system, code)) {
            for line in &lines {
                for state in &states {
                    self.rows.push(Listed {
                        code: code.to_owned(),
                        system: system.to_owned(),
                        line: line.clone(),
                        state: state.clone(),
                        from: policy.effective().from,
                        to: policy.effective().to,
                        about,
                    });
                }
            }
        }
    }
}

/// The active policies by code.
#[derive(Default)]
struct Speaking {
    table: CodeTable,
    ranges: Vec<(CodeRange, u32)>,
}

impl Speaking {
    fn add(&mut self, n: u32, policy: &Policy) {
        for (system, code) in policy.codes() {
            self.table.insert(system, code, n);
            if let Some(Ok(range)) = CodeRange::read(system, code) {
                self.ranges.push((range, n));
            }
        }
    }

    /// The policies that answer for every code of a row.
    fn of<'a>(&self, row: &Row, policies: &'a [Policy]) -> Vec<&'a Policy> {
        let places: Vec<u32> = if let Some(Ok(asked)) = CodeRange::read(&row.system, &row.code) {
            let holding = self.ranges.iter().filter(|(range, _)| range.holds(&asked));
            holding.map(|(_, n)| *n).collect()
        } else {
            let (exact, ranged) = self.table.find(&row.system, &row.code);
            exact.iter().chain(ranged).copied().collect()
        };
        places
            .into_iter()
            .filter_map(|n| policies.get(n as usize))
            .collect()
    }
}

/// Whether an answer asks for authorization, or may.
fn demands(answer: &CoverageAnswer) -> bool {
    matches!(
        answer.pa.as_deref(),
        Some("auth-needed" | "performpa" | "conditional")
    )
}

fn said(name: &str, answer: &CoverageAnswer) -> About {
    let reason = answer.reason_text();
    About {
        title: if reason.is_empty() { name } else { reason }.to_owned(),
        forms: answer.questionnaires.clone(),
        sources: Vec::new(),
    }
}

/// When a row answers itself: its window without those of the policies that answer for the same code, line and state.
fn left_over(row: &Row, policies: &[&Policy]) -> Vec<Window> {
    let within = |scope: Option<&[String]>, own: Option<&str>| {
        scope.is_none_or(|names| own.is_some_and(|own| names.iter().any(|name| name == own)))
    };
    let mut left = vec![(row.from, row.to)];
    for policy in policies {
        if within(policy.lines(), row.line.as_deref()) && within(policy.states(), row.state.as_deref()) {
            let taken = (policy.effective().from, policy.effective().to);
            left = left
                .into_iter()
                .flat_map(|window| without(window, taken))
                .collect();
        }
    }
    left
}

/// What is left of a window when another is cut out of it.
fn without(window: Window, cut: Window) -> Vec<Window> {
    if !crate::rules::load::tables::overlap(window, cut) {
        return vec![window];
    }
    let before = cut.0.pred_opt().filter(|last| window.0 <= *last);
    let after = cut.1.and_then(|last| last.succ_opt());
    let after = after.filter(|first| window.1.is_none_or(|end| *first <= end));
    let before = before.map(|last| (window.0, Some(last)));
    let after = after.map(|first| (first, window.1));
    before.into_iter().chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::coding::HCPCS;
    use crate::rules::Source;
    use crate::rules::tests::{fixture, forms, shipped_files};
    use serde_json::json;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn shipped(change: impl Fn(&mut Vec<(String, String)>)) -> RuleSet {
        let mut files = shipped_files();
        change(&mut files);
        RuleSet::load(&files, &forms).unwrap_or_else(|findings| {
            let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
            panic!("{}", all.join("\n"))
        })
    }

    #[test]
    fn the_list_says_what_the_rules_answer() {
        let rules = shipped(|_| {});
        let list = rules.public_list(NaiveDate::MIN);
        let mut codes: BTreeSet<(String, String)> = rules
            .rows
            .iter()
            .filter(|row| &*row.code != "*")
            .map(|row| {
                (
                    row.system.to_string(),
                    row.code.split('-').next().unwrap().to_owned(),
                )
            })
            .collect();
        codes.insert((HCPCS.to_owned(), "Z9999".to_owned()));
        let (mut asked, mut needed) = (0, 0);
        for (system, code) in &codes {
            for line in ["MA", "MEDICAID-MC", "CHIP", "QHP", "ERISA"] {
                for received in ["2026-02-01", "2026-05-01", "2026-10-01"] {
                    let document = fixture("oxygen", |json| {
                        json["item"]["codes"] = json!([{ "system": system, "code": code }]);
                        json["member"]["line"] = json!(line);
                        json["received"] = json!(format!("{received}T14:05:00Z"));
                    });
                    let verdict = rules.evaluate(&document);
                    let answered = demands(&verdict.coverage);
                    let on = day(received);
                    let listed = list.find(code, Some(line)).into_iter().any(|row| {
                        let exact = row.code.len() != code.len() || row.code == *code;
                        exact && row.from <= on && row.to.is_none_or(|to| on <= to)
                    });
                    // A policy may ask of one person and not of another; the list says that it may.
                    let may = matches!(verdict.source, Source::Policy { .. });
                    let fits = listed == answered || (listed && may);
                    assert!(
                        fits,
                        "{code} {line} {received}: listed {listed}, answered {answered}"
                    );
                    asked += 1;
                    needed += usize::from(answered);
                }
            }
        }
        assert!(needed > 50 && needed < asked, "{needed} of {asked}");
    }

    #[test]
    fn a_code_with_a_policy_stands_once_with_title_form_and_source() {
        let rules = shipped(|_| {});
        let list = rules.public_list(day("2026-11-20"));
        let rows = list.find("e0424", None);
        assert_eq!(rows.len(), 1, "{rows:?}");
        let about = list.about(rows[0]).unwrap();
        assert_eq!(
            (rows[0].line.as_deref(), rows[0].from),
            (Some("MA"), day("2026-07-01"))
        );
        assert!(about.title.contains("Home oxygen") && about.forms == ["home-oxygen|1.0.0"]);
        assert!(about.sources[0].0.contains("NCD 240.2"));
        assert!(list.rows().is_sorted());
    }

    #[test]
    fn a_code_for_which_its_policy_asks_nothing_is_not_in_the_list() {
        let rules = shipped(|_| {});
        let list = rules.public_list(day("2026-11-20"));
        assert_eq!(list.find("77061", None).len(), 1);
        assert!(list.find("77065", None).is_empty() && list.find("77066", None).is_empty());
        // The row alone does not take a code out for which the policy asks.
        let rules = shipped(|files| {
            let list = files
                .iter_mut()
                .find(|(path, _)| path == "lists/2026-services.csv");
            let text = &mut list.unwrap().1;
            *text = text.replace(
                "77061,http://www.ama-assn.org/go/cpt,,,2026-07-01,,auth-needed-imaging",
                "77061,http://www.ama-assn.org/go/cpt,,,2026-07-01,,no-authorization",
            );
        });
        assert_eq!(rules.public_list(day("2026-11-20")).find("77061", None).len(), 1);
    }

    #[test]
    fn a_code_without_a_policy_stands_with_its_reason_and_one_that_needs_nothing_not_at_all() {
        let rules = shipped(|_| {});
        let list = rules.public_list(day("2026-11-20"));
        let surgery = list.find("33510", Some("MA"));
        assert!(
            list.about(surgery[0])
                .unwrap()
                .title
                .starts_with("Inpatient heart surgery")
        );
        assert!(list.find("B4184", None).is_empty());
        assert!(list.rows().iter().all(|row| row.code != "*"));
    }

    #[test]
    fn a_row_keeps_the_days_that_its_policy_does_not_answer() {
        let window = (day("2026-01-01"), None);
        let cut = (day("2026-07-01"), Some(day("2026-12-31")));
        let left = without(window, cut);
        assert_eq!(
            left,
            [
                (day("2026-01-01"), Some(day("2026-06-30"))),
                (day("2027-01-01"), None)
            ]
        );
        assert_eq!(without(cut, window), []);
        assert_eq!(without(cut, (day("2027-01-01"), None)), [cut]);
    }

    #[test]
    fn what_ended_before_the_day_is_left_out() {
        let rules = shipped(|files| {
            let list = &mut files
                .iter_mut()
                .find(|(path, _)| path == "lists/2026.csv")
                .unwrap()
                .1;
            *list = list.replace(
                "33510,http://www.ama-assn.org/go/cpt,,,2026-01-01,,",
                "33510,http://www.ama-assn.org/go/cpt,,,2026-01-01,2026-06-30,",
            );
        });
        assert_eq!(rules.public_list(day("2026-06-30")).find("33510", None).len(), 1);
        assert!(
            rules
                .public_list(day("2026-07-01"))
                .find("33510", None)
                .is_empty()
        );
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@a", "\t=1"] {
            assert!(harmless(text.to_owned()).starts_with('\''), "{text}");
        }
        assert_eq!(harmless("E0424".to_owned()), "E0424");
        let list = shipped(|_| {}).public_list(day("2026-11-20"));
        let csv = String::from_utf8(list.csv()).unwrap();
        assert!(csv.starts_with("code,system,line,state,from,to,form,policy title,source,url\r\n"));
        assert_eq!(csv.lines().count(), list.rows().len() + 1);
    }

    #[test]
    fn a_range_is_found_by_a_code_within_it() {
        let row = Listed {
            code: "J0000-J9999".to_owned(),
            system: HCPCS.to_owned(),
            line: None,
            state: None,
            from: day("2026-01-01"),
            to: None,
            about: 0,
        };
        assert!(row.is_about("J1745") && row.is_about("J0") && !row.is_about("K0001"));
    }

    #[test]
    fn a_list_comes_back_from_its_text() {
        let list = shipped(|_| {}).public_list(day("2026-11-20"));
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<PublicList>(&text).unwrap(), list);
    }
}
