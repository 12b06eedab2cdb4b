//! The adjudications of a line and of the whole, inside the closed slices of PDex 2.2.0: kinds of amount, allowed units,
//! denial reason. There is no slice for a decision alone, so it hangs on the one that fits: approved on allowed units,
//! denied on the denial reason, pended on the amount asked or, with no price, on zero allowed units.

use super::build::{put_list, put_some};
use super::names;
use crate::fhir::dates::instant_text;
use crate::fhir::{self, put};
use crate::prior_auth::{Decided, Denial, Item, Outcome};
use crate::rules::DenialReason;
use serde_json::{Value, json};

/// The adjudications of one line; `asked` is the claim's line.
pub fn of_line(item: &Item, asked: &Value, reasons: &[DenialReason]) -> Vec<Value> {
    let code = item.status.review_action();
    let price = amount(asked).map(|amount| submitted(&amount));
    match item.decision.as_ref().map(|decided| (decided, &decided.outcome)) {
        Some((decided, Outcome::Approved(approval))) => {
            let action = review_action(Some(code), Some(&approval.number), None);
            let units = with_extensions(allowed_units(&units(item)), action, Some(decided));
            std::iter::once(units).chain(price).collect()
        }
        Some((decided, Outcome::Denied(denial))) => {
            let action = review_action(Some(code), None, Some(denial.reason_code()));
            let reason = with_extensions(denial_reason(denial, reasons), action, Some(decided));
            std::iter::once(reason).chain(price).collect()
        }
        Some((decided, Outcome::NotRequired { .. })) => {
            // Nothing limits the units of a service that needs no authorization: what was asked stands.
            let bearer = price.unwrap_or_else(|| allowed_units(&units(item)));
            vec![with_extensions(
                bearer,
                review_action(Some(code), None, None),
                Some(decided),
            )]
        }
        None => {
            let bearer = price.unwrap_or_else(|| allowed_units(&json!(0)));
            vec![with_extensions(
                bearer,
                review_action(Some(code), None, None),
                None,
            )]
        }
    }
}

/// The adjudications of the whole: each denial once, and the amount asked with the number granted. The action code
/// may stand on lines only (the extension's context), so here are number and reason alone.
pub fn of_header(items: &[&Item], total: Option<&Value>, reasons: &[DenialReason]) -> Vec<Value> {
    let decided = |item: &&Item| item.decision.clone();
    let mut adjudications: Vec<Value> = items
        .iter()
        .filter_map(decided)
        .filter_map(|decided| match &decided.outcome {
            Outcome::Denied(denial) => {
                let action = review_action(None, None, Some(denial.reason_code()));
                Some(with_extensions(
                    denial_reason(denial, reasons),
                    action,
                    Some(&decided),
                ))
            }
            _ => None,
        })
        .collect();
    if let Some(total) = total {
        let mut amount = submitted(total);
        let granted = items
            .iter()
            .filter_map(decided)
            .find_map(|decided| match &decided.outcome {
                Outcome::Approved(approval) => {
                    Some((review_action(None, Some(&approval.number), None), decided.clone()))
                }
                _ => None,
            });
        if let Some((action, decided)) = granted {
            amount = with_extensions(amount, action, Some(&decided));
        }
        adjudications.push(amount);
    }
    adjudications
}

/// What a line was priced at by its provider: its net, else unit price times quantity.
pub fn amount(asked: &Value) -> Option<Value> {
    if let Some(net) = asked.get("net").filter(|net| net.get("value").is_some()) {
        return Some(net.clone());
    }
    let price = asked.get("unitPrice")?;
    let quantity = fhir::get(asked, &["quantity", "value"])
        .and_then(Value::as_f64)
        .unwrap_or(1.0);
    let value = to_cents(price.get("value")?.as_f64()? * quantity);
    let mut amount = json!({ "value": value });
    put_some(&mut amount, "currency", price.get("currency").cloned());
    Some(amount)
}

/// The sum of amounts of one currency; none when they differ or there are none.
pub fn sum(amounts: &[Value]) -> Option<Value> {
    let currency = amounts.first()?.get("currency");
    if amounts.iter().any(|amount| amount.get("currency") != currency) {
        return None;
    }
    let value: f64 = amounts
        .iter()
        .filter_map(|amount| amount.get("value")?.as_f64())
        .sum();
    let mut total = json!({ "value": to_cents(value) });
    put_some(&mut total, "currency", currency.cloned());
    Some(total)
}

fn to_cents(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The units asked: the quantity's number as sent; a line without one asks for one.
fn units(item: &Item) -> Value {
    item.quantity
        .as_ref()
        .and_then(|quantity| quantity.get("value"))
        .cloned()
        .unwrap_or_else(|| json!(1))
}

fn submitted(amount: &Value) -> Value {
    json!({
        "category": { "coding": [{ "system": names::ADJUDICATION, "code": "submitted" }] },
        "amount": amount,
    })
}

fn allowed_units(value: &Value) -> Value {
    json!({ "category": category("allowedunits"), "value": value })
}

fn denial_reason(denial: &Denial, reasons: &[DenialReason]) -> Value {
    let carc = reasons
        .iter()
        .find(|reason| reason.code == denial.reason_code())
        .map(|reason| json!({ "system": names::CARC, "code": reason.carc }));
    let mut reason = json!({ "text": denial.reason() });
    put_list(&mut reason, "coding", carc.into_iter().collect());
    json!({ "category": category("denialreason"), "reason": reason })
}

/// The second coding is for PDex 2.0.0, whose required value set leaves out the codes of its own slices.
fn category(code: &str) -> Value {
    json!({ "coding": [
        { "system": names::DISCRIMINATOR, "code": code },
        { "system": names::PAYER_STATUS, "code": "other" },
    ] })
}

/// PDex's review action: the code under its full url, number and reason under short ones.
fn review_action(code: Option<&str>, number: Option<&str>, reason: Option<&str>) -> Value {
    let mut parts = Vec::new();
    if let Some(number) = number {
        parts.push(json!({ "url": "number", "valueString": number }));
    }
    if let Some(reason) = reason {
        let concept = json!({ "coding": [{ "system": names::X12_886, "code": reason }] });
        parts.push(json!({ "url": "reasonCode", "valueCodeableConcept": concept }));
    }
    if let Some(code) = code {
        let concept = json!({ "coding": [{ "system": names::X12_306, "code": code }] });
        parts.push(json!({ "url": names::REVIEW_ACTION_CODE, "valueCodeableConcept": concept }));
    }
    json!({ "url": names::REVIEW_ACTION, "extension": parts })
}

fn with_extensions(mut adjudication: Value, action: Value, decided: Option<&Decided>) -> Value {
    let when = decided
        .map(|decided| json!({ "url": names::WHEN_ADJUDICATED, "valueDateTime": instant_text(decided.at) }));
    put(
        &mut adjudication,
        "extension",
        Value::Array(std::iter::once(action).chain(when).collect()),
    );
    adjudication
}
