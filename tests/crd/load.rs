//! Large calls and slow partners: the work of a call is bounded, a large call delays no small one, and what the server
//! learned about a client must still be true when the answers are stored.

use super::ehr_reads::{complete_ehr_data, router_with};
use super::messages::{
    HOOK, call_order_sign, coverage_information, oxygen, oxygen_and_mammography_call, values,
};
use crate::support::{CLIENT_ADDRESS, PUBLIC_URL, TestApp, both};
use assent::auth::JtiReplay;
use assent::demo::seed::EHR;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tower::ServiceExt;

const ISSUER: &str = "https://ehr.demo.example";

/// A call with this many orders for an oxygen concentrator.
fn call_with_orders(count: usize) -> Value {
    let order = |n: usize| {
        let mut order = oxygen();
        order["id"] = json!(format!("oxygen-{n}"));
        json!({ "resource": order })
    };
    let mut call = oxygen_and_mammography_call();
    call["context"]["draftOrders"]["entry"] = (0..count).map(order).collect();
    call
}

/// A searchset with this many results of the patient, each with a value of its own.
fn observations(app: &TestApp, count: usize) -> Value {
    let entry = |n: usize| {
        let mut oximetry = app.messages().oximetry(87);
        oximetry["id"] = json!(format!("spo2-{n}"));
        oximetry["note"] = json!([{ "text": format!("number {n}") }]);
        json!({ "resource": oximetry })
    };
    let entries: Vec<Value> = (0..count).map(entry).collect();
    json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries })
}

fn hook_request(token: &str, call: &Value) -> Request<Body> {
    let peer: SocketAddr = CLIENT_ADDRESS.parse().unwrap();
    let mut request = Request::post(HOOK)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::from(call.to_string()))
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// Serves on loopback and returns the address.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the server ends with its test")]
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

/// Registers the EHR with a key set that arrives after a delay.
async fn slow_keys(app: &TestApp, delay: Duration) {
    let keys = app.ehr().await.key.jwks();
    let respond = move || {
        let keys = keys.clone();
        async move {
            tokio::time::sleep(delay).await;
            axum::Json(keys)
        }
    };
    let url = serve(Router::new().route("/jwks", get(respond))).await;
    app.change_client(EHR, |client| {
        client.doc.jwks = None;
        client.doc.jwks_uri = Some(format!("{url}/jwks"));
    })
    .await;
}

