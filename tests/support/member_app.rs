//! A member's app: SMART standalone launch, then reads with the access token.

use super::browser::location;
use super::ehr::form_body;
use super::{Browser, PUBLIC_URL, Reply, TestApp};
use assent::demo::seed::{APP, APP_REDIRECT};
use assent::demo::walk::http::form_with_field;
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// The scopes that the app requests.
pub const SCOPE: &str =
    "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.rs patient/Coverage.rs offline_access";

/// An app with its tokens for one member.
pub struct MemberApp<'a> {
    app: &'a TestApp,
    pub browser: Browser<'a>,
    pub access: String,
    pub refresh: String,
    pub patient: String,
}

impl<'a> MemberApp<'a> {
    pub async fn launch(app: &'a TestApp, username: &str) -> Self {
        let verifier = "a-verifier-of-more-than-forty-three-letters-in-all";
        let mut browser = Browser::new(app);
        let consent = browser.sign_in(&authorize_path(verifier, SCOPE), username).await;
        let form =
            form_with_field(&consent.text, "request").unwrap_or_else(|e| panic!("{e}: {}", consent.text));
        let reply = browser
            .send(&form, &[("answer", "allow"), ("sensitive", "include")])
            .await;
        let callback =
            url::Url::parse(&location(&reply).unwrap_or_else(|| panic!("{}", reply.text))).unwrap();
        let code = callback
            .query_pairs()
            .find(|(n, _)| n == "code")
            .unwrap()
            .1
            .into_owned();
        let tokens = exchange(app, &code, verifier).await.json(200);
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self {
            app,
            browser,
            access: text("access_token"),
            refresh: text("refresh_token"),
            patient: text("patient"),
        }
    }

    pub async fn read(&self, path: &str) -> Reply {
        self.app.get(path, Some(&self.access)).await
    }

    /// The member's prior authorizations (a searchset Bundle of ExplanationOfBenefit).
    pub async fn authorizations(&self) -> Value {
        let path = format!(
            "/fhir/pdex/ExplanationOfBenefit?patient={}&use=preauthorization",
            self.patient
        );
        self.read(&path).await.json(200)
    }

    pub async fn refresh(&self) -> Reply {
        let body = form_body(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &self.refresh),
            ("client_id", APP),
        ]);
        self.app
            .post("/oauth/token", None, "application/x-www-form-urlencoded", body)
            .await
    }
}

/// The path to which the app sends the member's browser.
pub fn authorize_path(verifier: &str, scope: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let query = form_body(&[
        ("response_type", "code"),
        ("client_id", APP),
        ("redirect_uri", APP_REDIRECT),
        ("scope", scope),
        ("state", "state-1"),
        ("aud", &format!("{PUBLIC_URL}/fhir/pdex")),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    format!("/oauth/authorize?{query}")
}

/// Exchanges an authorization code for tokens.
pub async fn exchange(app: &TestApp, code: &str, verifier: &str) -> Reply {
    let body = form_body(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", APP_REDIRECT),
        ("client_id", APP),
        ("code_verifier", verifier),
    ]);
    app.post("/oauth/token", None, "application/x-www-form-urlencoded", body)
        .await
}
