//! What a request is answered at once.

use super::{
    Act, FORM, SD, actions, case, case_id, check_answer, events, extension, find, for_member, physician,
    review,
};
use crate::support::both;
use assent::demo::walk::messages::{action_part, item_part};
use chrono::Duration;
use serde_json::{Value, json};

both! {
    async fn a_request_that_meets_every_criterion_is_approved_at_once(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.run().oxygen(FORM, None, 87, "normal");
        let bundle = ehr.submit(&request).await.json(200);
        check_answer(&bundle, Some(&request));
        let answer = &bundle["entry"][0]["resource"];
        assert_eq!((actions(answer), &answer["outcome"]), (vec!["A1"], &json!("complete")));
        let item = &answer["item"][0];
        let number = action_part(item, "number").unwrap()["valueString"].as_str().unwrap();
        assert!(number.starts_with("PA-"), "{number}");
        assert_eq!(answer["preAuthRef"], json!(number));
        let period = &item_part(item, "extension-itemPreAuthPeriod").unwrap()["valuePeriod"];
        assert_eq!(period, &json!({ "start": "2026-11-23", "end": "2027-11-22" }));
        assert_eq!(item_part(item, "extension-itemPreAuthIssueDate").unwrap()["valueDate"], "2026-11-20");
        let reviewed = extension(answer, "extension-claimResponseReviewer").unwrap();
        assert_eq!(reviewed["extension"][0]["valueBoolean"], json!(false));
        // The member hears of it; the provider has it in hand.
        assert_eq!(app.run_jobs().await, 2);
        assert_eq!(app.mails().len(), 1);
    }

    async fn a_request_that_needs_a_person_pends_with_a_due_time_to_the_second(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.run().oxygen(FORM, None, 91, "normal");
        let bundle = ehr.submit(&request).await.json(200);
        check_answer(&bundle, Some(&request));
        let answer = &bundle["entry"][0]["resource"];
        assert_eq!((actions(answer), &answer["outcome"]), (vec!["A4"], &json!("complete")));
        assert!(answer.get("preAuthRef").is_none() && answer.get("preAuthPeriod").is_none());
        assert!(action_part(&answer["item"][0], "number").is_none());
        let case = case(app, case_id(answer)).await;
        assert_eq!((case.status(), case.queue()), ("clinical-review", Some("dme-nurse")));
        assert_eq!(case.received.due.work - case.received_at, Duration::seconds(604_800));
        assert_eq!(case.received_at, app.clock.now());
        assert_eq!(app.run_jobs().await, 0, "a first answer is no event");
    }

    async fn stat_and_an_urgent_level_of_service_are_due_in_72_hours(app: &TestApp) {
        let ehr = app.ehr().await;
        let levels = [("stat", None), ("normal", Some("U")), ("normal", Some("03")), ("normal", Some("E"))];
        for (priority, level) in levels {
            let mut request = app.run().oxygen(FORM, None, 91, priority);
            if let Some(code) = level {
                let extensions = find(&mut request, "Claim")["extension"].as_array_mut().unwrap();
                let coding = json!({ "system": "https://codesystem.x12.org/005010/1338", "code": code });
                extensions.push(json!({
                    "url": format!("{SD}/extension-levelOfServiceCode"),
                    "valueCodeableConcept": { "coding": [coding] },
                }));
            }
            let case = case(app, case_id(&ehr.submitted(&request).await)).await;
            let hours = if level == Some("E") { 168 } else { 72 };
            assert_eq!(case.received.due.work - case.received_at, Duration::hours(hours), "{priority} {level:?}");
            assert_eq!(case.received.urgent, hours == 72);
        }
    }

    async fn a_referral_needs_no_authorization(app: &TestApp) {
        let request = app.run().referral();
        let bundle = app.ehr().await.submit(&request).await.json(200);
        check_answer(&bundle, Some(&request));
        let answer = &bundle["entry"][0]["resource"];
        assert_eq!(actions(answer), ["NA"]);
        assert_eq!(answer["item"][0]["noteNumber"], json!([1]));
        assert!(answer["processNote"][0]["text"].is_string());
        assert!(!case(app, case_id(answer)).await.is_open());
        app.run_jobs().await;
    }

    async fn lines_of_one_request_are_answered_each_for_itself(app: &TestApp) {
        let bundle = app.ehr().await.submit(&app.run().home_care()).await.json(200);
        let answer = &bundle["entry"][0]["resource"];
        assert_eq!(actions(answer), ["A4", "NA"]);
        assert_eq!((&answer["item"][0]["itemSequence"], &answer["item"][1]["itemSequence"]), (&json!(1), &json!(2)));
        assert!(case(app, case_id(answer)).await.is_open());
        app.run_jobs().await;
    }

    async fn trace_numbers_and_transmission_identifiers_come_back(app: &TestApp) {
        let run = app.run();
        let request = run.home_care();
        let claim = &request["entry"][0]["resource"];
        let answer = app.ehr().await.submitted(&request).await;
        for n in [0, 1] {
            let sent = extension(&claim["item"][n], "extension-itemTraceNumber").unwrap();
            assert_eq!(extension(&answer["item"][n], "extension-itemTraceNumber"), Some(sent));
            let date = extension(&answer["item"][n], "extension-itemRequestedServiceDate").unwrap();
            assert_eq!(date["valueDateTime"], claim["item"][n]["servicedDate"]);
        }
        assert_eq!(answer["identifier"], claim["identifier"]);
        assert_eq!(answer["request"]["reference"], request["entry"][0]["fullUrl"]);
        let swapped = extension(&answer, "extension-TransmissionIdentifiers").unwrap()["extension"].as_array().unwrap();
        let said = |url: &str| swapped.iter().find(|e| e["url"] == url).unwrap()["valueString"].clone();
        assert_eq!((said("applicationSenderCode"), said("applicationReceiverCode")), (json!("ASSENT"), json!("LAKESIDE")));
        assert_eq!((said("interchangeSenderID"), said("interchangeReceiverID")), (json!("ASSENTDEMO"), json!("DEMOEHR01")));
        app.run_jobs().await;
    }

    async fn a_missing_result_is_asked_for_by_its_code(app: &TestApp) {
        let mut request = app.run().oxygen(FORM, None, 87, "normal");
        find(&mut request, "Observation")["status"] = json!("registered");
        let bundle = app.ehr().await.submit(&request).await.json(200);
        check_answer(&bundle, Some(&request));
        let answer = &bundle["entry"][0]["resource"];
        assert_eq!(actions(answer), ["A4"]);
        let asked = &bundle["entry"][1];
        assert_eq!(answer["communicationRequest"], json!([{ "reference": asked["fullUrl"] }]));
        let asked = &asked["resource"];
        assert_eq!((&asked["resourceType"], &asked["status"]), (&json!("CommunicationRequest"), &json!("active")));
        assert_eq!(asked["payload"], json!([{ "contentString": "59408-5" }]));
        assert!(asked["identifier"].as_array().unwrap().len() == 1);
        assert_eq!(extension(asked, "extension-serviceLineNumber").unwrap()["valuePositiveInt"], 1);
        assert!(answer["processNote"][0]["text"].as_str().unwrap().starts_with("Please send: "));
    }

    async fn missing_answers_are_asked_for_by_the_form_and_its_context(app: &TestApp) {
        let ehr = app.ehr().await;
        let hook = ehr.hook("order-sign-crd", &app.run().hook()).await.json(200);
        let context = assertion_of(&hook, "E1390");
        let request = app.run().oxygen("", Some(&context), 87, "normal");
        let bundle = ehr.submit(&request).await.json(200);
        check_answer(&bundle, Some(&request));
        let (answer, asked) = (&bundle["entry"][0]["resource"], &bundle["entry"][1]["resource"]);
        assert_eq!(asked["payload"], json!([{ "contentString": "102089-0" }]));
        assert_eq!(asked["identifier"][0]["value"], json!(context));
        let traces = answer["item"][0]["extension"].as_array().unwrap();
        assert!(traces.iter().any(|e| e["valueIdentifier"]["value"] == json!(context)), "ainfo-3: {traces:?}");
        assert_eq!(case(app, case_id(answer)).await.received.assertion, Some(context));
    }

    async fn a_role_that_asks_is_answered_with_the_people_behind_it(app: &TestApp) {
        let mut request = app.run().oxygen(FORM, None, 87, "normal");
        find(&mut request, "Observation")["status"] = json!("registered");
        let base = "https://ehr.demo.example/fhir";
        request["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": format!("{base}/PractitionerRole/role1"),
            "resource": { "resourceType": "PractitionerRole", "id": "role1",
                "practitioner": { "reference": "Practitioner/dr1" },
                "organization": { "reference": "Organization/requester" } },
        }));
        find(&mut request, "Claim")["provider"] = json!({ "reference": "PractitionerRole/role1" });
        let bundle = app.ehr().await.submit(&request).await.json(200);
        check_answer(&bundle, Some(&request));
        let (answer, asked) = (&bundle["entry"][0]["resource"], &bundle["entry"][1]["resource"]);
        assert_eq!(answer["requestor"]["reference"], json!(format!("{base}/PractitionerRole/role1")));
        assert_eq!(asked["recipient"], json!([{ "reference": format!("{base}/Practitioner/dr1") }]));
        assert_eq!(asked["sender"], json!({ "reference": format!("{base}/Organization/requester") }));
    }

    async fn supporting_information_may_be_a_bundle_with_references_of_its_own(app: &TestApp) {
        let mut request = app.run().oxygen(FORM, None, 87, "normal");
        request["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": "https://ehr.demo.example/fhir/Bundle/more",
            "resource": { "resourceType": "Bundle", "id": "more", "type": "collection", "entry": [
                { "fullUrl": "urn:uuid:6a0a5e0c-3d63-4a0b-8f39-7f7f9c1f7a01", "resource": { "resourceType": "Procedure",
                    "status": "completed", "subject": { "reference": "urn:uuid:6a0a5e0c-3d63-4a0b-8f39-7f7f9c1f7a02" } } },
            ] },
        }));
        let information = find(&mut request, "Claim")["supportingInfo"].as_array_mut().unwrap();
        let mut more = information[0].clone();
        more["sequence"] = json!(9);
        more["valueReference"] = json!({ "reference": "Bundle/more" });
        information.push(more);
        assert_eq!(actions(&app.ehr().await.submitted(&request).await), ["A1"]);
        app.run_jobs().await;
    }

    async fn a_coverage_that_has_ended_pends_to_the_administrative_queue(app: &TestApp) {
        let mut request = app.run().oxygen(FORM, None, 87, "normal");
        for_member(&mut request, "E500600700", "Nolan", "Vera", "1948-05-05");
        let answer = app.ehr().await.submitted(&request).await;
        assert_eq!(actions(&answer), ["A4"]);
        let case = case(app, case_id(&answer)).await;
        assert_eq!((case.status(), case.queue()), ("intake", Some("administrative")));
    }

    async fn a_denial_names_its_reason_its_words_and_the_physician(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.run().oxygen(FORM, None, 91, "normal");
        let id = case_id(&ehr.submitted(&request).await);
        app.clock.advance(Duration::minutes(1));
        review(app, id, Act::Deny("A saturation of 91 percent does not meet the criteria.")).await;
        let bundle = ehr.submit(&request).await.json(200);
        check_answer(&bundle, Some(&request));
        let answer = &bundle["entry"][0]["resource"];
        assert_eq!((actions(answer), &answer["outcome"]), (vec!["A3"], &json!("complete")));
        let item = &answer["item"][0];
        let reason = &action_part(item, "reasonCode").unwrap()["valueCodeableConcept"]["coding"][0];
        assert_eq!(reason, &json!({ "system": "https://codesystem.x12.org/external/886", "code": "0F" }));
        assert_eq!(item["noteNumber"], json!([1]));
        let text = "A saturation of 91 percent does not meet the criteria.";
        assert_eq!(answer["processNote"], json!([{ "number": 1, "text": text }]));
        let reviewed = extension(answer, "extension-claimResponseReviewer").unwrap()["extension"].as_array().unwrap();
        let said = |url: &str| reviewed.iter().find(|e| e["url"] == url).unwrap();
        assert_eq!(said("wasHumanReviewedFlag")["valueBoolean"], json!(true));
        let npi = physician().credential.unwrap().npi;
        assert_eq!(said("reviewerNPI")["valueIdentifier"]["value"], json!(npi));
        let last = events(app, id).await.pop().unwrap();
        assert_eq!((last.body.kind(), last.actor.role()), ("decided", "physician"));
        app.run_jobs().await;
    }

    async fn the_statement_can_be_read_without_a_token_and_names_what_is_offered(app: &TestApp) {
        let statement = app.get("/pas/2.2/metadata", None).await.json(200);
        assert_eq!((&statement["kind"], &statement["fhirVersion"]), (&json!("instance"), &json!("4.0.1")));
        let rest = statement["rest"][0]["resource"].as_array().unwrap();
        let named = |kind: &str, list: &str, member: &str| -> Vec<String> {
            let resource = rest.iter().find(|r| r["type"] == kind).unwrap();
            let all = resource[list].as_array().unwrap().iter();
            all.map(|o| o[member].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(named("Claim", "operation", "name"), ["submit", "inquire"]);
        let offered = named("Subscription", "interaction", "code");
        assert!(["create", "update", "delete"].iter().all(|w| offered.iter().any(|o| o == w)), "{offered:?}");
        for name in ["submit", "inquire"] {
            let path = format!("/pas/2.2/Claim/${name}");
            assert_eq!(app.post(&path, None, "application/fhir+json", "{}").await.status, 401, "{path}");
        }
    }

    async fn an_update_is_refused_in_x12s_words_and_nothing_is_stored(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut request = app.run().oxygen(FORM, None, 87, "normal");
        find(&mut request, "Claim")["related"] = json!([{ "claim": { "reference": "Claim/earlier" } }]);
        request["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": "https://ehr.demo.example/fhir/Claim/earlier",
            "resource": { "resourceType": "Claim", "id": "earlier", "patient": { "reference": "Patient/nowhere" } },
        }));
        let before = app.row_counts().await;
        let bundle = ehr.submit(&request).await.json(200);
        check_answer(&bundle, Some(&request));
        check_refusal(&bundle, "33", "Bundle.entry[0].resource.related");
        assert_eq!(app.row_counts().await, before);
    }
}

