//! Large requests, and what a request costs: limits with a place, time and bytes that grow with the size only, one commit.

use super::{FORM, case, case_id, events, reference_number, review_actions, row_count};
use crate::support::{CLIENT_ADDRESS, TestApp, both};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// A request with this many items, each like the first one.
fn with_items(mut request: Value, count: usize) -> Value {
    let claim = &mut request["entry"][0]["resource"];
    let item = claim["item"][0].clone();
    let items = (1..=count).map(|sequence| {
        let mut item = item.clone();
        item["sequence"] = json!(sequence);
        item
    });
    claim["item"] = items.collect();
    request
}

/// A request with this many more observations, each referenced by its relative reference.
fn with_observations(mut request: Value, count: usize) -> Value {
    let entries = request["entry"].as_array_mut().unwrap();
    let observation = entries
        .iter()
        .find(|entry| entry["resource"]["resourceType"] == "Observation");
    let observation = observation.unwrap()["resource"].clone();
    for n in 0..count {
        let mut copy = observation.clone();
        copy["id"] = json!(format!("more-{n}"));
        let url = format!("https://ehr.demo.example/fhir/Observation/more-{n}");
        entries.push(json!({ "fullUrl": url, "resource": copy }));
    }
    let information = request["entry"][0]["resource"]["supportingInfo"]
        .as_array_mut()
        .unwrap();
    let first = information[0].clone();
    for n in 0..count {
        let mut more = first.clone();
        more["sequence"] = json!(1000 + n);
        more["valueReference"] = json!({ "reference": format!("Observation/more-{n}") });
        information.push(more);
    }
    request
}

both! {
    async fn a_request_with_a_thousand_items_is_answered(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = with_items(app.messages().oxygen_request(FORM, None, 87, "normal"), 1000);
        let began = Instant::now();
        let claim_response = ehr.submitted(&request).await;
        assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
        assert_eq!(review_actions(&claim_response), vec!["A1"; 1000]);
        let id = case_id(&claim_response);
        assert_eq!(row_count(app, "item").await, 1000);
        assert_eq!(events(app, id).await.len(), 2001);
        // Every item has its verdict, although equal ones are stored once.
        let case = case(app, id).await;
        assert!(case.items.iter().all(|item| item.verdict == case.items[0].verdict && item.meets_policy()));
        let stored = app.number("SELECT SUM(LENGTH(body)) FROM event").await;
        assert!(stored < 1_500_000, "{stored}");
        assert_eq!(ehr.submitted(&request).await, claim_response);
        app.run_jobs().await;
    }

    async fn a_request_with_two_thousand_referenced_entries_is_answered(app: &TestApp) {
        let ehr = app.ehr().await;
        let request = with_observations(app.messages().oxygen_request(FORM, None, 91, "normal"), 2000);
        let began = Instant::now();
        assert_eq!(review_actions(&ehr.submitted(&request).await), ["A4"]);
        assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
        app.run_jobs().await;
    }

    async fn more_items_or_entries_than_the_limit_are_refused_with_the_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let request = with_items(app.messages().oxygen_request(FORM, None, 87, "normal"), 1001);
        let outcome = ehr.submit(&request).await;
        assert_eq!(outcome.places(422), ["Bundle.entry[0].resource.item"]);
        let issue = &outcome.json(422)["issue"][0];
        assert_eq!(issue["code"], "too-costly");
        assert!(issue["details"]["text"].as_str().unwrap().contains("at most 1000 items"));
        let request = with_observations(app.messages().oxygen_request(FORM, None, 87, "normal"), 5000);
        assert_eq!(ehr.submit(&request).await.places(422), ["Bundle.entry"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_approved_request_is_one_commit_and_few_statements(app: &TestApp) {
        let ehr = app.ehr().await;
        // The first one prepares the statements.
        ehr.submitted(&app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        for items in [1, 20] {
            let request = with_items(app.messages().oxygen_request(FORM, None, 87, "normal"), items);
            let before = app.state.store.usage();
            ehr.submitted(&request).await;
            let after = app.state.store.usage();
            assert_eq!(after.commits - before.commits, 1, "{items} items");
            // Token and client; replay key, member, coverages, sign-ins and gold cards; the batch.
            assert!(after.statements - before.statements <= 8, "{items} items: {before:?} {after:?}");
        }
        app.run_jobs().await;
    }

    async fn a_request_is_stored_once(app: &TestApp) {
        let ehr = app.ehr().await;
        let bytes = "SELECT (SELECT SUM(LENGTH(body)) FROM blob) + (SELECT SUM(LENGTH(body)) FROM event)";
        let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
        let note = "x".repeat(20_000 - request.to_string().len());
        request["entry"][0]["resource"]["text"] = json!({ "status": "additional", "div": format!("<div>{note}</div>") });
        let mut before = 0;
        for items in [1, 20] {
            let request = with_items(request.clone(), items);
            ehr.submitted(&request).await;
            let after = app.number(bytes).await;
            let sent = i64::try_from(request.to_string().len()).unwrap();
            assert!(2 * (after - before) < 5 * sent, "{items} items: {} of {sent}", after - before);
            before = after;
        }
        app.run_jobs().await;
    }
}

/// Four large requests are answered, and inquiries, which read the database too, are answered meanwhile.
async fn large_requests_delay_no_small_ones(app: &TestApp) {
    let ehr = app.ehr().await;
    let request = app.messages().oxygen_request(FORM, None, 91, "normal");
    let inquiry = app
        .messages()
        .inquiry(&reference_number(&ehr.submitted(&request).await));
    let router = assent::http::router(app.state.clone());
    let large: Vec<_> = (0..4)
        .map(|_| {
            let body = with_items(app.messages().oxygen_request(FORM, None, 87, "normal"), 1000);
            let request = Request::post("/pas/2.2/Claim/$submit")
                .header("content-type", "application/fhir+json")
                .header("authorization", format!("Bearer {}", ehr.token))
                .extension(ConnectInfo::<SocketAddr>(CLIENT_ADDRESS.parse().unwrap()))
                .body(Body::from(body.to_string()));
            let answer = router.clone().oneshot(request.unwrap());
            #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
            tokio::spawn(answer)
        })
        .collect();
    let (began, mut answered_meanwhile) = (Instant::now(), 0);
    while !large.iter().all(JoinHandle::is_finished) && began.elapsed() < Duration::from_mins(2) {
        let small = tokio::time::timeout(Duration::from_secs(20), ehr.inquire(&inquiry));
        let small = small.await.expect("a small request waits for the large ones");
        assert_eq!(small.status, 200);
        answered_meanwhile += 1;
    }
    for answer in large {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
    assert!(answered_meanwhile > 3, "{answered_meanwhile}");
    app.run_jobs().await;
}

mod large_requests_delay_no_small_ones {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        let app = TestApp::sqlite().await;
        super::large_requests_delay_no_small_ones(&app).await;
        app.finish().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        if let Some(app) = TestApp::postgres().await {
            super::large_requests_delay_no_small_ones(&app).await;
            app.finish().await;
        }
    }
}
