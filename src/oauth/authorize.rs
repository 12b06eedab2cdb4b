//! The authorization request of a member's app (SMART App Launch 2.2, standalone launch; RFC 6749, section 4.1; RFC
//! 7636). This module validates it; the pages in `web` show it and post the member's choice.
//!
//! A request with an unknown client or redirect URI is never redirected; the member sees an error page. Every other
//! error is returned to the app.

use super::client_authentication::find_enabled_client;
use super::{MEMBER_API, Parameters, pkce, token_issuance};
use crate::auth::scopes::APP_SCOPES;
use crate::auth::{Client, Scopes, fingerprint};
use crate::clock::new_secret;
use crate::error::{Error, Result};
use crate::state::State;
use crate::store::accounts::MemberLogin;
use crate::store::oauth::{AuthorizationCode, Grant};
use chrono::Duration;
use url::Url;

/// A valid authorization request.
#[derive(Debug, Clone)]
pub struct AuthorizeRequest {
    /// The app.
    pub client: Client,
    /// The redirect URI; one of those registered for the app.
    pub redirect_uri: String,
    /// The app's `state` value, returned unchanged.
    pub state: String,
    /// The scopes that the app would get.
    pub scopes: Scopes,
    /// The PKCE code challenge (S256).
    pub challenge: String,
    /// The query of the request, for the forms that carry it through sign-in and consent.
    pub query: String,
}

/// Why an authorization request is refused.
#[derive(Debug)]
pub enum AuthorizeError {
    /// Show this error on a page. The app or its redirect URI is not known, so there is no safe place to redirect to.
    Page(Error),
    /// Redirect the browser to this URL: back to the app, with `error` and `state`.
    Redirect(String),
}

impl From<Error> for AuthorizeError {
    fn from(error: Error) -> Self {
        Self::Page(error)
    }
}

impl AuthorizeRequest {
    /// The origin of the redirect URI. The consent page's `form-action` policy must allow it, or the browser blocks the
    /// redirect.
    pub fn redirect_origin(&self) -> String {
        Url::parse(&self.redirect_uri)
            .map(|url| url.origin().ascii_serialization())
            .unwrap_or_default()
    }

    /// Whether the app requested access while the member is not present (`offline_access`).
    pub fn is_offline(&self) -> bool {
        self.scopes.has("offline_access")
    }

    /// How long the app has access without asking again. With `offline_access`, each use starts this time anew.
    pub fn access_duration(&self) -> Duration {
        if self.is_offline() {
            token_issuance::refresh_lifetime()
        } else {
            token_issuance::app_access_lifetime()
        }
    }
}

/// Validates the authorization request in the query (or the form) of `/oauth/authorize`.
pub async fn validate(state: &State, query: &str) -> Result<AuthorizeRequest, AuthorizeError> {
    let parameters = Parameters::parse(query)?;
    let client_id = parameters.require("client_id")?;
    let client = find_enabled_client(state, client_id)
        .await?
        .ok_or_else(|| Error::malformed("This app is not registered with your plan (client_id)"))?;
    let redirect_uri = parameters.require("redirect_uri")?.to_owned();
    if !client.doc.redirect_uris.contains(&redirect_uri) || !client.doc.allows_url(&redirect_uri) {
        return Err(Error::malformed(
            "The app asked to send you to an address that is not registered for it (redirect_uri)",
        )
        .into());
    }
    let audience = state.url(MEMBER_API);
    match validate_parameters(&client, &parameters, &audience) {
        Ok(valid) => Ok(AuthorizeRequest {
            client,
            redirect_uri,
            state: valid.state,
            scopes: valid.scopes,
            challenge: valid.challenge,
            query: query.to_owned(),
        }),
        Err((code, description)) => {
            let pairs = [("error", code), ("error_description", description)];
            let url = redirect_url(&redirect_uri, &pairs, parameters.get("state"))?;
            Err(AuthorizeError::Redirect(url))
        }
    }
}

/// The values of a valid request.
#[derive(Debug)]
struct ValidParameters {
    scopes: Scopes,
    challenge: String,
    state: String,
}

/// The `error` code (RFC 6749, section 4.1.2.1) and the `error_description` that are returned to the app.
type RedirectError = (&'static str, &'static str);

/// Validates all parameters other than `client_id` and `redirect_uri`. `audience` is the URL of the member API.
fn validate_parameters(
    client: &Client,
    parameters: &Parameters,
    audience: &str,
) -> Result<ValidParameters, RedirectError> {
    const INVALID: &str = "invalid_request";
    match parameters.get("response_type") {
        Some("code") => {}
        Some(_) => return Err(("unsupported_response_type", "response_type must be code")),
        None => return Err((INVALID, "The parameter response_type is missing")),
    }
    if parameters.get("code_challenge_method") != Some("S256") {
        return Err((INVALID, "PKCE is required: code_challenge_method must be S256"));
    }
    let challenge = parameters
        .get("code_challenge")
        .filter(|text| pkce::is_challenge(text))
        .ok_or((
            INVALID,
            "PKCE is required: code_challenge must be a SHA-256 hash in base64url",
        ))?;
    let state = parameters
        .get("state")
        .ok_or((INVALID, "The parameter state is missing"))?;
    match parameters.get("aud").or_else(|| parameters.get("resource")) {
        Some(aud) if aud.trim_end_matches('/') == audience => {}
        Some(_) => return Err((INVALID, "aud must be the URL of this server's member API")),
        None => return Err((INVALID, "The parameter aud is missing")),
    }
    if parameters.get("launch").is_some() {
        return Err((
            INVALID,
            "The parameter launch is not supported. Use a standalone launch",
        ));
    }
    let scopes = Scopes::parse(parameters.get("scope").unwrap_or(""))
        .narrowed(&Scopes::registered(&client.doc.scopes), &APP_SCOPES);
    if !scopes.include_resources() {
        return Err((
            "invalid_scope",
            "None of the requested scopes can be granted to this app",
        ));
    }
    Ok(ValidParameters {
        scopes,
        challenge: challenge.to_owned(),
        state: state.to_owned(),
    })
}

