//! Delivery beside partners that are slow, silent or dead: nobody else waits for them, every line keeps its order, and a
//! backlog leaves at the speed of its receiver.

use crate::pas::subscription_changes::HeldReceiver;
use crate::pas::subscriptions::{PATH, accepted, delete, event, handshake, submit_pended};
use crate::pas::{ReviewerAction, case_id, review_item};
use crate::support::receiver::Receiver;
use crate::support::{Ehr, TestApp, both, queue_events};
use assent::app::App;
use assent::demo::seed::SENDER;
use assent::demo::walk::messages::Messages;
use assent::jobs::{Reload, Workers};
use assent::prior_auth::PriorAuth;
use assent::store::fan_out::{MailRecipients, StoredDecisions};
use chrono::Duration;
use serde_json::Value;
use std::time::{Duration as Time, Instant};
use uuid::Uuid;

/// Workers like those of a server, on the database of a test.
struct Server {
    app: App,
    workers: Workers,
}

impl Server {
    async fn start(app: &TestApp) -> Self {
        let mut config = app.state.config.clone();
        config.workers.delivery_seconds = 2;
        let server = App::build(config, app.clock.clone()).await.unwrap();
        let workers = Workers::start(&server.state, Reload::Never).unwrap();
        Self { app: server, workers }
    }

    async fn stop(self) {
        self.workers.stop().await;
        self.app.state.store.close().await;
    }
}

/// Waits until a condition is met.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(
            began.elapsed() < Time::from_secs(60),
            "not within a minute: {what}"
        );
        tokio::time::sleep(Time::from_millis(10)).await;
    }
}

/// An address that accepts connections and never answers. The listener must be kept.
async fn silent_endpoint() -> (String, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    (
        format!("http://{}/hook", listener.local_addr().unwrap()),
        listener,
    )
}

/// A subscription whose handshake has succeeded.
async fn active_subscription(app: &TestApp, ehr: &Ehr<'_>, body: &Value) -> String {
    let created = ehr.post(PATH, body).await.json(201);
    app.sql("DELETE FROM outbox WHERE kind = 'notification' AND number = 0")
        .await;
    app.sql("UPDATE subscription SET status = 'active'").await;
    created["id"].as_str().unwrap().to_owned()
}

/// A subscription of the other client, for its own sending system.
fn subscription_of_other(endpoint: &str) -> Value {
    let text = Messages::subscription(endpoint).to_string();
    serde_json::from_str(&text.replace(SENDER, "CLINIC02")).unwrap()
}

/// A decided case of the demo EHR.
async fn decided_case(app: &TestApp, ehr: &Ehr<'_>) -> Uuid {
    case_id(&ehr.submitted(&app.messages().referral_request()).await)
}

/// A decided case of the other client.
async fn decided_case_of_other(app: &TestApp, ehr: &Ehr<'_>) -> Uuid {
    let text = app
        .messages()
        .referral_request()
        .to_string()
        .replace(SENDER, "CLINIC02");
    case_id(&ehr.submitted(&serde_json::from_str(&text).unwrap()).await)
}

fn numbers(receiver: &Receiver) -> Vec<u64> {
    let events = accepted(receiver).into_iter().filter_map(|(_, number)| number);
    events.map(|number| number.parse().unwrap()).collect()
}

