//! Evaluates one policy over one case document. Coverage first. Every condition is evaluated, so the trace is complete.
//! An error pends the item; the evaluation cannot deny.

use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::comparison::compare;
use crate::rules::evaluate::facts::{Fact, StepBudget};
use crate::rules::evaluate::outcomes::{NOTHING_FOUND, at_least, combined, node_with};
use crate::rules::evaluate::requirement::{negated_text, requirement_text};
use crate::rules::evaluate::shared_facts::{FactsOfPolicy, shared_or};
use crate::rules::evaluate::values::{FactLookup, FoundValue};
use crate::rules::format::conditions::{Condition, FactTest, IfMissing};
use crate::rules::policy::Policy;
use crate::rules::trace_hash::hash_trace;
use crate::rules::verdict::{
    ApprovalTerms, CoverageAnswer, CoverageVerdict, Decision, Leaf, NeededDocument, Outcome, Pend, TraceNode,
    Verdict, VerdictSource,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The verdict of a policy. An error while evaluating becomes a pend, with the error in `Verdict::error`.
pub(in crate::rules) fn evaluate_policy(
    policy: &Policy,
    document: &CaseDocument,
    budget: StepBudget,
) -> Verdict {
    let mut evaluation = Evaluation::new(policy, document, budget);
    let (coverage, decision, error) = match evaluation.run() {
        Ok((coverage, decision)) => (coverage, decision, None),
        Err(error) => (failed_coverage(), failed_decision(policy), Some(error)),
    };
    let criteria = evaluation.criteria.iter();
    Verdict {
        source: source_of(policy),
        coverage,
        decision,
        criteria: criteria
            .map(|(name, node)| ((*name).to_owned(), node.outcome))
            .collect(),
        trace_hash: hash_trace(&evaluation.trace),
        trace: evaluation.trace,
        error,
    }
}

/// The coverage answer of a policy alone. Criteria are evaluated as far as the coverage rules name them.
pub(in crate::rules) fn evaluate_coverage(
    policy: &Policy,
    document: &CaseDocument,
    budget: StepBudget,
) -> CoverageVerdict {
    let answer = Evaluation::new(policy, document, budget).coverage();
    let (coverage, error) = match answer {
        Ok(coverage) => (coverage, None),
        Err(error) => (failed_coverage(), Some(error)),
    };
    CoverageVerdict {
        source: source_of(policy),
        coverage,
        error,
    }
}

/// The verdict when the evaluation failed: a reviewer decides, and the provider reads that no answer can be given.
pub(in crate::rules) fn failed_verdict(policy: &Policy) -> Verdict {
    Verdict {
        source: source_of(policy),
        coverage: failed_coverage(),
        decision: failed_decision(policy),
        criteria: BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: hash_trace(&[]),
        error: Some("the evaluation failed unexpectedly".into()),
    }
}

fn source_of(policy: &Policy) -> VerdictSource {
    VerdictSource::Policy {
        policy: policy.name().to_owned(),
        version: policy.version().to_owned(),
        hash: policy.hash().to_owned(),
        title: policy.title().to_owned(),
    }
}

fn failed_coverage() -> CoverageAnswer {
    CoverageAnswer::indeterminate("The rule could not be evaluated")
}

fn failed_decision(policy: &Policy) -> Decision {
    pend(policy.queue(), "evaluation-error", Vec::new())
}

pub(in crate::rules) fn pend(queue: &str, reason: &str, documents_needed: Vec<NeededDocument>) -> Decision {
    Decision::Pend(Pend {
        queue: queue.to_owned(),
        reason: reason.to_owned(),
        documents_needed,
    })
}

/// What the coverage answer decides without criteria: authorization is not required, or the service is not covered.
/// `None`: the criteria decide.
pub(in crate::rules) fn decision_by_coverage(coverage: &CoverageAnswer) -> Option<Decision> {
    if coverage.covered == "not-covered" {
        return Some(pend("administrative", "not-covered", Vec::new()));
    }
    (coverage.pa.as_deref() == Some("no-auth")).then(|| Decision::NotRequired {
        reason: coverage.reason_text().to_owned(),
    })
}

/// One evaluation in progress. Facts and criteria are evaluated once, however often the policy names them.
struct Evaluation<'a> {
    policy: &'a Policy,
    document: &'a CaseDocument,
    budget: StepBudget,
    facts: HashMap<&'a str, Arc<FactLookup>>,
    /// The facts of the policy that all items of the request share.
    shared_facts: Option<Arc<FactsOfPolicy>>,
    criteria: BTreeMap<&'a str, TraceNode>,
    trace: Vec<TraceNode>,
}

