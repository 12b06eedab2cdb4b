//! Inquiries: the current state of a case, for clients that may see it (PAS spec-43 to spec-53).

use super::{
    FORM, ReviewerAction, assert_valid_response, case_id, reference_number, resource_mut, review_actions,
    review_item, set_member,
};
use crate::support::{Ehr, TestApp, both};
use assent::demo::walk::messages::review_action_part;
use serde_json::{Value, json};
use uuid::Uuid;

/// The cases in a response.
fn cases_in(parameters: &Value) -> Vec<Uuid> {
    assert_eq!(parameters["resourceType"], "Parameters");
    let Some(parts) = parameters.get("parameter") else {
        return Vec::new();
    };
    let parts = parts.as_array().unwrap();
    assert!(!parts.is_empty(), "FHIR does not allow an empty array");
    parts
        .iter()
        .map(|part| {
            assert_eq!(part["name"], "return");
            assert_valid_response(&part["resource"], None);
            case_id(&part["resource"]["entry"][0]["resource"])
        })
        .collect()
}

/// The cases that an inquiry finds.
async fn inquired_cases(ehr: &Ehr<'_>, inquiry: &Value) -> Vec<Uuid> {
    cases_in(&ehr.inquire(inquiry).await.json(200))
}

/// An inquiry for all cases of the member.
fn inquiry_for_all(app: &TestApp) -> Value {
    let mut inquiry = app.messages().inquiry("");
    resource_mut(&mut inquiry, "Claim")["item"][0]
        .as_object_mut()
        .unwrap()
        .remove("extension");
    inquiry
}

