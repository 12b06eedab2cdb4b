//! Evaluation of each order of a request under the current policies: which forms it needs and what the answers are for.
//! Orders are always evaluated again, together with the resources that the hook received, so that changes of the order
//! and of the policies since the hook take effect (DTR prof-1, spec-128).

use super::admission::RequestAdmission;
use super::member::CoveredMember;
use super::request::{Located, Request};
use crate::error::{Error, Issue, IssueCode, Result};
use crate::evidence::{Admission, Evidence, Resources};
use crate::fhir::reference::{contained, find};
use crate::fhir::{extension, resource_type, text};
use crate::plan;
use crate::rules::{
    CaseDocument, CaseInput, CaseKind, Decision, MemberFacts, Verdict, order_item_facts, ordered_references,
};
use crate::state::PolicySet;
use crate::store::assertions::Assertion;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The stored assertion of a hook, parsed.
#[derive(Debug, Clone)]
pub(super) struct StoredAssertion {
    /// The order, as the client references it.
    pub order_ref: String,
    /// The patient, as the client references it.
    pub patient_ref: String,
    /// The order.
    pub order: Value,
    /// The resources of the hook's case document, which were admitted when the hook was called.
    resources: Vec<Value>,
    /// What the hook set aside.
    pub admission: Option<Admission>,
    /// The facts of the order in the hook's case document, which followed the references of the order.
    item: Option<Value>,
    /// The forms in the hook's response: `name|version`.
    forms: Vec<String>,
    /// Whether the hook's response asked for documentation.
    documentation_requested: bool,
}

impl StoredAssertion {
    /// Parses the JSON texts of a row.
    pub(super) fn read(assertion: &Assertion) -> Result<Self> {
        let parse = |column: &str, text: &str| -> Result<Value> {
            serde_json::from_str(text)
                .map_err(|e| Error::internal(format!("assertion.{column} of row {}: {e}", assertion.id)))
        };
        let document = parse("case_document", &assertion.case_document)?;
        let by_type = document.get("res").and_then(Value::as_object);
        let resources = by_type
            .into_iter()
            .flatten()
            .filter_map(|(_, all)| all.as_array())
            .flatten()
            .cloned()
            .collect();
        let forms = parse("forms", &assertion.forms)?;
        let coverage_information = parse("coverage_information", &assertion.coverage_information)?;
        Ok(Self {
            order_ref: assertion.order_ref.clone(),
            patient_ref: assertion.patient_ref.clone(),
            item: document.get("item").cloned(),
            admission: document
                .get("admission")
                .and_then(|a| Admission::deserialize(a).ok()),
            order: parse("order_json", &assertion.order_json)?,
            resources,
            forms: forms
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            documentation_requested: extension(&coverage_information, "doc-needed").is_some(),
        })
    }

    /// The NPIs of the requester of the order.
    pub(super) fn requester_npis(&self) -> Vec<String> {
        let resources: Vec<&Value> = self.resources.iter().collect();
        requester_npis(std::iter::once(&self.order), &resources)
    }

    /// The facts of the order.
    fn item(&self) -> Value {
        let resources: Vec<&Value> = self.resources.iter().collect();
        let of_order = || order_item_facts(&self.order, &|r| find(r, &self.order, &resources));
        self.item.clone().unwrap_or_else(of_order)
    }
}

/// The NPIs of the requesters of these orders.
pub(super) fn requester_npis<'a>(
    orders: impl Iterator<Item = &'a Value>,
    resources: &[&'a Value],
) -> Vec<String> {
    orders
        .flat_map(|order| plan::requester_of_order(order, &|r| find(r, order, resources)).npis)
        .collect()
}

/// One order with the result of its evaluation.
#[derive(Debug)]
pub(super) struct EvaluatedOrder<'a> {
    /// The order.
    pub order: &'a Value,
    /// FHIRPath of the order in the request; the path of `context` if the order comes from the assertion.
    pub path: String,
    /// The order, as the client references it; none for a draft order without id.
    pub reference: Option<String>,
    /// The case document that was evaluated.
    pub document: CaseDocument,
    /// The result of the evaluation.
    pub verdict: Verdict,
    /// The needed forms as `name|version`, without repetition.
    pub forms: Vec<String>,
    /// Whether it has the codes of the assertion's order.
    pub matches_assertion: bool,
    /// Whether it matches the assertion and the hook's response asked for documentation.
    pub documentation_requested: bool,
    /// Why it gets no form, whatever the policies say.
    pub problem: Option<Issue>,
}

