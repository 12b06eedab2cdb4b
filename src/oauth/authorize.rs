//! The authorization request of a member's app: checked here, shown and answered by the pages of `web`.
//! SMART App Launch 2.2 (standalone launch), RFC 6749 section 4.1, RFC 7636.
//!
//! A request with an unknown client or redirect address is never redirected: it gets a page. Every other fault goes
//! back to the app.

use super::{MEMBER_API, Parameters, client_login, exchange, pkce};
use crate::auth::scopes::FOR_APPS;
use crate::auth::{Client, Scopes, fingerprint};
use crate::clock::new_secret;
use crate::error::{Error, Result};
use crate::state::State;
use crate::store::oauth::{Code, Grant};
use crate::store::people::Login;
use chrono::Duration;
use url::Url;

/// A request that holds: what the consent page shows and what `allow` writes.
#[derive(Debug, Clone)]
pub struct AuthorizeRequest {
    /// The app.
    pub client: Client,
    /// Where the answer goes; one of the app's registered addresses.
    pub redirect_uri: String,
    /// The app's own value, given back unchanged.
    pub state: String,
    /// What the app would get.
    pub scopes: Scopes,
    /// PKCE: the S256 challenge.
    pub challenge: String,
    /// The request as it came, for the forms that carry it through sign-in and consent.
    pub query: String,
}

/// Why a request does not hold.
#[derive(Debug)]
pub enum Fault {
    /// Show this on a page of ours: nobody knows where the request comes from.
    Page(Error),
    /// Send the browser here: back to the app, with `error` and `state`.
    Redirect(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Page(error)
    }
}

impl AuthorizeRequest {
    /// The origin of the redirect address: the page's `form-action` must name it, or the browser stops the answer.
    pub fn redirect_origin(&self) -> String {
        Url::parse(&self.redirect_uri)
            .map(|url| url.origin().ascii_serialization())
            .unwrap_or_default()
    }

    /// Whether the app asked to keep its access without the member being there.
    pub fn lasts(&self) -> bool {
        self.scopes.has("offline_access")
    }

    /// How long the access holds without asking again; one that lasts starts anew with each use.
    pub fn duration(&self) -> Duration {
        if self.lasts() {
            exchange::refresh_waits()
        } else {
            exchange::app_access()
        }
    }
}

/// Checks the query (or the form) of `/oauth/authorize`.
pub async fn read(state: &State, query: &str) -> Result<AuthorizeRequest, Fault> {
    let asked = Parameters::read(query)?;
    let client_id = asked.require("client_id")?;
    let client = client_login::enabled(state, client_id)
        .await?
        .ok_or_else(|| Error::malformed("This app is not registered here"))?;
    let redirect_uri = asked.require("redirect_uri")?.to_owned();
    if !client.doc.redirect_uris.contains(&redirect_uri) || !client.doc.may_use(&redirect_uri) {
        return Err(
            Error::malformed("The app asked to send you to an address that it did not register").into(),
        );
    }
    let audience = state.url(MEMBER_API);
    match judge(&client, &asked, &audience) {
        Ok((scopes, challenge, own)) => Ok(AuthorizeRequest {
            client,
            redirect_uri,
            state: own,
            scopes,
            challenge,
            query: query.to_owned(),
        }),
        Err((code, message)) => {
            let back = [("error", code), ("error_description", message)];
            Err(Fault::Redirect(answer(&redirect_uri, &back, asked.get("state"))?))
        }
    }
}

/// What is wrong with a request whose app is known: the error code of RFC 6749 section 4.1.2.1 and a sentence.
type Wrong = (&'static str, &'static str);

