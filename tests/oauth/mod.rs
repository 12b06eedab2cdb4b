//! The authorization server over HTTP: members' apps, backend services, authorization requests and discovery.

mod apps;
mod requests;
mod systems;

use crate::support::{Reply, TestApp};
use assent::demo::seed::APP;
use serde_json::Value;

/// All scopes that the demo app can get.
const ALL_SCOPES: &str =
    "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.rs patient/Coverage.rs offline_access";

/// Reads the member's Patient with an access token and returns the status.
async fn read_patient(app: &TestApp, tokens: &Value) -> u16 {
    let path = format!("/fhir/pdex/Patient/{}", text(tokens, "patient"));
    app.get(&path, Some(text(tokens, "access_token")))
        .await
        .status
        .as_u16()
}

/// Redeems a refresh token.
async fn refresh(app: &TestApp, refresh_token: &str, more: &[(&str, &str)]) -> Reply {
    let mut fields = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
        ("client_id", APP),
    ];
    fields.extend_from_slice(more);
    app.token_request(&fields).await
}

#[track_caller]
fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_else(|| panic!("{name} in {body}"))
}

/// Checks an OAuth error response and returns its error code.
#[track_caller]
fn oauth_error(reply: &Reply, status: u16) -> String {
    let body = reply.json(status);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert!(!text(&body, "error_description").is_empty());
    text(&body, "error").to_owned()
}
