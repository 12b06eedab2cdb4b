//! A member's consent without the pages: what the consent page asks of the authorization server.

use super::ehr::form_body;
use super::{PUBLIC_URL, Reply, TestApp};
use assent::demo::seed::{APP, APP_REDIRECT};
use assent::oauth::authorize::{self, Fault};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The app's secret of one launch.
pub const VERIFIER: &str = "a-verifier-of-more-than-forty-three-letters-in-all";

/// The query of `/oauth/authorize` for these scopes, with some parameters changed or (`None`) left out.
pub fn authorize_query(scope: &str, changes: &[(&str, Option<&str>)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
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
    /// Where the browser is sent after the member allowed the request.
    pub async fn allowed(&self, username: &str, query: &str, sensitive: bool) -> Result<String, Fault> {
        let read = self.state.store.read(username.to_owned(), |tx, username| {
            Box::pin(async move { tx.login_by_username(username).await })
        });
        let login = read.await.unwrap().unwrap();
        let request = authorize::read(&self.state, query).await?;
        Ok(authorize::allow(&self.state, &request, &login, sensitive)
            .await
            .unwrap())
    }

    /// The code that the demo's app gets for these scopes.
    pub async fn code(&self, username: &str, scope: &str) -> String {
        let back = self
            .allowed(username, &authorize_query(scope, &[]), true)
            .await
            .unwrap();
        parameter(&back, "code").unwrap()
    }

    /// The demo app's tokens for these scopes: the whole answer of the token endpoint.
    pub async fn tokens(&self, username: &str, scope: &str) -> Value {
        let code = self.code(username, scope).await;
        self.token_request(&redemption(&code)).await.json(200)
    }

    /// A form sent to the token endpoint.
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

/// What the demo's app sends for a code.
pub fn redemption(code: &str) -> [(&str, &str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", APP_REDIRECT),
        ("client_id", APP),
        ("code_verifier", VERIFIER),
    ]
}

/// A parameter of an address's query.
pub fn parameter(address: &str, name: &str) -> Option<String> {
    let address = url::Url::parse(address).unwrap();
    address
        .query_pairs()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.into_owned())
}
