//! Checks of the lists against the answers, plans and policies: rows name what exists, no two rows contradict each
//! other, and every line of business has a row for codes without a row of their own.

use crate::rules::finding::Finding;
use crate::rules::format::codes::{CodeRange, code_key, pairs_that_overlap};
use crate::rules::load::QuestionsOfForm;
use crate::rules::load::files::ParsedFiles;
use crate::rules::load::tables::{ListRow, overlap};
use crate::rules::policy::Policy;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Checks every row and every answer of the lists.
pub(in crate::rules) fn check(
    parsed: &ParsedFiles<'_>,
    policies: &[Policy],
    forms: &QuestionsOfForm<'_>,
    findings: &mut Vec<Finding>,
) {
    let lines_of_business: BTreeSet<&str> = parsed
        .plans
        .iter()
        .map(|plan| plan.line_of_business.as_str())
        .collect();
    check_names(parsed, policies, &lines_of_business, findings);
    check_duplicates(&parsed.rows, findings);
    check_answers(parsed, forms, findings);
    for lob in lines_of_business {
        let answers_for_all_codes = |row: &ListRow| {
            &*row.code == "*"
                && row.state.is_none()
                && row.line_of_business.as_deref().is_none_or(|own| own == lob)
        };
        if !parsed.rows.iter().any(answers_for_all_codes) {
            let message = format!("No list row '*' exists for the line of business '{lob}'");
            let fix = "Add a row '*' for it to a file of lists/; that row applies to every code without a row of its own";
            findings.push(Finding::new("plans.csv", Some(1), message).fix(fix));
        }
    }
}

/// Each row names a line of business, an answer and a policy that exist.
fn check_names(
    parsed: &ParsedFiles<'_>,
    policies: &[Policy],
    lines_of_business: &BTreeSet<&str>,
    findings: &mut Vec<Finding>,
) {
    let mut scopes: HashMap<&str, PolicyCodes> = HashMap::new();
    for policy in policies {
        scopes.entry(policy.name()).or_default().add(policy);
    }
    for row in &parsed.rows {
        if let Some(lob) = row
            .line_of_business
            .as_deref()
            .filter(|lob| !lines_of_business.is_empty() && !lines_of_business.contains(lob))
        {
            findings.push(row_finding(
                row,
                format!("No plan of plans.csv has the line of business '{lob}'"),
                "Correct the line of business, or add the plan to plans.csv",
            ));
        }
        if !parsed.answers.contains_key(&*row.answer) {
            findings.push(row_finding(
                row,
                format!("The answer '{}' does not exist in answers/", row.answer),
                "Correct the name, or add the answer to a file of answers/",
            ));
        }
        findings.extend(policy_mistake(row, &scopes, parsed.has_unreadable_policy));
    }
}

/// The codes of all versions of a policy.
#[derive(Default)]
struct PolicyCodes {
    codes: HashSet<String>,
    ranges: Vec<CodeRange>,
}

impl PolicyCodes {
    fn add(&mut self, policy: &Policy) {
        for (system, code) in policy.codes() {
            match CodeRange::read(system, code) {
                Some(range) => self.ranges.extend(range.ok()),
                None => drop(self.codes.insert(code_key(system, code))),
            }
        }
    }

    fn holds(&self, row: &ListRow) -> bool {
        let range = match CodeRange::read(&row.system, &row.code) {
            Some(range) => range.ok(),
            None if self.codes.contains(&code_key(&row.system, &row.code)) => return true,
            None => CodeRange::of_code(&row.system, &row.code),
        };
        range.is_some_and(|range| {
            self.ranges.iter().any(|own| own.holds(&range))
                || range
                    .codes()
                    .is_some_and(|mut codes| codes.all(|code| self.codes.contains(&code)))
        })
    }
}

