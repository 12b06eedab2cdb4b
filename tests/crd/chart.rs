//! The chart server behind a call: what was not sent is read with the call's token, and a failed read is trouble,
//! never a "no".

use super::messages::{self, HOOK, oxygen_and_mammography, part, said};
use crate::support::{PUBLIC_URL, Reply, TestApp, both};
use assent::app::files;
use assent::config::Config;
use assent::demo::seed::EHR;
use assent::mail::Mailer;
use assent::state::{Published, State};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tower::ServiceExt;

/// Starts a chart server on loopback; `answer` gets `Type/id?query`. Its address.
async fn chart(answer: impl Fn(&str) -> Response + Clone + Send + Sync + 'static) -> String {
    let serve = move |Path(path): Path<String>, uri: Uri, headers: HeaderMap| async move {
        if headers
            .get("authorization")
            .is_none_or(|v| v != "Bearer chart-secret")
        {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        answer(
            &uri.query()
                .map_or_else(|| path.clone(), |q| format!("{path}?{q}")),
        )
    };
    let router = Router::new().route("/fhir/{*path}", get(serve));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the chart server ends with its test")]
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}/fhir")
}

/// A call without prefetch to a house that knows this chart server.
async fn call(app: &TestApp, server: &str, change: impl FnOnce(&mut Value)) -> Reply {
    call_within(app, 400, server, change).await
}

