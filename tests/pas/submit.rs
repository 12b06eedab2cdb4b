//! The responses to `$submit`.

use super::{
    FORM, ReviewerAction, SD, assert_valid_response, case, case_id, events, extension, physician,
    resource_mut, review_actions, review_item, set_member,
};
use crate::support::both;
use assent::demo::walk::messages::{item_extension, review_action_part};
use chrono::Duration;
use serde_json::{Value, json};

both! {
    async fn a_request_that_meets_every_criterion_is_approved_immediately(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.messages().oxygen_request(FORM, None, 87, "normal");
        let bundle = ehr.submit(&request).await.json(200);
        assert_valid_response(&bundle, Some(&request));
        let claim_response = &bundle["entry"][0]["resource"];
        assert_eq!((review_actions(claim_response), &claim_response["outcome"]), (vec!["A1"], &json!("complete")));
        let item = &claim_response["item"][0];
        let number = review_action_part(item, "number").unwrap()["valueString"].as_str().unwrap();
        assert!(number.starts_with("PA-"), "{number}");
        assert_eq!(claim_response["preAuthRef"], json!(number));
        let period = &item_extension(item, "extension-itemPreAuthPeriod").unwrap()["valuePeriod"];
        assert_eq!(period, &json!({ "start": "2026-11-23", "end": "2027-11-22" }));
        assert_eq!(item_extension(item, "extension-itemPreAuthIssueDate").unwrap()["valueDate"], "2026-11-20");
        let reviewed = extension(claim_response, "extension-claimResponseReviewer").unwrap();
        assert_eq!(reviewed["extension"][0]["valueBoolean"], json!(false));
        // The member gets an email notice. The provider has the decision in the response.
        assert_eq!(app.run_jobs().await, 1);
        assert_eq!(app.mails().len(), 1);
    }

    async fn a_request_that_needs_review_is_pended_with_an_exact_due_time(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let bundle = ehr.submit(&request).await.json(200);
        assert_valid_response(&bundle, Some(&request));
        let claim_response = &bundle["entry"][0]["resource"];
        assert_eq!((review_actions(claim_response), &claim_response["outcome"]), (vec!["A4"], &json!("complete")));
        assert!(claim_response.get("preAuthRef").is_none() && claim_response.get("preAuthPeriod").is_none());
        assert!(review_action_part(&claim_response["item"][0], "number").is_none());
        let case = case(app, case_id(claim_response)).await;
        assert_eq!((case.status(), case.queue()), ("clinical-review", Some("dme-nurse")));
        assert_eq!(case.received.due.internal - case.received_at, Duration::seconds(604_800));
        assert_eq!(case.received_at, app.clock.now());
        assert_eq!(app.run_jobs().await, 0, "the response to a submission is not an event");
    }

    async fn stat_and_an_urgent_level_of_service_are_due_in_72_hours(app: &TestApp) {
        let ehr = app.ehr().await;
        let levels = [("stat", None), ("normal", Some("U")), ("normal", Some("03")), ("normal", Some("E"))];
        for (priority, level) in levels {
            let mut request = app.messages().oxygen_request(FORM, None, 91, priority);
            if let Some(code) = level {
                let extensions = resource_mut(&mut request, "Claim")["extension"].as_array_mut().unwrap();
                let coding = json!({ "system": "https://codesystem.x12.org/005010/1338", "code": code });
                extensions.push(json!({
                    "url": format!("{SD}/extension-levelOfServiceCode"),
                    "valueCodeableConcept": { "coding": [coding] },
                }));
            }
            let case = case(app, case_id(&ehr.submitted(&request).await)).await;
            let hours = if level == Some("E") { 168 } else { 72 };
            assert_eq!(case.received.due.internal - case.received_at, Duration::hours(hours), "{priority} {level:?}");
            assert_eq!(case.received.urgent, hours == 72);
        }
    }

    async fn a_referral_needs_no_authorization(app: &TestApp) {
        let request = app.messages().referral_request();
        let bundle = app.ehr().await.submit(&request).await.json(200);
        assert_valid_response(&bundle, Some(&request));
        let claim_response = &bundle["entry"][0]["resource"];
        assert_eq!(review_actions(claim_response), ["NA"]);
        assert_eq!(claim_response["item"][0]["noteNumber"], json!([1]));
        assert!(claim_response["processNote"][0]["text"].is_string());
        assert!(!case(app, case_id(claim_response)).await.is_open());
        app.run_jobs().await;
    }

    async fn each_item_of_a_request_gets_its_own_decision(app: &TestApp) {
        let bundle = app.ehr().await.submit(&app.messages().home_care_request()).await.json(200);
        let claim_response = &bundle["entry"][0]["resource"];
        assert_eq!(review_actions(claim_response), ["A4", "NA"]);
        assert_eq!((&claim_response["item"][0]["itemSequence"], &claim_response["item"][1]["itemSequence"]), (&json!(1), &json!(2)));
        assert!(case(app, case_id(claim_response)).await.is_open());
        app.run_jobs().await;
    }

    async fn trace_numbers_and_transmission_identifiers_are_returned(app: &TestApp) {
        let run = app.messages();
        let request = run.home_care_request();
        let claim = &request["entry"][0]["resource"];
        let claim_response = app.ehr().await.submitted(&request).await;
        for n in [0, 1] {
            let sent = extension(&claim["item"][n], "extension-itemTraceNumber").unwrap();
            assert_eq!(extension(&claim_response["item"][n], "extension-itemTraceNumber"), Some(sent));
            let date = extension(&claim_response["item"][n], "extension-itemRequestedServiceDate").unwrap();
            assert_eq!(date["valueDateTime"], claim["item"][n]["servicedDate"]);
        }
        assert_eq!(claim_response["identifier"], claim["identifier"]);
        assert_eq!(claim_response["request"]["reference"], request["entry"][0]["fullUrl"]);
        let swapped = extension(&claim_response, "extension-TransmissionIdentifiers").unwrap()["extension"].as_array().unwrap();
        let part = |url: &str| swapped.iter().find(|e| e["url"] == url).unwrap()["valueString"].clone();
        assert_eq!((part("applicationSenderCode"), part("applicationReceiverCode")), (json!("ASSENT"), json!("LAKESIDE")));
        assert_eq!((part("interchangeSenderID"), part("interchangeReceiverID")), (json!("ASSENTDEMO"), json!("DEMOEHR01")));
        app.run_jobs().await;
    }

    async fn a_missing_result_is_requested_by_its_loinc_code(app: &TestApp) {
        let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
        resource_mut(&mut request, "Observation")["status"] = json!("registered");
        let bundle = app.ehr().await.submit(&request).await.json(200);
        assert_valid_response(&bundle, Some(&request));
        let claim_response = &bundle["entry"][0]["resource"];
        assert_eq!(review_actions(claim_response), ["A4"]);
        let entry = &bundle["entry"][1];
        assert_eq!(claim_response["communicationRequest"], json!([{ "reference": entry["fullUrl"] }]));
        let communication_request = &entry["resource"];
        assert_eq!((&communication_request["resourceType"], &communication_request["status"]), (&json!("CommunicationRequest"), &json!("active")));
        assert_eq!(communication_request["payload"], json!([{ "contentString": "59408-5" }]));
        assert!(communication_request["identifier"].as_array().unwrap().len() == 1);
        assert_eq!(extension(communication_request, "extension-serviceLineNumber").unwrap()["valuePositiveInt"], 1);
        assert!(claim_response["processNote"][0]["text"].as_str().unwrap().starts_with("Please send: "));
    }

    async fn missing_answers_are_requested_with_the_questionnaire_package_and_its_context(app: &TestApp) {
        let ehr = app.ehr().await;
        let hook = ehr.hook("order-sign-crd", &app.messages().order_sign_hook()).await.json(200);
        let context = assertion_of(&hook, "E1390");
        let request = app.messages().oxygen_request("", Some(&context), 87, "normal");
        let bundle = ehr.submit(&request).await.json(200);
        assert_valid_response(&bundle, Some(&request));
        let (claim_response, communication_request) = (&bundle["entry"][0]["resource"], &bundle["entry"][1]["resource"]);
        assert_eq!(communication_request["payload"], json!([{ "contentString": "102089-0" }]));
        assert_eq!(communication_request["identifier"][0]["value"], json!(context));
        let extensions = claim_response["item"][0]["extension"].as_array().unwrap();
        assert!(extensions.iter().any(|e| e["valueIdentifier"]["value"] == json!(context)), "ainfo-3: {extensions:?}");
        assert_eq!(case(app, case_id(claim_response)).await.received.assertion, Some(context));
    }

    async fn for_a_practitioner_role_recipient_and_sender_are_its_practitioner_and_organization(app: &TestApp) {
        let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
        resource_mut(&mut request, "Observation")["status"] = json!("registered");
        let base = "https://ehr.demo.example/fhir";
        request["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": format!("{base}/PractitionerRole/role1"),
            "resource": { "resourceType": "PractitionerRole", "id": "role1",
                "practitioner": { "reference": "Practitioner/dr1" },
                "organization": { "reference": "Organization/requester" },
                "telecom": [{ "system": "phone", "value": "555-0100" }] },
        }));
        resource_mut(&mut request, "Claim")["provider"] = json!({ "reference": "PractitionerRole/role1" });
        let bundle = app.ehr().await.submit(&request).await.json(200);
        assert_valid_response(&bundle, Some(&request));
        let (claim_response, communication_request) = (&bundle["entry"][0]["resource"], &bundle["entry"][1]["resource"]);
        assert_eq!(claim_response["requestor"]["reference"], json!(format!("{base}/PractitionerRole/role1")));
        assert_eq!(communication_request["recipient"], json!([{ "reference": format!("{base}/Practitioner/dr1") }]));
        assert_eq!(communication_request["sender"], json!({ "reference": format!("{base}/Organization/requester") }));
    }

    async fn supporting_information_may_be_a_bundle_with_its_own_references(app: &TestApp) {
        let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
        request["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": "https://ehr.demo.example/fhir/Bundle/more",
            "resource": { "resourceType": "Bundle", "id": "more", "type": "collection", "entry": [
                { "fullUrl": "urn:uuid:6a0a5e0c-3d63-4a0b-8f39-7f7f9c1f7a01", "resource": { "resourceType": "Procedure",
                    "status": "completed", "subject": { "reference": "urn:uuid:6a0a5e0c-3d63-4a0b-8f39-7f7f9c1f7a02" } } },
            ] },
        }));
        let information = resource_mut(&mut request, "Claim")["supportingInfo"].as_array_mut().unwrap();
        let mut more = information[0].clone();
        more["sequence"] = json!(9);
        more["valueReference"] = json!({ "reference": "Bundle/more" });
        information.push(more);
        assert_eq!(review_actions(&app.ehr().await.submitted(&request).await), ["A1"]);
        app.run_jobs().await;
    }

    async fn a_request_on_an_ended_coverage_is_pended_to_the_administrative_queue(app: &TestApp) {
        let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
        set_member(&mut request, "E500600700", "Nolan", "Vera", "1948-05-05");
        let claim_response = app.ehr().await.submitted(&request).await;
        assert_eq!(review_actions(&claim_response), ["A4"]);
        let case = case(app, case_id(&claim_response)).await;
        assert_eq!((case.status(), case.queue()), ("intake", Some("administrative")));
    }

    async fn a_denial_has_a_reason_code_a_reason_text_and_the_physician(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let id = case_id(&ehr.submitted(&request).await);
        app.clock.advance(Duration::minutes(1));
        review_item(app, id, ReviewerAction::Deny("A saturation of 91 percent does not meet the criteria.")).await;
        let bundle = ehr.submit(&request).await.json(200);
        assert_valid_response(&bundle, Some(&request));
        let claim_response = &bundle["entry"][0]["resource"];
        assert_eq!((review_actions(claim_response), &claim_response["outcome"]), (vec!["A3"], &json!("complete")));
        let item = &claim_response["item"][0];
        let reason = &review_action_part(item, "reasonCode").unwrap()["valueCodeableConcept"]["coding"][0];
        assert_eq!(reason, &json!({ "system": "https://codesystem.x12.org/external/886", "code": "0F" }));
        assert_eq!(item["noteNumber"], json!([1]));
        let text = "A saturation of 91 percent does not meet the criteria.";
        assert_eq!(claim_response["processNote"], json!([{ "number": 1, "text": text }]));
        let reviewed = extension(claim_response, "extension-claimResponseReviewer").unwrap()["extension"].as_array().unwrap();
        let part = |url: &str| reviewed.iter().find(|e| e["url"] == url).unwrap();
        assert_eq!(part("wasHumanReviewedFlag")["valueBoolean"], json!(true));
        let npi = physician().credential.unwrap().npi;
        assert_eq!(part("reviewerNPI")["valueIdentifier"]["value"], json!(npi));
        let last = events(app, id).await.pop().unwrap();
        assert_eq!((last.body.kind(), last.actor.role()), ("decided", "physician"));
        app.run_jobs().await;
    }

    async fn the_capability_statement_needs_no_token_and_lists_the_operations(app: &TestApp) {
        let statement = app.get("/pas/2.2/metadata", None).await.json(200);
        assert_eq!((&statement["kind"], &statement["fhirVersion"]), (&json!("instance"), &json!("4.0.1")));
        let rest = statement["rest"][0]["resource"].as_array().unwrap();
        let named = |kind: &str, list: &str, member: &str| -> Vec<String> {
            let resource = rest.iter().find(|r| r["type"] == kind).unwrap();
            let all = resource[list].as_array().unwrap().iter();
            all.map(|o| o[member].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(named("Claim", "operation", "name"), ["submit", "inquire"]);
        let interactions = named("Subscription", "interaction", "code");
        assert!(["create", "update", "delete"].iter().all(|w| interactions.iter().any(|i| i == w)), "{interactions:?}");
        for name in ["submit", "inquire"] {
            let path = format!("/pas/2.2/Claim/${name}");
            assert_eq!(app.post(&path, None, "application/fhir+json", "{}").await.status, 401, "{path}");
        }
    }

    async fn an_update_gets_a_business_error_and_nothing_is_stored(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
        resource_mut(&mut request, "Claim")["related"] = json!([{ "claim": { "reference": "Claim/earlier" } }]);
        request["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": "https://ehr.demo.example/fhir/Claim/earlier",
            "resource": { "resourceType": "Claim", "id": "earlier", "status": "active", "patient": { "reference": "Patient/nowhere" } },
        }));
        let before = app.row_counts().await;
        let bundle = ehr.submit(&request).await.json(200);
        assert_valid_response(&bundle, Some(&request));
        assert_business_error(&bundle, "33", "Bundle.entry[0].resource.related");
        assert_eq!(app.row_counts().await, before);
    }
}

