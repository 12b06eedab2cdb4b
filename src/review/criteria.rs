//! The verdict as a reviewer reads it: the criteria that a denial can cite.

use crate::rules::{Outcome, TraceNode, Verdict};

/// A criterion that a denial can cite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedCriterion<'a> {
    /// Its name in the policy, such as `test-age`.
    pub name: &'a str,
    /// Its text for people.
    pub text: &'a str,
    /// Its outcome for this item.
    pub outcome: Outcome,
}

/// Every criterion of the trace that has a name, each once, in the order of the trace.
pub fn named_criteria(verdict: &Verdict) -> Vec<NamedCriterion<'_>> {
    let mut found = Vec::new();
    verdict.trace.iter().for_each(|node| collect(node, &mut found));
    found
}

fn collect<'a>(node: &'a TraceNode, found: &mut Vec<NamedCriterion<'a>>) {
    if let Some(name) = node.criterion.as_deref()
        && !found.iter().any(|known| known.name == name)
    {
        found.push(NamedCriterion {
            name,
            text: node.text.as_deref().unwrap_or(name),
            outcome: node.outcome,
        });
    }
    node.of.iter().for_each(|child| collect(child, found));
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::rules::{CriteriaCounts, count_conditions};

    #[test]
    fn only_the_top_level_conditions_are_counted() {
        let verdict = samples::verdict();
        assert_eq!(
            count_conditions(&verdict),
            Some(CriteriaCounts {
                met: 1,
                not_met: 1,
                unknown: 1
            })
        );
    }

    #[test]
    fn a_verdict_without_a_policy_has_no_counts() {
        let verdict = Verdict {
            trace: Vec::new(),
            ..samples::verdict()
        };
        assert_eq!(count_conditions(&verdict), None);
    }

    #[test]
    fn each_criterion_is_listed_once() {
        let verdict = samples::verdict();
        let texts: Vec<&str> = named_criteria(&verdict).into_iter().map(|c| c.text).collect();
        assert_eq!(texts, ["Qualifying", "Group I", "Test age", "Test source"]);
    }
}
