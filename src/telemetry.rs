//! Logs, metrics and request ids. Log entries are JSON objects, one in each line. Their fields are ids, counts and
//! times; they never contain a body, a query or a name.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Instant;
use tracing::Instrument;
use tracing_subscriber::EnvFilter;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// The header with the id of a request, in the response and in the log.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Starts logging to standard error as JSON. `level` is an `EnvFilter` expression.
pub fn start_logging(level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    drop(started);
}

/// Starts the metrics recorder once per process. The handle renders the text of `/metrics`.
pub fn start_metrics() -> PrometheusHandle {
    METRICS
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            // In tests another recorder may already be installed. `/metrics` then shows no values.
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
}

/// Gives each request an id, logs its completion, and counts and times it by route.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let id = format!("{:016x}", u64::from_le_bytes(crate::clock::random_bytes::<8>()));
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let method = request.method().to_string();
    let span = tracing::info_span!("request", id = %id, route = %route, method = %method);
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    let seconds = started.elapsed().as_secs_f64();
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    let labels = [
        ("route", route),
        ("method", method),
        ("status", status.to_string()),
    ];
    metrics::counter!("assent_http_requests_total", &labels).increment(1);
    metrics::histogram!("assent_http_seconds", &labels).record(seconds);
    span.in_scope(|| tracing::info!(status, ms = seconds * 1000.0, "request completed"));
    response
}
