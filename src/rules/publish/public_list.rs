//! The public list of items and services that need prior authorization (42 CFR 422.122(c) and the corresponding rules
//! for the other lines of business). It is made from the rules, so that it agrees with their answers. A policy is
//! listed for the days when it is effective, a list row for the days when no policy applies instead. Draft, shadow and
//! retired versions are not listed, and neither is a service that needs no authorization.

use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::facts::StepBudget;
use crate::rules::evaluate::policy::evaluate_policy;
use crate::rules::format::codes::{CodeRange, CodeTable};
use crate::rules::load::tables::{ListRow, overlap};
use crate::rules::policy::Policy;
use crate::rules::rule_set::RuleSet;
use crate::rules::verdict::CoverageAnswer;
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// First and last day, both included.
type Window = (NaiveDate, Option<NaiveDate>);

/// The public list of one policy set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicList {
    /// The plan's time zone.
    pub zone: Tz,
    details: Vec<PublicListDetails>,
    rows: Vec<PublicListRow>,
}

/// What many rows of the public list have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicListDetails {
    /// The policy's title, or the reason in the list row's answer.
    pub title: String,
    /// The forms to complete, as `name|version`.
    pub forms: Vec<String>,
    /// The policy's sources: citation and web address.
    pub sources: Vec<(String, String)>,
}

/// A code that may need authorization, in one line of business and state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublicListRow {
    /// A code, a range, or `*` for all codes of the line of business without a row of their own.
    pub code: String,
    /// The URL of the code system. Empty for `*`.
    pub system: String,
    /// The plain name of the service, from `codes/services.csv`.
    pub name: Option<String>,
    /// The line of business. `None`: all.
    pub line_of_business: Option<String>,
    /// The state. `None`: all.
    pub state: Option<String>,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: Option<NaiveDate>,
    /// The place in `PublicList::details`.
    details: usize,
}

impl PublicListRow {
    /// Whether the row is about codes that begin with `code` (in capital letters). The row `*` is about all codes.
    fn is_about(&self, code: &str) -> bool {
        let in_range = || match CodeRange::read(&self.system, &self.code) {
            Some(Ok(range)) => {
                CodeRange::of_code(&self.system, code).is_some_and(|searched| range.holds(&searched))
            }
            _ => false,
        };
        self.code == "*" || self.code.to_uppercase().starts_with(code) || in_range()
    }
}

impl PublicList {
    /// All rows, by code, system, line of business, state and day.
    pub fn rows(&self) -> &[PublicListRow] {
        &self.rows
    }

    /// Title, forms and sources of a row.
    pub fn details(&self, row: &PublicListRow) -> Option<&PublicListDetails> {
        self.details.get(row.details)
    }

    /// The rows about codes that begin with `code` (empty: all), in one line of business (`None`: all).
    pub fn find<'a>(&'a self, code: &str, line_of_business: Option<&'a str>) -> Vec<&'a PublicListRow> {
        let code = code.trim().to_uppercase();
        let in_line_of_business =
            |row: &PublicListRow| match (line_of_business, row.line_of_business.as_deref()) {
                (Some(searched), Some(own)) => searched == own,
                _ => true,
            };
        self.rows
            .iter()
            .filter(|row| in_line_of_business(row) && (code.is_empty() || row.is_about(&code)))
            .collect()
    }

    /// The lines of business that rows name.
    pub fn lines_of_business(&self) -> BTreeSet<&str> {
        self.rows
            .iter()
            .filter_map(|row| row.line_of_business.as_deref())
            .collect()
    }

    /// The list as a CSV file. No cell is read as a formula by a spreadsheet program.
    pub fn csv(&self) -> Vec<u8> {
        let mut table = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        // Writing into memory cannot fail.
        let _ = table.write_record(COLUMNS);
        let none = PublicListDetails::default();
        for row in &self.rows {
            let details = self.details(row).unwrap_or(&none);
            let (citations, addresses): (Vec<&str>, Vec<&str>) = details
                .sources
                .iter()
                .map(|(citation, address)| (citation.as_str(), address.as_str()))
                .unzip();
            let cells = [
                row.code.clone(),
                row.system.clone(),
                row.name.clone().unwrap_or_default(),
                row.line_of_business.clone().unwrap_or_default(),
                row.state.clone().unwrap_or_default(),
                row.from.to_string(),
                row.to.map(|day| day.to_string()).unwrap_or_default(),
                details.forms.join(" "),
                details.title.clone(),
                citations.join("; "),
                addresses.join(" "),
            ];
            let _ = table.write_record(cells.map(without_formula));
        }
        table.into_inner().unwrap_or_default()
    }