both! {
    async fn a_call_may_have_as_many_orders_as_the_limit_says(app: &TestApp) {
        let ehr = app.ehr().await;
        let most = app.state.config.limits.orders;
        let reply = call_order_sign(&ehr, &call_with_orders(most)).await;
        assert_eq!(reply.json(200)["systemActions"].as_array().unwrap().len(), most);
        assert_eq!(values(&coverage_information(&reply, "oxygen-7"), "pa-needed"), ["auth-needed"]);
        assert_eq!(app.number("SELECT COUNT(*) FROM hook_call").await, 1);
        assert_eq!(app.number("SELECT COUNT(*) FROM assertion").await, i64::try_from(most).unwrap());
        let reply = call_order_sign(&ehr, &call_with_orders(most + 1)).await;
        assert_eq!(reply.places(400), ["context.draftOrders.entry"]);
        assert!(reply.text.contains(&format!("at most {most}")), "{}", reply.text);
    }

    async fn a_call_with_too_many_resources_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography_call();
        call["prefetch"]["observations"] = observations(app, app.state.config.limits.entries);
        assert_eq!(call_order_sign(&ehr, &call).await.places(400), ["prefetch"]);
        let contained: Vec<Value> = (0..app.state.config.limits.entries)
            .map(|n| json!({ "resourceType": "Observation", "id": n.to_string() }))
            .collect();
        call["prefetch"]["observations"] = json!({ "resourceType": "Device", "id": "d", "contained": contained });
        assert_eq!(call_order_sign(&ehr, &call).await.places(400), ["prefetch"]);
        let mut coverage = call["prefetch"]["coverage"]["entry"][0]["resource"].clone();
        let coverages: Vec<Value> = (0..65)
            .map(|n| {
                coverage["id"] = json!(format!("c{n}"));
                json!({ "resource": coverage })
            })
            .collect();
        call["prefetch"] = json!({ "coverage": { "resourceType": "Bundle", "entry": coverages } });
        assert_eq!(call_order_sign(&ehr, &call).await.places(400), ["prefetch.coverage"]);
    }

    async fn the_time_for_checking_the_token_counts_into_the_time_of_the_call(app: &TestApp) {
        slow_keys(app, Duration::from_millis(1300)).await;
        let router = router_with(app, |config| config.limits.hook_ms = 1600);
        let ehr = app.ehr().await;
        let token = ehr.jwt(ISSUER, &format!("{PUBLIC_URL}{HOOK}"));
        let reply = app.call_at(router, hook_request(&token, &oxygen_and_mammography_call())).await;
        // On a busy machine the time to store the answers may be over as well.
        if reply.status != StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(values(&coverage_information(&reply, "oxygen"), "covered"), ["indeterminate"]);
        }
        let router = router_with(app, |config| {
            config.limits.hook_ms = 400;
            config.limits.fetch_ms = 100;
        });
        let token = ehr.jwt(ISSUER, &format!("{PUBLIC_URL}{HOOK}"));
        let reply = app.call_at(router, hook_request(&token, &oxygen_and_mammography_call())).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.text);
    }

    async fn a_client_that_is_disabled_while_the_ehr_is_read_gets_no_answer(app: &TestApp) {
        let ehr = app.ehr().await;
        let state = app.state.clone();
        let respond = move |Path(path): Path<String>| {
            let state = state.clone();
            async move {
                let disable = state.store.write(state.now(), |tx, now| {
                    Box::pin(async move { tx.disable_client(EHR, *now).await })
                });
                disable.await.unwrap();
                complete_ehr_data(&path)
            }
        };
        let server = serve(Router::new().route("/fhir/{*path}", get(respond))).await;
        for replay in [JtiReplay::Strict, JtiReplay::SameEndpoint60s, JtiReplay::Off] {
            app.change_client(EHR, |client| {
                client.disabled = false;
                client.doc.jti_replay = replay;
                client.doc.fhir_hosts = vec![format!("{server}/fhir")];
            })
            .await;
            let before = app.row_counts().await;
            let mut call = oxygen_and_mammography_call();
            call["fhirServer"] = json!(format!("{server}/fhir"));
            call["prefetch"].as_object_mut().unwrap().remove("patient");
            let reply = call_order_sign(&ehr, &call).await;
            assert_eq!(reply.json(401)["resourceType"], "OperationOutcome");
            assert_eq!(app.row_counts().await, before, "something was stored");
            assert_eq!(app.number("SELECT COUNT(*) FROM hook_call").await, 0);
        }
    }
}

/// A large call is answered, and small requests are answered meanwhile.
async fn a_large_call_delays_no_small_request(app: &TestApp) {
    let ehr = app.ehr().await;
    let mut call = call_with_orders(app.state.config.limits.orders);
    call["prefetch"]["observations"] = observations(app, 1000);
    let token = ehr.jwt(ISSUER, &format!("{PUBLIC_URL}{HOOK}"));
    let large = assent::http::router(app.state.clone()).oneshot(hook_request(&token, &call));
    let began = Instant::now();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    let large = tokio::spawn(large);
    let mut answered_meanwhile = 0;
    while !large.is_finished() && began.elapsed() < Duration::from_secs(60) {
        let small = tokio::time::timeout(Duration::from_secs(10), app.get("/cds-services", None));
        small
            .await
            .expect("a small request waits for a large one")
            .json(200);
        answered_meanwhile += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(large.await.unwrap().unwrap().status(), StatusCode::OK);
    assert!(answered_meanwhile > 1, "{answered_meanwhile}");
}

mod a_large_call_delays_no_small_request {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        let app = TestApp::sqlite().await;
        super::a_large_call_delays_no_small_request(&app).await;
        app.finish().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        if let Some(app) = TestApp::postgres().await {
            super::a_large_call_delays_no_small_request(&app).await;
            app.finish().await;
        }
    }
}
