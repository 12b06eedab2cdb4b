//! Compressed responses (gzip) for callers whose `Accept-Encoding` asks for it. Pages that hold a secret, such as the
//! CSRF token of a form, are never compressed: their length would let another site guess the secret (BREACH). Responses
//! of the APIs may be, because a browser never adds the caller's token to a request by itself. The stream of server-sent
//! events is not compressed because it would be held back.

use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate, SizeAbove};

/// Bodies below this size are sent as they are.
const MINIMUM_BYTES: u64 = 1024;

/// Decides by the headers of a response.
type ByHeaders = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// The layer that compresses responses.
pub(super) fn layer() -> CompressionLayer<And<SizeAbove, ByHeaders>> {
    let by_headers: ByHeaders = |_, _, headers, _| may_compress(headers);
    CompressionLayer::new()
        .no_br()
        .no_deflate()
        .no_zstd()
        .compress_when(SizeAbove::new(MINIMUM_BYTES).and(by_headers))
}

/// Whether a response with these headers may be compressed: data and files, and pages that anyone may cache.
fn may_compress(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &header::HeaderValue| value.to_str().ok())
            .unwrap_or("")
    };
    let media_type = text(header::CONTENT_TYPE).split(';').next().unwrap_or("").trim();
    match media_type {
        "application/fhir+json"
        | "application/json"
        | "text/css"
        | "text/csv"
        | "text/javascript"
        | "text/plain"
        | "image/svg+xml" => true,
        "text/html" => text(header::CACHE_CONTROL)
            .split(',')
            .any(|part| part.trim() == "public"),
        _ => false,
    }
}
