//! The units of work behind the token endpoint: redeem an authorization code, redeem a refresh token, issue a token to
//! a backend service. Each unit spends the `jti` of the client assertion, marks the code or refresh token as used, and
//! stores the new tokens. A second use of a code or refresh token ends the whole grant; that is stored although the
//! request is refused.

use super::pkce;
use crate::auth::scopes::APP_SCOPES;
use crate::auth::{Client, Jti, Scopes, fingerprint};
use crate::error::Result;
use crate::store::oauth::{Grant, Token, TokenKind};
use crate::store::{Store, Tx};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

const REFRESH_TOKEN_REUSED: &str =
    "The refresh token was already used. The member's grant to this app has ended";

/// The lifetime of an app's access token.
pub fn app_access_lifetime() -> Duration {
    Duration::hours(1)
}

/// The lifetime of a backend service's access token (SMART Backend Services: at most five minutes).
pub fn backend_access_lifetime() -> Duration {
    Duration::minutes(5)
}

/// The lifetime of a refresh token. Each use issues a new one with the full lifetime.
pub fn refresh_lifetime() -> Duration {
    Duration::days(90)
}

/// The outcome of redeeming a code or refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOutcome {
    /// The tokens were stored and can be sent to the app.
    Issued(IssuedTokens),
    /// `invalid_grant`, with the reason: the code or refresh token is unknown, expired, another client's or already
    /// used.
    InvalidGrant(&'static str),
    /// `invalid_scope`: the app requested more than was granted, or nothing that allows access to data.
    InvalidScope,
}

/// The tokens that were issued to an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedTokens {
    /// The scopes of the access token.
    pub scopes: Scopes,
    /// The member whose data the access token is for.
    pub member: Uuid,
    /// Whether a refresh token was issued too.
    pub has_refresh_token: bool,
}

/// New token values. They are generated before the unit of work, so that a unit that runs twice stores the same values.
#[derive(Debug, Clone)]
pub struct NewTokens {
    /// The access token.
    pub access: String,
    /// The refresh token, if one is issued.
    pub refresh: String,
}

/// An app's request for tokens.
#[derive(Debug, Clone)]
pub struct AppTokenRequest {
    /// The authenticated client.
    pub client: Client,
    /// The `jti` of the client assertion, if the client sent one.
    pub jti: Option<Jti>,
    /// The fingerprint of the code or refresh token in the request.
    pub presented_hash: String,
    /// The tokens to issue.
    pub new_tokens: NewTokens,
    /// The URL of the FHIR base that the tokens are for.
    pub audience: String,
    /// The time of the request.
    pub now: DateTime<Utc>,
}

/// Redeems an authorization code (RFC 6749, section 4.1.3; RFC 7636, section 4.6).
pub async fn redeem_code(
    store: &Store,
    request: AppTokenRequest,
    redirect_uri: String,
    verifier: String,
) -> Result<TokenOutcome> {
    store
        .write(
            (request, redirect_uri, verifier),
            |tx, (request, redirect_uri, verifier)| {
                Box::pin(redeem_code_in(tx, request, redirect_uri, verifier))
            },
        )
        .await
}

async fn redeem_code_in(
    tx: &mut Tx,
    request: &AppTokenRequest,
    redirect_uri: &str,
    verifier: &str,
) -> Result<TokenOutcome> {
    spend_jti(tx, request.jti.as_ref()).await?;
    let unknown = TokenOutcome::InvalidGrant("The code is unknown or has expired");
    let Some(code) = tx.authorization_code(&request.presented_hash).await? else {
        return Ok(unknown);
    };
    let Some(grant) = tx
        .grant(code.grant_id)
        .await?
        .filter(|grant| grant.client == request.client.id)
    else {
        return Ok(unknown);
    };
    if !tx.use_authorization_code(&code.code_hash, request.now).await? {
        tx.end_grant(grant.id, request.now).await?;
        return Ok(TokenOutcome::InvalidGrant(
            "The code was already used. The tokens issued for it have been revoked",
        ));
    }
    if request.now >= code.expires || !is_active(tx, &grant).await? {
        return Ok(unknown);
    }
    if code.redirect_uri != redirect_uri {
        return Ok(TokenOutcome::InvalidGrant(
            "redirect_uri does not match the redirect_uri of the authorization request",
        ));
    }
    if !pkce::verifier_matches(verifier, &code.challenge) {
        return Ok(TokenOutcome::InvalidGrant(
            "code_verifier does not match the code_challenge of the authorization request",
        ));
    }
    // Scopes that the app is no longer registered for are not granted, although the member allowed them.
    let scopes =
        Scopes::parse(&grant.scope).narrowed(&Scopes::registered(&request.client.doc.scopes), &APP_SCOPES);
    if !scopes.include_resources() {
        return Ok(TokenOutcome::InvalidScope);
    }
    issue_app_tokens(tx, request, &grant, scopes.clone(), &scopes).await
}