/// What the evaluations of one request share.
#[derive(Clone, Copy)]
pub(super) struct EvaluationContext<'r, 'a> {
    /// The request.
    pub request: &'r Request<'a>,
    /// The assertion that `context` names.
    pub assertion: Option<&'a StoredAssertion>,
    /// What was set aside.
    pub admitted: &'r RequestAdmission,
    /// The member with the coverage.
    pub covered: &'r CoveredMember,
    /// The current policy set.
    pub policy_set: &'r PolicySet,
    /// The time of the request.
    pub now: DateTime<Utc>,
}

impl<'a> EvaluationContext<'_, 'a> {
    /// Evaluates every order of the request. If there is none, evaluates the order of the assertion.
    pub(super) fn evaluate_orders(&self) -> Vec<EvaluatedOrder<'a>> {
        let orders = orders(self.request, self.assertion);
        orders.iter().map(|order| self.evaluate(order)).collect()
    }

    fn evaluate(&self, order: &Located<'a, Value>) -> EvaluatedOrder<'a> {
        let item = self.item(order.value);
        let is_of_assertion = |a: &&StoredAssertion| sorted_codes(&a.item()) == sorted_codes(&item);
        let asserted = self.assertion.filter(is_of_assertion);
        let problem = self.admitted.problem(order, &item);
        let problem = problem.or_else(|| self.problem_of_ordered(order));
        let document = self.case_document(order, item, asserted.is_some());
        let verdict = self.policy_set.rules.evaluate(&document);
        let type_and_id = resource_type(order.value).zip(text(order.value, &["id"]));
        let reference = type_and_id.map(|(kind, id)| format!("{kind}/{id}"));
        let from_assertion = || asserted.map(|a| a.order_ref.clone()).filter(|r| r.contains('/'));
        EvaluatedOrder {
            forms: match &problem {
                Some(_) => Vec::new(),
                None => needed_forms(&verdict, asserted),
            },
            matches_assertion: asserted.is_some(),
            documentation_requested: asserted.is_some_and(|a| a.documentation_requested),
            reference: reference.or_else(from_assertion),
            order: order.value,
            path: order.path.clone(),
            document,
            verdict,
            problem,
        }
    }

    /// The facts of an order. For the order of the assertion, those of the hook.
    fn item(&self, order: &'a Value) -> Value {
        match self.assertion.filter(|a| std::ptr::eq(&raw const a.order, order)) {
            Some(assertion) => assertion.item(),
            None => order_item_facts(order, &|reference| self.find(reference, order)),
        }
    }

    /// The resource that a reference of an order names: contained, sent with the request, or received by the hook.
    fn find(&self, reference: &str, order: &'a Value) -> Option<&'a Value> {
        let of_hook = || {
            let resources: Vec<&'a Value> = self.assertion?.resources.iter().collect();
            find(reference, order, &resources)
        };
        find(reference, order, &self.request.referenced_resources()).or_else(of_hook)
    }

    /// The issue for an order whose Medication or Device was sent and may not decide.
    fn problem_of_ordered(&self, order: &Located<'a, Value>) -> Option<Issue> {
        let is_set_aside = |reference: &str| {
            if contained(order.value, reference).is_some() {
                return false;
            }
            let named = find(reference, order.value, &self.request.referenced_resources());
            let mut referenced = self.request.referenced.iter();
            let located = referenced.find(|r| named.is_some_and(|named| std::ptr::eq(named, r.value)));
            located.is_some_and(|located| self.admitted.code_at(&located.path).is_some())
        };
        let message = "What is ordered is in a resource that this plan does not understand or that does not count, so no \
                       form was selected";
        ordered_references(order.value)
            .any(is_set_aside)
            .then(|| Issue::warning(IssueCode::BusinessRule, order.path.clone(), message))
    }

    /// The resources of the assertion that the request does not replace. An earlier state of the order is replaced by
    /// the order.
    fn kept_resources(&self, order: &'a Value, is_same_order: bool) -> Vec<&'a Value> {
        let key = |r: &'a Value| resource_type(r).zip(text(r, &["id"]));
        let sent = self.request.referenced_resources().into_iter().chain([order]);
        let keys: HashSet<_> = sent.filter_map(key).collect();
        let is_kept = |assertion: &StoredAssertion, stored: &'a Value| {
            let is_replaced = key(stored).is_some_and(|key| keys.contains(&key));
            !(is_replaced || is_same_order && *stored == assertion.order)
        };
        let assertion = self.assertion.into_iter();
        { assertion }
            .flat_map(|a| a.resources.iter().filter(move |stored| is_kept(a, stored)))
            .collect()
    }

    fn case_document(&self, order: &Located<'a, Value>, item: Value, is_same_order: bool) -> CaseDocument {
        let coverage = &self.covered.coverage;
        let today = self.now.with_timezone(&coverage.zone).date_naive();
        let requester = plan::requester_of_order(order.value, &|r| self.find(r, order.value));
        let lob = &coverage.line_of_business;
        let mut resources = Resources::default();
        for located in std::iter::once(order).chain(&self.request.referenced) {
            resources.add_from_server(&located.path, located.value);
        }
        let mut evidence = Evidence::new(&resources, Some(&self.admitted.admission));
        evidence.add_admitted(self.kept_resources(order.value, is_same_order).into_iter());
        self.policy_set.rules.case_document(CaseInput {
            kind: CaseKind::Hook,
            received: self.now,
            zone: coverage.zone,
            priority: match text(order.value, &["priority"]) {
                None | Some("routine") => "normal",
                Some(other) => other,
            },
            member: MemberFacts {
                gold_card: plan::exempt_requesters(&self.covered.gold_cards, &requester, &item, lob, today),
                ..self.covered.facts.clone()
            },
            item,
            evidence: &evidence,
        })
    }
}

/// The orders of the request; if there is none, the order of the assertion.
pub(super) fn orders<'a>(
    request: &Request<'a>,
    assertion: Option<&'a StoredAssertion>,
) -> Vec<Located<'a, Value>> {
    match (assertion, &request.context) {
        (Some(assertion), Some(context)) if request.orders.is_empty() => vec![Located {
            path: context.path.clone(),
            value: &assertion.order,
        }],
        _ => request.orders.clone(),
    }
}

