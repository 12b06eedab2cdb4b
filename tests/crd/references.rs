//! References are followed wherever what is ordered lies: contained, in the prefetch, among the drafts, at the EHR.

use super::ehr_reads::{call, coverage_of_this_plan, start_fhir_server};
use super::messages::{call_order_sign, call_with_order, oxygen, patient, summary};
use crate::support::both;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";

/// A Medication or Device for which this code is billed.
fn coded(kind: &str, id: &str) -> Value {
    let element = if kind == "Device" { "type" } else { "code" };
    let code = if kind == "Device" { "E1390" } else { "J0585" };
    json!({ "resourceType": kind, "id": id, element: { "coding": [
        { "system": "https://ehr.example.org/catalog", "code": "1" }, { "system": HCPCS, "code": code },
    ] } })
}

fn medication_order(reference: &str) -> Value {
    json!({ "resourceType": "MedicationRequest", "id": "oxygen", "status": "draft", "intent": "order",
        "subject": { "reference": "Patient/p1" }, "medicationReference": { "reference": reference } })
}

fn device_order(reference: &str) -> Value {
    json!({ "resourceType": "DeviceRequest", "id": "oxygen", "status": "draft", "intent": "order",
        "subject": { "reference": "Patient/p1" }, "codeReference": { "reference": reference } })
}

/// Puts a resource somewhere into a hook call.
type AddResource = fn(&mut Value, Value);

fn searchset(entries: Value) -> Value {
    json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries })
}

