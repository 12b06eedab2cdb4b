//! How a client proves who it is at the endpoints of this door: a signed assertion (`private_key_jwt`), a secret in
//! Basic or in the form, or, for a public app, its `client_id` alone. One way per request (RFC 6749, section 2.3).
//! SMART App Launch 2.2, "Client Authentication"; RFC 7523.

use super::{Parameters, TOKEN, invalid_client, invalid_request};
use crate::auth::{Client, Jti, JtiReplay, fingerprint, jwks, jwt, same};
use crate::error::{Error, Kind, Result};
use crate::state::State;
use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Duration;
use url::form_urlencoded;

/// The one type of assertion that is taken.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a client showed who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It signed.
    Signed,
    /// It knows its secret.
    Secret,
    /// It is public and proves nothing.
    None,
}

/// A client that is who it says.
#[derive(Debug)]
pub struct Known {
    /// The client.
    pub client: Client,
    /// How that is known.
    pub proof: Proof,
    /// The assertion's id, to be spent in the unit of the answer.
    pub jti: Option<Jti>,
}

/// Finds out which client calls `path`.
pub async fn known(state: &State, headers: &HeaderMap, form: &Parameters, path: &str) -> Result<Known> {
    let basic = basic(headers)?;
    let assertion = form.get("client_assertion");
    if form
        .get("client_assertion_type")
        .is_some_and(|kind| kind != ASSERTION)
    {
        return Err(invalid_request("client_assertion_type must be jwt-bearer"));
    }
    match (assertion, basic, form.get("client_secret")) {
        (Some(assertion), None, None) => {
            if form.get("client_assertion_type").is_none() {
                return Err(invalid_request("The parameter client_assertion_type is missing"));
            }
            signed(state, assertion, form.get("client_id"), path).await
        }
        (None, Some((id, secret)), None) => {
            if form.get("client_id").is_some_and(|other| other != id) {
                return Err(invalid_request(
                    "client_id differs from the one in the Authorization header",
                ));
            }
            by_secret(state, &id, &secret).await
        }
        (None, None, Some(secret)) => by_secret(state, form.require("client_id")?, secret).await,
        (None, None, None) => public(state, form).await,
        _ => Err(invalid_request(
            "Use one way to show who the client is, not several",
        )),
    }
}

/// The client with this id that is not disabled.
pub async fn enabled(state: &State, client_id: &str) -> Result<Option<Client>> {
    let found = state
        .store
        .read(client_id.to_owned(), |tx, id| {
            Box::pin(async move { tx.client_by_client_id(id).await })
        })
        .await?;
    Ok(found.filter(|client| !client.disabled))
}

/// One sentence for everything that a stranger could learn from.
fn unknown() -> Error {
    invalid_client("The client is not known here, or its proof does not hold")
}

async fn by_secret(state: &State, client_id: &str, secret: &str) -> Result<Known> {
    let client = enabled(state, client_id).await?.ok_or_else(unknown)?;
    let held = client
        .doc
        .secret_hash
        .as_deref()
        .is_some_and(|stored| same(stored, &fingerprint(secret)));
    if held {
        Ok(Known {
            client,
            proof: Proof::Secret,
            jti: None,
        })
    } else {
        Err(unknown())
    }
}

async fn public(state: &State, form: &Parameters) -> Result<Known> {
    let Some(client_id) = form.get("client_id") else {
        return Err(invalid_request("The request does not show which client sends it"));
    };
    let client = enabled(state, client_id).await?.ok_or_else(unknown)?;
    if client.doc.public {
        Ok(Known {
            client,
            proof: Proof::None,
            jti: None,
        })
    } else {
        Err(unknown())
    }
}

async fn signed(state: &State, assertion: &str, client_id: Option<&str>, path: &str) -> Result<Known> {
    let read = jwt::read(assertion).map_err(|fault| invalid_client(fault.message()))?;
    let issuer = read.claimed_issuer();
    if client_id.is_some_and(|other| other != issuer) {
        return Err(invalid_client("client_id differs from the assertion's iss"));
    }
    let client = enabled(state, issuer).await?.ok_or_else(unknown)?;
    let claims = jwks::verify(state, &client, &read, &jwt::FOR_TOKENS)
        .await
        .map_err(as_invalid_client)?;
    if claims.sub.as_deref() != Some(client.client_id.as_str()) {
        return Err(invalid_client(
            "The assertion's sub must be the client_id, as its iss is",
        ));
    }
    if !claims.is_for(&[&state.url(TOKEN), &state.url(path)]) {
        return Err(invalid_client(
            "The assertion's aud must be the address of the token endpoint",
        ));
    }
    let seen = state.now();
    let expires = claims
        .check_times(seen, Duration::minutes(5))
        .map_err(|fault| invalid_client(fault.message()))?;
    let jti = claims
        .jti
        .clone()
        .ok_or_else(|| invalid_client("The assertion has no jti"))?;
    let jti = Jti {
        issuer: claims.iss.clone(),
        jti,
        expires,
        replay: JtiReplay::Strict,
        seen,
    };
    Ok(Known {
        client,
        proof: Proof::Signed,
        jti: Some(jti),
    })
}

/// What `auth` says of a token that does not hold, in this door's form; faults of ours stay what they are.
pub fn as_invalid_client(error: Error) -> Error {
    if error.kind() != Kind::Unauthorized || error.oauth_code().is_some() {
        return error;
    }
    let told = invalid_client(error.message());
    match error.log_line() {
        Some(line) => told.logged(line),
        None => told,
    }
}

/// `Authorization: Basic`: id and secret, each form-encoded (RFC 6749, section 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>> {
    let Some(value) = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) else {
        return Ok(None);
    };
    let Some((scheme, rest)) = value.split_once(' ') else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let unreadable = || invalid_request("The Authorization header cannot be read");
    let text = STANDARD.decode(rest.trim()).map_err(|_| unreadable())?;
    let text = String::from_utf8(text).map_err(|_| unreadable())?;
    let (id, secret) = text.split_once(':').ok_or_else(unreadable)?;
    Ok(Some((decoded(id), decoded(secret))))
}

/// Undoes form encoding of one word. `&` and `=` in it are letters, not separators.
fn decoded(text: &str) -> String {
    let guarded = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(guarded.as_bytes())
        .next()
        .map(|(word, _)| word.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn basic_is_read_with_its_form_encoding() {
        let value = format!("Basic {}", STANDARD.encode("my%20app:a%3Ab%2Bc=&"));
        assert_eq!(
            basic(&with(&value)).unwrap(),
            Some(("my app".to_owned(), "a:b+c=&".to_owned()))
        );
    }

    #[test]
    fn another_scheme_is_no_basic_and_a_broken_one_is_told() {
        assert_eq!(basic(&with("Bearer abc")).unwrap(), None);
        assert_eq!(basic(&HeaderMap::new()).unwrap(), None);
        assert!(basic(&with("Basic ???")).is_err());
        assert!(basic(&with(&format!("Basic {}", STANDARD.encode("nocolon")))).is_err());
    }

    #[test]
    fn a_fault_of_ours_does_not_become_the_clients() {
        assert_eq!(
            as_invalid_client(Error::unauthorized("x")).oauth_code(),
            Some("invalid_client")
        );
        assert_eq!(
            as_invalid_client(Error::unavailable("x")).kind(),
            Kind::Unavailable
        );
    }
}
