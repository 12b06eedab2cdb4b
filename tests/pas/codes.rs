//! Amounts and codes of a request: what is not shaped like a code of its system is refused, modifiers are facts of the
//! item, and every coding of a concept counts.

use super::{FORM, SD, case, case_id, resource_mut, review_actions};
use crate::support::{TestApp, both};
use assent::rules::Decision;
use serde_json::{Value, json};

const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
const CPT: &str = "http://www.ama-assn.org/go/cpt";
const LOCAL: &str = "https://ehr.demo.example/codes";
const ITEM: &str = "Bundle.entry[0].resource.item[0]";

/// A request that is approved at once, with a change to its item.
fn with_item(app: &TestApp, change: impl FnOnce(&mut Value)) -> Value {
    let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
    change(&mut resource_mut(&mut request, "Claim")["item"][0]);
    request
}

fn concept(codings: &[(&str, &str)]) -> Value {
    let codings: Vec<Value> = codings
        .iter()
        .map(|(system, code)| json!({ "system": system, "code": code }))
        .collect();
    json!({ "coding": codings })
}

/// The queue and the reason of the pend of item 1.
async fn pend(app: &TestApp, request: &Value) -> (String, String) {
    let claim_response = app.ehr().await.submitted(request).await;
    let case = case(app, case_id(&claim_response)).await;
    match &case.items[0].verdict.decision {
        Decision::Pend(pend) => (pend.queue.clone(), pend.reason.clone()),
        other => panic!("{other:?}"),
    }
}

