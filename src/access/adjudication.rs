//! The `adjudication` entries of the items and of the whole request (PDex 2.2.0). The slicing is closed: amount types,
//! allowed units and denial reason. There is no slice for a decision alone, so the review action is attached to the
//! slice that fits: an approval to the allowed units, a denial to the denial reason, a pended item to the requested
//! amount or, without a price, to zero allowed units.

use super::json::{put_nonempty, put_optional};
use crate::fhir::dates::instant_text;
use crate::fhir::decimals;
use crate::fhir::{self, put};
use crate::ig::pdex;
use crate::prior_auth::{Denial, Item, ItemDecision, Outcome};
use crate::rules::DenialReason;
use serde_json::{Value, json};

/// The adjudications of an item. `requested` is the item of the claim.
pub fn item_adjudications(item: &Item, requested: &Value, denial_reasons: &[DenialReason]) -> Vec<Value> {
    let code = item.status.review_action();
    let price = amount(requested).map(|amount| submitted(&amount));
    match item
        .decision
        .as_ref()
        .map(|decision| (decision, &decision.outcome))
    {
        Some((decision, Outcome::Approved(approval))) => {
            let action = review_action(Some(code), Some(&approval.number), None);
            let units = with_extensions(allowed_units(&units(item, requested)), action, Some(decision));
            std::iter::once(units).chain(price).collect()
        }
        Some((decision, Outcome::Denied(denial))) => {
            let action = review_action(Some(code), None, Some(denial.reason_code()));
            let reason = with_extensions(denial_reason(denial, denial_reasons), action, Some(decision));
            std::iter::once(reason).chain(price).collect()
        }
        Some((decision, Outcome::NotRequired { .. })) => {
            // A service that needs no authorization has no limit; the requested units are shown.
            let adjudication = price.unwrap_or_else(|| allowed_units(&units(item, requested)));
            vec![with_extensions(
                adjudication,
                review_action(Some(code), None, None),
                Some(decision),
            )]
        }
        None => {
            let adjudication = price.unwrap_or_else(|| allowed_units(&json!(0)));
            vec![with_extensions(
                adjudication,
                review_action(Some(code), None, None),
                None,
            )]
        }
    }
}

/// The adjudications of the whole request: one for each denial, and one for the requested amount with the authorization
/// number. The context of the extension allows the review action code on items only, so these have just the number and
/// the reason.
pub fn header_adjudications(
    items: &[&Item],
    total: Option<&Value>,
    denial_reasons: &[DenialReason],
) -> Vec<Value> {
    let decision_of = |item: &&Item| item.decision.clone();
    let mut adjudications: Vec<Value> = items
        .iter()
        .filter_map(decision_of)
        .filter_map(|decision| match &decision.outcome {
            Outcome::Denied(denial) => {
                let action = review_action(None, None, Some(denial.reason_code()));
                Some(with_extensions(
                    denial_reason(denial, denial_reasons),
                    action,
                    Some(&decision),
                ))
            }
            _ => None,
        })
        .collect();
    if let Some(total) = total {
        let mut amount = submitted(total);
        let approval = items
            .iter()
            .filter_map(decision_of)
            .find_map(|decision| match &decision.outcome {
                Outcome::Approved(approval) => Some((
                    review_action(None, Some(&approval.number), None),
                    decision.clone(),
                )),
                _ => None,
            });
        if let Some((action, decision)) = approval {
            amount = with_extensions(amount, action, Some(&decision));
        }
        adjudications.push(amount);
    }
    adjudications
}

/// The price of an item as the provider sent it: `net`, otherwise the unit price times the quantity.
pub fn amount(requested: &Value) -> Option<Value> {
    if let Some(net) = requested.get("net").filter(|net| net.get("value").is_some()) {
        return Some(net.clone());
    }
    let price = requested.get("unitPrice")?;
    let quantity = fhir::get(requested, &["quantity", "value"])
        .and_then(decimals::number)
        .unwrap_or(1.0);
    let value = round_to_cents(price.get("value").and_then(decimals::number)? * quantity);
    let mut amount = json!({ "value": value });
    put_optional(&mut amount, "currency", price.get("currency").cloned());
    Some(amount)
}

