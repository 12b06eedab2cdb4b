//! The end-to-end check (`assent walk`): sends the messages of an EHR, a reviewer and a member's app to a server over
//! HTTP and verifies every reply. It uses none of the server's types for messages: it builds its own JSON, reads
//! replies by path, and a step fails when a reply differs from what the step expects. Every run has new ids and dates.

mod ehr;
mod follow_up;
pub mod http;
mod member;
pub mod messages;
mod requests;
mod review;
mod subscriber;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, MailTransport};
use crate::demo::{keys, seed};
use crate::error::{Error, ErrorKind, Result};
use crate::publication;
use crate::state::PolicySet;
use crate::store;
use http::Http;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Instant;
use subscriber::Subscriber;

/// Result of a step: a summary of a few lines, or what was wrong.
type Outcome = std::result::Result<String, String>;

/// One step of the end-to-end check.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What the step does.
    pub name: String,
    /// Whether every reply was as expected.
    pub passed: bool,
    /// A summary of the replies in a few lines, or the first reply that was wrong.
    pub detail: String,
    /// How long the step took, in milliseconds.
    pub duration_ms: u128,
}

/// All steps, in order.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// In the order in which they ran.
    pub steps: Vec<Step>,
}

impl Report {
    /// Whether every step passed.
    pub fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.passed)
    }
}

/// One run of the check: its clients, and what steps pass on to later steps.
struct Check {
    http: Http,
    /// The demo's data folder.
    data: PathBuf,
    sign_ins: keys::SignIns,
    subscriber: Subscriber,
    messages: messages::Messages,
    /// The coverage-assertion-id of the oxygen order.
    assertion: Option<String>,
    /// The canonical URL of the oxygen form.
    form: Option<String>,
    /// The EHR's access token.
    token: Option<String>,
    /// Case ids by the request's name in this check.
    cases: BTreeMap<&'static str, String>,
    /// First `ClaimResponses` by the request's name in this check.
    responses: BTreeMap<&'static str, Value>,
    /// How many mails there were before the check.
    mails_before: usize,
    /// The reviewer's text of the denial.
    denial_text: String,
}

/// Checks a running server. `data` is the demo's data folder with its keys and sign-ins; `on_step` is called after each
/// step. `Malformed` when the folder has no sign-ins.
pub async fn check_server(server: &str, data: &Path, on_step: impl Fn(&Step)) -> Result<Report> {
    let http = Http::new(server)?;
    http.get("/healthz", None).await.map_err(|problem| {
        Error::new(
            ErrorKind::Unavailable,
            format!("No server responds at {server}: {problem}. Start one with the command demo, or change --server"),
        )
    })?;
    let sign_ins = keys::read_sign_ins(data).ok_or_else(|| {
        Error::malformed(format!(
            "{} contains no sign-ins.json. Pass the data folder of the running demo with --data",
            data.display()
        ))
    })?;
    let mut check = Check {
        http,
        data: data.to_owned(),
        sign_ins,
        subscriber: Subscriber::start().await?,
        messages: messages::Messages::new(Clock::System.now()),
        assertion: None,
        form: None,
        token: None,
        cases: BTreeMap::new(),
        responses: BTreeMap::new(),
        mails_before: mails(data).len(),
        denial_text: String::new(),
    };
    let mut steps = Vec::new();
    let mut add = |step: Step| {
        on_step(&step);
        steps.push(step);
    };
    let name = "1 EHR: coverage and prior authorization requirements of two orders";
    add(run_step(name, ehr::order_sign(&mut check)).await);
    let name = "2 EHR: form with pre-filled answers";
    add(run_step(name, ehr::form_package(&mut check)).await);
    let name = "3 EHR: a request that is approved immediately";
    add(run_step(name, requests::approved(&mut check)).await);
    let name = "4 EHR: pended requests, and one with four errors";
    add(run_step(name, requests::pended(&mut check)).await);
    let name = "5 Reviewers: queue, a nurse's denial is refused, a physician decides";
    add(run_step(name, review::decide(&mut check)).await);
    let name = "6 EHR and member: subscription notifications and email notices";
    add(run_step(name, follow_up::notifications(&mut check)).await);
    let name = "7 Member: an app reads the authorizations, then the member removes it";
    add(run_step(name, member::app_access(&mut check)).await);
    let name = "8 EHR: inquiries return the current decisions";
    add(run_step(name, follow_up::inquiries(&mut check)).await);
    check.subscriber.stop().await;
    Ok(Report { steps })
}

