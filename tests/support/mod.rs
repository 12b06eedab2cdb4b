//! `TestApp`: the real router on a real database with the demo plan, and a clock that moves only when the test says so.
//! Each test inside `both!` runs on SQLite, and on PostgreSQL when `TEST_POSTGRES_URL` names a server. Personas (EHR,
//! staff, member's app) call it as their users would.

mod browser;
mod client;
pub mod consent;
pub mod database;
pub mod decisions;
pub mod ehr;
mod environment;
mod folders;
mod installation;
mod logs;
mod member_app;
mod open_cases;
pub mod query_plans;
pub mod receiver;
mod reevaluate;
pub mod validator;

pub use browser::Browser;
pub use database::server_url;
pub use ehr::Ehr;
pub use environment::{chromedriver, free_port, setting};
pub use folders::Folders;
pub use installation::{Installation, Server};
pub use logs::CapturedLogs;
pub use member_app::{MemberApp, SCOPE, authorize_path};
pub use reevaluate::evaluate_again;

use assent::app::{App, read_folder};
use assent::clock::Clock;
use assent::config::{Config, MailTransport, PasswordCost};
use assent::demo::keys::SignIns;
use assent::demo::{keys, walk::messages::Messages};
use assent::prior_auth::PriorAuth;
use assent::state::{PolicySet, State};
use assent::store::fan_out::{MailRecipients, StoredDecisions};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use serde_json::Value;
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

/// The time that the test clock shows at first.
pub const START: &str = "2026-11-20T15:04:05.123456Z";
/// The network address that requests come from.
pub const CLIENT_ADDRESS: &str = "192.0.2.10:40000";
/// The server's public address.
pub const PUBLIC_URL: &str = "http://127.0.0.1:8642";

/// One test's own installation.
pub struct TestApp {
    pub state: State,
    pub clock: Clock,
    pub sign_ins: SignIns,
    pub data: TempDir,
    pub folders: Folders,
    database: database::Database,
    router: Router,
    leaves_work: Cell<bool>,
    receives_errors: Cell<bool>,
}

/// A response with its whole body.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body as JSON, after checking the status.
    #[track_caller]
    pub fn json(&self, expected: u16) -> Value {
        assert_eq!(self.status.as_u16(), expected, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.text))
    }

    /// The FHIRPath expressions of an OperationOutcome, one per issue, after checking the status.
    #[track_caller]
    pub fn places(&self, expected: u16) -> Vec<String> {
        let outcome = self.json(expected);
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        let issues = outcome["issue"].as_array().unwrap();
        issues
            .iter()
            .filter_map(|i| Some(i["expression"][0].as_str()?.to_owned()))
            .collect()
    }
}

/// The settings that every test starts from.
pub fn config(data: &TempDir) -> Config {
    let mut config = Config::defaults().unwrap();
    config.public_url = PUBLIC_URL.to_owned();
    config.data = data.path().to_owned();
    config.mail.transport = MailTransport::Memory;
    config.mail.alerts_to = "um@plan.example".to_owned();
    config.password_cost = PasswordCost::Minimal;
    config.rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules").into();
    config.forms = concat!(env!("CARGO_MANIFEST_DIR"), "/questionnaires").into();
    config
}

/// [`START`] as a time.
pub fn start() -> DateTime<Utc> {
    START.parse().unwrap()
}

/// The shipped policies and forms with changes to some files: file, text to replace, new text.
pub fn altered_policies(config: &Config, changes: &[(&str, &str, &str)]) -> PolicySet {
    let mut rules = read_folder(&config.rules).unwrap();
    for (file, from, to) in changes {
        let text = &mut rules.iter_mut().find(|(path, _)| path == file).unwrap().1;
        assert!(text.contains(from), "{file} does not contain {from}");
        *text = text.replace(from, to);
    }
    PolicySet::load(&rules, &read_folder(&config.forms).unwrap()).unwrap()
}

impl TestApp {
    /// A server on its own SQLite file.
    pub async fn sqlite() -> Self {
        let data = TempDir::new().unwrap();
        let database = database::sqlite(&data).await;
        Self::on(data, database).await
    }

    /// A server on its own PostgreSQL database; none without `TEST_POSTGRES_URL`.
    pub async fn postgres() -> Option<Self> {
        let data = TempDir::new().unwrap();
        let database = database::postgres(&data).await?;
        Some(Self::on(data, database).await)
    }

    async fn on(data: TempDir, database: database::Database) -> Self {
        logs::install();
        validator::forget();
        let mut config = config(&data);
        config.database.clone_from(&database.url);
        let folders = Folders::shipped(data.path());
        config.rules.clone_from(&folders.rules);
        config.forms.clone_from(&folders.forms);
        let clock = Clock::fixed_at(start());
        let app = App::build(config, clock.clone()).await.unwrap();
        let sign_ins = keys::read_sign_ins(data.path()).unwrap();
        let router = assent::http::router(app.state.clone());
        Self {
            state: app.state,
            clock,
            sign_ins,
            data,
            folders,
            database,
            router,
            leaves_work: Cell::new(false),
            receives_errors: Cell::new(false),
        }
    }

    /// Sends one request through the router, from [`CLIENT_ADDRESS`] unless it names another peer.
    pub async fn call(&self, request: Request<Body>) -> Reply {
        self.call_at(self.router.clone(), request).await
    }

