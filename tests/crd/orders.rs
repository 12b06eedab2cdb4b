//! Orders that the plan cannot answer as usual: what it does not understand, what does not count, what cannot be. None
//! of them gets a promise, and the other orders of the call are answered.

use super::messages::{
    HOOK, call_order_sign, call_with_order, coverage_information, oxygen, oxygen_and_mammography_call,
    oxygen_call, oxygen_with, reason, summary, values,
};
use crate::support::both;
use serde_json::{Value, json};

const ORDER: &str = "context.draftOrders.entry[0].resource";
const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
const CPT: &str = "http://www.ama-assn.org/go/cpt";

fn modifier() -> Value {
    json!([{ "url": "https://ehr.example.org/only-if", "valueBoolean": true }])
}

/// An order with the oxygen concentrator's code in the first of these codings.
fn coded(codings: Value) -> Value {
    oxygen_with(json!({ "code": { "coding": codings } }))
}

fn coding(system: &str, code: &str) -> Value {
    json!({ "system": system, "code": code })
}

both! {
    async fn an_order_with_a_modifier_is_not_understood(app: &TestApp) {
        app.receives_errors();
        let ehr = app.ehr().await;
        for order in [
            oxygen_with(json!({ "modifierExtension": modifier() })),
            oxygen_with(json!({ "implicitRules": "https://ehr.example.org/rules" })),
            oxygen_with(json!({ "code": { "coding": oxygen()["code"]["coding"], "modifierExtension": modifier() } })),
            oxygen_with(json!({ "contained": [{ "resourceType": "Device", "id": "d", "modifierExtension": modifier() }] })),
        ] {
            let mut call = oxygen_and_mammography_call();
            call["context"]["draftOrders"]["entry"][0]["resource"] = order.clone();
            let reply = call_order_sign(&ehr, &call).await;
            assert_eq!(summary(&reply, "oxygen"), "indeterminate", "{order}");
            let reasons = values(&coverage_information(&reply, "oxygen"), "reason");
            assert_eq!(reasons[0]["coding"][0]["code"], "technical");
            assert_eq!(summary(&reply, "mammography"), "conditional conditional detail-code", "the other order");
        }
        for nothing in [json!({ "modifierExtension": [] }), json!({ "modifierExtension": null, "implicitRules": null })] {
            let reply = call_order_sign(&ehr, &call_with_order(oxygen_with(nothing))).await;
            assert_eq!(summary(&reply, "oxygen"), "covered auth-needed");
        }
    }

    async fn a_patient_or_coverage_with_a_modifier_is_not_understood(app: &TestApp) {
        let ehr = app.ehr().await;
        let of_patient = oxygen_call(|call| call["prefetch"]["patient"]["modifierExtension"] = modifier());
        let of_coverage = oxygen_call(|call| {
            call["prefetch"]["coverage"]["entry"][0]["resource"]["modifierExtension"] = modifier();
        });
        for call in [of_patient, of_coverage] {
            let reply = call_order_sign(&ehr, &call).await;
            assert_eq!(summary(&reply, "oxygen"), "indeterminate");
            let coverage = values(&coverage_information(&reply, "oxygen"), "coverage");
            assert_eq!(coverage, [json!({ "reference": "Coverage/c1" })]);
        }
    }

    async fn only_an_order_that_may_be_carried_out_gets_an_answer(app: &TestApp) {
        // An order comes back with the status that the EHR sent, even if R4 has no such status.
        app.receives_errors();
        let ehr = app.ehr().await;
        for (status, expected) in [
            ("draft", "covered auth-needed"),
            ("active", "covered auth-needed"),
            ("on-hold", "covered auth-needed"),
            ("completed", "covered auth-needed"),
            ("revoked", "indeterminate"),
            ("entered-in-error", "indeterminate"),
            ("cancelled", "indeterminate"),
            ("unknown", "indeterminate"),
            ("something", "indeterminate"),
        ] {
            let reply = call_order_sign(&ehr, &call_with_order(oxygen_with(json!({ "status": status })))).await;
            assert_eq!(summary(&reply, "oxygen"), expected, "{status}");
        }
        let not_performed = oxygen_with(json!({ "doNotPerform": true }));
        let reply = call_order_sign(&ehr, &call_with_order(not_performed)).await;
        assert_eq!(summary(&reply, "oxygen"), "covered no-auth");
        assert!(reason(&reply, "oxygen").contains("must not be performed"));
        let void = oxygen_with(json!({ "doNotPerform": true, "status": "entered-in-error" }));
        assert_eq!(summary(&call_order_sign(&ehr, &call_with_order(void)).await, "oxygen"), "indeterminate");
    }

    async fn what_fhir_forbids_is_refused_with_its_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        for (change, place) in [
            (json!({ "status": null }), "status"),
            (json!({ "doNotPerform": "true" }), "doNotPerform"),
            (json!({ "authoredOn": "2026-13-45" }), "authoredOn"),
            (json!({ "occurrenceDateTime": "2026-02-30" }), "occurrenceDateTime"),
            (json!({ "occurrencePeriod": { "start": "2026-12-02", "end": "2026-12-01" } }), "occurrencePeriod"),
            (json!({ "occurrenceTiming": { "event": ["2026-11-31"] } }), "occurrenceTiming.event[0]"),
        ] {
            let reply = call_order_sign(&ehr, &call_with_order(oxygen_with(change.clone()))).await;
            assert_eq!(reply.places(400), [format!("{ORDER}.{place}")], "{change}");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_order_of_no_amount_gets_no_promise(app: &TestApp) {
        let ehr = app.ehr().await;
        for value in [json!(0), json!(-1), json!(0.0)] {
            let quantity = json!({ "value": value, "code": "mo", "system": "http://unitsofmeasure.org" });
            let order = |code: Value| {
                let mut order = coded(json!([code]));
                order["quantityQuantity"] = quantity.clone();
                call_with_order(order)
            };
            for code in [coding(HCPCS, "E1390"), coding(HCPCS, "B4184")] {
                let reply = call_order_sign(&ehr, &order(code)).await;
                assert_eq!(summary(&reply, "oxygen"), "conditional conditional OTH", "{value}");
                assert!(reason(&reply, "oxygen").contains("quantity"));
            }
        }
    }

    async fn a_string_that_is_not_shaped_like_a_code_is_no_code(app: &TestApp) {
        let ehr = app.ehr().await;
        let malformed = ["E1390-RR", "e1390", "E1390RR", "X", "E1390 ", " E1390", "E139", "E13900", "E1390\n", "*", "E1390:RR"];
        let mut orders: Vec<Value> = malformed.iter().map(|code| coded(json!([coding(HCPCS, code)]))).collect();
        orders.extend([
            coded(json!([coding(CPT, "33510-59")])),
            coded(json!([coding("urn:oid:2.16.840.1.113883.6.285", "e1390")])),
            coded(json!([coding("http://hl7.org/fhir/sid/ndc", "12345")])),
            coded(json!([coding(HCPCS, "E1390-RR"), coding(CPT, "99499")])),
            coded(json!([coding(CPT, "99499"), coding(HCPCS, "E1390-RR")])),
        ]);
        for order in orders {
            let reply = call_order_sign(&ehr, &call_with_order(order.clone())).await;
            assert_eq!(summary(&reply, "oxygen"), "conditional conditional detail-code", "{}", order["code"]);
        }
    }

    async fn a_well_formed_code_that_nobody_knows_is_answered_by_the_row_for_all_codes(app: &TestApp) {
        let ehr = app.ehr().await;
        for code in [coding(HCPCS, "E9999"), coding(CPT, "99499")] {
            let reply = call_order_sign(&ehr, &call_with_order(coded(json!([code])))).await;
            assert_eq!(summary(&reply, "oxygen"), "covered no-auth");
        }
    }

    async fn every_coding_of_an_order_counts(app: &TestApp) {
        let ehr = app.ehr().await;
        let local = coding("https://ehr.example.org/catalog", "O2");
        let oxygen = coding(HCPCS, "E1390");
        let in_parts = |name: &str, part: Value| {
            let mut order = json!({ "resourceType": "NutritionOrder", "id": "oxygen", "status": "draft", "intent": "order",
                "patient": { "reference": "Patient/p1" }, "dateTime": "2026-11-20" });
            order[name] = part;
            order
        };
        let concept = json!({ "coding": [local, oxygen] });
        for order in [
            coded(json!([local, oxygen])),
            coded(json!([oxygen, local])),
            json!({ "resourceType": "DeviceRequest", "id": "oxygen", "intent": "order",
                "subject": { "reference": "Patient/p1" }, "codeCodeableConcept": concept }),
            json!({ "resourceType": "MedicationRequest", "id": "oxygen", "status": "draft", "intent": "order",
                "subject": { "reference": "Patient/p1" }, "medicationCodeableConcept": concept }),
            in_parts("supplement", json!([{ "type": { "coding": [local] } }, { "type": concept }])),
            in_parts("enteralFormula", json!({ "baseFormulaType": concept })),
        ] {
            let reply = call_order_sign(&ehr, &call_with_order(order.clone())).await;
            assert_eq!(summary(&reply, "oxygen"), "covered auth-needed", "{order}");
        }
    }

    async fn modifiers_and_the_place_of_an_order_are_facts(app: &TestApp) {
        let ehr = app.ehr().await;
        let place = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set";
        let order = oxygen_with(json!({
            "orderDetail": [{ "coding": [coding(HCPCS, "RR"), coding("https://ehr.example.org/own", "XX")] }, { "coding": [coding(HCPCS, "E0431")] }],
            "locationCode": [{ "coding": [coding("https://ehr.example.org/own", "HOME"), coding(place, "12")] }],
        }));
        let extension = coverage_information(&call_order_sign(&ehr, &call_with_order(order)).await, "oxygen");
        let stored = super::messages::assertion(app, assent::demo::seed::EHR, &extension).await.unwrap();
        let document: Value = serde_json::from_str(&stored.case_document).unwrap();
        assert_eq!(document["item"]["modifiers"], json!([coding(HCPCS, "RR")]));
        assert_eq!(document["item"]["place"], "12");
    }

    async fn a_version_may_be_null_or_have_a_patch(app: &TestApp) {
        let ehr = app.ehr().await;
        for version in [Value::Null, json!("2.2"), json!("2.2.1"), json!("2.2.0")] {
            let call = oxygen_call(|call| call["extension"] = json!({ "davinci-crd.requestedVersion": version }));
            assert_eq!(summary(&call_order_sign(&ehr, &call).await, "oxygen"), "covered auth-needed", "{version}");
        }
        for version in [json!("2.0"), json!("2.2.x"), json!(""), json!(2.2)] {
            let call = oxygen_call(|call| call["extension"] = json!({ "davinci-crd.requestedVersion": version }));
            let places = call_order_sign(&ehr, &call).await.places(400);
            assert_eq!(places, ["extension.`davinci-crd.requestedVersion`"], "{version}");
        }
    }

    async fn free_text_in_a_card_is_escaped_for_markdown(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography_call();
        let name = "[Sign in](https://evil.example) <b>now</b>\n# www.evil.example";
        call["context"]["draftOrders"]["entry"][0]["resource"]["code"]["text"] = json!(name);
        let card = call_order_sign(&ehr, &call).await.json(200)["cards"][0].clone();
        assert_eq!(
            card["detail"],
            r"Applies to: \[Sign in\](https\://evil.example) \<b\>now\</b\> \# www\.evil.example",
            "{HOOK}"
        );
    }
}
