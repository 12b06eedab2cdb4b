//! Codes of a request as PDex 2.2.0 shows them: where PDex uses another URL for a code system than the stored data,
//! this module translates it (PDex section "Prior Authorization", value sets of the profile).

use crate::fhir::coding::{self, Coding};
use crate::ig::pdex::DATA_ABSENT;
use serde_json::{Value, json};

const HCPCS: &str = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
const HIPPS: &str =
    "https://www.cms.gov/Medicare/Medicare-Fee-for-Service-Payment/ProspMedicareFeeSvcPmtGen/HIPPSCodes";
const SERVICE_TYPE: &str = "https://x12.org/codes/service-type-codes";

/// `item.productOrService`: the codes as sent, with PDex's URL for HCPCS. An item without a CPT, HCPCS or HIPPS code
/// also gets `not-applicable`, the one data-absent reason in the required value set.
pub fn product_or_service(sent: &Value) -> Value {
    let mut has_required_code = false;
    let mut codings: Vec<Value> = coding::codings(sent)
        .map(|coding| {
            let system = if coding.system == coding::HCPCS {
                HCPCS
            } else {
                &coding.system
            };
            has_required_code |= matches!(system, HCPCS | HIPPS | coding::CPT);
            coding_json(system, &coding)
        })
        .collect();
    if !has_required_code {
        codings.push(json!({ "system": DATA_ABSENT, "code": "not-applicable" }));
    }
    let mut concept = json!({ "coding": codings });
    if let Some(text) = sent.get("text") {
        crate::fhir::put(&mut concept, "text", text.clone());
    }
    concept
}

/// `item.category`: the X12 service type with PDex's URL. `None` if the concept has no code of that system; PDex allows
/// no other.
pub fn service_type(sent: &Value) -> Option<Value> {
    let code = coding::code_in(sent, coding::SERVICE_TYPE)?;
    Some(json!({ "coding": [{ "system": SERVICE_TYPE, "code": code }] }))
}

/// A coding with the display text as sent. Display texts of licensed code systems are left out.
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
    fn an_hcpcs_code_gets_the_pdex_url_and_keeps_its_display_text() {
        let sent = json!({ "coding": [{ "system": coding::HCPCS, "code": "E1390", "display": "Oxygen concentrator" }] });
        let shown = product_or_service(&sent);
        assert_eq!(
            shown,
            json!({ "coding": [{ "system": HCPCS, "code": "E1390", "display": "Oxygen concentrator" }] })
        );
    }

    #[test]
    fn an_item_without_a_billing_code_gets_not_applicable() {
        let sent = json!({ "coding": [{ "system": coding::SERVICE_TYPE, "code": "3", "display": "licensed text" }] });
        let shown = product_or_service(&sent);
        assert_eq!(shown.pointer("/coding/1/code"), Some(&json!("not-applicable")));
        assert_eq!(shown.pointer("/coding/0/display"), None);
        assert_eq!(
            service_type(&sent).unwrap().pointer("/coding/0/system"),
            Some(&json!(SERVICE_TYPE))
        );
    }
}
