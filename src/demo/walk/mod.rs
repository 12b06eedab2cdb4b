//! The walk: the whole thread sent over HTTP, as partners, reviewers and a member's app would. It knows nothing of
//! the server's types: it builds its own messages, reads the answers by path, and goes red when an answer is not what
//! stands in the step. Every run makes new ids and dates.

mod after;
mod ehr;
pub mod http;
mod member;
pub mod messages;
mod review;
mod subscriber;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, MailTransport};
use crate::demo::{keys, seed};
use crate::error::{Error, Result};
use crate::publication;
use crate::state::Published;
use crate::store;
use http::Http;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;
use subscriber::Subscriber;

/// What a step came to: a few readable lines, or what was wrong.
type Outcome = std::result::Result<String, String>;

/// One step of the walk.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What it does.
    pub name: String,
    /// Whether every answer was what stands here.
    pub ok: bool,
    /// The answers in a few lines, or the first one that was wrong.
    pub detail: String,
    /// Milliseconds.
    pub ms: u128,
}

/// All steps.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// In their order.
    pub steps: Vec<Step>,
}

impl Report {
    /// Whether every step is green.
    pub fn green(&self) -> bool {
        self.steps.iter().all(|step| step.ok)
    }
}

/// What the steps hand on to each other.
struct Walk {
    http: Http,
    data: PathBuf,
    sign_ins: keys::SignIns,
    subscriber: Subscriber,
    run: messages::Run,
    assertion: Option<String>,
    form: Option<String>,
    token: Option<String>,
    /// Case ids by a name of the walk's.
    cases: std::collections::BTreeMap<&'static str, String>,
    bundles: std::collections::BTreeMap<&'static str, Value>,
    mails_before: usize,
    denial_text: String,
}

/// Walks against a running server; keys and passwords lie under `data`.
pub async fn against(server: &str, data: &Path, tell: impl Fn(&Step)) -> Result<Report> {
    let missing = || {
        Error::malformed(format!(
            "{} holds no sign-ins; is it the demo's data folder?",
            data.display()
        ))
    };
    let sign_ins = keys::read_sign_ins(data).ok_or_else(missing)?;
    let mut walk = Walk {
        http: Http::new(server)?,
        data: data.to_owned(),
        sign_ins,
        subscriber: Subscriber::start().await?,
        run: messages::Run::new(Clock::System.now()),
        assertion: None,
        form: None,
        token: None,
        cases: std::collections::BTreeMap::new(),
        bundles: std::collections::BTreeMap::new(),
        mails_before: mails(data).len(),
        denial_text: String::new(),
    };
    let mut report = Report { steps: Vec::new() };
    macro_rules! step {
        ($name:literal, $call:expr) => {{
            let started = Instant::now();
            let outcome: Outcome = $call.await;
            let (ok, detail) = match outcome {
                Ok(detail) => (true, detail),
                Err(wrong) => (false, wrong),
            };
            let step = Step {
                name: $name.to_owned(),
                ok,
                detail,
                ms: started.elapsed().as_millis(),
            };
            tell(&step);
            report.steps.push(step);
        }};
    }
    step!(
        "1 EHR: what is covered, what needs authorization",
        ehr::hook(&mut walk)
    );
    step!("2 EHR: the form with a draft answer", ehr::package(&mut walk));
    step!(
        "3 EHR: a request that is approved at once",
        ehr::approved_at_once(&mut walk)
    );
    step!("4 EHR: pends, clocks, lists, four faults", ehr::pended(&mut walk));
    step!(
        "5 Reviewer: queue, a nurse's denial refused, a physician decides",
        review::decide(&mut walk)
    );
    step!("6 Subscription and mail", after::told(&mut walk));
    step!(
        "7 Member: an app reads the authorization and loses its access",
        member::app(&mut walk)
    );
    step!("8 EHR: inquiry tells the same", after::inquire(&mut walk));
    walk.subscriber.stop().await;
    Ok(report)
}

/// Walks against a server of its own, in this process, with a fresh store: a temporary SQLite file, or a new schema
/// of the PostgreSQL database that the config names, dropped afterwards.
pub async fn own(config: Config, tell: impl Fn(&Step)) -> Result<Report> {
    let published = publication::of_folders(&config, &Clock::System).await?;
    own_with(config, published, tell).await
}

/// The same under given policies.
pub async fn own_with(mut config: Config, published: Published, tell: impl Fn(&Step)) -> Result<Report> {
    let run = crate::clock::new_id(Clock::System.now()).simple().to_string();
    let data = std::env::temp_dir().join(format!("assent-walk-{run}"));
    store::private_folder(&data)?;
    let server_url = config.database.clone();
    let schema = format!("walk_{run}");
    let on_server = server_url.starts_with("postgres");
    config.database = if on_server {
        store::create_schema(&server_url, &schema).await?
    } else {
        format!("sqlite:{}", data.join("walk.db").display())
    };
    config.data.clone_from(&data);
    config.mail.transport = MailTransport::File;
    let report = serve_and_walk(config, published, &data, tell).await;
    if on_server {
        store::drop_schema(&server_url, &schema).await?;
    }
    // A folder that cannot be removed harms nobody: it is in the system's place for temporary files.
    let _ = std::fs::remove_dir_all(&data);
    report
}

async fn serve_and_walk(
    mut config: Config,
    published: Published,
    data: &Path,
    tell: impl Fn(&Step),
) -> Result<Report> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(Error::unavailable)?;
    let address = listener.local_addr().map_err(Error::unavailable)?;
    config.listen = address;
    config.public_url = format!("http://{address}");
    let server = config.public_url.clone();
    let app = App::build_with(config, Clock::System, published).await?;
    seed::run(&app.state, data).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = app.serve(listener, async {
        let _ = stopped.await;
    });
    let walking = async {
        let report = against(&server, data, tell).await;
        let _ = stop.send(());
        report
    };
    let (served, report) = tokio::join!(serving, walking);
    served?;
    report
}

/// Every mail that the file transport wrote.
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

/// The text at a JSON pointer.
fn at<'a>(value: &'a Value, pointer: &str) -> std::result::Result<&'a str, String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("the answer has no text at {pointer}"))
}

/// An answer that must be so.
fn expect(held: bool, wrong: impl FnOnce() -> String) -> std::result::Result<(), String> {
    if held { Ok(()) } else { Err(wrong()) }
}