    /// Sends one request through another router with this database, from [`CLIENT_ADDRESS`].
    pub async fn call_at(&self, router: Router, mut request: Request<Body>) -> Reply {
        let peer: SocketAddr = CLIENT_ADDRESS.parse().unwrap();
        let extensions = request.extensions_mut();
        if extensions.get::<ConnectInfo<SocketAddr>>().is_none() {
            extensions.insert(ConnectInfo(peer));
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if !self.receives_errors.get() {
            validator::keep(method.as_str(), &path, &text);
        }
        Reply {
            status: parts.status,
            headers: parts.headers,
            text,
        }
    }

    /// Sends a GET, with or without an access token.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Reply {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.call(request.body(Body::empty()).unwrap()).await
    }

    /// Sends a POST with a body of any type.
    pub async fn post(&self, path: &str, token: Option<&str>, media: &str, body: impl Into<Body>) -> Reply {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, media);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.call(request.body(body.into()).unwrap()).await
    }

    /// The demo EHR with a token for all of its scopes.
    pub async fn ehr(&self) -> Ehr<'_> {
        Ehr::sign_in(self, assent::demo::seed::EHR, "https://ehr.demo.example").await
    }

    /// Another client.
    pub async fn other_ehr(&self) -> Ehr<'_> {
        Ehr::sign_in(self, assent::demo::seed::OTHER_EHR, "https://ehr.clinic.example").await
    }

    /// A member of staff, signed in.
    pub async fn staff(&self, username: &str) -> Browser<'_> {
        let mut browser = Browser::new(self);
        browser.sign_in("/staff", username).await;
        browser
    }

    /// A member's app after the member signed in and consented.
    pub async fn member(&self, username: &str) -> MemberApp<'_> {
        MemberApp::launch(self, username).await
    }

    /// Messages of the end-to-end check for a run that begins now.
    pub fn messages(&self) -> Messages {
        Messages::new(self.clock.now())
    }

    /// Sends all outbox messages that are due; returns how many.
    pub async fn run_jobs(&self) -> usize {
        assent::jobs::run_all_due(&self.state).await.unwrap()
    }

    /// The emails that were sent.
    pub fn mails(&self) -> Vec<String> {
        self.state.mail.sent()
    }

    /// How many rows each table holds, to show that the database did not change.
    pub async fn row_counts(&self) -> Vec<(String, i64)> {
        self.database.row_counts().await
    }

    /// Runs one SQL statement.
    pub async fn sql(&self, statement: &str) {
        self.database.execute(statement).await;
    }

    /// Runs one SQL statement on PostgreSQL and keeps its transaction open.
    pub async fn open_change(&self, statement: &str) -> database::OpenChange {
        self.database.open_change(statement).await
    }

    /// The number that an SQL query returns.
    pub async fn number(&self, query: &str) -> i64 {
        self.database.number(query).await
    }

    /// Declares that the test leaves outbox messages unfinished on purpose.
    pub fn leaves_work(&self) {
        self.leaves_work.set(true);
    }

    /// Declares that the test sends errors on purpose which the server returns as they are: from here on, HL7's validator
    /// is not asked about the responses.
    pub fn receives_errors(&self) {
        self.receives_errors.set(true);
    }

    /// Fails when work is left undone or died, a stored case does not come out as it was decided, or HL7's validator
    /// reports an error in what was sent; removes the database.
    pub async fn finish(self) {
        let left = self
            .number("SELECT COUNT(*) FROM outbox WHERE state <> 'sent'")
            .await;
        assert!(
            left == 0 || self.leaves_work.get(),
            "{left} outbox messages are unfinished or failed"
        );
        evaluate_again(&self).await;
        let whole = query_plans::whole_table_reads(&self.database).await;
        assert!(whole.is_empty(), "whole tables are read:\n{}", whole.join("\n"));
        self.state.store.close().await;
        self.database.remove().await;
        validator::validate().await;
    }
}

/// Stores what follows from the decision on a case, as often as `count` says: each time an event for every
/// subscription, and no mail.
pub async fn queue_events(app: &TestApp, case: Uuid, count: usize) {
    // In small units of work, because each has a time limit.
    let mut left = count;
    while left > 0 {
        let some = left.min(50);
        left -= some;
        let unit = app.state.store.write((case, some), |tx, (case, count)| {
            Box::pin(async move {
                let events = tx.events(*case).await?;
                let case = PriorAuth::replay(*case, &events).unwrap();
                let decisions = StoredDecisions {
                    case: &case,
                    events: &events,
                    mail: &MailRecipients::default(),
                };
                for _ in 0..*count {
                    tx.fan_out(&decisions).await?;
                }
                Ok(())
            })
        });
        unit.await.unwrap();
    }
}

/// A number that no other test of this process gets.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Declares tests that run on both databases.
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($app:ident: &TestApp) $body:block)*) => {$(
        $(#[$meta])*
        async fn $name($app: &$crate::support::TestApp) $body

        mod $name {
            #[tokio::test]
            async fn sqlite() {
                let app = $crate::support::TestApp::sqlite().await;
                super::$name(&app).await;
                app.finish().await;
            }

            #[tokio::test]
            async fn postgres() {
                if let Some(app) = $crate::support::TestApp::postgres().await {
                    super::$name(&app).await;
                    app.finish().await;
                }
            }
        }
    )*};
}
pub(crate) use both;
