//! A member's consent without the pages: the calls that the consent page makes to the authorization server.

use super::ehr::form_body;
use super::{PUBLIC_URL, Reply, TestApp};
use assent::demo::seed::{APP, APP_REDIRECT};
use assent::oauth::authorize::{self, AuthorizeError};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// The PKCE code verifier of the demo app.
pub const VERIFIER: &str = "a-verifier-of-more-than-forty-three-letters-in-all";

/// The query of `/oauth/authorize` for these scopes. `changes` replaces parameters, or removes them (`None`).
pub fn authorize_query(scope: &str, changes: &[(&str, Option<&str>)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    let audience = format!("{PUBLIC_URL}/fhir/pdex");
    let usual = [
        ("response_type", "code"),
        ("client_id", APP),
        ("redirect_uri", APP_REDIRECT),
        ("scope", scope),
        ("state", "state-1"),
        ("aud", &audience),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let value = |name: &str, usual| {
        changes
            .iter()
            .find(|(n, _)| *n == name)
            .map_or(Some(usual), |(_, v)| *v)
    };
    let pairs: Vec<(&str, &str)> = usual
        .into_iter()
        .filter_map(|(name, usual)| Some((name, value(name, usual)?)))
        .collect();
    form_body(&pairs)
}

impl TestApp {
    /// Allows an authorization request as this member and returns the URL that the browser is redirected to.
    pub async fn allowed(
        &self,
        username: &str,
        query: &str,
        sensitive: bool,
    ) -> Result<String, AuthorizeError> {
        let read = self.state.store.read(username.to_owned(), |tx, username| {
            Box::pin(async move { tx.login_by_username(username).await })
        });
        let login = read.await.unwrap().unwrap();
        let request = authorize::validate(&self.state, query).await?;
        Ok(authorize::allow(&self.state, &request, &login, sensitive)
            .await
            .unwrap())
    }

    /// The authorization code that the demo app gets for these scopes.
    pub async fn code(&self, username: &str, scope: &str) -> String {
        let back = self
            .allowed(username, &authorize_query(scope, &[]), true)
            .await
            .unwrap();
        parameter(&back, "code").unwrap()
    }

    /// The token response that the demo app gets for these scopes.
    pub async fn tokens(&self, username: &str, scope: &str) -> Value {
        let code = self.code(username, scope).await;
        self.token_request(&redemption(&code)).await.json(200)
    }

    /// Sends a form to the token endpoint.
    pub async fn token_request(&self, fields: &[(&str, &str)]) -> Reply {
        self.post(
            "/oauth/token",
            None,
            "application/x-www-form-urlencoded",
            form_body(fields),
        )
        .await
    }
}

/// The parameters with which the demo app redeems a code.
pub fn redemption(code: &str) -> [(&str, &str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", APP_REDIRECT),
        ("client_id", APP),
        ("code_verifier", VERIFIER),
    ]
}

/// A parameter in the query of a URL.
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.into_owned())
}
