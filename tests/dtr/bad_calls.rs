//! Calls for forms that are no calls: each is told where it fails, and leaves nothing behind.

use super::{FORM, PACKAGE, REPORT, coverage, input, named};
use crate::support::both;
use assent::demo::seed::EHR;
use serde_json::{Value, json};

both! {
    async fn what_is_no_json_is_refused_before_it_is_read(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let whole = input(vec![named(FORM)]).to_string().into_bytes();
        for path in [PACKAGE, REPORT] {
            let send = async |media: &'static str, body: Vec<u8>| app.post(path, Some(&ehr.token), media, body).await;
            let cut = send("application/fhir+json", b"{\"resourceType\":".to_vec()).await.json(400);
            assert!(cut["issue"][0]["details"]["text"].as_str().unwrap().contains("line 1"), "{cut}");
            send("application/fhir+json", Vec::new()).await.json(400);
            send("application/fhir+json", vec![b'"', 0xff, b'"']).await.json(400);
            send("text/plain", whole.clone()).await.json(415);
            send("application/fhir+xml", whole.clone()).await.json(415);
            let large = vec![b' '; app.state.config.limits.body_bytes + 1];
            send("application/fhir+json", large).await.json(413);
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn every_fault_of_a_call_is_told_with_its_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let places = async |body: Value| ehr.package(&body).await.places(422);
        assert_eq!(ehr.package(&json!({ "resourceType": "Bundle" })).await.places(400), ["Parameters"]);
        let of = |parameters: Value| json!({ "resourceType": "Parameters", "parameter": parameters });
        assert_eq!(places(of(json!([named(FORM)]))).await, ["Parameters.parameter"], "no coverage");
        let patient = json!({ "resourceType": "Patient", "id": "p1" });
        let bad = of(json!([
            { "name": "coverage", "resource": patient },
            { "name": "questionnaire", "valueInteger": 1 },
            { "name": "context", "valueString": " " },
            { "name": "changedsince", "valueInstant": "yesterday" },
        ]));
        let found = places(bad).await;
        let expected = [
            "Parameters.parameter[0].resource", "Parameters.parameter[1].value",
            "Parameters.parameter[2].value", "Parameters.parameter[3].value",
        ];
        assert_eq!(found, expected);
        let contexts = json!([coverage(), { "name": "context", "valueString": "A" }, { "name": "context", "valueString": "B" }]);
        assert_eq!(places(of(contexts)).await, ["Parameters.parameter[2].value"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_token_ends_with_its_time_and_with_its_client(app: &TestApp) {
        let ehr = app.ehr().await;
        ehr.package(&input(vec![named(FORM)])).await.json(200);
        app.change_client(EHR, |client| client.disabled = true).await;
        ehr.package(&input(vec![named(FORM)])).await.json(401);
        app.change_client(EHR, |client| client.disabled = false).await;
        app.clock.advance(chrono::Duration::hours(2));
        ehr.package(&input(vec![named(FORM)])).await.json(401);
    }

    async fn the_token_of_a_members_app_gets_no_form(app: &TestApp) {
        let tokens = app.tokens("ruth", "patient/*.rs").await;
        let body = input(vec![named(FORM)]).to_string();
        let reply = app.post(PACKAGE, tokens["access_token"].as_str(), "application/fhir+json", body).await;
        reply.json(401);
    }
}
