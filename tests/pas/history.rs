//! The hash chain of events, and the responses when the chain or the database is broken.

use super::{FORM, ReviewerAction, case_id, events, reference_number, review_item, row_count};
use crate::support::{TestApp, both};
use assent::prior_auth::GENESIS;
use chrono::Duration;
use serde_json::Value;
use uuid::Uuid;

both! {
    async fn each_event_has_the_hash_of_the_previous_event(app: &TestApp) {
        let ehr = app.ehr().await;
        let id = case_id(&ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await);
        app.clock.advance(Duration::hours(1));
        review_item(app, id, ReviewerAction::Refer("Does the sleep study count?")).await;
        review_item(app, id, ReviewerAction::Deny("A saturation of 91 percent does not meet the criteria.")).await;
        let kinds: Vec<&str> = events(app, id).await.iter().map(|e| e.body.kind()).collect();
        assert_eq!(kinds, ["received", "pended", "referred", "decided"]);
        let first = app.number(&format!("SELECT COUNT(*) FROM event WHERE seq = 1 AND prev_hash = '{GENESIS}'")).await;
        let linked = "SELECT COUNT(*) FROM event a JOIN event b ON b.case_id = a.case_id AND b.seq = a.seq + 1 \
            AND b.prev_hash = a.hash";
        assert_eq!((first, app.number(linked).await), (1, 3));
        app.run_jobs().await;
    }

    async fn events_never_go_back_in_time_when_the_clock_does(app: &TestApp) {
        let ehr = app.ehr().await;
        let id = case_id(&ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await);
        app.clock.advance(Duration::minutes(1));
        review_item(app, id, ReviewerAction::Refer("Does the sleep study count?")).await;
        app.clock.advance(Duration::hours(-2));
        review_item(app, id, ReviewerAction::Deny("A saturation of 91 percent does not meet the criteria.")).await;
        let events = events(app, id).await;
        assert_eq!(events.len(), 4);
        assert!(events.is_sorted_by_key(|event| event.at), "{:?}", events.iter().map(|e| e.at).collect::<Vec<_>>());
        assert_eq!(events[3].at, events[2].at);
        app.clock.advance(Duration::hours(3));
        app.run_jobs().await;
    }

    async fn a_changed_event_is_detected_and_its_row_is_logged(app: &TestApp) {
        let ehr = app.ehr().await;
        let answer = ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        let id = case_id(&answer);
        app.sql("UPDATE event SET body = REPLACE(body, 'E1390', 'E1391') WHERE seq = 2").await;
        assert_broken(app, id, 2).await;
        let reply = ehr.inquire(&app.messages().inquiry(&reference_number(&answer))).await;
        let outcome = reply.json(500);
        assert_eq!(outcome["issue"][0]["code"], "exception");
        assert!(!reply.text.contains(&id.to_string()), "the response does not name the row");
        app.sql("UPDATE event SET body = REPLACE(body, 'E1391', 'E1390') WHERE seq = 2").await;
        assert_eq!(events(app, id).await.len(), 2);
        for change in ["kind = 'decided'", "role = 'physician'", "prev_hash = 'genesis'"] {
            app.sql("CREATE TABLE backup AS SELECT * FROM event").await;
            app.sql(&format!("UPDATE event SET {change} WHERE seq = 2")).await;
            assert_broken(app, id, 2).await;
            app.sql("DELETE FROM event").await;
            app.sql("INSERT INTO event SELECT * FROM backup").await;
            app.sql("DROP TABLE backup").await;
        }
        app.sql("DELETE FROM event WHERE seq = 1").await;
        assert_broken(app, id, 2).await;
    }

    async fn without_a_database_the_response_is_503_with_retry_after(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.messages().oxygen_request(FORM, None, 87, "normal");
        app.state.store.close().await;
        for path in ["/pas/2.2/Claim/$submit", "/pas/2.2/Claim/$inquire", "/pas/2.2/Subscription"] {
            let reply = ehr.post(path, &request).await;
            let outcome: Value = reply.json(503);
            assert_eq!(outcome["issue"][0]["code"], "transient", "{path}");
            assert!(reply.headers.contains_key("retry-after"), "{path}");
        }
        assert_eq!(app.get("/readyz", None).await.status, 503);
        assert_eq!(app.get("/healthz", None).await.status, 200);
        assert_eq!(row_count(app, "prior_auth").await, 0);
    }
}

/// Reading the case fails, and the log detail names the row.
async fn assert_broken(app: &TestApp, id: Uuid, seq: u32) {
    let read = app
        .state
        .store
        .read(id, |tx, id| Box::pin(async move { tx.case(*id).await }));
    let error = read.await.unwrap_err();
    let detail = error.log_detail().unwrap();
    assert!(
        detail.starts_with(&format!("event.hash in row {id}/{seq} cannot be read")),
        "{detail}"
    );
}
