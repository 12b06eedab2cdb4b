//! `GET metadata` of the DTR base: readable without a token (DTR 2.2.0, CapabilityStatement `dtr-payer-service`). It
//! names what is offered, no more.

use super::BASE;
use crate::state::State;
use crate::wire::FhirResponse;
use axum::extract::State as Held;
use serde_json::{Value, json};

const GUIDE: &str = "http://hl7.org/fhir/us/davinci-dtr";

/// The handler.
pub(super) async fn get(Held(state): Held<State>) -> FhirResponse {
    FhirResponse::ok(&statement(&state.config.public_url))
}

fn statement(public_url: &str) -> Value {
    let operation = |name: &str| json!({ "name": name, "definition": format!("{GUIDE}/OperationDefinition/{name}|2.2.0") });
    let search = |name: &str, kind: &str| {
        json!({ "name": name, "type": kind,
            "definition": format!("http://hl7.org/fhir/SearchParameter/conformance-{name}") })
    };
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-22",
        "kind": "instance",
        "instantiates": [format!("{GUIDE}/CapabilityStatement/dtr-payer-service|2.2.0")],
        "software": { "name": "Assent", "version": env!("CARGO_PKG_VERSION") },
        "implementation": {
            "description": "Documentation templates and rules, Da Vinci DTR 2.2.0",
            "url": format!("{public_url}{BASE}"),
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
            "resource": [{
                "type": "Questionnaire",
                "supportedProfile": [format!("{GUIDE}/StructureDefinition/dtr-std-questionnaire|2.2.0")],
                "interaction": [{ "code": "read" }, { "code": "search-type" }],
                "searchParam": [search("url", "uri"), search("version", "token")],
                "operation": [operation("questionnaire-package"), operation("log-questionnaire-errors")],
            }],
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_names_the_offered_operations_under_questionnaire() {
        let statement = statement("https://plan.example");
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
