//! Tests of the member API over HTTP with a real database: access, whose records are returned, and error statuses.

use super::samples;
use crate::auth::{Client, ClientDoc, fingerprint};
use crate::clock::Clock;
use crate::config::{Config, MailTransport};
use crate::fhir::bundle::BundleIndex;
use crate::fhir::coding::HCPCS;
use crate::mail::Mailer;
use crate::net::HttpClient;
use crate::prior_auth::{AppAccess, EventBody, PriorAuth};
use crate::state::State;
use crate::store::Store;
use crate::store::accounts::MemberLogin;
use crate::store::oauth::{Grant, Token, TokenKind};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

const EOB: &str = "/fhir/pdex/ExplanationOfBenefit";
const ALL_SCOPES: &str =
    "patient/ExplanationOfBenefit.rs patient/Patient.rs patient/Coverage.rs patient/Organization.rs";
const OTHER_MEMBER: Uuid = Uuid::from_u128(0x52);

struct TestServer {
    state: State,
    _folder: tempfile::TempDir,
}

/// Starts a server with two members, the first of whom has a case. Tokens: `own`, `other-member`, `coverage-only` (own
/// data, only the scope for Coverage) and `without-sensitive` (own data without sensitive cases).
async fn start_server(request: &Value) -> TestServer {
    // Fails if another test has already installed the provider, which is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::defaults().unwrap();
    config.database = format!("sqlite:{}", folder.path().join("test.db").display());
    config.mail.transport = MailTransport::Memory;
    let store = Store::open(&config).await.unwrap();
    let mail = Mailer::new(&config.mail, &config.payer, folder.path()).unwrap();
    let clock = Clock::fixed_at(samples::now());
    let state = State::new(
        config,
        clock,
        store,
        HttpClient::new().unwrap(),
        mail,
        samples::policy_set(),
    );
    store_samples(&state, request.to_string()).await;
    TestServer {
        state,
        _folder: folder,
    }
}

async fn store_samples(state: &State, request: String) {
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
            let mut other_member = samples::member();
            other_member.id = OTHER_MEMBER;
            other_member.member_id = "2".into();
            for member in [samples::member(), other_member] {
                tx.put_member(&member, *now).await?;
                tx.put_login(&login(member.id, *now)).await?;
            }
            tx.put_coverage(&samples::coverage(), *now).await?;
            let mut events =
                samples::events(samples::CASE, vec![samples::approve(), samples::pend("clinical")]);
            if let EventBody::Received(received) = &mut events.first_mut().unwrap().body {
                let message: Value = serde_json::from_str(request).unwrap();
                let items = [(HCPCS, None)];
                received.app_access = AppAccess::of(&BundleIndex::new(&message), items);
            }
            let case = PriorAuth::replay(samples::CASE, &events).unwrap();
            tx.open_case(&case, &events, request).await?;
            for (number, (secret, member, scope, sensitive)) in [
                ("own", samples::MEMBER, ALL_SCOPES, true),
                ("other-member", OTHER_MEMBER, ALL_SCOPES, true),
                ("coverage-only", samples::MEMBER, "patient/Coverage.rs", true),
                ("without-sensitive", samples::MEMBER, ALL_SCOPES, false),
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

fn login(member: Uuid, now: chrono::DateTime<chrono::Utc>) -> MemberLogin {
    MemberLogin {
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

impl TestServer {
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
        let response = super::routes()
            .with_state(self.state.clone())
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status();
        assert_eq!(
            response.headers().get(header::CONTENT_TYPE).unwrap(),
            "application/fhir+json",
            "{status}"
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, token: &str, path: &str) -> (StatusCode, Value) {
        self.send(Some(token), Request::get(path), "").await
    }
}

#[tokio::test]
async fn without_a_token_only_the_capability_statement_can_be_read() {
    let server = start_server(&samples::request()).await;
    let (status, statement) = server.send(None, Request::get("/fhir/pdex/metadata"), "").await;
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
            server.send(None, Request::get(&path), "").await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        assert_eq!(
            server.get("stolen", &path).await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        assert_eq!(
            server.get("coverage-only", &path).await.0,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_app_reads_and_searches_its_members_records() {
    let server = start_server(&samples::request()).await;
    let (status, eob) = server.get("own", &format!("{EOB}/{}", samples::CASE)).await;
    assert_eq!(
        (status, eob.get("outcome")),
        (StatusCode::OK, Some(&json!("partial")))
    );
    let (_, found) = server
        .get("own", &format!("{EOB}?patient={}", samples::MEMBER))
        .await;
    assert_eq!(found.get("total"), Some(&json!(1)));
    let post = Request::post(format!("{EOB}/_search?_count=1"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let (status, posted) = server
        .send(Some("own"), post, "use=preauthorization&_lastUpdated=ge2026")
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
        (format!("{EOB}?color=red"), StatusCode::BAD_REQUEST),
        (format!("{EOB}/none"), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(server.get("own", &path).await.0, status, "{path}");
    }
    let post = Request::post(format!("{EOB}/_search")).header(header::CONTENT_TYPE, "application/json");
    assert_eq!(
        server.send(Some("own"), post, "{}").await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[tokio::test]
async fn another_members_records_are_not_found() {
    let server = start_server(&samples::request()).await;
    for query in [
        String::new(),
        format!("?patient={}", samples::MEMBER),
        format!("?_id={}", samples::CASE),
    ] {
        let (status, found) = server.get("other-member", &format!("{EOB}{query}")).await;
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
            server.get("other-member", &path).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_sensitive_case_needs_the_members_permission() {
    let mut request = samples::request();
    let code = request
        .pointer_mut("/entry/0/resource/diagnosis/0/diagnosisCodeableConcept/coding/0/code")
        .unwrap();
    *code = json!("F11.20");
    let server = start_server(&request).await;
    let path = format!("{EOB}/{}", samples::CASE);
    assert_eq!(server.get("own", &path).await.0, StatusCode::OK);
    assert_eq!(
        server.get("without-sensitive", &path).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        server.get("without-sensitive", EOB).await.1.get("total"),
        Some(&json!(0))
    );
    assert_eq!(
        server
            .get("without-sensitive", "/fhir/pdex/Organization/npi-8189991234")
            .await
            .0,
        StatusCode::NOT_FOUND
    );
}
