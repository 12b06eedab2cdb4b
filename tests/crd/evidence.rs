//! What of a call may decide: results and answers that do not count are set aside, which is stored with the call
//! and is part of the case document of each order.

use super::messages::{self, call_order_sign, oxygen_call};
use crate::support::{TestApp, both};
use assent::demo::seed::EHR;
use serde_json::{Value, json};

const FORM: &str = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";

/// The case document that is stored for the oxygen order of a call with this resource in its prefetch.
async fn stored_document(app: &TestApp, resource: Value) -> Value {
    let call = oxygen_call(|call| call["prefetch"]["evidence"] = resource);
    let extension = messages::coverage_information(&call_order_sign(&app.ehr().await, &call).await, "oxygen");
    messages::case_document(app, EHR, &extension).await
}

/// The codes of what was set aside of the resource in the prefetch.
fn codes(document: &Value) -> Vec<&str> {
    let set_aside = document["admission"]["set_aside"].as_array().unwrap();
    let of_resource = set_aside
        .iter()
        .filter(|one| one["path"].as_str().unwrap().starts_with("prefetch.evidence"));
    of_resource.map(|one| one["code"].as_str().unwrap()).collect()
}

both! {
    async fn a_result_that_does_not_count_is_set_aside_and_stored_with_its_reason(app: &TestApp) {
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut oximetry = app.messages().oximetry(87);
            change(&mut oximetry);
            oximetry
        };
        let counted = stored_document(app, changed(&|_| {})).await;
        assert_eq!(codes(&counted), Vec::<&str>::new());
        assert_eq!(counted["res"]["Observation"][0]["id"], "spo2");
        assert_eq!(counted["admission"]["engine_version"], env!("CARGO_PKG_VERSION"));
        let modifier = json!([{ "url": "https://ehr.example.org/not", "valueBoolean": true }]);
        for (resource, code) in [
            (changed(&|o| o["subject"]["reference"] = json!("Patient/p2")), "another-subject"),
            (changed(&|o| o["subject"] = Value::Null), "uncertain-subject"),
            (changed(&|o| o["status"] = json!("preliminary")), "status"),
            (changed(&|o| o["status"] = Value::Null), "status"),
            (changed(&|o| o["status"] = json!("entered-in-error")), "void"),
            (changed(&|o| o["modifierExtension"] = modifier.clone()), "modifier"),
            (changed(&|o| o["implicitRules"] = json!("https://ehr.example.org/rules")), "modifier"),
        ] {
            let document = stored_document(app, resource).await;
            assert_eq!(codes(&document), [code]);
            assert!(document["res"].get("Observation").is_none(), "{code}");
        }
    }

    async fn only_answers_that_their_form_allows_are_read(app: &TestApp) {
        let response = app.messages().oxygen_answers(FORM);
        let condition = "oxygen.test-condition";
        let document = stored_document(app, response.clone()).await;
        assert_eq!(document["answers"][condition], json!(["rest-awake-room-air"]));
        for (name, value) in [
            ("status", json!("in-progress")),
            ("status", json!("entered-in-error")),
            ("subject", json!({ "reference": "Patient/p2" })),
        ] {
            let mut changed = response.clone();
            changed[name] = value.clone();
            let document = stored_document(app, changed).await;
            assert_eq!(document["answers"], json!({}), "{name} {value}");
            assert_eq!(codes(&document).len(), 1, "{name} {value}");
        }
        let mut bogus = response;
        let items = bogus["item"].as_array_mut().unwrap();
        let item = items.iter_mut().find(|item| item["linkId"] == condition).unwrap();
        item["answer"][0]["valueCoding"] = json!({ "code": "bogus" });
        let document = stored_document(app, bogus).await;
        assert_eq!(codes(&document), ["not-an-option"]);
        assert!(document["answers"].get(condition).is_none());
        assert!(document["answers_set_aside"][condition].as_str().unwrap().contains("'bogus'"));
        assert!(document["answers"]["oxygen.dependent-edema"].is_array(), "the other answers count");
    }
}
