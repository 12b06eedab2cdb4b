//! How many conditions of an approval are met. People see these counts and never a score.

use super::verdict::{Outcome, TraceNode, Verdict};
use serde::Serialize;

/// How many conditions of an approval have each outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CriteriaCounts {
    /// Conditions that are met.
    pub met: usize,
    /// Conditions that are not met.
    pub not_met: usize,
    /// Conditions that the request does not contain enough information to judge.
    pub unknown: usize,
}

/// The conditions of an approval: the parts of the policy's `approve.when`. When coverage alone determined the verdict,
/// the coverage rules.
pub fn conditions(verdict: &Verdict) -> &[TraceNode] {
    let is_coverage = |node: &TraceNode| node.criterion.is_none() && node.text.is_some();
    match verdict.trace.last() {
        Some(last) if is_coverage(last) => &verdict.trace,
        Some(last) if last.criterion.is_none() && last.combine.as_deref() == Some("all") => &last.of,
        Some(last) => std::slice::from_ref(last),
        None => &[],
    }
}

/// Counts the conditions of an approval by outcome. `None` when no policy was evaluated.
pub fn count_conditions(verdict: &Verdict) -> Option<CriteriaCounts> {
    let conditions = conditions(verdict);
    let with = |outcome| conditions.iter().filter(|node| node.outcome == outcome).count();
    (!conditions.is_empty()).then(|| CriteriaCounts {
        met: with(Outcome::Met),
        not_met: with(Outcome::NotMet),
        unknown: with(Outcome::Unknown),
    })
}
