//! The CapabilityStatement of the member's API: made from the same tables that answer the searches, and readable
//! without a token (PDex 2.2.0; SMART App Launch 2.2, section "Capability Statement").

use super::kinds;
use super::names;
use super::search::Kind;
use serde_json::{Value, json};

/// The day on which this statement last changed.
const CHANGED: &str = "2026-11-22";

/// The statement for a server at this public address.
pub fn statement(public_url: &str) -> Value {
    let searchable = kinds::ALL.iter().map(|kind| searchable(kind));
    let readable = [
        ("Organization", Some(names::US_CORE_ORGANIZATION)),
        ("Practitioner", Some(names::US_CORE_PRACTITIONER)),
        ("Location", Some(names::US_CORE_LOCATION)),
        ("QuestionnaireResponse", None),
    ];
    let readable = readable
        .iter()
        .map(|(name, profile)| readable_only(name, *profile));
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": CHANGED,
        "kind": "instance",
        "software": { "name": "Assent", "version": env!("CARGO_PKG_VERSION") },
        "implementation": {
            "description": "A member's prior authorizations, for apps of the member's choice",
            "url": format!("{public_url}{}", super::BASE),
        },
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "rest": [{
            "mode": "server",
            "security": security(public_url),
            "resource": searchable.chain(readable).collect::<Vec<_>>(),
        }],
    })
}

fn security(public_url: &str) -> Value {
    let address =
        |url: &str, path: &str| json!({ "url": url, "valueUri": format!("{public_url}/oauth/{path}") });
    json!({
        "cors": true,
        "service": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "SMART-on-FHIR",
        }] }],
        "extension": [{
            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
            "extension": [
                address("authorize", "authorize"),
                address("token", "token"),
                address("introspect", "introspect"),
                address("revoke", "revoke"),
            ],
        }],
    })
}

fn searchable(kind: &Kind) -> Value {
    let parameters: Vec<Value> = kind
        .parameters
        .iter()
        .map(|p| json!({ "name": p.name, "type": p.form.as_str() }))
        .collect();
    let mut resource = json!({
        "type": kind.name,
        "supportedProfile": [kind.profile],
        "interaction": [{ "code": "read" }, { "code": "search-type" }],
        "searchParam": parameters,
    });
    let mut includes: Vec<Value> = kind
        .includes
        .iter()
        .map(|(name, _)| json!(format!("{}:{name}", kind.name)))
        .collect();
    if !includes.is_empty() {
        includes.push(json!(format!("{}:*", kind.name)));
    }
    super::build::put_list(&mut resource, "searchInclude", includes);
    resource
}

fn readable_only(name: &str, profile: Option<&str>) -> Value {
    let mut resource = json!({ "type": name, "interaction": [{ "code": "read" }] });
    super::build::put_list(
        &mut resource,
        "supportedProfile",
        profile.map(|p| json!(p)).into_iter().collect(),
    );
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_that_pdex_asks_for_is_there() {
        let statement = statement("https://plan.example");
        let parameters = statement
            .pointer("/rest/0/resource/0/searchParam")
            .unwrap()
            .as_array()
            .unwrap();
        for name in [
            "_id",
            "patient",
            "_lastUpdated",
            "type",
            "identifier",
            "service-date",
            "use",
            "_profile",
        ] {
            assert!(
                parameters.iter().any(|p| p.get("name") == Some(&json!(name))),
                "{name}"
            );
        }
        assert_eq!(
            statement.pointer("/implementation/url"),
            Some(&json!("https://plan.example/fhir/pdex"))
        );
    }
}
