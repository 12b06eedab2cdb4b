//! Reads from the EHR: resources that were not sent are read with the access token of the call, and a failed read is
//! never treated as "not found".

use super::messages::{self, HOOK, coverage_information, oxygen_and_mammography_call, values};
use crate::support::{PUBLIC_URL, Reply, TestApp, both};
use assent::app::read_folder;
use assent::config::Config;
use assent::demo::seed::EHR;
use assent::mail::Mailer;
use assent::state::{PolicySet, State};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Starts a FHIR server on loopback and returns its base URL. `respond` is called with `Type/id?query`.
pub async fn start_fhir_server(respond: impl Fn(&str) -> Response + Clone + Send + Sync + 'static) -> String {
    let serve = move |Path(path): Path<String>, uri: Uri, headers: HeaderMap| async move {
        if headers
            .get("authorization")
            .is_none_or(|v| v != "Bearer ehr-access-token")
        {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        respond(
            &uri.query()
                .map_or_else(|| path.clone(), |q| format!("{path}?{q}")),
        )
    };
    let router = Router::new().route("/fhir/{*path}", get(serve));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the server ends with its test")]
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}/fhir")
}

/// Makes a call without prefetch for a client that is registered with this FHIR server.
pub async fn call(app: &TestApp, server: &str, change: impl FnOnce(&mut Value)) -> Reply {
    call_within(app, 400, server, change).await
}

/// The same with a time limit for reads, in milliseconds. The call as a whole has two seconds.
pub async fn call_within(
    app: &TestApp,
    fetch_ms: u64,
    server: &str,
    change: impl FnOnce(&mut Value),
) -> Reply {
    let hosts = vec![server.to_owned()];
    app.change_client(EHR, |client| client.doc.fhir_hosts = hosts)
        .await;
    let router = router_with(app, |config| {
        config.limits.fetch_ms = fetch_ms;
        config.limits.hook_ms = 2000;
    });
    let mut call = oxygen_and_mammography_call();
    call["fhirServer"] = json!(server);
    call["prefetch"] = json!({});
    change(&mut call);
    let token = app
        .ehr()
        .await
        .jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{HOOK}"));
    let request = Request::post(HOOK)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    app.call_at(router, request.body(Body::from(call.to_string())).unwrap())
        .await
}

/// The same server with other settings.
pub fn router_with(app: &TestApp, change: impl FnOnce(&mut Config)) -> Router {
    let state = &app.state;
    let mut config = state.config.clone();
    change(&mut config);
    let policy_set = PolicySet::load(
        &read_folder(&config.rules).unwrap(),
        &read_folder(&config.forms).unwrap(),
    )
    .unwrap();
    let mail = Mailer::new(&config.mail, &config.payer, &config.data).unwrap();
    let (clock, store) = (state.clock.clone(), state.store.clone());
    assent::http::router(State::new(
        config,
        clock,
        store,
        state.net.clone(),
        mail,
        policy_set,
    ))
}

fn coverage_by_reference() -> Value {
    json!({ "resourceType": "Coverage", "id": "c1", "status": "active", "subscriberId": "A100200300",
        "beneficiary": { "reference": "Patient/p1" }, "payor": [{ "reference": "Organization/payer" }] })
}

pub fn complete_ehr_data(path: &str) -> Response {
    let found = match path {
        "Patient/p1" => messages::patient(),
        "Coverage?patient=p1&status=active" => {
            json!({ "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": coverage_by_reference() }] })
        }
        "Organization/payer" => {
            json!({ "resourceType": "Organization", "id": "payer", "identifier": [{ "value": "1234567893" }] })
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    axum::Json(found).into_response()
}

