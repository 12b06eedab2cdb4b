//! Addresses that PDex 2.2.0 fixes: profiles, extensions, code systems. Where PDex spells a system otherwise than this
//! house stores it, the translation is here too (PDex section "Prior Authorization", value sets of the profile).

use crate::fhir::coding::{self, Coding};
use serde_json::{Value, json};

/// The prior authorization profile; 2.0.0 wants it with its version, later editions without.
pub const PROFILE: &str = "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/pdex-priorauthorization";
/// US Core's Patient.
pub const US_CORE_PATIENT: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient";
/// US Core's Organization.
pub const US_CORE_ORGANIZATION: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-organization";
/// US Core's Practitioner.
pub const US_CORE_PRACTITIONER: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-practitioner";
/// US Core's Location.
pub const US_CORE_LOCATION: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-location";
/// HRex's Coverage.
pub const HREX_COVERAGE: &str = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-coverage";

/// `reviewAction` as PDex spells it; PAS has its own.
pub const REVIEW_ACTION: &str =
    "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/extension-reviewAction";
/// The code inside `reviewAction`: its url is the full one.
pub const REVIEW_ACTION_CODE: &str =
    "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/extension-reviewActionCode";
/// When a line was decided.
pub const WHEN_ADJUDICATED: &str =
    "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/base-ext-when-adjudicated";
/// Level of service, on the resource.
pub const LEVEL_OF_SERVICE: &str =
    "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/extension-levelOfServiceCode";
/// Level of service, as a PAS request spells it.
pub const PAS_LEVEL_OF_SERVICE: &str =
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-levelOfServiceCode";

/// A PAS extension of a line; PDex takes these with PAS's own urls.
pub fn pas_extension(name: &str) -> String {
    format!("http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-{name}")
}

/// X12 306: review action codes.
pub const X12_306: &str = "https://codesystem.x12.org/005010/306";
/// X12 list 886: reasons of a review decision.
pub const X12_886: &str = "https://codesystem.x12.org/external/886";
/// Claim adjustment reason codes.
pub const CARC: &str = "https://x12.org/codes/claim-adjustment-reason-codes";
/// Kinds of amounts, of HL7's terminology.
pub const ADJUDICATION: &str = "http://terminology.hl7.org/CodeSystem/adjudication";
/// What tells the slices of an adjudication apart.
pub const DISCRIMINATOR: &str =
    "http://hl7.org/fhir/us/davinci-pdex/CodeSystem/PDexAdjudicationDiscriminator";
/// In network, out of network, other.
pub const PAYER_STATUS: &str = "http://hl7.org/fhir/us/davinci-pdex/CodeSystem/PDexPayerAdjudicationStatus";
/// What a total stands for.
pub const VALUE_CODES: &str = "http://hl7.org/fhir/us/davinci-pdex/CodeSystem/PriorAuthorizationValueCodes";
/// Why an element holds no code.
pub const DATA_ABSENT: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";

const HCPCS: &str = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
const HIPPS: &str =
    "https://www.cms.gov/Medicare/Medicare-Fee-for-Service-Payment/ProspMedicareFeeSvcPmtGen/HIPPSCodes";
const SERVICE_TYPE: &str = "https://x12.org/codes/service-type-codes";

/// `item.productOrService`: the codes as sent, HCPCS in PDex's spelling. A line without a CPT, HCPCS or HIPPS code
/// also gets the one absent-reason that the required value set holds.
pub fn product_or_service(sent: &Value) -> Value {
    let mut listed = false;
    let mut codings: Vec<Value> = coding::codings(sent)
        .map(|c| {
            let system = if c.system == coding::HCPCS {
                HCPCS
            } else {
                &c.system
            };
            listed |= matches!(system, HCPCS | HIPPS | coding::CPT);
            coding_json(system, &c)
        })
        .collect();
    if !listed {
        codings.push(json!({ "system": DATA_ABSENT, "code": "not-applicable" }));
    }
    let mut concept = json!({ "coding": codings });
    if let Some(text) = sent.get("text") {
        crate::fhir::put(&mut concept, "text", text.clone());
    }
    concept
}

/// `item.category`: the X12 service type in PDex's spelling; another system has no place there.
pub fn service_type(sent: &Value) -> Option<Value> {
    let code = coding::code_in(sent, coding::SERVICE_TYPE)?;
    Some(json!({ "coding": [{ "system": SERVICE_TYPE, "code": code }] }))
}

/// A coding with the sender's words, except in systems whose words are licensed.
fn coding_json(system: &str, sent: &Coding<'_>) -> Value {
    let mut coding = json!({ "code": sent.code });
    if !system.is_empty() {
        crate::fhir::put(&mut coding, "system", json!(system));
    }
    let licensed = system == coding::CPT || system.contains("x12.org") || system.contains("nubc.org");
    if let Some(display) = sent.display.filter(|_| !licensed) {
        crate::fhir::put(&mut coding, "display", json!(display));
    }
    coding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hcpcs_code_gets_the_spelling_of_pdex_and_keeps_its_words() {
        let sent = json!({ "coding": [{ "system": coding::HCPCS, "code": "E1390", "display": "Oxygen concentrator" }] });
        let shown = product_or_service(&sent);
        assert_eq!(
            shown,
            json!({ "coding": [{ "system": HCPCS, "code": "E1390", "display": "Oxygen concentrator" }] })
        );
    }

    #[test]
    fn a_line_without_a_listed_code_says_that_none_applies() {
        let sent = json!({ "coding": [{ "system": coding::SERVICE_TYPE, "code": "3", "display": "licensed words" }] });
        let shown = product_or_service(&sent);
        assert_eq!(shown.pointer("/coding/1/code"), Some(&json!("not-applicable")));
        assert_eq!(shown.pointer("/coding/0/display"), None);
        assert_eq!(
            service_type(&sent).unwrap().pointer("/coding/0/system"),
            Some(&json!(SERVICE_TYPE))
        );
    }
}