/// The same with the time for reads, in milliseconds, of two seconds in all.
async fn call_within(app: &TestApp, fetch_ms: u64, server: &str, change: impl FnOnce(&mut Value)) -> Reply {
    let hosts = vec![server.to_owned()];
    app.change_client(EHR, |client| client.doc.fhir_hosts = hosts)
        .await;
    let router = under(app, |config| {
        config.limits.fetch_ms = fetch_ms;
        config.limits.hook_ms = 2000;
    });
    let mut call = oxygen_and_mammography();
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
    let response = router
        .oneshot(request.body(Body::from(call.to_string())).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    Reply {
        status: parts.status,
        headers: parts.headers,
        text,
    }
}

/// The same house under other settings.
fn under(app: &TestApp, change: impl FnOnce(&mut Config)) -> Router {
    let held = &app.state;
    let mut config = held.config.clone();
    change(&mut config);
    let published = Published::load(&files(&config.rules).unwrap(), &files(&config.forms).unwrap()).unwrap();
    let mail = Mailer::new(&config.mail, &config.payer, &config.data).unwrap();
    let (clock, store) = (held.clock.clone(), held.store.clone());
    assent::http::router(State::new(
        config,
        clock,
        store,
        held.net.clone(),
        mail,
        published,
    ))
}

fn coverage_by_reference() -> Value {
    json!({ "resourceType": "Coverage", "id": "c1", "status": "active", "subscriberId": "A100200300",
        "payor": [{ "reference": "Organization/payer" }] })
}

fn whole_chart(path: &str) -> Response {
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
    async fn what_was_not_sent_is_read_with_the_calls_token(app: &TestApp) {
        let server = chart(whole_chart).await;
        let answer = call(app, &server, |_| {}).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(part(&said(&answer, "oxygen"), "pa-needed"), ["auth-needed"]);
    }

    async fn a_payer_that_cannot_be_read_is_technical_trouble(app: &TestApp) {
        let server = chart(|path: &str| {
            if path == "Organization/payer" {
                StatusCode::BAD_GATEWAY.into_response()
            } else {
                whole_chart(path)
            }
        })
        .await;
        let answer = call(app, &server, |_| {}).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        for order in ["oxygen", "mammography"] {
            let said = said(&answer, order);
            assert_eq!(part(&said, "covered"), ["indeterminate"]);
            let reasons = part(&said, "reason");
            assert_eq!(
                (reasons.len(), &reasons[0]["coding"][0]["code"]),
                (1, &json!("technical"))
            );
        }
    }

    async fn a_coverage_that_cannot_be_read_is_412_and_one_that_is_not_there_400(app: &TestApp) {
        let down = chart(|path: &str| {
            if path.starts_with("Coverage") {
                StatusCode::FORBIDDEN.into_response()
            } else {
                whole_chart(path)
            }
        })
        .await;
        assert_eq!(call(app, &down, |_| {}).await.status, StatusCode::PRECONDITION_FAILED);
        let empty = chart(|path: &str| {
            let nothing = json!({ "resourceType": "Bundle", "type": "searchset" });
            if path.starts_with("Coverage") {
                axum::Json(nothing).into_response()
            } else {
                whole_chart(path)
            }
        })
        .await;
        assert_eq!(call(app, &empty, |_| {}).await.status, StatusCode::BAD_REQUEST);
    }

    async fn a_number_that_is_ours_stands_even_when_the_patient_cannot_be_read(app: &TestApp) {
        let server = chart(|path: &str| {
            if path == "Patient/p1" {
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            } else {
                whole_chart(path)
            }
        })
        .await;
        let answer = call(app, &server, |_| {}).await;
        assert_eq!(part(&said(&answer, "oxygen"), "pa-needed"), ["auth-needed"]);
    }

    async fn a_patient_that_cannot_be_read_is_no_stranger(app: &TestApp) {
        let server = chart(|path: &str| {
            let mut coverage = coverage_by_reference();
            coverage["subscriberId"] = json!("unknown");
            let bundle = json!({ "resourceType": "Bundle", "entry": [{ "resource": coverage }] });
            match path {
                "Patient/p1" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                path if path.starts_with("Coverage") => axum::Json(bundle).into_response(),
                path => whole_chart(path),
            }
        })
        .await;
        let said = said(&call(app, &server, |_| {}).await, "oxygen");
        assert_eq!(part(&said, "covered"), ["indeterminate"]);
    }

    async fn a_server_that_is_not_the_clients_is_never_asked(app: &TestApp) {
        let server = chart(|_: &str| panic!("the chart server was asked")).await;
        let other = "http://127.0.0.1:9/fhir";
        let answer = call(app, other, |call| call["fhirServer"] = json!(server)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "no coverage is to be had");
        let out_of_scope = call(app, &server, |call| {
            call["fhirAuthorization"]["scope"] = json!("patient/Observation.read")
        });
        assert_eq!(out_of_scope.await.status, StatusCode::BAD_REQUEST);
    }

    async fn a_chart_server_that_never_answers_takes_no_more_than_its_budget(app: &TestApp) {
        let (_silent, server) = silent_chart().await;
        let began = Instant::now();
        let answer = call(app, &server, |call| call["prefetch"]["coverage"] = coverage_of_ours()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(part(&said(&answer, "oxygen"), "pa-needed"), ["auth-needed"]);
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    async fn an_answer_whose_time_ran_out_says_so_and_is_kept(app: &TestApp) {
        let (_silent, server) = silent_chart().await;
        let answer = call_within(app, 1600, &server, |call| {
            call["prefetch"]["coverage"] = coverage_of_ours()
        })
        .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let said = said(&answer, "oxygen");
        assert_eq!(part(&said, "covered"), ["indeterminate"]);
        assert_eq!(part(&said, "reason")[0]["coding"][0]["code"], "technical");
    }

    async fn every_page_of_the_coverages_is_read(app: &TestApp) {
        let server = chart(|path: &str| {
            let page = |entry: Value, next: Option<&str>| {
                let link: Vec<Value> = next.iter().map(|url| json!({ "relation": "next", "url": url })).collect();
                let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "link": link, "entry": entry });
                axum::Json(bundle).into_response()
            };
            match path {
                "Coverage?patient=p1&status=active" => page(json!([]), Some("Coverage?page=2")),
                "Coverage?page=2" => page(json!([{ "resource": coverage_by_reference() }]), None),
                path => whole_chart(path),
            }
        })
        .await;
        let answer = call(app, &server, |_| {}).await;
        assert_eq!(part(&said(&answer, "oxygen"), "pa-needed"), ["auth-needed"]);
    }

    async fn half_of_the_coverages_is_none(app: &TestApp) {
        for next in ["Coverage?page=2", "Coverage?patient=p1&status=active", "https://other.example/fhir/Coverage?page=2"] {
            let server = chart(move |path: &str| {
                if path == "Coverage?page=2" {
                    return StatusCode::NOT_FOUND.into_response();
                }
                if path.starts_with("Coverage") {
                    let link = json!([{ "relation": "next", "url": next }]);
                    let entry = json!([{ "resource": coverage_by_reference() }]);
                    return axum::Json(json!({ "resourceType": "Bundle", "link": link, "entry": entry })).into_response();
                }
                whole_chart(path)
            })
            .await;
            call(app, &server, |_| {}).await.places(412);
        }
    }
}

/// A server that takes connections and says nothing, as long as the first value lives.
async fn silent_chart() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}/fhir", listener.local_addr().unwrap());
    (listener, server)
}

fn coverage_of_ours() -> Value {
    let mut coverage = coverage_by_reference();
    coverage["payor"] = json!([{ "identifier": { "value": "1234567893" } }]);
    coverage
}
