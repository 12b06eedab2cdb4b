//! Modifiers that the server does not understand, and requests that are about an earlier one: neither is ever decided as
//! a new request.

use super::submit::assert_business_error;
use super::{FORM, assert_valid_response, resource_mut, review_actions};
use crate::support::{TestApp, both};
use serde_json::{Value, json};

const SD: &str = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition";
const CERTIFICATION_TYPE: &str =
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-certificationType";
const CLAIM: &str = "Bundle.entry[0].resource";

/// A request that is approved at once.
fn request(app: &TestApp) -> Value {
    app.messages().oxygen_request(FORM, None, 87, "normal")
}

fn certification_type(codings: &Value) -> Value {
    json!({ "url": CERTIFICATION_TYPE, "valueCodeableConcept": { "coding": codings } })
}

fn x12(code: &str) -> Value {
    json!([{ "system": "https://codesystem.x12.org/005010/1322", "code": code }])
}

fn cancelled(value: &Value) -> Value {
    json!([{ "url": format!("{SD}/modifierextension-infoCancelled"), "valueBoolean": value }])
}

both! {
    async fn an_unknown_modifier_of_what_decides_is_refused_with_its_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let unknown = json!([{ "url": "https://ehr.example/not", "valueBoolean": true }]);
        for (pointer, place) in [
            ("/entry/0/resource", "Bundle.entry[0].resource.modifierExtension[0]"),
            ("/entry/0/resource/item/0", "Bundle.entry[0].resource.item[0].modifierExtension[0]"),
            ("/entry/0/resource/item/0/quantity", "Bundle.entry[0].resource.item[0].quantity.modifierExtension[0]"),
            ("/entry/0/resource/insurance/0", "Bundle.entry[0].resource.insurance[0].modifierExtension[0]"),
            ("/entry/0/resource/supportingInfo/1", "Bundle.entry[0].resource.supportingInfo[1].modifierExtension[0]"),
            ("/entry/1/resource", "Bundle.entry[1].resource.modifierExtension[0]"),
            ("/entry/1/resource/name/0", "Bundle.entry[1].resource.name[0].modifierExtension[0]"),
            ("/entry/2/resource", "Bundle.entry[2].resource.modifierExtension[0]"),
            ("/entry/0", "Bundle.entry[0].modifierExtension[0]"),
        ] {
            let mut request = request(app);
            request.pointer_mut(pointer).unwrap()["modifierExtension"] = unknown.clone();
            assert_eq!(ehr.submit(&request).await.places(422), [place], "{pointer}");
        }
        for (pointer, place) in [
            ("", "Bundle.implicitRules"),
            ("/entry/0/resource", "Bundle.entry[0].resource.implicitRules"),
            ("/entry/1/resource", "Bundle.entry[1].resource.implicitRules"),
            ("/entry/2/resource", "Bundle.entry[2].resource.implicitRules"),
        ] {
            let mut request = request(app);
            request.pointer_mut(pointer).unwrap()["implicitRules"] = json!("https://ehr.example/rules");
            assert_eq!(ehr.submit(&request).await.places(422), [place], "{pointer}");
        }
        let mut inquiry = app.messages().inquiry("RF-1");
        inquiry["entry"][0]["resource"]["item"][0]["modifierExtension"] = unknown;
        let place = "Bundle.entry[0].resource.item[0].modifierExtension[0]";
        assert_eq!(ehr.inquire(&inquiry).await.places(422), [place]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn the_mark_of_a_withdrawn_element_is_understood_only_where_the_guide_has_it(app: &TestApp) {
        let ehr = app.ehr().await;
        for (pointer, mark) in [
            ("/entry/0/resource", cancelled(&json!(false))),
            ("/entry/1/resource", cancelled(&json!(false))),
            ("/entry/0/resource/item/0/quantity", cancelled(&json!(false))),
            ("/entry/0/resource/item/0", cancelled(&json!("false"))),
            ("/entry/0/resource/item/0", json!([{ "url": format!("{SD}/modifierextension-infoCancelled") }])),
        ] {
            let mut request = request(app);
            request.pointer_mut(pointer).unwrap()["modifierExtension"] = mark;
            assert_eq!(ehr.submit(&request).await.places(422).len(), 1, "{pointer}");
        }
    }

    async fn marks_that_mean_nothing_on_a_first_request_change_nothing(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut marked = request(app);
        let claim = resource_mut(&mut marked, "Claim");
        claim["item"][0]["modifierExtension"] = cancelled(&json!(false));
        claim["supportingInfo"][0]["modifierExtension"] = cancelled(&json!(false));
        let extensions = claim["item"][0]["extension"].as_array_mut().unwrap();
        extensions.push(json!({ "url": format!("{SD}/extension-infoChanged"), "valueCode": "added" }));
        claim["extension"].as_array_mut().unwrap().push(certification_type(&x12("I")));
        assert_eq!(review_actions(&ehr.submitted(&marked).await), ["A1"]);
        let mut empty = request(app);
        let claim = resource_mut(&mut empty, "Claim");
        claim["implicitRules"] = Value::Null;
        claim["modifierExtension"] = json!([]);
        claim["item"][0]["modifierExtension"] = Value::Null;
        assert_eq!(review_actions(&ehr.submitted(&empty).await), ["A1"]);
        app.run_jobs().await;
    }

    async fn a_certification_type_other_than_initial_is_never_decided_as_a_new_request(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let old = json!([{ "system": "http://codesystem.x12.org/005010/1322", "code": "3" }]);
        let both = json!([x12("I")[0], x12("3")[0]]);
        let local = json!([{ "system": "https://ehr.example/types", "code": "I" }]);
        let mut types: Vec<Value> = ["1", "2", "3", "4", "S", "R", "i", "X", ""].map(x12).to_vec();
        types.extend([old, both, local, json!([{ "code": "3" }]), json!([])]);
        for codings in types {
            let mut of_item = request(app);
            of_item["entry"][0]["resource"]["item"][0]["extension"][1] = certification_type(&codings);
            let mut of_claim = request(app);
            of_claim["entry"][0]["resource"]["extension"].as_array_mut().unwrap().push(certification_type(&codings));
            for (request, element) in [(of_item, ".item[0]"), (of_claim, "")] {
                let bundle = ehr.submit(&request).await.json(200);
                assert_valid_response(&bundle, Some(&request));
                assert_business_error(&bundle, "33", &format!("{CLAIM}{element}.extension('{CERTIFICATION_TYPE}')"));
            }
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_local_coding_beside_the_initial_certification_type_changes_nothing(app: &TestApp) {
        let mut request = request(app);
        let codings = json!([{ "system": "https://ehr.example/types", "code": "3" }, x12("I")[0]]);
        request["entry"][0]["resource"]["item"][0]["extension"][1] = certification_type(&codings);
        assert_eq!(review_actions(&app.ehr().await.submitted(&request).await), ["A1"]);
        app.run_jobs().await;
    }

    async fn a_withdrawn_element_is_never_decided_as_a_new_request(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        for element in ["item[0]", "supportingInfo[1]"] {
            let mut request = request(app);
            let pointer = format!("/entry/0/resource/{}", element.replace('[', "/").replace(']', ""));
            request.pointer_mut(&pointer).unwrap()["modifierExtension"] = cancelled(&json!(true));
            let bundle = ehr.submit(&request).await.json(200);
            assert_business_error(&bundle, "33", &format!("{CLAIM}.{element}.modifierExtension[0]"));
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_empty_element_is_the_same_as_none(app: &TestApp) {
        let ehr = app.ehr().await;
        for nothing in [Value::Null, json!([]), json!([null])] {
            let mut first = request(app);
            resource_mut(&mut first, "Claim")["related"] = nothing.clone();
            assert_eq!(review_actions(&ehr.submitted(&first).await), ["A1"], "{nothing}");
            let mut without_priority = request(app);
            resource_mut(&mut without_priority, "Claim")["priority"] = nothing.clone();
            let places = ehr.submit(&without_priority).await.places(422);
            assert_eq!(places, ["Bundle.entry[0].resource.priority"], "{nothing}");
        }
        app.run_jobs().await;
    }
}
