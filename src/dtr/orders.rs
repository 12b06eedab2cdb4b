//! Evaluation of each order of a request under the current policies: which forms it needs and what the answers are for.
//! Orders are always evaluated again, together with the resources that the hook received, so that changes of the order
//! and of the policies since the hook take effect (DTR prof-1, spec-128).

use super::member::CoveredMember;
use super::request::{Located, Request};
use crate::error::{Error, Result};
use crate::fhir::{extension, resource_type, text};
use crate::plan;
use crate::rules::{CaseDocument, CaseInput, CaseKind, Decision, MemberFacts, Verdict, order_item_facts};
use crate::state::PolicySet;
use crate::store::assertions::Assertion;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// The stored assertion of a hook, parsed.
#[derive(Debug, Clone)]
pub(super) struct StoredAssertion {
    /// The order, as the client references it.
    pub order_ref: String,
    /// The order.
    pub order: Value,
    /// The resources of the hook's case document.
    resources: Vec<Value>,
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
}

/// The NPIs of the requesters of these orders.
pub(super) fn requester_npis<'a>(
    orders: impl Iterator<Item = &'a Value>,
    resources: &[&'a Value],
) -> Vec<String> {
    orders
        .flat_map(|order| plan::requester_of_order(order, resources).npis)
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
}

/// Evaluates every order of the request. If there is none, evaluates the order of the assertion.
pub(super) fn evaluate_orders<'a>(
    request: &Request<'a>,
    assertion: Option<&'a StoredAssertion>,
    covered: &CoveredMember,
    policy_set: &PolicySet,
    now: DateTime<Utc>,
) -> Vec<EvaluatedOrder<'a>> {
    let order_of_assertion;
    let orders = match (request.orders.as_slice(), assertion, &request.context) {
        ([], Some(assertion), Some(context)) => {
            order_of_assertion = [Located {
                path: context.path.clone(),
                value: &assertion.order,
            }];
            &order_of_assertion[..]
        }
        (orders, _, _) => orders,
    };
    orders
        .iter()
        .map(|order| {
            let resources = resources(request, assertion, order.value);
            let document = case_document(policy_set, covered, order.value, resources, now);
            let verdict = policy_set.rules.evaluate(&document);
            evaluated_order(order, assertion, document, verdict)
        })
        .collect()
}

fn evaluated_order<'a>(
    order: &Located<'a, Value>,
    assertion: Option<&StoredAssertion>,
    document: CaseDocument,
    verdict: Verdict,
) -> EvaluatedOrder<'a> {
    let assertion = assertion.filter(|a| sorted_codes(&a.order) == sorted_codes(order.value));
    let type_and_id = resource_type(order.value).zip(text(order.value, &["id"]));
    let reference = type_and_id.map(|(kind, id)| format!("{kind}/{id}"));
    let from_assertion = || assertion.map(|a| a.order_ref.clone()).filter(|r| r.contains('/'));
    EvaluatedOrder {
        forms: needed_forms(&verdict, assertion),
        matches_assertion: assertion.is_some(),
        documentation_requested: assertion.is_some_and(|a| a.documentation_requested),
        reference: reference.or_else(from_assertion),
        order: order.value,
        path: order.path.clone(),
        document,
        verdict,
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

/// The codes of an order that rules can use, sorted for comparison.
fn sorted_codes(order: &Value) -> Vec<String> {
    let item = order_item_facts(order);
    let codes = item.get("codes").and_then(Value::as_array);
    let mut codes: Vec<String> = codes.into_iter().flatten().map(ToString::to_string).collect();
    codes.sort_unstable();
    codes
}

/// The resources for the case document: the order, the request's `referenced` resources, and those of the assertion
/// that the request does not replace.
fn resources<'r>(
    request: &Request<'r>,
    assertion: Option<&'r StoredAssertion>,
    order: &'r Value,
) -> Vec<&'r Value> {
    let mut all = vec![order];
    all.extend(request.referenced.iter().copied());
    let key = |r: &'r Value| resource_type(r).zip(text(r, &["id"]));
    let sent: Vec<_> = all.iter().filter_map(|r| key(r)).collect();
    let is_same_order = assertion.is_some_and(|a| sorted_codes(&a.order) == sorted_codes(order));
    let stored = assertion.into_iter().flat_map(|a| &a.resources);
    all.extend(stored.filter(|r| {
        let is_replaced = key(r).is_some_and(|key| sent.contains(&key));
        let is_older_order = is_same_order && assertion.is_some_and(|a| **r == a.order);
        !is_replaced && !is_older_order
    }));
    all
}

fn case_document(
    policy_set: &PolicySet,
    covered: &CoveredMember,
    order: &Value,
    resources: Vec<&Value>,
    now: DateTime<Utc>,
) -> CaseDocument {
    let coverage = &covered.coverage;
    let today = now.with_timezone(&coverage.zone).date_naive();
    let item = order_item_facts(order);
    let requester = plan::requester_of_order(order, &resources);
    policy_set.rules.case_document(CaseInput {
        kind: CaseKind::Hook,
        received: now,
        zone: coverage.zone,
        priority: match text(order, &["priority"]) {
            None | Some("routine") => "normal",
            Some(other) => other,
        },
        member: MemberFacts {
            gold_card: plan::exempt_requesters(
                &covered.gold_cards,
                &requester,
                &item,
                &coverage.line_of_business,
                today,
            ),
            ..covered.facts.clone()
        },
        item,
        resources,
    })
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
