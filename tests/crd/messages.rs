//! Hook calls, and functions that read the responses.

use crate::support::{Ehr, Reply, TestApp};
use assent::evidence::{Admission, Evidence, Resources};
use assent::rules::{CaseDocument, CaseEvidence};
use assent::store::assertions::Assertion;
use serde_json::{Value, json};

pub const HOOK: &str = "/cds-services/order-sign-crd";
pub const COVERAGE_INFORMATION: &str =
    "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";

/// Calls the hook `order-sign`.
pub async fn call_order_sign(ehr: &Ehr<'_>, call: &Value) -> Reply {
    ehr.hook("order-sign-crd", call).await
}

/// The coverage information of the order with this id: its last extension.
#[track_caller]
pub fn coverage_information(reply: &Reply, order: &str) -> Value {
    let body = reply.json(200);
    let actions = body["systemActions"].as_array().unwrap();
    let action = actions.iter().find(|a| a["resource"]["id"] == order).unwrap();
    action["resource"]["extension"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone()
}

/// The values of one part of a coverage-information extension, of any type.
pub fn values(extension: &Value, url: &str) -> Vec<Value> {
    let parts = extension["extension"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["url"] == url);
    let value = |part: &Value| {
        let members = part.as_object().unwrap();
        members
            .iter()
            .find(|(name, _)| name.starts_with("value"))
            .unwrap()
            .1
            .clone()
    };
    parts.map(value).collect()
}

/// The stored assertion of an extension, as one client sees it.
pub async fn assertion(app: &TestApp, client_id: &str, extension: &Value) -> Option<Assertion> {
    let id = values(extension, "coverage-assertion-id")[0]
        .as_str()
        .unwrap()
        .to_owned();
    let unit = (id, client_id.to_owned());
    let found = app.state.store.read(unit, |tx, (id, client_id)| {
        Box::pin(async move {
            let client = tx.client_by_client_id(client_id).await?.unwrap();
            tx.assertion(id, client.id).await
        })
    });
    found.await.unwrap()
}

/// A call with two orders for Ruth Ellery: an oxygen concentrator, and a mammography with only a clinical code.
pub fn oxygen_and_mammography_call() -> Value {
    json!({
        "hook": "order-sign",
        "hookInstance": "3f0b6c52-6e0e-4a51-9a0e-6a5f0a4c1b77",
        "fhirServer": "https://ehr.example.org/fhir",
        "fhirAuthorization": { "access_token": "ehr-access-token", "token_type": "Bearer", "expires_in": 30,
            "scope": "patient/*.rs", "subject": "assent", "patient": "p1" },
        "context": { "userId": "Practitioner/dr7", "patientId": "p1", "draftOrders": {
            "resourceType": "Bundle", "type": "collection", "entry": [
                { "fullUrl": "https://ehr.example.org/fhir/ServiceRequest/oxygen", "resource": oxygen() },
                { "fullUrl": "https://ehr.example.org/fhir/ServiceRequest/mammography", "resource": mammography() },
            ],
        }},
        "prefetch": {
            "patient": patient(),
            "coverage": { "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": coverage() }] },
        },
    })
}

pub fn oxygen() -> Value {
    json!({
        "resourceType": "ServiceRequest", "id": "oxygen", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
        "quantityQuantity": { "value": 12, "code": "mo", "system": "http://unitsofmeasure.org" },
        "subject": { "reference": "Patient/p1" }, "authoredOn": "2026-10-01",
        "requester": { "reference": "Practitioner/dr7" },
        "extension": [{ "url": "https://ehr.example.org/own", "valueString": "kept" }],
    })
}

pub fn mammography() -> Value {
    json!({
        "resourceType": "ServiceRequest", "id": "mammography", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "726551006" }] },
        "subject": { "reference": "Patient/p1" }, "authoredOn": "2026-10-01",
        "requester": { "reference": "Practitioner/dr7" },
    })
}

pub fn patient() -> Value {
    json!({ "resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1953-03-14",
        "name": [{ "family": "Ellery", "given": ["Ruth"] }] })
}

pub fn coverage() -> Value {
    json!({ "resourceType": "Coverage", "id": "c1", "status": "active", "subscriberId": "A100200300",
        "beneficiary": { "reference": "Patient/p1" }, "payor": [{ "reference": "#payer" }],
        "contained": [{ "resourceType": "Organization", "id": "payer",
            "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893" }] }] })
}

/// A call with only the oxygen order, changed.
pub fn oxygen_call(change: impl FnOnce(&mut Value)) -> Value {
    let mut call = oxygen_and_mammography_call();
    call["context"]["draftOrders"]["entry"]
        .as_array_mut()
        .unwrap()
        .pop();
    change(&mut call);
    call
}

/// A call with only this order, whose id is `oxygen`.
pub fn call_with_order(order: Value) -> Value {
    oxygen_call(|call| call["context"]["draftOrders"]["entry"][0]["resource"] = order)
}

/// The oxygen order with more elements.
pub fn oxygen_with(more: Value) -> Value {
    let mut order = oxygen();
    for (name, value) in more.as_object().unwrap() {
        order[name] = value.clone();
    }
    order
}

/// `covered`, `pa-needed` and `info-needed` of an order's answer, with a blank between them.
#[track_caller]
pub fn summary(reply: &Reply, order: &str) -> String {
    let extension = coverage_information(reply, order);
    let codes = ["covered", "pa-needed", "info-needed"].map(|url| values(&extension, url));
    let codes = codes.iter().flatten().map(|code| code.as_str().unwrap());
    codes.collect::<Vec<_>>().join(" ")
}

/// The text of the first reason of an order's answer.
#[track_caller]
pub fn reason(reply: &Reply, order: &str) -> String {
    let reasons = values(&coverage_information(reply, order), "reason");
    reasons[0]["text"].as_str().unwrap().to_owned()
}

/// The case document of an extension as it was evaluated: what is stored with the assertion, and the evidence of its call.
pub async fn case_document(app: &TestApp, client_id: &str, extension: &Value) -> Value {
    let own = assertion(app, client_id, extension).await.unwrap();
    let key = (own.id.clone(), own.client);
    let read = app.state.store.read(key, |tx, (id, client)| {
        Box::pin(async move { tx.assertion_with_evidence(id, *client).await })
    });
    let (_, evidence) = read.await.unwrap().unwrap();
    let call: Value = serde_json::from_str(&evidence.request).unwrap();
    let fetched: Vec<(String, Value)> = serde_json::from_str(&evidence.fetched).unwrap();
    let admission: Admission = serde_json::from_str(&evidence.admission).unwrap();
    let resources =
        Resources::of_hook_call(&call, fetched.iter().map(|(path, value)| (path.as_str(), value)));
    let evidence = CaseEvidence::new(&Evidence::new(&resources, Some(&admission)));
    let own = serde_json::from_str(&own.case_document).unwrap();
    CaseDocument::from_own(own, evidence).unwrap().as_json().clone()
}
