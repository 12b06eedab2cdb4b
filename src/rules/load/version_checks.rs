//! Checks across the versions of policies: no two active versions apply to the same item, and no days lie between two
//! versions of one policy.

use crate::rules::finding::Finding;
use crate::rules::format::codes::{CodeRange, code_key, pairs_that_overlap};
use crate::rules::load::line_finder::LineFinder;
use crate::rules::load::tables::overlap;
use crate::rules::policy::Policy;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Two active versions that would apply to the same code, line of business, state and day.
pub(in crate::rules) fn overlapping_versions(
    policies: &[Policy],
    line_finder: &mut LineFinder<'_>,
    findings: &mut Vec<Finding>,
) {
    let mut by_code: HashMap<String, Vec<&Policy>> = HashMap::new();
    let mut ranges: Vec<(CodeRange, usize)> = Vec::new();
    let mut reported: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (n, policy) in policies.iter().enumerate().filter(|(_, p)| p.is_active()) {
        for (system, code) in policy.codes() {
            if let Some(range) = CodeRange::read(system, code) {
                ranges.extend(range.ok().map(|range| (range, n)));
                continue;
            }
            let same = by_code.entry(code_key(system, code)).or_default();
            for other in same.iter().filter(|other| conflict(other, policy)) {
                if reported.insert((&other.file, &policy.file)) {
                    findings.push(line_finder.with_line(conflict_finding(other, policy), "effective"));
                }
            }
            if !same.iter().any(|other| std::ptr::eq(*other, policy)) {
                same.push(policy);
            }
        }
    }
    for (a, b) in pairs_that_overlap(ranges) {
        if let (Some(a), Some(b)) = (policies.get(a.min(b)), policies.get(a.max(b)))
            && conflict(a, b)
            && reported.insert((&a.file, &b.file))
        {
            findings.push(line_finder.with_line(conflict_finding(a, b), "effective"));
        }
    }
}

fn conflict_finding(earlier: &Policy, later: &Policy) -> Finding {
    let message = format!(
        "This version and {} would apply to the same code, line of business, state and day",
        earlier.file
    );
    Finding::new(&later.file, None, message).fix("End the older version with effective.to, or retire it")
}

/// Whether two versions have the same specificity, a line of business, a state and a day in common.
fn conflict(a: &Policy, b: &Policy) -> bool {
    let share = |a: Option<&[String]>, b: Option<&[String]>| match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.iter().any(|one| b.contains(one)),
        // A named scope goes before 'any'.
        _ => false,
    };
    let window = |policy: &Policy| (policy.effective().from, policy.effective().to);
    a.file != b.file
        && share(a.lines_of_business(), b.lines_of_business())
        && share(a.states(), b.states())
        && overlap(window(a), window(b))
}

/// Days between two active versions of one policy on which no version applies.
pub(in crate::rules) fn warn_days_without_version(
    policies: &[Policy],
    line_finder: &mut LineFinder<'_>,
    warnings: &mut Vec<Finding>,
) {
    let mut by_name: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
    for policy in policies.iter().filter(|policy| policy.is_active()) {
        by_name.entry(policy.name()).or_default().push(policy);
    }
    for versions in by_name.values_mut() {
        versions.sort_by_key(|policy| policy.effective().from);
        for pair in versions.windows(2) {
            let [before, after] = pair else { continue };
            let Some(to) = before.effective().to else { continue };
            if to.succ_opt().is_some_and(|next| next < after.effective().from) {
                let message = format!(
                    "No version of '{}' is effective between {to} and {}",
                    after.name(),
                    after.effective().from
                );
                let fix =
                    "Unless this is intended, let the older version end on the day before this one begins";
                let finding = Finding::new(&after.file, None, message).fix(fix);
                warnings.push(line_finder.with_line(finding, "effective"));
            }
        }
    }
}
