//! Repeated submissions, and submissions whose commit fails.

use super::{
    FORM, ReviewerAction, assert_valid_response, case_id, on_postgres, resource_mut, review_actions,
    review_item, row_count,
};
use crate::support::both;
use chrono::Duration;

both! {
    async fn a_repeated_submission_gets_the_same_response_byte_for_byte(app: &TestApp) {
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let first = app.ehr().await.submit(&request).await;
        let response = first.json(200);
        let before = app.row_counts().await;
        app.clock.advance(Duration::days(6));
        let again = app.ehr().await.submit(&request).await;
        assert_eq!(again.status, 200);
        assert_eq!(again.text, first.text);
        assert_eq!(changed_tables(&before, &app.row_counts().await), ["seen_jti", "token"]);
        assert_eq!(review_actions(&response["entry"][0]["resource"]), ["A4"]);
    }

    async fn after_a_decision_a_repeated_submission_gets_the_decision(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let first = ehr.submit(&request).await;
        let id = case_id(&first.json(200)["entry"][0]["resource"]);
        app.clock.advance(Duration::seconds(30));
        review_item(app, id, ReviewerAction::Approve).await;
        let bundle = ehr.submit(&request).await.json(200);
        assert_valid_response(&bundle, Some(&request));
        let claim_response = &bundle["entry"][0]["resource"];
        assert_eq!((case_id(claim_response), review_actions(claim_response)), (id, vec!["A1"]));
        assert_ne!(bundle["identifier"], first.json(200)["identifier"]);
        assert_ne!(bundle["timestamp"], first.json(200)["timestamp"]);
        assert_eq!(row_count(app, "prior_auth").await, 1);
        app.run_jobs().await;
    }

    async fn equal_requests_at_the_same_moment_open_one_case(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.messages().oxygen_request(FORM, None, 87, "normal");
        let calls = (0..6).map(|_| ehr.submit(&request));
        let replies = futures_util::future::join_all(calls).await;
        for reply in &replies {
            assert_eq!(reply.status, 200, "{}", reply.text);
            assert_eq!(reply.text, replies[0].text);
        }
        assert_eq!((row_count(app, "prior_auth").await, row_count(app, "submission").await), (1, 1));
        app.run_jobs().await;
    }

    async fn the_same_request_from_another_client_opens_another_case(app: &TestApp) {
        let mut request = app.messages().oxygen_request(FORM, None, 91, "normal");
        resource_mut(&mut request, "Claim").as_object_mut().unwrap().remove("extension");
        let first = case_id(&app.ehr().await.submitted(&request).await);
        let second = case_id(&app.other_ehr().await.submitted(&request).await);
        assert_ne!(first, second);
    }

    async fn different_content_with_the_same_identifiers_is_another_request(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let mut other = request.clone();
        resource_mut(&mut other, "Claim")["priority"]["coding"][0]["code"] = "stat".into();
        assert_ne!(case_id(&ehr.submitted(&request).await), case_id(&ehr.submitted(&other).await));
    }

    async fn after_the_replay_window_the_same_request_opens_a_new_case(app: &TestApp) {
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let first = case_id(&app.ehr().await.submitted(&request).await);
        app.clock.advance(Duration::days(7) + Duration::seconds(1));
        let second = case_id(&app.ehr().await.submitted(&request).await);
        assert_ne!(first, second);
        assert_eq!(row_count(app, "prior_auth").await, 2);
        // A further repetition gets the newer case.
        assert_eq!(case_id(&app.ehr().await.submitted(&request).await), second);
    }

    async fn two_equal_requests_after_the_replay_window_open_one_new_case(app: &TestApp) {
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let first = case_id(&app.ehr().await.submitted(&request).await);
        app.clock.advance(Duration::days(8));
        let ehr = app.ehr().await;
        let replies = futures_util::future::join_all((0..4).map(|_| ehr.submit(&request))).await;
        for reply in &replies {
            assert_eq!((reply.status.as_u16(), &reply.text), (200, &replies[0].text));
        }
        assert_ne!(case_id(&replies[0].json(200)["entry"][0]["resource"]), first);
        assert_eq!((row_count(app, "prior_auth").await, row_count(app, "submission").await), (2, 1));
        app.run_jobs().await;
    }

    async fn the_response_to_a_repetition_keeps_numbers_as_they_were_sent(app: &TestApp) {
        // The spelling 2.0e0 is not a FHIR integer, and comes back as it was sent.
        app.receives_errors();
        let ehr = app.ehr().await;
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let mut text = request.to_string();
        text = text.replacen("\"resourceType\":\"Patient\"", "\"multipleBirthInteger\":2,\"resourceType\":\"Patient\"", 1);
        let spelled = text.replacen("\"multipleBirthInteger\":2", "\"multipleBirthInteger\":2.0e0", 1);
        assert_ne!(spelled, text);
        let token = ehr.token_for(assent::demo::seed::EHR, "system/Claim.cruds").await;
        let send = || app.post("/pas/2.2/Claim/$submit", Some(&token), "application/fhir+json", spelled.clone());
        let (first, second) = (send().await, send().await);
        assert_eq!(first.status, 200, "{}", first.text);
        assert!(first.text.contains("2.0e0"), "{}", first.text);
        assert_eq!(second.text, first.text);
    }

    async fn a_failed_commit_gets_503_and_stores_nothing(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.messages().home_care_request();
        let before = app.row_counts().await;
        app.sql(if on_postgres(app) { FAILING_COMMIT_ON_POSTGRES } else { FAILING_COMMIT }).await;
        let reply = ehr.submit(&request).await;
        assert_eq!(reply.json(503)["issue"][0]["code"], "transient");
        assert!(reply.headers.contains_key("retry-after"));
        assert_eq!(app.row_counts().await, before);
        app.sql(if on_postgres(app) { "DROP TRIGGER fail_commit ON event" } else { "DROP TRIGGER fail_commit" }).await;
        assert_eq!(review_actions(&ehr.submitted(&request).await), ["A4", "NA"]);
        assert_eq!(row_count(app, "prior_auth").await, 1);
        app.run_jobs().await;
    }

    async fn failed_commits_do_not_affect_other_requests(app: &TestApp) {
        let ehr = app.ehr().await;
        app.sql(if on_postgres(app) { FAILING_COMMIT_ON_POSTGRES } else { FAILING_COMMIT }).await;
        let requests: Vec<_> = (0..4).map(|_| app.messages().oxygen_request(FORM, None, 91, "normal")).collect();
        let subscription = assent::demo::walk::messages::Messages::subscription("http://127.0.0.1:9/hook");
        let calls = futures_util::future::join_all(requests.iter().map(|r| ehr.submit(r)));
        let (replies, subscribed) = tokio::join!(calls, ehr.post("/pas/2.2/Subscription", &subscription));
        assert!(replies.iter().all(|r| r.status == 503));
        assert_eq!(subscribed.status, 201, "{}", subscribed.text);
        assert_eq!((row_count(app, "prior_auth").await, row_count(app, "event").await), (0, 0));
        app.leaves_work();
    }
}

/// Makes every commit with an event fail. On SQLite a trigger violates a deferred constraint, which is checked at the
/// commit; on PostgreSQL a deferred trigger reports a full disk.
const FAILING_COMMIT: &str = "CREATE TABLE broken (id INTEGER PRIMARY KEY, other INTEGER REFERENCES broken (id) \
    DEFERRABLE INITIALLY DEFERRED); CREATE TRIGGER fail_commit AFTER INSERT ON event BEGIN \
    INSERT INTO broken (other) VALUES (-1); END;";
const FAILING_COMMIT_ON_POSTGRES: &str = "CREATE FUNCTION fail_commit() RETURNS trigger AS $$ BEGIN \
    RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$ LANGUAGE plpgsql; \
    CREATE CONSTRAINT TRIGGER fail_commit AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED \
    FOR EACH ROW EXECUTE FUNCTION fail_commit();";

/// The tables whose number of rows changed.
fn changed_tables<'a>(before: &'a [(String, i64)], after: &[(String, i64)]) -> Vec<&'a str> {
    let pairs = before.iter().zip(after).filter(|(b, a)| b != a);
    pairs.map(|(b, _)| b.0.as_str()).collect()
}
