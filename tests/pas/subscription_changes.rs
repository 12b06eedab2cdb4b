//! Subscriptions that change while a message is on its way, that end, and that are searched.

use super::subscriptions::{PATH, accepted, delete, event, handshake, put, status, submit_pended};
use super::{ReviewerAction, review_item};
use crate::support::receiver::Receiver;
use crate::support::{Ehr, PUBLIC_URL, TestApp, both};
use assent::demo::seed;
use assent::demo::walk::messages::Messages;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::post;
use chrono::Duration;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// A receiver that holds back its first response until the test releases it.
pub struct HeldReceiver {
    pub url: String,
    calls: Arc<AtomicUsize>,
    pub arrived: Arc<Notify>,
    pub release: Arc<Notify>,
}

impl HeldReceiver {
    pub async fn start() -> Self {
        let (calls, arrived, release) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Notify::new()),
            Arc::new(Notify::new()),
        );
        let shared = (calls.clone(), arrived.clone(), release.clone());
        let receive = move || {
            let (calls, arrived, release) = shared.clone();
            async move {
                if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                    arrived.notify_one();
                    release.notified().await;
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(receive))).await });
        Self {
            url,
            calls,
            arrived,
            release,
        }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// Sends what is due and makes a change while the first message is on its way.
async fn change_on_the_way(app: &TestApp, receiver: &HeldReceiver, change: impl Future<Output = ()>) {
    let changed = async {
        receiver.arrived.notified().await;
        change.await;
        receiver.release.notify_one();
    };
    tokio::join!(app.run_jobs(), changed);
}

async fn created(ehr: &Ehr<'_>, body: &Value) -> String {
    let created = ehr.post(PATH, body).await.json(201);
    created["id"].as_str().unwrap().to_owned()
}

async fn decide_one(app: &TestApp, ehr: &Ehr<'_>) {
    let case = submit_pended(app, ehr).await;
    review_item(app, case, ReviewerAction::Approve).await;
    app.run_jobs().await;
}

