//! The authorization server: SMART App Launch 2.2 for members' apps, SMART Backend Services for partners' systems,
//! RFC 6749, 7009, 7636 and 7662. Tokens are opaque and random; the store holds their fingerprints alone.
//!
//! The two pages of a launch (sign-in, consent) are in `web`, which asks `authorize` and tells it the member's
//! answer. Without `openid` in this release: no `id_token` is given out.

pub mod authorize;
mod client_login;
pub mod discovery;
mod exchange;
mod introspect;
mod jwks;
pub mod members;
mod parameters;
mod pkce;
mod revoke;
mod token;

pub use parameters::Parameters;

use crate::error::Error;
use crate::state::State;
use crate::wire::not_allowed;
use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tower_http::cors::{Any, CorsLayer};

/// The address of the token endpoint, which is also the audience of a client's assertion.
pub const TOKEN: &str = "/oauth/token";
/// The FHIR base that members' apps ask for.
pub const MEMBER_API: &str = "/fhir/pdex";

/// Every route of this door but the pages of `/oauth/authorize`. Any origin may call: nothing here rests on a
/// cookie, a browser's app brings its own proof.
pub fn routes() -> Router<State> {
    let mut routes = Router::new()
        .route(TOKEN, post(token::post))
        .route("/oauth/introspect", post(introspect::post))
        .route("/oauth/revoke", post(revoke::post))
        .route("/oauth/jwks", get(jwks::get));
    for base in discovery::BASES {
        routes = routes.route(
            &format!("{base}/.well-known/smart-configuration"),
            get(discovery::get),
        );
    }
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE]);
    routes.method_not_allowed_fallback(not_allowed).layer(cors)
}

/// A JSON answer that nobody may keep (RFC 6749, section 5.1).
fn no_store(body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ];
    (StatusCode::OK, headers, body.to_string()).into_response()
}

/// `invalid_request` (RFC 6749, section 5.2).
fn invalid_request(message: impl Into<String>) -> Error {
    Error::oauth("invalid_request", message)
}

/// `invalid_grant` (RFC 6749, section 5.2).
fn invalid_grant(message: impl Into<String>) -> Error {
    Error::oauth("invalid_grant", message)
}

/// `invalid_client` (RFC 6749, section 5.2).
fn invalid_client(message: impl Into<String>) -> Error {
    Error::oauth("invalid_client", message)
}
