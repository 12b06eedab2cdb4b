//! Backend services at the token endpoint (SMART Backend Services), and invalid token requests.

use super::{ALL_SCOPES, oauth_error, refresh, text};
use crate::support::consent::redemption;
use crate::support::ehr::form_body;
use crate::support::{Ehr, PUBLIC_URL, Reply, TestApp, both};
use assent::demo::keys::client_key;
use assent::demo::seed::{EHR, OTHER_EHR};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Duration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn claims(app: &TestApp) -> Value {
    let now = app.clock.now().timestamp();
    let jti = app.messages().uuid();
    json!({ "iss": EHR, "sub": EHR, "aud": format!("{PUBLIC_URL}/oauth/token"), "iat": now, "exp": now + 240, "jti": jti })
}

fn assertion(app: &TestApp, ehr: &Ehr<'_>, name: &str, value: Value) -> String {
    let mut claims = claims(app);
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    ehr.signed(&claims)
}

async fn request_token(app: &TestApp, assertion: &str, scope: &str) -> Reply {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", BEARER),
        ("client_assertion", assertion),
        ("scope", scope),
    ];
    app.token_request(&fields).await
}

/// The fields of a form.
type Fields<'a> = &'a [(&'a str, &'a str)];

both! {
    async fn a_backend_service_gets_a_five_minute_token_with_its_registered_scopes(app: &TestApp) {
        let ehr = app.ehr().await;
        let reply = request_token(app, &ehr.signed(&claims(app)), "system/*.cruds patient/Patient.rs").await;
        let tokens = reply.json(200);
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!((tokens["expires_in"].as_i64(), tokens["token_type"].as_str()), (Some(300), Some("bearer")));
        let scopes = text(&tokens, "scope");
        assert!(scopes.contains("system/Claim.") && !scopes.contains('*') && !scopes.contains("patient/"), "{scopes}");
        assert!(tokens.get("refresh_token").is_none());
        let questionnaires = async || app.get("/dtr/2.2/Questionnaire", tokens["access_token"].as_str()).await.status.as_u16();
        assert_eq!(questionnaires().await, 200);
        app.clock.advance(Duration::minutes(5));
        assert_eq!(questionnaires().await, 401);
    }

    async fn a_backend_token_allows_only_its_scopes(app: &TestApp) {
        let ehr = app.ehr().await;
        let tokens = request_token(app, &ehr.signed(&claims(app)), "system/Subscription.r").await.json(200);
        assert_eq!(text(&tokens, "scope"), "system/Subscription.r");
        let token = tokens["access_token"].as_str();
        let bundle = app.messages().referral_request().to_string();
        app.post("/pas/2.2/Claim/$submit", token, "application/fhir+json", bundle).await.json(403);
        app.get("/dtr/2.2/Questionnaire", token).await.json(403);
        let wrong_level = request_token(app, &ehr.signed(&claims(app)), "patient/Patient.rs").await;
        assert_eq!(oauth_error(&wrong_level, 400), "invalid_scope");
        let no_scope = request_token(app, &ehr.signed(&claims(app)), "").await;
        assert_eq!(oauth_error(&no_scope, 400), "invalid_scope");
    }

    async fn an_invalid_assertion_gets_401_and_stores_nothing(app: &TestApp) {
        let ehr = app.ehr().await;
        let other_key = client_key(app.data.path(), OTHER_EHR).unwrap();
        let now = app.clock.now().timestamp();
        let before = app.row_counts().await;
        let jwk = ehr.key.jwks()["keys"][0].clone();
        let kid = jwk["kid"].as_str().unwrap();
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}.", encode(&json!({ "alg": "none", "kid": kid })), encode(&claims(app)));
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        let secret = EncodingKey::from_secret(jwk.to_string().as_bytes());
        let cases = [
            ("expired", assertion(app, &ehr, "exp", json!(now - 60))),
            ("expires too late", assertion(app, &ehr, "exp", json!(now + 3600))),
            ("no exp", assertion(app, &ehr, "exp", Value::Null)),
            ("no jti", assertion(app, &ehr, "jti", Value::Null)),
            ("for another server", assertion(app, &ehr, "aud", json!("https://other.example/oauth/token"))),
            ("for a FHIR base", assertion(app, &ehr, "aud", json!(PUBLIC_URL))),
            ("with another sub", assertion(app, &ehr, "sub", json!(OTHER_EHR))),
            ("from an unknown client", assertion(app, &ehr, "iss", json!("nobody"))),
            ("signed by another client", other_key.sign(&claims(app)).unwrap()),
            ("unsigned", unsigned),
            ("signed with the public key as secret", jsonwebtoken::encode(&header, &claims(app), &secret).unwrap()),
            ("not a JWT", "x.y.z".to_owned()),
        ];
        for (case, token) in cases {
            assert_eq!(oauth_error(&request_token(app, &token, "system/Claim.c").await, 401), "invalid_client", "{case}");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn the_audience_of_an_assertion_may_have_a_slash_at_the_end(app: &TestApp) {
        let ehr = app.ehr().await;
        let with_slash = || assertion(app, &ehr, "aud", json!(format!("{PUBLIC_URL}/oauth/token/")));
        let tokens = request_token(app, &with_slash(), "system/Claim.c").await.json(200);
        for path in ["/oauth/introspect", "/oauth/revoke"] {
            let assertion = with_slash();
            let form = [("token", text(&tokens, "access_token")), ("client_assertion_type", BEARER), ("client_assertion", assertion.as_str())];
            app.post(path, None, "application/x-www-form-urlencoded", form_body(&form)).await.json(200);
        }
    }

    async fn an_assertion_can_be_used_once(app: &TestApp) {
        let ehr = app.ehr().await;
        let assertion = ehr.signed(&claims(app));
        request_token(app, &assertion, "system/Claim.c").await.json(200);
        let before = app.row_counts().await;
        assert_eq!(oauth_error(&request_token(app, &assertion, "system/Claim.c").await, 401), "invalid_client");
        assert_eq!(app.row_counts().await, before);
    }

    async fn another_client_cannot_use_an_apps_code_or_refresh_token(app: &TestApp) {
        let ehr = app.ehr().await;
        let app_tokens = app.tokens("ruth", ALL_SCOPES).await;
        let code = app.code("ruth", ALL_SCOPES).await;
        let new_assertion = || ehr.signed(&claims(app));
        let (first, second) = (new_assertion(), new_assertion());
        let refresh_request = [
            ("grant_type", "refresh_token"), ("refresh_token", text(&app_tokens, "refresh_token")),
            ("client_assertion_type", BEARER), ("client_assertion", first.as_str()),
        ];
        assert_eq!(oauth_error(&app.token_request(&refresh_request).await, 400), "invalid_grant");
        let mut exchange: Vec<_> = redemption(&code).into_iter().filter(|(name, _)| *name != "client_id").collect();
        exchange.extend([("client_assertion_type", BEARER), ("client_assertion", second.as_str())]);
        assert_eq!(oauth_error(&app.token_request(&exchange).await, 400), "invalid_grant");
        let third = new_assertion();
        let revocation = form_body(&[("token", text(&app_tokens, "refresh_token")), ("client_assertion_type", BEARER), ("client_assertion", &third)]);
        app.post("/oauth/revoke", None, "application/x-www-form-urlencoded", revocation).await.json(200);
        refresh(app, text(&app_tokens, "refresh_token"), &[]).await.json(200);
    }

    async fn a_disabled_backend_service_loses_access_immediately(app: &TestApp) {
        let ehr = app.ehr().await;
        app.change_client(EHR, |client| client.disabled = true).await;
        let refused = request_token(app, &ehr.signed(&claims(app)), "system/Claim.c").await;
        assert_eq!(oauth_error(&refused, 401), "invalid_client");
        ehr.submit(&app.messages().referral_request()).await.json(401);
    }

    async fn an_invalid_token_request_gets_the_right_error_code(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let signed = ehr.signed(&claims(app));
        let cases: [(Fields<'_>, u16, &str); 7] = [
            (&[("grant_type", "password")], 400, "unsupported_grant_type"),
            (&[("client_id", "demo-app")], 400, "invalid_request"),
            (&[("grant_type", "client_credentials"), ("client_assertion", &signed)], 400, "invalid_request"),
            (
                &[("grant_type", "client_credentials"), ("client_assertion", &signed), ("client_assertion_type", "x")],
                400, "invalid_request",
            ),
            (&[("grant_type", "authorization_code"), ("client_id", "demo-app"), ("code", "x")], 400, "invalid_request"),
            (&[("grant_type", "refresh_token"), ("client_id", "nobody"), ("refresh_token", "x")], 401, "invalid_client"),
            (&[("grant_type", "refresh_token"), ("client_id", "demo-app"), ("refresh_token", "x")], 400, "invalid_grant"),
        ];
        for (fields, status, code) in cases {
            assert_eq!(oauth_error(&app.token_request(fields).await, status), code, "{fields:?}");
        }
        let json = app.post("/oauth/token", None, "application/json", "{}").await;
        assert_eq!(oauth_error(&json, 400), "invalid_request");
        let repeated = "grant_type=refresh_token&grant_type=refresh_token&client_id=demo-app&refresh_token=x";
        let repeated = app.post("/oauth/token", None, "application/x-www-form-urlencoded", repeated).await;
        assert_eq!(oauth_error(&repeated, 400), "invalid_request");
        assert_eq!(app.row_counts().await, before);
    }
}
