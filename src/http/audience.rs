//! Errors that no handler answers, in the form that the caller can read: a page for a person, an `OperationOutcome` below a
//! FHIR base or a hook and for whoever accepts FHIR JSON, the JSON of RFC 6749 below `/oauth`, and otherwise a line of text.

use super::cors;
use crate::error::Error;
use crate::web;
use crate::wire::{self, FhirFailure, HookFailure, OAuthFailure};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

/// The paths below which errors are an `OperationOutcome`.
const FHIR_BASES: [&str; 3] = ["/fhir", "/dtr", "/pas"];
/// The path below which hooks are called.
const HOOKS: &str = "/cds-services";
/// The path of the authorization server.
const OAUTH: &str = "/oauth";

/// The response to a request for `path` with these headers that fails with `error`.
pub(super) fn respond(error: Error, path: &str, headers: &HeaderMap) -> Response {
    let is_below = |base: &str| crate::ig::is_below(path, base);
    if prefers_page(headers) {
        web::error_page_for(&error, headers)
    } else if FHIR_BASES.into_iter().any(is_below) || accepts_fhir(headers) {
        FhirFailure::from(error).into_response()
    } else if is_below(HOOKS) {
        HookFailure::from(error).into_response()
    } else if is_below(OAUTH) && !cors::is_page(path) {
        OAuthFailure::from(error).into_response()
    } else {
        let status = wire::status(error.kind());
        tracing::info!(
            status = status.as_u16(),
            cause = error.log_detail().unwrap_or("-"),
            "request rejected"
        );
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (status, headers, format!("{}\n", error.message())).into_response()
    }
}

/// Whether the caller asks for FHIR JSON.
fn accepts_fhir(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/fhir+json"))
}

/// Whether the caller asks for HTML at least as much as for JSON, as browsers do. A wildcard does not count: programs send
/// it too.
pub(super) fn prefers_page(headers: &HeaderMap) -> bool {
    let (mut page, mut data) = (0.0_f32, 0.0_f32);
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or("").to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok());
        let weight = weight.unwrap_or(1.0);
        match media_type.as_str() {
            "text/html" | "application/xhtml+xml" => page = page.max(weight),
            other if other.ends_with("json") => data = data.max(weight),
            _ => {}
        }
    }
    page > 0.0 && page >= data
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_browser_gets_a_page_and_a_program_does_not() {
        for (accept, expected) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("application/fhir+json", false),
            ("application/json, text/html;q=0.5", false),
            ("*/*", false),
            ("text/html;q=0", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(prefers_page(&headers), expected, "{accept}");
        }
        assert!(!prefers_page(&HeaderMap::new()));
    }
}
