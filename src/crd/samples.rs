//! Shared test data: a call with an oxygen order and a mammography order, and the member they are for.

use crate::plan::{Coverage, Member};
use serde_json::{Value, json};
use uuid::Uuid;

/// A call of order-sign: E1390, and a mammography with only a clinical code.
pub(super) fn call() -> Value {
    json!({
        "hook": "order-sign",
        "hookInstance": "3f0b6c52-6e0e-4a51-9a0e-6a5f0a4c1b77",
        "context": { "userId": "Practitioner/dr7", "patientId": "p1", "draftOrders": {
            "resourceType": "Bundle", "type": "collection", "entry": [
                { "fullUrl": "https://ehr.example.org/fhir/ServiceRequest/oxygen", "resource": oxygen() },
                { "fullUrl": "https://ehr.example.org/fhir/ServiceRequest/mammography", "resource": mammography() },
            ],
        }},
        "prefetch": {
            "patient": patient(),
            "coverage": { "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": sent_coverage() }] },
        },
    })
}

/// An oxygen concentrator for twelve months.
pub(super) fn oxygen() -> Value {
    json!({
        "resourceType": "ServiceRequest", "id": "oxygen", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
        "quantityQuantity": { "value": 12, "code": "mo", "system": "http://unitsofmeasure.org" },
        "subject": { "reference": "Patient/p1" }, "authoredOn": "2026-10-01",
        "requester": { "reference": "Practitioner/dr7" },
    })
}

/// A mammography without a billing code.
pub(super) fn mammography() -> Value {
    json!({
        "resourceType": "ServiceRequest", "id": "mammography", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "726551006" }] },
        "subject": { "reference": "Patient/p1" }, "authoredOn": "2026-10-01",
        "requester": { "reference": "Practitioner/dr7" },
    })
}

/// The EHR's Patient.
pub(super) fn patient() -> Value {
    json!({ "resourceType": "Patient", "id": "p1", "gender": "male", "birthDate": "1950-01-02",
        "name": [{ "family": "Smith", "given": ["John"] }] })
}

/// The EHR's Coverage.
pub(super) fn sent_coverage() -> Value {
    json!({ "resourceType": "Coverage", "id": "c1", "status": "active", "subscriberId": "sub-1",
        "beneficiary": { "reference": "Patient/p1" }, "payor": [{ "identifier": { "value": "1234567893" } }] })
}

/// The member.
pub(super) fn member() -> Member {
    Member {
        id: Uuid::from_u128(1),
        member_id: "m1".into(),
        family: "smith".into(),
        given: "john".into(),
        birth_date: "1950-01-02".parse().ok(),
        gender: Some("male".into()),
        doc: json!({}),
    }
}

/// The member's coverage, active since 2024.
pub(super) fn coverage() -> Coverage {
    Coverage {
        id: Uuid::from_u128(2),
        key: "https://plan.example/coverage|1".into(),
        member: Uuid::from_u128(1),
        plan: "H1234-001".into(),
        line_of_business: "MA".into(),
        state: Some("OH".into()),
        zone: chrono_tz::America::New_York,
        subscriber_id: Some("sub-1".into()),
        status: "active".into(),
        starts: "2024-01-01".parse().ok(),
        ends: None,
        doc: json!({}),
    }
}
