//! `GET metadata` of a PAS base: readable without a token.

use crate::ig::pas::{TOPIC, V2_2};
use crate::state::State;
use crate::wire::FhirResponse;
use axum::extract::State as Held;
use serde_json::{Value, json};

/// The handler.
pub async fn get(Held(state): Held<State>) -> FhirResponse {
    FhirResponse::ok(&statement(&state.config.public_url))
}

fn statement(public_url: &str) -> Value {
    let guide = "http://hl7.org/fhir/us/davinci-pas";
    let interactions: Vec<Value> = ["create", "read", "update", "delete", "search-type"]
        .iter()
        .map(|c| json!({ "code": c }))
        .collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-22",
        "kind": "instance",
        "instantiates": [
            format!("{guide}/CapabilityStatement/IntermediaryCapabilities"),
            "http://hl7.org/fhir/uv/subscriptions-backport/CapabilityStatement/backport-subscription-server-r4",
        ],
        "software": { "name": "Assent", "version": env!("CARGO_PKG_VERSION") },
        "implementation": {
            "description": format!("Prior authorization requests, Da Vinci PAS {}", V2_2.version),
            "url": format!("{public_url}{}", V2_2.base),
        },
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{
            "mode": "server",
            "security": {
                "cors": false,
                "service": [{ "coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                }] }],
            },
            "resource": [
                { "type": "Claim", "operation": [
                    { "name": "submit", "definition": format!("{guide}/OperationDefinition/Claim-submit") },
                    { "name": "inquire", "definition": format!("{guide}/OperationDefinition/Claim-inquiry") },
                ] },
                {
                    "extension": [{
                        "url": "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical",
                        "valueCanonical": TOPIC,
                    }],
                    "type": "Subscription",
                    "supportedProfile": [
                        "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription",
                        format!("{guide}/StructureDefinition/profile-subscription"),
                    ],
                    "interaction": interactions,
                    "operation": [{
                        "name": "status",
                        "definition": "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-status",
                    }],
                },
            ],
        }],
    })
}
