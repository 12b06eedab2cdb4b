//! `GET /oauth/jwks`: this server's public keys. Access tokens are opaque and nothing is signed yet, so the set is
//! empty; the key of `id_token`s will stand here when `openid` is offered.

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;

/// The key set.
pub async fn get() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        json!({"keys": []}).to_string(),
    )
}