/// The member allows the request. Stores the grant and an authorization code in one unit of work, and returns the URL
/// to redirect the browser to. `sensitive` says whether the member shares sensitive care too.
pub async fn allow(
    state: &State,
    request: &AuthorizeRequest,
    login: &MemberLogin,
    sensitive: bool,
) -> Result<String> {
    let code = new_secret();
    let now = state.now();
    let grant = Grant {
        id: state.new_id(),
        client: request.client.id,
        login: login.id,
        member: login.member,
        scope: request.scopes.to_string(),
        sensitive,
        created: now,
        last_used: None,
        ended: None,
    };
    let stored_code = AuthorizationCode {
        code_hash: fingerprint(&code),
        grant_id: grant.id,
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        expires: now + Duration::seconds(60),
        used: None,
    };
    state
        .store
        .write((grant, stored_code), |tx, (grant, code)| {
            Box::pin(async move {
                tx.add_grant(grant).await?;
                tx.add_authorization_code(code).await
            })
        })
        .await?;
    redirect_url(&request.redirect_uri, &[("code", &code)], Some(&request.state))
}

/// The member does not allow the request. Returns the URL to redirect the browser to.
pub fn deny(request: &AuthorizeRequest) -> Result<String> {
    let pairs = [
        ("error", "access_denied"),
        ("error_description", "The member did not allow access"),
    ];
    redirect_url(&request.redirect_uri, &pairs, Some(&request.state))
}

/// The redirect URI with these parameters and `state` added to its query.
fn redirect_url(redirect_uri: &str, pairs: &[(&str, &str)], state: Option<&str>) -> Result<String> {
    let mut url = Url::parse(redirect_uri).map_err(Error::internal)?;
    url.query_pairs_mut()
        .extend_pairs(pairs)
        .extend_pairs(state.map(|state| ("state", state)));
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{ClientDoc, registration::new_client};

    const AUDIENCE: &str = "https://pa.example/fhir/pdex";
    const VALID_QUERY: &str = "response_type=code&state=s1&aud=https://pa.example/fhir/pdex&code_challenge_method=S256\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
        &scope=launch/patient patient/ExplanationOfBenefit.rs patient/Observation.rs offline_access";

    fn validated(query: &str) -> Result<ValidParameters, RedirectError> {
        let doc = ClientDoc {
            scopes: vec!["patient/*.rs".to_owned()],
            ..ClientDoc::default()
        };
        let client = new_client(
            "app",
            "App",
            doc,
            chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        );
        validate_parameters(&client, &Parameters::parse(query).unwrap(), AUDIENCE)
    }

    #[test]
    fn a_valid_request_gets_the_scopes_that_can_be_granted() {
        let ValidParameters {
            scopes,
            challenge,
            state,
        } = validated(VALID_QUERY).unwrap();
        assert_eq!(
            scopes.to_string(),
            "launch/patient patient/ExplanationOfBenefit.rs"
        );
        assert_eq!((challenge.len(), state.as_str()), (43, "s1"));
    }

    #[test]
    fn each_invalid_parameter_has_its_error_code() {
        for (from, to, code) in [
            (
                "response_type=code",
                "response_type=token",
                "unsupported_response_type",
            ),
            ("response_type=code", "", "invalid_request"),
            ("=S256", "=plain", "invalid_request"),
            ("code_challenge=E9", "code_challenge=", "invalid_request"),
            ("state=s1", "state=", "invalid_request"),
            (
                "aud=https://pa.example/fhir/pdex",
                "aud=https://pa.example/fhir/pdex/Patient",
                "invalid_request",
            ),
            ("aud=", "aux=", "invalid_request"),
            (
                "patient/ExplanationOfBenefit.rs",
                "patient/Condition.rs",
                "invalid_scope",
            ),
            ("scope=", "scape=", "invalid_scope"),
        ] {
            assert_eq!(
                validated(&VALID_QUERY.replace(from, to)).unwrap_err().0,
                code,
                "{from} -> {to}"
            );
        }
        assert!(validated(&VALID_QUERY.replace("aud=", "resource=")).is_ok());
        assert!(validated(&VALID_QUERY.replace("/fhir/pdex", "/fhir/pdex/")).is_ok());
    }

    #[test]
    fn the_redirect_url_keeps_its_query_and_escapes_values() {
        let url = redirect_url("https://app.example/cb?a=1", &[("code", "x y")], Some("a&b=c")).unwrap();
        assert_eq!(url, "https://app.example/cb?a=1&code=x+y&state=a%26b%3Dc");
    }
}
