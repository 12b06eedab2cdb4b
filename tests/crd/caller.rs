//! An EHR that calls the hook's door of a house of its own: one database in a folder that goes away, the project's
//! own rules and forms, a clock that stands at 1 October 2026, and the members that the messages speak of.

use assent::auth::keys::{KeyPair, new_es384};
use assent::auth::{Client, ClientDoc, registration};
use assent::clock::{Clock, new_id, new_secret};
use assent::config::Config;
use assent::error::Result;
use assent::plan::{self, Coverage, Member};
use assent::state::{Published, State};
use assent::store::Store;
use assent::store::assertions::Assertion;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tower::ServiceExt;

pub const HOOK: &str = "/cds-services/order-sign-crd";
const ISSUER: &str = "https://ehr.example.org";

/// The EHR with its key, and the house that it calls.
pub struct Caller {
    pub state: State,
    pub client: Client,
    pub database: PathBuf,
    router: Router,
    key: KeyPair,
    _folder: TempDir,
}

/// An answer: its status and its body as text.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub text: String,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The coverage-information of the order with this id: its last repetition.
    pub fn said(&self, order: &str) -> Value {
        let body = self.json();
        let actions = body["systemActions"].as_array().unwrap();
        let action = actions.iter().find(|a| a["resource"]["id"] == order).unwrap();
        action["resource"]["extension"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone()
    }
}

/// The values of one member of a coverage-information extension, whatever their type.
pub fn part(extension: &Value, url: &str) -> Vec<Value> {
    let parts = extension["extension"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["url"] == url);
    parts
        .map(|p| {
            let members = p.as_object().unwrap();
            members
                .iter()
                .find(|(name, _)| name.starts_with("value"))
                .unwrap()
                .1
                .clone()
        })
        .collect()
}

impl Caller {
    /// A house with a registered EHR; `change` sets its switches and `settings` those of the house.
    pub async fn new(change: impl FnOnce(&mut ClientDoc), settings: impl FnOnce(&mut Config)) -> Self {
        assent_crypto();
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("assent.db");
        let mut config = Config::defaults().unwrap();
        config.database = format!("sqlite:{}", database.display());
        config.data = folder.path().to_owned();
        settings(&mut config);
        let clock = Clock::standing_at("2026-10-01T14:05:00Z".parse().unwrap());
        let store = Store::open(&config).await.unwrap();
        let published = Published::load(&files("rules"), &files("questionnaires")).unwrap();
        let net = assent::net::Net::new().unwrap();
        let mail = assent::mail::Mailer::new(&config.mail, &config.payer, &config.data).unwrap();
        let state = State::new(config, clock, store, net, mail, published);
        let key = new_es384("ehr-1").unwrap();
        let mut doc = ClientDoc {
            issuer: Some(ISSUER.to_owned()),
            jwks: Some(key.jwks()),
            fhir_hosts: vec!["https://ehr.example.org/fhir".to_owned()],
            ..ClientDoc::default()
        };
        change(&mut doc);
        let client = registration::new_client("ehr", "Test EHR", doc, state.now());
        registration::register(&state.store, client.clone(), state.now())
            .await
            .unwrap();
        seed(&state).await.unwrap();
        let router = assent::crd::routes().with_state(state.clone());
        Self {
            state,
            client,
            database,
            router,
            key,
            _folder: folder,
        }
    }

    /// A house with everything as it is shipped.
    pub async fn plain() -> Self {
        Self::new(|_| {}, |_| {}).await
    }

    /// A fresh token for one address.
    pub fn token(&self, path: &str) -> String {
        let now = self.state.now().timestamp();
        let claims = json!({ "iss": ISSUER, "aud": self.state.url(path), "iat": now, "exp": now + 300, "jti": new_secret() });
        self.key.sign(&claims).unwrap()
    }

    /// Calls the hook with a fresh token.
    pub async fn sign(&self, call: &Value) -> Answered {
        self.post(HOOK, Some(&self.token(HOOK)), call.to_string()).await
    }

    pub async fn post(&self, path: &str, token: Option<&str>, body: String) -> Answered {
        let mut request = Request::post(path).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(Body::from(body)).unwrap()).await.0
    }

    /// Sends any request; the answer with its headers.
    pub async fn send(&self, request: Request<Body>) -> (Answered, axum::http::HeaderMap) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        (
            Answered {
                status: parts.status,
                text,
            },
            parts.headers,
        )
    }

    /// The stored assertion behind an extension.
    pub async fn assertion(&self, extension: &Value) -> Option<Assertion> {
        let id = part(extension, "coverage-assertion-id")[0]
            .as_str()
            .unwrap()
            .to_owned();
        let unit = (id, self.client.id);
        self.state
            .store
            .read(unit, |tx, (id, client)| {
                Box::pin(async move { tx.assertion(id, *client).await })
            })
            .await
            .unwrap()
    }
}

fn assent_crypto() {
    // Another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn files(folder: &str) -> Vec<(String, String)> {
    fn walk(root: &Path, at: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(folder), Path::new(folder), &mut found);
    found.sort();
    found
}

/// Two members with a coverage each: one of Medicare Advantage, and the one of HL7's messages. A third one's
/// coverage has ended.
async fn seed(state: &State) -> Result<()> {
    let now = state.now();
    let people = [
        (
            person("MA-0001", "Harris", "Walter", "1953-04-09"),
            card("MA-0001", "MA-0001", "H1234-001", None),
        ),
        (
            person("88800933501", "Baxter", "Amy", "1987-02-20"),
            card("88800933501", "888009335", "ERISA-01", None),
        ),
        (
            person("MA-0009", "Former", "Frank", "1950-05-05"),
            card("MA-0009", "MA-0009", "H1234-001", Some("2025-12-31")),
        ),
    ];
    let published = state.published();
    let records = people
        .into_iter()
        .map(|(patient, card)| {
            let member = plan::member_of(new_id(now), &patient).unwrap();
            let day = now.date_naive();
            let plans = |code: &str| published.rules.plan(code, day);
            let coverage = plan::coverage_of(new_id(now), member.id, &card, plans).unwrap();
            (member, coverage)
        })
        .collect();
    state
        .store
        .write((records, now), |tx, (records, now)| {
            Box::pin(put(tx, records, *now))
        })
        .await
}

async fn put(
    tx: &mut assent::store::Tx,
    records: &Vec<(Member, Coverage)>,
    now: DateTime<Utc>,
) -> Result<()> {
    for (member, coverage) in records {
        tx.put_member(member, now).await?;
        tx.put_coverage(coverage, now).await?;
    }
    Ok(())
}

fn person(member_id: &str, family: &str, given: &str, birth: &str) -> Value {
    json!({ "resourceType": "Patient", "birthDate": birth, "name": [{ "family": family, "given": [given] }],
        "identifier": [{ "type": { "coding": [{ "code": "MB" }] }, "system": "https://plan.example/member", "value": member_id }] })
}

fn card(member_id: &str, subscriber: &str, plan: &str, end: Option<&str>) -> Value {
    let mut period = json!({ "start": "2025-01-01" });
    if let Some(end) = end {
        period["end"] = json!(end);
    }
    json!({ "resourceType": "Coverage", "status": "active", "subscriberId": subscriber, "period": period,
        "identifier": [{ "system": "https://plan.example/coverage", "value": member_id }],
        "class": [{ "type": { "coding": [{ "code": "plan" }] }, "value": plan }] })
}