    /// Adds a row for each code of a policy for which `needs_authorization` is true.
    fn add_policy(
        &mut self,
        policy: &Policy,
        name: impl Fn(&str, &str) -> Option<String>,
        needs_authorization: impl Fn(&str, &str) -> bool,
    ) {
        let each = |scope: Option<&[String]>| match scope {
            None => vec![None],
            Some(names) => names.iter().cloned().map(Some).collect(),
        };
        let (lines_of_business, states) = (each(policy.lines_of_business()), each(policy.states()));
        let details = self.details.len();
        self.details.push(PublicListDetails {
            title: policy.title().to_owned(),
            forms: policy.forms().into_iter().map(str::to_owned).collect(),
            sources: policy
                .sources()
                .iter()
                .map(|source| (source.cite.clone(), source.url.clone()))
                .collect(),
        });
        for (system, code) in policy
            .codes()
            .filter(|(system, code)| needs_authorization(system, code))
        {
            for line_of_business in &lines_of_business {
                for state in &states {
                    self.rows.push(PublicListRow {
                        code: code.to_owned(),
                        system: system.to_owned(),
                        name: name(system, code),
                        line_of_business: line_of_business.clone(),
                        state: state.clone(),
                        from: policy.effective().from,
                        to: policy.effective().to,
                        details,
                    });
                }
            }
        }
    }
}

const COLUMNS: [&str; 11] = [
    "code",
    "system",
    "name",
    "line_of_business",
    "state",
    "from",
    "to",
    "form",
    "policy_title",
    "source",
    "url",
];

/// Puts an apostrophe before a cell that a spreadsheet program would read as a formula.
fn without_formula(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{cell}")
    } else {
        cell
    }
}

impl RuleSet {
    /// The time zone of the first plan, for days that belong to no member.
    pub fn zone(&self) -> Tz {
        self.plans.first().map_or(Tz::UTC, |plan| plan.zone)
    }

    /// The public list on a day, without rows that ended before it.
    pub fn public_list(&self, day: NaiveDate) -> PublicList {
        let mut list = PublicList {
            zone: self.zone(),
            details: Vec::new(),
            rows: Vec::new(),
        };
        let active = self.add_policies(&mut list);
        self.add_rows(&mut list, &active);
        list.rows.retain(|row| row.to.is_none_or(|last| day <= last));
        list.rows.sort_unstable();
        list.rows.dedup();
        list
    }

    fn public_name(&self, system: &str, code: &str) -> Option<String> {
        self.service_name(system, code).map(str::to_owned)
    }

    /// Adds the active policies that may need authorization, and returns all active policies by code.
    fn add_policies(&self, list: &mut PublicList) -> ActivePolicies {
        let no_auth_rows = self.no_auth_rows();
        let mut active = ActivePolicies::default();
        for (n, policy) in (0..).zip(&self.policies) {
            if !policy.is_active() {
                continue;
            }
            active.add(n, policy);
            let mut answers = policy.keys.coverage.iter().map(|rule| rule.answer.answer());
            if answers.any(|answer| may_need_authorization(&answer)) {
                list.add_policy(
                    policy,
                    |system, code| self.public_name(system, code),
                    |system, code| {
                        !no_auth_rows.contains(&(policy.name(), system, code))
                            || code_may_need_authorization(policy, system, code)
                    },
                );
            }
        }
        active.table = std::mem::take(&mut active.table).sealed();
        active
    }

