//! Evaluation of each order of a request under the current policies: which forms it needs and what the answers are for.
//! Orders are always evaluated again, together with the resources that the hook received, so that changes of the order
//! and of the policies since the hook take effect (DTR prof-1, spec-128).

use super::admission::RequestAdmission;
use super::member::CoveredMember;
use super::request::{Located, Request};
use crate::error::{Error, Issue, IssueCode, Result};
use crate::evidence::{Admission, Evidence, Resources};
use crate::fhir::reference::{ByTypeAndId, contained};
use crate::fhir::{extension, resource_type, text};
use crate::plan;
use crate::rules::{
    CaseDocument, CaseEvidence, CaseInput, CaseKind, Decision, MemberFacts, Verdict, order_item_facts,
    ordered_references,
};
use crate::state::PolicySet;
use crate::store::assertions::{Assertion, StoredEvidence};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashSet;

/// The stored assertion of a hook, parsed.
#[derive(Debug, Clone)]
pub(super) struct StoredAssertion {
    /// The order, as the client references it.
    pub order_ref: String,
    /// The patient, as the client references it.
    pub patient_ref: String,
    /// The Coverage, as the client references it.
    pub coverage_ref: String,
    /// The order.
    pub order: Value,
    /// The resources of the hook, which were admitted when it was called.
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
    /// Parses the JSON texts of an assertion and of the evidence of its call.
    pub(super) fn read(assertion: &Assertion, evidence: &StoredEvidence) -> Result<Self> {
        fn parse<T: DeserializeOwned>(column: &str, text: &str, id: &str) -> Result<T> {
            serde_json::from_str(text)
                .map_err(|e| Error::internal(format!("{column} of the assertion {id}: {e}")))
        }
        let id = assertion.id.as_str();
        let call: Value = parse("hook_call.request", &evidence.request, id)?;
        let fetched: Vec<(String, Value)> = parse("hook_call.fetched", &evidence.fetched, id)?;
        let admission: Admission = parse("hook_call.admission", &evidence.admission, id)?;
        let fetched = fetched.iter().map(|(path, resource)| (path.as_str(), resource));
        let resources = Resources::of_hook_call(&call, fetched);
        let admitted = Evidence::new(&resources, Some(&admission));
        let resources = admitted.resources().cloned().collect();
        let document: Value = parse("case_document", &assertion.case_document, id)?;
        let coverage_information: Value = parse("coverage_information", &assertion.coverage_information, id)?;
        Ok(Self {
            order_ref: assertion.order_ref.clone(),
            patient_ref: assertion.patient_ref.clone(),
            coverage_ref: assertion.coverage_ref.clone(),
            item: document.get("item").cloned(),
            order: parse("order_json", &assertion.order_json, id)?,
            resources,
            admission: Some(admission),
            forms: parse("forms", &assertion.forms, id)?,
            documentation_requested: extension(&coverage_information, "doc-needed").is_some(),
        })
    }

    /// The NPIs of the requester of the order.
    pub(super) fn requester_npis(&self) -> Vec<String> {
        requester_npis(std::iter::once(&self.order), &self.index())
    }

    /// The resources of the hook by type and id.
    fn index(&self) -> ByTypeAndId<'_> {
        ByTypeAndId::new(&self.resources)
    }

    /// The facts of the order.
    fn item(&self) -> Value {
        let of_order = || {
            let index = self.index();
            order_item_facts(&self.order, &|reference| index.find(reference, &self.order))
        };
        self.item.clone().unwrap_or_else(of_order)
    }
}

/// The NPIs of the requesters of these orders.
pub(super) fn requester_npis<'a>(
    orders: impl Iterator<Item = &'a Value>,
    resources: &ByTypeAndId<'a>,
) -> Vec<String> {
    orders
        .flat_map(|order| plan::requester_of_order(order, &|r| resources.find(r, order)).npis)
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

/// What is read once for all orders of a request.
struct SharedParts<'a> {
    /// The resources that were sent with the request, by type and id.
    sent: ByTypeAndId<'a>,
    /// Those of the hook.
    of_hook: ByTypeAndId<'a>,
    /// The codes of the assertion's order.
    asserted_codes: Option<Vec<String>>,
}

impl<'a> SharedParts<'a> {
    /// The resource that a reference of an order names: contained, sent with the request, or received by the hook.
    fn find(&self, reference: &str, order: &'a Value) -> Option<&'a Value> {
        let sent = self.sent.find(reference, order);
        sent.or_else(|| self.of_hook.find(reference, order))
    }
}

/// An order before its evaluation.
struct ReadOrder<'a> {
    order: Located<'a, Value>,
    item: Value,
    /// Whether it has the codes of the assertion's order.
    is_of_assertion: bool,
}

