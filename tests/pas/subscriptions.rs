//! Subscriptions: who may create one, the handshake, one notification per decision in order, failures and recovery
//! (PAS spec-51 to spec-62).

use super::{
    FORM, ReviewerAction, assert_valid_response, case_id, reference_number, review_actions, review_item,
};
use crate::support::receiver::Receiver;
use crate::support::{Ehr, TestApp, both};
use assent::demo::seed;
use assent::demo::walk::messages::{Messages, parameter};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::post;
use chrono::Duration;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

pub const PATH: &str = "/pas/2.2/Subscription";

/// Creates a subscription, sends its handshake and returns its id.
async fn subscribe(app: &TestApp, ehr: &Ehr<'_>, endpoint: &str) -> String {
    let created = ehr.post(PATH, &Messages::subscription(endpoint)).await.json(201);
    assert_eq!(created["status"], "requested");
    app.run_jobs().await;
    created["id"].as_str().unwrap().to_owned()
}

/// Submits a request that is pended and returns the case.
pub async fn submit_pended(app: &TestApp, ehr: &Ehr<'_>) -> Uuid {
    let claim_response = ehr
        .submitted(&app.messages().oxygen_request(FORM, None, 91, "normal"))
        .await;
    assert_eq!(review_actions(&claim_response), ["A4"]);
    case_id(&claim_response)
}

/// Status and number of events from `$status`.
pub async fn status(app: &TestApp, ehr: &Ehr<'_>, id: &str) -> (String, String) {
    let response = app
        .get(&format!("{PATH}/{id}/$status"), Some(&ehr.token))
        .await
        .json(200);
    assert_eq!(
        (&response["type"], &response["total"]),
        (&json!("searchset"), &json!(1))
    );
    let status = &response["entry"][0]["resource"];
    let full_url = format!("urn:uuid:{}", status["id"].as_str().unwrap());
    assert_eq!(response["entry"][0]["fullUrl"], full_url);
    assert_eq!(parameter(status, "type").unwrap()["valueCode"], "query-status");
    let text = |name: &str, value: &str| {
        parameter(status, name).unwrap()[value]
            .as_str()
            .unwrap()
            .to_owned()
    };
    (
        text("status", "valueCode"),
        text("events-since-subscription-start", "valueString"),
    )
}

