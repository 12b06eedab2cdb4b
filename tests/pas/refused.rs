//! Invalid input gets an error with its place, and the database stays as it was.

use super::submit::{assert_business_error, assertion_of};
use super::{FORM, assert_valid_response, resource_mut, review_actions, set_member};
use crate::support::both;
use assent::demo::seed;
use chrono::Duration;
use serde_json::{Value, json};

const SUBMIT: &str = "/pas/2.2/Claim/$submit";
const FHIR: &str = "application/fhir+json";

both! {
    async fn a_body_that_is_not_a_bundle_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let token = Some(ehr.token.as_str());
        let before = app.row_counts().await;
        let broken = app.post(SUBMIT, token, FHIR, "{\n\"resourceType\": oops}").await;
        assert!(broken.json(400)["issue"][0]["details"]["text"].as_str().unwrap().contains("line 2, column 17"));
        let form_encoded = app.post(SUBMIT, token, "application/x-www-form-urlencoded", "a=b").await;
        assert_eq!(form_encoded.json(415)["issue"][0]["code"], "not-supported");
        let large = app.post(SUBMIT, token, FHIR, " ".repeat(app.state.config.limits.body_bytes + 1)).await;
        assert_eq!(large.json(413)["issue"][0]["code"], "too-long");
        let claim = json!({ "resourceType": "Claim" });
        assert_eq!(ehr.submit(&claim).await.places(400), ["resourceType"]);
        assert_eq!(ehr.submit(&json!([])).await.places(400), ["resourceType"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_bundle_whose_first_entry_is_not_the_claim_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut empty = app.messages().referral_request();
        empty["entry"] = json!([]);
        assert_eq!(ehr.submit(&empty).await.places(422), ["Bundle.entry[0].resource"]);
        empty.as_object_mut().unwrap().remove("entry");
        assert_eq!(ehr.submit(&empty).await.places(422), ["Bundle.entry[0].resource"]);
        let mut reversed = app.messages().referral_request();
        reversed["entry"].as_array_mut().unwrap().reverse();
        assert_eq!(ehr.submit(&reversed).await.places(422), ["Bundle.entry[0].resource"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_unresolved_reference_and_a_repeated_entry_are_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut dangling = app.messages().referral_request();
        resource_mut(&mut dangling, "Coverage")["payor"] = json!([{ "reference": "Organization/nowhere" }]);
        assert_eq!(ehr.submit(&dangling).await.places(422), ["Bundle.entry[2].resource.payor[0]"]);
        let mut twice = app.messages().referral_request();
        let second = twice["entry"][1].clone();
        twice["entry"].as_array_mut().unwrap().push(second);
        assert_eq!(ehr.submit(&twice).await.places(422), ["Bundle.entry[5].fullUrl"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn four_errors_are_reported_in_one_response(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut places = ehr.submit(&app.messages().request_with_four_errors()).await.places(422);
        places.sort_unstable();
        let expected = [
            "Bundle.entry[0].resource.insurance[0].coverage",
            "Bundle.entry[0].resource.item[1].location",
            "Bundle.entry[0].resource.item[1].sequence",
            "Bundle.timestamp",
        ];
        assert_eq!(places, expected);
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_unknown_member_or_a_different_birth_date_is_a_business_error(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut unknown_member = app.messages().oxygen_request(FORM, None, 87, "normal");
        set_member(&mut unknown_member, "X000", "Ellery", "Ruth", "1953-03-14");
        let mut other_birth = app.messages().oxygen_request(FORM, None, 87, "normal");
        resource_mut(&mut other_birth, "Patient")["birthDate"] = json!("1953-03-15");
        let mut other_name = app.messages().oxygen_request(FORM, None, 87, "normal");
        resource_mut(&mut other_name, "Patient")["name"] = json!([{ "family": "Smith", "given": ["Ruth"] }]);
        for (request, element) in [(&unknown_member, "identifier"), (&other_birth, "birthDate"), (&other_name, "name")] {
            let bundle = ehr.submit(request).await.json(200);
            assert_valid_response(&bundle, Some(request));
            assert_business_error(&bundle, "75", &format!("Bundle.entry[1].resource.{element}"));
        }
        let mut other_coverage = app.messages().oxygen_request(FORM, None, 87, "normal");
        resource_mut(&mut other_coverage, "Coverage")["subscriberId"] = json!("another-subscriber");
        resource_mut(&mut other_coverage, "Coverage")["identifier"][0]["value"] = json!("another-subscriber");
        let bundle = ehr.submit(&other_coverage).await.json(200);
        assert_business_error(&bundle, "75", "Bundle.entry[2].resource.subscriberId");
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_invalid_token_gets_401_and_a_missing_scope_403(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.messages().oxygen_request(FORM, None, 87, "normal").to_string();
        let without_scope = ehr.token_for(seed::EHR, "system/Questionnaire.rs").await;
        let app_token = app.member("ruth").await.access;
        let before = app.row_counts().await;
        for (token, status, code) in [
            (None, 401, "login"),
            (Some("token-of-another-server"), 401, "login"),
            (Some(app_token.as_str()), 401, "login"),
            (Some(without_scope.as_str()), 403, "forbidden"),
        ] {
            let reply = app.post(SUBMIT, token, FHIR, request.clone()).await;
            assert_eq!(reply.json(status)["issue"][0]["code"], code, "{token:?}");
        }
        app.clock.advance(Duration::days(1));
        let reply = app.post(SUBMIT, Some(&ehr.token), FHIR, request).await;
        assert_eq!(reply.json(401)["issue"][0]["code"], "login");
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_sending_system_of_another_client_is_refused(app: &TestApp) {
        let (ehr, other) = (app.ehr().await, app.other_ehr().await);
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let before = app.row_counts().await;
        let refused = other.submit(&request).await;
        let url = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-TransmissionIdentifiers";
        let place = format!("Bundle.entry[0].resource.extension('{url}').extension('interchangeSenderID')");
        assert_eq!(refused.places(422), [place]);
        assert_eq!(refused.json(422)["issue"][0]["code"], "forbidden");
        assert_eq!(app.row_counts().await, before);
        // The client's own id, or the NPI of a provider for which it acts.
        for own in ["CLINIC02", "1982947230"] {
            let own = request.to_string().replace("DEMOEHR01", own);
            assert_eq!(other.submit(&serde_json::from_str(&own).unwrap()).await.status, 200);
        }
        ehr.submitted(&request).await;
        app.run_jobs().await;
    }

    async fn an_assertion_of_another_client_or_member_is_refused(app: &TestApp) {
        let (ehr, other) = (app.ehr().await, app.other_ehr().await);
        let hook = ehr.hook("order-sign-crd", &app.messages().order_sign_hook()).await.json(200);
        let assertion = assertion_of(&hook, "E1390");
        let before = app.row_counts().await;
        let request = app.messages().oxygen_request(FORM, Some(&assertion), 87, "normal");
        let place = assertion_path(&request);
        let mut from_other = request.clone();
        from_other["entry"][0]["resource"].as_object_mut().unwrap().remove("extension");
        assert_eq!(other.submit(&from_other).await.places(422), [place.as_str()]);
        let mut other_member = request.clone();
        set_member(&mut other_member, "D400500600", "Moreno", "Carl", "1979-11-11");
        assert_eq!(ehr.submit(&other_member).await.places(422), [place.as_str()]);
        let unknown = app.messages().oxygen_request(FORM, Some("no-such-assertion"), 87, "normal");
        assert_eq!(ehr.submit(&unknown).await.places(422), [place.as_str()]);
        assert_eq!(app.row_counts().await, before);
        assert_eq!(review_actions(&ehr.submitted(&request).await), ["A1"]);
        app.run_jobs().await;
    }
}

/// The path of the coverage information with the assertion.
fn assertion_path(request: &Value) -> String {
    let entries = request["entry"].as_array().unwrap();
    let n = entries
        .iter()
        .position(|e| e["resource"]["resourceType"] == "ServiceRequest")
        .unwrap();
    let url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
    format!("Bundle.entry[{n}].resource.extension('{url}')")
}
