//! The authorization server: SMART App Launch 2.2 for members' apps and SMART Backend Services for partners' systems
//! (RFC 6749, 7009, 7636 and 7662). Tokens are opaque random values; the store holds only their fingerprints.
//!
//! The pages of a launch (sign-in and consent) are in `web`; they call `authorize`. This release does not support
//! `openid` and issues no `id_token`.

pub mod authorize;
mod client_authentication;
pub mod discovery;
mod introspect;
mod jwks;
pub mod members;
mod parameters;
mod pkce;
mod revoke;
mod token;
mod token_issuance;

pub use parameters::Parameters;

use crate::error::Error;
use crate::ig::pdex::PdexVersion;
use crate::state::State;
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;

/// The path of the token endpoint. Its URL is the audience of client assertions.
pub const TOKEN: &str = "/oauth/token";
/// The path of the FHIR base of the member API.
pub const MEMBER_API: &str = PdexVersion::NEWEST.guide().base_path;

/// Every route of this module; `web` has the pages of `/oauth/authorize`.
pub fn routes() -> Router<State> {
    let mut routes = Router::new()
        .route(TOKEN, post(token::post))
        .route("/oauth/introspect", post(introspect::post))
        .route("/oauth/revoke", post(revoke::post))
        .route("/oauth/jwks", get(jwks::get));
    for base in discovery::fhir_bases() {
        routes = routes.route(
            &format!("{base}/.well-known/smart-configuration"),
            get(discovery::get),
        );
    }
    routes
}

/// A JSON response that must not be cached (RFC 6749, section 5.1).
fn no_store(body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ];
    (StatusCode::OK, headers, body.to_string()).into_response()
}

/// The error `invalid_request` (RFC 6749, section 5.2).
fn invalid_request(message: impl Into<String>) -> Error {
    Error::oauth("invalid_request", message)
}

/// The error `invalid_grant` (RFC 6749, section 5.2).
fn invalid_grant(message: impl Into<String>) -> Error {
    Error::oauth("invalid_grant", message)
}

/// The error `invalid_client` (RFC 6749, section 5.2).
fn invalid_client(message: impl Into<String>) -> Error {
    Error::oauth("invalid_client", message)
}
