//! Subscriptions: who may have one, the handshake, one notification per decision in order, failures and recovery
//! (PAS spec-51 to spec-62).

use super::{Act, FORM, actions, case_id, check_answer, reference_number, review};
use crate::support::receiver::Receiver;
use crate::support::{Ehr, TestApp, both};
use assent::demo::seed;
use assent::demo::walk::messages::{Run, parameter};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::post;
use chrono::Duration;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

const PATH: &str = "/pas/2.2/Subscription";

/// A subscription whose handshake has been taken; answers with its id.
async fn subscribed(app: &TestApp, ehr: &Ehr<'_>, endpoint: &str) -> String {
    let created = ehr.post(PATH, &Run::subscription(endpoint)).await.json(201);
    assert_eq!(created["status"], "requested");
    app.run_jobs().await;
    created["id"].as_str().unwrap().to_owned()
}

async fn pended(app: &TestApp, ehr: &Ehr<'_>) -> Uuid {
    let answer = ehr.submitted(&app.run().oxygen(FORM, None, 91, "normal")).await;
    assert_eq!(actions(&answer), ["A4"]);
    case_id(&answer)
}

/// Status and number of events, by `$status`.
async fn status(app: &TestApp, ehr: &Ehr<'_>, id: &str) -> (String, String) {
    let found = app
        .get(&format!("{PATH}/{id}/$status"), Some(&ehr.token))
        .await
        .json(200);
    assert_eq!(
        (&found["type"], &found["total"]),
        (&json!("searchset"), &json!(1))
    );
    let said = &found["entry"][0]["resource"];
    assert_eq!(parameter(said, "type").unwrap()["valueCode"], "query-status");
    let text = |name: &str, value: &str| parameter(said, name).unwrap()[value].as_str().unwrap().to_owned();
    (
        text("status", "valueCode"),
        text("events-since-subscription-start", "valueString"),
    )
}

/// What a notification says: its type, the event's number, its `ClaimResponse`.
fn read(bundle: &Value) -> (String, Option<String>, Value) {
    assert_eq!(bundle["type"], "history");
    let entries = bundle["entry"].as_array().unwrap();
    assert!(
        entries
            .iter()
            .all(|e| e["request"]["method"].is_string() && e["response"]["status"].is_string())
    );
    let said = &entries[0]["resource"];
    let kind = parameter(said, "type").unwrap()["valueCode"]
        .as_str()
        .unwrap()
        .to_owned();
    let Some(event) = parameter(said, "notification-event") else {
        assert_eq!(entries.len(), 1);
        return (kind, None, Value::Null);
    };
    let part = |name: &str| {
        event["part"]
            .as_array()
            .unwrap()
            .iter()
            .find(|p| p["name"] == name)
            .unwrap()
    };
    let number = part("event-number")["valueString"].as_str().unwrap().to_owned();
    let focus = &part("focus")["valueReference"]["reference"];
    assert_eq!((focus, entries.len()), (&entries[1]["fullUrl"], 2));
    let answer = &entries[1]["resource"];
    assert_eq!(
        focus.as_str().unwrap(),
        format!("urn:uuid:{}", answer["id"].as_str().unwrap())
    );
    check_answer(answer, None);
    (kind, Some(number), answer["entry"][0]["resource"].clone())
}

/// What came and was taken, as (type, number).
fn taken(receiver: &Receiver) -> Vec<(String, Option<String>)> {
    let came = receiver.came().into_iter().filter(|(status, _)| *status == 200);
    came.map(|(_, body)| read(&body))
        .map(|(kind, number, _)| (kind, number))
        .collect()
}

fn event(number: u32) -> (String, Option<String>) {
    ("event-notification".to_owned(), Some(number.to_string()))
}

fn handshake() -> (String, Option<String>) {
    ("handshake".to_owned(), None)
}