both! {
    async fn a_subscription_deleted_during_its_handshake_stays_deleted(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = HeldReceiver::start().await;
        let id = created(&ehr, &Messages::subscription(&receiver.url)).await;
        let address = format!("{PATH}/{id}");
        change_on_the_way(app, &receiver, async { assert_eq!(delete(app, &ehr, &address).await, 204) }).await;
        assert_eq!(app.get(&address, Some(&ehr.token)).await.status, 404);
        decide_one(app, &ehr).await;
        assert_eq!(receiver.calls(), 1, "only the handshake");
        assert_eq!(app.get(&address, Some(&ehr.token)).await.status, 404);
        assert_eq!(put(app, &ehr, &address, &Messages::subscription(&receiver.url)).await.status, 404);
    }

    async fn a_subscription_turned_off_during_its_handshake_stays_off(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = HeldReceiver::start().await;
        let id = created(&ehr, &Messages::subscription(&receiver.url)).await;
        let address = format!("{PATH}/{id}");
        let mut off = Messages::subscription(&receiver.url);
        off["status"] = json!("off");
        let turn_off = async { assert_eq!(put(app, &ehr, &address, &off).await.json(200)["status"], "off") };
        change_on_the_way(app, &receiver, turn_off).await;
        decide_one(app, &ehr).await;
        assert_eq!(receiver.calls(), 1, "only the handshake");
        assert_eq!(status(app, &ehr, &id).await, ("off".to_owned(), "0".to_owned()));
    }

    async fn a_handshake_counts_only_for_the_subscription_that_it_tested(app: &TestApp) {
        let ehr = app.ehr().await;
        let (first, second) = (HeldReceiver::start().await, Receiver::responding_with(&[503]).await);
        let id = created(&ehr, &Messages::subscription(&first.url)).await;
        let address = format!("{PATH}/{id}");
        let replace = async {
            put(app, &ehr, &address, &Messages::subscription(&second.url)).await.json(200);
        };
        change_on_the_way(app, &first, replace).await;
        assert_eq!(status(app, &ehr, &id).await.0, "requested", "the new endpoint has not answered yet");
        app.clock.advance(Duration::seconds(7));
        app.run_jobs().await;
        assert_eq!((status(app, &ehr, &id).await.0.as_str(), first.calls()), ("active", 1));
        assert_eq!(accepted(&second), [handshake()]);
    }

    async fn a_second_put_makes_the_first_handshake_unnecessary(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[]).await;
        let body = Messages::subscription(&receiver.url);
        let id = created(&ehr, &body).await;
        put(app, &ehr, &format!("{PATH}/{id}"), &body).await.json(200);
        app.run_jobs().await;
        assert_eq!(accepted(&receiver), [handshake()]);
        assert_eq!(status(app, &ehr, &id).await.0, "active");
        app.leaves_work();
    }

    async fn events_wait_for_the_handshake(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[503]).await;
        let id = created(&ehr, &Messages::subscription(&receiver.url)).await;
        app.run_jobs().await;
        decide_one(app, &ehr).await;
        assert_eq!(receiver.received().len(), 1, "the subscription is not active yet");
        app.clock.advance(Duration::seconds(7));
        app.run_jobs().await;
        assert_eq!(accepted(&receiver), [handshake(), event(1)]);
        assert_eq!(status(app, &ehr, &id).await, ("active".to_owned(), "1".to_owned()));
    }

    async fn a_subscription_is_off_when_its_end_has_passed(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[200, 500]).await;
        let mut body = Messages::subscription(&receiver.url);
        body["end"] = json!("2020-01-01T00:00:00Z");
        let past = ehr.post(PATH, &body).await.json(201);
        assert_eq!((&past["status"], &past["end"]), (&json!("off"), &body["end"]));
        app.run_jobs().await;
        assert!(receiver.received().is_empty(), "it has no handshake");
        body["end"] = json!((app.clock.now() + Duration::seconds(20)).to_rfc3339());
        let id = created(&ehr, &body).await;
        app.run_jobs().await;
        assert_eq!(status(app, &ehr, &id).await.0, "active");
        decide_one(app, &ehr).await;
        assert_eq!(receiver.received().len(), 2, "the notification failed");
        app.clock.advance(Duration::seconds(20));
        app.run_jobs().await;
        decide_one(app, &ehr).await;
        assert_eq!(receiver.received().len(), 2, "nothing is sent after the end");
        assert_eq!(status(app, &ehr, &id).await, ("off".to_owned(), "1".to_owned()));
        let read = app.get(&format!("{PATH}/{id}"), Some(&ehr.token)).await.json(200);
        assert_eq!((&read["status"], &read["end"]), (&json!("off"), &body["end"]));
        app.leaves_work();
    }

    async fn subscriptions_are_searched_by_url_and_status(app: &TestApp) {
        let ehr = app.ehr().await;
        let (one, other) = (Receiver::responding_with(&[]).await, Receiver::responding_with(&[]).await);
        let active = created(&ehr, &Messages::subscription(&one.url)).await;
        let off = created(&ehr, &Messages::subscription(&other.url)).await;
        app.run_jobs().await;
        let mut body = Messages::subscription(&other.url);
        body["status"] = json!("off");
        put(app, &ehr, &format!("{PATH}/{off}"), &body).await.json(200);
        let get = async |query: &str, prefer: &str| {
            let request = Request::get(format!("{PATH}?{query}"))
                .header(header::AUTHORIZATION, format!("Bearer {}", ehr.token))
                .header("prefer", prefer);
            app.call(request.body(Body::empty()).unwrap()).await
        };
        let ids = async |query: &str| -> Vec<String> {
            let bundle = get(query, "").await.json(200);
            let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
            entries.iter().map(|e| e["resource"]["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids("").await, [active.as_str(), off.as_str()]);
        assert_eq!(ids("status=off").await, [off.as_str()]);
        assert_eq!(ids("status=active,error").await, [active.as_str()]);
        assert_eq!(ids(&format!("url={}", one.url)).await, [active.as_str()]);
        assert_eq!(ids(&format!("_id={off}&status=active")).await, [""; 0]);
        get("color=red", "").await.json(400);
        let lenient = get("color=red&status=off", "handling=lenient").await.json(200);
        assert_eq!(lenient["link"][0]["url"], format!("{PUBLIC_URL}{PATH}?status=off"));
        let statement = app.get("/pas/2.2/metadata", None).await.json(200);
        assert!(statement["rest"][0]["resource"][1]["searchParam"].to_string().contains("\"url\""));
    }

    async fn a_search_for_subscriptions_needs_its_own_permission(app: &TestApp) {
        let ehr = app.ehr().await;
        let id = created(&ehr, &Messages::subscription("http://127.0.0.1:9/hook")).await;
        let reader = ehr.token_for(seed::EHR, "system/Subscription.r").await;
        app.get(PATH, Some(&reader)).await.json(403);
        app.get(&format!("{PATH}/{id}"), Some(&reader)).await.json(200);
        let searcher = ehr.token_for(seed::EHR, "system/Subscription.s").await;
        app.get(PATH, Some(&searcher)).await.json(200);
        app.get(&format!("{PATH}/{id}"), Some(&searcher)).await.json(403);
        app.leaves_work();
    }
}