    /// Adds the rows whose answer may need authorization, for the days when no active policy applies instead.
    fn add_rows(&self, list: &mut PublicList, active: &ActivePolicies) {
        let mut details_by_answer: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, named) in &self.answers {
            let answer = named.answer.answer();
            if may_need_authorization(&answer) {
                details_by_answer.insert(name, list.details.len());
                list.details.push(answer_details(name, &answer));
            }
        }
        for row in &self.rows {
            let Some(details) = details_by_answer.get(&*row.answer) else {
                continue;
            };
            for (from, to) in windows_without_policy(row, &active.policies_for(row, &self.policies)) {
                list.rows.push(PublicListRow {
                    code: row.code.to_string(),
                    system: row.system.to_string(),
                    name: self.public_name(&row.system, &row.code),
                    line_of_business: row.line_of_business.as_deref().map(str::to_owned),
                    state: row.state.as_deref().map(str::to_owned),
                    from,
                    to,
                    details: *details,
                });
            }
        }
    }

    /// (policy, system, code) of the rows that name a policy and whose own answer needs no authorization.
    fn no_auth_rows(&self) -> HashSet<(&str, &str, &str)> {
        let mut rows = HashSet::new();
        for row in &self.rows {
            let named = self.answers.get(&*row.answer);
            if let Some(policy) = row.policy.as_deref()
                && named.is_some_and(|named| !may_need_authorization(&named.answer.answer()))
            {
                rows.insert((policy, &*row.system, &*row.code));
            }
        }
        rows
    }
}

/// Whether a policy's answer for a code may need authorization when nothing but the code is known. A policy can need
/// authorization for some of its codes only.
fn code_may_need_authorization(policy: &Policy, system: &str, code: &str) -> bool {
    let first = code.split_once('-').map_or(code, |(first, _)| first);
    let document = CaseDocument::from_json(json!({
        "kind": "hook",
        "received": policy.effective().from.and_time(NaiveTime::MIN).and_utc(),
        "member": {},
        "item": { "sequence": 1, "codes": [{ "system": system, "code": first }] },
    }));
    let verdict = |document| evaluate_policy(policy, &document, StepBudget(StepBudget::DEFAULT));
    document.map_or(true, |document| {
        may_need_authorization(&verdict(document).coverage)
    })
}

/// The active policies by code. Numbers are places in the list of policies of the rule set.
#[derive(Default)]
struct ActivePolicies {
    table: CodeTable,
    ranges: Vec<(CodeRange, u32)>,
}

impl ActivePolicies {
    fn add(&mut self, n: u32, policy: &Policy) {
        for (system, code) in policy.codes() {
            self.table.insert(system, code, n);
            if let Some(Ok(range)) = CodeRange::read(system, code) {
                self.ranges.push((range, n));
            }
        }
    }

