//! Logs, metrics and request ids. Log entries are JSON objects, one in each line. Their fields are ids, counts and
//! times; they never contain a body, a query or a name.

mod log_writer;

pub use log_writer::LogFlush;

use crate::error::{Error, Result};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use log_writer::LogWriter;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Instant;
use tracing::Instrument;
use tracing_subscriber::EnvFilter;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// The header with the id of a request, in the response and in the log.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The upper bounds of the buckets of all histograms of times, in seconds.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The upper bounds of the buckets of histograms of counts.
const COUNTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Starts logging to standard error as JSON. `filter` is an `EnvFilter` expression. Keep the returned value until the
/// process ends: it waits for the last lines.
pub fn start_logging(filter: &str) -> Result<LogFlush> {
    let filter = EnvFilter::try_new(filter).map_err(|e| {
        Error::malformed(format!(
            "--log is not valid: {e}. Use a level such as info, or levels by module: assent=debug,sqlx=warn"
        ))
    })?;
    let (writer, flush) = LogWriter::start(std::io::stderr()).map_err(Error::internal)?;
    let started = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(writer)
        .log_internal_errors(false)
        .try_init();
    drop(started);
    std::panic::set_hook(Box::new(log_panic));
    Ok(flush)
}

/// Logs where a panic happened. Its message may contain content of a request and is left out.
fn log_panic(panic: &PanicHookInfo<'_>) {
    metrics::counter!("assent_panics_total").increment(1);
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panic");
}

/// Starts the metrics recorder once per process. The handle renders the text of `/metrics`.
pub fn start_metrics() -> PrometheusHandle {
    METRICS
        .get_or_init(|| {
            let recorder = with_fixed_buckets()
                .unwrap_or_else(|_| PrometheusBuilder::new())
                .build_recorder();
            let handle = recorder.handle();
            // In tests another recorder may already be installed. `/metrics` then shows no values.
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
}

/// Every histogram has buckets, so that its size does not depend on how many values it has seen.
fn with_fixed_buckets() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Full("assent_store_batch".to_owned()), &COUNTS)
}

/// Moves recorded values into the buckets of the histograms. Called regularly; otherwise the values wait in memory until
/// somebody reads `/metrics`.
pub fn run_upkeep() {
    start_metrics().run_upkeep();
}

/// The label of a method. Callers can invent methods; all that HTTP does not define share one label.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Gives each request an id, logs its completion, and counts and times it by route.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let id = format!("{:016x}", u64::from_le_bytes(crate::clock::random_bytes::<8>()));
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let method = method_label(request.method());
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
        ("method", method.to_owned()),
        ("status", status.to_string()),
    ];
    metrics::counter!("assent_http_requests_total", &labels).increment(1);
    metrics::histogram!("assent_http_seconds", &labels).record(seconds);
    span.in_scope(|| tracing::info!(status, ms = seconds * 1000.0, "request completed"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_share_one_label() {
        let label = |name: &str| method_label(&Method::from_bytes(name.as_bytes()).unwrap());
        assert_eq!((label("GET"), label("PATCH")), ("GET", "PATCH"));
        for invented in ["get", "BREW", "PROPFIND", "X1", "TRACE"] {
            assert_eq!(label(invented), "other");
        }
    }

    #[test]
    fn every_histogram_has_fixed_buckets_and_upkeep_empties_what_waits() {
        let recorder = with_fixed_buckets().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            for n in 0..10_000 {
                metrics::histogram!("any_seconds").record(f64::from(n) / 1000.0);
                metrics::histogram!("assent_store_batch").record(f64::from(n % 128));
            }
        });
        handle.run_upkeep();
        let text = handle.render();
        assert!(text.contains("# TYPE any_seconds histogram"), "{text}");
        assert!(text.contains("any_seconds_bucket{le=\"0.05\"} 51"), "{text}");
        assert!(
            text.contains("assent_store_batch_bucket{le=\"128\"} 10000"),
            "{text}"
        );
        assert!(!text.contains("quantile"), "a summary has no fixed size: {text}");
    }
}
