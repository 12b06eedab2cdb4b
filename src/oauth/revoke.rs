//! `POST /oauth/revoke` (RFC 7009): a client revokes one of its tokens. Revoking a refresh token ends the member's
//! grant and all its tokens. An unknown token is answered with 200 too.

use super::client_authentication::{as_invalid_client, authenticate};
use super::{Parameters, no_store, token_issuance};
use crate::auth::fingerprint;
use crate::error::Result;
use crate::state::State;
use crate::store::oauth::TokenKind;
use crate::wire::{ClientAddress, OAuthFailure};
use axum::extract;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::IpAddr;

/// Handles a revocation request.
pub async fn post(
    extract::State(state): extract::State<State>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    form: Parameters,
) -> Response {
    match revoke(&state, &headers, &form, address).await {
        Ok(()) => no_store(&json!({})),
        Err(error) => OAuthFailure::from(as_invalid_client(error)).into_response(),
    }
}

async fn revoke(
    state: &State,
    headers: &HeaderMap,
    form: &Parameters,
    address: Option<IpAddr>,
) -> Result<()> {
    let authenticated = authenticate(state, headers, form, "/oauth/revoke", address).await?;
    let hash = fingerprint(form.require("token")?);
    state
        .store
        .write(
            (authenticated.client.id, authenticated.jti, hash, state.now()),
            |tx, (client, jti, hash, now)| {
                Box::pin(async move {
                    token_issuance::spend_jti(tx, jti.as_ref()).await?;
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
