//! What the unit tests of this door start from.

use crate::forms::Forms;
use crate::plan::{Coverage, Member};
use serde_json::{Value, json};
use uuid::Uuid;

/// The public address in the tests.
pub(super) const PUBLIC: &str = "https://plan.example";

/// A `Parameters` of these.
pub(super) fn parameters(parameters: &Value) -> Value {
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

/// The client's Coverage.
pub(super) fn coverage() -> Value {
    json!({ "resourceType": "Coverage", "id": "cov1", "status": "active", "subscriberId": "M100",
        "beneficiary": { "reference": "Patient/p1" }, "payor": [{ "reference": "Organization/o1" }] })
}

/// The client's order for a home oxygen concentrator.
pub(super) fn order() -> Value {
    json!({ "resourceType": "ServiceRequest", "id": "o1", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
        "subject": { "reference": "Patient/p1" }, "quantityQuantity": { "value": 12, "code": "mo" } })
}

/// A member of the plan with this number.
pub(super) fn member(row: u128, member_id: &str) -> Member {
    Member {
        id: Uuid::from_u128(row),
        member_id: member_id.to_owned(),
        family: "lane".to_owned(),
        given: "ada".to_owned(),
        birth_date: "1955-02-03".parse().ok(),
        gender: None,
        doc: json!({}),
    }
}

/// The plan's coverage of that member.
pub(super) fn covered(row: u128, member: &Member) -> Coverage {
    Coverage {
        id: Uuid::from_u128(row),
        key: format!("urn:cards|{row}"),
        member: member.id,
        plan: "MA-OH".to_owned(),
        line: "MA".to_owned(),
        state: None,
        zone: chrono_tz::America::New_York,
        subscriber_id: Some("M100".to_owned()),
        status: "active".to_owned(),
        starts: "2026-01-01".parse().ok(),
        ends: None,
        doc: json!({}),
    }
}

/// A form of the house in several versions; `specific` forms want one response for each order.
pub(super) fn forms(names: &[(&str, &str, bool)]) -> Forms {
    let shipped = include_str!("../../questionnaires/home-oxygen/1.0.0/questionnaire.json");
    let prefill = include_str!("../../questionnaires/home-oxygen/1.0.0/prefill.yaml");
    let mut files = Vec::new();
    for (name, version, specific) in names {
        let mut form: Value = serde_json::from_str(shipped).unwrap();
        form["id"] = json!(name);
        form["version"] = json!(version);
        for extension in form["extension"].as_array_mut().unwrap() {
            if extension["url"].as_str().unwrap().ends_with("/request-specific") {
                extension["valueBoolean"] = json!(specific);
            }
        }
        files.push((format!("{name}/{version}/questionnaire.json"), form.to_string()));
        files.push((format!("{name}/{version}/prefill.yaml"), prefill.to_owned()));
    }
    Forms::load(&files).unwrap()
}
