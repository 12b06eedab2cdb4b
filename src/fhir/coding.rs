//! Codes with their systems, and the one place where spellings of a system become one.

use serde_json::Value;
use std::borrow::Cow;

/// HCPCS level II, in the spelling that this house stores.
pub const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
/// CPT: numbers only, the words belong to the AMA.
pub const CPT: &str = "http://www.ama-assn.org/go/cpt";
/// X12 service type codes (data element 1365).
pub const SERVICE_TYPE: &str = "https://codesystem.x12.org/005010/1365";
/// LOINC.
pub const LOINC: &str = "http://loinc.org";
/// ICD-10-CM.
pub const ICD10CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";

/// A code and its system, borrowed from the message. The system is in its stored spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coding<'a> {
    /// The system's URL as this house spells it; empty when the message names none.
    pub system: Cow<'a, str>,
    /// The code.
    pub code: &'a str,
    /// What the sender calls it.
    pub display: Option<&'a str>,
}

impl<'a> Coding<'a> {
    /// Reads a `Coding`; one without a code is none.
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

/// The code that a `CodeableConcept` has in `system` (stored spelling).
pub fn code_in<'a>(concept: &'a Value, system: &str) -> Option<&'a str> {
    codings(concept).find(|c| c.system == system).map(|c| c.code)
}

/// The stored spelling of a code system's URL (`crd.md` 9.4, `pas.md` 11): senders write `https`, OIDs and old
/// drafts' hosts for the same system.
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
        old if old.starts_with("http://codesystem.x12.org/") => {
            Cow::Owned(old.replacen("http://", "https://", 1))
        }
        other => Cow::Borrowed(other),
    }
}

/// Whether a code under this system can be billed: CPT, HCPCS, NDC, ICD-10-PCS or an X12 service type. A CPT-shaped
/// number under the HCPCS system counts (`pas.md` 11).
pub fn is_billing_system(system: &str) -> bool {
    matches!(
        system,
        HCPCS
            | CPT
            | SERVICE_TYPE
            | "http://hl7.org/fhir/sid/ndc"
            | "http://www.cms.gov/Medicare/Coding/ICD10"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_system_become_one() {
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
