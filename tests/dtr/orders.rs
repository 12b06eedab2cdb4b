//! Orders in a request for forms: an order of somebody else is rejected, one that is not understood or does not count gets
//! no form, and references to what is ordered are followed.

use super::input;
use crate::support::{Ehr, TestApp, both};
use assent::demo::walk::messages::{Messages, extension, parameter};
use serde_json::{Value, json};

const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
const ORDER: &str = "Parameters.parameter[1].resource";

fn oxygen(more: Value) -> Value {
    let mut order = json!({ "resourceType": "ServiceRequest", "id": "oxygen", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": HCPCS, "code": "E1390" }] }, "subject": { "reference": "Patient/p1" } });
    for (name, value) in more.as_object().unwrap() {
        order[name] = value.clone();
    }
    order
}

fn medication_order(reference: &str) -> Value {
    json!({ "resourceType": "MedicationRequest", "id": "toxin", "status": "draft", "intent": "order",
        "subject": { "reference": "Patient/p1" }, "medicationReference": { "reference": reference } })
}

fn medication(id: &str) -> Value {
    json!({ "resourceType": "Medication", "id": id, "code": { "coding": [
        { "system": "https://ehr.example.org/catalog", "code": "1" }, { "system": HCPCS, "code": "J0585" },
    ] } })
}

fn order(resource: Value) -> Value {
    json!({ "name": "order", "resource": resource })
}

fn referenced(resource: Value) -> Value {
    json!({ "name": "referenced", "resource": resource })
}

fn modifier() -> Value {
    json!([{ "url": "https://ehr.example.org/only-if", "valueBoolean": true }])
}

/// The ids of the forms, and the text of each issue.
#[track_caller]
fn result(output: &Value) -> (Vec<String>, Vec<String>) {
    let all = output["parameter"].as_array().unwrap();
    let bundles = all.iter().filter(|p| p["name"] == "packagebundle");
    let forms = bundles.map(|p| {
        p["resource"]["entry"][0]["resource"]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    let issues = parameter(output, "outcome").map(|p| p["resource"]["issue"].as_array().unwrap().clone());
    let texts = issues.unwrap_or_default();
    let texts = texts
        .iter()
        .map(|issue| issue["details"]["text"].as_str().unwrap().to_owned());
    (forms.collect(), texts.collect())
}

/// Asks for the forms of an order and expects none, with one issue that has these words.
async fn assert_no_form(ehr: &Ehr<'_>, resource: Value, words: &str) {
    let (forms, issues) = result(&ehr.package(&input(vec![order(resource.clone())])).await.json(200));
    assert!(forms.is_empty(), "{resource}");
    assert!(
        issues.len() == 1 && issues[0].contains(words),
        "{resource}: {issues:?}"
    );
}

/// The coverage-assertion-id of the only order of a hook call.
async fn assertion_id(app: &TestApp, ehr: &Ehr<'_>, change: impl FnOnce(&mut Value)) -> String {
    let mut call = app.messages().order_sign_hook();
    call["context"]["draftOrders"]["entry"]
        .as_array_mut()
        .unwrap()
        .pop();
    change(&mut call);
    let response = ehr.hook("order-sign-crd", &call).await.json(200);
    let order = &response["systemActions"][0]["resource"];
    let url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
    let id = extension(extension(order, url).unwrap(), "coverage-assertion-id").unwrap();
    id["valueString"].as_str().unwrap().to_owned()
}

both! {
    async fn an_order_of_another_patient_gets_no_form(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        for subject in [
            json!({ "reference": "Patient/p2" }),
            json!({ "reference": "#other" }),
            json!({ "display": "Ruth Ellery" }),
            Value::Null,
        ] {
            let contained = json!([{ "resourceType": "Patient", "id": "other" }]);
            let of_other = oxygen(json!({ "subject": subject, "contained": contained }));
            let places = ehr.package(&input(vec![order(of_other)])).await.places(422);
            assert_eq!(places, [format!("{ORDER}.subject")], "{subject}");
        }
        let second = input(vec![order(oxygen(json!({}))), order(oxygen(json!({ "subject": { "reference": "Patient/p2" } })))]);
        assert_eq!(ehr.package(&second).await.places(422), ["Parameters.parameter[2].resource.subject"]);
        assert_eq!(app.row_counts().await, before);
        for subject in ["Patient/p1", "Patient/p1/_history/2", "https://ehr.demo.example/fhir/Patient/p1"] {
            let of_member = oxygen(json!({ "subject": { "reference": subject } }));
            let (forms, _) = result(&ehr.package(&input(vec![order(of_member)])).await.json(200));
            assert_eq!(forms, ["home-oxygen"], "{subject}");
        }
    }

    async fn an_order_that_breaks_fhir_is_rejected_with_its_place(app: &TestApp) {
        let ehr = app.ehr().await;
        for (change, place) in [
            (json!({ "status": null }), "status"),
            (json!({ "authoredOn": "2026-13-45" }), "authoredOn"),
            (json!({ "occurrencePeriod": { "start": "2026-12-02", "end": "2026-12-01" } }), "occurrencePeriod"),
        ] {
            let places = ehr.package(&input(vec![order(oxygen(change.clone()))])).await.places(422);
            assert_eq!(places, [format!("{ORDER}.{place}")], "{change}");
        }
    }

    async fn an_order_that_is_not_understood_or_does_not_count_gets_no_form(app: &TestApp) {
        let ehr = app.ehr().await;
        for (change, words) in [
            (json!({ "modifierExtension": modifier() }), "does not understand"),
            (json!({ "implicitRules": "https://ehr.example.org/rules" }), "does not understand"),
            (json!({ "status": "revoked" }), "status"),
            (json!({ "status": "entered-in-error" }), "status"),
            (json!({ "doNotPerform": true }), "must not be performed"),
            (json!({ "quantityQuantity": { "value": 0, "code": "mo" } }), "greater than zero"),
        ] {
            assert_no_form(&ehr, oxygen(change), words).await;
        }
        for code in ["E1390-RR", "e1390", "E1390RR", "E1390 "] {
            let malformed = oxygen(json!({ "code": { "coding": [{ "system": HCPCS, "code": code }] } }));
            assert_no_form(&ehr, malformed, "not written like a code").await;
        }
    }

    async fn a_coverage_or_patient_with_a_modifier_is_rejected(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut body = input(vec![order(oxygen(json!({})))]);
        body["parameter"][0]["resource"]["modifierExtension"] = modifier();
        assert_eq!(ehr.package(&body).await.places(422), ["Parameters.parameter[0].resource.modifierExtension"]);
        let mut patient = app.messages().order_sign_hook()["prefetch"]["patient"].clone();
        patient["implicitRules"] = json!("https://ehr.example.org/rules");
        let body = input(vec![order(oxygen(json!({}))), referenced(patient)]);
        assert_eq!(ehr.package(&body).await.places(422), ["Parameters.parameter[2].resource.implicitRules"]);
    }

    async fn what_is_ordered_is_found_contained_or_referenced(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut contained = medication_order("#md");
        contained["contained"] = json!([medication("md")]);
        for parameters in [
            vec![order(contained)],
            vec![order(medication_order("Medication/md")), referenced(medication("md"))],
            vec![referenced(medication("md")), order(medication_order("https://ehr.demo.example/fhir/Medication/md/_history/1"))],
        ] {
            let (forms, issues) = result(&ehr.package(&input(parameters.clone())).await.json(200));
            assert_eq!(forms, ["botulinum-toxin"], "{parameters:?} {issues:?}");
        }
        assert_no_form(&ehr, medication_order("#md"), "no code that can be billed").await;
        let mut modified = medication("md");
        modified["modifierExtension"] = modifier();
        let parameters = vec![order(medication_order("Medication/md")), referenced(modified)];
        let (forms, issues) = result(&ehr.package(&input(parameters)).await.json(200));
        assert!(forms.is_empty() && issues[0].contains("does not understand"), "{issues:?}");
    }

    async fn a_context_alone_follows_the_references_that_the_hook_followed(app: &TestApp) {
        let ehr = app.ehr().await;
        let urn = "urn:uuid:6b1f2d0e-2d4f-4a7c-9a43-0c5f0f5f1c11";
        let id = assertion_id(app, &ehr, |call| {
            let mut found = medication("md");
            found.as_object_mut().unwrap().remove("id");
            call["context"]["draftOrders"]["entry"][0]["resource"] = medication_order(urn);
            let entries = call["context"]["draftOrders"]["entry"].as_array_mut().unwrap();
            entries.push(json!({ "fullUrl": urn, "resource": found }));
        })
        .await;
        let (forms, issues) = result(&ehr.package(&Messages::questionnaire_package_input(&id)).await.json(200));
        assert_eq!(forms, ["botulinum-toxin"], "{issues:?}");
    }

    async fn data_of_another_patient_do_not_fill_a_draft(app: &TestApp) {
        let ehr = app.ehr().await;
        for (subject, filled) in [("Patient/p1", true), ("Patient/p2", false)] {
            let mut oximetry = app.messages().oximetry(87);
            oximetry["subject"]["reference"] = json!(subject);
            let body = input(vec![order(oxygen(json!({}))), referenced(oximetry)]);
            let output = ehr.package(&body).await.json(200);
            let draft = &parameter(&output, "packagebundle").unwrap()["resource"]["entry"][1]["resource"];
            let has_saturation = draft["item"].to_string().contains("\"value\":87");
            assert_eq!(has_saturation, filled, "{subject}");
        }
    }
    async fn a_request_may_have_as_many_orders_and_resources_as_the_limits_say(app: &TestApp) {
        let ehr = app.ehr().await;
        let orders = |count: usize| -> Vec<Value> {
            (0..count).map(|n| order(oxygen(json!({ "id": format!("oxygen-{n}") })))).collect()
        };
        let limits = &app.state.config.limits;
        let output = ehr.package(&input(orders(limits.orders))).await.json(200);
        assert_eq!(result(&output).0.len(), limits.orders, "a form for each order");
        let reply = ehr.package(&input(orders(limits.orders + 1))).await;
        assert_eq!(reply.places(422), ["Parameters.parameter"]);
        assert!(reply.text.contains(&format!("at most {}", limits.orders)), "{}", reply.text);
        let mut parameters = orders(1);
        parameters.extend((0..limits.entries).map(|n| referenced(medication(&format!("m{n}")))));
        assert_eq!(ehr.package(&input(parameters)).await.places(422), ["Parameters.parameter"]);
    }
}