/// The forms of the coverage answer and those that criteria with an unknown outcome ask for. If the rules cannot be
/// evaluated, also the forms in the hook's response for the same order.
fn needed_forms(verdict: &Verdict, assertion: Option<&StoredAssertion>) -> Vec<String> {
    let mut forms = verdict.coverage.questionnaires.clone();
    if let Decision::Pend(pend) = &verdict.decision {
        forms.extend(
            pend.documents_needed
                .iter()
                .filter_map(|needed| needed.questionnaire.clone()),
        );
    }
    if let (Some(_), Some(assertion)) = (&verdict.error, assertion) {
        forms.extend(assertion.forms.iter().cloned());
    }
    let mut unique = Vec::with_capacity(forms.len());
    for form in forms {
        if !unique.contains(&form) {
            unique.push(form);
        }
    }
    unique
}

/// The codes of an order that rules can use, sorted for comparison. `item` has the facts of the order.
fn sorted_codes(item: &Value) -> Vec<String> {
    let codes = item.get("codes").and_then(Value::as_array);
    let mut codes: Vec<String> = codes.into_iter().flatten().map(ToString::to_string).collect();
    codes.sort_unstable();
    codes
}

/// The case document from which a draft is prefilled. For several orders it holds their common resources only, because
/// one order's item does not apply to the others.
pub(super) fn prefill_document(orders: &[&EvaluatedOrder<'_>]) -> Option<Value> {
    let document = orders.first()?.document.as_json();
    match orders {
        [_] => Some(document.clone()),
        _ => Some(json!({ "res": document.get("res") })),
    }
}
