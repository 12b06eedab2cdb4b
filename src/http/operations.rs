//! Endpoints for the operator: liveness, readiness, metrics. They contain no member data.

use super::readiness::{self, LastWrite};
use crate::state::State;
use crate::telemetry;
use axum::Extension;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use std::sync::Arc;

/// `/healthz`, `/readyz`, `/metrics`.
pub fn routes() -> Router<State> {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(Extension(Arc::new(LastWrite::default())))
}

/// 200 when the server can do its work, else 503 with each reason. The body names the current policy set and the one that
/// was refused since it became current.
async fn ready(Shared(state): Shared<State>, Extension(last_write): Extension<Arc<LastWrite>>) -> Response {
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
    let problems = readiness::problems(&state, &last_write).await;
    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "ready": problems.is_empty(),
        "problems": problems,
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
