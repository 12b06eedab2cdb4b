//! The parties in the synthetic messages: member, coverage, payer, providers.

use super::NPI;
use crate::demo::seed::WALK_MEMBER;
use serde_json::{Value, json};

/// The member in every message.
pub(super) fn patient() -> Value {
    json!({
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{
            "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB" }] },
            "system": "https://plan.example/member",
            "value": WALK_MEMBER,
        }],
        "name": [{ "family": "Ellery", "given": ["Ruth"] }],
        "gender": "female",
        "birthDate": "1953-03-14",
    })
}

/// The member's coverage.
pub(super) fn coverage() -> Value {
    json!({
        "resourceType": "Coverage",
        "id": "c1",
        "identifier": [{
            "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB" }] },
            "system": "https://plan.example/member",
            "value": WALK_MEMBER,
        }],
        "status": "active",
        "subscriberId": WALK_MEMBER,
        "beneficiary": { "reference": "Patient/p1" },
        "relationship": { "coding": [{ "system": "https://codesystem.x12.org/005010/1069", "code": "18" }] },
        "payor": [{ "reference": "Organization/payer" }],
    })
}

/// The payer.
pub(super) fn insurer() -> Value {
    json!({
        "resourceType": "Organization",
        "id": "payer",
        "identifier": [{ "system": NPI, "value": "1234567893" }],
        "active": true,
        "type": [{ "coding": [{ "system": "https://codesystem.x12.org/005010/98", "code": "PR" }] }],
        "name": "Assent Demo Health Plan",
    })
}

/// The organization that requests authorization.
pub(super) fn requester() -> Value {
    json!({
        "resourceType": "Organization",
        "id": "requester",
        "identifier": [{ "system": NPI, "value": "1999999984" }],
        "active": true,
        "type": [{ "coding": [{ "system": "https://codesystem.x12.org/005010/98", "code": "X3" }] }],
        "name": "Lakeside Pulmonary Group",
    })
}

/// The practitioner who signs the orders.
pub(super) fn practitioner() -> Value {
    json!({
        "resourceType": "Practitioner",
        "id": "dr1",
        "identifier": [{ "system": NPI, "value": "1679576722" }],
        "name": [{ "family": "Okafor", "given": ["Ada"] }],
    })
}
