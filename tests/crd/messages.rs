//! Hook calls in our own words.

use serde_json::{Value, json};

/// Walter Harris's oxygen concentrator, and a mammography that only a clinical code names.
pub fn oxygen_and_mammography() -> Value {
    json!({
        "hook": "order-sign",
        "hookInstance": "3f0b6c52-6e0e-4a51-9a0e-6a5f0a4c1b77",
        "fhirServer": "https://ehr.example.org/fhir",
        "fhirAuthorization": { "access_token": "chart-secret", "token_type": "Bearer", "expires_in": 30,
            "scope": "patient/*.rs", "subject": "assent", "patient": "p1" },
        "context": { "userId": "Practitioner/dr7", "patientId": "p1", "draftOrders": {
            "resourceType": "Bundle", "type": "collection", "entry": [
                { "fullUrl": "https://ehr.example.org/fhir/ServiceRequest/oxygen", "resource": oxygen() },
                { "fullUrl": "https://ehr.example.org/fhir/ServiceRequest/mammography", "resource": mammography() },
            ],
        }},
        "prefetch": {
            "patient": patient(),
            "coverage": { "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": coverage() }] },
        },
    })
}

pub fn oxygen() -> Value {
    json!({
        "resourceType": "ServiceRequest", "id": "oxygen", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
        "quantityQuantity": { "value": 12, "code": "mo", "system": "http://unitsofmeasure.org" },
        "subject": { "reference": "Patient/p1" }, "authoredOn": "2026-10-01",
        "requester": { "reference": "Practitioner/dr7" },
        "extension": [{ "url": "https://ehr.example.org/own", "valueString": "kept" }],
    })
}

pub fn mammography() -> Value {
    json!({
        "resourceType": "ServiceRequest", "id": "mammography", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "726551006" }] },
        "subject": { "reference": "Patient/p1" }, "authoredOn": "2026-10-01",
        "requester": { "reference": "Practitioner/dr7" },
    })
}

pub fn patient() -> Value {
    json!({ "resourceType": "Patient", "id": "p1", "gender": "male", "birthDate": "1953-04-09",
        "name": [{ "family": "Harris", "given": ["Walter"] }] })
}

pub fn coverage() -> Value {
    json!({ "resourceType": "Coverage", "id": "c1", "status": "active", "subscriberId": "MA-0001",
        "beneficiary": { "reference": "Patient/p1" }, "payor": [{ "reference": "#payer" }],
        "contained": [{ "resourceType": "Organization", "id": "payer",
            "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893" }] }] })
}
