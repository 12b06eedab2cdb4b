//! Calls that are no calls, and tokens that are none: each is told where it fails, and leaves nothing behind.

use super::messages::{HOOK, oxygen_and_mammography, sign};
use crate::support::{PUBLIC_URL, Reply, TestApp, both};
use assent::demo::keys::partner_key;
use assent::demo::seed::{EHR, OTHER_EHR};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const ISSUER: &str = "https://ehr.demo.example";

/// The claims of a good token.
fn claims(app: &TestApp) -> Value {
    let now = app.clock.now().timestamp();
    json!({ "iss": ISSUER, "aud": format!("{PUBLIC_URL}{HOOK}"), "iat": now, "exp": now + 240, "jti": app.run().uuid() })
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

/// A token that says itself that nobody signed it.
fn unsigned(kid: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.",
        part(&json!({ "alg": "none", "kid": kid })),
        part(claims)
    )
}

/// A token sealed with the published key, as if that were a secret.
fn sealed(kid: &str, claims: &Value, secret: &str) -> String {
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
        oxygen_and_mammography().to_string(),
    )
    .await
}

both! {
    async fn a_token_that_does_not_hold_gets_401_and_nothing_is_stored(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let now = app.clock.now().timestamp();
        let stranger = partner_key(app.data.path(), OTHER_EHR).unwrap();
        let jwk = ehr.key.jwks()["keys"][0].clone();
        let kid = jwk["kid"].as_str().unwrap();
        let good = claims(app);
        let tokens = [
            ("expired", ehr.signed(&changed(app, "exp", json!(now - 120)))),
            ("too long", ehr.signed(&changed(app, "exp", json!(now + 86_400)))),
            ("no end", ehr.signed(&changed(app, "exp", Value::Null))),
            ("made later", ehr.signed(&changed(app, "iat", json!(now + 100)))),
            ("no beginning", ehr.signed(&changed(app, "iat", Value::Null))),
            ("no id", ehr.signed(&changed(app, "jti", Value::Null))),
            ("not yet", ehr.signed(&changed(app, "nbf", json!(now + 3600)))),
            ("for another service", ehr.signed(&changed(app, "aud", json!(format!("{PUBLIC_URL}/cds-services/x"))))),
            ("for another house", ehr.signed(&changed(app, "aud", json!("https://other.example/cds-services/order-sign-crd")))),
            ("of an unknown issuer", ehr.signed(&changed(app, "iss", json!("https://nobody.example")))),
            ("in another's name", stranger.sign(&good).unwrap()),
            ("unsigned", unsigned(kid, &good)),
            ("signed with the public key", sealed(kid, &good, &jwk.to_string())),
            ("no token at all", "x.y.z".to_owned()),
            ("an access token", ehr.token.clone()),
        ];
        for (what, token) in tokens {
            let answer = call_with(app, Some(&token)).await;
            assert_eq!(answer.json(401)["resourceType"], "OperationOutcome", "{what}");
            assert!(answer.headers.contains_key("www-authenticate"), "{what}");
        }
        call_with(app, None).await.json(401);
        assert_eq!(app.row_counts().await, before);
        call_with(app, Some(&ehr.signed(&good))).await.json(200);
    }

    async fn a_token_is_good_for_one_call(app: &TestApp) {
        let ehr = app.ehr().await;
        let token = ehr.signed(&claims(app));
        call_with(app, Some(&token)).await.json(200);
        let before = app.row_counts().await;
        call_with(app, Some(&token)).await.json(401);
        assert_eq!(app.row_counts().await, before, "a replayed call stored something");
    }

    async fn a_token_ends_with_its_time(app: &TestApp) {
        let ehr = app.ehr().await;
        let token = ehr.signed(&claims(app));
        app.clock.advance(chrono::Duration::minutes(10));
        call_with(app, Some(&token)).await.json(401);
    }

    async fn a_disabled_client_is_a_stranger(app: &TestApp) {
        let ehr = app.ehr().await;
        app.change_client(EHR, |client| client.disabled = true).await;
        let before = app.row_counts().await;
        sign(&ehr, &oxygen_and_mammography()).await.json(401);
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_unknown_service_is_404(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let answer = ehr.hook("order-select-crd", &oxygen_and_mammography()).await;
        assert_eq!(answer.json(404)["resourceType"], "OperationOutcome");
        assert_eq!(app.row_counts().await, before);
        assert_eq!(app.get(HOOK, None).await.status.as_u16(), 405);
    }

    async fn a_call_that_is_no_call_is_refused_with_every_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        assert_eq!(sign(&ehr, &json!({})).await.places(400), ["hook", "hookInstance", "context"]);
        let mut call = oxygen_and_mammography();
        call["hook"] = json!("order-select");
        call["context"].as_object_mut().unwrap().remove("userId");
        call["context"]["draftOrders"]["entry"][1] = json!({});
        call["extension"] = json!({ "davinci-crd.requestedVersion": "2.0" });
        let places = [
            "hook", "context.userId", "context.draftOrders.entry[1].resource",
            "extension.`davinci-crd.requestedVersion`",
        ];
        assert_eq!(sign(&ehr, &call).await.places(400), places);
        assert_eq!(app.row_counts().await, before);
    }

    async fn what_is_not_this_plans_is_refused_at_its_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut foreign = oxygen_and_mammography();
        let payer = &mut foreign["prefetch"]["coverage"]["entry"][0]["resource"]["contained"][0];
        payer["identifier"][0]["value"] = json!("9");
        assert_eq!(sign(&ehr, &foreign).await.places(400), ["Coverage.payor"]);
        let mut none = oxygen_and_mammography();
        none["prefetch"]["coverage"] = Value::Null;
        assert_eq!(sign(&ehr, &none).await.places(400), ["prefetch.coverage"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn what_is_no_json_is_refused_before_it_is_read(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let send = async |media: &'static str, body: Vec<u8>| {
            app.post(HOOK, Some(&ehr.signed(&claims(app))), media, body).await
        };
        let cut = send("application/json", b"{\"hook\":".to_vec()).await.json(400);
        assert!(cut["issue"][0]["details"]["text"].as_str().unwrap().contains("line 1"), "{cut}");
        send("application/json", vec![b'"', 0xff, b'"']).await.json(400);
        send("application/json", Vec::new()).await.json(400);
        let whole = oxygen_and_mammography().to_string().into_bytes();
        send("text/plain", whole.clone()).await.json(415);
        send("application/xml", whole).await.json(415);
        let twice = br#"{"hook":"order-sign","hookInstance":"i","context":{"userId":"Practitioner/1","patientId":"p",
            "draftOrders":{"resourceType":"Bundle"},"draftOrders":{"resourceType":"Bundle"}}}"#;
        send("application/json", twice.to_vec()).await.json(400);
        let large = vec![b' '; app.state.config.limits.body_bytes + 1];
        send("application/json", large).await.json(413);
        assert_eq!(app.row_counts().await, before);
    }
}
