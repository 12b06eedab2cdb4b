//! `POST /oauth/revoke` (RFC 7009): an app gives a token back. A refresh token ends the member's permission with
//! every token of it. 200 also for a token that nobody knows.

use super::client_login::{self, as_invalid_client};
use super::{Parameters, exchange, no_store};
use crate::auth::fingerprint;
use crate::error::Result;
use crate::state::State;
use crate::store::oauth::TokenKind;
use crate::wire::OAuthFailure;
use axum::extract;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Answers a revocation request.
pub async fn post(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    form: Parameters,
) -> Response {
    match end(&state, &headers, &form).await {
        Ok(()) => no_store(&json!({})),
        Err(error) => OAuthFailure::from(as_invalid_client(error)).into_response(),
    }
}

async fn end(state: &State, headers: &HeaderMap, form: &Parameters) -> Result<()> {
    let known = client_login::known(state, headers, form, "/oauth/revoke").await?;
    let hash = fingerprint(form.require("token")?);
    state
        .store
        .write(
            (known.client.id, known.jti, hash, state.now()),
            |tx, (client, jti, hash, now)| {
                Box::pin(async move {
                    exchange::spend(tx, jti.as_ref()).await?;
                    let Some(token) = tx.token(hash).await?.filter(|token| token.client == *client) else {
                        return Ok(());
                    };
                    match (token.kind, token.grant) {
                        (TokenKind::Refresh, Some(grant)) => tx.end_grant(grant, *now).await,
                        _ => tx.end_token(hash, *now).await.map(drop),
                    }
                })
            },
        )
        .await
}
