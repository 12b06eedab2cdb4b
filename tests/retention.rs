//! What has expired is deleted in small units of work while requests are answered, and what is still needed stays.

use crate::pas::case_id;
use crate::support::{TestApp, both};
use assent::cli::legal_hold::{LegalHoldCommand, run};
use assent::store::retention::Expiring;
use chrono::{DateTime, Months, Utc};
use clap::Parser;
use std::time::{Duration, Instant};

/// How many rows of each kind expire.
const ROWS: u32 = 5000;

/// Adds expired rows of every kind to the tables. Their ids begin with a time in 2001, as ids that were made then do.
async fn add_expired_rows(app: &TestApp) {
    let postgres = app.state.store.is_shared();
    let numbers = if postgres {
        format!("(SELECT n::text AS n FROM generate_series(1, {ROWS}) n)")
    } else {
        format!(
            "(WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {ROWS}) SELECT n FROM c)"
        )
    };
    let id = if postgres {
        "('00e4e1c0-0000-7000-8000-' || lpad(numbers.n, 12, '0'))::uuid"
    } else {
        "unhex('00e4e1c0000070008000' || printf('%012d', numbers.n))"
    };
    let old = "'2001-01-01T00:00:00+00:00'";
    for (insert, values) in [
        (
            "seen_jti (issuer, jti, expires)",
            format!("'i', numbers.n, {old}"),
        ),
        (
            "throttle (key, tries, expires)",
            format!("'old/' || numbers.n, 1, {old}"),
        ),
        (
            "blob (id, kind, body, created)",
            format!("{id}, 'crd-feedback', 'x', {old}"),
        ),
        (
            "outbox (id, kind, recipient, payload, state, attempts, next_at, created)",
            format!("{id}, 'mail', 'staff', 'x', 'sent', 1, {old}, {old}"),
        ),
    ] {
        app.sql(&format!(
            "INSERT INTO {insert} SELECT {values} FROM {numbers} numbers"
        ))
        .await;
    }
    app.sql(&format!(
        "INSERT INTO hook_call (id, client, hook, hook_instance, request, fetched, admission, response, created) \
         SELECT {id}, one.id, 'order-sign', 'x', 'x', 'x', 'x', 'x', {old} FROM {numbers} numbers, \
         (SELECT id FROM client LIMIT 1) one"
    ))
    .await;
    for (table, columns, values) in [
        (
            "token",
            "hash, kind, client, scope, aud, created, expires",
            "kind, client, scope, aud, created",
        ),
        (
            "session",
            "hash, kind, subject, csrf, created, seen, expires",
            "kind, subject, csrf, created, seen",
        ),
    ] {
        app.sql(&format!(
            "INSERT INTO {table} ({columns}) SELECT 'old/' || numbers.n, {values}, {old} FROM {numbers} numbers, \
             (SELECT * FROM {table} LIMIT 1) one"
        ))
        .await;
    }
}

async fn left(app: &TestApp) -> i64 {
    app.number(
        "SELECT (SELECT COUNT(*) FROM seen_jti WHERE issuer = 'i') + (SELECT COUNT(*) FROM throttle WHERE key LIKE 'old/%') \
         + (SELECT COUNT(*) FROM blob WHERE kind = 'crd-feedback') + (SELECT COUNT(*) FROM outbox WHERE recipient = 'staff') \
         + (SELECT COUNT(*) FROM hook_call) + (SELECT COUNT(*) FROM token WHERE hash LIKE 'old/%') \
         + (SELECT COUNT(*) FROM session WHERE hash LIKE 'old/%')",
    )
    .await
}

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: LegalHoldCommand,
}

/// Runs `assent legal-hold …`.
async fn legal_hold(app: &TestApp, arguments: &[&str]) -> Result<String, String> {
    let parsed =
        CommandLine::try_parse_from(["legal-hold"].iter().chain(arguments)).map_err(|e| e.to_string())?;
    let result = run(parsed.command, &app.state.store, app.clock.now()).await;
    result.map_err(|e| e.message().to_owned())
}