/// The type of a notification, its event number and its `ClaimResponse`.
fn read_notification(bundle: &Value) -> (String, Option<String>, Value) {
    assert_eq!(bundle["type"], "history");
    let entries = bundle["entry"].as_array().unwrap();
    assert!(
        entries
            .iter()
            .all(|e| e["request"]["method"].is_string() && e["response"]["status"].is_string())
    );
    let status = &entries[0]["resource"];
    let kind = parameter(status, "type").unwrap()["valueCode"]
        .as_str()
        .unwrap()
        .to_owned();
    let Some(event) = parameter(status, "notification-event") else {
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
    let response = &entries[1]["resource"];
    assert_eq!(
        focus.as_str().unwrap(),
        format!("urn:uuid:{}", response["id"].as_str().unwrap())
    );
    assert_valid_response(response, None);
    (kind, Some(number), response["entry"][0]["resource"].clone())
}

/// The notifications that the receiver accepted, as (type, event number).
pub fn accepted(receiver: &Receiver) -> Vec<(String, Option<String>)> {
    let bodies = receiver
        .received()
        .into_iter()
        .filter(|(status, _)| *status == 200);
    bodies
        .map(|(_, body)| read_notification(&body))
        .map(|(kind, number, _)| (kind, number))
        .collect()
}

pub fn event(number: u32) -> (String, Option<String>) {
    ("event-notification".to_owned(), Some(number.to_string()))
}

pub fn handshake() -> (String, Option<String>) {
    ("handshake".to_owned(), None)
}

both! {
    async fn a_subscription_is_created_activated_read_replaced_and_deleted(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[]).await;
        let reply = ehr.post(PATH, &Messages::subscription(&receiver.url)).await;
        let created = reply.json(201);
        let id = created["id"].as_str().unwrap().to_owned();
        let address = format!("{PATH}/{id}");
        assert!(reply.headers["location"].to_str().unwrap().ends_with(&address));
        assert_eq!((&created["status"], &created["channel"]["endpoint"]), (&json!("requested"), &json!(receiver.url)));
        app.run_jobs().await;
        app.run_jobs().await;
        assert_eq!(accepted(&receiver), [handshake()], "exactly one handshake");
        let token = Some(ehr.token.as_str());
        assert_eq!(app.get(&address, token).await.json(200)["status"], "active");
        assert_eq!(status(app, &ehr, &id).await, ("active".to_owned(), "0".to_owned()));
        let all = app.get(&format!("{PATH}/$status?status=active"), token).await.json(200);
        assert_eq!(all["total"], 1);
        assert_eq!(app.get(&format!("{PATH}/$status?status=error"), token).await.json(200)["total"], 0);
        assert_eq!(app.get(PATH, token).await.json(200)["total"], 1);

        let mut changed = Messages::subscription(&receiver.url);
        changed["reason"] = json!("Another reason");
        changed["id"] = json!("another-id");
        assert_eq!(put(app, &ehr, &address, &changed).await.places(400), ["Subscription.id"]);
        changed["id"] = json!(id);
        let reply = put(app, &ehr, &address, &changed).await.json(200);
        assert_eq!((&reply["status"], &reply["reason"]), (&json!("requested"), &json!("Another reason")));
        app.run_jobs().await;
        assert_eq!(app.get(&address, token).await.json(200)["status"], "active");

        // Another client cannot see it.
        let other = app.other_ehr().await;
        assert_eq!(app.get(&address, Some(&other.token)).await.status, 404);
        assert_eq!(app.get(&format!("{address}/$status"), Some(&other.token)).await.status, 404);
        assert_eq!(delete(app, &other, &address).await, 404);
        assert_eq!(app.get(PATH, Some(&other.token)).await.json(200)["total"], 0);

        let case = submit_pended(app, &ehr).await;
        assert_eq!(delete(app, &ehr, &address).await, 204);
        assert_eq!(app.get(&address, token).await.status, 404);
        review_item(app, case, ReviewerAction::Approve).await;
        app.run_jobs().await;
        assert_eq!(accepted(&receiver), [handshake(), handshake()]);
    }

    async fn a_subscription_for_other_systems_or_with_unsupported_options_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let valid = Messages::subscription("http://127.0.0.1:9/hook");
        let before = app.row_counts().await;
        let with = |pointer: &str, value: Value| {
            let mut changed = valid.clone();
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
            (with(filter, json!("org-identifier=DEMOEHR01&patient=1")), "Subscription.criteria.extension"),
            (with(filter, json!("Patient?org-identifier=DEMOEHR01")), "Subscription.criteria.extension"),
            (with("/_criteria/extension", json!([valid["_criteria"]["extension"][0], valid["_criteria"]["extension"][0]])),
                "Subscription.criteria.extension"),
            (with("/criteria", json!(format!("{}|9.9", valid["criteria"].as_str().unwrap()))), "Subscription.criteria"),
            (with("/channel/payload", json!("application/fhir+json; fhirVersion=5.0")), "Subscription.channel.payload"),
            (with_channel(&valid, "header", json!({ "Authorization": "Bearer x" })), "Subscription.channel.header"),
            (with_channel(&valid, "header", json!("Authorization: Bearer x")), "Subscription.channel.header"),
            (with_channel(&valid, "header", json!([["X: y"]])), "Subscription.channel.header[0]"),
            (with_channel(&valid, "_type", json!({ "extension": [{
                "url": "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-channel-type",
                "valueCoding": { "code": "websocket" } }] })), "Subscription.channel.type"),
            (with_end(&valid, json!("2027-12-31")), "Subscription.end"),
            (with_end(&valid, json!(20271231)), "Subscription.end"),
            (with("/channel", json!({ "type": "rest-hook", "payload": "application/fhir+json", "endpoint": "http://127.0.0.1:9/hook",
                "_payload": valid["channel"]["_payload"], "header": ["Host: elsewhere"] })), "Subscription.channel.header[0]"),
        ];
        for (body, place) in &cases {
            assert_eq!(ehr.post(PATH, body).await.places(422), [*place], "{body}");
        }
        let reader = ehr.token_for(seed::EHR, "system/Subscription.rs").await;
        let reply = app.post(PATH, Some(&reader), "application/fhir+json", valid.to_string()).await;
        assert_eq!(reply.status, 403);
        assert_eq!(rows_of(&app.row_counts().await, "subscription"), rows_of(&before, "subscription"));
        assert_eq!(rows_of(&app.row_counts().await, "outbox"), rows_of(&before, "outbox"));
    }

    async fn versions_of_the_topic_and_the_payload_are_accepted(app: &TestApp) {
        // A Subscription comes back as the client sent it; the profile does not allow a version in its criteria.
        app.receives_errors();
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[]).await;
        let mut sent = Messages::subscription(&receiver.url);
        sent["criteria"] = json!(format!("{}|2.2.1", sent["criteria"].as_str().unwrap()));
        sent["channel"]["payload"] = json!("application/fhir+json; fhirVersion=4.0");
        sent["channel"]["header"] = json!(["Authorization: Bearer x"]);
        sent["_criteria"]["extension"][0]["valueString"] = json!("ClaimResponse?orgIdentifier=DEMOEHR01");
        sent["end"] = json!("2027-12-31T00:00:00Z");
        let created = ehr.post(PATH, &sent).await.json(201);
        for element in ["criteria", "_criteria", "channel", "end"] {
            assert_eq!(created[element], sent[element], "{element}");
        }
        app.run_jobs().await;
        assert_eq!(accepted(&receiver), [handshake()]);
        let address = format!("{PATH}/{}", created["id"].as_str().unwrap());
        assert_eq!(app.get(&address, Some(&ehr.token)).await.json(200)["end"], sent["end"]);
    }

    async fn plain_http_needs_a_registration_when_subscribing_and_when_sending(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[]).await;
        let id = subscribe(app, &ehr, &receiver.url).await;
        let case = submit_pended(app, &ehr).await;
        change_registration(app, |client| client.doc.loopback_http = false).await;
        let places = ehr.post(PATH, &Messages::subscription(&receiver.url)).await.places(422);
        assert_eq!(places, ["Subscription.channel.endpoint"]);
        review_item(app, case, ReviewerAction::Approve).await;
        app.run_jobs().await;
        assert_eq!(accepted(&receiver), [handshake()], "nothing is sent to an endpoint that is not registered any more");
        assert_eq!(status(app, &ehr, &id).await.0, "error");
        app.leaves_work();
    }

    async fn each_decision_causes_one_complete_notification_in_order(app: &TestApp) {
        let (ehr, other) = (app.ehr().await, app.other_ehr().await);
        let receiver = Receiver::responding_with(&[]).await;
        let id = subscribe(app, &ehr, &receiver.url).await;
        let mut cases = Vec::new();
        for _ in 0..4 {
            cases.push(submit_pended(app, &ehr).await);
        }
        let request = app.messages().oxygen_request(FORM, None, 91, "normal").to_string().replace(seed::SENDER, "CLINIC02");
        let other_clients_case = case_id(&other.submitted(&serde_json::from_str(&request).unwrap()).await);
        review_item(app, other_clients_case, ReviewerAction::Approve).await;
        review_item(app, cases[0], ReviewerAction::Approve).await;
        app.run_jobs().await;
        for case in &cases[1..] {
            review_item(app, *case, ReviewerAction::Deny("A saturation of 91 percent does not meet the criteria.")).await;
        }
        app.run_jobs().await;
        app.run_jobs().await;
        assert_eq!(accepted(&receiver), [handshake(), event(1), event(2), event(3), event(4)]);
        let received = receiver.received();
        let (_, _, first) = read_notification(&received[1].1);
        assert_eq!((case_id(&first), review_actions(&first)), (cases[0], vec!["A1"]));
        let mut denied: Vec<Uuid> = received[2..].iter().map(|(_, body)| case_id(&read_notification(body).2)).collect();
        denied.sort_unstable();
        let mut expected = cases[1..].to_vec();
        expected.sort_unstable();
        assert_eq!(denied, expected);
        assert!(received[2..].iter().all(|(_, body)| review_actions(&read_notification(body).2) == ["A3"]));
        let since = parameter(&received[4].1["entry"][0]["resource"], "events-since-subscription-start").unwrap();
        assert_eq!(since["valueString"], "4");
        assert_eq!(status(app, &ehr, &id).await, ("active".to_owned(), "4".to_owned()));
    }

    async fn a_failed_notification_is_retried_before_the_next_one_is_sent(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[200, 500, 503]).await;
        let id = subscribe(app, &ehr, &receiver.url).await;
        let (first, second) = (submit_pended(app, &ehr).await, submit_pended(app, &ehr).await);
        review_item(app, first, ReviewerAction::Approve).await;
        app.run_jobs().await;
        review_item(app, second, ReviewerAction::Approve).await;
        app.run_jobs().await;
        assert_eq!(accepted(&receiver), [handshake()]);
        assert_eq!(receiver.received().len(), 2, "the second notification waits for the first");
        app.clock.advance(Duration::seconds(7));
        app.run_jobs().await;
        assert_eq!(receiver.received().len(), 3, "503 causes another attempt");
        // Waiting for an earlier notification does not count as an attempt.
        for _ in 0..20 {
            app.clock.advance(Duration::seconds(2));
            app.run_jobs().await;
        }
        app.clock.advance(Duration::seconds(40));
        app.run_jobs().await;
        assert_eq!(accepted(&receiver), [handshake(), event(1), event(2)]);
        assert_eq!(case_id(&read_notification(&receiver.received()[1].1).2), first);
        assert_eq!(status(app, &ehr, &id).await, ("active".to_owned(), "2".to_owned()));
    }

    async fn a_failed_handshake_is_retried(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[503]).await;
        let id = subscribe(app, &ehr, &receiver.url).await;
        assert_eq!(status(app, &ehr, &id).await.0, "requested");
        app.clock.advance(Duration::seconds(7));
        app.run_jobs().await;
        assert_eq!((accepted(&receiver).len(), status(app, &ehr, &id).await.0.as_str()), (1, "active"));
    }

    async fn an_endpoint_that_is_gone_sets_the_subscription_to_error_until_it_is_replaced(app: &TestApp) {
        let ehr = app.ehr().await;
        for gone in [404, 410] {
            let receiver = Receiver::responding_with(&[200, gone]).await;
            let id = subscribe(app, &ehr, &receiver.url).await;
            let cases = [submit_pended(app, &ehr).await, submit_pended(app, &ehr).await, submit_pended(app, &ehr).await];
            review_item(app, cases[0], ReviewerAction::Approve).await;
            app.run_jobs().await;
            assert_eq!(status(app, &ehr, &id).await, ("error".to_owned(), "1".to_owned()));
            review_item(app, cases[1], ReviewerAction::Approve).await;
            app.run_jobs().await;
            assert_eq!(receiver.received().len(), 2, "nothing is sent while the status is error");
            assert_eq!(status(app, &ehr, &id).await, ("error".to_owned(), "2".to_owned()), "event numbers continue");
            put(app, &ehr, &format!("{PATH}/{id}"), &Messages::subscription(&receiver.url)).await.json(200);
            app.run_jobs().await;
            review_item(app, cases[2], ReviewerAction::Approve).await;
            app.run_jobs().await;
            assert_eq!(accepted(&receiver), [handshake(), handshake(), event(3)]);
            assert_eq!(status(app, &ehr, &id).await, ("active".to_owned(), "3".to_owned()));
            assert_eq!(delete(app, &ehr, &format!("{PATH}/{id}")).await, 204);
        }
        app.leaves_work();
    }

    async fn a_queued_notification_does_not_reactivate_a_subscription_that_is_off(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[200, 500]).await;
        let id = subscribe(app, &ehr, &receiver.url).await;
        let case = submit_pended(app, &ehr).await;
        review_item(app, case, ReviewerAction::Approve).await;
        app.run_jobs().await;
        let mut off = Messages::subscription(&receiver.url);
        off["status"] = json!("off");
        assert_eq!(put(app, &ehr, &format!("{PATH}/{id}"), &off).await.json(200)["status"], "off");
        app.clock.advance(Duration::seconds(7));
        app.run_jobs().await;
        assert_eq!(receiver.received().len(), 2);
        let read = app.get(&format!("{PATH}/{id}"), Some(&ehr.token)).await.json(200);
        assert_eq!((&read["status"], &read["channel"]), (&json!("off"), &off["channel"]));
        assert_eq!(status(app, &ehr, &id).await, ("off".to_owned(), "1".to_owned()));
        let again = put(app, &ehr, &format!("{PATH}/{id}"), &Messages::subscription(&receiver.url)).await.json(200);
        assert_eq!(again["status"], "requested");
        app.run_jobs().await;
        assert_eq!(status(app, &ehr, &id).await.0, "active");
        app.leaves_work();
    }

    async fn retry_after_is_respected(app: &TestApp) {
        let ehr = app.ehr().await;
        let (url, calls) = busy_receiver().await;
        subscribe(app, &ehr, &url).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        app.clock.advance(Duration::milliseconds(8_900));
        app.run_jobs().await;
        assert_eq!(calls.load(Ordering::SeqCst), 1, "Retry-After is nine seconds");
        app.clock.advance(Duration::milliseconds(2_000));
        app.run_jobs().await;
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    async fn a_referral_to_a_physician_is_not_visible_outside_the_plan(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[]).await;
        subscribe(app, &ehr, &receiver.url).await;
        let request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let first = ehr.submit(&request).await;
        let claim_response = first.json(200)["entry"][0]["resource"].clone();
        app.clock.advance(Duration::minutes(2));
        review_item(app, case_id(&claim_response), ReviewerAction::Refer("ZZREFERRAL: I would deny this")).await;
        app.run_jobs().await;
        assert_eq!((accepted(&receiver), app.mails().len()), (vec![handshake()], 0));
        assert_eq!(ehr.submit(&request).await.text, first.text);
        let tracking_number = reference_number(&claim_response);
        let inquiry = ehr.inquire(&app.messages().inquiry(&tracking_number)).await;
        let seen = inquiry.json(200)["parameter"][0]["resource"]["entry"][0]["resource"].clone();
        assert_eq!((review_actions(&seen), &seen["created"]), (vec!["A4"], &claim_response["created"]));
        for text in [&inquiry.text, &app.get("/metrics", None).await.text] {
            assert!(!text.contains("ZZREFERRAL") && !text.contains("physician-review"));
        }
        let member = app.member("ruth").await;
        let seen = member.authorizations().await;
        assert!(seen["total"].as_i64() == Some(1) && !seen.to_string().contains("ZZREFERRAL"));
        review_item(app, case_id(&claim_response), ReviewerAction::Deny("A saturation of 91 percent does not meet the criteria.")).await;
        app.run_jobs().await;
        let (_, body) = receiver.received().pop().unwrap();
        assert_eq!(review_actions(&read_notification(&body).2), ["A3"]);
        assert!(!body.to_string().contains("ZZREFERRAL"));
    }
}

fn with_channel(valid: &Value, name: &str, value: Value) -> Value {
    let mut changed = valid.clone();
    changed["channel"][name] = value;
    changed
}

fn with_end(valid: &Value, value: Value) -> Value {
    let mut changed = valid.clone();
    changed["end"] = value;
    changed
}

pub async fn put(app: &TestApp, ehr: &Ehr<'_>, path: &str, body: &Value) -> crate::support::Reply {
    let request = axum::http::Request::put(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", ehr.token))
        .header(header::CONTENT_TYPE, "application/fhir+json")
        .body(axum::body::Body::from(body.to_string()));
    app.call(request.unwrap()).await
}

pub async fn delete(app: &TestApp, ehr: &Ehr<'_>, path: &str) -> StatusCode {
    let request =
        axum::http::Request::delete(path).header(header::AUTHORIZATION, format!("Bearer {}", ehr.token));
    app.call(request.body(axum::body::Body::empty()).unwrap())
        .await
        .status
}

/// Changes the registration of the demo EHR.
async fn change_registration(
    app: &TestApp,
    change: impl Fn(&mut assent::auth::Client) + Send + Sync + 'static,
) {
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

/// A receiver that answers 503 with a Retry-After of nine seconds once, then 200.
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