    /// The policies that have all codes of a row in their scope.
    fn policies_for<'a>(&self, row: &ListRow, policies: &'a [Policy]) -> Vec<&'a Policy> {
        let places: Vec<u32> = if let Some(Ok(row_range)) = CodeRange::read(&row.system, &row.code) {
            let holding = self.ranges.iter().filter(|(range, _)| range.holds(&row_range));
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

fn may_need_authorization(answer: &CoverageAnswer) -> bool {
    matches!(
        answer.pa.as_deref(),
        Some("auth-needed" | "performpa" | "conditional")
    )
}

fn answer_details(name: &str, answer: &CoverageAnswer) -> PublicListDetails {
    let reason = answer.reason_text();
    PublicListDetails {
        title: if reason.is_empty() { name } else { reason }.to_owned(),
        forms: answer.questionnaires.clone(),
        sources: Vec::new(),
    }
}

/// The window of a row without the windows of the policies that apply to the same code, line of business and state.
fn windows_without_policy(row: &ListRow, policies: &[&Policy]) -> Vec<Window> {
    let covers = |scope: Option<&[String]>, own: Option<&str>| {
        scope.is_none_or(|names| own.is_some_and(|own| names.iter().any(|name| name == own)))
    };
    let mut windows = vec![(row.from, row.to)];
    for policy in policies {
        if covers(policy.lines_of_business(), row.line_of_business.as_deref())
            && covers(policy.states(), row.state.as_deref())
        {
            let effective = (policy.effective().from, policy.effective().to);
            windows = windows
                .into_iter()
                .flat_map(|window| without(window, effective))
                .collect();
        }
    }
    windows
}

/// What remains of a window when another window is cut out.
fn without(window: Window, cut: Window) -> Vec<Window> {
    if !overlap(window, cut) {
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
    use crate::rules::tests::{fixture, forms, shipped_files};
    use crate::rules::verdict::VerdictSource;
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
    fn the_list_agrees_with_the_answers_of_the_rules() {
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
        let (mut evaluated, mut needed) = (0, 0);
        for (system, code) in &codes {
            for lob in ["MA", "MEDICAID-MC", "CHIP", "QHP", "ERISA"] {
                for received in ["2026-02-01", "2026-05-01", "2026-10-01"] {
                    let document = fixture("oxygen", |json| {
                        json["item"]["codes"] = json!([{ "system": system, "code": code }]);
                        json["member"]["line_of_business"] = json!(lob);
                        json["received"] = json!(format!("{received}T14:05:00Z"));
                    });
                    let verdict = rules.evaluate(&document);
                    let answer_needs_it = may_need_authorization(&verdict.coverage);
                    let on = day(received);
                    let listed = list.find(code, Some(lob)).into_iter().any(|row| {
                        let exact = row.code.len() != code.len() || row.code == *code;
                        exact && row.from <= on && row.to.is_none_or(|to| on <= to)
                    });
                    // A policy may need authorization for some members only. The list then has the code.
                    let has_policy = matches!(verdict.source, VerdictSource::Policy { .. });
                    let agrees = listed == answer_needs_it || (listed && has_policy);
                    assert!(
                        agrees,
                        "{code} {lob} {received}: listed {listed}, answer needs authorization {answer_needs_it}"
                    );
                    evaluated += 1;
                    needed += usize::from(answer_needs_it);
                }
            }
        }
        assert!(needed > 50 && needed < evaluated, "{needed} of {evaluated}");
    }

    #[test]
    fn a_code_with_a_policy_is_listed_once_with_name_title_form_and_source() {
        let rules = shipped(|_| {});
        let list = rules.public_list(day("2026-11-20"));
        let rows = list.find("e0424", None);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(
            rows[0].name.as_deref(),
            Some("Compressed gas oxygen system, home")
        );
        let details = list.details(rows[0]).unwrap();
        assert_eq!(
            (rows[0].line_of_business.as_deref(), rows[0].from),
            (Some("MA"), day("2026-07-01"))
        );
        assert!(details.title.contains("Home oxygen") && details.forms == ["home-oxygen|1.0.0"]);
        assert!(details.sources[0].0.contains("NCD 240.2"));
        assert!(list.rows().is_sorted());
    }

    #[test]
    fn a_code_that_needs_no_authorization_by_its_policy_is_not_listed() {
        let rules = shipped(|_| {});
        let list = rules.public_list(day("2026-11-20"));
        assert_eq!(list.find("77061", None).len(), 1);
        assert!(list.find("77065", None).is_empty() && list.find("77066", None).is_empty());
        // A list row alone does not remove a code that needs authorization by its policy.
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
    fn a_code_without_a_policy_is_listed_only_if_it_needs_authorization() {
        let rules = shipped(|_| {});
        let list = rules.public_list(day("2026-11-20"));
        let surgery = list.find("33510", Some("MA"));
        assert!(
            list.details(surgery[0])
                .unwrap()
                .title
                .starts_with("Inpatient heart surgery")
        );
        assert!(list.find("B4184", None).is_empty());
        assert!(list.rows().iter().all(|row| row.code != "*"));
    }

    #[test]
    fn a_row_keeps_the_days_on_which_its_policy_does_not_apply() {
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
    fn a_row_that_ended_before_the_day_is_left_out() {
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
    fn no_cell_of_the_csv_file_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@a", "\t=1"] {
            assert!(without_formula(text.to_owned()).starts_with('\''), "{text}");
        }
        assert_eq!(without_formula("E0424".to_owned()), "E0424");
        let list = shipped(|_| {}).public_list(day("2026-11-20"));
        let csv = String::from_utf8(list.csv()).unwrap();
        assert!(
            csv.starts_with(
                "code,system,name,line_of_business,state,from,to,form,policy_title,source,url\r\n"
            )
        );
        assert_eq!(csv.lines().count(), list.rows().len() + 1);
    }

    #[test]
    fn a_range_is_found_by_a_code_within_it() {
        let row = PublicListRow {
            code: "J0000-J9999".to_owned(),
            system: HCPCS.to_owned(),
            name: None,
            line_of_business: None,
            state: None,
            from: day("2026-01-01"),
            to: None,
            details: 0,
        };
        assert!(row.is_about("J1745") && row.is_about("J0") && !row.is_about("K0001"));
    }

    #[test]
    fn a_list_is_read_back_unchanged() {
        let list = shipped(|_| {}).public_list(day("2026-11-20"));
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<PublicList>(&text).unwrap(), list);
    }
}
