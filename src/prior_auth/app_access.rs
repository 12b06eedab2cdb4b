//! Which member apps may read a request: all, only those with which the member shares sensitive care, or none.
//!
//! A request is sensitive if the sender labeled any of its resources, or if it has a code for mental health, substance
//! use, HIV, or sexual and reproductive health (PDex, section "Member authorization": behavioral health and similar).
//! Codes do not find every sensitive request, so a label counts regardless of the codes, and the consent page says so.
//! A request for drugs alone is not shown.

use crate::fhir::bundle::BundleIndex;
use crate::fhir::{self, coding};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which member apps may read a case, as found at receipt. Whoever shows a case looks at its request again; this is for
/// counting and paging without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppAccess {
    /// Every app that the member connected.
    #[default]
    All,
    /// Those with which the member shares sensitive care.
    Sensitive,
    /// None: the request has only items that are not shown.
    Hidden,
}

impl AppAccess {
    /// The access to a request. `items` are the code system of each item and the item of the claim.
    pub fn of<'a>(
        index: &BundleIndex<'_>,
        items: impl IntoIterator<Item = (&'a str, Option<&'a Value>)>,
    ) -> Self {
        let mut items = items.into_iter();
        if items.all(|(system, requested)| is_drug(system, requested)) {
            Self::Hidden
        } else if is_sensitive(index) {
            Self::Sensitive
        } else {
            Self::All
        }
    }

    /// The value of the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Sensitive => "sensitive",
            Self::Hidden => "hidden",
        }
    }

    /// Whether every app may read the case.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// The code systems of drugs: NDC and `RxNorm`.
const DRUG_SYSTEMS: [&str; 2] = [
    "http://hl7.org/fhir/sid/ndc",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
];

/// Whether an item is a drug. Prior authorizations of drugs do not have to be shown (42 CFR 422.119(b)(1)(v)). The
/// proposed rule CMS-0062 would change that. `requested` is the item of the claim.
pub fn is_drug(system: &str, requested: Option<&Value>) -> bool {
    let concept = requested.and_then(|requested| requested.get("productOrService"));
    DRUG_SYSTEMS.contains(&system)
        || concept.is_some_and(|concept| {
            coding::codings(concept).any(|coding| DRUG_SYSTEMS.contains(&coding.system.as_ref()))
        })
}

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

/// Whether a request is sensitive.
pub fn is_sensitive(index: &BundleIndex<'_>) -> bool {
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

    fn sensitive(resource: &Value) -> bool {
        let bundle = json!({ "entry": [{ "fullUrl": "urn:uuid:1", "resource": resource }] });
        is_sensitive(&BundleIndex::new(&bundle))
    }

    #[test]
    fn a_label_or_a_code_makes_a_request_sensitive() {
        let label = json!({ "system": CONFIDENTIALITY, "code": "R" });
        let labeled = json!({ "resourceType": "Claim", "meta": { "security": [label] } });
        assert!(sensitive(&labeled));
        let with_diagnosis = |code: &str| {
            let concept = json!({ "coding": [{ "system": coding::ICD10CM, "code": code }] });
            json!({ "resourceType": "Claim", "diagnosis": [{ "diagnosisCodeableConcept": concept }] })
        };
        for code in ["F11.20", "B20", "A54.9", "O09.91", "Z30.430", "Z20.2", "N97.9"] {
            assert!(sensitive(&with_diagnosis(code)), "{code}");
        }
        for code in ["J44.9", "Z20.1", "A49.0", "Z79.899"] {
            assert!(!sensitive(&with_diagnosis(code)), "{code}");
        }
        let concept = json!({ "coding": [{ "system": coding::ICD10CM, "code": "O80" }] });
        let condition = json!({ "resourceType": "Condition", "code": concept });
        let order = json!({ "resourceType": "ServiceRequest", "reasonCode": [concept] });
        assert!(sensitive(&condition) && sensitive(&order));
    }

    #[test]
    fn a_request_for_drugs_alone_is_not_shown_and_a_label_decides_about_the_rest() {
        let label = json!({ "system": CONFIDENTIALITY, "code": "R" });
        let plain = json!({ "entry": [{ "resource": { "resourceType": "Claim" } }] });
        let labeled = json!({ "entry": [{ "resource": { "resourceType": "Claim", "meta": { "security": [label] } } }] });
        let access = |bundle: &Value, systems: &[&str]| {
            AppAccess::of(
                &BundleIndex::new(bundle),
                systems.iter().map(|system| (*system, None)),
            )
        };
        let [ndc, _] = DRUG_SYSTEMS;
        assert_eq!(access(&plain, &[coding::HCPCS]), AppAccess::All);
        assert_eq!(access(&plain, &[ndc, coding::HCPCS]), AppAccess::All);
        assert_eq!(access(&labeled, &[coding::HCPCS]), AppAccess::Sensitive);
        assert_eq!(access(&labeled, &[ndc]), AppAccess::Hidden);
        let concept = json!({ "productOrService": { "coding": [{ "system": ndc, "code": "1" }] } });
        assert!(is_drug("", Some(&concept)) && !is_drug(coding::HCPCS, None));
    }
}
