//! The verdict as a reviewer reads it: the conditions that an approval rests on, how many of them hold, and the
//! criteria that a denial can cite. Counts, never a score.

use crate::rules::{Outcome, TraceNode, Verdict};

/// Conditions by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Met.
    pub met: usize,
    /// Not met.
    pub not_met: usize,
    /// Not to be told from what was sent.
    pub unknown: usize,
}

/// A criterion by its name in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// What came out.
    pub outcome: Outcome,
}

/// The conditions of an approval: the parts of `approve.when`. Where coverage alone decided, its rules.
pub fn conditions(verdict: &Verdict) -> &[TraceNode] {
    let is_coverage = |node: &TraceNode| node.criterion.is_none() && node.text.is_some();
    match verdict.trace.last() {
        Some(last) if is_coverage(last) => &verdict.trace,
        Some(last) if last.criterion.is_none() && last.combine.as_deref() == Some("all") => &last.of,
        Some(last) => std::slice::from_ref(last),
        None => &[],
    }
}

/// How many conditions came out how; none when no policy was asked.
pub fn counts(verdict: &Verdict) -> Option<Counts> {
    let conditions = conditions(verdict);
    let of = |outcome| conditions.iter().filter(|node| node.outcome == outcome).count();
    (!conditions.is_empty()).then(|| Counts {
        met: of(Outcome::Met),
        not_met: of(Outcome::NotMet),
        unknown: of(Outcome::Unknown),
    })
}

/// Whether a condition is not met or unknown: who approves all the same says why.
pub fn unsettled(verdict: &Verdict) -> bool {
    counts(verdict).is_some_and(|counts| counts.not_met + counts.unknown > 0)
}

/// Every criterion with its text, each once, in the order of the trace.
pub fn named(verdict: &Verdict) -> Vec<Named<'_>> {
    let mut found = Vec::new();
    verdict.trace.iter().for_each(|node| collect(node, &mut found));
    found
}

fn collect<'a>(node: &'a TraceNode, found: &mut Vec<Named<'a>>) {
    if let Some(name) = node.criterion.as_deref()
        && !found.iter().any(|known| known.name == name)
    {
        found.push(Named {
            name,
            text: node.text.as_deref().unwrap_or(name),
            outcome: node.outcome,
        });
    }
    node.of.iter().for_each(|below| collect(below, found));
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn conditions_are_counted_and_their_parts_are_not() {
        let verdict = samples::verdict();
        assert_eq!(
            counts(&verdict),
            Some(Counts {
                met: 1,
                not_met: 1,
                unknown: 1
            })
        );
        assert!(unsettled(&verdict));
    }

    #[test]
    fn without_a_policy_there_is_nothing_to_count() {
        let verdict = Verdict {
            trace: Vec::new(),
            ..samples::verdict()
        };
        assert_eq!(counts(&verdict), None);
        assert!(!unsettled(&verdict));
    }

    #[test]
    fn each_criterion_is_named_once() {
        let verdict = samples::verdict();
        let names: Vec<&str> = named(&verdict).into_iter().map(|n| n.text).collect();
        assert_eq!(names, ["Qualifying", "Group I", "Test age", "Test source"]);
    }
}
