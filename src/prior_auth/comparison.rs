//! Compares the verdicts of a candidate rule set with the stored verdicts of a case, item by item, and with what staff
//! have decided since. This module only compares; the caller evaluates the case and stores nothing.

use super::item::{Item, ItemStatus};
use super::reviewer::Actor;
use crate::rules::{Decision, NeededDocument, Verdict, VerdictSource};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A verdict as it is shown in one row of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictSummary {
    /// `dme.home-oxygen@2026.2`; `list:ANSWER` when a list row decided, `none` when nothing applied.
    pub policy: String,
    /// `approve`, `pend` or `not-required`.
    pub decision: &'static str,
    /// `covered`, followed by `/auth-needed` or another prior authorization code if the coverage answer has one.
    pub coverage: String,
    /// What the verdict requests: the document or the form, else the criterion.
    pub requested: BTreeSet<String>,
    /// The error that stopped the evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl VerdictSummary {
    /// Summarizes a verdict.
    pub fn from_verdict(verdict: &Verdict) -> Self {
        let (decision, asks) = match &verdict.decision {
            Decision::Approve(_) => ("approve", &[][..]),
            Decision::NotRequired { .. } => ("not-required", &[][..]),
            Decision::Pend(pend) => ("pend", pend.documents_needed.as_slice()),
        };
        let requested = |ask: &NeededDocument| {
            let document = ask.questionnaire.as_ref().or(ask.loinc.as_ref());
            document.map_or_else(
                || ask.criterion.clone(),
                |document| format!("{}: {document}", ask.criterion),
            )
        };
        let covered = verdict.coverage.covered.clone();
        Self {
            policy: source_name(&verdict.source),
            decision,
            coverage: match &verdict.coverage.pa {
                Some(pa) => format!("{covered}/{pa}"),
                None => covered,
            },
            requested: asks.iter().map(requested).collect(),
            error: verdict.error.clone(),
        }
    }
}

/// A one-word name for the policy, list row or check that decided a verdict.
pub fn source_name(source: &VerdictSource) -> String {
    match source {
        VerdictSource::Policy { policy, version, .. } => format!("{policy}@{version}"),
        VerdictSource::List { answer, .. } if answer.is_empty() => "none".to_owned(),
        VerdictSource::List { answer, .. } => format!("list:{answer}"),
        VerdictSource::Coverage => "coverage".to_owned(),
        VerdictSource::NoBillingCode => "no-billing-code".to_owned(),
    }
}

/// What staff decided on an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StaffDecision {
    /// A reviewer approved it as requested.
    Approved,
    /// A physician denied it.
    Denied,
    /// It is still waiting for a decision.
    Open,
    /// A rule decided it; no staff decision was needed.
    NotNeeded,
}

impl StaffDecision {
    /// What staff decided on this item.
    pub fn for_item(item: &Item) -> Self {
        let by_staff = item.decision.as_ref().map(|d| matches!(d.by, Actor::Staff(_)));
        match (by_staff, item.status) {
            (None, _) => Self::Open,
            (Some(true), ItemStatus::Approved) => Self::Approved,
            (Some(true), ItemStatus::Denied) => Self::Denied,
            _ => Self::NotNeeded,
        }
    }

    /// The value in CSV files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Open => "open",
            Self::NotNeeded => "not-needed",
        }
    }
}

/// One item of a stored case under both rule sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemComparison {
    /// The case.
    pub case: Uuid,
    /// `Claim.item.sequence`.
    pub item: u32,
    /// The stored verdict.
    pub before: VerdictSummary,
    /// The candidate's verdict.
    pub after: VerdictSummary,
    /// What the candidate requests and the stored verdict did not.
    pub newly_requested: BTreeSet<String>,
    /// What staff have decided since.
    pub staff_decision: StaffDecision,
}

/// A way in which the two verdicts on an item can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A rule approved it; now it would be pended.
    ApproveToPend,
    /// It was pended; now a rule would approve it.
    PendToApprove,
    /// It would no longer need authorization.
    ToNotRequired,
    /// It would now need authorization.
    FromNotRequired,
    /// The coverage answer differs.
    Coverage,
    /// Something is requested that was not requested before.
    NewRequests,
    /// Another policy or version decides.
    Policy,
    /// The candidate cannot be evaluated, so the item would be pended.
    Error,
}

