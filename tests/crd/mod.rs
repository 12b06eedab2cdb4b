//! The CRD API over HTTP: what an EHR gets for its orders, and what is stored.

mod coverages;
mod ehr_reads;
mod evidence;
mod invalid_calls;
mod load;
pub mod messages;
mod orders;
mod patients;
mod references;

use crate::support::{PUBLIC_URL, both};
use assent::demo::seed::{EHR, OTHER_EHR};
use axum::body::Body;
use axum::http::Request;
use messages::{
    COVERAGE_INFORMATION, HOOK, assertion, call_order_sign, coverage_information,
    oxygen_and_mammography_call, values,
};
use serde_json::{Value, json};

both! {
    async fn discovery_needs_no_token_and_is_open_to_browsers(app: &TestApp) {
        let request = Request::get("/cds-services").header("origin", "https://app.example.org");
        let reply = app.call(request.body(Body::empty()).unwrap()).await;
        let services = reply.json(200);
        assert_eq!(reply.headers["access-control-allow-origin"], "*");
        assert_eq!(reply.headers["content-type"], "application/json");
        let service = &services["services"][0];
        assert_eq!((&service["hook"], &service["id"]), (&json!("order-sign"), &json!("order-sign-crd")));
        assert!(!service["description"].as_str().unwrap().is_empty());
        assert!(service.get("version").is_none(), "CDS Hooks 2.0 has no such member");
        assert_eq!(service["extension"]["davinci-crd.version"], json!(["2.2"]));
        let preflight = Request::options(HOOK)
            .header("origin", "https://app.example.org")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let reply = app.call(preflight.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status.as_u16(), 200);
        assert!(reply.headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    }

    async fn an_oxygen_order_needs_authorization_and_a_clinical_code_alone_a_billing_code(app: &TestApp) {
        let ehr = app.ehr().await;
        let reply = call_order_sign(&ehr, &oxygen_and_mammography_call()).await;
        let oxygen = coverage_information(&reply, "oxygen");
        assert_eq!(oxygen["url"], COVERAGE_INFORMATION);
        assert_eq!(values(&oxygen, "coverage"), [json!({ "reference": "Coverage/c1" })]);
        assert_eq!(values(&oxygen, "covered"), ["covered"]);
        assert_eq!(values(&oxygen, "pa-needed"), ["auth-needed"]);
        assert_eq!(values(&oxygen, "doc-needed"), ["clinical"]);
        assert_eq!(values(&oxygen, "doc-purpose"), ["withpa"]);
        let form = format!("{PUBLIC_URL}/dtr/2.2/Questionnaire/home-oxygen|1.0.0");
        assert_eq!(values(&oxygen, "questionnaire"), [form]);
        assert_eq!(values(&oxygen, "date"), ["2026-11-20"]);
        assert_eq!(values(&oxygen, "expiry-date").len(), 1);
        let mammography = coverage_information(&reply, "mammography");
        assert_eq!(values(&mammography, "covered"), ["conditional"]);
        assert_eq!(values(&mammography, "info-needed"), ["detail-code"]);
        let id = |extension: &Value| values(extension, "coverage-assertion-id");
        assert_ne!(id(&oxygen), id(&mammography));
    }

    async fn the_order_is_returned_unchanged_except_for_its_coverage_information(app: &TestApp) {
        let ehr = app.ehr().await;
        let call = oxygen_and_mammography_call();
        // Changed as text, because a parsed number would lose its last digit before it is sent.
        let text = call.to_string().replacen(r#""value":12"#, r#""value":1.10"#, 1);
        let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{HOOK}"));
        let reply = app.post(HOOK, Some(&token), "application/json", text).await;
        assert!(reply.text.contains(r#""value":1.10"#), "{}", reply.text);
        let actions = &reply.json(200)["systemActions"];
        let mut echoed = actions[1]["resource"].clone();
        echoed.as_object_mut().unwrap().remove("extension");
        assert_eq!(echoed, messages::mammography());
        assert_eq!(actions[0]["resource"]["extension"][0]["valueString"], "kept");
        assert_eq!(actions[0]["type"], "update");
        assert!(actions[0].get("resourceId").is_none());
    }

    async fn the_assertion_is_stored_for_the_form_and_the_request(app: &TestApp) {
        let ehr = app.ehr().await;
        let reply = call_order_sign(&ehr, &oxygen_and_mammography_call()).await;
        let extension = coverage_information(&reply, "oxygen");
        let stored = assertion(app, EHR, &extension).await.unwrap();
        assert_eq!(stored.order_ref, "ServiceRequest/oxygen");
        assert_eq!((stored.coverage_ref.as_str(), stored.patient_ref.as_str()), ("Coverage/c1", "Patient/p1"));
        assert_eq!(stored.policy.as_deref(), Some("dme.home-oxygen"));
        assert_eq!(stored.forms, r#"["home-oxygen|1.0.0"]"#);
        assert!(stored.member.is_some() && stored.coverage.is_some());
        assert_eq!(serde_json::from_str::<Value>(&stored.coverage_information).unwrap(), extension);
        assert_eq!(serde_json::from_str::<Value>(&stored.order_json).unwrap(), messages::oxygen());
        let document: Value = serde_json::from_str(&stored.case_document).unwrap();
        assert_eq!((&document["kind"], &document["member"]["line_of_business"]), (&json!("hook"), &json!("MA")));
        assert!(!format!("{stored:?}").contains("ehr-access-token"), "the EHR's access token is stored");
        assert!(assertion(app, OTHER_EHR, &extension).await.is_none(), "the assertion belongs to another client");
        let mammography = assertion(app, EHR, &coverage_information(&reply, "mammography")).await.unwrap();
        assert_eq!((mammography.policy, mammography.forms.as_str()), (None, "[]"));
    }

    async fn the_whole_call_is_stored_for_disputes_without_the_access_token(app: &TestApp) {
        let ehr = app.ehr().await;
        let reply = call_order_sign(&ehr, &oxygen_and_mammography_call()).await;
        assert_eq!(app.number("SELECT COUNT(*) FROM hook_call").await, 1);
        let id = values(&coverage_information(&reply, "mammography"), "coverage-assertion-id")[0].clone();
        let records_with = async |column: &str, text: &str| {
            let text = text.replace('\'', "''");
            app.number(&format!("SELECT COUNT(*) FROM hook_call WHERE {column} LIKE '%{text}%'")).await
        };
        assert_eq!(records_with("response", id.as_str().unwrap()).await, 1, "the assertion");
        assert_eq!(records_with("request", "3f0b6c52-6e0e-4a51-9a0e-6a5f0a4c1b77").await, 1, "the call");
        assert_eq!(records_with("response", "Coverage information added").await, 1, "the response");
        for column in ["request", "fetched", "admission", "response", "COALESCE(shadow, '')"] {
            assert_eq!(records_with(column, "ehr-access-token").await, 0, "the EHR's access token is stored: {column}");
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM assertion WHERE case_document LIKE '%ehr-access-token%'").await, 0);
    }

    async fn the_prefetch_of_a_call_is_stored_once_for_all_its_orders(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography_call();
        let mut oximetry = app.messages().oximetry(87);
        oximetry["note"] = json!([{ "text": "only in the prefetch" }]);
        call["prefetch"]["observations"] = oximetry;
        let reply = call_order_sign(&ehr, &call).await;
        let texts = "SELECT (SELECT COUNT(*) FROM hook_call WHERE request LIKE '%only in the prefetch%') \
             + (SELECT COUNT(*) FROM hook_call WHERE fetched LIKE '%only in the prefetch%') \
             + (SELECT COUNT(*) FROM assertion WHERE case_document LIKE '%only in the prefetch%') \
             + (SELECT COUNT(*) FROM blob WHERE body LIKE '%only in the prefetch%')";
        assert_eq!(app.number(texts).await, 1);
        assert_eq!(app.number("SELECT COUNT(*) FROM assertion").await, 2);
        let extension = coverage_information(&reply, "oxygen");
        let document = messages::case_document(app, EHR, &extension).await;
        assert_eq!(document["res"]["Observation"][0]["note"][0]["text"], "only in the prefetch");
    }

    async fn a_card_links_to_the_policy_unless_the_client_switches_it_off(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography_call();
        let cards = call_order_sign(&ehr, &call).await.json(200)["cards"].clone();
        assert_eq!(cards.as_array().unwrap().len(), 1);
        assert_eq!(cards[0]["indicator"], "info");
        assert_eq!(cards[0]["source"]["topic"]["code"], "guideline");
        assert_eq!(cards[0]["links"][0]["type"], "absolute");
        let about = json!([{ "reference": "ServiceRequest/oxygen" }]);
        assert_eq!(cards[0]["extension"]["davinci-crd.associated-resource"], about);
        assert_eq!(cards[0]["detail"], "Applies to: E1390", "one of two orders");
        let mut alone = call.clone();
        alone["context"]["draftOrders"]["entry"].as_array_mut().unwrap().pop();
        assert!(call_order_sign(&ehr, &alone).await.json(200)["cards"][0].get("detail").is_none());
        for options in [json!({ "guideline": false }), json!({ "max-cards": 0 })] {
            call["extension"] = json!({ "davinci-crd.configuration": options });
            assert_eq!(call_order_sign(&ehr, &call).await.json(200)["cards"], json!([]));
        }
    }

    async fn no_action_is_returned_if_coverage_information_is_switched_off(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography_call();
        call["extension"] = json!({
            "davinci-crd.requestedVersion": "2.2", "davinci-crd.configuration": { "coverage-info": false },
        });
        let reply = call_order_sign(&ehr, &call).await.json(200);
        assert!(reply.get("systemActions").is_none());
        assert_eq!(app.number("SELECT COUNT(*) FROM assertion").await, 0);
    }

    async fn an_order_that_has_the_answer_gets_no_update_and_one_without_it_gets_it_again(app: &TestApp) {
        let ehr = app.ehr().await;
        let first = call_order_sign(&ehr, &oxygen_and_mammography_call()).await.json(200);
        let mut again = oxygen_and_mammography_call();
        let order = &mut again["context"]["draftOrders"]["entry"][0]["resource"];
        *order = first["systemActions"][0]["resource"].clone();
        let second = call_order_sign(&ehr, &again).await.json(200);
        let actions = second["systemActions"].as_array().unwrap();
        let ids: Vec<&Value> = actions.iter().map(|a| &a["resource"]["id"]).collect();
        assert_eq!(ids, ["mammography"]);
        let third = call_order_sign(&ehr, &oxygen_and_mammography_call()).await.json(200);
        assert_eq!(third["systemActions"].as_array().unwrap().len(), 2);
    }

    async fn the_extension_for_another_coverage_stays_and_that_of_this_plan_is_replaced(app: &TestApp) {
        let ehr = app.ehr().await;
        let old = |coverage: &str| json!({ "url": COVERAGE_INFORMATION, "extension": [
            { "url": "coverage", "valueReference": { "reference": coverage } },
            { "url": "covered", "valueCode": "not-covered" },
            { "url": "date", "valueDate": "2026-01-01" },
            { "url": "coverage-assertion-id", "valueString": "old" },
        ] });
        let mut call = oxygen_and_mammography_call();
        call["context"]["draftOrders"]["entry"][0]["resource"]["extension"] =
            json!([old("Coverage/other"), old("Coverage/c1")]);
        let reply = call_order_sign(&ehr, &call).await.json(200);
        let extensions = reply["systemActions"][0]["resource"]["extension"].as_array().unwrap().clone();
        assert_eq!(extensions[0], old("Coverage/other"));
        assert_eq!(extensions.len(), 2);
        assert_eq!(values(&extensions[1], "covered"), ["covered"]);
    }

    async fn a_patient_without_active_coverage_gets_an_answer_with_a_reason_and_not_an_error(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut unknown_member = oxygen_and_mammography_call();
        unknown_member["prefetch"]["patient"]["birthDate"] = json!("1954-03-14");
        let mut former_member = oxygen_and_mammography_call();
        former_member["prefetch"]["patient"]["birthDate"] = json!("1948-05-05");
        former_member["prefetch"]["patient"]["name"] = json!([{ "family": "Nolan" }]);
        former_member["prefetch"]["coverage"]["entry"][0]["resource"]["subscriberId"] = json!("E500600700");
        let mut unknown_coverage = oxygen_and_mammography_call();
        unknown_coverage["prefetch"]["coverage"]["entry"][0]["resource"]["subscriberId"] = json!("none-of-ours");
        let cases =
            [(unknown_member, "no-member-found"), (former_member, "no-active-coverage"), (unknown_coverage, "coverage-not-found")];
        for (call, code) in cases {
            let reply = call_order_sign(&ehr, &call).await;
            for order in ["oxygen", "mammography"] {
                let extension = coverage_information(&reply, order);
                assert_eq!(values(&extension, "covered"), ["not-covered"], "{code}");
                assert!(values(&extension, "pa-needed").is_empty());
                let reasons = values(&extension, "reason");
                assert_eq!((reasons.len(), &reasons[0]["coding"][0]["code"]), (1, &json!(code)));
                assert!(assertion(app, EHR, &extension).await.is_some());
            }
        }
    }

    async fn the_answer_follows_the_day_of_service(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography_call();
        call["context"]["draftOrders"]["entry"][0]["resource"]["occurrenceDateTime"] = json!("2024-12-31");
        let reply = call_order_sign(&ehr, &call).await;
        assert_eq!(values(&coverage_information(&reply, "oxygen"), "covered"), ["not-covered"], "before the coverage began");
        assert_eq!(values(&coverage_information(&reply, "mammography"), "covered"), ["conditional"]);
    }

    async fn an_answer_that_cannot_be_stored_is_not_sent(app: &TestApp) {
        let ehr = app.ehr().await;
        let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{HOOK}"));
        let call = oxygen_and_mammography_call().to_string();
        let before = app.row_counts().await;
        app.sql("ALTER TABLE assertion RENAME TO assertion_away").await;
        let reply = app.post(HOOK, Some(&token), "application/json", call.clone()).await;
        app.sql("ALTER TABLE assertion_away RENAME TO assertion").await;
        assert_eq!(reply.status.as_u16(), 503);
        assert!(!reply.text.contains("systemActions"));
        assert_eq!(app.row_counts().await, before, "something was stored");
        let repeated = app.post(HOOK, Some(&token), "application/json", call).await;
        assert_eq!(repeated.status.as_u16(), 200, "the token is still valid");
    }

    async fn feedback_is_stored_as_received(app: &TestApp) {
        let ehr = app.ehr().await;
        let service = "order-sign-crd/feedback";
        let card = "7b0f3a54-3f2f-4c0e-8d1c-2f4f5a6f9d10";
        let body = json!({ "feedback": [{ "card": card, "outcome": "accepted" }] });
        let reply = ehr.hook(service, &body).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
        let stored = format!("SELECT COUNT(*) FROM blob WHERE kind = 'crd-feedback' AND body LIKE '%{card}%'");
        assert_eq!(app.number(&stored).await, 1);
        let before = app.row_counts().await;
        assert_eq!(ehr.hook(service, &json!({})).await.places(400), ["feedback"]);
        let path = format!("/cds-services/{service}");
        app.post(&path, None, "application/json", body.to_string()).await.json(401);
        ehr.hook("order-select-crd/feedback", &body).await.json(404);
        assert_eq!(app.row_counts().await, before);
    }

    async fn withpa_is_left_out_for_a_client_that_does_not_accept_it(app: &TestApp) {
        app.change_client(EHR, |client| client.doc.emit_withpa = false).await;
        let ehr = app.ehr().await;
        let reply = call_order_sign(&ehr, &oxygen_and_mammography_call()).await;
        assert!(values(&coverage_information(&reply, "oxygen"), "doc-purpose").is_empty());
    }

    async fn the_example_of_hl7_gets_an_answer(app: &TestApp) {
        #[expect(clippy::disallowed_methods, reason = "the folder of HL7's examples is not a setting of the server")]
        let Ok(folder) = std::env::var("ASSENT_EXAMPLES") else {
            println!("skipped: ASSENT_EXAMPLES is not set to the folder of HL7's examples");
            return;
        };
        let path = std::path::Path::new(&folder).join("crd/CRDServiceRequest.json");
        let call: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let strict = call_order_sign(&app.other_ehr().await, &call).await;
        assert_eq!(strict.places(400), ["Coverage.payor"], "the payer has no identifier");
        let reply = call_order_sign(&app.ehr().await, &call).await;
        // The answer for the mammography depends on which of its billing options is performed.
        for (order, pa) in [("1357", "conditional"), ("2468", "no-auth")] {
            let extension = coverage_information(&reply, order);
            assert_eq!(values(&extension, "coverage"), [json!({ "reference": "Coverage/COV1" })]);
            assert_eq!(values(&extension, "covered"), ["covered"]);
            assert_eq!(values(&extension, "pa-needed"), [pa]);
        }
        assert_eq!(values(&coverage_information(&reply, "1357"), "info-needed"), ["detail-code"]);
    }

    async fn optional_elements_may_be_left_out(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography_call();
        let context = &mut call["context"];
        context["draftOrders"] = json!({ "resourceType": "Bundle", "entry": [{ "resource": {
            "resourceType": "ServiceRequest", "id": "oxygen", "status": "draft", "intent": "order",
            "code": { "coding": [{ "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
            "subject": { "reference": "Patient/p1" } } }] });
        call["prefetch"]["patient"] = json!({ "resourceType": "Patient", "id": "p1" });
        for name in ["fhirServer", "fhirAuthorization"] {
            call.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(values(&coverage_information(&call_order_sign(&ehr, &call).await, "oxygen"), "pa-needed"), ["auth-needed"]);
    }

    async fn unknown_elements_are_ignored(app: &TestApp) {
        let ehr = app.ehr().await;
        let usual = call_order_sign(&ehr, &oxygen_and_mammography_call()).await;
        app.receives_errors();
        let mut call = oxygen_and_mammography_call();
        call["somethingNew"] = json!({ "a": 1 });
        call["context"]["somethingNew"] = json!(["x"]);
        call["prefetch"]["somethingNew"] = json!({ "resourceType": "Basic", "id": "b" });
        call["prefetch"]["patient"]["somethingNew"] = json!(true);
        call["context"]["draftOrders"]["entry"][0]["resource"]["somethingNew"] = json!("x");
        call["extension"] = json!({ "org.example.own": 1, "davinci-crd.configuration": { "somethingNew": 7 } });
        let reply = call_order_sign(&ehr, &call).await;
        for url in ["covered", "pa-needed", "questionnaire", "doc-needed"] {
            assert_eq!(values(&coverage_information(&reply, "oxygen"), url), values(&coverage_information(&usual, "oxygen"), url));
        }
    }

    async fn billing_options_count_as_codes_of_the_order(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography_call();
        call["context"]["draftOrders"]["entry"][1]["resource"]["code"]["extension"] = json!([{
            "url": "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options",
            "valueCodeableConcept": { "coding": [{
                "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
        }]);
        let reply = call_order_sign(&ehr, &call).await;
        assert_eq!(values(&coverage_information(&reply, "mammography"), "pa-needed"), ["auth-needed"]);
    }

    async fn one_service_answers_for_every_line_of_business(app: &TestApp) {
        let ehr = app.ehr().await;
        let members = [
            ("A100200300", "Ellery", "1953-03-14", "female"),
            ("88800933501", "Baxter", "1987-02-20", "female"),
            ("C300400500", "Park", "2018-09-30", "female"),
            ("D400500600", "Moreno", "1979-11-11", "male"),
        ];
        for (number, family, born, gender) in members {
            let mut call = oxygen_and_mammography_call();
            call["prefetch"]["patient"] = json!({ "resourceType": "Patient", "id": "p1", "name": [{ "family": family }],
                "birthDate": born, "gender": gender, "identifier": [{ "value": number,
                    "type": { "coding": [{ "code": "MB", "system": "http://terminology.hl7.org/CodeSystem/v2-0203" }] } }] });
            let coverage = &mut call["prefetch"]["coverage"]["entry"][0]["resource"];
            coverage.as_object_mut().unwrap().remove("subscriberId");
            coverage["identifier"] = json!([{ "value": number, "system": "https://plan.example/coverage",
                "type": { "coding": [{ "code": "MB", "system": "http://terminology.hl7.org/CodeSystem/v2-0203" }] } }]);
            let extension = coverage_information(&call_order_sign(&ehr, &call).await, "oxygen");
            assert_ne!(values(&extension, "covered"), ["not-covered"], "{family}: {extension}");
            assert_ne!(values(&extension, "covered"), ["indeterminate"], "{family}: {extension}");
        }
    }

    async fn the_response_has_no_white_space_between_tokens(app: &TestApp) {
        let ehr = app.ehr().await;
        let text = serde_json::to_string_pretty(&oxygen_and_mammography_call()).unwrap();
        let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{HOOK}"));
        let reply = app.post(HOOK, Some(&token), "application/json", text).await;
        reply.json(200);
        assert!(!reply.text.contains('\n') && !reply.text.contains("\": "), "{}", reply.text);
    }

    async fn no_value_in_a_response_is_null_or_empty(app: &TestApp) {
        fn check(value: &Value, at: &str) {
            match value {
                Value::Null => panic!("{at} is null"),
                Value::String(text) => assert!(!text.is_empty(), "{at} is empty"),
                Value::Array(all) => all.iter().for_each(|v| check(v, at)),
                Value::Object(all) => all.iter().for_each(|(name, v)| check(v, &format!("{at}.{name}"))),
                _ => {}
            }
        }
        let ehr = app.ehr().await;
        check(&call_order_sign(&ehr, &oxygen_and_mammography_call()).await.json(200), "response");
        check(&app.get("/cds-services", None).await.json(200), "discovery");
    }
}
