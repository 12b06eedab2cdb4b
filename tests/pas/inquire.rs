//! Inquiries: the current truth for who may see it, and nothing else (PAS spec-43 to spec-53).

use super::{Act, FORM, actions, case_id, check_answer, find, for_member, reference_number, review};
use crate::support::{Ehr, TestApp, both};
use assent::demo::walk::messages::action_part;
use serde_json::{Value, json};
use uuid::Uuid;

/// The cases of an answer.
fn found(parameters: &Value) -> Vec<Uuid> {
    assert_eq!(parameters["resourceType"], "Parameters");
    let Some(parts) = parameters.get("parameter") else {
        return Vec::new();
    };
    let parts = parts.as_array().unwrap();
    assert!(!parts.is_empty(), "an empty array is no FHIR");
    parts
        .iter()
        .map(|part| {
            assert_eq!(part["name"], "return");
            check_answer(&part["resource"], None);
            case_id(&part["resource"]["entry"][0]["resource"])
        })
        .collect()
}

async fn asked(ehr: &Ehr<'_>, inquiry: &Value) -> Vec<Uuid> {
    found(&ehr.inquire(inquiry).await.json(200))
}

/// An inquiry for everything of the member.
fn everything(app: &TestApp) -> Value {
    let mut inquiry = app.run().inquiry("");
    find(&mut inquiry, "Claim")["item"][0]
        .as_object_mut()
        .unwrap()
        .remove("extension");
    inquiry
}

both! {
    async fn an_inquiry_by_number_finds_the_case_as_it_stands(app: &TestApp) {
        let ehr = app.ehr().await;
        let first = ehr.submitted(&app.run().oxygen(FORM, None, 91, "normal")).await;
        let other = case_id(&ehr.submitted(&app.run().oxygen(FORM, None, 90, "normal")).await);
        let (id, tracking) = (case_id(&first), reference_number(&first));
        assert_eq!(asked(&ehr, &app.run().inquiry(&tracking)).await, [id]);
        review(app, id, Act::Approve).await;
        let answer = ehr.inquire(&app.run().inquiry(&tracking)).await.json(200);
        let bundle = &answer["parameter"][0]["resource"];
        let profile = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/profile-pas-inquiry-response-bundle";
        assert_eq!(bundle["meta"]["profile"], json!([profile]));
        let now = &bundle["entry"][0]["resource"];
        assert_eq!(actions(now), ["A1"]);
        let number = action_part(&now["item"][0], "number").unwrap()["valueString"].as_str().unwrap();
        assert_eq!(asked(&ehr, &app.run().inquiry(number)).await, [id]);
        assert!(!asked(&ehr, &app.run().inquiry(number)).await.contains(&other));
        app.run_jobs().await;
    }

    async fn not_applicable_asks_for_every_service_and_a_code_for_its_own(app: &TestApp) {
        let ehr = app.ehr().await;
        let oxygen = case_id(&ehr.submitted(&app.run().oxygen(FORM, None, 91, "normal")).await);
        let surgery = case_id(&ehr.submitted(&app.run().surgery()).await);
        let mut all = asked(&ehr, &everything(app)).await;
        all.sort_unstable();
        let mut both = [oxygen, surgery];
        both.sort_unstable();
        assert_eq!(all, both);
        let mut bare = everything(app);
        find(&mut bare, "Claim").as_object_mut().unwrap().remove("item");
        assert_eq!(asked(&ehr, &bare).await.len(), 2, "an inquiry needs no item");
        let mut one = everything(app);
        find(&mut one, "Claim")["item"][0]["productOrService"] = json!({ "coding": [{
            "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] });
        assert_eq!(asked(&ehr, &one).await, [oxygen]);
    }

    async fn an_inquiry_about_a_transient_claim_says_why_it_cannot_be_followed(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut request = app.run().oxygen(FORM, None, 91, "normal");
        // A transient Claim has no RESTful base: what it names is found by type and id.
        request["entry"][0]["fullUrl"] = json!("urn:uuid:4b0f2f2e-5a0e-4e0f-9d59-0f6a3b1c9a11");
        let answer = ehr.submitted(&request).await;
        let inquiry = ehr.inquire(&app.run().inquiry(&reference_number(&answer))).await.json(200);
        let found = &inquiry["parameter"][0]["resource"]["entry"][0]["resource"];
        for claim in [&answer["request"], &found["request"]] {
            assert!(claim.get("reference").is_none(), "a urn outside of its bundle points nowhere");
            assert_eq!(claim["extension"][0]["valueCode"], "not-applicable");
            assert_eq!(claim["identifier"], request["entry"][0]["resource"]["identifier"][0]);
        }
    }

    async fn an_inquiry_that_finds_nothing_is_answered_with_empty_parameters(app: &TestApp) {
        let ehr = app.ehr().await;
        ehr.submitted(&app.run().oxygen(FORM, None, 91, "normal")).await;
        let nothing = json!({ "resourceType": "Parameters" });
        assert_eq!(ehr.inquire(&app.run().inquiry("RF-0000000000")).await.json(200), nothing);
        let mut stranger = everything(app);
        for_member(&mut stranger, "X000", "Nobody", "Here", "1950-01-01");
        assert_eq!(ehr.inquire(&stranger).await.json(200), nothing);
        let mut neighbour = everything(app);
        for_member(&mut neighbour, "12345678901", "Smith", "Joe", "1955-06-02");
        assert_eq!(ehr.inquire(&neighbour).await.json(200), nothing);
    }

    async fn another_partner_sees_a_case_only_under_an_npi_of_its_own(app: &TestApp) {
        let other = app.other_ehr().await;
        let ours = app.ehr().await.submitted(&app.run().oxygen(FORM, None, 91, "normal")).await;
        // It names the requester, whose NPI is not registered for it.
        assert_eq!(asked(&other, &everything(app)).await, Vec::<Uuid>::new());
        assert_eq!(asked(&other, &app.run().inquiry(&reference_number(&ours))).await, Vec::<Uuid>::new());
        // Naming an NPI of its own beside the requester's opens nothing.
        let mut both = everything(app);
        both["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": "https://ehr.demo.example/fhir/Practitioner/own",
            "resource": { "resourceType": "Practitioner", "id": "own", "identifier": [
                { "system": "http://hl7.org/fhir/sid/us-npi", "value": "1982947230" },
            ] },
        }));
        assert_eq!(asked(&other, &both).await, Vec::<Uuid>::new());
        // A case whose requester is registered for it, sent by the other side.
        let mut request = app.run().oxygen(FORM, None, 91, "normal");
        requester(&mut request)["identifier"][0]["value"] = json!("1982947230");
        let shared = case_id(&app.ehr().await.submitted(&request).await);
        let mut inquiry = everything(app);
        requester(&mut inquiry)["identifier"][0]["value"] = json!("1982947230");
        assert_eq!(asked(&other, &inquiry).await, [shared]);
    }
}

fn requester(bundle: &mut Value) -> &mut Value {
    let entries = bundle["entry"].as_array_mut().unwrap();
    &mut entries
        .iter_mut()
        .find(|e| e["resource"]["id"] == "requester")
        .unwrap()["resource"]
}