/// A refusal: `outcome` error, one located error whose words stand in its note.
#[track_caller]
pub fn check_refusal(bundle: &Value, code: &str, path: &str) {
    let answer = &bundle["entry"][0]["resource"];
    assert_eq!(answer["outcome"], "error");
    assert!(answer.get("item").is_none());
    let reviewed = extension(answer, "extension-claimResponseReviewer").unwrap();
    assert_eq!(reviewed["extension"][0]["valueBoolean"], json!(false));
    let error = &answer["error"][0];
    let coding = json!([{ "system": "https://codesystem.x12.org/005010/901", "code": code }]);
    assert_eq!(error["code"]["coding"], coding);
    assert_eq!(
        extension(error, "extension-errorPath").unwrap()["valueString"],
        json!(path)
    );
    let followed = extension(error, "extension-errorFollowupAction").unwrap();
    assert!(followed["valueCodeableConcept"]["coding"][0]["code"].is_string());
    let element = extension(error, "extension-errorElement").unwrap();
    assert_eq!(
        element["extension"][1],
        json!({ "url": "processNote", "valuePositiveInt": 1 })
    );
    assert_eq!(answer["processNote"][0]["number"], 1);
}

/// The assertion id that a hook's answer gave to the order with this code.
pub fn assertion_of(hook: &Value, code: &str) -> String {
    let actions = hook["systemActions"].as_array().unwrap();
    let order = actions
        .iter()
        .map(|a| &a["resource"])
        .find(|r| r["code"]["coding"][0]["code"] == code)
        .unwrap();
    let said = order["extension"][0]["extension"].as_array().unwrap();
    let id = said.iter().find(|e| e["url"] == "coverage-assertion-id").unwrap();
    id["valueString"].as_str().unwrap().to_owned()
}