async fn run_step(name: &str, step: impl Future<Output = Outcome>) -> Step {
    let started = Instant::now();
    let (passed, detail) = match step.await {
        Ok(detail) => (true, detail),
        Err(detail) => (false, detail),
    };
    Step {
        name: name.to_owned(),
        passed,
        detail,
        duration_ms: started.elapsed().as_millis(),
    }
}

/// Starts a server in this process with an empty database and checks it. The database is a temporary SQLite file, or a
/// new schema of the PostgreSQL database in the settings; it is removed afterwards.
pub async fn check_own_server(config: Config, on_step: impl Fn(&Step)) -> Result<Report> {
    let policy_set = publication::load_folders(&config, &Clock::System).await?;
    check_own_server_with(config, policy_set, on_step).await
}

/// Like [`check_own_server`], with the given policy set instead of the folders.
pub async fn check_own_server_with(
    mut config: Config,
    policy_set: PolicySet,
    on_step: impl Fn(&Step),
) -> Result<Report> {
    let run = crate::clock::new_id(Clock::System.now()).simple().to_string();
    let data = std::env::temp_dir().join(format!("assent-walk-{run}"));
    store::create_private_folder(&data)?;
    let server_url = config.database.clone();
    let schema = format!("walk_{run}");
    let is_postgres = server_url.starts_with("postgres");
    config.database = if is_postgres {
        store::create_schema(&server_url, &schema).await?
    } else {
        format!("sqlite:{}", data.join("walk.db").display())
    };
    config.data.clone_from(&data);
    config.mail.transport = MailTransport::File;
    let report = serve_and_check(config, policy_set, &data, on_step).await;
    if is_postgres {
        store::drop_schema(&server_url, &schema).await?;
    }
    // A failure is harmless: the operating system cleans up its folder for temporary files.
    let _ = std::fs::remove_dir_all(&data);
    report
}

async fn serve_and_check(
    mut config: Config,
    policy_set: PolicySet,
    data: &Path,
    on_step: impl Fn(&Step),
) -> Result<Report> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(Error::unavailable)?;
    let address = listener.local_addr().map_err(Error::unavailable)?;
    config.listen = address;
    config.public_url = format!("http://{address}");
    let server = config.public_url.clone();
    let app = App::build_with(config, Clock::System, policy_set).await?;
    seed::fill_plan(&app.state, data).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = app.serve(listener, async {
        let _ = stopped.await;
    });
    let checking = async {
        let report = check_server(&server, data, on_step).await;
        let _ = stop.send(());
        report
    };
    let (served, report) = tokio::join!(serving, checking);
    served?;
    report
}

/// Every mail that the file transport wrote, oldest first.
fn mails(data: &Path) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(data.join("mail")) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = folder
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "eml"))
        .collect();
    paths.sort();
    paths
        .iter()
        .filter_map(|p| std::fs::read_to_string(p).ok())
        .collect()
}

/// The text at a JSON pointer of a reply.
fn text_at<'a>(value: &'a Value, pointer: &str) -> std::result::Result<&'a str, String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("the reply has no text at {pointer}"))
}

/// Fails the step with a message unless the condition is true.
fn require(condition: bool, message: impl FnOnce() -> String) -> std::result::Result<(), String> {
    if condition { Ok(()) } else { Err(message()) }
}
