//! What the rules in force say about each order of a call: which forms, for which purposes, over which facts. Orders
//! are always judged anew, with what the hook had seen of the chart beside them, so neither a changed order nor a
//! changed policy meets an old answer (DTR prof-1, spec-128).

use super::member::Insured;
use super::request::{Placed, Request};
use crate::error::{Error, Result};
use crate::fhir::{extension, resource_type, text};
use crate::plan;
use crate::rules::{CaseDocument, CaseInput, CaseKind, Decision, MemberFacts, Verdict, item_of_order};
use crate::state::Published;
use crate::store::assertions::Assertion;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// What the hook stored, parsed.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// The order's reference on the client.
    pub order_ref: String,
    /// The order.
    pub order: Value,
    /// The chart that the hook saw, without orders.
    chart: Vec<Value>,
    /// The forms that the hook named: `name|version`.
    forms: Vec<String>,
    /// Whether the hook said that documentation is needed.
    asked_for_papers: bool,
}

impl Stored {
    /// Reads a row's texts.
    pub(super) fn read(assertion: &Assertion) -> Result<Self> {
        let parse = |column: &str, text: &str| -> Result<Value> {
            serde_json::from_str(text)
                .map_err(|e| Error::internal(format!("assertion.{column} of row {}: {e}", assertion.id)))
        };
        let document = parse("case_document", &assertion.case_document)?;
        let by_type = document.get("res").and_then(Value::as_object);
        let chart = by_type
            .into_iter()
            .flatten()
            .filter_map(|(_, all)| all.as_array())
            .flatten()
            .cloned()
            .collect();
        let forms = parse("forms", &assertion.forms)?;
        let answer = parse("answer_json", &assertion.answer_json)?;
        Ok(Self {
            order_ref: assertion.order_ref.clone(),
            order: parse("order_json", &assertion.order_json)?,
            chart,
            forms: forms
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            asked_for_papers: extension(&answer, "doc-needed").is_some(),
        })
    }
}

impl Stored {
    /// The NPIs of whoever gave the order.
    pub(super) fn requesters(&self) -> Vec<String> {
        let chart: Vec<&Value> = self.chart.iter().collect();
        requesters(std::iter::once(&self.order), &chart)
    }
}

/// The NPIs of everyone who gave one of these orders.
pub(super) fn requesters<'a>(
    orders: impl Iterator<Item = &'a Value>,
    resources: &[&'a Value],
) -> Vec<String> {
    orders
        .flat_map(|order| plan::requester_of_order(order, resources).npis)
        .collect()
}

/// One order with what the rules say about it.
#[derive(Debug)]
pub(super) struct Judged<'a> {
    /// The order.
    pub order: &'a Value,
    /// Where it stood in the call; the context's place when it was only named.
    pub path: String,
    /// The order as the client references it; none for a draft without an id.
    pub reference: Option<String>,
    /// The facts.
    pub document: CaseDocument,
    /// What the rules say.
    pub verdict: Verdict,
    /// The forms: `name|version`, each once.
    pub forms: Vec<String>,
    /// It carries the code that the context was given for.
    pub is_of_context: bool,
    /// The hook said that documentation is needed, and this is the hook's order.
    pub asked_for_papers: bool,
}

/// Every order of the call; without one, the order that the context leads to.
pub(super) fn judge<'a>(
    request: &Request<'a>,
    stored: Option<&'a Stored>,
    insured: &Insured,
    published: &Published,
    now: DateTime<Utc>,
) -> Vec<Judged<'a>> {
    let named;
    let orders = match (request.orders.as_slice(), stored, &request.context) {
        ([], Some(stored), Some(context)) => {
            named = [Placed {
                path: context.path.clone(),
                what: &stored.order,
            }];
            &named[..]
        }
        (orders, _, _) => orders,
    };
    orders
        .iter()
        .map(|order| {
            let resources = resources(request, stored, order.what);
            let document = document(published, insured, order.what, resources, now);
            let verdict = published.rules.evaluate(&document);
            with_verdict(order, stored, document, verdict)
        })
        .collect()
}