both! {
    async fn thousands_of_expired_rows_are_deleted_while_requests_are_answered(app: &TestApp) {
        let ehr = app.ehr().await;
        app.staff("nora").await;
        add_expired_rows(app).await;
        assert_eq!(left(app).await, 7 * i64::from(ROWS));
        let deleting = assent::jobs::delete_expired(&app.state);
        let answering = async {
            let mut slowest = Duration::ZERO;
            for _ in 0..10 {
                let began = Instant::now();
                ehr.submitted(&app.messages().referral_request()).await;
                slowest = slowest.max(began.elapsed());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            slowest
        };
        let (deleted, slowest) = tokio::join!(deleting, answering);
        assert_eq!(deleted.unwrap(), 7 * u64::from(ROWS));
        assert_eq!(left(app).await, 0);
        assert!(slowest < Duration::from_secs(2), "a request took {slowest:?}");
        let metrics = app.get("/metrics", None).await.text;
        assert!(metrics.contains("assent_deleted_rows_total{kind=\"token-ids\"}"), "{metrics}");
        app.run_jobs().await;
        assert_eq!(app.number("SELECT COUNT(*) FROM outbox WHERE state = 'sent'").await, 10, "what is new stays");
    }

    async fn one_unit_of_work_deletes_a_bounded_number_of_rows(app: &TestApp) {
        app.ehr().await;
        app.staff("nora").await;
        add_expired_rows(app).await;
        let before: DateTime<Utc> = "2002-01-01T00:00:00Z".parse().unwrap();
        for kind in Expiring::ALL {
            let unit = app.state.store.write((kind, before), |tx, (kind, before)| {
                Box::pin(async move { tx.delete_expired(*kind, *before, uuid::Uuid::nil()).await })
            });
            let deleted = unit.await.unwrap().count;
            let has_rows = !matches!(kind, Expiring::AccessLog | Expiring::Codes | Expiring::Cases);
            assert_eq!(deleted, if has_rows { u64::from(kind.batch()) } else { 0 }, "{kind:?}");
        }
        app.leaves_work();
    }

    async fn a_case_is_deleted_after_ten_years_unless_something_holds_it(app: &TestApp) {
        let ehr = app.ehr().await;
        let old = case_id(&ehr.submitted(&app.messages().referral_request()).await);
        let held = case_id(&ehr.submitted(&app.messages().referral_request()).await);
        let open = crate::pas::subscriptions::submit_pended(app, &ehr).await;
        app.run_jobs().await;
        let now = app.clock.now();
        let number = app.state.store.read(held, |tx, id| Box::pin(async move { tx.case(*id).await }));
        let number = number.await.unwrap().unwrap().items[0].reference_number.clone();
        let text = legal_hold(app, &["add", &number, "--reason", "Litigation", "--by", "Legal"]).await.unwrap();
        assert!(text.contains("is kept until"), "{text}");
        assert!(legal_hold(app, &["add", &number, "--reason", "Again"]).await.unwrap().contains("held already"));
        assert!(legal_hold(app, &["list"]).await.unwrap().contains("by Legal: Litigation"));
        legal_hold(app, &["add", "PA-0000000000", "--reason", "x"]).await.unwrap_err();
        let later = now.checked_add_months(Months::new(120)).unwrap();
        app.clock.advance(later - now - chrono::Duration::days(1));
        assent::jobs::delete_expired(&app.state).await.unwrap();
        assert_eq!(app.number("SELECT COUNT(*) FROM prior_auth").await, 3);
        app.clock.advance(chrono::Duration::days(2));
        assent::jobs::delete_expired(&app.state).await.unwrap();
        let left = async |id: uuid::Uuid| {
            let read = app.state.store.read(id, |tx, id| Box::pin(async move { tx.case(*id).await }));
            read.await.unwrap().is_some()
        };
        assert_eq!((left(old).await, left(held).await, left(open).await), (false, true, true));
        assert_eq!(app.number("SELECT COUNT(*) FROM blob WHERE kind = 'pas-request'").await, 2, "a request stays as long as its case");
        legal_hold(app, &["end", &number]).await.unwrap();
        legal_hold(app, &["end", &number]).await.unwrap_err();
        assent::jobs::delete_expired(&app.state).await.unwrap();
        assert!(!left(held).await);
    }
}
