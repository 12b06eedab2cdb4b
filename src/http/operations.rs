//! Endpoints for the operator: liveness, readiness, metrics. They contain no member data.

use crate::state::State;
use crate::telemetry;
use axum::extract::State as Shared;
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

/// 200 when the database responds, else 503. The body names the current policy set and the one that was refused since
/// it became current.
async fn ready(Shared(state): Shared<State>) -> Response {
    let policy_set = state.policy_set();
    let refused = state.refused_policy_set().map(|refused| {
        json!({
            "policy_set": refused.hash,
            "publication": refused.publication,
            "at": refused.at,
            "method": refused.method,
            "findings": refused.findings.len(),
            "first_finding": refused.findings.first().map(ToString::to_string),
        })
    });
    let status = match state.store.ping().await {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            tracing::error!(cause = %error, "not ready: the database does not respond");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let body = json!({
        "ready": status == StatusCode::OK,
        "policy_set": policy_set.hash,
        "publication": policy_set.publication_number(),
        "refused": refused,
    });
    (status, Json(body)).into_response()
}

async fn metrics() -> Response {
    let text = telemetry::start_metrics().render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
