//! Whom a call is about: an order, a Patient or a Coverage of somebody else than the context's patient never decides.

use super::messages::{
    self, call_order_sign, call_with_order, coverage, oxygen, oxygen_and_mammography_call, oxygen_call,
    oxygen_with, patient, summary,
};
use crate::support::both;
use serde_json::{Value, json};

const SUBJECT: &str = "context.draftOrders.entry[0].resource.subject";

/// A Patient with an identifier.
fn patient_with_identifier(id: &str, value: &str) -> Value {
    let mut patient = patient();
    patient["id"] = json!(id);
    patient["identifier"] = json!([{ "system": "https://ehr.example.org/mrn", "value": value }]);
    patient
}

/// The prefetch with the Patient `p1`, who has the identifier 1, and more resources.
fn with_patient(call: &mut Value, more: Value) {
    call["prefetch"]["patient"] = patient_with_identifier("p1", "1");
    call["prefetch"]["more"] = more;
}

both! {
    async fn an_order_of_the_patient_is_answered_however_its_subject_is_written(app: &TestApp) {
        let ehr = app.ehr().await;
        let identifier = json!({ "system": "https://ehr.example.org/mrn", "value": "1" });
        let contained = json!([patient_with_identifier("in", "1")]);
        for order in [
            oxygen_with(json!({ "subject": { "reference": "Patient/p1/_history/4" } })),
            oxygen_with(json!({ "subject": { "reference": "https://ehr.example.org/fhir/Patient/p1" } })),
            oxygen_with(json!({ "subject": { "identifier": identifier } })),
            oxygen_with(json!({ "subject": { "reference": "#in" }, "contained": contained })),
        ] {
            let mut call = call_with_order(order.clone());
            with_patient(&mut call, Value::Null);
            assert_eq!(summary(&call_order_sign(&ehr, &call).await, "oxygen"), "covered auth-needed", "{order}");
        }
    }

    async fn an_order_of_somebody_else_is_refused_with_its_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let other_identifier = json!({ "system": "https://ehr.example.org/mrn", "value": "2" });
        let contained = json!([patient_with_identifier("in", "2")]);
        for subject in [
            json!({ "subject": { "reference": "Patient/p2" } }),
            json!({ "subject": { "reference": "https://ehr.example.org/fhir/Patient/p2" } }),
            json!({ "subject": { "reference": "https://other.example/fhir/Patient/p1" } }),
            json!({ "subject": { "reference": "Group/p1" } }),
            json!({ "subject": { "reference": "urn:uuid:0f2c7f0e-0000-4000-8000-000000000000" } }),
            json!({ "subject": { "identifier": other_identifier } }),
            json!({ "subject": { "reference": "#in" }, "contained": contained }),
            json!({ "subject": { "reference": "#out" } }),
            json!({ "subject": { "display": "Ruth Ellery" } }),
            json!({ "subject": null }),
        ] {
            let mut call = call_with_order(oxygen_with(subject.clone()));
            with_patient(&mut call, patient_with_identifier("p2", "2"));
            assert_eq!(call_order_sign(&ehr, &call).await.places(400), [SUBJECT], "{subject}");
        }
        let nutrition = json!({ "resourceType": "NutritionOrder", "id": "n", "status": "draft", "intent": "order",
            "patient": { "reference": "Patient/p2" }, "dateTime": "2026-11-20" });
        let places = call_order_sign(&ehr, &call_with_order(nutrition)).await.places(400);
        assert_eq!(places, ["context.draftOrders.entry[0].resource.patient"]);
        let mut second = oxygen_and_mammography_call();
        second["context"]["draftOrders"]["entry"][1]["resource"]["subject"] = json!({ "reference": "Patient/p2" });
        let places = call_order_sign(&ehr, &second).await.places(400);
        assert_eq!(places, ["context.draftOrders.entry[1].resource.subject"], "one of two orders");
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_patient_who_is_not_the_patient_of_the_context_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let other = patient_with_identifier("p2", "2");
        let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": other }] });
        for sent in [other, bundle] {
            let call = oxygen_call(|call| call["prefetch"]["patient"] = sent);
            assert_eq!(call_order_sign(&ehr, &call).await.places(400), ["prefetch.patient"]);
        }
        let call = oxygen_call(|call| call["fhirAuthorization"]["patient"] = json!("p2"));
        assert_eq!(call_order_sign(&ehr, &call).await.places(400), ["fhirAuthorization.patient"]);
        let call = oxygen_call(|call| call["prefetch"]["patient"]["birthDate"] = json!("1953-02-30"));
        assert_eq!(call_order_sign(&ehr, &call).await.places(400), ["prefetch.patient.birthDate"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_patient_without_id_under_the_key_of_the_query_is_the_patient(app: &TestApp) {
        let ehr = app.ehr().await;
        for (family, expected) in [("Ellery", "covered auth-needed"), ("Stranger", "not-covered")] {
            let call = oxygen_call(|call| {
                call["prefetch"]["patient"].as_object_mut().unwrap().remove("id");
                call["prefetch"]["patient"]["name"] = json!([{ "family": family }]);
            });
            assert_eq!(summary(&call_order_sign(&ehr, &call).await, "oxygen"), expected, "{family}");
        }
    }

    async fn another_patient_beside_the_one_of_the_context_does_not_matter(app: &TestApp) {
        let ehr = app.ehr().await;
        let mother = json!({ "resourceType": "Bundle", "type": "searchset", "entry": [
            { "resource": patient_with_identifier("p2", "2") },
        ] });
        let call = oxygen_call(|call| with_patient(call, mother));
        assert_eq!(summary(&call_order_sign(&ehr, &call).await, "oxygen"), "covered auth-needed");
    }

    async fn a_coverage_of_another_beneficiary_is_not_used(app: &TestApp) {
        let ehr = app.ehr().await;
        const PLACE: &str = "prefetch.coverage.entry[0].resource.beneficiary";
        for beneficiary in [json!({ "reference": "Patient/p2" }), json!({ "display": "Ruth" }), Value::Null] {
            let mut of_other = coverage();
            of_other["beneficiary"] = beneficiary.clone();
            let alone = oxygen_call(|call| call["prefetch"]["coverage"]["entry"][0]["resource"] = of_other.clone());
            assert_eq!(call_order_sign(&ehr, &alone).await.places(400), [PLACE], "{beneficiary}");
            of_other["id"] = json!("c0");
            let beside = oxygen_call(|call| {
                call["prefetch"]["coverage"]["entry"].as_array_mut().unwrap().insert(0, json!({ "resource": of_other }));
            });
            let reply = call_order_sign(&ehr, &beside).await;
            assert_eq!(summary(&reply, "oxygen"), "covered auth-needed", "{beneficiary}");
            let sent = messages::values(&messages::coverage_information(&reply, "oxygen"), "coverage");
            assert_eq!(sent, [json!({ "reference": "Coverage/c1" })]);
        }
    }

    async fn an_observation_of_another_patient_does_not_decide(app: &TestApp) {
        let ehr = app.ehr().await;
        let oximetry = |subject: &str| {
            let mut oximetry = app.messages().oximetry(87);
            oximetry["subject"]["reference"] = json!(subject);
            oximetry
        };
        for (subject, counted) in [("Patient/p1", true), ("Patient/p2", false)] {
            let call = oxygen_call(|call| call["prefetch"]["observations"] = oximetry(subject));
            let extension = messages::coverage_information(&call_order_sign(&ehr, &call).await, "oxygen");
            let document = messages::case_document(app, assent::demo::seed::EHR, &extension).await;
            assert_eq!(document["res"]["Observation"].is_array(), counted, "{subject}");
            let set_aside = document["admission"]["set_aside"].as_array().unwrap();
            let of_observation = set_aside.iter().filter(|s| s["path"] == "prefetch.observations").count();
            assert_eq!(of_observation, usize::from(!counted), "{subject}");
        }
    }

    async fn an_older_copy_of_a_draft_order_is_not_evidence(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut older = oxygen();
        older["status"] = json!("active");
        let call = oxygen_call(|call| call["prefetch"]["service"] = older);
        let extension = messages::coverage_information(&call_order_sign(&ehr, &call).await, "oxygen");
        let document = messages::case_document(app, assent::demo::seed::EHR, &extension).await;
        assert_eq!(document["res"]["ServiceRequest"], json!([oxygen()]));
    }
}
