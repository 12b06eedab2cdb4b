//! An EHR as a client of the server: access tokens of SMART Backend Services, hook calls, FHIR operations.

use super::{PUBLIC_URL, Reply, TestApp};
use assent::auth::keys::KeyPair;
use assent::demo::keys;
use serde_json::{Value, json};

/// An EHR with an access token.
pub struct Ehr<'a> {
    app: &'a TestApp,
    issuer: &'static str,
    pub key: KeyPair,
    pub token: String,
}

impl<'a> Ehr<'a> {
    pub async fn sign_in(app: &'a TestApp, client_id: &str, issuer: &'static str) -> Self {
        let key = keys::client_key(app.data.path(), client_id).unwrap();
        let mut ehr = Self {
            app,
            issuer,
            key,
            token: String::new(),
        };
        let scope = "system/Claim.cruds system/Subscription.cruds system/Questionnaire.rs system/Library.rs";
        ehr.token = ehr.token_for(client_id, scope).await;
        ehr
    }

    /// Requests an access token for a scope.
    pub async fn token_for(&self, client_id: &str, scope: &str) -> String {
        let assertion = self.jwt(client_id, &format!("{PUBLIC_URL}/oauth/token"));
        let body = form_body(&[
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &assertion),
            ("scope", scope),
        ]);
        let reply = self
            .app
            .post("/oauth/token", None, "application/x-www-form-urlencoded", body)
            .await;
        reply.json(200)["access_token"].as_str().unwrap().to_owned()
    }

    /// A signed JWT with a new `jti`.
    pub fn jwt(&self, issuer: &str, audience: &str) -> String {
        let now = self.app.clock.now().timestamp();
        let jti = self.app.messages().uuid();
        self.signed(&json!({
            "iss": issuer, "sub": issuer, "aud": audience, "iat": now, "exp": now + 240, "jti": jti,
        }))
    }

    /// A signed JWT with these claims.
    pub fn signed(&self, claims: &Value) -> String {
        self.key.sign(claims).unwrap()
    }

    /// Calls a hook with a new JWT.
    pub async fn hook(&self, service: &str, body: &Value) -> Reply {
        let path = format!("/cds-services/{service}");
        let token = self.jwt(self.issuer, &format!("{PUBLIC_URL}{path}"));
        self.app
            .post(&path, Some(&token), "application/json", body.to_string())
            .await
    }

    /// Posts FHIR JSON with the access token.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.app
            .post(path, Some(&self.token), "application/fhir+json", body.to_string())
            .await
    }

    /// Calls `Claim/$submit`.
    pub async fn submit(&self, bundle: &Value) -> Reply {
        self.post("/pas/2.2/Claim/$submit", bundle).await
    }

    /// Calls `Claim/$submit`, expects 200 and returns the `ClaimResponse`.
    pub async fn submitted(&self, bundle: &Value) -> Value {
        self.submit(bundle).await.json(200)["entry"][0]["resource"].clone()
    }

    /// Calls `Claim/$inquire`.
    pub async fn inquire(&self, bundle: &Value) -> Reply {
        self.post("/pas/2.2/Claim/$inquire", bundle).await
    }

    /// Calls `$questionnaire-package`.
    pub async fn package(&self, input: &Value) -> Reply {
        self.post("/dtr/2.2/Questionnaire/$questionnaire-package", input)
            .await
    }
}

/// A body of the type `application/x-www-form-urlencoded`.
pub fn form_body(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}
