//! `GET metadata` of a DTR base path: the CapabilityStatement (DTR 2.2.0, `dtr-payer-service`), readable without a
//! token. It lists only what this server offers.

use crate::ig::ServedAtAddress;
use crate::ig::dtr::{DtrGuide, Profile};
use crate::state::State;
use crate::wire::{FhirResponse, Guide};
use axum::extract::State as AppState;
use serde_json::{Value, json};

/// Handles `GET metadata`.
pub(super) async fn get(AppState(state): AppState<State>, Guide(guide): Guide<DtrGuide>) -> FhirResponse {
    FhirResponse::read(&capability_statement(guide, &state.config.public_url))
}

/// The path of the FHIR base that a path is below, and its CapabilityStatement.
pub fn statement_for(path: &str, public_url: &str) -> Option<(&'static str, Value)> {
    let guide = DtrGuide::at_address(path)?;
    Some((guide.base_path, capability_statement(guide, public_url)))
}

fn capability_statement(guide: &DtrGuide, public_url: &str) -> Value {
    let operation = |name: &str| {
        let definition = guide.canonical(&format!("OperationDefinition/{name}"));
        json!({ "name": name, "definition": definition })
    };
    let search = |name: &str, kind: &str| {
        json!({ "name": name, "type": kind,
            "definition": format!("http://hl7.org/fhir/SearchParameter/conformance-{name}") })
    };
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-27",
        "kind": "instance",
        "instantiates": [guide.canonical("CapabilityStatement/dtr-payer-service")],
        "software": { "name": "Assent", "version": env!("CARGO_PKG_VERSION") },
        "implementation": {
            "description": format!("Documentation Templates and Rules, Da Vinci DTR {}", guide.number),
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
            "resource": [{
                "type": "Questionnaire",
                "supportedProfile": [guide.profile(Profile::StandardQuestionnaire)],
                "interaction": [{ "code": "read" }, { "code": "search-type" }],
                "versioning": "no-version",
                "conditionalRead": "not-match",
                "searchParam": [search("url", "uri"), search("version", "token")],
                "operation": [operation("questionnaire-package"), operation("log-questionnaire-errors")],
            }],
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ig::dtr::DtrVersion;

    #[test]
    fn the_capability_statement_lists_the_operations_of_questionnaire() {
        let statement = capability_statement(DtrVersion::NEWEST.guide(), "https://plan.example");
        assert_eq!(statement["implementation"]["url"], "https://plan.example/dtr/2.2");
        let names: Vec<&str> = statement["rest"][0]["resource"][0]["operation"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| o["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["questionnaire-package", "log-questionnaire-errors"]);
    }
}
