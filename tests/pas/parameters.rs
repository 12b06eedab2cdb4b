//! Requests that are sent in `Parameters`: every reader of a request reads the same Bundle.

use super::{FORM, case, case_id, reference_number, review_actions, row_count};
use crate::support::both;
use serde_json::{Value, json};

/// `Parameters` with a Bundle in the parameter `resource`, after a parameter with another resource.
fn in_parameters(bundle: &Value) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": "other", "resource": { "resourceType": "Basic", "id": "other" } },
        { "name": "resource", "resource": bundle },
    ] })
}

both! {
    async fn a_bundle_in_parameters_and_the_bundle_alone_are_the_same_request(app: &TestApp) {
        let ehr = app.ehr().await;
        let bundle = app.messages().oxygen_request(FORM, None, 91, "normal");
        let first = ehr.submit(&in_parameters(&bundle)).await;
        assert_eq!(review_actions(&first.json(200)["entry"][0]["resource"]), ["A4"]);
        let repeated = ehr.submit(&bundle).await;
        assert_eq!((repeated.status.as_u16(), repeated.text), (200, first.text));
        assert_eq!(row_count(app, "prior_auth").await, 1);
        app.run_jobs().await;
    }

    async fn the_stored_request_is_the_text_of_the_bundle_as_received(app: &TestApp) {
        let ehr = app.ehr().await;
        let bundle = app.messages().oxygen_request(FORM, None, 91, "normal");
        let text = serde_json::to_string_pretty(&bundle).unwrap().replace("\"value\": 91", "\"value\":  91.00");
        assert!(text.contains("91.00"));
        let body = format!(r#"{{ "resourceType": "Parameters", "parameter": [{{ "name": "resource", "resource": {text} }}] }}"#);
        let token = Some(ehr.token.as_str());
        let reply = app.post("/pas/2.2/Claim/$submit", token, "application/fhir+json", body).await;
        let request = case(app, case_id(&reply.json(200)["entry"][0]["resource"])).await.received.request;
        let stored = app.state.store.read(request, |tx, id| Box::pin(async move { tx.request_text(*id).await }));
        assert_eq!(stored.await.unwrap(), text);
        app.run_jobs().await;
    }

    async fn the_reviewer_and_the_member_see_the_bundle_that_was_evaluated(app: &TestApp) {
        let ehr = app.ehr().await;
        let bundle = app.messages().oxygen_request(FORM, None, 91, "normal");
        let id = case_id(&ehr.submitted(&in_parameters(&bundle)).await);
        let page = app.staff("nora").await.page(&format!("/staff/cases/{id}")).await.text;
        for part in ["59408-5", "E1390", "href=\"#entry-1\"", "<tr id=\"entry-1\">"] {
            assert!(page.contains(part), "the case page does not contain {part}");
        }
        let member = app.member("ruth").await;
        let found = member.authorizations().await;
        assert_eq!(found["total"], 1);
        let explanation = &found["entry"][0]["resource"];
        assert_eq!(explanation["id"], json!(id));
        let claim = &bundle["entry"][0]["resource"];
        assert_eq!(explanation["item"][0]["sequence"], claim["item"][0]["sequence"]);
        let codes = |element: &Value| element["productOrService"]["coding"][0]["code"].clone();
        assert_eq!(codes(&explanation["item"][0]), codes(&claim["item"][0]));
        let form = explanation["supportingInfo"][0]["valueReference"]["reference"].as_str().unwrap();
        assert!(form.starts_with("QuestionnaireResponse/"), "{form}");
        app.run_jobs().await;
    }

    async fn an_inquiry_may_be_sent_in_parameters(app: &TestApp) {
        let ehr = app.ehr().await;
        let bundle = app.messages().oxygen_request(FORM, None, 91, "normal");
        let submitted = ehr.submitted(&in_parameters(&bundle)).await;
        let inquiry = app.messages().inquiry(&reference_number(&submitted));
        let response = ehr.inquire(&in_parameters(&inquiry)).await.json(200);
        assert_eq!(case_id(&response["parameter"][0]["resource"]["entry"][0]["resource"]), case_id(&submitted));
    }

    async fn a_second_bundle_is_refused_at_its_parameter(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let bundle = app.messages().oxygen_request(FORM, None, 91, "normal");
        let another = app.messages().oxygen_request(FORM, None, 87, "normal");
        let mut body = in_parameters(&bundle);
        body["parameter"].as_array_mut().unwrap().push(json!({ "name": "resource", "resource": another }));
        assert_eq!(ehr.submit(&body).await.places(422), ["Parameters.parameter[2]"]);
        assert_eq!(ehr.inquire(&body).await.places(422), ["Parameters.parameter[2]"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn parameters_without_a_bundle_named_resource_are_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let bundle = app.messages().oxygen_request(FORM, None, 91, "normal");
        let mut other_name = in_parameters(&bundle);
        other_name["parameter"][1]["name"] = json!("bundle");
        let empty = json!({ "resourceType": "Parameters" });
        for body in [other_name, empty] {
            assert_eq!(ehr.submit(&body).await.places(400), ["resourceType"]);
            assert_eq!(ehr.inquire(&body).await.places(400), ["resourceType"]);
        }
        assert_eq!(app.row_counts().await, before);
    }
}