impl Change {
    /// The change in words, up to 24 characters.
    pub fn description(self) -> &'static str {
        match self {
            Self::ApproveToPend => "approve -> pend",
            Self::PendToApprove => "pend -> approve",
            Self::ToNotRequired => "other -> not-required",
            Self::FromNotRequired => "not-required -> other",
            Self::Coverage => "coverage answer differs",
            Self::NewRequests => "more requested",
            Self::Policy => "different policy",
            Self::Error => "evaluation fails",
        }
    }
}

impl ItemComparison {
    /// Compares the stored verdict of an item with the candidate's.
    pub fn new(case: Uuid, item: &Item, candidate: &Verdict) -> Self {
        Self::from_summaries(
            (case, item.sequence),
            VerdictSummary::from_verdict(&item.verdict),
            VerdictSummary::from_verdict(candidate),
            StaffDecision::for_item(item),
        )
    }

    fn from_summaries(
        (case, item): (Uuid, u32),
        before: VerdictSummary,
        after: VerdictSummary,
        staff_decision: StaffDecision,
    ) -> Self {
        Self {
            case,
            item,
            newly_requested: after.requested.difference(&before.requested).cloned().collect(),
            before,
            after,
            staff_decision,
        }
    }

    /// Every way in which the two verdicts differ.
    pub fn changes(&self) -> Vec<Change> {
        let (before, after) = (&self.before, &self.after);
        let decision = match (before.decision, after.decision) {
            (a, b) if a == b => None,
            ("approve", "pend") => Some(Change::ApproveToPend),
            ("pend", "approve") => Some(Change::PendToApprove),
            (_, "not-required") => Some(Change::ToNotRequired),
            _ => Some(Change::FromNotRequired),
        };
        let others = [
            (Change::Coverage, before.coverage != after.coverage),
            (Change::NewRequests, !self.newly_requested.is_empty()),
            (Change::Policy, before.policy != after.policy),
            (Change::Error, before.error.is_none() && after.error.is_some()),
        ];
        let others = others
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(change, _)| change);
        decision.into_iter().chain(others).collect()
    }
}

/// The comparison of all cases: counts and case ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// How many cases were evaluated again.
    pub cases: usize,
    /// How many items these cases have.
    pub items: usize,
    /// Cases that cannot be evaluated again, each with the reason.
    pub skipped: Vec<(Uuid, String)>,
    /// For each kind of change the cases it affects, once per item.
    pub changes: BTreeMap<Change, Vec<Uuid>>,
    /// Items that the candidate would approve and the stored rules left to staff.
    pub new_approvals: NewApprovals,
    /// Cases with an item that a physician denied and that would not need authorization.
    pub denied_and_not_required: Vec<Uuid>,
}

/// Items that the candidate would approve and the stored rules left to staff, by what staff decided. Case ids, once
/// per item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewApprovals {
    /// Staff approved the item as requested.
    pub approved: Vec<Uuid>,
    /// A physician denied the item: each of these would be a wrong approval.
    pub denied: Vec<Uuid>,
    /// The item is still open.
    pub open: Vec<Uuid>,
}

impl NewApprovals {
    /// The number of items.
    pub fn total(&self) -> usize {
        self.approved.len() + self.denied.len() + self.open.len()
    }
}

impl Comparison {
    /// Counts one item.
    pub fn add(&mut self, item: &ItemComparison) {
        self.items += 1;
        for change in item.changes() {
            self.changes.entry(change).or_default().push(item.case);
        }
        let staff_decided = match item.staff_decision {
            StaffDecision::Approved => Some(&mut self.new_approvals.approved),
            StaffDecision::Denied => Some(&mut self.new_approvals.denied),
            StaffDecision::Open => Some(&mut self.new_approvals.open),
            StaffDecision::NotNeeded => None,
        };
        if let Some(cases) = staff_decided.filter(|_| item.after.decision == "approve") {
            cases.push(item.case);
        }
        if item.staff_decision == StaffDecision::Denied && item.after.decision == "not-required" {
            self.denied_and_not_required.push(item.case);
        }
    }

    /// True if the candidate gives the stored verdict on every item.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{ApprovalTerms, CoverageAnswer, Pend};

