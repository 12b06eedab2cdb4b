//! Checks of a draft order that need nothing but the order itself. A status that FHIR requires is missing, a date does
//! not exist, a period ends before it starts, or `doNotPerform` is not a boolean: such a message breaks FHIR, so the
//! call is refused (400, CRD section "Errors"). Every other problem of an order is an answer of its own.

use crate::error::IssueCode;
use crate::evidence::missing_status;
use crate::fhir::date_checks::impossible_dates;
use crate::fhir::outcome::Checks;
use serde_json::Value;

/// Checks the order whose FHIRPath is `at`.
pub(super) fn check_order(order: &Value, at: &str, checks: &mut Checks) {
    if let Some(element) = missing_status(order) {
        checks.error(
            IssueCode::Required,
            format!("{at}.{element}"),
            "The order has no status",
        );
    }
    if order
        .get("doNotPerform")
        .is_some_and(|d| !d.is_boolean() && !d.is_null())
    {
        let message = "doNotPerform must be true or false";
        checks.error(IssueCode::Value, format!("{at}.doNotPerform"), message);
    }
    // An extension that this server does not know is no reason to refuse a call (CRD section "What a CRD service must
    // never do").
    let dates = impossible_dates(order, at).into_iter();
    for date in dates.filter(|date| !date.path.contains(".extension[")) {
        checks.error(IssueCode::Value, date.path, date.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(order: &Value) -> Vec<String> {
        let mut checks = Checks::default();
        check_order(order, "o", &mut checks);
        checks.issues().iter().map(|i| i.expression.clone()).collect()
    }

    fn order(name: &str, value: Value) -> Value {
        let mut order = json!({ "resourceType": "ServiceRequest", "status": "draft" });
        order[name] = value;
        order
    }

    #[test]
    fn an_impossible_date_is_reported_with_its_place() {
        let period = json!({ "start": "2026-10-05", "end": "2026-10-04" });
        for (name, value, place) in [
            ("authoredOn", json!("2026-13-45"), "o.authoredOn"),
            ("occurrenceDateTime", json!("2026-02-30"), "o.occurrenceDateTime"),
            ("occurrencePeriod", period, "o.occurrencePeriod"),
            (
                "occurrenceTiming",
                json!({ "event": ["2026-10-01", "2026-00-01"] }),
                "o.occurrenceTiming.event[1]",
            ),
            (
                "dispenseRequest",
                json!({ "validityPeriod": { "start": "x" } }),
                "o.dispenseRequest.validityPeriod.start",
            ),
            ("dateWritten", json!("2026-14"), "o.dateWritten"),
        ] {
            assert_eq!(places(&order(name, value)), [place]);
        }
    }

    #[test]
    fn dates_in_extensions_are_not_checked() {
        assert!(places(&order("extension", json!([{ "valueDateTime": "2026-13-45" }]))).is_empty());
    }

    #[test]
    fn a_status_is_required_where_fhir_requires_it() {
        for (kind, required) in [
            ("ServiceRequest", true),
            ("MedicationRequest", true),
            ("NutritionOrder", true),
            ("VisionPrescription", true),
            ("CommunicationRequest", true),
            ("DeviceRequest", false),
        ] {
            let found = places(&json!({ "resourceType": kind }));
            assert_eq!(found == ["o.status"], required, "{kind}");
            assert_eq!(found.is_empty(), !required, "{kind}");
        }
    }

    #[test]
    fn do_not_perform_is_a_boolean() {
        assert_eq!(places(&order("doNotPerform", json!("true"))), ["o.doNotPerform"]);
        for valid in [json!(true), json!(false), Value::Null] {
            assert!(places(&order("doNotPerform", valid)).is_empty());
        }
    }
}
