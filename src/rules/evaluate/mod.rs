//! Evaluation: finds the policy or list row that applies to an item and gives the verdict. An error pends the item.

mod agreement;
pub mod case_document;
pub mod case_evidence;
pub mod comparison;
pub mod facts;
pub mod index;
pub mod item;
pub mod jsonpath;
pub mod outcomes;
pub mod policy;
pub mod request_limits;
pub mod requirement;
pub mod responses;
mod shared_facts;
pub mod source;
pub mod values;

use crate::rules::evaluate::case_document::{CaseDocument, CaseInput};
use crate::rules::evaluate::facts::StepBudget;
use crate::rules::evaluate::index::ApplicableRule;
use crate::rules::evaluate::policy::{
    decision_by_coverage, evaluate_coverage, evaluate_policy, failed_verdict, pend,
};
use crate::rules::evaluate::request_limits::within_limits;
use crate::rules::load::tables::ListRow;
use crate::rules::policy::Policy;
use crate::rules::rule_set::RuleSet;
use crate::rules::trace_hash::hash_trace;
use crate::rules::verdict::{CoverageAnswer, CoverageVerdict, Decision, Verdict, VerdictSource};
use std::collections::BTreeMap;

impl RuleSet {
    /// Builds the case document with the answers to the forms of the policy that applies to the item. Answers to other
    /// forms, and to other versions of these forms, are left out: they answer other questions.
    pub fn case_document(&self, input: CaseInput<'_>) -> CaseDocument {
        let document = CaseDocument::build(input);
        let forms = self.policy_for(&document).map(Policy::forms).unwrap_or_default();
        document.with_answers(&forms)
    }

    /// The verdict on the item of one case document. The same document always gives the same verdict. If the
    /// evaluation fails, the verdict is a pend and `Verdict::error` says why.
    pub fn evaluate(&self, document: &CaseDocument) -> Verdict {
        within_limits(self.verdict_of_rule(document), document)
    }

    /// The coverage answer of the same rule, without the criteria that only a request needs.
    pub fn evaluate_coverage(&self, document: &CaseDocument) -> CoverageVerdict {
        match self.applicable_rule(document) {
            ApplicableRule::Policy(policy) => {
                let work = || evaluate_coverage(policy, document, StepBudget(StepBudget::DEFAULT));
                safely(work).unwrap_or_else(|| failed_verdict(policy).into())
            }
            other => self.verdict_of(other, document).into(),
        }
    }

    fn verdict_of_rule(&self, document: &CaseDocument) -> Verdict {
        self.verdict_of(self.applicable_rule(document), document)
    }

    fn verdict_of(&self, rule: ApplicableRule<'_>, document: &CaseDocument) -> Verdict {
        match rule {
            ApplicableRule::Policy(policy) => evaluate_safely(policy, document),
            ApplicableRule::Row(row) => self.verdict_of_row(row),
            ApplicableRule::NoBillingCode => verdict_without_criteria(
                VerdictSource::NoBillingCode,
                CoverageAnswer::detail_code_needed(),
                pend("intake", "detail-code", Vec::new()),
            ),
            ApplicableRule::None => no_rule_applies(),
        }
    }

    /// The active policy that applies to the document's item, if there is one.
    pub fn policy_for(&self, document: &CaseDocument) -> Option<&Policy> {
        self.index.policy(document, &self.policies)
    }

    /// The verdicts of the shadow versions on the same item, each with the answers to its own forms. They are stored
    /// for comparison and never sent to anyone.
    pub fn shadow_verdicts(&self, document: &CaseDocument) -> Vec<Verdict> {
        let verdict = |policy: &Policy| {
            let document = document.clone().with_answers(&policy.forms());
            within_limits(evaluate_safely(policy, &document), &document)
        };
        let shadows = self.index.shadows(document, &self.policies);
        shadows.into_iter().map(verdict).collect()
    }

    fn applicable_rule(&self, document: &CaseDocument) -> ApplicableRule<'_> {
        let has_requirement = |row: &ListRow| {
            self.answers
                .get(&*row.answer)
                .is_some_and(|named| named.answer.answer().summary_code() != "no-auth")
        };
        self.index
            .applicable_rule(document, &self.policies, &self.rows, has_requirement)
    }

    fn verdict_of_row(&self, row: &ListRow) -> Verdict {
        let Some(named) = self.answers.get(&*row.answer) else {
            return no_rule_applies();
        };
        let source = VerdictSource::List {
            file: row.file.to_string(),
            line: row.line,
            answer: row.answer.to_string(),
        };
        let coverage = named.answer.answer();
        let queue = named.queue.as_deref().unwrap_or("clinical-review");
        let decision =
            decision_by_coverage(&coverage).unwrap_or_else(|| pend(queue, "clinical-review", Vec::new()));
        verdict_without_criteria(source, coverage, decision)
    }
}

/// The verdict of a policy. If the evaluator panics, the item is pended, so that every item gets a verdict.
fn evaluate_safely(policy: &Policy, document: &CaseDocument) -> Verdict {
    let work = || evaluate_policy(policy, document, StepBudget(StepBudget::DEFAULT));
    safely(work).unwrap_or_else(|| failed_verdict(policy))
}

/// The result of the evaluator; none if it panics.
fn safely<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

/// No list row applies to the line of business: the item is pended for manual review.
fn no_rule_applies() -> Verdict {
    let source = VerdictSource::List {
        file: String::new(),
        line: 0,
        answer: String::new(),
    };
    let coverage = CoverageAnswer::indeterminate("The plan has no rule for this coverage");
    let decision = pend("administrative", "evaluation-error", Vec::new());
    Verdict {
        error: Some("no list row applies to this line of business on this day".into()),
        ..verdict_without_criteria(source, coverage, decision)
    }
}

fn verdict_without_criteria(source: VerdictSource, coverage: CoverageAnswer, decision: Decision) -> Verdict {
    Verdict {
        source,
        coverage,
        decision,
        criteria: BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: hash_trace(&[]),
        error: None,
    }
}

#[cfg(test)]
mod set_aside_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
pub(in crate::rules) mod tests;