impl<'a> Evaluation<'a> {
    fn new(policy: &'a Policy, document: &'a CaseDocument, budget: StepBudget) -> Self {
        Self {
            policy,
            document,
            budget,
            facts: HashMap::new(),
            shared_facts: document.facts_of(&policy.tests_hash),
            criteria: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(CoverageAnswer, Decision), String> {
        let policy = self.policy;
        let coverage = self.coverage()?;
        if let Some(decision) = decision_by_coverage(&coverage) {
            return Ok((coverage, decision));
        }
        let keys = &policy.keys.decision;
        let approval = self.condition(&keys.approve.when)?;
        let met = approval.outcome == Outcome::Met;
        self.trace.push(approval);
        // Loading refuses criteria that neither `approve.when` nor a coverage rule reaches. Those that only a coverage
        // rule reaches may not have been evaluated yet.
        for (name, _, _) in policy.criteria() {
            self.criterion(name)?;
        }
        let may_approve = coverage.covered == "covered"
            && matches!(coverage.pa.as_deref(), Some("auth-needed" | "performpa"));
        let decision = if met && may_approve {
            let grant = &keys.approve.grant;
            Decision::Approve(ApprovalTerms {
                reason: grant.reason.clone(),
                period: grant.period.map(|period| period.to_string()),
            })
        } else {
            pend(
                policy.queue(),
                &keys.otherwise.pend.reason,
                self.documents_needed(),
            )
        };
        Ok((coverage, decision))
    }

    /// The answer of the first coverage rule whose condition is met.
    fn coverage(&mut self) -> Result<CoverageAnswer, String> {
        let rules = &self.policy.keys.coverage;
        for (n, rule) in rules.iter().enumerate() {
            let Some(when) = &rule.when else {
                return Ok(rule.answer.answer());
            };
            let mut node = self.condition(when)?;
            if node.criterion.is_some() {
                node = combined("all", vec![node]);
            }
            node.text = Some(format!("coverage rule {}", n + 1));
            let met = node.outcome == Outcome::Met;
            self.trace.push(node);
            if met {
                return Ok(rule.answer.answer());
            }
        }
        Err("no coverage rule applies".into())
    }

    /// One document for each criterion of `approve.when` that is unknown.
    fn documents_needed(&self) -> Vec<NeededDocument> {
        let ask_for = &self.policy.keys.decision.otherwise.ask_for;
        let is_unknown = |name: &&String| {
            self.criteria
                .get(name.as_str())
                .is_some_and(|criterion| criterion.outcome == Outcome::Unknown)
        };
        let unknown = self.policy.approval_criteria.iter().filter(is_unknown);
        unknown
            .filter_map(|name| {
                let ask = ask_for.get(name)?;
                Some(NeededDocument {
                    criterion: name.clone(),
                    loinc: ask.loinc.clone(),
                    questionnaire: ask.questionnaire.clone(),
                    text: ask.text.clone(),
                })
            })
            .collect()
    }

    fn condition(&mut self, condition: &'a Condition) -> Result<TraceNode, String> {
        self.budget.spend(1)?;
        match condition {
            Condition::All(of) => Ok(combined("all", self.conditions(of)?)),
            Condition::Any(of) => Ok(combined("any", self.conditions(of)?)),
            Condition::FirstKnown(of) => Ok(combined("first_known", self.conditions(of)?)),
            Condition::Not(one) => {
                let mut node = self.condition(one)?;
                if let (Condition::Test(test), Some(leaf)) = (one.as_ref(), node.leaf.as_mut()) {
                    leaf.negated = Some(negated_text(&test.requirement, |set| self.policy.set_label(set)));
                }
                Ok(combined("not", vec![node]))
            }
            Condition::AtLeast(n, of) => Ok(at_least(*n, self.conditions(of)?)),
            Condition::Criterion(name) => self.criterion(name),
            Condition::Test(test) => self.test(test),
        }
    }

    fn conditions(&mut self, of: &'a [Condition]) -> Result<Vec<TraceNode>, String> {
        of.iter().map(|condition| self.condition(condition)).collect()
    }

    fn criterion(&mut self, name: &'a str) -> Result<TraceNode, String> {
        if let Some(node) = self.criteria.get(name) {
            return Ok(node.clone());
        }
        let criterion = self
            .policy
            .keys
            .criteria
            .get(name)
            .ok_or("a criterion is missing")?;
        let node = TraceNode {
            criterion: Some(name.to_owned()),
            text: Some(criterion.text.clone()),
            cite: Some(criterion.cite.clone()),
            ..self.condition(&criterion.condition)?
        };
        self.criteria.insert(name, node.clone());
        Ok(node)
    }

    fn test(&mut self, test: &'a FactTest) -> Result<TraceNode, String> {
        let policy = self.policy;
        let fact = policy.facts.get(&test.fact).ok_or("a fact is missing")?;
        if !self.facts.contains_key(test.fact.as_str()) {
            let lookup = self.look_up(&test.fact, fact)?;
            self.facts.insert(&test.fact, lookup);
        }
        let lookup = self.facts.get(test.fact.as_str());
        let lookup = lookup.map_or(&FactLookup::NotFound, AsRef::as_ref);
        let (outcome, note) = self.outcome(test, lookup);
        let (found, path, stated) = match lookup {
            FactLookup::Found(found) => (Some(found), Some(found.path.clone()), found.others.as_slice()),
            FactLookup::Unusable(unusable) => (None, unusable.path.clone(), unusable.stated.as_slice()),
            FactLookup::NotFound => (None, None, &[][..]),
        };
        Ok(TraceNode {
            leaf: Some(Leaf {
                fact: test.fact.clone(),
                label: fact.label.clone(),
                value: found.map(|found| found.value.as_json()),
                unit: found.and_then(|found| found.value.unit().map(str::to_owned)),
                date: found.and_then(FoundValue::date_text),
                path,
                test: test.requirement.to_string(),
                required: requirement_text(&test.requirement, |set| policy.set_label(set)),
                negated: None,
                note,
                stated: stated.iter().map(FoundValue::stated).collect(),
            }),
            ..node_with(outcome)
        })
    }

    /// A fact; one that all items of the request share is read once for all of them.
    fn look_up(&mut self, name: &str, fact: &Fact) -> Result<Arc<FactLookup>, String> {
        let read = |budget: &mut StepBudget| fact.look_up(self.document, &self.policy.sets, budget);
        match &self.shared_facts {
            Some(shared) if fact.is_shared() => shared_or(shared, name, &mut self.budget, read),
            _ => read(&mut self.budget).map(Arc::new),
        }
    }

    /// The outcome of a test, and a note if value and requirement do not explain it.
    fn outcome(&self, test: &FactTest, lookup: &FactLookup) -> (Outcome, Option<String>) {
        match lookup {
            FactLookup::NotFound => match test.if_missing {
                None => (Outcome::Unknown, Some(NOTHING_FOUND.into())),
                Some(IfMissing::Met) => (Outcome::Met, Some("nothing found, which counts as met".into())),
                Some(IfMissing::NotMet) => (
                    Outcome::NotMet,
                    Some("nothing found, which counts as not met".into()),
                ),
            },
            FactLookup::Unusable(unusable) => (Outcome::Unknown, Some(unusable.reason.clone())),
            FactLookup::Found(found) => {
                match compare(found, &test.requirement, self.document, &self.policy.sets) {
                    Ok(outcome) => (outcome, found.note()),
                    Err(reason) => (Outcome::Unknown, Some(reason)),
                }
            }
        }
    }
}