fn with_verdict<'a>(
    order: &Placed<'a, Value>,
    stored: Option<&Stored>,
    document: CaseDocument,
    verdict: Verdict,
) -> Judged<'a> {
    let stored = stored.filter(|s| codes(&s.order) == codes(order.what));
    let own = resource_type(order.what).zip(text(order.what, &["id"]));
    let reference = own.map(|(kind, id)| format!("{kind}/{id}"));
    let from_hook = || stored.map(|s| s.order_ref.clone()).filter(|r| r.contains('/'));
    Judged {
        forms: forms(&verdict, stored),
        is_of_context: stored.is_some(),
        asked_for_papers: stored.is_some_and(|s| s.asked_for_papers),
        reference: reference.or_else(from_hook),
        order: order.what,
        path: order.path.clone(),
        document,
        verdict,
    }
}

/// The forms that the answer names and those that open criteria ask for. When the rules fail, the hook's answer to
/// the same order still stands.
fn forms(verdict: &Verdict, stored: Option<&Stored>) -> Vec<String> {
    let mut forms = verdict.coverage.questionnaires.clone();
    if let Decision::Pend(pend) = &verdict.decision {
        forms.extend(pend.ask.iter().filter_map(|ask| ask.questionnaire.clone()));
    }
    if let (Some(_), Some(stored)) = (&verdict.error, stored) {
        forms.extend(stored.forms.iter().cloned());
    }
    let mut once = Vec::with_capacity(forms.len());
    for form in forms {
        if !once.contains(&form) {
            once.push(form);
        }
    }
    once
}

/// The codes that rules see of an order, in a fixed order.
fn codes(order: &Value) -> Vec<String> {
    let item = item_of_order(order);
    let codes = item.get("codes").and_then(Value::as_array);
    let mut codes: Vec<String> = codes.into_iter().flatten().map(ToString::to_string).collect();
    codes.sort_unstable();
    codes
}

/// The order, what came along, and what the hook had seen; the newer copy of a resource counts.
fn resources<'r>(request: &Request<'r>, stored: Option<&'r Stored>, order: &'r Value) -> Vec<&'r Value> {
    let mut all = vec![order];
    all.extend(request.referenced.iter().copied());
    let key = |r: &'r Value| resource_type(r).zip(text(r, &["id"]));
    let sent: Vec<_> = all.iter().filter_map(|r| key(r)).collect();
    let same_order = stored.is_some_and(|s| codes(&s.order) == codes(order));
    let seen = stored.into_iter().flat_map(|s| &s.chart);
    all.extend(seen.filter(|r| {
        let replaced = key(r).is_some_and(|key| sent.contains(&key));
        let older_copy = same_order && stored.is_some_and(|s| **r == s.order);
        !replaced && !older_copy
    }));
    all
}

fn document(
    published: &Published,
    insured: &Insured,
    order: &Value,
    resources: Vec<&Value>,
    now: DateTime<Utc>,
) -> CaseDocument {
    let coverage = &insured.coverage;
    let today = now.with_timezone(&coverage.zone).date_naive();
    let item = item_of_order(order);
    let requester = plan::requester_of_order(order, &resources);
    published.rules.document(CaseInput {
        kind: CaseKind::Hook,
        received: now,
        zone: coverage.zone,
        priority: match text(order, &["priority"]) {
            None | Some("routine") => "normal",
            Some(other) => other,
        },
        member: MemberFacts {
            gold_card: plan::exempt(&insured.gold_cards, &requester, &item, &coverage.line, today),
            ..insured.facts.clone()
        },
        item,
        resources,
    })
}

/// What a draft may be filled from: of several orders none speaks for the others, only the chart does.
pub(super) fn facts_of(orders: &[&Judged<'_>]) -> Option<Value> {
    let document = orders.first()?.document.as_json();
    match orders {
        [_] => Some(document.clone()),
        _ => Some(json!({ "res": document.get("res") })),
    }
}
