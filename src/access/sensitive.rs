//! Decides which requests are sensitive, so that a member can withhold them from an app (PDex, section "Member
//! authorization": behavioral health and similar). A request is sensitive if the sender labeled any of its resources,
//! or if it has a code for mental health, substance use or HIV. Codes do not find every sensitive request, so a label
//! counts regardless of the codes.

use crate::fhir::{self, bundle::BundleIndex, coding};
use serde_json::Value;

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// Security labels of `v3-ActCode` that mark sensitive information.
const LABELS: [&str; 14] = [
    "ETH", "ETHUD", "OPIOIDUD", "SUD", "ALC", "DRUGS", "PSY", "PSYTHPN", "MH", "BH", "HIV", "STD", "SDV",
    "SEX",
];

/// X12 service types for mental health and substance use.
const SERVICE_TYPES: [&str; 13] = [
    "A4", "A5", "A6", "A7", "A8", "AI", "AJ", "AK", "CE", "CF", "CG", "CH", "MH",
];

/// The beginnings of ICD-10-CM codes for mental and behavioral disorders and for HIV.
const DIAGNOSIS_PREFIXES: [&str; 3] = ["F", "B20", "Z21"];

/// Whether a stored request is sensitive.
pub fn is_sensitive(message: &Value) -> bool {
    let index = BundleIndex::new(message);
    let labeled = index.entries().any(|entry| has_sensitive_label(entry.resource));
    labeled
        || index
            .of_type("Claim")
            .any(|entry| has_sensitive_code(entry.resource))
}

fn has_sensitive_label(resource: &Value) -> bool {
    let meta = resource.get("meta").unwrap_or(&Value::Null);
    fhir::list(meta, "security")
        .filter_map(coding::Coding::read)
        .any(|label| match label.system.as_ref() {
            CONFIDENTIALITY => matches!(label.code, "R" | "V"),
            ACT_CODE => LABELS.contains(&label.code),
            _ => false,
        })
}

fn has_sensitive_code(claim: &Value) -> bool {
    let diagnoses = fhir::list(claim, "diagnosis").filter_map(|d| d.get("diagnosisCodeableConcept"));
    let services = fhir::list(claim, "item")
        .flat_map(|i| [i.get("category"), i.get("productOrService")])
        .flatten();
    diagnoses.flat_map(coding::codings).any(|c| {
        c.system == coding::ICD10CM && DIAGNOSIS_PREFIXES.iter().any(|prefix| c.code.starts_with(prefix))
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
        let labeled = json!({ "resourceType": "Claim", "meta": { "security": [label] } });
        assert!(is_sensitive(&message(&labeled)));
        let with_diagnosis = |code: &str| {
            let concept = json!({ "coding": [{ "system": coding::ICD10CM, "code": code }] });
            message(
                &json!({ "resourceType": "Claim", "diagnosis": [{ "diagnosisCodeableConcept": concept }] }),
            )
        };
        assert!(is_sensitive(&with_diagnosis("F11.20")));
        assert!(!is_sensitive(&with_diagnosis("J44.9")));
    }
}
