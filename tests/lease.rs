//! Two servers on one database, one of which is killed while it works: every job takes effect exactly once, and event
//! numbers have no gaps.

use crate::support::receiver::Receiver;
use crate::support::{Installation, TestApp};
use assent::clock::Clock;
use assent::demo::walk::messages::Messages;
use assent::store::fan_out::FanOutJob;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Stores decided cases, one subscription, and a fan-out job for each case.
async fn store_jobs(app: &TestApp, endpoint: &str, count: i64) {
    let ehr = app.ehr().await;
    ehr.submitted(&app.messages().referral_request()).await;
    ehr.post("/pas/2.2/Subscription", &Messages::subscription(endpoint))
        .await
        .json(201);
    // Remove the work that these requests caused; the test adds its own.
    app.sql("DELETE FROM job").await;
    app.sql("DELETE FROM outbox").await;
    app.sql("UPDATE subscription SET status = 'active'").await;
    // Copy the case and its events to many ids. This is possible because an event's hash does not include the case id.
    let id = "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";
    let many = format!("generate_series(1, {count}) n");
    app.sql(&format!(
        "INSERT INTO prior_auth SELECT {id}, client, member, coverage, request, line_of_business, status, queue, urgent, \
         received, due_internal, version, changed FROM prior_auth, {many}; \
         INSERT INTO event SELECT {id}, seq, at, kind, actor, role, credential, body, prev_hash, hash FROM event, {many}"
    ))
    .await;
    let seq = u32::try_from(app.number("SELECT MAX(seq) FROM event").await).unwrap();
    let now = Clock::System.now();
    let unit = app.state.store.write((seq, count, now), |tx, (seq, count, now)| {
        Box::pin(async move {
            for n in 1..=*count {
                let case = format!("00000000-0000-7000-8000-{n:012x}");
                let job = FanOutJob {
                    case: case.parse().unwrap(),
                    seq: *seq,
                    in_submit_response: false,
                };
                tx.enqueue_fan_out_job(&job, *now).await?;
            }
            Ok(())
        })
    });
    unit.await.unwrap();
}

fn installation_on(app: &TestApp, outbox: bool) -> Installation {
    let mut installation = Installation::new();
    installation.set("DATABASE", &app.state.config.database);
    installation.set("WORKERS__LEASE_SECONDS", "2");
    installation.set("WORKERS__OUTBOX", if outbox { "true" } else { "false" });
    installation.set("POSTGRES__CONNECTIONS", "4");
    installation
}

/// Waits until the number that a query returns meets a condition.
async fn until(app: &TestApp, query: &str, condition: impl Fn(i64) -> bool) {
    let began = Instant::now();
    loop {
        let number = app.number(query).await;
        if condition(number) {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{query} stays at {number}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_a_thousand_jobs_takes_effect_once_although_a_server_is_killed() {
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    store_jobs(&app, "http://127.0.0.1:1/hook", 1000).await;
    let (first, second) = (installation_on(&app, false), installation_on(&app, false));
    let killed = first.serve();
    until(&app, "SELECT event_count FROM subscription", |n| n >= 100).await;
    let survivor = second.serve();
    let shared = app.number("SELECT event_count FROM subscription").await;
    until(&app, "SELECT event_count FROM subscription", |n| n > shared).await;
    killed.kill();
    let done_at_kill = app.number("SELECT COUNT(*) FROM job WHERE state = 'done'").await;
    until(&app, "SELECT COUNT(*) FROM job WHERE state = 'done'", |n| {
        n == 1000
    })
    .await;
    assert!(
        (100..1000).contains(&done_at_kill),
        "{done_at_kill} jobs were done when the first server was killed"
    );
    assert_eq!(
        app.number("SELECT event_count FROM subscription").await,
        1000,
        "event numbers have gaps"
    );
    assert_eq!(
        app.number("SELECT COUNT(*) FROM outbox WHERE kind = 'notification'")
            .await,
        1000
    );
    assert_eq!(
        app.number("SELECT COUNT(DISTINCT payload) FROM outbox WHERE kind = 'notification'")
            .await,
        1000
    );
    survivor.terminate();
    assert_eq!(survivor.wait_for_exit(), 0);
    app.leaves_work();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_notified_of_every_event_although_a_server_is_killed() {
    const EVENTS: i64 = 120;
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    let receiver = Receiver::responding_with(&[]).await;
    store_jobs(&app, &receiver.url, EVENTS).await;
    app.sql("UPDATE provider SET email = NULL").await;
    app.sql("UPDATE member_login SET email = NULL").await;
    let (first, second) = (installation_on(&app, true), installation_on(&app, true));
    let killed = first.serve();
    let survivor = second.serve();
    until(&app, "SELECT COUNT(*) FROM outbox WHERE state = 'sent'", |n| {
        n >= 10
    })
    .await;
    killed.kill();
    until(&app, "SELECT COUNT(*) FROM outbox WHERE state = 'sent'", |n| {
        n == EVENTS
    })
    .await;
    let mut received: BTreeMap<i64, usize> = BTreeMap::new();
    for (_, body) in receiver.received() {
        let text = body.to_string();
        let number = text
            .split("\"eventNumber\"")
            .nth(1)
            .or_else(|| text.split("event-number").nth(1));
        let digits: String = number
            .unwrap_or("")
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .collect();
        *received.entry(digits.parse().unwrap_or(-1)).or_default() += 1;
    }
    let numbers: Vec<i64> = received.keys().copied().collect();
    assert_eq!(
        numbers,
        (1..=EVENTS).collect::<Vec<_>>(),
        "every event number is received"
    );
    let twice = received.values().filter(|times| **times > 1).count();
    assert!(
        twice <= 1,
        "only the notification in progress at the kill may be received twice: {received:?}"
    );
    survivor.terminate();
    assert_eq!(survivor.wait_for_exit(), 0);
    app.finish().await;
}
