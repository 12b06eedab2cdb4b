//! Invalid calls and tokens: each is refused with the location of the error, and nothing is stored.

use super::messages::{HOOK, call_order_sign, oxygen_and_mammography_call};
use crate::support::{PUBLIC_URL, Reply, TestApp, both};
use assent::demo::keys::client_key;
use assent::demo::seed::{EHR, OTHER_EHR};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const ISSUER: &str = "https://ehr.demo.example";

/// The claims of a valid token.
fn claims(app: &TestApp) -> Value {
    let now = app.clock.now().timestamp();
    json!({ "iss": ISSUER, "aud": format!("{PUBLIC_URL}{HOOK}"), "iat": now, "exp": now + 240, "jti": app.messages().uuid() })
}

fn changed(app: &TestApp, name: &str, value: Value) -> Value {
    let mut claims = claims(app);
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

/// A token with the algorithm `none` and no signature.
fn unsigned(kid: &str, claims: &Value) -> String {
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.",
        encoded(&json!({ "alg": "none", "kid": kid })),
        encoded(claims)
    )
}

/// A token signed with HMAC, with the public key as the secret.
fn signed_with_hmac(kid: &str, claims: &Value, secret: &str) -> String {
    let header = Header {
        kid: Some(kid.to_owned()),
        ..Header::new(Algorithm::HS256)
    };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

async fn call_with(app: &TestApp, token: Option<&str>) -> Reply {
    app.post(
        HOOK,
        token,
        "application/json",
        oxygen_and_mammography_call().to_string(),
    )
    .await
}

both! {
    async fn an_invalid_token_gets_401_and_nothing_is_stored(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let now = app.clock.now().timestamp();
        let other_client = client_key(app.data.path(), OTHER_EHR).unwrap();
        let jwk = ehr.key.jwks()["keys"][0].clone();
        let kid = jwk["kid"].as_str().unwrap();
        let valid = claims(app);
        let tokens = [
            ("expired", ehr.signed(&changed(app, "exp", json!(now - 120)))),
            ("valid for too long", ehr.signed(&changed(app, "exp", json!(now + 86_400)))),
            ("without exp", ehr.signed(&changed(app, "exp", Value::Null))),
            ("issued in the future", ehr.signed(&changed(app, "iat", json!(now + 100)))),
            ("without iat", ehr.signed(&changed(app, "iat", Value::Null))),
            ("without jti", ehr.signed(&changed(app, "jti", Value::Null))),
            ("not valid yet", ehr.signed(&changed(app, "nbf", json!(now + 3600)))),
            ("for another service", ehr.signed(&changed(app, "aud", json!(format!("{PUBLIC_URL}/cds-services/x"))))),
            ("for another installation", ehr.signed(&changed(app, "aud", json!("https://other.example/cds-services/order-sign-crd")))),
            ("from an unknown issuer", ehr.signed(&changed(app, "iss", json!("https://nobody.example")))),
            ("signed by another client", other_client.sign(&valid).unwrap()),
            ("unsigned", unsigned(kid, &valid)),
            ("signed with the public key", signed_with_hmac(kid, &valid, &jwk.to_string())),
            ("not a token", "x.y.z".to_owned()),
            ("an access token", ehr.token.clone()),
        ];
        for (case, token) in tokens {
            let reply = call_with(app, Some(&token)).await;
            assert_eq!(reply.json(401)["resourceType"], "OperationOutcome", "{case}");
            assert!(reply.headers.contains_key("www-authenticate"), "{case}");
        }
        call_with(app, None).await.json(401);
        assert_eq!(app.row_counts().await, before);
        call_with(app, Some(&ehr.signed(&valid))).await.json(200);
    }

    async fn a_token_is_valid_for_one_call(app: &TestApp) {
        let ehr = app.ehr().await;
        let token = ehr.signed(&claims(app));
        call_with(app, Some(&token)).await.json(200);
        let before = app.row_counts().await;
        call_with(app, Some(&token)).await.json(401);
        assert_eq!(app.row_counts().await, before, "a repeated call stored something");
    }

    async fn a_token_expires(app: &TestApp) {
        let ehr = app.ehr().await;
        let token = ehr.signed(&claims(app));
        app.clock.advance(chrono::Duration::minutes(10));
        call_with(app, Some(&token)).await.json(401);
    }

    async fn a_disabled_client_is_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        app.change_client(EHR, |client| client.disabled = true).await;
        let before = app.row_counts().await;
        call_order_sign(&ehr, &oxygen_and_mammography_call()).await.json(401);
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_unknown_service_is_404(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let reply = ehr.hook("order-select-crd", &oxygen_and_mammography_call()).await;
        assert_eq!(reply.json(404)["resourceType"], "OperationOutcome");
        assert_eq!(app.row_counts().await, before);
        assert_eq!(app.get(HOOK, None).await.status.as_u16(), 405);
    }

    async fn an_invalid_call_is_refused_with_the_location_of_every_error(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        assert_eq!(call_order_sign(&ehr, &json!({})).await.places(400), ["hook", "hookInstance", "context"]);
        let mut call = oxygen_and_mammography_call();
        call["hook"] = json!("order-select");
        call["context"].as_object_mut().unwrap().remove("userId");
        call["context"]["draftOrders"]["entry"][1] = json!({});
        call["extension"] = json!({ "davinci-crd.requestedVersion": "2.0" });
        let locations = [
            "hook", "context.userId", "context.draftOrders.entry[1].resource",
            "extension.`davinci-crd.requestedVersion`",
        ];
        assert_eq!(call_order_sign(&ehr, &call).await.places(400), locations);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_coverage_of_another_payer_is_400_and_a_missing_one_412(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut other_payer = oxygen_and_mammography_call();
        let payer = &mut other_payer["prefetch"]["coverage"]["entry"][0]["resource"]["contained"][0];
        payer["identifier"][0]["value"] = json!("9");
        assert_eq!(call_order_sign(&ehr, &other_payer).await.places(400), ["Coverage.payor"]);
        let mut no_coverage = oxygen_and_mammography_call();
        no_coverage["prefetch"]["coverage"] = Value::Null;
        assert_eq!(call_order_sign(&ehr, &no_coverage).await.places(412), ["prefetch.coverage"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_body_that_is_not_json_is_refused_before_it_is_read(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let send = async |media: &'static str, body: Vec<u8>| {
            app.post(HOOK, Some(&ehr.signed(&claims(app))), media, body).await
        };
        let truncated = send("application/json", b"{\"hook\":".to_vec()).await.json(400);
        assert!(truncated["issue"][0]["details"]["text"].as_str().unwrap().contains("line 1"), "{truncated}");
        send("application/json", vec![b'"', 0xff, b'"']).await.json(400);
        send("application/json", Vec::new()).await.json(400);
        let complete = oxygen_and_mammography_call().to_string().into_bytes();
        send("text/plain", complete.clone()).await.json(415);
        send("application/xml", complete).await.json(415);
        let repeated = br#"{"hook":"order-sign","hookInstance":"i","context":{"userId":"Practitioner/1","patientId":"p",
            "draftOrders":{"resourceType":"Bundle"},"draftOrders":{"resourceType":"Bundle"}}}"#;
        send("application/json", repeated.to_vec()).await.json(400);
        let large = vec![b' '; app.state.config.limits.body_bytes + 1];
        send("application/json", large).await.json(413);
        assert_eq!(app.row_counts().await, before);
    }
}