both! {
    async fn a_subscription_is_stored_shaken_read_changed_and_taken_back(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::answering(&[]).await;
        let reply = ehr.post(PATH, &Run::subscription(&receiver.url)).await;
        let created = reply.json(201);
        let id = created["id"].as_str().unwrap().to_owned();
        let address = format!("{PATH}/{id}");
        assert!(reply.headers["location"].to_str().unwrap().ends_with(&address));
        assert_eq!((&created["status"], &created["channel"]["endpoint"]), (&json!("requested"), &json!(receiver.url)));
        app.run_jobs().await;
        app.run_jobs().await;
        assert_eq!(taken(&receiver), [handshake()], "exactly one handshake");
        let token = Some(ehr.token.as_str());
        assert_eq!(app.get(&address, token).await.json(200)["status"], "active");
        assert_eq!(status(app, &ehr, &id).await, ("active".to_owned(), "0".to_owned()));
        let all = app.get(&format!("{PATH}/$status?status=active"), token).await.json(200);
        assert_eq!(all["total"], 1);
        assert_eq!(app.get(&format!("{PATH}/$status?status=error"), token).await.json(200)["total"], 0);
        assert_eq!(app.get(PATH, token).await.json(200)["total"], 1);

        let mut changed = Run::subscription(&receiver.url);
        changed["reason"] = json!("Another reason");
        changed["id"] = json!("another-id");
        assert_eq!(put(app, &ehr, &address, &changed).await.places(400), ["Subscription.id"]);
        changed["id"] = json!(id);
        let reply = put(app, &ehr, &address, &changed).await.json(200);
        assert_eq!((&reply["status"], &reply["reason"]), (&json!("requested"), &json!("Another reason")));
        app.run_jobs().await;
        assert_eq!(app.get(&address, token).await.json(200)["status"], "active");

        // Another partner's system knows nothing of it.
        let other = app.other_ehr().await;
        assert_eq!(app.get(&address, Some(&other.token)).await.status, 404);
        assert_eq!(app.get(&format!("{address}/$status"), Some(&other.token)).await.status, 404);
        assert_eq!(delete(app, &other, &address).await, 404);
        assert_eq!(app.get(PATH, Some(&other.token)).await.json(200)["total"], 0);

        let case = pended(app, &ehr).await;
        assert_eq!(delete(app, &ehr, &address).await, 204);
        assert_eq!(app.get(&address, token).await.status, 404);
        review(app, case, Act::Approve).await;
        app.run_jobs().await;
        assert_eq!(taken(&receiver), [handshake(), handshake()]);
    }

    async fn a_subscription_is_refused_for_what_is_not_the_callers_or_not_offered(app: &TestApp) {
        let ehr = app.ehr().await;
        let fine = Run::subscription("http://127.0.0.1:9/hook");
        let before = app.row_counts().await;
        let with = |pointer: &str, value: Value| {
            let mut changed = fine.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            changed
        };
        let filter = "/_criteria/extension/0/valueString";
        let cases = [
            (with(filter, json!("org-identifier=CLINIC02")), "Subscription.criteria.extension"),
            (with(filter, json!("org-identifier=DEMOEHR01,CLINIC02")), "Subscription.criteria.extension"),
            (with(filter, json!("org-identifier=")), "Subscription.criteria.extension"),
            (with(filter, json!("patient=1")), "Subscription.criteria.extension"),
            (with("/channel/endpoint", json!("https://elsewhere.example/hook")), "Subscription.channel.endpoint"),
            (with("/channel/endpoint", json!("https://10.1.2.3/hook")), "Subscription.channel.endpoint"),
            (with("/channel/endpoint", json!("http://ehr.demo.example/hook")), "Subscription.channel.endpoint"),
            (with("/channel/type", json!("websocket")), "Subscription.channel.type"),
            (with("/channel/payload", json!("application/fhir+xml")), "Subscription.channel.payload"),
            (with("/channel/_payload/extension/0/valueCode", json!("id-only")), "Subscription.channel.payload.extension"),
            (with("/criteria", json!("Observation?code=1")), "Subscription.criteria"),
            (with("/channel", json!({ "type": "rest-hook", "payload": "application/fhir+json", "endpoint": "http://127.0.0.1:9/hook",
                "_payload": fine["channel"]["_payload"], "header": ["Host: elsewhere"] })), "Subscription.channel.header[0]"),
        ];
        for (body, place) in &cases {
            assert_eq!(ehr.post(PATH, body).await.places(422), [*place], "{body}");
        }
        let reader = ehr.token_for(seed::EHR, "system/Subscription.rs").await;
        let reply = app.post(PATH, Some(&reader), "application/fhir+json", fine.to_string()).await;
        assert_eq!(reply.status, 403);
        assert_eq!(rows_of(&app.row_counts().await, "subscription"), rows_of(&before, "subscription"));
        assert_eq!(rows_of(&app.row_counts().await, "outbox"), rows_of(&before, "outbox"));
    }

    async fn plain_http_is_for_partners_whose_registration_says_so_also_when_it_is_sent(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::answering(&[]).await;
        let id = subscribed(app, &ehr, &receiver.url).await;
        let case = pended(app, &ehr).await;
        register(app, |client| client.doc.loopback_http = false).await;
        let places = ehr.post(PATH, &Run::subscription(&receiver.url)).await.places(422);
        assert_eq!(places, ["Subscription.channel.endpoint"]);
        review(app, case, Act::Approve).await;
        app.run_jobs().await;
        assert_eq!(taken(&receiver), [handshake()], "nothing more is sent to an address that is registered no longer");
        assert_eq!(status(app, &ehr, &id).await.0, "error");
        app.leaves_work();
    }

    async fn each_decision_is_told_once_in_order_and_whole(app: &TestApp) {
        let (ehr, other) = (app.ehr().await, app.other_ehr().await);
        let receiver = Receiver::answering(&[]).await;
        let id = subscribed(app, &ehr, &receiver.url).await;
        let mut cases = Vec::new();
        for _ in 0..4 {
            cases.push(pended(app, &ehr).await);
        }
        let foreign = case_id(&other.submitted(&app.run().oxygen(FORM, None, 91, "normal")).await);
        review(app, foreign, Act::Approve).await;
        review(app, cases[0], Act::Approve).await;
        app.run_jobs().await;
        for case in &cases[1..] {
            review(app, *case, Act::Deny("A saturation of 91 percent does not meet the criteria.")).await;
        }
        app.run_jobs().await;
        app.run_jobs().await;
        assert_eq!(taken(&receiver), [handshake(), event(1), event(2), event(3), event(4)]);
        let came = receiver.came();
        let (_, _, first) = read(&came[1].1);
        assert_eq!((case_id(&first), actions(&first)), (cases[0], vec!["A1"]));
        let mut denied: Vec<Uuid> = came[2..].iter().map(|(_, body)| case_id(&read(body).2)).collect();
        denied.sort_unstable();
        let mut wanted = cases[1..].to_vec();
        wanted.sort_unstable();
        assert_eq!(denied, wanted);
        assert!(came[2..].iter().all(|(_, body)| actions(&read(body).2) == ["A3"]));
        let since = parameter(&came[4].1["entry"][0]["resource"], "events-since-subscription-start").unwrap();
        assert_eq!(since["valueString"], "4");
        assert_eq!(status(app, &ehr, &id).await, ("active".to_owned(), "4".to_owned()));
    }

    async fn a_notification_that_fails_is_sent_again_and_the_next_waits_for_it(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::answering(&[200, 500, 503]).await;
        let id = subscribed(app, &ehr, &receiver.url).await;
        let (first, second) = (pended(app, &ehr).await, pended(app, &ehr).await);
        review(app, first, Act::Approve).await;
        app.run_jobs().await;
        review(app, second, Act::Approve).await;
        app.run_jobs().await;
        assert_eq!(taken(&receiver), [handshake()]);
        assert_eq!(receiver.came().len(), 2, "the second waits behind the first");
        app.clock.advance(Duration::seconds(7));
        app.run_jobs().await;
        assert_eq!(receiver.came().len(), 3, "503: again later");
        // Waiting is no try: it may last as long as it takes.
        for _ in 0..20 {
            app.clock.advance(Duration::seconds(2));
            app.run_jobs().await;
        }
        app.clock.advance(Duration::seconds(40));
        app.run_jobs().await;
        assert_eq!(taken(&receiver), [handshake(), event(1), event(2)]);
        assert_eq!(case_id(&read(&receiver.came()[1].1).2), first);
        assert_eq!(status(app, &ehr, &id).await, ("active".to_owned(), "2".to_owned()));
    }

    async fn a_handshake_that_nobody_takes_yet_is_tried_again(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::answering(&[503]).await;
        let id = subscribed(app, &ehr, &receiver.url).await;
        assert_eq!(status(app, &ehr, &id).await.0, "requested");
        app.clock.advance(Duration::seconds(7));
        app.run_jobs().await;
        assert_eq!((taken(&receiver).len(), status(app, &ehr, &id).await.0.as_str()), (1, "active"));
    }

    async fn a_receiver_that_is_gone_puts_the_subscription_into_error_until_it_is_made_anew(app: &TestApp) {
        let ehr = app.ehr().await;
        for gone in [404, 410] {
            let receiver = Receiver::answering(&[200, gone]).await;
            let id = subscribed(app, &ehr, &receiver.url).await;
            let cases = [pended(app, &ehr).await, pended(app, &ehr).await, pended(app, &ehr).await];
            review(app, cases[0], Act::Approve).await;
            app.run_jobs().await;
            assert_eq!(status(app, &ehr, &id).await, ("error".to_owned(), "1".to_owned()));
            review(app, cases[1], Act::Approve).await;
            app.run_jobs().await;
            assert_eq!(receiver.came().len(), 2, "nothing is sent while it stands in error");
            assert_eq!(status(app, &ehr, &id).await, ("error".to_owned(), "2".to_owned()), "numbers go on");
            put(app, &ehr, &format!("{PATH}/{id}"), &Run::subscription(&receiver.url)).await.json(200);
            app.run_jobs().await;
            review(app, cases[2], Act::Approve).await;
            app.run_jobs().await;
            assert_eq!(taken(&receiver), [handshake(), handshake(), event(3)]);
            assert_eq!(status(app, &ehr, &id).await, ("active".to_owned(), "3".to_owned()));
            assert_eq!(delete(app, &ehr, &format!("{PATH}/{id}")).await, 204);
        }
        app.leaves_work();
    }

    async fn what_waits_for_a_subscription_that_is_taken_back_does_not_bring_it_back(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::answering(&[200, 500]).await;
        let id = subscribed(app, &ehr, &receiver.url).await;
        let case = pended(app, &ehr).await;
        review(app, case, Act::Approve).await;
        app.run_jobs().await;
        let mut off = Run::subscription(&receiver.url);
        off["status"] = json!("off");
        assert_eq!(put(app, &ehr, &format!("{PATH}/{id}"), &off).await.json(200)["status"], "off");
        app.clock.advance(Duration::seconds(7));
        app.run_jobs().await;
        assert_eq!(receiver.came().len(), 2);
        assert_eq!(app.get(&format!("{PATH}/{id}"), Some(&ehr.token)).await.status, 404);
        app.leaves_work();
    }

    async fn retry_after_is_kept_to(app: &TestApp) {
        let ehr = app.ehr().await;
        let (url, calls) = busy_receiver().await;
        subscribed(app, &ehr, &url).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        app.clock.advance(Duration::milliseconds(8_900));
        app.run_jobs().await;
        assert_eq!(calls.load(Ordering::SeqCst), 1, "nine seconds were asked for");
        app.clock.advance(Duration::milliseconds(2_000));
        app.run_jobs().await;
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    async fn a_proposed_denial_shows_to_nobody_outside(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::answering(&[]).await;
        subscribed(app, &ehr, &receiver.url).await;
        let request = app.run().oxygen(FORM, None, 91, "normal");
        let first = ehr.submit(&request).await;
        let answer = first.json(200)["entry"][0]["resource"].clone();
        app.clock.advance(Duration::minutes(2));
        review(app, case_id(&answer), Act::Refer("ZZPROPOSED: I would deny this")).await;
        app.run_jobs().await;
        assert_eq!((taken(&receiver), app.mails().len()), (vec![handshake()], 0));
        assert_eq!(ehr.submit(&request).await.text, first.text);
        let tracking = reference_number(&answer);
        let inquiry = ehr.inquire(&app.run().inquiry(&tracking)).await;
        let seen = inquiry.json(200)["parameter"][0]["resource"]["entry"][0]["resource"].clone();
        assert_eq!((actions(&seen), &seen["created"]), (vec!["A4"], &answer["created"]));
        for text in [&inquiry.text, &app.get("/metrics", None).await.text] {
            assert!(!text.contains("ZZPROPOSED") && !text.contains("physician-review"));
        }
        let phone = app.member("ruth").await;
        let seen = phone.authorizations().await;
        assert!(seen["total"].as_i64() == Some(1) && !seen.to_string().contains("ZZPROPOSED"));
        review(app, case_id(&answer), Act::Deny("A saturation of 91 percent does not meet the criteria.")).await;
        app.run_jobs().await;
        let (_, body) = receiver.came().pop().unwrap();
        assert_eq!(actions(&read(&body).2), ["A3"]);
        assert!(!body.to_string().contains("ZZPROPOSED"));
    }
}

async fn put(app: &TestApp, ehr: &Ehr<'_>, path: &str, body: &Value) -> crate::support::Reply {
    let request = axum::http::Request::put(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", ehr.token))
        .header(header::CONTENT_TYPE, "application/fhir+json")
        .body(axum::body::Body::from(body.to_string()));
    app.call(request.unwrap()).await
}

async fn delete(app: &TestApp, ehr: &Ehr<'_>, path: &str) -> StatusCode {
    let request =
        axum::http::Request::delete(path).header(header::AUTHORIZATION, format!("Bearer {}", ehr.token));
    app.call(request.body(axum::body::Body::empty()).unwrap())
        .await
        .status
}

/// Changes the demo EHR's registration.
async fn register(app: &TestApp, change: impl Fn(&mut assent::auth::Client) + Send + Sync + 'static) {
    let now = app.clock.now();
    app.state
        .store
        .write((change, now), |tx, (change, now)| {
            Box::pin(async move {
                let mut client = tx.client_by_client_id(seed::EHR).await?.unwrap();
                change(&mut client);
                tx.put_client(&client, *now).await
            })
        })
        .await
        .unwrap();
}

fn rows_of(counts: &[(String, i64)], table: &str) -> i64 {
    counts.iter().find(|(name, _)| name == table).unwrap().1
}

/// A receiver that is busy once and asks for nine seconds.
async fn busy_receiver() -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let answer = move || {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        let status = if first {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        };
        async move { (status, [(header::RETRY_AFTER, "9")]) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(answer))).await });
    (url, calls)
}