both! {
    async fn a_service_that_is_not_shaped_like_a_code_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        for (system, code) in [
            (HCPCS, "E1390-RR"),
            (HCPCS, "e1390"),
            (HCPCS, "X"),
            (HCPCS, "E1390 "),
            (HCPCS, "E1390RR"),
            (HCPCS, ""),
            ("https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "e1390"),
            (CPT, "99212-25"),
            ("http://hl7.org/fhir/sid/ndc", "4096531"),
            ("http://www.cms.gov/Medicare/Coding/ICD10", "021009"),
            ("https://codesystem.x12.org/005010/1365", "a1"),
        ] {
            let request = with_item(app, |item| item["productOrService"] = concept(&[(system, code)]));
            assert_eq!(ehr.submit(&request).await.places(422), [format!("{ITEM}.productOrService.coding[0].code")], "{code:?}");
        }
        let second = with_item(app, |item| item["productOrService"] = concept(&[(HCPCS, "E1390"), (HCPCS, "E1390-RR")]));
        assert_eq!(ehr.submit(&second).await.places(422), [format!("{ITEM}.productOrService.coding[1].code")]);
        let mut inquiry = app.messages().inquiry("RF-1");
        inquiry["entry"][0]["resource"]["item"][0]["productOrService"] = concept(&[(HCPCS, "e1390")]);
        assert_eq!(ehr.inquire(&inquiry).await.places(422), [format!("{ITEM}.productOrService.coding[0].code")]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_code_of_a_system_that_is_not_for_billing_waits_for_intake(app: &TestApp) {
        for (system, code) in [("http://snomed.info/sct", "426990007"), (LOCAL, "E1390-RR"), ("", "E1390")] {
            let request = with_item(app, |item| item["productOrService"] = concept(&[(system, code)]));
            assert_eq!(pend(app, &request).await, ("intake".to_owned(), "detail-code".to_owned()), "{system}");
        }
    }

    async fn a_modifier_has_its_own_element_and_is_a_fact_of_the_item(app: &TestApp) {
        let ehr = app.ehr().await;
        let modified = with_item(app, |item| item["modifier"] = json!([concept(&[(LOCAL, "rental"), (HCPCS, "RR")])]));
        assert_eq!(review_actions(&ehr.submitted(&modified).await), ["A1"]);
        for code in ["rr", "R", "RR-KX", "RR "] {
            let request = with_item(app, |item| item["modifier"] = json!([concept(&[(HCPCS, code)])]));
            assert_eq!(ehr.submit(&request).await.places(422), [format!("{ITEM}.modifier[0].coding[0].code")], "{code:?}");
        }
        app.run_jobs().await;
    }

    async fn a_diagnosis_that_is_not_shaped_like_a_code_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let with_diagnosis = |code: &str| {
            let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
            let concept = concept(&[(LOCAL, "copd"), ("http://hl7.org/fhir/sid/icd-10-cm", code)]);
            resource_mut(&mut request, "Claim")["diagnosis"] = json!([{ "sequence": 1, "diagnosisCodeableConcept": concept }]);
            request
        };
        let place = "Bundle.entry[0].resource.diagnosis[0].diagnosisCodeableConcept.coding[1].code";
        for code in ["j44.9", "J449", "J44.9 "] {
            assert_eq!(ehr.submit(&with_diagnosis(code)).await.places(422), [place], "{code:?}");
        }
        assert_eq!(review_actions(&ehr.submitted(&with_diagnosis("J44.9")).await), ["A1"]);
        app.run_jobs().await;
    }

    async fn a_range_of_codes_and_two_services_in_one_item_wait_for_intake(app: &TestApp) {
        let range = with_item(app, |item| {
            item["extension"].as_array_mut().unwrap().push(json!({
                "url": format!("{SD}/extension-productOrServiceCodeEnd"),
                "valueCodeableConcept": concept(&[(HCPCS, "E1392")]),
            }));
        });
        assert_eq!(pend(app, &range).await, ("intake".to_owned(), "range-of-codes".to_owned()));
        let two = with_item(app, |item| item["productOrService"] = concept(&[(HCPCS, "E1390"), (HCPCS, "B4184")]));
        assert_eq!(pend(app, &two).await, ("intake".to_owned(), "several-services".to_owned()));
        let same = with_item(app, |item| item["productOrService"] = concept(&[(LOCAL, "o2"), (HCPCS, "E1390"), (CPT, "E1390")]));
        assert_eq!(review_actions(&app.ehr().await.submitted(&same).await), ["A1"]);
        app.run_jobs().await;
    }

    async fn an_amount_that_cannot_be_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let months = |value: Value| json!({ "value": value, "unit": "MO", "system": "https://codesystem.x12.org/005010/673", "code": "MO" });
        for (quantity, place) in [
            (months(json!(0)), "value"),
            (months(json!(0.0)), "value"),
            (months(json!(-12)), "value"),
            (months(json!("12")), "value"),
            (json!({ "unit": "MO" }), "value"),
            (json!({ "value": 12 }), "unit"),
            (json!({ "value": 12, "unit": " " }), "unit"),
            (json!({ "value": 12, "unit": "MO", "comparator": "<" }), "comparator"),
        ] {
            let request = with_item(app, |item| item["quantity"] = quantity.clone());
            assert_eq!(ehr.submit(&request).await.places(422), [format!("{ITEM}.quantity.{place}")], "{quantity}");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn every_coding_of_priority_and_level_of_service_can_expedite(app: &TestApp) {
        let ehr = app.ehr().await;
        let level_url = format!("{SD}/extension-levelOfServiceCode");
        let priority = "http://terminology.hl7.org/CodeSystem/processpriority";
        let level = "https://codesystem.x12.org/005010/1338";
        for (priorities, levels, urgent) in [
            (vec![(LOCAL, "X"), (priority, "stat")], vec![], true),
            (vec![(priority, "stat"), (LOCAL, "X")], vec![], true),
            (vec![(priority, "normal")], vec![(LOCAL, "X"), (level, "U")], true),
            (vec![(priority, "normal")], vec![("http://codesystem.x12.org/005010/1338", "03")], true),
            (vec![(priority, "normal")], vec![(LOCAL, "U"), (level, "E")], false),
            (vec![(LOCAL, "X"), (priority, "normal")], vec![], false),
        ] {
            let mut request = app.messages().oxygen_request(FORM, None, 91, "normal");
            let claim = resource_mut(&mut request, "Claim");
            claim["priority"] = concept(&priorities);
            if !levels.is_empty() {
                let extension = json!({ "url": level_url, "valueCodeableConcept": concept(&levels) });
                claim["extension"].as_array_mut().unwrap().push(extension);
            }
            let case = case(app, case_id(&ehr.submitted(&request).await)).await;
            assert_eq!(case.received.urgent, urgent, "{priorities:?} {levels:?}");
        }
    }

    async fn a_local_coding_may_stand_before_the_one_that_counts(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let claim = resource_mut(&mut request, "Claim");
        claim["type"]["coding"].as_array_mut().unwrap().insert(0, json!({ "system": LOCAL, "code": "X" }));
        let item = &mut claim["item"][0];
        for element in ["category", "locationCodeableConcept", "productOrService"] {
            item[element]["coding"].as_array_mut().unwrap().insert(0, json!({ "system": LOCAL, "code": "X" }));
        }
        let id = case_id(&ehr.submitted(&request).await);
        let case = case(app, id).await;
        assert_eq!((case.items[0].system.as_str(), case.items[0].code.as_str()), (HCPCS, "E1390"));
        // An inquiry finds the case by any coding of its item.
        for (system, code, found) in [(HCPCS, "E1390", true), (LOCAL, "X", true), (CPT, "99212", false)] {
            let mut inquiry = app.messages().inquiry("");
            let item = &mut inquiry["entry"][0]["resource"]["item"][0];
            item.as_object_mut().unwrap().remove("extension");
            item["productOrService"] = concept(&[(system, code)]);
            let parameters = ehr.inquire(&inquiry).await.json(200);
            assert_eq!(parameters.get("parameter").is_some(), found, "{system} {code}");
        }
    }
}
