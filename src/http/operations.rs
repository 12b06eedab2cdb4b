//! For the operator: alive, ready, metrics. Nothing here holds data of a member.

use crate::state::State;
use crate::telemetry;
use axum::extract::State as Held;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

/// `/healthz`, `/readyz`, `/metrics`.
pub fn routes() -> Router<State> {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready when the database answers; names the policy set in force, and the one that was refused since.
async fn ready(Held(state): Held<State>) -> Response {
    let published = state.published();
    let mut told = json!({ "ready": true, "policies": published.hash, "publication": published.number() });
    if let Some(refused) = state.refused() {
        told["refused"] = json!({
            "policies": refused.hash,
            "publication": refused.number,
            "at": refused.at,
            "how": refused.how,
            "findings": refused.findings.len(),
            "first": refused.findings.first().map(ToString::to_string),
        });
    }
    if let Err(error) = state.store.ping().await {
        tracing::error!(cause = %error, "not ready");
        told["ready"] = json!(false);
        return (StatusCode::SERVICE_UNAVAILABLE, Json(told)).into_response();
    }
    Json(told).into_response()
}

async fn metrics() -> Response {
    let text = telemetry::start_metrics().render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