both! {
    async fn an_inquiry_by_number_finds_the_case_as_it_is_now(app: &TestApp) {
        let ehr = app.ehr().await;
        let first = ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        let other = case_id(&ehr.submitted(&app.messages().oxygen_request(FORM, None, 90, "normal")).await);
        let (id, tracking_number) = (case_id(&first), reference_number(&first));
        assert_eq!(inquired_cases(&ehr, &app.messages().inquiry(&tracking_number)).await, [id]);
        review_item(app, id, ReviewerAction::Approve).await;
        let response = ehr.inquire(&app.messages().inquiry(&tracking_number)).await.json(200);
        let bundle = &response["parameter"][0]["resource"];
        let profile = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/profile-pas-inquiry-response-bundle";
        assert_eq!(bundle["meta"]["profile"], json!([profile]));
        let claim_response = &bundle["entry"][0]["resource"];
        assert_eq!(review_actions(claim_response), ["A1"]);
        let number = review_action_part(&claim_response["item"][0], "number").unwrap()["valueString"].as_str().unwrap();
        assert_eq!(inquired_cases(&ehr, &app.messages().inquiry(number)).await, [id]);
        assert!(!inquired_cases(&ehr, &app.messages().inquiry(number)).await.contains(&other));
        app.run_jobs().await;
    }

    async fn not_applicable_matches_every_service_and_a_code_only_its_own(app: &TestApp) {
        let ehr = app.ehr().await;
        let oxygen = case_id(&ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await);
        let surgery = case_id(&ehr.submitted(&app.messages().surgery_request()).await);
        let mut all = inquired_cases(&ehr, &inquiry_for_all(app)).await;
        all.sort_unstable();
        let mut both = [oxygen, surgery];
        both.sort_unstable();
        assert_eq!(all, both);
        let mut without_items = inquiry_for_all(app);
        resource_mut(&mut without_items, "Claim").as_object_mut().unwrap().remove("item");
        assert_eq!(inquired_cases(&ehr, &without_items).await.len(), 2, "an inquiry needs no item");
        let mut one = inquiry_for_all(app);
        resource_mut(&mut one, "Claim")["item"][0]["productOrService"] = json!({ "coding": [{
            "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] });
        assert_eq!(inquired_cases(&ehr, &one).await, [oxygen]);
    }

    async fn a_claim_with_a_urn_is_not_referenced_and_the_reason_is_given(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut request = app.messages().oxygen_request(FORM, None, 91, "normal");
        // A Claim with a urn has no RESTful base, so its references resolve by type and id.
        request["entry"][0]["fullUrl"] = json!("urn:uuid:4b0f2f2e-5a0e-4e0f-9d59-0f6a3b1c9a11");
        let answer = ehr.submitted(&request).await;
        let inquiry = ehr.inquire(&app.messages().inquiry(&reference_number(&answer))).await.json(200);
        let found = &inquiry["parameter"][0]["resource"]["entry"][0]["resource"];
        for claim in [&answer["request"], &found["request"]] {
            assert!(claim.get("reference").is_none(), "a urn cannot be resolved outside of its Bundle");
            assert_eq!(claim["extension"][0]["valueCode"], "not-applicable");
            assert_eq!(claim["identifier"], request["entry"][0]["resource"]["identifier"][0]);
        }
    }

    async fn an_inquiry_without_matches_returns_empty_parameters(app: &TestApp) {
        let ehr = app.ehr().await;
        ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        let empty = json!({ "resourceType": "Parameters" });
        assert_eq!(ehr.inquire(&app.messages().inquiry("RF-0000000000")).await.json(200), empty);
        let mut unknown_member = inquiry_for_all(app);
        set_member(&mut unknown_member, "X000", "Nobody", "Here", "1950-01-01");
        assert_eq!(ehr.inquire(&unknown_member).await.json(200), empty);
        let mut other_member = inquiry_for_all(app);
        set_member(&mut other_member, "12345678901", "Smith", "Joe", "1955-06-02");
        assert_eq!(ehr.inquire(&other_member).await.json(200), empty);
    }

    async fn an_inquiry_that_matches_too_many_cases_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let first = ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        let model = case_id(&first);
        let most = app.state.config.limits.inquiry_cases;
        app.clock.advance(chrono::Duration::seconds(1));
        app.copy_open_case(model, most - 1, |_, _| ()).await;
        assert_eq!(inquired_cases(&ehr, &inquiry_for_all(app)).await.len(), most);
        app.copy_open_case(model, 1, |_, _| ()).await;
        let refused = ehr.inquire(&inquiry_for_all(app)).await;
        let outcome = refused.json(422);
        assert_eq!(outcome["issue"][0]["code"], "too-costly");
        assert_eq!(refused.places(422), ["Bundle.entry[0].resource"]);
        assert_eq!(inquired_cases(&ehr, &app.messages().inquiry(&reference_number(&first))).await, [model]);
        // The other client may see none of them, so none counts.
        let other = app.other_ehr().await;
        assert_eq!(inquired_cases(&other, &inquiry_for_all(app)).await, Vec::<Uuid>::new());
        app.leaves_work();
    }

    async fn another_client_sees_a_case_only_if_its_registered_npi_is_the_requester(app: &TestApp) {
        let other = app.other_ehr().await;
        let claim_response = app.ehr().await.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        // The requester's NPI is not registered for the other client.
        assert_eq!(inquired_cases(&other, &inquiry_for_all(app)).await, Vec::<Uuid>::new());
        assert_eq!(inquired_cases(&other, &app.messages().inquiry(&reference_number(&claim_response))).await, Vec::<Uuid>::new());
        // Naming a registered NPI in addition to the requester's does not help.
        let mut both = inquiry_for_all(app);
        both["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": "https://ehr.demo.example/fhir/Practitioner/own",
            "resource": { "resourceType": "Practitioner", "id": "own", "identifier": [
                { "system": "http://hl7.org/fhir/sid/us-npi", "value": "1982947230" },
            ] },
        }));
        assert_eq!(inquired_cases(&other, &both).await, Vec::<Uuid>::new());
        // A case of a requester that is registered for the other client, submitted by the first client.
        let mut request = app.messages().oxygen_request(FORM, None, 91, "normal");
        requester(&mut request)["identifier"][0]["value"] = json!("1982947230");
        let shared = case_id(&app.ehr().await.submitted(&request).await);
        let mut inquiry = inquiry_for_all(app);
        requester(&mut inquiry)["identifier"][0]["value"] = json!("1982947230");
        assert_eq!(inquired_cases(&other, &inquiry).await, [shared]);
    }
}

fn requester(bundle: &mut Value) -> &mut Value {
    let entries = bundle["entry"].as_array_mut().unwrap();
    &mut entries
        .iter_mut()
        .find(|e| e["resource"]["id"] == "requester")
        .unwrap()["resource"]
}