impl<'a> EvaluationContext<'_, 'a> {
    /// Evaluates every order of the request. If there is none, evaluates the order of the assertion. All orders share one
    /// evidence.
    pub(super) fn evaluate_orders(&self) -> Vec<EvaluatedOrder<'a>> {
        let parts = SharedParts {
            sent: ByTypeAndId::new(self.request.referenced_resources()),
            of_hook: ByTypeAndId::new(self.assertion.into_iter().flat_map(|a| &a.resources)),
            asserted_codes: self.assertion.map(|a| sorted_codes(&a.item())),
        };
        let orders: Vec<ReadOrder<'a>> = orders(self.request, self.assertion)
            .into_iter()
            .map(|order| self.read(order, &parts))
            .collect();
        let evidence = self.evidence(&orders);
        orders
            .into_iter()
            .map(|order| self.evaluate(order, &parts, &evidence))
            .collect()
    }

    fn read(&self, order: Located<'a, Value>, parts: &SharedParts<'a>) -> ReadOrder<'a> {
        let value = order.value;
        // The facts of the order of the assertion are those of the hook.
        let item = match self.assertion.filter(|a| std::ptr::eq(&raw const a.order, value)) {
            Some(assertion) => assertion.item(),
            None => order_item_facts(value, &|reference| parts.find(reference, value)),
        };
        ReadOrder {
            is_of_assertion: parts.asserted_codes.as_ref() == Some(&sorted_codes(&item)),
            order,
            item,
        }
    }

    fn evaluate(
        &self,
        read: ReadOrder<'a>,
        parts: &SharedParts<'a>,
        evidence: &CaseEvidence,
    ) -> EvaluatedOrder<'a> {
        let ReadOrder {
            order,
            item,
            is_of_assertion,
        } = read;
        let asserted = self.assertion.filter(|_| is_of_assertion);
        let problem = self.admitted.problem(&order, &item);
        let problem = problem.or_else(|| self.problem_of_ordered(&order, parts));
        let document = self.case_document(order.value, item, (parts, evidence));
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
            path: order.path,
            document,
            verdict,
            problem,
        }
    }

    /// The issue for an order whose Medication or Device was sent and may not decide.
    fn problem_of_ordered(&self, order: &Located<'a, Value>, parts: &SharedParts<'a>) -> Option<Issue> {
        let is_set_aside = |reference: &str| {
            if contained(order.value, reference).is_some() {
                return false;
            }
            let named = parts.sent.find(reference, order.value);
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

    /// The resources of the assertion that the request does not replace. An earlier state of an order is replaced by the
    /// order.
    fn kept_resources(&self, orders: &[ReadOrder<'a>]) -> impl Iterator<Item = &'a Value> {
        let key = |r: &'a Value| resource_type(r).zip(text(r, &["id"]));
        let values = orders.iter().map(|read| read.order.value);
        let sent = self.request.referenced_resources().into_iter().chain(values);
        let keys: HashSet<_> = sent.filter_map(key).collect();
        let replaces_asserted = orders.iter().any(|order| order.is_of_assertion);
        let assertion = self.assertion.into_iter();
        assertion.flat_map(|a| &a.resources).filter(move |stored| {
            let is_replaced = key(stored).is_some_and(|key| keys.contains(&key));
            let is_asserted = || self.assertion.is_some_and(|a| **stored == a.order);
            !(is_replaced || replaces_asserted && is_asserted())
        })
    }

    /// What may decide, for all orders.
    fn evidence(&self, orders: &[ReadOrder<'a>]) -> CaseEvidence {
        let mut resources = Resources::default();
        for located in orders
            .iter()
            .map(|read| &read.order)
            .chain(&self.request.referenced)
        {
            resources.add_from_server(&located.path, located.value);
        }
        let mut evidence = Evidence::new(&resources, Some(&self.admitted.admission));
        evidence.add_admitted(self.kept_resources(orders));
        CaseEvidence::new(&evidence)
    }

    fn case_document(
        &self,
        order: &'a Value,
        item: Value,
        (parts, evidence): (&SharedParts<'a>, &CaseEvidence),
    ) -> CaseDocument {
        let coverage = &self.covered.coverage;
        let today = self.now.with_timezone(&coverage.zone).date_naive();
        let requester = plan::requester_of_order(order, &|r| parts.find(r, order));
        let lob = &coverage.line_of_business;
        self.policy_set.rules.case_document(CaseInput {
            kind: CaseKind::Hook,
            received: self.now,
            zone: coverage.zone,
            priority: match text(order, &["priority"]) {
                None | Some("routine") => "normal",
                Some(other) => other,
            },
            member: MemberFacts {
                gold_card: plan::exempt_requesters(&self.covered.gold_cards, &requester, &item, lob, today),
                ..self.covered.facts.clone()
            },
            item,
            evidence,
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
