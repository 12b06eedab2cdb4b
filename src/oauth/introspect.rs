//! `POST /oauth/introspect` (RFC 7662): whether a token is active, and its scopes. The caller authenticates as at the
//! token endpoint, or with an access token of its own. It can introspect only the tokens of its own client.

use super::client_authentication::{AuthenticationMethod, as_invalid_client, authenticate};
use super::{Parameters, no_store, token_issuance};
use crate::auth::{fingerprint, missing_token};
use crate::error::Result;
use crate::state::State;
use crate::store::Tx;
use crate::store::oauth::{Token, TokenKind};
use crate::wire::{ClientAddress, OAuthFailure};
use axum::extract;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::net::IpAddr;
use uuid::Uuid;

/// Handles an introspection request.
pub async fn post(
    extract::State(state): extract::State<State>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    form: Parameters,
) -> Response {
    match introspect(&state, &headers, &form, address).await {
        Ok(body) => no_store(&body),
        Err(error) => OAuthFailure::from(as_invalid_client(error)).into_response(),
    }
}

async fn introspect(
    state: &State,
    headers: &HeaderMap,
    form: &Parameters,
    address: Option<IpAddr>,
) -> Result<Value> {
    let hash = fingerprint(form.require("token")?);
    let now = state.now();
    let (client, jti) = if let Some(own_token) = bearer_token(headers) {
        (find_calling_client(state, fingerprint(own_token)).await?, None)
    } else {
        let authenticated = authenticate(state, headers, form, "/oauth/introspect", address).await?;
        if authenticated.method == AuthenticationMethod::None {
            return Err(missing_token());
        }
        (authenticated.client.id, authenticated.jti)
    };
    state
        .store
        .write((client, jti, hash, now), |tx, (client, jti, hash, now)| {
            Box::pin(async move {
                token_issuance::spend_jti(tx, jti.as_ref()).await?;
                let token = find_active_token(tx, hash, *now)
                    .await?
                    .filter(|(token, _, _)| token.client == *client);
                Ok(token.map_or_else(
                    || json!({"active": false}),
                    |(token, client_id, member)| active_response(&token, &client_id, member),
                ))
            })
        })
        .await
}

/// Finds the client that an access token was issued to, by the token's fingerprint.
async fn find_calling_client(state: &State, hash: String) -> Result<Uuid> {
    let found = state
        .store
        .read((hash, state.now()), |tx, (hash, now)| {
            Box::pin(async move {
                let found = find_active_token(tx, hash, *now).await?;
                Ok(found
                    .filter(|(token, _, _)| token.kind == TokenKind::Access)
                    .map(|(token, _, _)| token.client))
            })
        })
        .await?;
    found.ok_or_else(missing_token)
}

/// Finds an active token, with its `client_id` and member. Backend services' tokens have no member.
async fn find_active_token(
    tx: &mut Tx,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<(Token, String, Option<Uuid>)>> {
    let Some(token) = tx.token(hash).await?.filter(|token| token.is_valid_at(now)) else {
        return Ok(None);
    };
    let Some(client) = tx.client(token.client).await?.filter(|client| !client.disabled) else {
        return Ok(None);
    };
    let Some(grant) = token.grant else {
        return Ok(Some((token, client.client_id, None)));
    };
    let Some(grant) = tx.grant(grant).await?.filter(|grant| grant.ended.is_none()) else {
        return Ok(None);
    };
    let is_enabled = tx.login(grant.login).await?.is_some_and(|login| !login.disabled);
    Ok(is_enabled.then_some((token, client.client_id, Some(grant.member))))
}

fn active_response(token: &Token, client_id: &str, member: Option<Uuid>) -> Value {
    let mut body = json!({
        "active": true,
        "scope": token.scope,
        "client_id": client_id,
        "exp": token.expires.timestamp(),
        "iat": token.created.timestamp(),
        "aud": token.aud,
    });
    if token.kind == TokenKind::Access {
        crate::fhir::put(&mut body, "token_type", "Bearer".into());
    }
    if let Some(member) = member {
        crate::fhir::put(&mut body, "patient", member.to_string().into());
    }
    body
}

/// The token in `Authorization: Bearer …`.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
