//! The door over HTTP, on a real database: who gets in, what is whose, and each error's status.

use super::samples;
use crate::auth::{Client, ClientDoc, fingerprint};
use crate::clock::Clock;
use crate::config::{Config, MailTransport};
use crate::mail::Mailer;
use crate::net::Net;
use crate::prior_auth::PriorAuth;
use crate::rules::{Loading, Tests};
use crate::state::{Published, SetFiles, State};
use crate::store::Store;
use crate::store::oauth::{Grant, Token, TokenKind};
use crate::store::people::Login;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

const EOB: &str = "/fhir/pdex/ExplanationOfBenefit";
const ALL: &str =
    "patient/ExplanationOfBenefit.rs patient/Patient.rs patient/Coverage.rs patient/Organization.rs";
const STRANGER: Uuid = Uuid::from_u128(0x52);

struct House {
    state: State,
    _folder: tempfile::TempDir,
}

/// A server with two members; the first has one case. Tokens: `mine`, `theirs`, `narrow` (mine, Coverage only) and
/// `discreet` (mine, without what is sensitive).
async fn house(request: &Value) -> House {
    // The first of the tests wins; the others find it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::defaults().unwrap();
    config.database = format!("sqlite:{}", folder.path().join("test.db").display());
    config.mail.transport = MailTransport::Memory;
    let store = Store::open(&config).await.unwrap();
    let mail = Mailer::new(&config.mail, &config.payer, folder.path()).unwrap();
    let clock = Clock::standing_at(samples::now());
    let loading = Loading {
        tests: Tests::Leave,
        ..Loading::default()
    };
    let published = Published::check(SetFiles::new(&[], &[]), &loading).unwrap();
    let state = State::new(config, clock, store, Net::new().unwrap(), mail, published);
    fill(&state, request.to_string()).await;
    House {
        state,
        _folder: folder,
    }
}

async fn fill(state: &State, request: String) {
    let now = state.now();
    let unit = state.store.write((request, now), |tx, (request, now)| {
        Box::pin(async move {
            let client = Client {
                id: Uuid::from_u128(1),
                client_id: "app".into(),
                name: "Care Ledger".into(),
                disabled: false,
                doc: ClientDoc::default(),
            };
            tx.put_client(&client, *now).await?;
            let mut stranger = samples::member();
            stranger.id = STRANGER;
            stranger.member_id = "2".into();
            for member in [samples::member(), stranger] {
                tx.put_member(&member, *now).await?;
                tx.put_login(&login(member.id, *now)).await?;
            }
            tx.put_coverage(&samples::coverage(), *now).await?;
            let events = samples::events(samples::CASE, vec![samples::approve(), samples::pend("clinical")]);
            let case = PriorAuth::replay(samples::CASE, &events).unwrap();
            tx.open_case(&case, &events, request).await?;
            for (number, (secret, member, scope, sensitive)) in [
                ("mine", samples::MEMBER, ALL, true),
                ("theirs", STRANGER, ALL, true),
                ("narrow", samples::MEMBER, "patient/Coverage.rs", true),
                ("discreet", samples::MEMBER, ALL, false),
            ]
            .into_iter()
            .enumerate()
            {
                let grant = Grant {
                    id: Uuid::from_u128(0x6000 + number as u128),
                    client: client.id,
                    login: login(member, *now).id,
                    member,
                    scope: scope.into(),
                    sensitive,
                    created: *now,
                    last_used: None,
                    ended: None,
                };
                tx.add_grant(&grant).await?;
                tx.add_token(&token(secret, &grant, *now)).await?;
            }
            Ok(())
        })
    });
    unit.await.unwrap();
}

fn login(member: Uuid, now: chrono::DateTime<chrono::Utc>) -> Login {
    Login {
        id: Uuid::from_u128(member.as_u128() + 0x1000),
        username: member.to_string(),
        password: "-".into(),
        member,
        email: None,
        disabled: false,
        created: now,
    }
}

fn token(secret: &str, grant: &Grant, now: chrono::DateTime<chrono::Utc>) -> Token {
    Token {
        hash: fingerprint(secret),
        kind: TokenKind::Access,
        client: grant.client,
        grant: Some(grant.id),
        scope: grant.scope.clone(),
        aud: "http://127.0.0.1:8642/fhir/pdex".into(),
        created: now,
        expires: now + chrono::Duration::hours(1),
        ended: None,
    }
}

impl House {
    async fn send(
        &self,
        token: Option<&str>,
        request: axum::http::request::Builder,
        body: &str,
    ) -> (StatusCode, Value) {
        let request = match token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = super::routes()
            .with_state(self.state.clone())
            .oneshot(request)
            .await
            .unwrap();
        let status = answer.status();
        assert_eq!(
            answer.headers().get(header::CONTENT_TYPE).unwrap(),
            "application/fhir+json",
            "{status}"
        );
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, token: &str, path: &str) -> (StatusCode, Value) {
        self.send(Some(token), Request::get(path), "").await
    }
}

