//! From an access token to a caller: a backend service, a member's app, or an EHR that calls a hook.
//!
//! A caller of the FHIR APIs is only ever returned together with a scope check: whoever asks for one names the resource
//! type and the permission that the token must hold. An expired token, a disabled client and a revoked grant all get
//! the same 401. This module only reads from the store; the `jti` of a hook call is spent in the unit of work that
//! stores the response.

use super::client::{Client, JtiReplay};
use super::jwt::{self, JwtError};
use super::scopes::{Permission, ScopeLevel, Scopes};
use super::{fingerprint, jwks};
use crate::error::{Error, Result};
use crate::ig::pdex::PdexVersion;
use crate::state::State;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// A partner system that called with a token for backend services (SMART Backend Services).
#[derive(Debug, Clone)]
pub struct BackendCaller {
    /// The client that the token was issued to.
    pub client: Arc<Client>,
}

/// A member's app that called with a token for one patient (SMART App Launch).
#[derive(Debug, Clone)]
pub struct AppCaller {
    /// The client that the token was issued to.
    pub client: Arc<Client>,
    /// The id of the grant: what the member allowed this app.
    pub grant: Uuid,
    /// The row of the member; the app may see no one else's data.
    pub member: Uuid,
    /// Whether the member shares records that are marked sensitive.
    pub sensitive: bool,
    scopes: Scopes,
}

impl AppCaller {
    /// Whether the token also allows `permission` on `resource_type`, for resources included in a search.
    pub fn may(&self, resource_type: &str, permission: Permission) -> bool {
        self.scopes.allow(ScopeLevel::Patient, resource_type, permission)
    }
}

/// The id of a signed JWT. It may be used once: `tx.spend_jti` in the unit of work that stores what the call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jti {
    /// The JWT's `iss`.
    pub issuer: String,
    /// The JWT's `jti`.
    pub jti: String,
    /// When the stored `jti` may be deleted.
    pub expires: DateTime<Utc>,
    /// What to do when the same `jti` arrives again.
    pub replay: JtiReplay,
    /// When the JWT was received.
    pub seen: DateTime<Utc>,
}

fn require(scopes: &Scopes, level: ScopeLevel, resource_type: &str, permission: Permission) -> Result<()> {
    if scopes.allow(level, resource_type, permission) {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "The scopes of this access token do not allow this request. Required: {level}/{resource_type}.{permission}"
    )))
}

/// 401 for a call without an access token.
pub fn missing_token() -> Error {
    Error::unauthorized("An access token is required. Send the header Authorization: Bearer <token>")
}

/// The same 401 for every token that is not accepted, so that the caller cannot tell why.
fn invalid_token() -> Error {
    Error::unauthorized("The access token is not valid or has expired")
}

/// The partner system that holds this access token. 401 when the token is not valid, 403 unless it allows `permission`
/// on `resource_type`.
pub async fn backend(
    state: &State,
    token: &str,
    resource_type: &str,
    permission: Permission,
) -> Result<BackendCaller> {
    let found = state
        .store
        .read_one((fingerprint(token), state.now()), |tx, (hash, now)| {
            Box::pin(async move { tx.backend_caller(hash, *now).await })
        })
        .await?
        .ok_or_else(invalid_token)?;
    let scopes = Scopes::parse(&found.scope);
    require(&scopes, ScopeLevel::System, resource_type, permission)?;
    let client = state.clients.client(found.client)?;
    Ok(BackendCaller { client })
}

/// The member's app that holds this access token. 401 when the token is not valid or the member has removed the app,
/// 403 unless it allows `permission` on `resource_type`.
pub async fn app(
    state: &State,
    token: &str,
    resource_type: &str,
    permission: Permission,
) -> Result<AppCaller> {
    let audience = state.url(PdexVersion::NEWEST.guide().base_path);
    let key = (fingerprint(token), audience, state.now());
    let found = state
        .store
        .read_one(key, |tx, (hash, audience, now)| {
            Box::pin(async move { tx.app_caller(hash, audience, *now).await })
        })
        .await?
        .ok_or_else(invalid_token)?;
    let scopes = Scopes::parse(&found.scope);
    require(&scopes, ScopeLevel::Patient, resource_type, permission)?;
    Ok(AppCaller {
        client: state.clients.client(found.client)?,
        grant: found.grant_id,
        member: found.member,
        sensitive: found.sensitive,
        scopes,
    })
}

/// The client whose issuer signed a hook call to `path` (CDS Hooks 2.0, "Trusting CDS Clients"), and the `jti` to
/// spend.
pub async fn hook(state: &State, token: &str, path: &str) -> Result<(Arc<Client>, Jti)> {
    let refused = |error: JwtError| Error::unauthorized(error.message());
    let unverified = jwt::parse(token).map_err(refused)?;
    let issuer = unverified.claimed_issuer().to_owned();
    let client = state
        .store
        .read_one(issuer, |tx, issuer| {
            Box::pin(async move { tx.hook_caller(issuer).await })
        })
        .await?
        .ok_or_else(|| Error::unauthorized("The token's issuer (iss) is not registered"))?;
    let client = state.clients.client(client)?;
    let claims = jwks::verify(state, &client, &unverified, &jwt::HOOK_ALGORITHMS).await?;
    if !claims.is_for(&[&state.url(path)]) {
        return Err(Error::unauthorized(
            "The token's audience (aud) is not the URL that was called",
        ));
    }
    if claims.iat.is_none() {
        return Err(Error::unauthorized("The token has no iat claim"));
    }
    let now = state.now();
    let expires = claims
        .check_times(now, client.doc.max_token_lifetime())
        .map_err(refused)?;
    let jti = claims
        .jti
        .clone()
        .ok_or_else(|| Error::unauthorized("The token has no jti claim"))?;
    let jti = Jti {
        issuer: claims.iss.clone(),
        jti,
        expires,
        replay: client.doc.jti_replay,
        seen: now,
    };
    Ok((client, jti))
}