/// Redeems a refresh token (RFC 6749, section 6). `requested_scope` is the `scope` parameter, if the app sent one.
pub async fn redeem_refresh_token(
    store: &Store,
    request: AppTokenRequest,
    requested_scope: Option<String>,
) -> Result<TokenOutcome> {
    store
        .write((request, requested_scope), |tx, (request, requested_scope)| {
            Box::pin(redeem_refresh_token_in(tx, request, requested_scope.as_deref()))
        })
        .await
}

async fn redeem_refresh_token_in(
    tx: &mut Tx,
    request: &AppTokenRequest,
    requested_scope: Option<&str>,
) -> Result<TokenOutcome> {
    spend_jti(tx, request.jti.as_ref()).await?;
    let unknown = TokenOutcome::InvalidGrant("The refresh token is unknown or has expired");
    let token = tx.token(&request.presented_hash).await?;
    let token = token.filter(|token| token.kind == TokenKind::Refresh && token.client == request.client.id);
    let Some((token, grant)) = token.and_then(|token| token.grant.map(|grant| (token, grant))) else {
        return Ok(unknown);
    };
    let Some(grant) = tx.grant(grant).await?.filter(|grant| grant.ended.is_none()) else {
        return Ok(unknown);
    };
    if token.ended.is_some() {
        tx.end_grant(grant.id, request.now).await?;
        return Ok(TokenOutcome::InvalidGrant(REFRESH_TOKEN_REUSED));
    }
    if request.now >= token.expires || !is_active(tx, &grant).await? {
        return Ok(unknown);
    }
    // Scopes that the app is no longer registered for are not granted again.
    let granted =
        Scopes::parse(&token.scope).narrowed(&Scopes::registered(&request.client.doc.scopes), &APP_SCOPES);
    let requested = requested_scope.map_or_else(|| granted.clone(), Scopes::parse);
    if !granted.cover(&requested) || !requested.include_resources() {
        return Ok(TokenOutcome::InvalidScope);
    }
    if !tx.end_token(&token.hash, request.now).await? {
        tx.end_grant(grant.id, request.now).await?;
        return Ok(TokenOutcome::InvalidGrant(REFRESH_TOKEN_REUSED));
    }
    issue_app_tokens(tx, request, &grant, requested, &granted).await
}

/// Whether a grant is still valid: it has not ended, and the member's account is not disabled.
async fn is_active(tx: &mut Tx, grant: &Grant) -> Result<bool> {
    let login = tx.login(grant.login).await?;
    Ok(grant.ended.is_none() && login.is_some_and(|login| !login.disabled))
}

/// Stores an access token with `scopes` and, if `offline_access` was granted, a refresh token with all `granted`
/// scopes.
async fn issue_app_tokens(
    tx: &mut Tx,
    request: &AppTokenRequest,
    grant: &Grant,
    scopes: Scopes,
    granted: &Scopes,
) -> Result<TokenOutcome> {
    if !tx.record_grant_use(grant.id, request.now).await? {
        return Ok(TokenOutcome::InvalidGrant(
            "The member has ended the access of this app",
        ));
    }
    let token = |secret: &str, kind: TokenKind, scope: &Scopes, lifetime: Duration| Token {
        hash: fingerprint(secret),
        kind,
        client: request.client.id,
        grant: Some(grant.id),
        scope: scope.to_string(),
        aud: request.audience.clone(),
        created: request.now,
        expires: request.now + lifetime,
        ended: None,
    };
    tx.add_token(&token(
        &request.new_tokens.access,
        TokenKind::Access,
        &scopes,
        app_access_lifetime(),
    ))
    .await?;
    let has_refresh_token = granted.has("offline_access");
    if has_refresh_token {
        tx.add_token(&token(
            &request.new_tokens.refresh,
            TokenKind::Refresh,
            granted,
            refresh_lifetime(),
        ))
        .await?;
    }
    Ok(TokenOutcome::Issued(IssuedTokens {
        scopes,
        member: grant.member,
        has_refresh_token,
    }))
}

/// Stores the access token of a backend service and spends the `jti` of its client assertion.
pub async fn issue_backend_token(store: &Store, jti: Option<Jti>, token: Token) -> Result<()> {
    store
        .write((jti, token), |tx, (jti, token)| {
            Box::pin(async move {
                spend_jti(tx, jti.as_ref()).await?;
                tx.add_token(token).await
            })
        })
        .await
}

/// Spends the `jti` of a client assertion, if there is one.
pub async fn spend_jti(tx: &mut Tx, jti: Option<&Jti>) -> Result<()> {
    match jti {
        Some(jti) => tx.spend_jti(jti).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
