//! Which requests are sensitive, so that a member can keep them from an app (PDex, section "Member authorization":
//! behavioral health and the like). Two grounds: a label that the sender set, or codes for mental health, substance
//! use or HIV. Codes cannot tell everything; what is labelled counts whatever its codes are.

use super::request::bundle;
use crate::fhir::{self, bundle::Index, coding};
use serde_json::Value;

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// Labels of `v3-ActCode` that mean sensitive information.
const LABELS: [&str; 14] = [
    "ETH", "ETHUD", "OPIOIDUD", "SUD", "ALC", "DRUGS", "PSY", "PSYTHPN", "MH", "BH", "HIV", "STD", "SDV",
    "SEX",
];

/// X12 service types of mental health and substance use.
const SERVICE_TYPES: [&str; 13] = [
    "A4", "A5", "A6", "A7", "A8", "AI", "AJ", "AK", "CE", "CF", "CG", "CH", "MH",
];

/// Beginnings of ICD-10-CM codes: mental and behavioral disorders, HIV.
const DIAGNOSES: [&str; 3] = ["F", "B20", "Z21"];

/// Whether a stored request is sensitive.
pub fn is_sensitive(message: &Value) -> bool {
    let index = Index::of(bundle(message));
    let labelled = index.entries().any(|entry| is_labelled(entry.resource));
    labelled || index.of_type("Claim").any(|entry| speaks_of_it(entry.resource))
}

fn is_labelled(resource: &Value) -> bool {
    let meta = resource.get("meta").unwrap_or(&Value::Null);
    fhir::list(meta, "security")
        .filter_map(coding::Coding::read)
        .any(|label| match label.system.as_ref() {
            CONFIDENTIALITY => matches!(label.code, "R" | "V"),
            ACT_CODE => LABELS.contains(&label.code),
            _ => false,
        })
}

fn speaks_of_it(claim: &Value) -> bool {
    let diagnoses = fhir::list(claim, "diagnosis").filter_map(|d| d.get("diagnosisCodeableConcept"));
    let services = fhir::list(claim, "item")
        .flat_map(|i| [i.get("category"), i.get("productOrService")])
        .flatten();
    diagnoses.flat_map(coding::codings).any(|c| {
        c.system == coding::ICD10CM && DIAGNOSES.iter().any(|beginning| c.code.starts_with(beginning))
    }) || services
        .flat_map(coding::codings)
        .any(|c| c.system == coding::SERVICE_TYPE && SERVICE_TYPES.contains(&c.code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(claim: &Value) -> Value {
        json!({ "entry": [{ "fullUrl": "urn:uuid:1", "resource": claim }] })
    }

    #[test]
    fn a_label_or_a_code_makes_a_request_sensitive() {
        let label = json!({ "system": CONFIDENTIALITY, "code": "R" });
        let labelled = json!({ "resourceType": "Claim", "meta": { "security": [label] } });
        assert!(is_sensitive(&message(&labelled)));
        let of = |code: &str| {
            let concept = json!({ "coding": [{ "system": coding::ICD10CM, "code": code }] });
            message(
                &json!({ "resourceType": "Claim", "diagnosis": [{ "diagnosisCodeableConcept": concept }] }),
            )
        };
        assert!(is_sensitive(&of("F11.20")));
        assert!(!is_sensitive(&of("J44.9")));
    }
}
