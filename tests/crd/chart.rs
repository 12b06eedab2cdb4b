//! The chart server behind a call: what was not sent is read with the call's token, and a failed read is trouble,
//! never a "no".

use super::caller::{Answered, Caller, part};
use super::messages::{self, oxygen_and_mammography};
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

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
async fn call(server: &str, change: impl FnOnce(&mut Value)) -> Answered {
    call_within(400, server, change).await
}

/// The same with the time for reads, in milliseconds, of two seconds in all.
async fn call_within(fetch_ms: u64, server: &str, change: impl FnOnce(&mut Value)) -> Answered {
    let hosts = vec![server.to_owned()];
    let ehr = Caller::new(
        move |doc| {
            doc.fhir_hosts = hosts;
            doc.loopback_http = true;
        },
        |config| {
            config.limits.fetch_ms = fetch_ms;
            config.limits.hook_ms = 2000;
        },
    )
    .await;
    let mut call = oxygen_and_mammography();
    call["fhirServer"] = json!(server);
    call["prefetch"] = json!({});
    change(&mut call);
    ehr.sign(&call).await
}

fn coverage_by_reference() -> Value {
    json!({ "resourceType": "Coverage", "id": "c1", "status": "active", "subscriberId": "MA-0001",
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

#[tokio::test]
async fn what_was_not_sent_is_read_with_the_calls_token() {
    let server = chart(whole_chart).await;
    let answer = call(&server, |_| {}).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(part(&answer.said("oxygen"), "pa-needed"), ["auth-needed"]);
}

#[tokio::test]
async fn a_payer_that_cannot_be_read_is_technical_trouble() {
    let server = chart(|path: &str| {
        if path == "Organization/payer" {
            StatusCode::BAD_GATEWAY.into_response()
        } else {
            whole_chart(path)
        }
    })
    .await;
    let answer = call(&server, |_| {}).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    for order in ["oxygen", "mammography"] {
        let said = answer.said(order);
        assert_eq!(part(&said, "covered"), ["indeterminate"]);
        let reasons = part(&said, "reason");
        assert_eq!(
            (reasons.len(), &reasons[0]["coding"][0]["code"]),
            (1, &json!("technical"))
        );
    }
}

#[tokio::test]
async fn a_coverage_that_cannot_be_read_is_412_and_one_that_is_not_there_400() {
    let down = chart(|path: &str| {
        if path.starts_with("Coverage") {
            StatusCode::FORBIDDEN.into_response()
        } else {
            whole_chart(path)
        }
    })
    .await;
    assert_eq!(call(&down, |_| {}).await.status, StatusCode::PRECONDITION_FAILED);
    let empty = chart(|path: &str| {
        let nothing = json!({ "resourceType": "Bundle", "type": "searchset" });
        if path.starts_with("Coverage") {
            axum::Json(nothing).into_response()
        } else {
            whole_chart(path)
        }
    })
    .await;
    assert_eq!(call(&empty, |_| {}).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_number_that_is_ours_stands_even_when_the_patient_cannot_be_read() {
    let server = chart(|path: &str| {
        if path == "Patient/p1" {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        } else {
            whole_chart(path)
        }
    })
    .await;
    let answer = call(&server, |_| {}).await;
    assert_eq!(part(&answer.said("oxygen"), "pa-needed"), ["auth-needed"]);
}

#[tokio::test]
async fn a_patient_that_cannot_be_read_is_no_stranger() {
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
    let said = call(&server, |_| {}).await.said("oxygen");
    assert_eq!(part(&said, "covered"), ["indeterminate"]);
}

#[tokio::test]
async fn a_server_that_is_not_the_clients_is_never_asked() {
    let server = chart(|_: &str| panic!("the chart server was asked")).await;
    let other = "http://127.0.0.1:9/fhir";
    let answer = call(other, |call| call["fhirServer"] = json!(server)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "no coverage is to be had");
    let out_of_scope = call(&server, |call| {
        call["fhirAuthorization"]["scope"] = json!("patient/Observation.read")
    });
    assert_eq!(out_of_scope.await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_chart_server_that_never_answers_takes_no_more_than_its_budget() {
    let (_silent, server) = silent_chart().await;
    let began = Instant::now();
    let answer = call(&server, |call| call["prefetch"]["coverage"] = coverage_of_ours()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(part(&answer.said("oxygen"), "pa-needed"), ["auth-needed"]);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_answer_whose_time_ran_out_says_so_and_is_kept() {
    let (_silent, server) = silent_chart().await;
    let answer = call_within(1600, &server, |call| {
        call["prefetch"]["coverage"] = coverage_of_ours()
    })
    .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let said = answer.said("oxygen");
    assert_eq!(part(&said, "covered"), ["indeterminate"]);
    assert_eq!(part(&said, "reason")[0]["coding"][0]["code"], "technical");
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
