//! `POST /oauth/token` with the grant types `authorization_code` (with PKCE), `refresh_token` (with rotation) and
//! `client_credentials` (with a signed assertion). RFC 6749, sections 4.1.3, 5 and 6; SMART App Launch 2.2, "Obtain
//! access token" and Backend Services.

use super::client_authentication::{
    AuthenticatedClient, AuthenticationMethod, as_invalid_client, authenticate,
};
use super::token_issuance::{self, AppTokenRequest, IssuedTokens, NewTokens, TokenOutcome};
use super::{MEMBER_API, Parameters, TOKEN, invalid_client, invalid_grant, no_store};
use crate::auth::scopes::SYSTEM_SCOPES;
use crate::auth::throttle::{self, Guess, Reservation};
use crate::auth::{Scopes, fingerprint};
use crate::clock::new_secret;
use crate::error::{Error, ErrorKind, Result};
use crate::state::State;
use crate::store::oauth::{Token, TokenKind};
use crate::wire::{ClientAddress, OAuthFailure};
use axum::extract;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Handles a token request.
pub async fn post(
    extract::State(state): extract::State<State>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    form: Parameters,
) -> Response {
    match issue_tokens(&state, &headers, &form, address).await {
        Ok(body) => no_store(&body),
        Err(error) => error_response(as_invalid_client(error), &headers),
    }
}