    fn verdict(decision: Decision, version: &str) -> Verdict {
        Verdict {
            source: VerdictSource::Policy {
                policy: "p".into(),
                version: version.into(),
                hash: String::new(),
                title: String::new(),
            },
            coverage: CoverageAnswer {
                covered: "covered".into(),
                pa: Some("auth-needed".into()),
                ..CoverageAnswer::default()
            },
            decision,
            criteria: BTreeMap::new(),
            trace: Vec::new(),
            trace_hash: String::new(),
            error: None,
        }
    }

    fn approve() -> Decision {
        Decision::Approve(ApprovalTerms {
            reason: String::new(),
            period: None,
        })
    }

    fn pend(asks: &[&str]) -> Decision {
        let ask = |name: &&str| NeededDocument {
            criterion: (*name).to_owned(),
            loinc: Some("59408-5".into()),
            questionnaire: None,
            text: String::new(),
        };
        Decision::Pend(Pend {
            queue: "q".into(),
            reason: String::new(),
            documents_needed: asks.iter().map(ask).collect(),
        })
    }

    fn not_required() -> Decision {
        Decision::NotRequired {
            reason: String::new(),
        }
    }

    fn compared(before: Decision, after: Decision, staff_decision: StaffDecision) -> ItemComparison {
        let summary = |decision| VerdictSummary::from_verdict(&verdict(decision, "1"));
        ItemComparison::from_summaries(
            (Uuid::from_u128(7), 1),
            summary(before),
            summary(after),
            staff_decision,
        )
    }

    #[test]
    fn equal_verdicts_are_not_a_change() {
        for decision in [approve(), pend(&["a"]), not_required()] {
            assert!(
                compared(decision.clone(), decision, StaffDecision::Open)
                    .changes()
                    .is_empty()
            );
        }
    }

    #[test]
    fn each_change_of_a_decision_is_reported_by_name() {
        let changes = |before, after| compared(before, after, StaffDecision::Open).changes();
        assert_eq!(changes(approve(), pend(&[])), [Change::ApproveToPend]);
        assert_eq!(changes(pend(&["a"]), approve()), [Change::PendToApprove]);
        assert_eq!(changes(pend(&[]), not_required()), [Change::ToNotRequired]);
        assert_eq!(changes(approve(), not_required()), [Change::ToNotRequired]);
        assert_eq!(changes(not_required(), approve()), [Change::FromNotRequired]);
        assert_eq!(changes(pend(&["a"]), pend(&["a", "b"])), [Change::NewRequests]);
        assert_eq!(changes(pend(&["a", "b"]), pend(&["a"])), []);
    }

    #[test]
    fn changes_of_version_coverage_and_error_are_reported() {
        let mut other = verdict(approve(), "2");
        other.coverage.pa = None;
        other.error = Some("budget".into());
        let item = ItemComparison {
            after: VerdictSummary::from_verdict(&other),
            ..compared(approve(), approve(), StaffDecision::NotNeeded)
        };
        assert_eq!(item.changes(), [Change::Coverage, Change::Policy, Change::Error]);
        assert_eq!(
            (item.after.policy.as_str(), item.after.coverage.as_str()),
            ("p@2", "covered")
        );
    }

    #[test]
    fn items_denied_by_a_physician_and_accepted_by_the_candidate_are_listed() {
        let mut comparison = Comparison::default();
        comparison.add(&compared(pend(&[]), approve(), StaffDecision::Denied));
        comparison.add(&compared(pend(&[]), approve(), StaffDecision::Approved));
        comparison.add(&compared(pend(&[]), approve(), StaffDecision::Open));
        comparison.add(&compared(approve(), approve(), StaffDecision::NotNeeded));
        comparison.add(&compared(pend(&[]), not_required(), StaffDecision::Denied));
        comparison.add(&compared(pend(&[]), pend(&[]), StaffDecision::Denied));
        let new_approvals = &comparison.new_approvals;
        assert_eq!(
            (
                new_approvals.total(),
                new_approvals.denied.len(),
                new_approvals.open.len()
            ),
            (3, 1, 1)
        );
        assert_eq!(comparison.denied_and_not_required.len(), 1);
        assert_eq!(
            (comparison.items, comparison.changes[&Change::PendToApprove].len()),
            (6, 3)
        );
    }
}
