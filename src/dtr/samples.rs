//! Sample data for the unit tests of this module.

use crate::forms::Forms;
use crate::ig::crd::COVERAGE_INFORMATION;
use crate::plan::{Coverage, Member};
use crate::state::PolicySet;
use crate::store::assertions::{Assertion, StoredEvidence};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// The public address of the server in the tests.
pub(super) const PUBLIC: &str = "https://plan.example";

/// A `Parameters` resource with this array of parameters.
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

/// A member of the plan. `row` is the primary key.
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

/// The plan's coverage of a member. `row` is the primary key.
pub(super) fn plan_coverage(row: u128, member: &Member) -> Coverage {
    Coverage {
        id: Uuid::from_u128(row),
        key: format!("urn:cards|{row}"),
        member: member.id,
        plan: "MA-OH".to_owned(),
        line_of_business: "MA".to_owned(),
        state: None,
        zone: chrono_tz::America::New_York,
        subscriber_id: Some("M100".to_owned()),
        status: "active".to_owned(),
        starts: "2026-01-01".parse().ok(),
        ends: None,
        doc: json!({}),
    }
}

/// Forms with this name and version; the flag is the extension `request-specific`.
pub(super) fn forms(forms: &[(&str, &str, bool)]) -> Forms {
    let shipped = include_str!("../../questionnaires/home-oxygen/1.0.0/questionnaire.json");
    let prefill = include_str!("../../questionnaires/home-oxygen/1.0.0/prefill.yaml");
    let mut files = Vec::new();
    for (name, version, is_request_specific) in forms {
        let mut form: Value = serde_json::from_str(shipped).unwrap();
        form["id"] = json!(name);
        form["version"] = json!(version);
        for extension in form["extension"].as_array_mut().unwrap() {
            if extension["url"].as_str().unwrap().ends_with("/request-specific") {
                extension["valueBoolean"] = json!(is_request_specific);
            }
        }
        files.push((format!("{name}/{version}/questionnaire.json"), form.to_string()));
        files.push((format!("{name}/{version}/prefill.yaml"), prefill.to_owned()));
    }
    Forms::load(&files).unwrap()
}

/// Path and text of every file below a folder of the project; paths are relative to that folder.
fn files_below(folder: &str) -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                files.push((below, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The policies and forms of the project.
pub(super) fn policy_set() -> PolicySet {
    PolicySet::load(&files_below("rules"), &files_below("questionnaires")).unwrap()
}

/// The time of the tests: 10 AM in the plan's time zone.
pub(super) fn now() -> DateTime<Utc> {
    "2026-10-01T14:00:00Z".parse().unwrap()
}

/// The assertion of a hook about this order for the first member, with the evidence of its call. The chart had one oximetry
/// result.
pub(super) fn assertion(order: &Value) -> (Assertion, StoredEvidence) {
    let oximetry = json!({ "resourceType": "Observation", "id": "spo2", "status": "final",
        "effectiveDateTime": "2026-09-24",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "59408-5" }] },
        "valueQuantity": { "value": 87, "code": "%" } });
    let orders = json!({ "resourceType": "Bundle", "entry": [{ "resource": order }] });
    let call = json!({ "context": { "draftOrders": orders }, "prefetch": { "observations": oximetry } });
    let evidence = StoredEvidence {
        request: call.to_string(),
        fetched: "[]".into(),
        admission: json!({ "engine_version": "1", "set_aside": [] }).to_string(),
    };
    let coverage_information = json!({ "url": COVERAGE_INFORMATION,
        "extension": [{ "url": "doc-needed", "valueCode": "clinical" }] });
    let assertion = Assertion {
        id: "A-1".into(),
        hook_call: Uuid::from_u128(70),
        client: Uuid::from_u128(90),
        member: Some(Uuid::from_u128(1)),
        coverage: Some(Uuid::from_u128(11)),
        order_ref: "ServiceRequest/o1".into(),
        coverage_ref: "Coverage/cov1".into(),
        patient_ref: "Patient/p1".into(),
        order_json: order.to_string(),
        policy: None,
        policy_version: None,
        policy_hash: "h".into(),
        case_document: "{}".into(),
        coverage_information: coverage_information.to_string(),
        forms: json!(["home-oxygen|1.0.0"]).to_string(),
        created: now(),
    };
    (assertion, evidence)
}
