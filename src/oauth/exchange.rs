//! The units of work behind the token endpoint: a code for tokens, a refresh token for new ones, tokens for a back
//! end. Each spends the assertion's id, uses up what was brought and stores what is given out, all or nothing. A
//! second use of a code or refresh token ends the whole grant, and that is stored although the caller is refused.

use super::pkce;
use crate::auth::scopes::FOR_APPS;
use crate::auth::{Client, Jti, Scopes, fingerprint};
use crate::error::Result;
use crate::store::oauth::{Grant, Token, TokenKind};
use crate::store::{Store, Tx};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// How long an app's access token holds.
pub fn app_access() -> Duration {
    Duration::hours(1)
}

/// How long a back end's access token holds (SMART Backend Services: at most five minutes).
pub fn backend_access() -> Duration {
    Duration::minutes(5)
}

/// How long a refresh token waits for its use; each use starts anew.
pub fn refresh_waits() -> Duration {
    Duration::days(90)
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Tokens may be given out.
    Given(Given),
    /// `invalid_grant`: what was brought is unknown, over, someone else's or used before.
    Refused(&'static str),
    /// `invalid_scope`: more was asked than was granted.
    TooMuch,
}

/// What an app's tokens open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The scopes of the access token.
    pub scopes: Scopes,
    /// The member whose data it opens.
    pub member: Uuid,
    /// Whether the refresh token was stored too.
    pub refresh: bool,
}

/// Secrets made before the unit, so that a unit that runs twice stores the same; given out only when it held.
#[derive(Debug, Clone)]
pub struct NewTokens {
    /// The access token.
    pub access: String,
    /// The refresh token, if one is due.
    pub refresh: String,
}

/// What all exchanges of an app have in common.
#[derive(Debug, Clone)]
pub struct Bringing {
    /// The client, known by its proof.
    pub client: Client,
    /// The assertion's id, if it signed.
    pub jti: Option<Jti>,
    /// The fingerprint of the code or refresh token.
    pub brought: String,
    /// What to give out.
    pub new: NewTokens,
    /// The FHIR base of the tokens.
    pub audience: String,
    /// Now.
    pub now: DateTime<Utc>,
}

/// A code for tokens.
pub async fn of_code(
    store: &Store,
    bringing: Bringing,
    redirect_uri: String,
    verifier: String,
) -> Result<Outcome> {
    store
        .write(
            (bringing, redirect_uri, verifier),
            |tx, (bringing, redirect_uri, verifier)| {
                Box::pin(take_code(tx, bringing, redirect_uri, verifier))
            },
        )
        .await
}

async fn take_code(tx: &mut Tx, bringing: &Bringing, redirect_uri: &str, verifier: &str) -> Result<Outcome> {
    spend(tx, bringing.jti.as_ref()).await?;
    let unknown = Outcome::Refused("The code is not known here, or it is over");
    let Some(code) = tx.code(&bringing.brought).await? else {
        return Ok(unknown);
    };
    let Some(grant) = tx
        .grant(code.grant_id)
        .await?
        .filter(|grant| grant.client == bringing.client.id)
    else {
        return Ok(unknown);
    };
    if !tx.use_code(&code.code_hash, bringing.now).await? {
        tx.end_grant(grant.id, bringing.now).await?;
        return Ok(Outcome::Refused(
            "The code was used before; what it gave is taken back",
        ));
    }
    if bringing.now >= code.expires || !stands(tx, &grant).await? {
        return Ok(unknown);
    }
    if code.redirect_uri != redirect_uri {
        return Ok(Outcome::Refused(
            "redirect_uri is not the one that the code was sent to",
        ));
    }
    if !pkce::fits(verifier, &code.challenge) {
        return Ok(Outcome::Refused(
            "code_verifier does not fit the request's code_challenge",
        ));
    }
    let scopes = Scopes::read(&grant.scope);
    give(tx, bringing, &grant, scopes.clone(), &scopes).await
}