both! {
    async fn missing_resources_are_read_with_the_access_token_of_the_call(app: &TestApp) {
        let server = start_fhir_server(complete_ehr_data).await;
        let reply = call(app, &server, |_| {}).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert_eq!(values(&coverage_information(&reply, "oxygen"), "pa-needed"), ["auth-needed"]);
    }

    async fn a_payer_that_cannot_be_read_is_a_technical_problem(app: &TestApp) {
        let server = start_fhir_server(|path: &str| {
            if path == "Organization/payer" {
                StatusCode::BAD_GATEWAY.into_response()
            } else {
                complete_ehr_data(path)
            }
        })
        .await;
        let reply = call(app, &server, |_| {}).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        for order in ["oxygen", "mammography"] {
            let extension = coverage_information(&reply, order);
            assert_eq!(values(&extension, "covered"), ["indeterminate"]);
            let reasons = values(&extension, "reason");
            assert_eq!(
                (reasons.len(), &reasons[0]["coding"][0]["code"]),
                (1, &json!("technical"))
            );
        }
    }

    async fn a_coverage_that_cannot_be_read_or_does_not_exist_is_412(app: &TestApp) {
        let down = start_fhir_server(|path: &str| {
            if path.starts_with("Coverage") {
                StatusCode::FORBIDDEN.into_response()
            } else {
                complete_ehr_data(path)
            }
        })
        .await;
        assert_eq!(call(app, &down, |_| {}).await.places(412), ["prefetch.coverage"]);
        let empty = start_fhir_server(|path: &str| {
            let empty_bundle = json!({ "resourceType": "Bundle", "type": "searchset" });
            if path.starts_with("Coverage") {
                axum::Json(empty_bundle).into_response()
            } else {
                complete_ehr_data(path)
            }
        })
        .await;
        assert_eq!(call(app, &empty, |_| {}).await.places(412), ["prefetch.coverage"]);
    }

    async fn a_known_member_number_is_enough_if_the_patient_cannot_be_read(app: &TestApp) {
        let server = start_fhir_server(|path: &str| {
            if path == "Patient/p1" {
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            } else {
                complete_ehr_data(path)
            }
        })
        .await;
        let reply = call(app, &server, |_| {}).await;
        assert_eq!(values(&coverage_information(&reply, "oxygen"), "pa-needed"), ["auth-needed"]);
    }

    async fn a_patient_that_cannot_be_read_is_not_reported_as_no_member(app: &TestApp) {
        let server = start_fhir_server(|path: &str| {
            let mut coverage = coverage_by_reference();
            coverage["subscriberId"] = json!("unknown");
            let bundle = json!({ "resourceType": "Bundle", "entry": [{ "resource": coverage }] });
            match path {
                "Patient/p1" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                path if path.starts_with("Coverage") => axum::Json(bundle).into_response(),
                path => complete_ehr_data(path),
            }
        })
        .await;
        let extension = coverage_information(&call(app, &server, |_| {}).await, "oxygen");
        assert_eq!(values(&extension, "covered"), ["indeterminate"]);
    }

    async fn a_server_that_is_not_registered_for_the_client_is_never_called(app: &TestApp) {
        let server = start_fhir_server(|_: &str| panic!("the server was called")).await;
        let other = "http://127.0.0.1:9/fhir";
        let reply = call(app, other, |call| call["fhirServer"] = json!(server)).await;
        assert_eq!(reply.status, StatusCode::PRECONDITION_FAILED, "no coverage is available");
        let out_of_scope = call(app, &server, |call| {
            call["fhirAuthorization"]["scope"] = json!("patient/Observation.read")
        });
        assert_eq!(out_of_scope.await.status, StatusCode::PRECONDITION_FAILED);
    }

    async fn a_fhir_server_that_never_responds_uses_only_its_time_limit(app: &TestApp) {
        let (_silent, server) = silent_fhir_server().await;
        let began = Instant::now();
        let reply = call(app, &server, |call| call["prefetch"]["coverage"] = coverage_of_this_plan()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert_eq!(values(&coverage_information(&reply, "oxygen"), "pa-needed"), ["auth-needed"]);
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    async fn a_determination_that_is_out_of_time_is_indeterminate_and_stored(app: &TestApp) {
        let (_silent, server) = silent_fhir_server().await;
        let reply = call_within(app, 1600, &server, |call| {
            call["prefetch"]["coverage"] = coverage_of_this_plan()
        })
        .await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        let extension = coverage_information(&reply, "oxygen");
        assert_eq!(values(&extension, "covered"), ["indeterminate"]);
        assert_eq!(values(&extension, "reason")[0]["coding"][0]["code"], "technical");
    }

    async fn every_page_of_a_coverage_search_is_read(app: &TestApp) {
        let server = start_fhir_server(|path: &str| {
            let page = |entry: Value, next: Option<&str>| {
                let link: Vec<Value> = next.iter().map(|url| json!({ "relation": "next", "url": url })).collect();
                let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "link": link, "entry": entry });
                axum::Json(bundle).into_response()
            };
            match path {
                "Coverage?patient=p1&status=active" => page(json!([]), Some("Coverage?page=2")),
                "Coverage?page=2" => page(json!([{ "resource": coverage_by_reference() }]), None),
                path => complete_ehr_data(path),
            }
        })
        .await;
        let reply = call(app, &server, |_| {}).await;
        assert_eq!(values(&coverage_information(&reply, "oxygen"), "pa-needed"), ["auth-needed"]);
    }

    async fn an_incomplete_coverage_search_is_a_failed_read(app: &TestApp) {
        for next in ["Coverage?page=2", "Coverage?patient=p1&status=active", "https://other.example/fhir/Coverage?page=2"] {
            let server = start_fhir_server(move |path: &str| {
                if path == "Coverage?page=2" {
                    return StatusCode::NOT_FOUND.into_response();
                }
                if path.starts_with("Coverage") {
                    let link = json!([{ "relation": "next", "url": next }]);
                    let entry = json!([{ "resource": coverage_by_reference() }]);
                    return axum::Json(json!({ "resourceType": "Bundle", "link": link, "entry": entry })).into_response();
                }
                complete_ehr_data(path)
            })
            .await;
            call(app, &server, |_| {}).await.places(412);
        }
    }
}

/// A server that accepts connections and never responds, as long as the first value lives.
async fn silent_fhir_server() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}/fhir", listener.local_addr().unwrap());
    (listener, server)
}

pub fn coverage_of_this_plan() -> Value {
    let mut coverage = coverage_by_reference();
    coverage["payor"] = json!([{ "identifier": { "value": "1234567893" } }]);
    coverage
}