/// The scopes that would be granted, the challenge and the app's state.
fn judge(client: &Client, asked: &Parameters, audience: &str) -> Result<(Scopes, String, String), Wrong> {
    const INVALID: &str = "invalid_request";
    match asked.get("response_type") {
        Some("code") => {}
        Some(_) => return Err(("unsupported_response_type", "response_type must be code")),
        None => return Err((INVALID, "The parameter response_type is missing")),
    }
    if asked.get("code_challenge_method") != Some("S256") {
        return Err((INVALID, "PKCE is needed: code_challenge_method must be S256"));
    }
    let challenge = asked
        .get("code_challenge")
        .filter(|text| pkce::is_challenge(text))
        .ok_or((
            INVALID,
            "PKCE is needed: code_challenge must be the base64url of a SHA-256",
        ))?;
    let own = asked
        .get("state")
        .ok_or((INVALID, "The parameter state is missing"))?;
    match asked.get("aud").or_else(|| asked.get("resource")) {
        Some(aud) if aud == audience => {}
        Some(_) => return Err((INVALID, "aud is not the FHIR base of this server")),
        None => return Err((INVALID, "The parameter aud is missing")),
    }
    if asked.get("launch").is_some() {
        return Err((
            INVALID,
            "This server knows no launch context: start without launch",
        ));
    }
    let scopes = Scopes::read(asked.get("scope").unwrap_or(""))
        .narrowed(&Scopes::registered(&client.doc.scopes), &FOR_APPS);
    if !scopes.reaches_data() {
        return Err(("invalid_scope", "None of the scopes can be granted to this app"));
    }
    Ok((scopes, challenge.to_owned(), own.to_owned()))
}

/// The member allows it: writes the grant and its code in one unit. Gives the address to send the browser to.
/// `sensitive` = the member shares what is marked sensitive too.
pub async fn allow(
    state: &State,
    request: &AuthorizeRequest,
    login: &Login,
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
    let stored = Code {
        code_hash: fingerprint(&code),
        grant_id: grant.id,
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        expires: now + Duration::seconds(60),
        used: None,
    };
    state
        .store
        .write((grant, stored), |tx, (grant, code)| {
            Box::pin(async move {
                tx.add_grant(grant).await?;
                tx.add_code(code).await
            })
        })
        .await?;
    answer(&request.redirect_uri, &[("code", &code)], Some(&request.state))
}

/// The member does not allow it. Gives the address to send the browser to.
pub fn deny(request: &AuthorizeRequest) -> Result<String> {
    let back = [
        ("error", "access_denied"),
        ("error_description", "The member did not allow it"),
    ];
    answer(&request.redirect_uri, &back, Some(&request.state))
}

/// The redirect address with the answer added to its query.
fn answer(redirect_uri: &str, pairs: &[(&str, &str)], state: Option<&str>) -> Result<String> {
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
    const GOOD: &str = "response_type=code&state=s1&aud=https://pa.example/fhir/pdex&code_challenge_method=S256\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
        &scope=launch/patient patient/ExplanationOfBenefit.rs patient/Observation.rs offline_access";

    fn judged(query: &str) -> Result<(Scopes, String, String), Wrong> {
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
        judge(&client, &Parameters::read(query).unwrap(), AUDIENCE)
    }

    #[test]
    fn a_sound_request_gets_what_can_be_granted() {
        let (scopes, challenge, state) = judged(GOOD).unwrap();
        assert_eq!(
            scopes.to_string(),
            "launch/patient patient/ExplanationOfBenefit.rs"
        );
        assert_eq!((challenge.len(), state.as_str()), (43, "s1"));
    }

    #[test]
    fn each_fault_has_its_code() {
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
                "aud=https://pa.example/fhir/pdex/",
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
                judged(&GOOD.replace(from, to)).unwrap_err().0,
                code,
                "{from} -> {to}"
            );
        }
        assert!(judged(&GOOD.replace("aud=", "resource=")).is_ok());
    }

    #[test]
    fn the_answer_keeps_the_query_of_the_address_and_escapes() {
        let url = answer("https://app.example/cb?a=1", &[("code", "x y")], Some("a&b=c")).unwrap();
        assert_eq!(url, "https://app.example/cb?a=1&code=x+y&state=a%26b%3Dc");
    }
}
