//! The door as its callers see it: real routes, a real database, signed assertions.

use super::*;
use crate::auth::keys::{KeyPair, new_es384};
use crate::auth::registration::{NewLogin, enroll_member, give_secret, new_client, register};
use crate::auth::{self, Client, ClientDoc};
use crate::clock::Clock;
use crate::config::{Config, PasswordWork};
use crate::error::Kind;
use crate::mail::Mailer;
use crate::net::Net;
use crate::plan::Member;
use crate::state::Published;
use crate::store::Store;
use crate::store::people::Login;
use authorize::Fault;
use axum::body::Body;
use axum::http::Request;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Duration};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;
use url::form_urlencoded;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "https://app.example/cb";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct House {
    state: State,
    login: Login,
    keys: KeyPair,
    secret: String,
    _folder: tempfile::TempDir,
}

/// A house with a public app, a confidential app, a back end and one member.
async fn house() -> House {
    // The ways out of the house need their TLS provider; another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::defaults().unwrap();
    config.database = format!("sqlite:{}", folder.path().join("a.db").display());
    let store = Store::open(&config).await.unwrap();
    let mail = Mailer::new(&config.mail, &config.payer, folder.path()).unwrap();
    let clock = Clock::standing_at(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let published = Published::load(&[], &[]).unwrap();
    let state = State::new(config, clock, store, Net::new().unwrap(), mail, published);
    let (keys, secret) = (new_es384("k1").unwrap(), register_all(&state).await);
    let backend = ClientDoc {
        issuer: Some("https://ehr.example".to_owned()),
        jwks: Some(keys.jwks()),
        scopes: vec!["system/Claim.c".to_owned(), "system/questionnaire.rs".to_owned()],
        ..ClientDoc::default()
    };
    let backend = new_client("ehr", "EHR", backend, state.now());
    register(&state.store, backend, state.now()).await.unwrap();
    let login = enroll_jane(&state).await;
    House {
        state,
        login,
        keys,
        secret,
        _folder: folder,
    }
}

/// The two apps; the answer is the confidential one's secret.
async fn register_all(state: &State) -> String {
    let app = ClientDoc {
        redirect_uris: vec![REDIRECT.to_owned()],
        scopes: vec!["patient/*.rs".to_owned(), "offline_access".to_owned()],
        ..ClientDoc::default()
    };
    let public = ClientDoc {
        public: true,
        ..app.clone()
    };
    register(
        &state.store,
        new_client("app", "Care Ledger", public, state.now()),
        state.now(),
    )
    .await
    .unwrap();
    let mut confidential = new_client("server-app", "Server app", app, state.now());
    let secret = give_secret(&mut confidential);
    register(&state.store, confidential, state.now()).await.unwrap();
    secret
}

async fn enroll_jane(state: &State) -> Login {
    let member = Member {
        id: state.new_id(),
        member_id: "M1".to_owned(),
        family: "doe".to_owned(),
        given: "jane".to_owned(),
        birth_date: None,
        gender: None,
        doc: json!({"resourceType": "Patient"}),
    };
    let input = (member, state.now());
    let put = state.store.write(input, |tx, (member, now)| {
        Box::pin(async move { tx.put_member(member, *now).await })
    });
    put.await.unwrap();
    let new = NewLogin {
        username: "jane".to_owned(),
        member_id: "M1".to_owned(),
        email: None,
        password: "long enough it is".to_owned(),
    };
    enroll_member(&state.store, new, PasswordWork::Quick, state.now())
        .await
        .unwrap()
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

impl House {
    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = routes()
            .with_state(self.state.clone())
            .oneshot(request)
            .await
            .unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn post_as(
        &self,
        authorization: Option<&str>,
        path: &str,
        pairs: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let mut request = Request::post(path).header("Content-Type", "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header("Authorization", value);
        }
        self.send(request.body(Body::from(form(pairs))).unwrap()).await
    }

    async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> (StatusCode, Value) {
        self.post_as(None, path, pairs).await
    }

    fn query(client: &str, scope: &str) -> String {
        form(&[
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
            ("state", "s1"),
            ("aud", "http://127.0.0.1:8642/fhir/pdex"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
    }

    /// The member allows the app; the code that it gets.
    async fn allowed(&self, client: &str, scope: &str) -> String {
        let request = authorize::read(&self.state, &Self::query(client, scope))
            .await
            .unwrap();
        let back = authorize::allow(&self.state, &request, &self.login, false)
            .await
            .unwrap();
        let url = url::Url::parse(&back).unwrap();
        let pairs: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs["state"], "s1");
        pairs["code"].clone()
    }

    async fn redeem(&self, code: &str) -> (StatusCode, Value) {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", "app"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        self.post(TOKEN, &pairs).await
    }

    fn assertion(&self, changes: &Value) -> String {
        let now = self.state.now().timestamp();
        let mut claims = json!({
            "iss": "ehr", "sub": "ehr", "aud": "http://127.0.0.1:8642/oauth/token",
            "iat": now, "exp": now + 300, "jti": auth::fingerprint(&changes.to_string()),
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.keys.sign(&claims).unwrap()
    }

    async fn as_backend(&self, assertion: &str, scope: &str) -> (StatusCode, Value) {
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion),
            ("scope", scope),
        ];
        self.post(TOKEN, &pairs).await
    }
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_else(|| panic!("{name} in {body}"))
}

#[tokio::test]
async fn an_app_gets_in_stays_in_and_is_put_out() {
    let house = house().await;
    let scope = "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.read offline_access openid";
    let code = house.allowed("app", scope).await;
    let (status, first) = house.redeem(&code).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    assert_eq!(
        first["scope"],
        "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.read offline_access"
    );
    assert_eq!(first["patient"], house.login.member.to_string());

    let app = auth::app(&house.state, text(&first, "access_token"))
        .await
        .unwrap();
    assert_eq!(app.member, house.login.member);
    assert!(app.require("ExplanationOfBenefit", 's').is_ok());
    assert_eq!(app.require("Coverage", 'r').unwrap_err().kind(), Kind::Forbidden);
    assert!(
        auth::backend(&house.state, text(&first, "access_token"))
            .await
            .is_err()
    );
    assert!(
        auth::app(&house.state, text(&first, "refresh_token"))
            .await
            .is_err()
    );

    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", "app"),
        ("refresh_token", text(&first, "refresh_token")),
    ];
    let (status, second) = house.post(TOKEN, &refresh).await;
    assert_eq!(status, StatusCode::OK, "{second}");

    let shown = members::grants(&house.state, house.login.member).await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].app.name, "Care Ledger");
    assert!(shown[0].lasts() && shown[0].until.is_some());
    let stranger = house.state.new_id();
    assert_eq!(
        members::end_grant(&house.state, stranger, shown[0].id)
            .await
            .unwrap_err()
            .kind(),
        Kind::NotFound
    );
    members::end_grant(&house.state, house.login.member, shown[0].id)
        .await
        .unwrap();
    assert!(
        auth::app(&house.state, text(&first, "access_token"))
            .await
            .is_err()
    );
    assert!(
        auth::app(&house.state, text(&second, "access_token"))
            .await
            .is_err()
    );
    let again = [
        ("grant_type", "refresh_token"),
        ("client_id", "app"),
        ("refresh_token", text(&second, "refresh_token")),
    ];
    assert_eq!(house.post(TOKEN, &again).await.1["error"], "invalid_grant");
    assert!(
        members::grants(&house.state, house.login.member)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_access_token_ends_after_its_hour() {
    let house = house().await;
    let code = house.allowed("app", "patient/Patient.rs").await;
    let (_, body) = house.redeem(&code).await;
    assert_eq!(body.get("refresh_token"), None);
    house.state.clock.advance(Duration::seconds(3599));
    assert!(auth::app(&house.state, text(&body, "access_token")).await.is_ok());
    house.state.clock.advance(Duration::seconds(1));
    assert!(
        auth::app(&house.state, text(&body, "access_token"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_disabled_client_is_out_at_once() {
    let house = house().await;
    let code = house.allowed("app", "patient/Patient.rs").await;
    let (_, body) = house.redeem(&code).await;
    house
        .state
        .store
        .write(house.state.now(), |tx, now| {
            Box::pin(async move { tx.disable_client("app", *now).await })
        })
        .await
        .unwrap();
    assert!(
        auth::app(&house.state, text(&body, "access_token"))
            .await
            .is_err()
    );
    let asked = authorize::read(&house.state, &House::query("app", "patient/Patient.rs")).await;
    assert!(matches!(asked, Err(Fault::Page(_))));
}

#[tokio::test]
async fn a_bad_client_or_address_gets_a_page_and_other_faults_go_back() {
    let house = house().await;
    let good = House::query("app", "patient/Patient.rs");
    for (from, to) in [
        ("client_id=app", "client_id=nobody"),
        ("app.example%2Fcb", "app.example%2Fcb2"),
        ("redirect_uri", "x"),
    ] {
        let asked = authorize::read(&house.state, &good.replace(from, to)).await;
        assert!(matches!(asked, Err(Fault::Page(_))), "{from} -> {to}");
    }
    let Err(Fault::Redirect(back)) = authorize::read(&house.state, &good.replace("S256", "plain")).await
    else {
        panic!("no redirect")
    };
    assert!(
        back.starts_with("https://app.example/cb?error=invalid_request&"),
        "{back}"
    );
    assert!(back.ends_with("&state=s1"), "{back}");
    let request = authorize::read(&house.state, &good).await.unwrap();
    assert_eq!(request.redirect_origin(), "https://app.example");
    assert!(authorize::deny(&request).unwrap().contains("error=access_denied"));
}

#[tokio::test]
async fn a_confidential_app_shows_its_secret() {
    let house = house().await;
    let code = house.allowed("server-app", "patient/Patient.rs").await;
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let wrong = format!("Basic {}", STANDARD.encode("server-app:wrong"));
    let (status, body) = house.post_as(Some(&wrong), TOKEN, &pairs).await;
    assert_eq!(
        (status, text(&body, "error")),
        (StatusCode::UNAUTHORIZED, "invalid_client")
    );
    let mut bare = pairs.to_vec();
    bare.push(("client_id", "server-app"));
    assert_eq!(house.post(TOKEN, &bare).await.0, StatusCode::UNAUTHORIZED);
    let right = format!(
        "Basic {}",
        STANDARD.encode(format!("server-app:{}", house.secret))
    );
    assert_eq!(house.post_as(Some(&right), TOKEN, &pairs).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_back_end_signs_and_gets_five_minutes() {
    let house = house().await;
    let (status, body) = house
        .as_backend(&house.assertion(&json!({})), "system/*.* system/questionnaire.rs")
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["expires_in"], 300);
    assert_eq!(
        body["scope"],
        "system/Claim.c system/questionnaire.read system/questionnaire.rs"
    );
    let backend = auth::backend(&house.state, text(&body, "access_token"))
        .await
        .unwrap();
    assert!(backend.require("Claim", 'c').is_ok() && backend.require("Questionnaire", 's').is_ok());
    assert!(backend.require("Claim", 'r').is_err());
    assert!(
        auth::app(&house.state, text(&body, "access_token"))
            .await
            .is_err()
    );
    house.state.clock.advance(Duration::minutes(5));
    assert!(
        auth::backend(&house.state, text(&body, "access_token"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_assertion_holds_once_and_only_as_it_should() {
    let house = house().await;
    let once = house.assertion(&json!({"jti": "one"}));
    assert_eq!(house.as_backend(&once, "system/Claim.c").await.0, StatusCode::OK);
    let (status, body) = house.as_backend(&once, "system/Claim.c").await;
    assert_eq!(
        (status, text(&body, "error")),
        (StatusCode::UNAUTHORIZED, "invalid_client")
    );
    let now = house.state.now().timestamp();
    for changes in [
        json!({"aud": "http://127.0.0.1:8642"}),
        json!({"sub": "other"}),
        json!({"iss": "other", "sub": "other"}),
        json!({"exp": now + 600}),
        json!({"exp": now - 60, "iat": now - 100}),
        json!({"jti": ""}),
    ] {
        let (status, body) = house
            .as_backend(&house.assertion(&changes), "system/Claim.c")
            .await;
        assert_eq!(
            (status, text(&body, "error")),
            (StatusCode::UNAUTHORIZED, "invalid_client"),
            "{changes}"
        );
    }
    let (status, body) = house
        .as_backend(&house.assertion(&json!({"jti": "x"})), "patient/Patient.rs")
        .await;
    assert_eq!(
        (status, text(&body, "error")),
        (StatusCode::BAD_REQUEST, "invalid_scope")
    );
}

#[tokio::test]
async fn a_token_request_that_is_wrong_is_a_400() {
    let house = house().await;
    let assertion = house.assertion(&json!({}));
    for (pairs, code) in [
        (vec![("grant_type", "password")], "unsupported_grant_type"),
        (vec![("client_id", "app")], "invalid_request"),
        (
            vec![
                ("grant_type", "client_credentials"),
                ("client_assertion", assertion.as_str()),
            ],
            "invalid_request",
        ),
        (
            vec![
                ("grant_type", "client_credentials"),
                ("client_assertion", assertion.as_str()),
                ("client_assertion_type", "x"),
            ],
            "invalid_request",
        ),
        (
            vec![
                ("grant_type", "authorization_code"),
                ("client_id", "app"),
                ("code", "x"),
            ],
            "invalid_request",
        ),
        (
            vec![
                ("grant_type", "refresh_token"),
                ("client_id", "app"),
                ("refresh_token", "x"),
            ],
            "invalid_grant",
        ),
    ] {
        let (status, body) = house.post(TOKEN, &pairs).await;
        assert_eq!(
            (status, text(&body, "error")),
            (StatusCode::BAD_REQUEST, code),
            "{pairs:?}"
        );
    }
    let json = Request::post(TOKEN)
        .header("Content-Type", "application/json")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(house.send(json).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn introspection_tells_a_client_of_its_own_tokens() {
    let house = house().await;
    let code = house.allowed("app", "patient/Patient.rs").await;
    let (_, body) = house.redeem(&code).await;
    let token = text(&body, "access_token");
    let own = format!("Bearer {token}");
    let (status, told) = house
        .post_as(Some(&own), "/oauth/introspect", &[("token", token)])
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&told["active"], &told["scope"], &told["client_id"]),
        (&json!(true), &body["scope"], &json!("app"))
    );
    assert_eq!(told["patient"], house.login.member.to_string());
    let stranger = format!(
        "Basic {}",
        STANDARD.encode(format!("server-app:{}", house.secret))
    );
    for asked in [token, "nothing"] {
        let (status, told) = house
            .post_as(Some(&stranger), "/oauth/introspect", &[("token", asked)])
            .await;
        assert_eq!((status, told), (StatusCode::OK, json!({"active": false})));
    }
    let nobody = house
        .post("/oauth/introspect", &[("token", token), ("client_id", "app")])
        .await;
    assert_eq!(nobody.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_refresh_token_given_back_takes_the_access_tokens_with_it() {
    let house = house().await;
    let code = house.allowed("app", "patient/Patient.rs offline_access").await;
    let (_, body) = house.redeem(&code).await;
    let foreign = format!(
        "Basic {}",
        STANDARD.encode(format!("server-app:{}", house.secret))
    );
    let refresh = text(&body, "refresh_token");
    assert_eq!(
        house
            .post_as(Some(&foreign), "/oauth/revoke", &[("token", refresh)])
            .await
            .0,
        StatusCode::OK
    );
    assert!(
        auth::app(&house.state, text(&body, "access_token")).await.is_ok(),
        "not the caller's token"
    );
    assert_eq!(
        house
            .post("/oauth/revoke", &[("token", refresh), ("client_id", "app")])
            .await
            .0,
        StatusCode::OK
    );
    assert!(
        auth::app(&house.state, text(&body, "access_token"))
            .await
            .is_err()
    );
    assert_eq!(
        house
            .post("/oauth/revoke", &[("token", "nothing"), ("client_id", "app")])
            .await
            .0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn discovery_needs_no_token_and_any_origin_may_read_it() {
    let house = house().await;
    let request = Request::get("/fhir/pdex/.well-known/smart-configuration")
        .header("Origin", "https://app.example")
        .header("Accept", "application/fhir+json")
        .body(Body::empty())
        .unwrap();
    let answer = routes()
        .with_state(house.state.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let (status, keys) = house
        .send(Request::get("/oauth/jwks").body(Body::empty()).unwrap())
        .await;
    assert_eq!((status, keys), (StatusCode::OK, json!({"keys": []})));
}

#[tokio::test]
async fn a_hook_call_is_known_by_its_issuer_and_for_its_address() {
    let house = house().await;
    let path = "/cds-services/order-sign-crd";
    let now = house.state.now().timestamp();
    let good =
        json!({"iss": "https://ehr.example", "aud": format!("http://127.0.0.1:8642{path}"), "jti": "h1"});
    let token = house.assertion(&good);
    let (client, jti): (Client, _) = auth::hook(&house.state, &token, path).await.unwrap();
    assert_eq!((client.client_id.as_str(), jti.jti.as_str()), ("ehr", "h1"));
    let (_, again) = auth::hook(&house.state, &token, path).await.unwrap();
    for (jti, held) in [(jti, true), (again, false)] {
        let spent = house
            .state
            .store
            .write(jti, |tx, jti| Box::pin(async move { tx.spend_jti(jti).await }))
            .await;
        assert_eq!(spent.is_ok(), held);
    }
    assert!(
        auth::hook(&house.state, &token, "/cds-services/other")
            .await
            .is_err()
    );
    for (name, value) in [
        ("iss", json!("https://stranger.example")),
        ("exp", json!(now + 600)),
        ("iat", json!(now + 100)),
        ("iat", json!(null)),
        ("jti", json!("")),
    ] {
        let mut changed = good.clone();
        changed[name] = value;
        let refused = auth::hook(&house.state, &house.assertion(&changed), path).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::Unauthorized, "{changed}");
    }
}
