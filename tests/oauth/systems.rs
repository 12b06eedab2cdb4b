//! Partners' systems at the token endpoint (SMART Backend Services), and requests that are none.

use super::{ALL, refreshed, refusal, text};
use crate::support::consent::redemption;
use crate::support::ehr::form_body;
use crate::support::{Ehr, PUBLIC_URL, Reply, TestApp, both};
use assent::demo::keys::partner_key;
use assent::demo::seed::{EHR, OTHER_EHR};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Duration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn claims(app: &TestApp) -> Value {
    let now = app.clock.now().timestamp();
    let jti = app.run().uuid();
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

async fn ask(app: &TestApp, assertion: &str, scope: &str) -> Reply {
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
    async fn a_system_signs_and_gets_five_minutes_of_what_it_is_registered_for(app: &TestApp) {
        let ehr = app.ehr().await;
        let reply = ask(app, &ehr.signed(&claims(app)), "system/*.cruds patient/Patient.rs").await;
        let told = reply.json(200);
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!((told["expires_in"].as_i64(), told["token_type"].as_str()), (Some(300), Some("bearer")));
        let scopes = text(&told, "scope");
        assert!(scopes.contains("system/Claim.") && !scopes.contains('*') && !scopes.contains("patient/"), "{scopes}");
        assert!(told.get("refresh_token").is_none());
        let forms = async || app.get("/dtr/2.2/Questionnaire", told["access_token"].as_str()).await.status.as_u16();
        assert_eq!(forms().await, 200);
        app.clock.advance(Duration::minutes(5));
        assert_eq!(forms().await, 401);
    }

    async fn a_narrow_token_does_only_what_it_names(app: &TestApp) {
        let ehr = app.ehr().await;
        let told = ask(app, &ehr.signed(&claims(app)), "system/Subscription.r").await.json(200);
        assert_eq!(text(&told, "scope"), "system/Subscription.r");
        let token = told["access_token"].as_str();
        let bundle = app.run().referral().to_string();
        app.post("/pas/2.2/Claim/$submit", token, "application/fhir+json", bundle).await.json(403);
        app.get("/dtr/2.2/Questionnaire", token).await.json(403);
        let none = ask(app, &ehr.signed(&claims(app)), "patient/Patient.rs").await;
        assert_eq!(refusal(&none, 400), "invalid_scope");
        let nothing = ask(app, &ehr.signed(&claims(app)), "").await;
        assert_eq!(refusal(&nothing, 400), "invalid_scope");
    }

    async fn an_assertion_that_does_not_hold_is_401_and_nothing_is_stored(app: &TestApp) {
        let ehr = app.ehr().await;
        let stranger = partner_key(app.data.path(), OTHER_EHR).unwrap();
        let now = app.clock.now().timestamp();
        let before = app.row_counts().await;
        let jwk = ehr.key.jwks()["keys"][0].clone();
        let kid = jwk["kid"].as_str().unwrap();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let none = format!("{}.{}.", part(&json!({ "alg": "none", "kid": kid })), part(&claims(app)));
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        let secret = EncodingKey::from_secret(jwk.to_string().as_bytes());
        let cases = [
            ("expired", assertion(app, &ehr, "exp", json!(now - 60))),
            ("too long", assertion(app, &ehr, "exp", json!(now + 3600))),
            ("no end", assertion(app, &ehr, "exp", Value::Null)),
            ("no id", assertion(app, &ehr, "jti", Value::Null)),
            ("for another house", assertion(app, &ehr, "aud", json!("https://other.example/oauth/token"))),
            ("for a base", assertion(app, &ehr, "aud", json!(PUBLIC_URL))),
            ("of another subject", assertion(app, &ehr, "sub", json!(OTHER_EHR))),
            ("of an unknown system", assertion(app, &ehr, "iss", json!("nobody"))),
            ("in another's name", stranger.sign(&claims(app)).unwrap()),
            ("unsigned", none),
            ("sealed with the public key", jsonwebtoken::encode(&header, &claims(app), &secret).unwrap()),
            ("no token", "x.y.z".to_owned()),
        ];
        for (what, token) in cases {
            assert_eq!(refusal(&ask(app, &token, "system/Claim.c").await, 401), "invalid_client", "{what}");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_assertion_is_good_once(app: &TestApp) {
        let ehr = app.ehr().await;
        let once = ehr.signed(&claims(app));
        ask(app, &once, "system/Claim.c").await.json(200);
        let before = app.row_counts().await;
        assert_eq!(refusal(&ask(app, &once, "system/Claim.c").await, 401), "invalid_client");
        assert_eq!(app.row_counts().await, before);
    }

    async fn what_an_app_was_given_is_of_no_use_to_another_client(app: &TestApp) {
        let ehr = app.ehr().await;
        let tokens = app.tokens("ruth", ALL).await;
        let code = app.code("ruth", ALL).await;
        let proof = || ehr.signed(&claims(app));
        let (first, second) = (proof(), proof());
        let refresh = [
            ("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token")),
            ("client_assertion_type", BEARER), ("client_assertion", first.as_str()),
        ];
        assert_eq!(refusal(&app.token_request(&refresh).await, 400), "invalid_grant");
        let mut exchange: Vec<_> = redemption(&code).into_iter().filter(|(name, _)| *name != "client_id").collect();
        exchange.extend([("client_assertion_type", BEARER), ("client_assertion", second.as_str())]);
        assert_eq!(refusal(&app.token_request(&exchange).await, 400), "invalid_grant");
        let third = proof();
        let back = form_body(&[("token", text(&tokens, "refresh_token")), ("client_assertion_type", BEARER), ("client_assertion", &third)]);
        app.post("/oauth/revoke", None, "application/x-www-form-urlencoded", back).await.json(200);
        refreshed(app, text(&tokens, "refresh_token"), &[]).await.json(200);
    }

    async fn a_disabled_system_gets_no_token_and_its_old_one_is_over(app: &TestApp) {
        let ehr = app.ehr().await;
        app.change_client(EHR, |client| client.disabled = true).await;
        let refused = ask(app, &ehr.signed(&claims(app)), "system/Claim.c").await;
        assert_eq!(refusal(&refused, 401), "invalid_client");
        ehr.submit(&app.run().referral()).await.json(401);
    }

    async fn a_token_request_that_is_none_says_what_is_wrong(app: &TestApp) {
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
            assert_eq!(refusal(&app.token_request(fields).await, status), code, "{fields:?}");
        }
        let json = app.post("/oauth/token", None, "application/json", "{}").await;
        assert_eq!(refusal(&json, 400), "invalid_request");
        let twice = "grant_type=refresh_token&grant_type=refresh_token&client_id=demo-app&refresh_token=x";
        let twice = app.post("/oauth/token", None, "application/x-www-form-urlencoded", twice).await;
        assert_eq!(refusal(&twice, 400), "invalid_request");
        assert_eq!(app.row_counts().await, before);
    }
}
