//! Client authentication at the endpoints of this module: a signed assertion (`private_key_jwt`), a client secret in
//! Basic authentication or in the form, or, for a public client, its `client_id` alone. A request may use one method
//! only (RFC 6749, section 2.3; RFC 7523; SMART App Launch 2.2, "Client Authentication").

use super::parameters::LONGEST_NAME;
use super::{Parameters, TOKEN, invalid_client, invalid_request};
use crate::auth::throttle::{self, Guess};
use crate::auth::{Client, Jti, JtiReplay, constant_time_eq, fingerprint, jwks, jwt};
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::json::is_storable;
use crate::state::State;
use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Duration;
use std::borrow::Cow;
use std::net::IpAddr;
use url::form_urlencoded;

/// The supported value of `client_assertion_type` (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a client authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationMethod {
    /// With a signed assertion (`private_key_jwt`).
    SignedAssertion,
    /// With its secret (`client_secret_basic` or `client_secret_post`).
    ClientSecret,
    /// Not at all: a public client, identified by its `client_id`.
    None,
}

/// The client that sends a request.
#[derive(Debug)]
pub struct AuthenticatedClient {
    /// The client.
    pub client: Client,
    /// How it authenticated.
    pub method: AuthenticationMethod,
    /// The `jti` of its assertion. The unit of work that stores the response spends it.
    pub jti: Option<Jti>,
}

/// The credentials in a request, not yet checked.
enum ClientCredentials<'a> {
    /// `client_assertion`, with the `client_id` that may be sent along.
    Assertion {
        assertion: &'a str,
        client_id: Option<&'a str>,
    },
    /// A client secret, from Basic authentication or from the form.
    Secret {
        client_id: Cow<'a, str>,
        secret: Cow<'a, str>,
    },
    /// The `client_id` of a public client.
    Public { client_id: &'a str },
}

impl<'a> ClientCredentials<'a> {
    /// Reads the credentials. `invalid_request` if there are none or more than one.
    fn read(headers: &HeaderMap, form: &'a Parameters) -> Result<Self> {
        let basic = basic_credentials(headers)?;
        let assertion_type = form.get("client_assertion_type");
        if assertion_type.is_some_and(|assertion_type| assertion_type != JWT_BEARER) {
            return Err(invalid_request(format!(
                "client_assertion_type must be {JWT_BEARER}"
            )));
        }
        let client_id = form.get("client_id");
        match (form.get("client_assertion"), basic, form.get("client_secret")) {
            (Some(assertion), None, None) => {
                form.require("client_assertion_type")?;
                Ok(Self::Assertion { assertion, client_id })
            }
            (None, Some((id, secret)), None) => {
                if client_id.is_some_and(|other| other != id) {
                    return Err(invalid_request(
                        "client_id does not match the client id in the Authorization header",
                    ));
                }
                Ok(Self::Secret {
                    client_id: id.into(),
                    secret: secret.into(),
                })
            }
            (None, None, Some(secret)) => Ok(Self::Secret {
                client_id: form.require("client_id")?.into(),
                secret: secret.into(),
            }),
            (None, None, None) => match client_id {
                Some(client_id) => Ok(Self::Public { client_id }),
                None => Err(invalid_request(
                    "The request has neither client authentication nor a client_id",
                )),
            },
            _ => Err(invalid_request(
                "The request has more than one client authentication. Use one method (RFC 6749, section 2.3)",
            )),
        }
    }
}

/// Authenticates the client that calls `path`.
///
/// # Errors
///
/// `invalid_request` if the credentials cannot be read, `invalid_client` if they are wrong or the client is unknown or
/// disabled, `TooManyRequests` if there were too many wrong secrets.
pub async fn authenticate(
    state: &State,
    headers: &HeaderMap,
    form: &Parameters,
    path: &str,
    address: Option<IpAddr>,
) -> Result<AuthenticatedClient> {
    match ClientCredentials::read(headers, form)? {
        ClientCredentials::Assertion { assertion, client_id } => {
            check_assertion(state, assertion, client_id, path).await
        }
        ClientCredentials::Secret { client_id, secret } => {
            let guess = Guess {
                kind: "client-secret",
                name: &client_id,
                address,
                is_shared: false,
            };
            let reservation = throttle::reserve(state, &guess).await?;
            let authenticated = check_secret(state, &client_id, &secret).await?;
            reservation.succeed(state).await?;
            Ok(authenticated)
        }
        ClientCredentials::Public { client_id } => find_public_client(state, client_id).await,
    }
}

/// Finds the client with this `client_id`. `None` if it is unknown or disabled.
pub async fn find_enabled_client(state: &State, client_id: &str) -> Result<Option<Client>> {
    let found = state
        .store
        .read_one(client_id.to_owned(), |tx, id| {
            Box::pin(async move { tx.client_by_client_id(id).await })
        })
        .await?;
    Ok(found.filter(|client| !client.disabled))
}

/// The same error for an unknown client and for wrong credentials, so that a caller cannot find out which clients
/// exist.
fn authentication_failed() -> Error {
    invalid_client("The client is unknown or its credentials are not valid")
}

async fn check_secret(state: &State, client_id: &str, secret: &str) -> Result<AuthenticatedClient> {
    let client = find_enabled_client(state, client_id)
        .await?
        .ok_or_else(authentication_failed)?;
    let is_right = client
        .doc
        .secret_hash
        .as_deref()
        .is_some_and(|stored| constant_time_eq(stored, &fingerprint(secret)));
    if is_right {
        Ok(AuthenticatedClient {
            client,
            method: AuthenticationMethod::ClientSecret,
            jti: None,
        })
    } else {
        Err(authentication_failed())
    }
}

