//! The authorization server over HTTP: what a member's app, a partner's system and a stranger get, and for how long.

mod apps;
mod requests;
mod systems;

use crate::support::{Reply, TestApp};
use assent::demo::seed::APP;
use serde_json::Value;

/// What the demo's app is given when it asks for everything.
const ALL: &str =
    "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.rs patient/Coverage.rs offline_access";

/// The member's record, read with an access token.
async fn record(app: &TestApp, tokens: &Value) -> u16 {
    let path = format!("/fhir/pdex/Patient/{}", text(tokens, "patient"));
    app.get(&path, Some(text(tokens, "access_token")))
        .await
        .status
        .as_u16()
}

/// New tokens for a refresh token.
async fn refreshed(app: &TestApp, refresh: &str, more: &[(&str, &str)]) -> Reply {
    let mut fields = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("client_id", APP),
    ];
    fields.extend_from_slice(more);
    app.token_request(&fields).await
}

#[track_caller]
fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_else(|| panic!("{name} in {body}"))
}

/// The error code of a refusal, which is told in OAuth's form and may not be kept.
#[track_caller]
fn refusal(reply: &Reply, status: u16) -> String {
    let body = reply.json(status);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert!(!text(&body, "error_description").is_empty());
    text(&body, "error").to_owned()
}
