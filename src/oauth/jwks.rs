//! `GET /oauth/jwks`: this server's public keys. The set is empty because access tokens are opaque and nothing is
//! signed. It will hold the key for `id_token`s when `openid` is supported.

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;

/// The JWK set (RFC 7517).
pub async fn get() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        json!({"keys": []}).to_string(),
    )
}
