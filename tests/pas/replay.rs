//! The same request again, and requests whose commit fails.

use super::{Act, FORM, actions, case_id, check_answer, find, on_server, review, rows};
use crate::support::both;
use chrono::Duration;

both! {
    async fn a_second_submit_answers_the_same_byte_for_byte(app: &TestApp) {
        let request = app.run().oxygen(FORM, None, 91, "normal");
        let first = app.ehr().await.submit(&request).await;
        let answer = first.json(200);
        let before = app.row_counts().await;
        app.clock.advance(Duration::days(6));
        let again = app.ehr().await.submit(&request).await;
        assert_eq!(again.status, 200);
        assert_eq!(again.text, first.text);
        assert_eq!(changed(&before, &app.row_counts().await), ["seen_jti", "token"]);
        assert_eq!(actions(&answer["entry"][0]["resource"]), ["A4"]);
    }

    async fn after_a_decision_the_same_request_is_answered_with_it(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.run().oxygen(FORM, None, 91, "normal");
        let first = ehr.submit(&request).await;
        let id = case_id(&first.json(200)["entry"][0]["resource"]);
        app.clock.advance(Duration::seconds(30));
        review(app, id, Act::Approve).await;
        let bundle = ehr.submit(&request).await.json(200);
        check_answer(&bundle, Some(&request));
        let answer = &bundle["entry"][0]["resource"];
        assert_eq!((case_id(answer), actions(answer)), (id, vec!["A1"]));
        assert_ne!(bundle["identifier"], first.json(200)["identifier"]);
        assert_ne!(bundle["timestamp"], first.json(200)["timestamp"]);
        assert_eq!(rows(app, "prior_auth").await, 1);
        app.run_jobs().await;
    }

    async fn two_equal_requests_at_the_same_moment_make_one_case(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.run().oxygen(FORM, None, 87, "normal");
        let calls = (0..6).map(|_| ehr.submit(&request));
        let replies = futures_util::future::join_all(calls).await;
        for reply in &replies {
            assert_eq!(reply.status, 200, "{}", reply.text);
            assert_eq!(reply.text, replies[0].text);
        }
        assert_eq!((rows(app, "prior_auth").await, rows(app, "submission").await), (1, 1));
        app.run_jobs().await;
    }

    async fn another_sender_of_the_same_bytes_gets_a_case_of_its_own(app: &TestApp) {
        let request = app.run().oxygen(FORM, None, 91, "normal");
        let ours = case_id(&app.ehr().await.submitted(&request).await);
        let theirs = case_id(&app.other_ehr().await.submitted(&request).await);
        assert_ne!(ours, theirs);
    }

    async fn other_content_under_the_same_identifiers_is_another_request(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.run().oxygen(FORM, None, 91, "normal");
        let mut other = request.clone();
        find(&mut other, "Claim")["priority"]["coding"][0]["code"] = "stat".into();
        assert_ne!(case_id(&ehr.submitted(&request).await), case_id(&ehr.submitted(&other).await));
    }

    async fn after_the_window_the_same_bytes_are_a_new_request(app: &TestApp) {
        let request = app.run().oxygen(FORM, None, 91, "normal");
        let first = case_id(&app.ehr().await.submitted(&request).await);
        app.clock.advance(Duration::days(7) + Duration::seconds(1));
        let second = case_id(&app.ehr().await.submitted(&request).await);
        assert_ne!(first, second);
        assert_eq!(rows(app, "prior_auth").await, 2);
        // From now on the newer one is answered.
        assert_eq!(case_id(&app.ehr().await.submitted(&request).await), second);
    }

    async fn a_request_whose_commit_fails_is_answered_503_and_nothing_half_exists(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.run().home_care();
        let before = app.row_counts().await;
        app.sql(if on_server(app) { FAILING_COMMIT_ON_SERVER } else { FAILING_COMMIT }).await;
        let reply = ehr.submit(&request).await;
        assert_eq!(reply.json(503)["issue"][0]["code"], "transient");
        assert!(reply.headers.contains_key("retry-after"));
        assert_eq!(app.row_counts().await, before);
        app.sql(if on_server(app) { "DROP TRIGGER tie ON event" } else { "DROP TRIGGER tie" }).await;
        assert_eq!(actions(&ehr.submitted(&request).await), ["A4", "NA"]);
        assert_eq!(rows(app, "prior_auth").await, 1);
        app.run_jobs().await;
    }

    async fn one_failing_commit_harms_no_request_beside_it(app: &TestApp) {
        let ehr = app.ehr().await;
        app.sql(if on_server(app) { FAILING_COMMIT_ON_SERVER } else { FAILING_COMMIT }).await;
        let requests: Vec<_> = (0..4).map(|_| app.run().oxygen(FORM, None, 91, "normal")).collect();
        let subscription = assent::demo::walk::messages::Run::subscription("http://127.0.0.1:9/hook");
        let calls = futures_util::future::join_all(requests.iter().map(|r| ehr.submit(r)));
        let (replies, kept) = tokio::join!(calls, ehr.post("/pas/2.2/Subscription", &subscription));
        assert!(replies.iter().all(|r| r.status == 503));
        assert_eq!(kept.status, 201, "{}", kept.text);
        assert_eq!((rows(app, "prior_auth").await, rows(app, "event").await), (0, 0));
        app.leaves_work();
    }
}

/// The commit itself fails: each event ties a knot that a deferred constraint finds at the end.
const FAILING_COMMIT: &str = "CREATE TABLE knot (id INTEGER PRIMARY KEY, other INTEGER REFERENCES knot (id) \
    DEFERRABLE INITIALLY DEFERRED); CREATE TRIGGER tie AFTER INSERT ON event BEGIN \
    INSERT INTO knot (other) VALUES (-1); END;";
const FAILING_COMMIT_ON_SERVER: &str = "CREATE TABLE knot (id BIGSERIAL PRIMARY KEY, other BIGINT REFERENCES knot (id) \
    DEFERRABLE INITIALLY DEFERRED); CREATE FUNCTION tie() RETURNS trigger AS $$ BEGIN \
    INSERT INTO knot (other) VALUES (-1); RETURN NEW; END $$ LANGUAGE plpgsql; \
    CREATE TRIGGER tie AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION tie();";

/// The tables whose number of rows changed.
fn changed<'a>(before: &'a [(String, i64)], after: &[(String, i64)]) -> Vec<&'a str> {
    let pairs = before.iter().zip(after).filter(|(b, a)| b != a);
    pairs.map(|(b, _)| b.0.as_str()).collect()
}