#[tokio::test]
async fn everyone_reads_what_the_server_can_do_and_nobody_else_reads_more() {
    let house = house(&samples::request()).await;
    let (status, statement) = house.send(None, Request::get("/fhir/pdex/metadata"), "").await;
    assert_eq!(
        (status, statement.get("resourceType")),
        (StatusCode::OK, Some(&json!("CapabilityStatement")))
    );
    for path in [
        EOB.to_owned(),
        format!("{EOB}/{}", samples::CASE),
        "/fhir/pdex/Organization/payer".into(),
    ] {
        assert_eq!(
            house.send(None, Request::get(&path), "").await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        assert_eq!(
            house.get("stolen", &path).await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        assert_eq!(
            house.get("narrow", &path).await.0,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_member_reads_what_is_his_by_get_and_by_post() {
    let house = house(&samples::request()).await;
    let (status, eob) = house.get("mine", &format!("{EOB}/{}", samples::CASE)).await;
    assert_eq!(
        (status, eob.get("outcome")),
        (StatusCode::OK, Some(&json!("partial")))
    );
    let (_, found) = house
        .get("mine", &format!("{EOB}?patient={}", samples::MEMBER))
        .await;
    assert_eq!(found.get("total"), Some(&json!(1)));
    let post = Request::post(format!("{EOB}/_search?_count=1"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let (status, posted) = house
        .send(Some("mine"), post, "use=preauthorization&_lastUpdated=ge2026")
        .await;
    assert_eq!((status, posted.get("total")), (StatusCode::OK, Some(&json!(1))));
    for (path, status) in [
        (format!("/fhir/pdex/Patient/{}", samples::MEMBER), StatusCode::OK),
        (
            format!("/fhir/pdex/Coverage/{}", samples::COVERAGE),
            StatusCode::OK,
        ),
        ("/fhir/pdex/Coverage?patient=x".into(), StatusCode::OK),
        ("/fhir/pdex/Organization/payer".into(), StatusCode::OK),
        ("/fhir/pdex/Organization/npi-8189991234".into(), StatusCode::OK),
        (
            "/fhir/pdex/Organization/npi-0000000000".into(),
            StatusCode::NOT_FOUND,
        ),
        ("/fhir/pdex/Practitioner/any".into(), StatusCode::FORBIDDEN),
        (format!("{EOB}?colour=red"), StatusCode::BAD_REQUEST),
        (format!("{EOB}/none"), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(house.get("mine", &path).await.0, status, "{path}");
    }
    let post = Request::post(format!("{EOB}/_search")).header(header::CONTENT_TYPE, "application/json");
    assert_eq!(
        house.send(Some("mine"), post, "{}").await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[tokio::test]
async fn another_members_records_are_not_there() {
    let house = house(&samples::request()).await;
    for query in [
        String::new(),
        format!("?patient={}", samples::MEMBER),
        format!("?_id={}", samples::CASE),
    ] {
        let (status, found) = house.get("theirs", &format!("{EOB}{query}")).await;
        assert_eq!(
            (status, found.get("total")),
            (StatusCode::OK, Some(&json!(0))),
            "{query}"
        );
    }
    for path in [
        format!("{EOB}/{}", samples::CASE),
        format!("/fhir/pdex/Patient/{}", samples::MEMBER),
        format!("/fhir/pdex/Coverage/{}", samples::COVERAGE),
        "/fhir/pdex/Organization/npi-8189991234".into(),
    ] {
        assert_eq!(
            house.get("theirs", &path).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_sensitive_stays_with_whoever_may_not_have_it() {
    let mut request = samples::request();
    let code = request
        .pointer_mut("/entry/0/resource/diagnosis/0/diagnosisCodeableConcept/coding/0/code")
        .unwrap();
    *code = json!("F11.20");
    let house = house(&request).await;
    let path = format!("{EOB}/{}", samples::CASE);
    assert_eq!(house.get("mine", &path).await.0, StatusCode::OK);
    assert_eq!(house.get("discreet", &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(house.get("discreet", EOB).await.1.get("total"), Some(&json!(0)));
    assert_eq!(
        house
            .get("discreet", "/fhir/pdex/Organization/npi-8189991234")
            .await
            .0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_browser_app_of_any_origin_may_call_with_a_token() {
    let house = house(&samples::request()).await;
    let preflight = Request::options(EOB)
        .header(header::ORIGIN, "https://app.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization")
        .body(Body::empty())
        .unwrap();
    let answer = super::routes()
        .with_state(house.state.clone())
        .oneshot(preflight)
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(),
        "*"
    );
    assert_eq!(
        answer
            .headers()
            .get(header::ACCESS_CONTROL_ALLOW_HEADERS)
            .unwrap(),
        "authorization,content-type,accept"
    );
}
