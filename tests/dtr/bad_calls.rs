//! Invalid requests for forms: each is rejected with the place of the mistake, and nothing is stored.

use super::{FORM, PACKAGE, REPORT, coverage, input, named};
use crate::support::both;
use assent::demo::seed::EHR;
use serde_json::{Value, json};

both! {
    async fn a_body_that_is_not_json_is_rejected_before_it_is_read(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let complete = input(vec![named(FORM)]).to_string().into_bytes();
        for path in [PACKAGE, REPORT] {
            let send = async |media: &'static str, body: Vec<u8>| app.post(path, Some(&ehr.token), media, body).await;
            let truncated = send("application/fhir+json", b"{\"resourceType\":".to_vec()).await.json(400);
            assert!(truncated["issue"][0]["details"]["text"].as_str().unwrap().contains("line 1"), "{truncated}");
            send("application/fhir+json", Vec::new()).await.json(400);
            send("application/fhir+json", vec![b'"', 0xff, b'"']).await.json(400);
            send("text/plain", complete.clone()).await.json(415);
            send("application/fhir+xml", complete.clone()).await.json(415);
            let large = vec![b' '; app.state.config.limits.body_bytes + 1];
            send("application/fhir+json", large).await.json(413);
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn every_structural_problem_of_a_request_is_reported_with_its_path(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let error_paths = async |body: Value| ehr.package(&body).await.places(422);
        assert_eq!(ehr.package(&json!({ "resourceType": "Bundle" })).await.places(400), ["Parameters"]);
        let of = |parameters: Value| json!({ "resourceType": "Parameters", "parameter": parameters });
        assert_eq!(error_paths(of(json!([named(FORM)]))).await, ["Parameters.parameter"], "no coverage");
        let patient = json!({ "resourceType": "Patient", "id": "p1" });
        let invalid = of(json!([
            { "name": "coverage", "resource": patient },
            { "name": "questionnaire", "valueInteger": 1 },
            { "name": "context", "valueString": " " },
            { "name": "changedsince", "valueInstant": "yesterday" },
        ]));
        let found = error_paths(invalid).await;
        let expected = [
            "Parameters.parameter[0].resource", "Parameters.parameter[1].value",
            "Parameters.parameter[2].value", "Parameters.parameter[3].value",
        ];
        assert_eq!(found, expected);
        let context = |id: &str| json!({ "name": "context", "valueString": id });
        let two_contexts = json!([coverage(), context("A"), context("B")]);
        assert_eq!(error_paths(of(two_contexts)).await, ["Parameters.parameter[2].value"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_token_ends_when_it_expires_or_its_client_is_disabled(app: &TestApp) {
        let ehr = app.ehr().await;
        ehr.package(&input(vec![named(FORM)])).await.json(200);
        app.change_client(EHR, |client| client.disabled = true).await;
        ehr.package(&input(vec![named(FORM)])).await.json(401);
        app.change_client(EHR, |client| client.disabled = false).await;
        app.clock.advance(chrono::Duration::hours(2));
        ehr.package(&input(vec![named(FORM)])).await.json(401);
    }

    async fn the_token_of_a_member_app_is_rejected(app: &TestApp) {
        let tokens = app.tokens("ruth", "patient/*.rs").await;
        let body = input(vec![named(FORM)]).to_string();
        let reply = app.post(PACKAGE, tokens["access_token"].as_str(), "application/fhir+json", body).await;
        reply.json(401);
    }
}
