//! `POST /oauth/introspect` (RFC 7662): whether a token holds and what it opens. The caller shows who it is as at
//! the token endpoint, or with an access token of its own; it learns of its own client's tokens alone.

use super::client_login::{self, Proof, as_invalid_client};
use super::{Parameters, exchange, no_store};
use crate::auth::{fingerprint, no_token};
use crate::error::Result;
use crate::state::State;
use crate::store::Tx;
use crate::store::oauth::{Token, TokenKind};
use crate::wire::OAuthFailure;
use axum::extract;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// Answers an introspection request.
pub async fn post(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    form: Parameters,
) -> Response {
    match answer(&state, &headers, &form).await {
        Ok(body) => no_store(&body),
        Err(error) => OAuthFailure::from(as_invalid_client(error)).into_response(),
    }
}

async fn answer(state: &State, headers: &HeaderMap, form: &Parameters) -> Result<Value> {
    let hash = fingerprint(form.require("token")?);
    let now = state.now();
    let (client, jti) = if let Some(guard) = bearer(headers) {
        (caller_of(state, fingerprint(guard)).await?, None)
    } else {
        let known = client_login::known(state, headers, form, "/oauth/introspect").await?;
        if known.proof == Proof::None {
            return Err(no_token());
        }
        (known.client.id, known.jti)
    };
    state
        .store
        .write((client, jti, hash, now), |tx, (client, jti, hash, now)| {
            Box::pin(async move {
                exchange::spend(tx, jti.as_ref()).await?;
                let token = live(tx, hash, *now)
                    .await?
                    .filter(|(token, _, _)| token.client == *client);
                Ok(token.map_or_else(
                    || json!({"active": false}),
                    |(token, id, member)| describe(&token, &id, member),
                ))
            })
        })
        .await
}

/// The client that holds this access token.
async fn caller_of(state: &State, guard: String) -> Result<Uuid> {
    let found = state
        .store
        .read((guard, state.now()), |tx, (hash, now)| {
            Box::pin(async move {
                let found = live(tx, hash, *now).await?;
                Ok(found
                    .filter(|(token, _, _)| token.kind == TokenKind::Access)
                    .map(|(token, _, _)| token.client))
            })
        })
        .await?;
    found.ok_or_else(no_token)
}

/// A token that holds, with its `client_id` and its member.
async fn live(tx: &mut Tx, hash: &str, now: DateTime<Utc>) -> Result<Option<(Token, String, Option<Uuid>)>> {
    let Some(token) = tx.token(hash).await?.filter(|token| token.holds(now)) else {
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
    let open = tx.login(grant.login).await?.is_some_and(|login| !login.disabled);
    Ok(open.then_some((token, client.client_id, Some(grant.member))))
}

fn describe(token: &Token, client_id: &str, member: Option<Uuid>) -> Value {
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

/// The token of `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
