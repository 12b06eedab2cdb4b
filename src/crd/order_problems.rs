//! Why an order of a member with coverage gets no answer from the policies: the plan does not understand it, its status
//! does not count, what it orders could not be read, or it asks for no amount. Such an order never gets a promise. The
//! guide has no code for these cases, so the answer is `indeterminate` with the reason `technical` (resp-43), or
//! `conditional` if information from the provider is missing; other orders of the same call are answered as usual.

use super::admission::CallAdmission;
use super::prefetch::{AvailableResources, ResourceLookup};
use super::request::Order;
use crate::evidence::SetAsideCode;
use crate::fhir::{get, text};
use crate::rules::{CoverageAnswer, CoverageReason, ordered_references};
use serde_json::Value;

const MODIFIER: &str =
    "The order has an element that changes its meaning in a way that this plan does not understand";
const STATUS: &str = "The order has a status for which coverage is not determined";
const PATIENT_UNREAD: &str =
    "The patient could not be read from the EHR, so it is not certain whom the order is for";
const ORDERED_UNREAD: &str = "What is ordered could not be read from the EHR";
const ORDERED_SET_ASIDE: &str =
    "What is ordered is in a resource that this plan does not understand or that does not count";
const NO_AMOUNT: &str = "The quantity of the order must be greater than zero";

/// The answer for an order that no policy may answer; none if the policies answer. `item` has the order's facts.
pub(super) fn answer_without_policy<'a>(
    order: &Order<'a>,
    item: &Value,
    available: &AvailableResources<'a>,
    admitted: &CallAdmission,
) -> Option<CoverageAnswer> {
    let not_performed = order.resource.get("doNotPerform").and_then(Value::as_bool) == Some(true);
    match admitted.code_at(&order.path) {
        Some(SetAsideCode::Modifier) => return Some(CoverageAnswer::indeterminate(MODIFIER)),
        Some(SetAsideCode::AnotherSubject | SetAsideCode::UncertainSubject) => {
            return Some(CoverageAnswer::indeterminate(PATIENT_UNREAD));
        }
        Some(_) if not_performed && has_usual_status(order.resource) => return Some(do_not_perform()),
        Some(_) => return Some(CoverageAnswer::indeterminate(STATUS)),
        None => {}
    }
    ordered_references(order.resource)
        .find_map(|reference| problem_of_ordered(reference, order, available, admitted))
        .map(CoverageAnswer::indeterminate)
        .or_else(|| asks_for_no_amount(item).then(amount_needed))
}

/// Whether the status is one with which an order is signed. `doNotPerform` alone is a reason to set an order aside.
fn has_usual_status(order: &Value) -> bool {
    matches!(
        text(order, &["status"]),
        None | Some("draft" | "active" | "on-hold" | "completed")
    )
}

/// Why the resource that says what is ordered cannot be used. One that does not exist is no problem here: the order then
/// has no code. A contained resource is understood or not together with its order.
fn problem_of_ordered<'a>(
    reference: &str,
    order: &Order<'a>,
    available: &AvailableResources<'a>,
    admitted: &CallAdmission,
) -> Option<&'static str> {
    if available.look_up(reference, order.resource) == ResourceLookup::Failed {
        return Some(ORDERED_UNREAD);
    }
    let located = available.resources.find_located(reference)?;
    admitted.code(located).map(|_| ORDERED_SET_ASIDE)
}

fn asks_for_no_amount(item: &Value) -> bool {
    let value = get(item, &["quantity", "value"]).and_then(Value::as_f64);
    value.is_some_and(|value| value <= 0.0)
}

/// The answer depends on how much is ordered.
fn amount_needed() -> CoverageAnswer {
    CoverageAnswer {
        covered: "conditional".into(),
        pa: Some("conditional".into()),
        info_needed: vec!["OTH".into()],
        reason: vec![CoverageReason {
            code: None,
            text: NO_AMOUNT.into(),
        }],
        ..CoverageAnswer::default()
    }
}

/// The answer for an order with `doNotPerform`: no authorization is needed.
fn do_not_perform() -> CoverageAnswer {
    CoverageAnswer {
        covered: "covered".into(),
        pa: Some("no-auth".into()),
        reason: vec![CoverageReason {
            code: None,
            text: "The order says that the service must not be performed, so no authorization is needed"
                .into(),
        }],
        ..CoverageAnswer::default()
    }
}
