//! From a token to a caller: a back end, a member's app, an EHR that fires a hook. A token that is over, a client
//! that is disabled, a grant that was ended: all the same 401. Reads alone; a hook's `jti` is spent by the unit of
//! work that stores the answer.

use super::client::{Client, JtiReplay};
use super::jwt::{self, Fault};
use super::scopes::{Level, Scopes};
use super::{fingerprint, jwks};
use crate::error::{Error, Result};
use crate::state::State;
use crate::store::oauth::{Token, TokenKind};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A partner's system with a backend-services token.
#[derive(Debug, Clone)]
pub struct Backend {
    /// The system.
    pub client: Client,
    /// What its token allows.
    pub scopes: Scopes,
}

/// A member's app with a token for one patient.
#[derive(Debug, Clone)]
pub struct App {
    /// The app.
    pub client: Client,
    /// The member's permission.
    pub grant: Uuid,
    /// The one member whose data it may see.
    pub member: Uuid,
    /// What its token allows.
    pub scopes: Scopes,
    /// Whether the member shares what is marked sensitive.
    pub sensitive: bool,
}

/// The id of a signed token, to be spent once (`tx.spend_jti`) in the unit that stores what the call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jti {
    /// Who signed.
    pub issuer: String,
    /// The token's own id.
    pub jti: String,
    /// When it may be forgotten.
    pub expires: DateTime<Utc>,
    /// What a second use means.
    pub replay: JtiReplay,
    /// When it came.
    pub seen: DateTime<Utc>,
}

impl Backend {
    /// 403 unless the token allows this right (`c r u d s`) on this type.
    pub fn require(&self, kind: &str, right: char) -> Result<()> {
        require(&self.scopes, Level::System, kind, right)
    }
}

impl App {
    /// 403 unless the token allows this right (`c r u d s`) on this type.
    pub fn require(&self, kind: &str, right: char) -> Result<()> {
        require(&self.scopes, Level::Patient, kind, right)
    }
}

fn require(scopes: &Scopes, level: Level, kind: &str, right: char) -> Result<()> {
    if scopes.allow(level, kind, right) {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "The token's scope does not allow this: it needs {kind}.{right}"
    )))
}

/// The call carries no token.
pub fn no_token() -> Error {
    Error::unauthorized("Send a token: Authorization: Bearer …")
}

/// One sentence for every token that does not hold: a stranger learns nothing from it.
fn unknown_token() -> Error {
    Error::unauthorized("The token is not known here, or it is over")
}

/// The partner's system that holds this access token.
pub async fn backend(state: &State, token: &str) -> Result<Backend> {
    let found = state
        .store
        .read((fingerprint(token), state.now()), |tx, (hash, now)| {
            Box::pin(async move {
                let Some(token) = tx
                    .token(hash)
                    .await?
                    .filter(|t| is_access(t, *now) && t.grant.is_none())
                else {
                    return Ok(None);
                };
                Ok(tx.client(token.client).await?.map(|client| (client, token.scope)))
            })
        })
        .await?;
    match found {
        Some((client, scope)) if !client.disabled => Ok(Backend {
            client,
            scopes: Scopes::read(&scope),
        }),
        _ => Err(unknown_token()),
    }
}

/// The member's app that holds this access token, while the member's permission stands.
pub async fn app(state: &State, token: &str) -> Result<App> {
    let audience = state.url("/fhir/pdex");
    let found = state
        .store
        .read(
            (fingerprint(token), audience, state.now()),
            |tx, (hash, audience, now)| {
                Box::pin(async move {
                    let Some(token) = tx
                        .token(hash)
                        .await?
                        .filter(|t| is_access(t, *now) && t.aud == *audience)
                    else {
                        return Ok(None);
                    };
                    let Some(grant) = token.grant else { return Ok(None) };
                    let Some(grant) = tx.grant(grant).await?.filter(|grant| grant.ended.is_none()) else {
                        return Ok(None);
                    };
                    let login = tx.login(grant.login).await?.filter(|login| !login.disabled);
                    let client = tx.client(token.client).await?.filter(|client| !client.disabled);
                    Ok(login.and(client).map(|client| App {
                        client,
                        grant: grant.id,
                        member: grant.member,
                        scopes: Scopes::read(&token.scope),
                        sensitive: grant.sensitive,
                    }))
                })
            },
        )
        .await?;
    found.ok_or_else(unknown_token)
}

fn is_access(token: &Token, now: DateTime<Utc>) -> bool {
    token.kind == TokenKind::Access && token.holds(now)
}

/// The client whose issuer signed a hook call to `path` (CDS Hooks 2.0, "Trusting CDS Clients"), with the `jti` to spend.
pub async fn hook(state: &State, token: &str, path: &str) -> Result<(Client, Jti)> {
    let refused = |fault: Fault| Error::unauthorized(fault.message());
    let read = jwt::read(token).map_err(refused)?;
    let issuer = read.claimed_issuer().to_owned();
    let client = state
        .store
        .read(issuer, |tx, issuer| {
            Box::pin(async move { tx.client_by_issuer(issuer).await })
        })
        .await?
        .filter(|client| !client.disabled)
        .ok_or_else(|| Error::unauthorized("The token's issuer is not registered here"))?;
    let claims = jwks::verify(state, &client, &read, &jwt::FOR_HOOKS).await?;
    if !claims.is_for(&[&state.url(path)]) {
        return Err(Error::unauthorized("The token is not for this address (aud)"));
    }
    if claims.iat.is_none() {
        return Err(Error::unauthorized("The token has no iat"));
    }
    let now = state.now();
    let expires = claims
        .check_times(now, client.doc.max_token_lifetime())
        .map_err(refused)?;
    let jti = claims
        .jti
        .clone()
        .ok_or_else(|| Error::unauthorized("The token has no jti"))?;
    let jti = Jti {
        issuer: claims.iss.clone(),
        jti,
        expires,
        replay: client.doc.jti_replay,
        seen: now,
    };
    Ok((client, jti))
}