/// The sum of the amounts. `None` if there are no amounts or their currencies differ.
pub fn sum(amounts: &[Value]) -> Option<Value> {
    let currency = amounts.first()?.get("currency");
    if amounts.iter().any(|amount| amount.get("currency") != currency) {
        return None;
    }
    let value: f64 = amounts
        .iter()
        .filter_map(|amount| amount.get("value").and_then(decimals::number))
        .sum();
    let mut total = json!({ "value": round_to_cents(value) });
    put_optional(&mut total, "currency", currency.cloned());
    Some(total)
}

fn round_to_cents(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The quantity of an item as the provider sent it, if it is still the quantity that was decided.
pub fn quantity<'a>(item: &'a Item, requested: &'a Value) -> Option<&'a Value> {
    let decided = item.quantity.as_ref()?;
    let value = |quantity: &Value| quantity.get("value").and_then(decimals::number);
    let sent = requested
        .get("quantity")
        .filter(|sent| value(sent) == value(decided));
    Some(sent.unwrap_or(decided))
}

/// The requested units. An item without a quantity requests one.
fn units(item: &Item, requested: &Value) -> Value {
    quantity(item, requested)
        .and_then(|quantity| quantity.get("value"))
        .cloned()
        .unwrap_or_else(|| json!(1))
}

fn submitted(amount: &Value) -> Value {
    json!({
        "category": { "coding": [{ "system": pdex::ADJUDICATION, "code": "submitted" }] },
        "amount": amount,
    })
}

fn allowed_units(value: &Value) -> Value {
    json!({ "category": category("allowedunits"), "value": value })
}

fn denial_reason(denial: &Denial, denial_reasons: &[DenialReason]) -> Value {
    let carc = denial_reasons
        .iter()
        .find(|reason| reason.code == denial.reason_code())
        .map(|reason| json!({ "system": pdex::CARC, "code": reason.carc }));
    let mut reason = json!({ "text": denial.reason() });
    put_nonempty(&mut reason, "coding", carc.into_iter().collect());
    json!({ "category": category("denialreason"), "reason": reason })
}

/// A category with two codings. The second one is for PDex 2.0.0, whose required value set lacks the codes of its own
/// slices.
fn category(code: &str) -> Value {
    json!({ "coding": [
        { "system": pdex::DISCRIMINATOR, "code": code },
        { "system": pdex::PAYER_STATUS, "code": "other" },
    ] })
}

/// The PDex extension `reviewAction`. Its code has a full URL, its number and reason have short ones.
fn review_action(code: Option<&str>, number: Option<&str>, reason: Option<&str>) -> Value {
    let mut parts = Vec::new();
    if let Some(number) = number {
        parts.push(json!({ "url": "number", "valueString": number }));
    }
    if let Some(reason) = reason {
        let concept = json!({ "coding": [{ "system": crate::ig::pas::DECISION_REASONS, "code": reason }] });
        parts.push(json!({ "url": "reasonCode", "valueCodeableConcept": concept }));
    }
    if let Some(code) = code {
        let concept = json!({ "coding": [{ "system": crate::ig::pas::x12_system("306"), "code": code }] });
        parts.push(json!({ "url": pdex::REVIEW_ACTION_CODE, "valueCodeableConcept": concept }));
    }
    json!({ "url": pdex::REVIEW_ACTION, "extension": parts })
}

fn with_extensions(mut adjudication: Value, action: Value, decision: Option<&ItemDecision>) -> Value {
    let when = decision
        .map(|decision| json!({ "url": pdex::WHEN_ADJUDICATED, "valueDateTime": instant_text(decision.at) }));
    put(
        &mut adjudication,
        "extension",
        Value::Array(std::iter::once(action).chain(when).collect()),
    );
    adjudication
}
