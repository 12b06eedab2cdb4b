//! Checks of a policy's scope against lists and plans: a list row gives each code to the policy on days when the
//! version is effective, and some plan has each line of business.

use crate::fhir::coding::{is_billing_system, normal_system};
use crate::rules::format::code_set::{CodeEntry, WRITE_A_BILLING_CODE};
use crate::rules::format::codes::{CodeRange, code_key};
use crate::rules::format::policy_file::{PolicyKeys, PolicyStatus};
use crate::rules::load::check::collector::FindingCollector;
use crate::rules::load::files::ParsedFiles;
use crate::rules::load::tables::{ListRow, overlap};
use std::collections::HashMap;

/// The (system, code or range) of the scope, including those in files.
pub(in crate::rules) fn codes(
    keys: &PolicyKeys,
    parsed: &ParsedFiles<'_>,
    collector: &mut FindingCollector<'_>,
) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (n, one) in keys.scope.codes.iter().enumerate() {
        let key = format!("scope/codes/{n}");
        let codes = match (&one.any, &one.file) {
            (Some(codes), None) => codes.clone(),
            (None, Some(file)) => parsed.sets.get(file).cloned().unwrap_or_else(|| {
                collector.error(
                    &key,
                    format!("The file {file} does not exist"),
                    "Add the file to sets/, with one code per line",
                );
                Vec::new()
            }),
            _ => {
                collector.error(&key, "Codes need either 'any' or 'file'", "Write one of the two");
                Vec::new()
            }
        };
        if !is_billing_system(normal_system(&one.system).as_ref()) {
            collector.error(
                &key,
                format!(
                    "Codes of {} cannot be billed, so the policy would apply to no item",
                    one.system
                ),
                "Name the billing codes; use diagnoses in 'sets' and criteria",
            );
        }
        for code in codes {
            if let Err(message) = CodeEntry::read(&one.system, &code) {
                collector.error(&key, message, WRITE_A_BILLING_CODE);
            }
            all.push((one.system.clone(), code));
        }
    }
    if all.is_empty() {
        collector.error(
            "scope/codes",
            "A policy needs at least one code",
            "Write at least one code under 'any'",
        );
    }
    all
}

/// The rows that give codes to one policy.
#[derive(Default)]
struct RowsOfPolicy<'a> {
    by_code: HashMap<String, Vec<&'a ListRow>>,
    ranges: Vec<(CodeRange, &'a ListRow)>,
}

impl<'a> RowsOfPolicy<'a> {
    fn add(&mut self, row: &'a ListRow) {
        match CodeRange::read(&row.system, &row.code) {
            Some(Ok(range)) => self.ranges.push((range, row)),
            _ => self
                .by_code
                .entry(code_key(&row.system, &row.code))
                .or_default()
                .push(row),
        }
    }

    /// The rows that give a code or range to the policy.
    fn of(&self, system: &str, code: &str) -> Vec<&'a ListRow> {
        let range = match CodeRange::read(system, code) {
            Some(range) => range.ok(),
            None => CodeRange::of_code(system, code),
        };
        let in_ranges = self
            .ranges
            .iter()
            .filter(|(row_range, _)| range.as_ref().is_some_and(|range| row_range.holds(range)))
            .map(|(_, row)| *row);
        self.by_code
            .get(&code_key(system, code))
            .into_iter()
            .flatten()
            .copied()
            .chain(in_ranges)
            .collect()
    }
}

/// Codes that no list row gives to this policy, and codes whose row has ended. Shadow versions are not checked: a row
/// that names a policy without an active version would pend every request.
pub(in crate::rules) fn check_rows_of_codes(
    keys: &PolicyKeys,
    codes: &[(String, String)],
    parsed: &ParsedFiles<'_>,
    collector: &mut FindingCollector<'_>,
) {
    if keys.status != PolicyStatus::Active {
        return;
    }
    let mut rows = RowsOfPolicy::default();
    let places = parsed.rows_by_policy.get(keys.policy.as_str());
    for row in places.into_iter().flatten().filter_map(|n| parsed.rows.get(*n)) {
        if has_line_of_business(row, &keys.scope.lines_of_business) {
            rows.add(row);
        }
    }
    let window = (keys.effective.from, keys.effective.to);
    for (system, code) in codes {
        let rows = rows.of(system, code);
        if rows.is_empty() {
            collector.error(
                "scope/codes",
                format!("No list row gives the code {code} to this policy"),
                "Add a row for the code and line of business to a file of lists/, with the policy's name in the last \
                 column",
            );
        } else if !rows.iter().any(|row| overlap((row.from, row.to), window)) {
            collector.error(
                "scope/codes",
                format!(
                    "The list row of the code {code} does not apply on any day when this version is effective"
                ),
                "Remove the code from the scope, or correct the days of the row or of 'effective'",
            );
        }
    }
}

/// Lines of business that no plan has: a misspelled one would apply to no member.
pub(in crate::rules) fn check_lines_of_business(
    keys: &PolicyKeys,
    parsed: &ParsedFiles<'_>,
    collector: &mut FindingCollector<'_>,
) {
    if parsed.plans.is_empty() || keys.status == PolicyStatus::Retired {
        return;
    }
    let exists = |lob: &String| lob == "any" || parsed.plans.iter().any(|plan| plan.line_of_business == *lob);
    for lob in keys.scope.lines_of_business.iter().filter(|lob| !exists(lob)) {
        collector.error(
            "scope/lines_of_business",
            format!("No plan of plans.csv has the line of business '{lob}'"),
            "Correct the line of business, or add the plan to plans.csv",
        );
    }
}

fn has_line_of_business(row: &ListRow, scope: &[String]) -> bool {
    row.line_of_business
        .as_deref()
        .is_none_or(|own| scope.iter().any(|lob| lob == "any" || lob == own))
}
