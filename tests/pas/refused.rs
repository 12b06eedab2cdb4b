//! Bad input: the protocol's own error form with the place, and the database as it was.

use super::submit::{assertion_of, check_refusal};
use super::{FORM, actions, check_answer, find, for_member};
use crate::support::both;
use assent::demo::seed;
use chrono::Duration;
use serde_json::{Value, json};

const SUBMIT: &str = "/pas/2.2/Claim/$submit";
const FHIR: &str = "application/fhir+json";

both! {
    async fn what_is_no_bundle_is_refused_with_its_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let token = Some(ehr.token.as_str());
        let before = app.row_counts().await;
        let broken = app.post(SUBMIT, token, FHIR, "{\n\"resourceType\": oops}").await;
        assert!(broken.json(400)["issue"][0]["details"]["text"].as_str().unwrap().contains("line 2, column 17"));
        let form = app.post(SUBMIT, token, "application/x-www-form-urlencoded", "a=b").await;
        assert_eq!(form.json(415)["issue"][0]["code"], "not-supported");
        let large = app.post(SUBMIT, token, FHIR, " ".repeat(app.state.config.limits.body_bytes + 1)).await;
        assert_eq!(large.json(413)["issue"][0]["code"], "too-long");
        let claim = json!({ "resourceType": "Claim" });
        assert_eq!(ehr.submit(&claim).await.places(400), ["resourceType"]);
        assert_eq!(ehr.submit(&json!([])).await.places(400), ["resourceType"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_bundle_without_a_claim_first_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut empty = app.run().referral();
        empty["entry"] = json!([]);
        assert_eq!(ehr.submit(&empty).await.places(422), ["Bundle.entry[0].resource"]);
        empty.as_object_mut().unwrap().remove("entry");
        assert_eq!(ehr.submit(&empty).await.places(422), ["Bundle.entry[0].resource"]);
        let mut turned = app.run().referral();
        turned["entry"].as_array_mut().unwrap().reverse();
        assert_eq!(ehr.submit(&turned).await.places(422), ["Bundle.entry[0].resource"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_reference_without_its_entry_and_an_entry_sent_twice_are_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut dangling = app.run().referral();
        find(&mut dangling, "Coverage")["payor"] = json!([{ "reference": "Organization/nowhere" }]);
        assert_eq!(ehr.submit(&dangling).await.places(422), ["Bundle.entry[2].resource.payor[0]"]);
        let mut twice = app.run().referral();
        let second = twice["entry"][1].clone();
        twice["entry"].as_array_mut().unwrap().push(second);
        assert_eq!(ehr.submit(&twice).await.places(422), ["Bundle.entry[5].fullUrl"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn four_faults_are_reported_at_once(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut places = ehr.submit(&app.run().four_faults()).await.places(422);
        places.sort_unstable();
        let wanted = [
            "Bundle.entry[0].resource.insurance[0].coverage",
            "Bundle.entry[0].resource.item[1].location",
            "Bundle.entry[0].resource.item[1].sequence",
            "Bundle.timestamp",
        ];
        assert_eq!(places, wanted);
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_unknown_member_and_a_contradicting_birth_date_are_refused_in_the_answer(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut stranger = app.run().oxygen(FORM, None, 87, "normal");
        for_member(&mut stranger, "X000", "Ellery", "Ruth", "1953-03-14");
        let mut other_birth = app.run().oxygen(FORM, None, 87, "normal");
        find(&mut other_birth, "Patient")["birthDate"] = json!("1953-03-15");
        let mut other_name = app.run().oxygen(FORM, None, 87, "normal");
        find(&mut other_name, "Patient")["name"] = json!([{ "family": "Smith", "given": ["Ruth"] }]);
        for request in [&stranger, &other_birth, &other_name] {
            let bundle = ehr.submit(request).await.json(200);
            check_answer(&bundle, Some(request));
            check_refusal(&bundle, "75", "Bundle.entry[1].resource.identifier");
        }
        let mut other_card = app.run().oxygen(FORM, None, 87, "normal");
        find(&mut other_card, "Coverage")["subscriberId"] = json!("not-hers");
        find(&mut other_card, "Coverage")["identifier"][0]["value"] = json!("not-hers");
        let bundle = ehr.submit(&other_card).await.json(200);
        check_refusal(&bundle, "75", "Bundle.entry[2].resource.subscriberId");
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_token_that_does_not_hold_opens_nothing(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.run().oxygen(FORM, None, 87, "normal").to_string();
        let narrow = ehr.token_for(seed::EHR, "system/Questionnaire.rs").await;
        let phone = app.member("ruth").await.access;
        let before = app.row_counts().await;
        for (token, status, code) in [
            (None, 401, "login"),
            (Some("of-another-house"), 401, "login"),
            (Some(phone.as_str()), 401, "login"),
            (Some(narrow.as_str()), 403, "forbidden"),
        ] {
            let reply = app.post(SUBMIT, token, FHIR, request.clone()).await;
            assert_eq!(reply.json(status)["issue"][0]["code"], code, "{token:?}");
        }
        app.clock.advance(Duration::days(1));
        let reply = app.post(SUBMIT, Some(&ehr.token), FHIR, request).await;
        assert_eq!(reply.json(401)["issue"][0]["code"], "login");
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_assertion_of_another_partner_or_member_stops_the_request(app: &TestApp) {
        let (ehr, other) = (app.ehr().await, app.other_ehr().await);
        let hook = ehr.hook("order-sign-crd", &app.run().hook()).await.json(200);
        let assertion = assertion_of(&hook, "E1390");
        let before = app.row_counts().await;
        let request = app.run().oxygen(FORM, Some(&assertion), 87, "normal");
        let place = named_at(&request);
        assert_eq!(other.submit(&request).await.places(422), [place.as_str()]);
        let mut neighbour = request.clone();
        for_member(&mut neighbour, "D400500600", "Moreno", "Carl", "1979-11-11");
        assert_eq!(ehr.submit(&neighbour).await.places(422), [place.as_str()]);
        let unknown = app.run().oxygen(FORM, Some("no-such-assertion"), 87, "normal");
        assert_eq!(ehr.submit(&unknown).await.places(422), [place.as_str()]);
        assert_eq!(app.row_counts().await, before);
        assert_eq!(actions(&ehr.submitted(&request).await), ["A1"]);
        app.run_jobs().await;
    }
}

/// Where the assertion stands in a request.
fn named_at(request: &Value) -> String {
    let entries = request["entry"].as_array().unwrap();
    let n = entries
        .iter()
        .position(|e| e["resource"]["resourceType"] == "ServiceRequest")
        .unwrap();
    let url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
    format!("Bundle.entry[{n}].resource.extension('{url}')")
}
