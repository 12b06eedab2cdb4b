//! The chain of events, and what is answered when it or the store is broken.

use super::{Act, FORM, case_id, events, reference_number, review, rows};
use crate::support::{TestApp, both};
use assent::prior_auth::GENESIS;
use chrono::Duration;
use serde_json::Value;
use uuid::Uuid;

both! {
    async fn each_event_carries_the_hash_of_the_one_before_it(app: &TestApp) {
        let ehr = app.ehr().await;
        let id = case_id(&ehr.submitted(&app.run().oxygen(FORM, None, 91, "normal")).await);
        app.clock.advance(Duration::hours(1));
        review(app, id, Act::Refer("Does the sleep study count?")).await;
        review(app, id, Act::Deny("A saturation of 91 percent does not meet the criteria.")).await;
        let kinds: Vec<&str> = events(app, id).await.iter().map(|e| e.body.kind()).collect();
        assert_eq!(kinds, ["received", "pended", "referred", "decided"]);
        let first = app.number(&format!("SELECT COUNT(*) FROM event WHERE seq = 1 AND prev_hash = '{GENESIS}'")).await;
        let tied = "SELECT COUNT(*) FROM event a JOIN event b ON b.case_id = a.case_id AND b.seq = a.seq + 1 \
            AND b.prev_hash = a.hash";
        assert_eq!((first, app.number(tied).await), (1, 3));
        app.run_jobs().await;
    }

    async fn a_change_of_the_past_shows_and_names_its_row(app: &TestApp) {
        let ehr = app.ehr().await;
        let answer = ehr.submitted(&app.run().oxygen(FORM, None, 91, "normal")).await;
        let id = case_id(&answer);
        app.sql("UPDATE event SET body = REPLACE(body, 'E1390', 'E1391') WHERE seq = 2").await;
        assert_broken(app, id, 2).await;
        let reply = ehr.inquire(&app.run().inquiry(&reference_number(&answer))).await;
        let outcome = reply.json(500);
        assert_eq!(outcome["issue"][0]["code"], "exception");
        assert!(!reply.text.contains(&id.to_string()), "the caller learns nothing of the row");
        app.sql("UPDATE event SET body = REPLACE(body, 'E1391', 'E1390') WHERE seq = 2").await;
        assert_eq!(events(app, id).await.len(), 2);
        for change in ["kind = 'decided'", "role = 'physician'", "prev_hash = 'genesis'"] {
            app.sql("CREATE TABLE kept AS SELECT * FROM event").await;
            app.sql(&format!("UPDATE event SET {change} WHERE seq = 2")).await;
            assert_broken(app, id, 2).await;
            app.sql("DELETE FROM event").await;
            app.sql("INSERT INTO event SELECT * FROM kept").await;
            app.sql("DROP TABLE kept").await;
        }
        app.sql("DELETE FROM event WHERE seq = 1").await;
        assert_broken(app, id, 2).await;
    }

    async fn while_the_store_is_down_callers_are_told_to_come_back(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = app.run().oxygen(FORM, None, 87, "normal");
        app.state.store.close().await;
        for path in ["/pas/2.2/Claim/$submit", "/pas/2.2/Claim/$inquire", "/pas/2.2/Subscription"] {
            let reply = ehr.post(path, &request).await;
            let outcome: Value = reply.json(503);
            assert_eq!(outcome["issue"][0]["code"], "transient", "{path}");
            assert!(reply.headers.contains_key("retry-after"), "{path}");
        }
        assert_eq!(app.get("/readyz", None).await.status, 503);
        assert_eq!(app.get("/healthz", None).await.status, 200);
        assert_eq!(rows(app, "prior_auth").await, 0);
    }
}

/// Reading the case fails, and the log's line names the row.
async fn assert_broken(app: &TestApp, id: Uuid, seq: u32) {
    let read = app
        .state
        .store
        .read(id, |tx, id| Box::pin(async move { tx.case(*id).await }));
    let error = read.await.unwrap_err();
    let line = error.log_line().unwrap();
    assert!(
        line.starts_with(&format!("event.hash of row {id}/{seq} cannot be read")),
        "{line}"
    );
}