/// A refresh token for new tokens. `asked`: the scopes that the app wants now, if fewer.
pub async fn of_refresh(store: &Store, bringing: Bringing, asked: Option<String>) -> Result<Outcome> {
    store
        .write((bringing, asked), |tx, (bringing, asked)| {
            Box::pin(take_refresh(tx, bringing, asked.as_deref()))
        })
        .await
}

async fn take_refresh(tx: &mut Tx, bringing: &Bringing, asked: Option<&str>) -> Result<Outcome> {
    spend(tx, bringing.jti.as_ref()).await?;
    let unknown = Outcome::Refused("The refresh token is not known here, or it is over");
    let found = tx.token(&bringing.brought).await?;
    let found = found.filter(|t| t.kind == TokenKind::Refresh && t.client == bringing.client.id);
    let Some((token, grant)) = found.and_then(|token| token.grant.map(|grant| (token, grant))) else {
        return Ok(unknown);
    };
    let Some(grant) = tx.grant(grant).await?.filter(|grant| grant.ended.is_none()) else {
        return Ok(unknown);
    };
    if token.ended.is_some() {
        tx.end_grant(grant.id, bringing.now).await?;
        return Ok(Outcome::Refused(
            "The refresh token was used before; the member's permission is ended",
        ));
    }
    if bringing.now >= token.expires || !stands(tx, &grant).await? {
        return Ok(unknown);
    }
    // What the app is no longer registered for is not given again.
    let held =
        Scopes::read(&token.scope).narrowed(&Scopes::registered(&bringing.client.doc.scopes), &FOR_APPS);
    let wanted = asked.map_or_else(|| held.clone(), Scopes::read);
    if !held.cover(&wanted) || !wanted.reaches_data() {
        return Ok(Outcome::TooMuch);
    }
    if !tx.end_token(&token.hash, bringing.now).await? {
        tx.end_grant(grant.id, bringing.now).await?;
        return Ok(Outcome::Refused(
            "The refresh token was used before; the member's permission is ended",
        ));
    }
    give(tx, bringing, &grant, wanted, &held).await
}

/// Whether a grant still opens something: not ended, the sign-in behind it not shut.
async fn stands(tx: &mut Tx, grant: &Grant) -> Result<bool> {
    let login = tx.login(grant.login).await?;
    Ok(grant.ended.is_none() && login.is_some_and(|login| !login.disabled))
}

/// Stores an access token and, where the app may stay, a refresh token with all that was granted.
async fn give(
    tx: &mut Tx,
    bringing: &Bringing,
    grant: &Grant,
    scopes: Scopes,
    all: &Scopes,
) -> Result<Outcome> {
    let token = |secret: &str, kind: TokenKind, scope: &Scopes, holds: Duration| Token {
        hash: fingerprint(secret),
        kind,
        client: bringing.client.id,
        grant: Some(grant.id),
        scope: scope.to_string(),
        aud: bringing.audience.clone(),
        created: bringing.now,
        expires: bringing.now + holds,
        ended: None,
    };
    tx.add_token(&token(
        &bringing.new.access,
        TokenKind::Access,
        &scopes,
        app_access(),
    ))
    .await?;
    let refresh = all.has("offline_access");
    if refresh {
        tx.add_token(&token(
            &bringing.new.refresh,
            TokenKind::Refresh,
            all,
            refresh_waits(),
        ))
        .await?;
    }
    tx.use_grant(grant.id, bringing.now).await?;
    Ok(Outcome::Given(Given {
        scopes,
        member: grant.member,
        refresh,
    }))
}

/// Stores a back end's access token and spends its assertion's id.
pub async fn for_backend(store: &Store, jti: Option<Jti>, token: Token) -> Result<()> {
    store
        .write((jti, token), |tx, (jti, token)| {
            Box::pin(async move {
                spend(tx, jti.as_ref()).await?;
                tx.add_token(token).await
            })
        })
        .await
}

/// Spends an assertion's id, if one was brought.
pub async fn spend(tx: &mut Tx, jti: Option<&Jti>) -> Result<()> {
    match jti {
        Some(jti) => tx.spend_jti(jti).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