/// The error response. A client that used Basic authentication gets `WWW-Authenticate` with the same scheme (RFC 6749,
/// section 5.2).
fn error_response(error: Error, headers: &HeaderMap) -> Response {
    let used_basic = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .get(..6)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "))
        });
    let is_unauthorized = error.kind() == ErrorKind::Unauthorized;
    let mut response = OAuthFailure::from(error).into_response();
    if is_unauthorized && used_basic {
        let basic = HeaderValue::from_static("Basic realm=\"oauth\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    response
}

async fn issue_tokens(
    state: &State,
    headers: &HeaderMap,
    form: &Parameters,
    address: Option<IpAddr>,
) -> Result<Value> {
    match form.require("grant_type")? {
        "authorization_code" => {
            let client = authenticate(state, headers, form, TOKEN, address).await?;
            let redirect_uri = form.require("redirect_uri")?.to_owned();
            let verifier = form.require("code_verifier")?.to_owned();
            let code = form.require("code")?;
            let reservation = reserve(state, &client, address).await?;
            let request = app_token_request(state, client, code);
            let new_tokens = request.new_tokens.clone();
            let outcome = token_issuance::redeem_code(&state.store, request, redirect_uri, verifier).await?;
            settle(state, reservation, &outcome).await?;
            app_response(outcome, new_tokens)
        }
        "refresh_token" => {
            let client = authenticate(state, headers, form, TOKEN, address).await?;
            let refresh_token = form.require("refresh_token")?;
            let reservation = reserve(state, &client, address).await?;
            let request = app_token_request(state, client, refresh_token);
            let new_tokens = request.new_tokens.clone();
            let requested_scope = form.get("scope").map(str::to_owned);
            let outcome =
                token_issuance::redeem_refresh_token(&state.store, request, requested_scope).await?;
            settle(state, reservation, &outcome).await?;
            app_response(outcome, new_tokens)
        }
        "client_credentials" => {
            form.require("client_assertion_type")?;
            form.require("client_assertion")?;
            let client = authenticate(state, headers, form, TOKEN, address).await?;
            issue_backend_token(state, client, form).await
        }
        _ => Err(Error::oauth(
            "unsupported_grant_type",
            "grant_type must be authorization_code, refresh_token or client_credentials",
        )),
    }
}

/// Counts a try to redeem a code or refresh token before it is looked up. Only public apps are counted: any other app
/// has proved who it is, and one address of it may present the expired codes of many members.
async fn reserve(
    state: &State,
    authenticated: &AuthenticatedClient,
    address: Option<IpAddr>,
) -> Result<Option<Reservation>> {
    if authenticated.method != AuthenticationMethod::None {
        return Ok(None);
    }
    let guess = Guess {
        kind: "code",
        name: &authenticated.client.client_id,
        address,
        is_shared: true,
    };
    throttle::reserve(state, &guess).await.map(Some)
}

/// Takes the try back unless the code or refresh token was wrong.
async fn settle(state: &State, reservation: Option<Reservation>, outcome: &TokenOutcome) -> Result<()> {
    match (reservation, outcome) {
        (None, _) | (_, TokenOutcome::InvalidGrant(_)) => Ok(()),
        (Some(reservation), _) => reservation.cancel(state).await,
    }
}

/// `presented` is the code or refresh token in the request.
fn app_token_request(state: &State, authenticated: AuthenticatedClient, presented: &str) -> AppTokenRequest {
    AppTokenRequest {
        client: authenticated.client,
        jti: authenticated.jti,
        presented_hash: fingerprint(presented),
        new_tokens: NewTokens {
            access: new_secret(),
            refresh: new_secret(),
        },
        audience: state.url(MEMBER_API),
        now: state.now(),
    }
}

/// The token response for a member's app (SMART App Launch 2.2). `patient` is the id of the member whose data the
/// access token is for.
fn app_response(outcome: TokenOutcome, new_tokens: NewTokens) -> Result<Value> {
    let IssuedTokens {
        scopes,
        member,
        has_refresh_token,
    } = match outcome {
        TokenOutcome::Issued(issued) => issued,
        TokenOutcome::InvalidGrant(reason) => return Err(invalid_grant(reason)),
        TokenOutcome::InvalidScope => {
            return Err(Error::oauth(
                "invalid_scope",
                "scope must be a subset of the granted scopes and must include access to at least one resource type",
            ));
        }
    };
    let mut body = json!({
        "access_token": new_tokens.access,
        "token_type": "Bearer",
        "expires_in": token_issuance::app_access_lifetime().num_seconds(),
        "scope": scopes.to_string(),
        "patient": member.to_string(),
        "need_patient_banner": true,
    });
    if has_refresh_token {
        crate::fhir::put(&mut body, "refresh_token", new_tokens.refresh.into());
    }
    Ok(body)
}

/// Issues an access token to a backend service (SMART Backend Services).
async fn issue_backend_token(
    state: &State,
    authenticated: AuthenticatedClient,
    form: &Parameters,
) -> Result<Value> {
    let AuthenticatedClient { client, method, jti } = authenticated;
    if method != AuthenticationMethod::SignedAssertion {
        return Err(invalid_client(
            "The grant type client_credentials requires a signed client_assertion",
        ));
    }
    let scopes = Scopes::parse(form.get("scope").unwrap_or(""))
        .narrowed(&Scopes::registered(&client.doc.scopes), &SYSTEM_SCOPES);
    if !scopes.include_resources() {
        return Err(Error::oauth(
            "invalid_scope",
            "None of the requested scopes can be granted to this client",
        ));
    }
    let access = new_secret();
    let now = state.now();
    let token = Token {
        hash: fingerprint(&access),
        kind: TokenKind::Access,
        client: client.id,
        grant: None,
        scope: scopes.to_string(),
        aud: state.config.public_url.clone(),
        created: now,
        expires: now + token_issuance::backend_access_lifetime(),
        ended: None,
    };
    token_issuance::issue_backend_token(&state.store, jti, token).await?;
    Ok(json!({
        "access_token": access,
        "token_type": "bearer",
        "expires_in": token_issuance::backend_access_lifetime().num_seconds(),
        "scope": scopes.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn new_tokens() -> NewTokens {
        NewTokens {
            access: "a".to_owned(),
            refresh: "r".to_owned(),
        }
    }

    #[test]
    fn an_app_without_offline_access_gets_no_refresh_token() {
        let issued = |has_refresh_token| IssuedTokens {
            scopes: Scopes::parse("patient/Patient.rs"),
            member: Uuid::nil(),
            has_refresh_token,
        };
        let body = app_response(TokenOutcome::Issued(issued(false)), new_tokens()).unwrap();
        assert_eq!(body.get("refresh_token"), None);
        assert_eq!(body["expires_in"], 3600);
        assert_eq!(body["patient"], Uuid::nil().to_string());
        let body = app_response(TokenOutcome::Issued(issued(true)), new_tokens()).unwrap();
        assert_eq!(body["refresh_token"], "r");
    }

    #[test]
    fn each_refused_outcome_has_its_oauth_error_code() {
        assert_eq!(
            app_response(TokenOutcome::InvalidGrant("x"), new_tokens())
                .unwrap_err()
                .oauth_code(),
            Some("invalid_grant")
        );
        assert_eq!(
            app_response(TokenOutcome::InvalidScope, new_tokens())
                .unwrap_err()
                .oauth_code(),
            Some("invalid_scope")
        );
    }
}
