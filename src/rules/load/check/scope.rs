//! The scope of a policy against the lists: every code it answers for stands in a list row that names the policy and
//! is not retired, so that the lists hold every service that may need authorization.

use crate::rules::format::codes::{CodeRange, code_key};
use crate::rules::format::policy_file::{PolicyKeys, Status};
use crate::rules::load::check::Sheet;
use crate::rules::load::files::Parts;
use crate::rules::load::tables::{Row, overlap};
use std::collections::HashMap;

/// The codes of the scope, those of files read.
pub(in crate::rules) fn codes(
    keys: &PolicyKeys,
    parts: &Parts<'_>,
    sheet: &mut Sheet<'_>,
) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (n, one) in keys.scope.codes.iter().enumerate() {
        let at = format!("scope/codes/{n}");
        let codes = match (&one.any, &one.file) {
            (Some(codes), None) => codes.clone(),
            (None, Some(file)) => parts.sets.get(file).cloned().unwrap_or_else(|| {
                sheet.find(
                    &at,
                    format!("There is no {file}"),
                    "Put the file into sets/, one code a line",
                );
                Vec::new()
            }),
            _ => {
                sheet.find(
                    &at,
                    "Codes stand in either 'any' or 'file'",
                    "Write one of the two",
                );
                Vec::new()
            }
        };
        for code in codes {
            if let Some(Err(why)) = CodeRange::read(&one.system, &code) {
                sheet.find(&at, why, "Write a range as K0813-K0816");
            }
            all.push((one.system.clone(), code));
        }
    }
    if all.is_empty() {
        sheet.find(
            "scope/codes",
            "A policy names its codes",
            "Write at least one code under 'any'",
        );
    }
    all
}

/// Codes that no row of a list names for this policy, and codes whose row has ended. What runs in shadow answers nothing:
/// a row that named it would let every request wait.
pub(in crate::rules) fn listed(
    keys: &PolicyKeys,
    codes: &[(String, String)],
    parts: &Parts<'_>,
    sheet: &mut Sheet<'_>,
) {
    if keys.status != Status::Active {
        return;
    }
    let empty = Vec::new();
    let rows = parts.rows_by_policy.get(keys.policy.as_str()).unwrap_or(&empty);
    let rows: Vec<&Row> = rows.iter().filter_map(|n| parts.rows.get(*n)).collect();
    let mut exact: HashMap<String, Vec<&Row>> = HashMap::new();
    let mut ranges: Vec<(CodeRange, &Row)> = Vec::new();
    for row in rows
        .iter()
        .copied()
        .filter(|row| in_lines(row, &keys.scope.lines))
    {
        match CodeRange::read(&row.system, &row.code) {
            Some(Ok(range)) => ranges.push((range, row)),
            _ => exact
                .entry(code_key(&row.system, &row.code))
                .or_default()
                .push(row),
        }
    }
    let window = (keys.effective.from, keys.effective.to);
    for (system, code) in codes {
        let asked = match CodeRange::read(system, code) {
            Some(range) => range.ok(),
            None => CodeRange::of_code(system, code),
        };
        let of_ranges = ranges
            .iter()
            .filter(|(range, _)| asked.as_ref().is_some_and(|asked| range.holds(asked)))
            .map(|(_, row)| *row);
        let naming: Vec<&Row> = exact
            .get(&code_key(system, code))
            .into_iter()
            .flatten()
            .copied()
            .chain(of_ranges)
            .collect();
        if naming.is_empty() {
            sheet.find(
                "scope/codes",
                format!("No list row gives the code {code} to this policy"),
                "Add a row for the code and line to a file of lists/, with the policy's name in the last column",
            );
        } else if !naming.iter().any(|row| overlap((row.from, row.to), window)) {
            sheet.find(
                "scope/codes",
                format!("The code {code} is retired: its list row does not hold while this version answers"),
                "Take the code out of the scope, or mend the days of the row or of 'effective'",
            );
        }
    }
}

/// Lines that no plan has: a line misspelled answers for nobody.
pub(in crate::rules) fn lines(keys: &PolicyKeys, parts: &Parts<'_>, sheet: &mut Sheet<'_>) {
    let known = |line: &String| line == "any" || parts.plans.iter().any(|plan| plan.line == *line);
    if parts.plans.is_empty() || keys.status == Status::Retired {
        return;
    }
    for line in keys.scope.lines.iter().filter(|line| !known(line)) {
        sheet.find(
            "scope/lines",
            format!("No plan of plans.csv has the line '{line}'"),
            "Mend the line, or add the plan to plans.csv",
        );
    }
}

fn in_lines(row: &Row, lines: &[String]) -> bool {
    row.line
        .as_deref()
        .is_none_or(|line| lines.iter().any(|l| l == "any" || l == line))
}
