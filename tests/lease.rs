//! Servers on one database, one of which is killed while it works: every event number is used once, and every subscriber
//! is notified of every event.

use crate::support::receiver::Receiver;
use crate::support::{Installation, TestApp, both, queue_events};
use assent::demo::walk::messages::Messages;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Stores one active subscription and events that wait for it.
async fn store_events(app: &TestApp, endpoint: &str, count: usize) -> Uuid {
    let ehr = app.ehr().await;
    let claim_response = ehr.submitted(&app.messages().referral_request()).await;
    let case = claim_response["id"].as_str().unwrap().parse().unwrap();
    ehr.post("/pas/2.2/Subscription", &Messages::subscription(endpoint))
        .await
        .json(201);
    // Remove the messages that these requests caused; the test adds its own.
    app.sql("DELETE FROM outbox").await;
    app.sql("UPDATE subscription SET status = 'active'").await;
    queue_events(app, case, count).await;
    case
}

fn installation_on(app: &TestApp) -> Installation {
    let mut installation = Installation::new();
    installation.set("DATABASE", &app.state.config.database);
    installation.set("WORKERS__LEASE_SECONDS", "2");
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
            began.elapsed() < Duration::from_secs(60),
            "{query} stays at {number}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

both! {
    async fn decisions_at_the_same_time_take_event_numbers_without_gaps(app: &TestApp) {
        let case = store_events(app, "http://127.0.0.1:1/hook", 1).await;
        let each = (0..8).map(|_| queue_events(app, case, 5));
        futures_util::future::join_all(each).await;
        assert_eq!(app.number("SELECT event_count FROM subscription").await, 41);
        assert_eq!(app.number("SELECT COUNT(DISTINCT number) FROM outbox WHERE kind = 'notification'").await, 41);
        assert_eq!(app.number("SELECT MAX(number) FROM outbox WHERE kind = 'notification'").await, 41);
        app.leaves_work();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_notified_of_every_event_although_a_server_is_killed() {
    const EVENTS: i64 = 600;
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    let receiver = Receiver::responding_with(&[]).await;
    store_events(&app, &receiver.url, 600).await;
    let (first, second) = (installation_on(&app), installation_on(&app));
    let killed = first.serve();
    let sent = "SELECT COUNT(*) FROM outbox WHERE state = 'sent'";
    until(&app, sent, |n| n >= 10).await;
    killed.kill();
    let sent_before = app.number(sent).await;
    let survivor = second.serve();
    until(&app, sent, |n| n == EVENTS).await;
    assert!(
        sent_before < EVENTS,
        "the first server sent everything before it was killed"
    );
    let mut received: BTreeMap<i64, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for (_, body) in receiver.received() {
        let text = body.to_string();
        let number = text.split("event-number").nth(1).unwrap_or("");
        let digits = number.chars().skip_while(|c| !c.is_ascii_digit());
        let digits: String = digits.take_while(char::is_ascii_digit).collect();
        let number = digits.parse().unwrap_or(-1);
        *received.entry(number).or_default() += 1;
        order.push(number);
    }
    let numbers: Vec<i64> = received.keys().copied().collect();
    assert_eq!(
        numbers,
        (1..=EVENTS).collect::<Vec<_>>(),
        "every event number is received"
    );
    let twice = received.values().filter(|times| **times > 1).count();
    assert!(
        twice <= 8,
        "only notifications that were not recorded at the kill may be received twice: {received:?}"
    );
    order.dedup();
    let repeats = order.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(
        repeats <= 1,
        "the order changes only where the second server begins: {order:?}"
    );
    survivor.terminate();
    assert_eq!(survivor.wait_for_exit(), 0);
    assert_eq!(
        app.number("SELECT COUNT(*) FROM process").await,
        0,
        "what was killed is removed"
    );
    app.finish().await;
}
