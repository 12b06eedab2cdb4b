//! Cross-origin requests by browser apps (Fetch standard, "CORS protocol"; SMART App Launch 2.2, "Cross-Origin Resource
//! Sharing"). Open reads, such as discovery documents, answer every origin. All other URLs of the APIs answer the
//! origins that the registration of a client names. The headers are on every response, errors included. No response
//! allows cookies: each call carries its own token.

use crate::ig::is_below;
use crate::oauth::discovery::fhir_bases;
use crate::state::State;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,POST,PUT,DELETE");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization,content-type,accept,cache-control,prefer,if-none-match,if-modified-since,pragma,x-request-id",
);
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("www-authenticate,etag,location,last-modified,retry-after,allow,x-request-id");
/// How long a browser may remember the response to a preflight request, in seconds.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// The paths of the APIs that browser apps may call.
const APIS: [&str; 5] = ["/fhir", "/dtr", "/pas", "/cds-services", "/oauth"];
/// A page below one of these paths.
const CONSENT_PAGE: &str = "/oauth/authorize";
/// The public list: pages and a file.
const PUBLIC_LIST: &str = "/prior-authorization-list";

/// Which origins may read the response to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// All of them.
    Open,
    /// Those in the registration of a client.
    Registered,
}

impl Access {
    /// The rule for a method and path. `None` for pages, which belong to this server's own origin.
    fn of(method: &Method, path: &str) -> Option<Self> {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if is_read && is_open(path) {
            return Some(Self::Open);
        }
        (!is_page(path)).then_some(Self::Registered)
    }
}

/// Whether a path is not below an API, so that only people and the operator use it.
pub(super) fn is_page(path: &str) -> bool {
    !APIS.iter().any(|api| is_below(path, api)) || is_below(path, CONSENT_PAGE)
}

fn is_open(path: &str) -> bool {
    let is_description = |base: &str| {
        path.strip_prefix(base)
            .is_some_and(|rest| matches!(rest, "/metadata" | "/.well-known/smart-configuration"))
    };
    matches!(path, "/cds-services" | "/oauth/jwks")
        || path.starts_with(PUBLIC_LIST)
        || fhir_bases().any(is_description)
}

/// Answers preflight requests, and adds the headers to all other responses.
pub(super) async fn answer_origins(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let requested = preflight_method(&request);
    let method = requested.as_ref().unwrap_or(request.method());
    let Some(access) = Access::of(method, request.uri().path()) else {
        return next.run(request).await;
    };
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = match (access, origin) {
        (Access::Open, _) => Some(HeaderValue::from_static("*")),
        (Access::Registered, Some(origin)) if is_registered(&state, &origin).await => Some(origin),
        (Access::Registered, _) => None,
    };
    let mut response = if requested.is_some() {
        preflight_response()
    } else {
        next.run(request).await
    };
    add_headers(response.headers_mut(), access, allowed);
    response
}

/// The method that a preflight request asks about; `None` if the request is not a preflight request.
fn preflight_method(request: &Request) -> Option<Method> {
    if request.method() != Method::OPTIONS || !request.headers().contains_key(header::ORIGIN) {
        return None;
    }
    let method = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(method.as_bytes()).ok()
}

fn preflight_response() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
    ];
    (StatusCode::OK, headers).into_response()
}

fn add_headers(headers: &mut HeaderMap, access: Access, allowed: Option<HeaderValue>) {
    if access == Access::Registered {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
}

/// Whether the registration of an enabled client names the origin. If the store cannot be read, it does not count as
/// registered.
async fn is_registered(state: &State, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let read = state.store.read_one(origin.to_owned(), |tx, origin| {
        Box::pin(async move { tx.is_registered_origin(origin).await })
    });
    read.await.unwrap_or_else(|error| {
        tracing::error!(cause = %error, "the registered origins could not be read");
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_reads_answer_every_origin_and_pages_none() {
        for (method, path, expected) in [
            (Method::GET, "/fhir/pdex/metadata", Some(Access::Open)),
            (
                Method::GET,
                "/dtr/2.2/.well-known/smart-configuration",
                Some(Access::Open),
            ),
            (Method::GET, "/cds-services", Some(Access::Open)),
            (Method::GET, "/prior-authorization-list.csv", Some(Access::Open)),
            (Method::POST, "/fhir/pdex/metadata", Some(Access::Registered)),
            (
                Method::GET,
                "/fhir/pdex/Patient/metadata",
                Some(Access::Registered),
            ),
            (Method::GET, "/fhir/nothing", Some(Access::Registered)),
            (Method::POST, "/oauth/token", Some(Access::Registered)),
            (
                Method::POST,
                "/cds-services/order-sign-crd",
                Some(Access::Registered),
            ),
            (Method::GET, "/oauth/authorize", None),
            (Method::GET, "/staff/cases/1", None),
            (Method::GET, "/fhirs", None),
        ] {
            assert_eq!(Access::of(&method, path), expected, "{method} {path}");
        }
    }
}