/// Checks a business error: `outcome` is `error`, with one located error whose text is in its note.
#[track_caller]
pub fn assert_business_error(bundle: &Value, code: &str, path: &str) {
    let claim_response = &bundle["entry"][0]["resource"];
    assert_eq!(claim_response["outcome"], "error");
    assert!(claim_response.get("item").is_none());
    let reviewed = extension(claim_response, "extension-claimResponseReviewer").unwrap();
    assert_eq!(reviewed["extension"][0]["valueBoolean"], json!(false));
    let error = &claim_response["error"][0];
    let coding = json!([{ "system": "https://codesystem.x12.org/005010/901", "code": code }]);
    assert_eq!(error["code"]["coding"], coding);
    assert_eq!(
        extension(error, "extension-errorPath").unwrap()["valueString"],
        json!(path)
    );
    let follow_up = extension(error, "extension-errorFollowupAction").unwrap();
    assert!(follow_up["valueCodeableConcept"]["coding"][0]["code"].is_string());
    let element = extension(error, "extension-errorElement").unwrap();
    assert_eq!(
        element["extension"][1],
        json!({ "url": "processNote", "valuePositiveInt": 1 })
    );
    assert_eq!(claim_response["processNote"][0]["number"], 1);
}

/// The coverage-assertion-id that a hook response gives to the order with this code.
pub fn assertion_of(hook: &Value, code: &str) -> String {
    let actions = hook["systemActions"].as_array().unwrap();
    let order = actions
        .iter()
        .map(|a| &a["resource"])
        .find(|r| r["code"]["coding"][0]["code"] == code)
        .unwrap();
    let part = order["extension"][0]["extension"].as_array().unwrap();
    let id = part.iter().find(|e| e["url"] == "coverage-assertion-id").unwrap();
    id["valueString"].as_str().unwrap().to_owned()
}
