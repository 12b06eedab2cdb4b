//! `GET {base}/metadata`: the CapabilityStatement of a PAS base. It needs no token.

use super::subscription_search::SEARCH_PARAMETERS;
use crate::ig::ServedAtAddress;
use crate::ig::pas::{CANONICAL, PasGuide, Profile, SUBSCRIPTION_TOPIC};
use crate::state::State;
use crate::wire::{FhirResponse, Guide};
use axum::extract::State as StateExtractor;
use serde_json::{Value, json};

const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport";

/// Handles `GET {base}/metadata`.
pub async fn get(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
) -> FhirResponse {
    FhirResponse::read(&capability_statement(guide, &state.config.public_url))
}

/// The path of the FHIR base that a path is below, and its CapabilityStatement.
pub fn statement_for(path: &str, public_url: &str) -> Option<(&'static str, Value)> {
    let guide = PasGuide::at_address(path)?;
    Some((guide.base_path, capability_statement(guide, public_url)))
}

fn capability_statement(guide: &PasGuide, public_url: &str) -> Value {
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-27",
        "kind": "instance",
        "instantiates": [
            format!("{CANONICAL}/CapabilityStatement/IntermediaryCapabilities"),
            format!("{BACKPORT}/CapabilityStatement/backport-subscription-server-r4"),
        ],
        "software": { "name": "Assent", "version": env!("CARGO_PKG_VERSION") },
        "implementation": {
            "description": format!("Prior authorization requests, Da Vinci PAS {}", guide.number),
            "url": format!("{public_url}{}", guide.base_path),
        },
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{
            "mode": "server",
            "security": {
                "cors": true,
                "service": [{ "coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                }] }],
            },
            "resource": [claim(), subscription()],
        }],
    })
}

fn claim() -> Value {
    let operation = |name: &str, definition: &str| json!({ "name": name, "definition": format!("{CANONICAL}/OperationDefinition/{definition}") });
    json!({
        "type": "Claim",
        "operation": [operation("submit", "Claim-submit"), operation("inquire", "Claim-inquiry")],
    })
}

fn subscription() -> Value {
    let interactions: Vec<Value> = ["create", "read", "update", "delete", "search-type"]
        .iter()
        .map(|code| json!({ "code": code }))
        .collect();
    let search_parameters = SEARCH_PARAMETERS
        .iter()
        .map(|(name, parameter_type)| json!({ "name": name, "type": parameter_type }));
    json!({
        "extension": [{
            "url": format!("{BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"),
            "valueCanonical": SUBSCRIPTION_TOPIC,
        }],
        "type": "Subscription",
        "supportedProfile": [
            format!("{BACKPORT}/StructureDefinition/backport-subscription"),
            Profile::Subscription.url(),
        ],
        "interaction": interactions,
        "versioning": "no-version",
        "conditionalRead": "not-match",
        "searchParam": search_parameters.collect::<Vec<_>>(),
        "operation": [{
            "name": "status",
            "definition": format!("{BACKPORT}/OperationDefinition/backport-subscription-status"),
        }],
    })
}
