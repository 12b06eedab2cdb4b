//! Conditional reads: a GET whose `If-None-Match` or `If-Modified-Since` says that the caller's copy is current gets
//! 304 without a body (RFC 9110, section 13; FHIR R4, "Conditional read"). A handler that sets `ETag` or
//! `Last-Modified` takes part.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use chrono::DateTime;

/// Replaces a successful response by 304 when the caller's copy is current.
pub(super) async fn answer_not_modified(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let condition = request.headers().clone();
    let response = next.run(request).await;
    if is_read && response.status() == StatusCode::OK && is_current(&condition, response.headers()) {
        not_modified(response)
    } else {
        response
    }
}

/// Whether the request's condition says that the caller has this response already. `If-Modified-Since` counts only
/// without `If-None-Match` (RFC 9110, section 13.1.3).
fn is_current(request: &HeaderMap, response: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        let Some(tag) = text(response, &header::ETAG) else {
            return false;
        };
        let sent = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok());
        return sent
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|sent| sent == "*" || opaque(sent) == opaque(tag));
    }
    let time = |headers, name| DateTime::parse_from_rfc2822(text(headers, name)?).ok();
    let since = time(request, &header::IF_MODIFIED_SINCE);
    let changed = time(response, &header::LAST_MODIFIED);
    since
        .zip(changed)
        .is_some_and(|(since, changed)| changed <= since)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// An entity tag without the mark of a weak one: reads are compared weakly (RFC 9110, section 13.1.2).
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn not_modified(response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    Response::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_matching_tag_or_a_later_time_means_that_the_copy_is_current() {
        let response = headers(&[
            (header::ETAG, "W/\"a\""),
            (header::LAST_MODIFIED, "Fri, 20 Nov 2026 15:04:05 GMT"),
        ]);
        let earlier = "Fri, 20 Nov 2026 15:04:04 GMT";
        let same = "Fri, 20 Nov 2026 15:04:05 GMT";
        for (pairs, expected) in [
            (vec![(header::IF_NONE_MATCH, "\"b\", W/\"a\"")], true),
            (vec![(header::IF_NONE_MATCH, "\"a\"")], true),
            (vec![(header::IF_NONE_MATCH, "*")], true),
            (vec![(header::IF_NONE_MATCH, "\"b\"")], false),
            (vec![(header::IF_MODIFIED_SINCE, same)], true),
            (vec![(header::IF_MODIFIED_SINCE, earlier)], false),
            (vec![(header::IF_MODIFIED_SINCE, "soon")], false),
            (
                vec![
                    (header::IF_NONE_MATCH, "\"b\""),
                    (header::IF_MODIFIED_SINCE, same),
                ],
                false,
            ),
            (vec![], false),
        ] {
            assert_eq!(is_current(&headers(&pairs), &response), expected, "{pairs:?}");
        }
        assert!(!is_current(
            &headers(&[(header::IF_NONE_MATCH, "*")]),
            &HeaderMap::new()
        ));
    }
}
