//! Two servers on one database, one of which dies in the middle of its work: every effect happens exactly once, and
//! event numbers have no gap.

use crate::support::receiver::Receiver;
use crate::support::{House, TestApp};
use assent::clock::Clock;
use assent::demo::walk::messages::Run;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One decided case with one subscription, and `count` jobs about it.
async fn with_jobs(app: &TestApp, endpoint: &str, count: i64) {
    let ehr = app.ehr().await;
    ehr.submitted(&app.run().referral()).await;
    ehr.post("/pas/2.2/Subscription", &Run::subscription(endpoint)).await.json(201);
    // What these made of themselves is not the subject.
    app.sql("DELETE FROM job").await;
    app.sql("DELETE FROM outbox").await;
    app.sql("UPDATE subscription SET status = 'active'").await;
    let case = app.state.store.read((), |tx, ()| Box::pin(async move { tx.open_cases().await })).await.unwrap()[0].id;
    let now = Clock::System.now();
    let unit = app.state.store.write((case, count, now), |tx, (case, count, now)| {
        Box::pin(async move {
            for n in 1..=*count {
                let payload = serde_json::json!({ "case": case, "seq": n }).to_string();
                let id = assent::clock::new_id(*now);
                tx.enqueue_job(id, "fan-out", &payload, &format!("lease/{n}"), *now).await?;
            }
            Ok(())
        })
    });
    unit.await.unwrap();
}

fn house_on(app: &TestApp, outbox: bool) -> House {
    let mut house = House::new();
    house.set("DATABASE", &app.state.config.database);
    house.set("WORKERS__LEASE_SECONDS", "2");
    house.set("WORKERS__OUTBOX", if outbox { "true" } else { "false" });
    house.set("POSTGRES__CONNECTIONS", "4");
    house
}

async fn until(app: &TestApp, query: &str, held: impl Fn(i64) -> bool) {
    let began = Instant::now();
    loop {
        let number = app.number(query).await;
        if held(number) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{query} stays at {number}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_jobs_happen_once_each_though_a_server_dies() {
    let Some(app) = TestApp::postgres().await else { return };
    with_jobs(&app, "http://127.0.0.1:1/hook", 1000).await;
    let (first, second) = (house_on(&app, false), house_on(&app, false));
    let dies = first.serve();
    until(&app, "SELECT next_event FROM subscription", |n| n >= 100).await;
    let lives = second.serve();
    let shared = app.number("SELECT next_event FROM subscription").await;
    until(&app, "SELECT next_event FROM subscription", |n| n > shared).await;
    dies.kill();
    let at_death = app.number("SELECT COUNT(*) FROM job WHERE state = 'done'").await;
    until(&app, "SELECT COUNT(*) FROM job WHERE state = 'done'", |n| n == 1000).await;
    assert!((100..1000).contains(&at_death), "{at_death} were done when the first died");
    assert_eq!(app.number("SELECT next_event FROM subscription").await, 1000, "numbers without a gap");
    assert_eq!(app.number("SELECT COUNT(*) FROM outbox WHERE kind = 'notification'").await, 1000);
    assert_eq!(app.number("SELECT COUNT(DISTINCT payload) FROM outbox WHERE kind = 'notification'").await, 1000);
    lives.ask_to_stop();
    assert_eq!(lives.end(), 0);
    app.leaves_work();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_every_event_though_a_server_dies() {
    const EVENTS: i64 = 120;
    let Some(app) = TestApp::postgres().await else { return };
    let receiver = Receiver::answering(&[]).await;
    with_jobs(&app, &receiver.url, EVENTS).await;
    app.sql("UPDATE provider SET email = NULL").await;
    app.sql("UPDATE member_login SET email = NULL").await;
    let (first, second) = (house_on(&app, true), house_on(&app, true));
    let dies = first.serve();
    let lives = second.serve();
    until(&app, "SELECT COUNT(*) FROM outbox WHERE state = 'sent'", |n| n >= 10).await;
    dies.kill();
    until(&app, "SELECT COUNT(*) FROM outbox WHERE state = 'sent'", |n| n == EVENTS).await;
    let mut heard: BTreeMap<i64, usize> = BTreeMap::new();
    for (_, body) in receiver.came() {
        let text = body.to_string();
        let number = text.split("\"eventNumber\"").nth(1).or_else(|| text.split("event-number").nth(1));
        let digits: String = number.unwrap_or("").chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        *heard.entry(digits.parse().unwrap_or(-1)).or_default() += 1;
    }
    let numbers: Vec<i64> = heard.keys().copied().collect();
    assert_eq!(numbers, (1..=EVENTS).collect::<Vec<_>>(), "every number once");
    let twice = heard.values().filter(|times| **times > 1).count();
    assert!(twice <= 1, "only what was under way at the death may come again: {heard:?}");
    lives.ask_to_stop();
    assert_eq!(lives.end(), 0);
    app.finish().await;
}
