//! Decides which requests are sensitive, so that a member can withhold them from an app (PDex, section "Member
//! authorization": behavioral health and similar). A request is sensitive if the sender labeled any of its resources,
//! or if it has a code for mental health, substance use, HIV, or sexual and reproductive health. Codes do not find every
//! sensitive request, so a label counts regardless of the codes, and the consent page says so.

use crate::fhir::{self, bundle::BundleIndex, coding};
use serde_json::Value;

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// Security labels of `v3-ActCode` that mark sensitive information.
const LABELS: [&str; 14] = [
    "ETH", "ETHUD", "OPIOIDUD", "SUD", "ALC", "DRUGS", "PSY", "PSYTHPN", "MH", "BH", "HIV", "STD", "SDV",
    "SEX",
];

/// X12 service types for mental health, substance use, HIV, pregnancy, family planning and gynecology.
const SERVICE_TYPES: [&str; 21] = [
    "A4", "A5", "A6", "A7", "A8", "AI", "AJ", "AK", "CE", "CF", "CG", "CH", "MH", "69", "82", "83", "84",
    "85", "BT", "BU", "BV",
];

/// The beginnings of ICD-10-CM codes, without the period: mental and behavioral disorders; HIV and contact with it;
/// sexually transmitted infections; infertility; pregnancy and birth; contraception and other reproductive care;
/// counseling about sexuality.
const DIAGNOSIS_PREFIXES: [&str; 26] = [
    "F", "B20", "Z21", "R75", "Z206", "A50", "A51", "A52", "A53", "A54", "A55", "A56", "A57", "A58", "A59",
    "A60", "A63", "A64", "Z202", "N46", "N97", "O", "Z3", "Z640", "Z70", "Z725",
];

/// Whether a stored request is sensitive.
pub fn is_sensitive(message: &Value) -> bool {
    let index = BundleIndex::new(message);
    let labeled = index.entries().any(|entry| has_sensitive_label(entry.resource));
    labeled || index.entries().any(|entry| has_sensitive_code(entry.resource))
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

/// Whether a claim, an order or a condition has a sensitive code.
fn has_sensitive_code(resource: &Value) -> bool {
    let of_claim = fhir::list(resource, "diagnosis").filter_map(|d| d.get("diagnosisCodeableConcept"));
    let of_condition = resource
        .get("code")
        .filter(|_| fhir::resource_type(resource) == Some("Condition"));
    let diagnoses = of_claim
        .chain(of_condition)
        .chain(fhir::list(resource, "reasonCode"))
        .flat_map(coding::codings);
    let services = fhir::list(resource, "item")
        .flat_map(|i| [i.get("category"), i.get("productOrService")])
        .flatten()
        .flat_map(coding::codings);
    diagnoses.into_iter().any(|c| is_sensitive_diagnosis(&c))
        || services
            .into_iter()
            .any(|c| c.system == coding::SERVICE_TYPE && SERVICE_TYPES.contains(&c.code))
}

fn is_sensitive_diagnosis(coding: &coding::Coding<'_>) -> bool {
    let code = coding.code.replace('.', "");
    coding.system == coding::ICD10CM && DIAGNOSIS_PREFIXES.iter().any(|prefix| code.starts_with(prefix))
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
        for code in ["F11.20", "B20", "A54.9", "O09.91", "Z30.430", "Z20.2", "N97.9"] {
            assert!(is_sensitive(&with_diagnosis(code)), "{code}");
        }
        for code in ["J44.9", "Z20.1", "A49.0", "Z79.899"] {
            assert!(!is_sensitive(&with_diagnosis(code)), "{code}");
        }
        let concept = json!({ "coding": [{ "system": coding::ICD10CM, "code": "O80" }] });
        let condition = json!({ "resourceType": "Condition", "code": concept });
        let order = json!({ "resourceType": "ServiceRequest", "reasonCode": [concept] });
        assert!(is_sensitive(&message(&condition)) && is_sensitive(&message(&order)));
    }
}
