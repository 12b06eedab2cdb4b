//! `POST /oauth/token`: `authorization_code` with PKCE, `refresh_token` with rotation, `client_credentials` with a signed
//! assertion. RFC 6749 sections 4.1.3, 5 and 6; SMART App Launch 2.2, "Obtain access token" and Backend Services.

use super::client_login::{self, Known, Proof, as_invalid_client};
use super::exchange::{self, Bringing, Given, NewTokens, Outcome};
use super::{MEMBER_API, Parameters, TOKEN, invalid_client, invalid_grant, no_store};
use crate::auth::scopes::FOR_SYSTEMS;
use crate::auth::{Scopes, fingerprint};
use crate::clock::new_secret;
use crate::error::{Error, Kind, Result};
use crate::state::State;
use crate::store::oauth::{Token, TokenKind};
use crate::wire::OAuthFailure;
use axum::extract;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Answers a token request.
pub async fn post(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    form: Parameters,
) -> Response {
    match answer(&state, &headers, &form).await {
        Ok(body) => no_store(&body),
        Err(error) => refusal(as_invalid_client(error), &headers),
    }
}

/// An error; a client that tried Basic is told so in the same scheme (RFC 6749, section 5.2).
fn refusal(error: Error, headers: &HeaderMap) -> Response {
    let tried_basic = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .get(..6)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "))
        });
    let unknown = error.kind() == Kind::Unauthorized;
    let mut response = OAuthFailure::from(error).into_response();
    if unknown && tried_basic {
        let basic = HeaderValue::from_static("Basic realm=\"oauth\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    response
}

async fn answer(state: &State, headers: &HeaderMap, form: &Parameters) -> Result<Value> {
    match form.require("grant_type")? {
        "authorization_code" => {
            let known = client_login::known(state, headers, form, TOKEN).await?;
            let redirect_uri = form.require("redirect_uri")?.to_owned();
            let verifier = form.require("code_verifier")?.to_owned();
            let bringing = bringing(state, known, form.require("code")?);
            let new = bringing.new.clone();
            let outcome = exchange::of_code(&state.store, bringing, redirect_uri, verifier).await?;
            for_app(outcome, new)
        }
        "refresh_token" => {
            let known = client_login::known(state, headers, form, TOKEN).await?;
            let bringing = bringing(state, known, form.require("refresh_token")?);
            let new = bringing.new.clone();
            let asked = form.get("scope").map(str::to_owned);
            for_app(exchange::of_refresh(&state.store, bringing, asked).await?, new)
        }
        "client_credentials" => {
            form.require("client_assertion_type")?;
            form.require("client_assertion")?;
            let known = client_login::known(state, headers, form, TOKEN).await?;
            for_backend(state, known, form).await
        }
        _ => Err(Error::oauth(
            "unsupported_grant_type",
            "grant_type must be authorization_code, refresh_token or client_credentials",
        )),
    }
}

fn bringing(state: &State, known: Known, brought: &str) -> Bringing {
    Bringing {
        client: known.client,
        jti: known.jti,
        brought: fingerprint(brought),
        new: NewTokens {
            access: new_secret(),
            refresh: new_secret(),
        },
        audience: state.url(MEMBER_API),
        now: state.now(),
    }
}

/// The answer for a member's app (SMART App Launch 2.2): `patient` is the one whose data the token opens.
fn for_app(outcome: Outcome, new: NewTokens) -> Result<Value> {
    let Given {
        scopes,
        member,
        refresh,
    } = match outcome {
        Outcome::Given(given) => given,
        Outcome::Refused(why) => return Err(invalid_grant(why)),
        Outcome::TooMuch => {
            return Err(Error::oauth(
                "invalid_scope",
                "A refresh can ask for fewer scopes, not for more or for none",
            ));
        }
    };
    let mut body = json!({
        "access_token": new.access,
        "token_type": "Bearer",
        "expires_in": exchange::app_access().num_seconds(),
        "scope": scopes.to_string(),
        "patient": member.to_string(),
        "need_patient_banner": true,
    });
    if refresh {
        crate::fhir::put(&mut body, "refresh_token", new.refresh.into());
    }
    Ok(body)
}

async fn for_backend(state: &State, known: Known, form: &Parameters) -> Result<Value> {
    let Known { client, proof, jti } = known;
    if proof != Proof::Signed {
        return Err(invalid_client(
            "client_credentials needs a signed client_assertion",
        ));
    }
    let scopes = Scopes::read(form.get("scope").unwrap_or(""))
        .narrowed(&Scopes::registered(&client.doc.scopes), &FOR_SYSTEMS);
    if !scopes.reaches_data() {
        return Err(Error::oauth(
            "invalid_scope",
            "None of the scopes can be granted to this client",
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
        expires: now + exchange::backend_access(),
        ended: None,
    };
    exchange::for_backend(&state.store, jti, token).await?;
    Ok(json!({
        "access_token": access,
        "token_type": "bearer",
        "expires_in": exchange::backend_access().num_seconds(),
        "scope": scopes.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn new() -> NewTokens {
        NewTokens {
            access: "a".to_owned(),
            refresh: "r".to_owned(),
        }
    }

    #[test]
    fn an_app_without_offline_access_gets_no_refresh_token() {
        let given = |refresh| Given {
            scopes: Scopes::read("patient/Patient.rs"),
            member: Uuid::nil(),
            refresh,
        };
        let body = for_app(Outcome::Given(given(false)), new()).unwrap();
        assert_eq!(body.get("refresh_token"), None);
        assert_eq!(body["expires_in"], 3600);
        assert_eq!(body["patient"], Uuid::nil().to_string());
        let body = for_app(Outcome::Given(given(true)), new()).unwrap();
        assert_eq!(body["refresh_token"], "r");
    }

    #[test]
    fn what_does_not_hold_has_its_own_code() {
        assert_eq!(
            for_app(Outcome::Refused("x"), new()).unwrap_err().oauth_code(),
            Some("invalid_grant")
        );
        assert_eq!(
            for_app(Outcome::TooMuch, new()).unwrap_err().oauth_code(),
            Some("invalid_scope")
        );
    }
}
