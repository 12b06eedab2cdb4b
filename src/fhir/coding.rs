//! Codes with their systems. The only module that maps the spellings of a code system's URL to one URL.

use serde_json::{Value, json};
use std::borrow::Cow;

/// HCPCS level II, in the spelling that this server stores.
pub const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
/// CPT. The server stores CPT codes without descriptions, which are licensed by the AMA.
pub const CPT: &str = "http://www.ama-assn.org/go/cpt";
/// X12 service type codes (data element 1365).
pub const SERVICE_TYPE: &str = "https://codesystem.x12.org/005010/1365";
/// LOINC.
pub const LOINC: &str = "http://loinc.org";
/// ICD-10-CM: diagnoses.
pub const ICD10CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
/// ICD-10-PCS: procedures in hospitals.
pub const ICD10PCS: &str = "http://www.cms.gov/Medicare/Coding/ICD10";
/// NDC: drugs by package.
pub const NDC: &str = "http://hl7.org/fhir/sid/ndc";
/// `RxNorm`: drugs by ingredient, strength and form.
pub const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
/// SNOMED CT.
pub const SNOMED: &str = "http://snomed.info/sct";
/// CVX: vaccines.
pub const CVX: &str = "http://hl7.org/fhir/sid/cvx";

/// A code and its system, borrowed from the message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coding<'a> {
    /// The system's URL in the stored spelling; empty when the message names no system.
    pub system: Cow<'a, str>,
    /// `Coding.code`.
    pub code: &'a str,
    /// `Coding.display`, the sender's description.
    pub display: Option<&'a str>,
}

impl<'a> Coding<'a> {
    /// Reads a `Coding`; `None` without a code.
    pub fn read(coding: &'a Value) -> Option<Self> {
        Some(Self {
            system: normal_system(coding.get("system").and_then(Value::as_str).unwrap_or("")),
            code: coding.get("code")?.as_str()?,
            display: coding.get("display").and_then(Value::as_str),
        })
    }
}

/// The codings of a `CodeableConcept`.
pub fn codings(concept: &Value) -> impl Iterator<Item = Coding<'_>> {
    super::list(concept, "coding").filter_map(Coding::read)
}

/// The first code of a `CodeableConcept` in `system` (stored spelling).
pub fn code_in<'a>(concept: &'a Value, system: &str) -> Option<&'a str> {
    codings(concept).find(|c| c.system == system).map(|c| c.code)
}

/// The first coding of a `CodeableConcept` that can be billed, otherwise the first one.
pub fn billing_coding(concept: &Value) -> Option<Coding<'_>> {
    codings(concept)
        .find(|c| is_billing_system(&c.system))
        .or_else(|| codings(concept).next())
}

/// A `CodeableConcept` with one coding.
pub fn concept(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}

/// The stored spelling of a code system's URL. Senders also write `https`, OIDs and the hosts of old drafts for the
/// same system.
pub fn normal_system(system: &str) -> Cow<'_, str> {
    let system = system.trim_end_matches('/');
    match system {
        "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
        | "urn:oid:2.16.840.1.113883.6.285"
        | "https://bluebutton.cms.gov/resources/codesystem/hcpcs" => Cow::Borrowed(HCPCS),
        "https://www.ama-assn.org/go/cpt" | "urn:oid:2.16.840.1.113883.6.12" => Cow::Borrowed(CPT),
        "https://x12.org/codes/service-type-codes" => Cow::Borrowed(SERVICE_TYPE),
        "urn:oid:2.16.840.1.113883.6.1" => Cow::Borrowed(LOINC),
        "urn:oid:2.16.840.1.113883.6.90" => Cow::Borrowed(ICD10CM),
        "https://www.cms.gov/Medicare/Coding/ICD10" | "urn:oid:2.16.840.1.113883.6.4" => {
            Cow::Borrowed(ICD10PCS)
        }
        "urn:oid:2.16.840.1.113883.6.69" => Cow::Borrowed(NDC),
        "urn:oid:2.16.840.1.113883.6.88" => Cow::Borrowed(RXNORM),
        "urn:oid:2.16.840.1.113883.6.96" => Cow::Borrowed(SNOMED),
        "urn:oid:2.16.840.1.113883.12.292" => Cow::Borrowed(CVX),
        insecure if insecure.starts_with("http://codesystem.x12.org/") => {
            Cow::Owned(insecure.replacen("http://", "https://", 1))
        }
        other => Cow::Borrowed(other),
    }
}

/// Whether codes of this system (stored spelling) can be billed: CPT, HCPCS, NDC, ICD-10-PCS and X12 service types.
pub fn is_billing_system(system: &str) -> bool {
    matches!(system, HCPCS | CPT | SERVICE_TYPE | NDC | ICD10PCS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_system_maps_to_one_url() {
        for spelling in [
            HCPCS,
            "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
            "urn:oid:2.16.840.1.113883.6.285",
            "https://bluebutton.cms.gov/resources/codesystem/hcpcs",
        ] {
            assert_eq!(normal_system(spelling), HCPCS);
        }
        assert_eq!(
            normal_system("http://codesystem.x12.org/005010/1365"),
            SERVICE_TYPE
        );
    }
}