/// The finding for a row whose policy does not exist or does not have the row's code. If a policy file could not be
/// read, a missing name may be in that file, which has a finding already.
fn policy_mistake(
    row: &ListRow,
    scopes: &HashMap<&str, PolicyCodes>,
    has_unreadable_policy: bool,
) -> Option<Finding> {
    let policy = row.policy.as_deref()?;
    match scopes.get(policy) {
        None if has_unreadable_policy => None,
        None => Some(row_finding(
            row,
            format!("The policy '{policy}' does not exist"),
            "Correct the name, or leave the last column empty",
        )),
        Some(scope) if !scope.holds(row) => Some(row_finding(
            row,
            format!(
                "The scope of the policy '{policy}' does not have the code {}",
                row.code
            ),
            "Add the code to the policy's scope, or leave the last column empty",
        )),
        Some(_) => None,
    }
}

fn row_finding(row: &ListRow, message: String, fix: &str) -> Finding {
    Finding::new(&row.file, Some(row.line), message).fix(fix)
}

/// No two rows apply to the same code, line of business, state and day.
fn check_duplicates(rows: &[ListRow], findings: &mut Vec<Finding>) {
    let mut by_code: HashMap<String, Vec<&ListRow>> = HashMap::new();
    let mut ranges: Vec<(CodeRange, &ListRow)> = Vec::new();
    for row in rows {
        if let Some(Ok(range)) = CodeRange::read(&row.system, &row.code) {
            ranges.push((range, row))
        } else {
            let same = by_code.entry(code_key(&row.system, &row.code)).or_default();
            findings.extend(same.iter().filter_map(|other| duplicate(other, row)));
            same.push(row);
        }
    }
    let pairs = pairs_that_overlap(ranges).into_iter();
    findings.extend(pairs.filter_map(|(a, b)| duplicate(a, b)));
}

fn duplicate(before: &ListRow, row: &ListRow) -> Option<Finding> {
    let same_scope = before.line_of_business == row.line_of_business && before.state == row.state;
    (same_scope && overlap((before.from, before.to), (row.from, row.to))).then(|| {
        row_finding(
            row,
            format!(
                "This row and line {} of {} apply to the same code and day",
                before.line, before.file
            ),
            "End one of them on the day before the other begins, or keep only one",
        )
    })
}

/// Every answer is used and names forms that exist.
fn check_answers(parsed: &ParsedFiles<'_>, forms: &QuestionsOfForm<'_>, findings: &mut Vec<Finding>) {
    let used: HashSet<&str> = parsed.rows.iter().map(|row| &*row.answer).collect();
    for (name, answer) in &parsed.answers {
        let (file, line) = &answer.place;
        let mut find = |message: String, fix: &str| {
            findings.push(Finding::new(file, *line, message).fix(fix));
        };
        if !used.contains(name.as_str()) {
            find(
                format!("No list row uses the answer '{name}'"),
                "Remove it, or name it in the seventh column of a row",
            );
        }
        let names = answer.answer.questionnaires().iter();
        for form in names.filter(|form| forms(form).is_none()) {
            find(
                format!("The form '{form}' does not exist"),
                "Name a folder of questionnaires/ as name|version",
            );
        }
    }
}

/// Rows that name a policy without an active version: nobody reads its criteria.
pub(in crate::rules) fn warn_without_active_version(
    parsed: &ParsedFiles<'_>,
    policies: &[Policy],
    warnings: &mut Vec<Finding>,
) {
    let active: HashSet<&str> = policies
        .iter()
        .filter(|policy| policy.is_active())
        .map(Policy::name)
        .collect();
    let mut warned = HashSet::new();
    for row in &parsed.rows {
        if let Some(policy) = row.policy.as_deref()
            && !active.contains(policy)
            && warned.insert(policy)
        {
            warnings.push(row_finding(
                row,
                format!(
                    "The policy '{policy}' has no active version, so the answers of its rows are used instead"
                ),
                "Leave the last column empty until a version is active",
            ));
        }
    }
}