async fn find_public_client(state: &State, client_id: &str) -> Result<AuthenticatedClient> {
    let client = find_enabled_client(state, client_id)
        .await?
        .ok_or_else(authentication_failed)?;
    if client.doc.public {
        Ok(AuthenticatedClient {
            client,
            method: AuthenticationMethod::None,
            jti: None,
        })
    } else {
        Err(authentication_failed())
    }
}

async fn check_assertion(
    state: &State,
    assertion: &str,
    client_id: Option<&str>,
    path: &str,
) -> Result<AuthenticatedClient> {
    let unverified = jwt::parse(assertion).map_err(|fault| invalid_client(fault.message()))?;
    let issuer = unverified.claimed_issuer();
    if client_id.is_some_and(|other| other != issuer) {
        return Err(invalid_client(
            "client_id does not match the iss of the client_assertion",
        ));
    }
    let client = find_enabled_client(state, issuer)
        .await?
        .ok_or_else(authentication_failed)?;
    let claims = jwks::verify(state, &client, &unverified, &jwt::CLIENT_ASSERTION_ALGORITHMS)
        .await
        .map_err(as_invalid_client)?;
    if claims.sub.as_deref() != Some(client.client_id.as_str()) {
        return Err(invalid_client(
            "The iss and sub of the client_assertion must both be the client_id",
        ));
    }
    if !claims.is_for(&[&state.url(TOKEN), &state.url(path)]) {
        return Err(invalid_client(
            "The aud of the client_assertion must be the URL of the token endpoint",
        ));
    }
    let seen = state.now();
    let expires = claims
        .check_times(seen, Duration::minutes(5))
        .map_err(|fault| invalid_client(fault.message()))?;
    let jti = claims
        .jti
        .clone()
        .ok_or_else(|| invalid_client("The client_assertion has no jti"))?;
    let jti = Jti {
        issuer: claims.iss.clone(),
        jti,
        expires,
        replay: JtiReplay::Strict,
        seen,
    };
    Ok(AuthenticatedClient {
        client,
        method: AuthenticationMethod::SignedAssertion,
        jti: Some(jti),
    })
}

/// Turns an `Unauthorized` error of `auth` into `invalid_client`. Any other error stays as it is.
pub fn as_invalid_client(error: Error) -> Error {
    if error.kind() != ErrorKind::Unauthorized || error.oauth_code().is_some() {
        return error;
    }
    let converted = invalid_client(error.message());
    match error.log_detail() {
        Some(detail) => converted.with_log_detail(detail),
        None => converted,
    }
}

/// The client id and secret in `Authorization: Basic`, each form-encoded (RFC 6749, section 2.3.1). `None` for another
/// scheme or no header.
fn basic_credentials(headers: &HeaderMap) -> Result<Option<(String, String)>> {
    let Some(value) = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) else {
        return Ok(None);
    };
    let Some((scheme, rest)) = value.split_once(' ') else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let unreadable = || invalid_request("The Authorization header is not valid Basic authentication");
    let text = STANDARD.decode(rest.trim()).map_err(|_| unreadable())?;
    let text = String::from_utf8(text).map_err(|_| unreadable())?;
    let (id, secret) = text.split_once(':').ok_or_else(unreadable)?;
    let (id, secret) = (form_decode(id), form_decode(secret));
    let is_usable = |text: &str| text.len() <= LONGEST_NAME && is_storable(text);
    if is_usable(&id) && is_usable(&secret) {
        Ok(Some((id, secret)))
    } else {
        Err(unreadable())
    }
}

/// Decodes one form-encoded value. `&` and `=` in it are not separators.
fn form_decode(text: &str) -> String {
    let escaped = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map(|(value, _)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers_with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn basic_credentials_are_form_decoded() {
        let value = format!("Basic {}", STANDARD.encode("my%20app:a%3Ab%2Bc=&"));
        assert_eq!(
            basic_credentials(&headers_with(&value)).unwrap(),
            Some(("my app".to_owned(), "a:b+c=&".to_owned()))
        );
    }

    #[test]
    fn another_scheme_is_ignored_and_invalid_basic_authentication_is_an_error() {
        assert_eq!(basic_credentials(&headers_with("Bearer abc")).unwrap(), None);
        assert_eq!(basic_credentials(&HeaderMap::new()).unwrap(), None);
        assert!(basic_credentials(&headers_with("Basic ???")).is_err());
        for unusable in [
            "a%00:b".to_owned(),
            "a:b\0".to_owned(),
            format!("{}:b", "x".repeat(201)),
        ] {
            let value = format!("Basic {}", STANDARD.encode(unusable));
            assert!(basic_credentials(&headers_with(&value)).is_err());
        }
        assert!(basic_credentials(&headers_with(&format!("Basic {}", STANDARD.encode("nocolon")))).is_err());
    }

    #[test]
    fn only_an_unauthorized_error_becomes_invalid_client() {
        assert_eq!(
            as_invalid_client(Error::unauthorized("x")).oauth_code(),
            Some("invalid_client")
        );
        assert_eq!(
            as_invalid_client(Error::unavailable("x")).kind(),
            ErrorKind::Unavailable
        );
    }
}