both! {
    async fn the_medication_or_device_of_an_order_is_found_wherever_it_was_sent(app: &TestApp) {
        let ehr = app.ehr().await;
        let urn = "urn:uuid:6b1f2d0e-2d4f-4a7c-9a43-0c5f0f5f1c11";
        let places: [(&str, &str, AddResource); 6] = [
            ("contained", "#md", |call, found| {
                call["context"]["draftOrders"]["entry"][0]["resource"]["contained"] = json!([found]);
            }),
            ("a read", "{type}/md", |call, found| call["prefetch"]["anything"] = found),
            ("a searchset", "https://ehr.example.org/fhir/{type}/md", |call, found| {
                call["prefetch"]["medications"] = searchset(json!([{ "resource": found }]));
            }),
            ("an included resource", "{type}/md/_history/3", |call, found| {
                let order = call["context"]["draftOrders"]["entry"][0]["resource"].clone();
                call["prefetch"]["medication"] = searchset(json!([
                    { "resource": order, "search": { "mode": "match" } }, { "resource": found, "search": { "mode": "include" } },
                ]));
            }),
            ("the drafts", "{type}/md", |call, found| {
                let entries = call["context"]["draftOrders"]["entry"].as_array_mut().unwrap();
                entries.push(json!({ "resource": found }));
            }),
            ("the drafts, by full URL", urn, |call, mut found| {
                found.as_object_mut().unwrap().remove("id");
                let entries = call["context"]["draftOrders"]["entry"].as_array_mut().unwrap();
                entries.push(json!({ "fullUrl": "urn:uuid:6b1f2d0e-2d4f-4a7c-9a43-0c5f0f5f1c11", "resource": found }));
            }),
        ];
        for (place, reference, put) in places {
            for (kind, order) in [("Medication", medication_order as fn(&str) -> Value), ("Device", device_order)] {
                let mut call = call_with_order(order(&reference.replace("{type}", kind)));
                put(&mut call, coded(kind, "md"));
                let reply = call_order_sign(&ehr, &call).await;
                assert_eq!(summary(&reply, "oxygen"), "covered auth-needed", "{kind} in {place}");
            }
        }
    }

    async fn a_reference_that_leads_nowhere_is_an_order_without_a_code(app: &TestApp) {
        app.receives_errors();
        let ehr = app.ehr().await;
        for reference in ["#md", "Medication/md", "https://other.example/fhir/Medication/here", "urn:uuid:1"] {
            let mut call = call_with_order(medication_order(reference));
            call["prefetch"]["medications"] = searchset(json!([{ "resource": coded("Medication", "here") }]));
            for name in ["fhirServer", "fhirAuthorization"] {
                call.as_object_mut().unwrap().remove(name);
            }
            let reply = call_order_sign(&ehr, &call).await;
            assert_eq!(summary(&reply, "oxygen"), "conditional conditional detail-code", "{reference}");
        }
    }

    async fn what_is_ordered_is_set_aside_if_it_is_not_understood(app: &TestApp) {
        let ehr = app.ehr().await;
        let with = |name: &str, value: Value| {
            let mut medication = coded("Medication", "md");
            medication[name] = value;
            medication
        };
        let modifier = json!([{ "url": "https://ehr.example.org/x", "valueBoolean": true }]);
        let mut of_another = coded("Device", "md");
        of_another["patient"] = json!({ "reference": "Patient/p2" });
        for (order, found) in [
            (medication_order("Medication/md"), with("modifierExtension", modifier)),
            (medication_order("Medication/md"), with("status", json!("entered-in-error"))),
            (device_order("Device/md"), of_another),
        ] {
            let mut call = call_with_order(order);
            call["prefetch"]["found"] = found.clone();
            assert_eq!(summary(&call_order_sign(&ehr, &call).await, "oxygen"), "indeterminate", "{found}");
        }
    }

    async fn what_is_ordered_is_read_from_the_ehr_and_a_failed_read_is_no_missing_resource(app: &TestApp) {
        for (status, expected) in [
            (200, "covered auth-needed"),
            (404, "conditional conditional detail-code"),
            (500, "indeterminate"),
        ] {
            let asked = Arc::new(Mutex::new(Vec::new()));
            let log = asked.clone();
            let server = start_fhir_server(move |path: &str| {
                log.lock().unwrap().push(path.to_owned());
                let status = StatusCode::from_u16(status).unwrap();
                if status.is_success() { axum::Json(coded("Medication", "md")).into_response() } else { status.into_response() }
            })
            .await;
            for reference in ["Medication/md".to_owned(), format!("{server}/Medication/md/_history/2")] {
                let reply = call(app, &server, |call| {
                    call["context"]["draftOrders"]["entry"] = json!([{ "resource": medication_order(&reference) }]);
                    call["prefetch"] = json!({ "patient": patient(), "coverage": coverage_of_this_plan() });
                })
                .await;
                assert_eq!(summary(&reply, "oxygen"), expected, "{status} {reference}");
            }
            assert_eq!(*asked.lock().unwrap(), ["Medication/md", "Medication/md"]);
        }
    }

    async fn another_resource_than_the_one_that_was_asked_for_is_a_failed_read(app: &TestApp) {
        let server = start_fhir_server(|_: &str| axum::Json(coded("Medication", "other")).into_response()).await;
        let reply = call(app, &server, |call| {
            call["context"]["draftOrders"]["entry"] = json!([{ "resource": medication_order("Medication/md") }]);
            call["prefetch"] = json!({ "patient": patient(), "coverage": coverage_of_this_plan() });
        })
        .await;
        assert_eq!(summary(&reply, "oxygen"), "indeterminate");
    }

    async fn the_coverage_that_an_order_names_is_read_from_the_ehr(app: &TestApp) {
        let mut old = coverage_of_this_plan();
        old["subscriberId"] = json!("OLD-NUMBER");
        for (status, expected, answered) in [
            (200, "covered auth-needed", "Coverage/c2"),
            (404, "not-covered", "Coverage/c1"),
            (500, "indeterminate", "Coverage/c2"),
        ] {
            let server = start_fhir_server(move |path: &str| {
                let mut named = coverage_of_this_plan();
                named["id"] = json!("c2");
                match (path, status) {
                    ("Coverage/c2", 200) => axum::Json(named).into_response(),
                    ("Coverage/c2", status) => StatusCode::from_u16(status).unwrap().into_response(),
                    _ => StatusCode::NOT_FOUND.into_response(),
                }
            })
            .await;
            let reply = call(app, &server, |call| {
                let mut order = oxygen();
                order["insurance"] = json!([{ "reference": "Coverage/c2" }]);
                call["context"]["draftOrders"]["entry"] = json!([{ "resource": order }]);
                call["prefetch"] = json!({ "patient": patient(), "coverage": old });
            })
            .await;
            assert_eq!(summary(&reply, "oxygen"), expected, "{status}");
            let coverage = super::messages::values(&super::messages::coverage_information(&reply, "oxygen"), "coverage");
            assert_eq!(coverage, [json!({ "reference": answered })], "{status}");
        }
    }

    async fn a_coverage_search_that_ignores_its_parameters_gives_no_coverage_of_another_patient(app: &TestApp) {
        let server = start_fhir_server(|path: &str| {
            let of = |id: &str, patient: &str| {
                let mut coverage = coverage_of_this_plan();
                coverage["id"] = json!(id);
                coverage["beneficiary"]["reference"] = json!(patient);
                json!({ "resource": coverage })
            };
            match path {
                "Coverage?patient=p1&status=active" => {
                    let all = searchset(json!([of("c8", "Patient/p8"), of("c9", "Patient/p9"), of("c1", "Patient/p1")]));
                    axum::Json(all).into_response()
                }
                "Patient/p1" => axum::Json(patient()).into_response(),
                _ => StatusCode::NOT_FOUND.into_response(),
            }
        })
        .await;
        let reply = call(app, &server, |_| {}).await;
        assert_eq!(summary(&reply, "oxygen"), "covered auth-needed");
        let coverage = super::messages::values(&super::messages::coverage_information(&reply, "oxygen"), "coverage");
        assert_eq!(coverage, [json!({ "reference": "Coverage/c1" })]);
    }
}