both! {
    async fn nobody_waits_for_an_endpoint_that_never_answers(app: &TestApp) {
        let (ehr, other) = (app.ehr().await, app.other_ehr().await);
        let (silent, _listener) = silent_endpoint().await;
        let fast = Receiver::responding_with(&[]).await;
        for _ in 0..5 {
            active_subscription(app, &other, &subscription_of_other(&silent)).await;
        }
        active_subscription(app, &ehr, &Messages::subscription(&fast.url)).await;
        let (case, others_case) = (decided_case(app, &ehr).await, decided_case_of_other(app, &other).await);
        let server = Server::start(app).await;
        queue_events(app, others_case, 20).await;
        until("the silent endpoint is being called", async || {
            app.number("SELECT COUNT(*) FROM subscription WHERE lease_owner IS NOT NULL").await >= 5
        })
        .await;
        let began = Instant::now();
        queue_events(app, case, 20).await;
        decided_case(app, &ehr).await;
        until("the other partner has its events", async || fast.count() >= 20).await;
        until("the members have their mail", async || server.app.state.mail.sent().len() == 3).await;
        assert!(began.elapsed() < Time::from_secs(14), "they waited for {:?}", began.elapsed());
        assert_eq!(numbers(&fast), (1..=20).collect::<Vec<_>>());
        until("each silent line has failed once", async || {
            app.number("SELECT COUNT(*) FROM subscription WHERE failures = 1 AND lease_owner IS NULL").await == 5
        })
        .await;
        let tried = "SELECT COUNT(*) FROM outbox WHERE state = 'queued' AND attempts > 0";
        assert_eq!(app.number(tried).await, 5, "only the first of each line was tried");
        server.stop().await;
        app.leaves_work();
    }

    async fn while_the_first_event_fails_no_other_is_sent(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[503, 503]).await;
        active_subscription(app, &ehr, &Messages::subscription(&receiver.url)).await;
        let case = decided_case(app, &ehr).await;
        queue_events(app, case, 10).await;
        for _ in 0..3 {
            app.run_jobs().await;
        }
        assert_eq!(receiver.count(), 1, "nothing is sent between the attempts");
        app.clock.advance(Duration::seconds(7));
        queue_events(app, case, 5).await;
        for _ in 0..3 {
            app.run_jobs().await;
        }
        assert_eq!(receiver.count(), 2, "new events wait as well");
        app.clock.advance(Duration::seconds(80));
        app.run_jobs().await;
        assert_eq!(numbers(&receiver), (1..=15).collect::<Vec<_>>());
        assert_eq!(app.number("SELECT failures FROM subscription").await, 0);
    }

    async fn a_backlog_leaves_in_order_and_at_the_speed_of_the_receiver(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[]).await;
        active_subscription(app, &ehr, &Messages::subscription(&receiver.url)).await;
        let case = decided_case(app, &ehr).await;
        queue_events(app, case, 200).await;
        let server = Server::start(app).await;
        // With a wait of a second between events this would take more than three minutes.
        until("all events have arrived", async || receiver.count() >= 200).await;
        until("all events are recorded", async || {
            app.number("SELECT COUNT(*) FROM outbox WHERE state <> 'sent'").await == 0
        })
        .await;
        assert_eq!(numbers(&receiver), (1..=200).collect::<Vec<_>>());
        until("the line is returned", async || {
            app.number("SELECT COUNT(*) FROM subscription WHERE lease_owner IS NULL AND next_at IS NULL").await == 1
        })
        .await;
        server.stop().await;
    }

    async fn a_subscription_deleted_while_an_event_is_on_its_way_gets_no_other(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = HeldReceiver::start().await;
        let id = active_subscription(app, &ehr, &Messages::subscription(&receiver.url)).await;
        let case = decided_case(app, &ehr).await;
        queue_events(app, case, 5).await;
        let address = format!("{PATH}/{id}");
        let deletion = async {
            receiver.arrived.notified().await;
            assert_eq!(delete(app, &ehr, &address).await, 204);
            receiver.release.notify_one();
        };
        tokio::join!(app.run_jobs(), deletion);
        app.run_jobs().await;
        assert_eq!(receiver.calls(), 1);
        assert_eq!(app.get(&address, Some(&ehr.token)).await.status, 404);
        assert_eq!(app.number("SELECT COUNT(*) FROM outbox WHERE state = 'dead' AND last_error = 'the subscription was deleted'").await, 4);
        assert_eq!(app.number("SELECT COUNT(*) FROM outbox WHERE state = 'queued'").await, 0);
        app.leaves_work();
    }

    async fn a_client_has_a_limited_number_of_subscriptions(app: &TestApp) {
        let (ehr, other) = (app.ehr().await, app.other_ehr().await);
        let body = Messages::subscription("http://127.0.0.1:9/hook");
        let mut ids = Vec::new();
        for _ in 0..app.state.config.limits.subscriptions {
            ids.push(ehr.post(PATH, &body).await.json(201)["id"].as_str().unwrap().to_owned());
        }
        let refused = ehr.post(PATH, &body).await;
        assert_eq!(refused.places(422), ["Subscription"]);
        assert!(refused.text.contains("20 subscriptions"), "{}", refused.text);
        other.post(PATH, &subscription_of_other("http://127.0.0.1:9/hook")).await.json(201);
        assert_eq!(delete(app, &ehr, &format!("{PATH}/{}", ids[0])).await, 204);
        ehr.post(PATH, &body).await.json(201);
        app.leaves_work();
    }

    async fn a_notice_reaches_the_workers_of_its_process_in_memory(app: &TestApp) {
        let ehr = app.ehr().await;
        let owner = app.state.new_id();
        let mut received = app.state.store.handoff().receive(owner);
        let case = decided_case(app, &ehr).await;
        let message = received.try_recv().expect("the notice of a stored case");
        assert_eq!(app.number("SELECT COUNT(*) FROM outbox WHERE state = 'leased'").await, 1);
        let rolled_back = app.state.store.write(case, |tx, case| {
            Box::pin(async move {
                let events = tx.events(*case).await?;
                let case = PriorAuth::replay(*case, &events).unwrap();
                let mail = MailRecipients {
                    member_logins: vec![case.id],
                    provider_npi: None,
                };
                let decisions = StoredDecisions {
                    case: &case,
                    events: &events,
                    mail: &mail,
                };
                tx.fan_out(&decisions).await?;
                Err::<(), _>(assent::error::Error::conflict("on purpose"))
            })
        });
        rolled_back.await.unwrap_err();
        assert!(received.try_recv().is_err(), "nothing of a unit of work that was rolled back is sent");
        drop(received);
        decided_case(app, &ehr).await;
        assert_eq!(app.number("SELECT COUNT(*) FROM outbox WHERE state = 'queued'").await, 1, "without workers it is looked up");
        let free = app.state.store.write(owner, |tx, owner| Box::pin(async move { tx.remove_process(*owner).await }));
        free.await.unwrap();
        app.run_jobs().await;
        assert_eq!(app.mails().len(), 2);
        assert!(app.mails()[0].contains("/notice/") && app.mails().concat().contains(&message.id.to_string()));
    }

    async fn the_mail_of_a_decision_is_sent_by_a_running_server(app: &TestApp) {
        let server = Server::start(app).await;
        let router = assent::http::router(server.app.state.clone());
        let ehr = app.ehr().await;
        let body = app.messages().referral_request().to_string();
        let request = axum::http::Request::post("/pas/2.2/Claim/$submit")
            .header("authorization", format!("Bearer {}", ehr.token))
            .header("content-type", "application/fhir+json")
            .body(axum::body::Body::from(body));
        app.call_at(router, request.unwrap()).await.json(200);
        until("the mail is sent", async || server.app.state.mail.sent().len() == 1).await;
        until("that is recorded", async || app.number("SELECT COUNT(*) FROM outbox WHERE state = 'sent'").await == 1).await;
        server.stop().await;
    }

    async fn a_replaced_endpoint_gets_the_waiting_events_at_once(app: &TestApp) {
        let ehr = app.ehr().await;
        let (dead, working) = (Receiver::responding_with(&[503]).await, Receiver::responding_with(&[]).await);
        let id = active_subscription(app, &ehr, &Messages::subscription(&dead.url)).await;
        let case = submit_pended(app, &ehr).await;
        review_item(app, case, ReviewerAction::Approve).await;
        app.run_jobs().await;
        crate::pas::subscriptions::put(app, &ehr, &format!("{PATH}/{id}"), &Messages::subscription(&working.url)).await.json(200);
        app.run_jobs().await;
        assert_eq!(accepted(&working), [handshake(), event(1)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_wakes_the_workers_of_others() {
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    let other = App::build(app.state.config.clone(), app.clock.clone())
        .await
        .unwrap();
    let store = other.state.store.clone();
    let wake = store.wake();
    let mut woken = std::pin::pin!(wake.notified());
    woken.as_mut().enable();
    let ehr = app.ehr().await;
    let queue = async {
        // The first notifications may come before the other process listens.
        loop {
            decided_case(&app, &ehr).await;
            tokio::time::sleep(Time::from_millis(100)).await;
        }
    };
    tokio::select! {
        result = store.listen() => panic!("{result:?}"),
        () = queue => {}
        () = woken => {}
        () = tokio::time::sleep(Time::from_secs(20)) => panic!("the other process was not woken"),
    }
    other.state.store.close().await;
    app.leaves_work();
    app.finish().await;
}
