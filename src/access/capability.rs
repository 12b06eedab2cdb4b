//! The CapabilityStatement of the member API. It is built from the tables that evaluate the searches, and can be read
//! without a token (PDex 2.2.0; SMART App Launch 2.2, section "Capability Statement").

use super::search::SearchableType;
use super::searchable;
use crate::ig::pdex;
use serde_json::{Value, json};

/// The date of the last change to this statement.
const LAST_CHANGED: &str = "2026-11-27";

/// `If-None-Match` works for every read. `If-Modified-Since` works where a resource has `meta.lastUpdated`.
const CONDITIONAL_READ: &str = "not-match";

/// The statement of a server with this public URL.
pub fn statement(public_url: &str) -> Value {
    let searchable = searchable::ALL
        .iter()
        .map(|searchable| searchable_resource(searchable));
    let readable = [
        ("Organization", Some(pdex::US_CORE_ORGANIZATION)),
        ("Practitioner", Some(pdex::US_CORE_PRACTITIONER)),
        ("Location", Some(pdex::US_CORE_LOCATION)),
        ("QuestionnaireResponse", None),
    ];
    let readable = readable
        .iter()
        .map(|(name, profile)| read_only_resource(name, *profile));
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": LAST_CHANGED,
        "kind": "instance",
        "software": { "name": "Assent", "version": env!("CARGO_PKG_VERSION") },
        "implementation": {
            "description": "A member's prior authorizations for the apps that the member chooses",
            "url": format!("{public_url}{}", super::BASE),
        },
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "rest": [{
            "mode": "server",
            "documentation": "Searches also take _sort (by any search parameter of the type), _summary, _elements, _count \
                              and _include. A search with an unsupported parameter is refused, unless the header \
                              Prefer says handling=lenient",
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

fn searchable_resource(searchable: &SearchableType) -> Value {
    let parameters: Vec<Value> = searchable
        .parameters
        .iter()
        .map(|parameter| json!({ "name": parameter.name, "type": parameter.parameter_type.code() }))
        .collect();
    let mut resource = json!({
        "type": searchable.name,
        "supportedProfile": [searchable.profile],
        "interaction": [{ "code": "read" }, { "code": "search-type" }],
        "versioning": "no-version",
        "conditionalRead": CONDITIONAL_READ,
        "searchParam": parameters,
    });
    let mut includes: Vec<Value> = searchable
        .includes
        .iter()
        .map(|(name, _)| json!(format!("{}:{name}", searchable.name)))
        .collect();
    if !includes.is_empty() {
        includes.push(json!(format!("{}:*", searchable.name)));
    }
    super::json::put_nonempty(&mut resource, "searchInclude", includes);
    resource
}

fn read_only_resource(name: &str, profile: Option<&str>) -> Value {
    let mut resource = json!({
        "type": name,
        "interaction": [{ "code": "read" }],
        "versioning": "no-version",
        "conditionalRead": CONDITIONAL_READ,
    });
    super::json::put_nonempty(
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
    fn the_statement_lists_every_search_parameter_that_pdex_requires() {
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
