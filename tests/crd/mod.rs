//! The hook's door over HTTP: what an EHR gets for its orders, and what is kept.

mod bad_calls;
mod chart;
mod messages;

use crate::support::{PUBLIC_URL, both};
use assent::demo::seed::{EHR, OTHER_EHR};
use axum::body::Body;
use axum::http::Request;
use messages::{COVERAGE_INFORMATION, HOOK, assertion, oxygen_and_mammography, part, said, sign};
use serde_json::{Value, json};

both! {
    async fn discovery_needs_no_token_and_is_open_to_browsers(app: &TestApp) {
        let ask = Request::get("/cds-services").header("origin", "https://app.example.org");
        let answer = app.call(ask.body(Body::empty()).unwrap()).await;
        let services = answer.json(200);
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        assert_eq!(answer.headers["content-type"], "application/json");
        let service = &services["services"][0];
        assert_eq!((&service["hook"], &service["id"]), (&json!("order-sign"), &json!("order-sign-crd")));
        assert!(!service["description"].as_str().unwrap().is_empty());
        assert_eq!(service["extension"]["davinci-crd.version"], json!(["2.2"]));
        let preflight = Request::options(HOOK)
            .header("origin", "https://app.example.org")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let answer = app.call(preflight.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), 200);
        assert!(answer.headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    }

    async fn an_oxygen_order_needs_authorization_and_a_clinical_code_alone_a_billing_code(app: &TestApp) {
        let ehr = app.ehr().await;
        let answer = sign(&ehr, &oxygen_and_mammography()).await;
        let oxygen = said(&answer, "oxygen");
        assert_eq!(oxygen["url"], COVERAGE_INFORMATION);
        assert_eq!(part(&oxygen, "coverage"), [json!({ "reference": "Coverage/c1" })]);
        assert_eq!(part(&oxygen, "covered"), ["covered"]);
        assert_eq!(part(&oxygen, "pa-needed"), ["auth-needed"]);
        assert_eq!(part(&oxygen, "doc-needed"), ["clinical"]);
        assert_eq!(part(&oxygen, "doc-purpose"), ["withpa"]);
        let form = format!("{PUBLIC_URL}/dtr/2.2/Questionnaire/home-oxygen|1.0.0");
        assert_eq!(part(&oxygen, "questionnaire"), [form]);
        assert_eq!(part(&oxygen, "date"), ["2026-11-20"]);
        assert_eq!(part(&oxygen, "expiry-date").len(), 1);
        let mammography = said(&answer, "mammography");
        assert_eq!(part(&mammography, "covered"), ["conditional"]);
        assert_eq!(part(&mammography, "info-needed"), ["detail-code"]);
        let id = |said: &Value| part(said, "coverage-assertion-id");
        assert_ne!(id(&oxygen), id(&mammography));
    }

    async fn the_order_comes_back_unchanged_beside_its_answer(app: &TestApp) {
        let ehr = app.ehr().await;
        let call = oxygen_and_mammography();
        // Written as text: a parsed number would lose its last digit before it was sent.
        let text = call.to_string().replacen(r#""value":12"#, r#""value":1.10"#, 1);
        let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{HOOK}"));
        let answer = app.post(HOOK, Some(&token), "application/json", text).await;
        assert!(answer.text.contains(r#""value":1.10"#), "{}", answer.text);
        let actions = &answer.json(200)["systemActions"];
        let mut echoed = actions[1]["resource"].clone();
        echoed.as_object_mut().unwrap().remove("extension");
        assert_eq!(echoed, messages::mammography());
        assert_eq!(actions[0]["resource"]["extension"][0]["valueString"], "kept");
        assert_eq!(actions[0]["type"], "update");
        assert!(actions[0].get("resourceId").is_none());
    }

    async fn what_was_said_is_kept_for_the_form_and_the_request(app: &TestApp) {
        let ehr = app.ehr().await;
        let answer = sign(&ehr, &oxygen_and_mammography()).await;
        let said_of = said(&answer, "oxygen");
        let kept = assertion(app, EHR, &said_of).await.unwrap();
        assert_eq!(kept.order_ref, "ServiceRequest/oxygen");
        assert_eq!((kept.coverage_ref.as_str(), kept.patient_ref.as_str()), ("Coverage/c1", "Patient/p1"));
        assert_eq!(kept.policy.as_deref(), Some("dme.home-oxygen"));
        assert_eq!(kept.forms, r#"["home-oxygen|1.0.0"]"#);
        assert!(kept.member.is_some() && kept.coverage.is_some());
        assert_eq!(serde_json::from_str::<Value>(&kept.answer_json).unwrap(), said_of);
        assert_eq!(serde_json::from_str::<Value>(&kept.order_json).unwrap(), messages::oxygen());
        let document: Value = serde_json::from_str(&kept.case_document).unwrap();
        assert_eq!((&document["kind"], &document["member"]["line"]), (&json!("hook"), &json!("MA")));
        assert!(!format!("{kept:?}").contains("chart-secret"), "the chart's token is kept");
        assert!(assertion(app, OTHER_EHR, &said_of).await.is_none(), "another client's");
        let vague = assertion(app, EHR, &said(&answer, "mammography")).await.unwrap();
        assert_eq!((vague.policy, vague.forms.as_str()), (None, "[]"));
    }

    async fn the_whole_call_is_kept_for_disputes_without_the_charts_token(app: &TestApp) {
        let ehr = app.ehr().await;
        let answer = sign(&ehr, &oxygen_and_mammography()).await;
        assert_eq!(app.number("SELECT COUNT(*) FROM blob WHERE kind = 'hook-call'").await, 1);
        let id = part(&said(&answer, "mammography"), "coverage-assertion-id")[0].clone();
        let holds = async |what: &str| {
            let what = what.replace('\'', "''");
            app.number(&format!("SELECT COUNT(*) FROM blob WHERE kind = 'hook-call' AND body LIKE '%{what}%'")).await
        };
        assert_eq!(holds(id.as_str().unwrap()).await, 1, "the assertion made on the way");
        assert_eq!(holds("3f0b6c52-6e0e-4a51-9a0e-6a5f0a4c1b77").await, 1, "the call");
        assert_eq!(holds("Coverage findings added").await, 1, "the answer");
        assert_eq!(holds("chart-secret").await, 0, "the chart's token is kept");
        assert_eq!(app.number("SELECT COUNT(*) FROM assertion WHERE case_document LIKE '%chart-secret%'").await, 0);
    }

    async fn a_card_links_to_the_policy_unless_the_client_switched_it_off(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography();
        let cards = sign(&ehr, &call).await.json(200)["cards"].clone();
        assert_eq!(cards.as_array().unwrap().len(), 1);
        assert_eq!(cards[0]["indicator"], "info");
        assert_eq!(cards[0]["source"]["topic"]["code"], "guideline");
        assert_eq!(cards[0]["links"][0]["type"], "absolute");
        let about = json!([{ "reference": "ServiceRequest/oxygen" }]);
        assert_eq!(cards[0]["extension"]["davinci-crd.associated-resource"], about);
        assert_eq!(cards[0]["detail"], "This is about: E1390", "one order of two");
        let mut alone = call.clone();
        alone["context"]["draftOrders"]["entry"].as_array_mut().unwrap().pop();
        assert!(sign(&ehr, &alone).await.json(200)["cards"][0].get("detail").is_none());
        for switch in [json!({ "guideline": false }), json!({ "max-cards": 0 })] {
            call["extension"] = json!({ "davinci-crd.configuration": switch });
            assert_eq!(sign(&ehr, &call).await.json(200)["cards"], json!([]));
        }
    }

    async fn without_coverage_information_nothing_is_said_about_the_orders(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography();
        call["extension"] = json!({
            "davinci-crd.requestedVersion": "2.2", "davinci-crd.configuration": { "coverage-info": false },
        });
        let answer = sign(&ehr, &call).await.json(200);
        assert!(answer.get("systemActions").is_none());
        assert_eq!(app.number("SELECT COUNT(*) FROM assertion").await, 0);
    }

    async fn an_order_that_carries_the_answer_gets_no_update_and_one_without_it_gets_it_again(app: &TestApp) {
        let ehr = app.ehr().await;
        let first = sign(&ehr, &oxygen_and_mammography()).await.json(200);
        let mut again = oxygen_and_mammography();
        let order = &mut again["context"]["draftOrders"]["entry"][0]["resource"];
        *order = first["systemActions"][0]["resource"].clone();
        let second = sign(&ehr, &again).await.json(200);
        let actions = second["systemActions"].as_array().unwrap();
        let ids: Vec<&Value> = actions.iter().map(|a| &a["resource"]["id"]).collect();
        assert_eq!(ids, ["mammography"]);
        let third = sign(&ehr, &oxygen_and_mammography()).await.json(200);
        assert_eq!(third["systemActions"].as_array().unwrap().len(), 2);
    }

    async fn an_answer_for_another_coverage_stays_and_ours_is_replaced(app: &TestApp) {
        let ehr = app.ehr().await;
        let old = |coverage: &str| json!({ "url": COVERAGE_INFORMATION, "extension": [
            { "url": "coverage", "valueReference": { "reference": coverage } },
            { "url": "covered", "valueCode": "not-covered" },
            { "url": "date", "valueDate": "2026-01-01" },
            { "url": "coverage-assertion-id", "valueString": "old" },
        ] });
        let mut call = oxygen_and_mammography();
        call["context"]["draftOrders"]["entry"][0]["resource"]["extension"] =
            json!([old("Coverage/other"), old("Coverage/c1")]);
        let answer = sign(&ehr, &call).await.json(200);
        let extensions = answer["systemActions"][0]["resource"]["extension"].as_array().unwrap().clone();
        assert_eq!(extensions[0], old("Coverage/other"));
        assert_eq!(extensions.len(), 2);
        assert_eq!(part(&extensions[1], "covered"), ["covered"]);
    }

    async fn a_gap_is_an_answer_with_its_reason_and_never_an_error(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut stranger = oxygen_and_mammography();
        stranger["prefetch"]["patient"]["birthDate"] = json!("1954-03-14");
        let mut former = oxygen_and_mammography();
        former["prefetch"]["patient"]["birthDate"] = json!("1948-05-05");
        former["prefetch"]["patient"]["name"] = json!([{ "family": "Nolan" }]);
        former["prefetch"]["coverage"]["entry"][0]["resource"]["subscriberId"] = json!("E500600700");
        let mut unknown = oxygen_and_mammography();
        unknown["prefetch"]["coverage"]["entry"][0]["resource"]["subscriberId"] = json!("none-of-ours");
        let cases =
            [(stranger, "no-member-found"), (former, "no-active-coverage"), (unknown, "coverage-not-found")];
        for (call, code) in cases {
            let answer = sign(&ehr, &call).await;
            for order in ["oxygen", "mammography"] {
                let said = said(&answer, order);
                assert_eq!(part(&said, "covered"), ["not-covered"], "{code}");
                assert!(part(&said, "pa-needed").is_empty());
                let reasons = part(&said, "reason");
                assert_eq!((reasons.len(), &reasons[0]["coding"][0]["code"]), (1, &json!(code)));
                assert!(assertion(app, EHR, &said).await.is_some());
            }
        }
    }

    async fn the_answer_follows_the_day_of_service(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography();
        call["context"]["draftOrders"]["entry"][0]["resource"]["occurrenceDateTime"] = json!("2024-12-31");
        let answer = sign(&ehr, &call).await;
        assert_eq!(part(&said(&answer, "oxygen"), "covered"), ["not-covered"], "before the coverage began");
        assert_eq!(part(&said(&answer, "mammography"), "covered"), ["conditional"]);
    }

    async fn what_cannot_be_stored_is_not_said(app: &TestApp) {
        let ehr = app.ehr().await;
        let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{HOOK}"));
        let call = oxygen_and_mammography().to_string();
        let before = app.row_counts().await;
        app.sql("ALTER TABLE assertion RENAME TO assertion_away").await;
        let answer = app.post(HOOK, Some(&token), "application/json", call.clone()).await;
        app.sql("ALTER TABLE assertion_away RENAME TO assertion").await;
        assert_eq!(answer.status.as_u16(), 503);
        assert!(!answer.text.contains("systemActions"));
        assert_eq!(app.row_counts().await, before, "a part was stored");
        let again = app.post(HOOK, Some(&token), "application/json", call).await;
        assert_eq!(again.status.as_u16(), 200, "the token was spent for nothing");
    }

    async fn feedback_is_kept_as_it_came(app: &TestApp) {
        let ehr = app.ehr().await;
        let service = "order-sign-crd/feedback";
        let card = "7b0f3a54-3f2f-4c0e-8d1c-2f4f5a6f9d10";
        let body = json!({ "feedback": [{ "card": card, "outcome": "accepted" }] });
        let answer = ehr.hook(service, &body).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
        let kept = format!("SELECT COUNT(*) FROM blob WHERE kind = 'crd-feedback' AND body LIKE '%{card}%'");
        assert_eq!(app.number(&kept).await, 1);
        let before = app.row_counts().await;
        assert_eq!(ehr.hook(service, &json!({})).await.places(400), ["feedback"]);
        let path = format!("/cds-services/{service}");
        app.post(&path, None, "application/json", body.to_string()).await.json(401);
        ehr.hook("order-select-crd/feedback", &body).await.json(404);
        assert_eq!(app.row_counts().await, before);
    }

    async fn withpa_is_left_out_for_a_client_that_validates(app: &TestApp) {
        app.change_client(EHR, |client| client.doc.emit_withpa = false).await;
        let ehr = app.ehr().await;
        let answer = sign(&ehr, &oxygen_and_mammography()).await;
        assert!(part(&said(&answer, "oxygen"), "doc-purpose").is_empty());
    }

    async fn hl7s_own_message_gets_its_answer(app: &TestApp) {
        #[expect(clippy::disallowed_methods, reason = "where HL7's messages are is no setting of the server")]
        let Ok(folder) = std::env::var("ASSENT_EXAMPLES") else {
            println!("not run: ASSENT_EXAMPLES does not say where HL7's messages are");
            return;
        };
        let path = std::path::Path::new(&folder).join("crd/CRDServiceRequest.json");
        let call: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let strict = sign(&app.other_ehr().await, &call).await;
        assert_eq!(strict.places(400), ["Coverage.payor"], "its payer has no identifier");
        let answer = sign(&app.ehr().await, &call).await;
        // The mammography's answer depends on which of its billing options is done.
        for (order, pa) in [("1357", "conditional"), ("2468", "no-auth")] {
            let said = said(&answer, order);
            assert_eq!(part(&said, "coverage"), [json!({ "reference": "Coverage/COV1" })]);
            assert_eq!(part(&said, "covered"), ["covered"]);
            assert_eq!(part(&said, "pa-needed"), [pa]);
        }
        assert_eq!(part(&said(&answer, "1357"), "info-needed"), ["detail-code"]);
    }

    async fn what_may_be_left_out_may_be_left_out(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography();
        let context = &mut call["context"];
        context["draftOrders"] = json!({ "resourceType": "Bundle", "entry": [{ "resource": {
            "resourceType": "ServiceRequest", "id": "oxygen", "status": "draft", "intent": "order",
            "code": { "coding": [{ "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
            "subject": { "reference": "Patient/p1" } } }] });
        call["prefetch"]["patient"] = json!({ "resourceType": "Patient", "id": "p1" });
        for name in ["fhirServer", "fhirAuthorization"] {
            call.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(part(&said(&sign(&ehr, &call).await, "oxygen"), "pa-needed"), ["auth-needed"]);
    }

    async fn what_nobody_here_knows_is_passed_over(app: &TestApp) {
        let ehr = app.ehr().await;
        let usual = sign(&ehr, &oxygen_and_mammography()).await;
        let mut call = oxygen_and_mammography();
        call["somethingNew"] = json!({ "a": 1 });
        call["context"]["somethingNew"] = json!(["x"]);
        call["prefetch"]["somethingNew"] = json!({ "resourceType": "Basic", "id": "b" });
        call["prefetch"]["patient"]["somethingNew"] = json!(true);
        call["context"]["draftOrders"]["entry"][0]["resource"]["somethingNew"] = json!("x");
        call["extension"] = json!({ "org.example.own": 1, "davinci-crd.configuration": { "somethingNew": 7 } });
        let answer = sign(&ehr, &call).await;
        for url in ["covered", "pa-needed", "questionnaire", "doc-needed"] {
            assert_eq!(part(&said(&answer, "oxygen"), url), part(&said(&usual, "oxygen"), url));
        }
    }

    async fn billing_options_count_as_codes_of_the_order(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography();
        call["context"]["draftOrders"]["entry"][1]["resource"]["extension"] = json!([{
            "url": "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options",
            "valueCodeableConcept": { "coding": [{
                "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
        }]);
        let answer = sign(&ehr, &call).await;
        assert_eq!(part(&said(&answer, "mammography"), "pa-needed"), ["auth-needed"]);
    }

    async fn one_service_answers_for_every_line_of_business(app: &TestApp) {
        let ehr = app.ehr().await;
        let people = [
            ("A100200300", "Ellery", "1953-03-14", "female"),
            ("88800933501", "Baxter", "1987-02-20", "female"),
            ("C300400500", "Park", "2018-09-30", "female"),
            ("D400500600", "Moreno", "1979-11-11", "male"),
        ];
        for (number, family, born, gender) in people {
            let mut call = oxygen_and_mammography();
            call["prefetch"]["patient"] = json!({ "resourceType": "Patient", "id": "p1", "name": [{ "family": family }],
                "birthDate": born, "gender": gender, "identifier": [{ "value": number,
                    "type": { "coding": [{ "code": "MB", "system": "http://terminology.hl7.org/CodeSystem/v2-0203" }] } }] });
            let coverage = &mut call["prefetch"]["coverage"]["entry"][0]["resource"];
            coverage.as_object_mut().unwrap().remove("subscriberId");
            coverage["identifier"] = json!([{ "value": number, "system": "https://plan.example/coverage",
                "type": { "coding": [{ "code": "MB", "system": "http://terminology.hl7.org/CodeSystem/v2-0203" }] } }]);
            let said = said(&sign(&ehr, &call).await, "oxygen");
            assert_ne!(part(&said, "covered"), ["not-covered"], "{family}: {said}");
            assert_ne!(part(&said, "covered"), ["indeterminate"], "{family}: {said}");
        }
    }

    async fn white_space_of_the_call_is_not_sent_back(app: &TestApp) {
        let ehr = app.ehr().await;
        let text = serde_json::to_string_pretty(&oxygen_and_mammography()).unwrap();
        let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{HOOK}"));
        let answer = app.post(HOOK, Some(&token), "application/json", text).await;
        answer.json(200);
        assert!(!answer.text.contains('\n') && !answer.text.contains("\": "), "{}", answer.text);
    }

    async fn nothing_in_an_answer_is_null_or_empty(app: &TestApp) {
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
        check(&sign(&ehr, &oxygen_and_mammography()).await.json(200), "answer");
        check(&app.get("/cds-services", None).await.json(200), "discovery");
    }
}
