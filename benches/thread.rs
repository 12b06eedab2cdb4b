//! What the server does on this machine, beside what the machine itself allows: the hook, `$submit` with its durable
//! commit and the member's search, at 1, 8 and 32 connections; next to them an axum handler that only parses and
//! re-serialises the same body, and bare inserts of the same size through the store.
//!
//! `cargo bench` runs it on SQLite, and on PostgreSQL too when `TEST_POSTGRES_URL` names a server. Client, server and
//! database share the machine's cores, so the figures are floors. `docs/performance.md` quotes it.

use assent::app::App;
use assent::auth::fingerprint;
use assent::clock::{Clock, new_id, new_secret};
use assent::config::{Config, MailTransport};
use assent::demo::{keys, seed, walk::messages::Run};
use assent::error::{Error, Result};
use assent::jobs;
use assent::state::State;
use assent::store::oauth::{Grant, Token, TokenKind};
use assent::store::{self, Store};
use axum::routing::post;
use axum::{Json, Router};
use chrono::Duration as Span;
use reqwest::{Client, RequestBuilder, header, redirect};
use serde_json::{Value, json};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many calls are made at how many connections.
const LOADS: [(usize, usize); 3] = [(1, 600), (8, 1600), (32, 2400)];
/// Calls before the clock runs, so that connections, caches and statements are warm.
const WARM_UP: usize = 100;
/// The member's cases while the search is measured.
const CASES: usize = 6;
const HOOK: &str = "/cds-services/order-sign-crd";
const SUBMIT: &str = "/pas/2.2/Claim/$submit";

/// One call: where to, with which token and body, and what a right answer contains.
#[derive(Clone)]
struct Call {
    url: String,
    token: String,
    body: Option<String>,
    contains: &'static str,
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::internal)?;
    runtime.block_on(async {
        let run = new_id(Clock::System.now()).simple().to_string();
        let data = std::env::temp_dir().join(format!("assent-bench-{run}"));
        store::private_folder(&data)?;
        println!("| | connections | per second | p50 ms | p99 ms |\n|---|---:|---:|---:|---:|");
        let sqlite = format!("sqlite:{}", data.join("bench.db").display());
        let mut measured = everything("SQLite", sqlite, &data).await;
        if let (Ok(()), Some(server)) = (&measured, postgres_url()) {
            let schema = format!("bench_{run}");
            let url = store::create_schema(&server, &schema).await?;
            measured = everything("PostgreSQL", url, &data).await;
            store::drop_schema(&server, &schema).await?;
        }
        // A folder that cannot be removed harms nobody: it is in the system's place for temporary files.
        let _ = std::fs::remove_dir_all(&data);
        measured
    })
}

fn postgres_url() -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the measurement, not of the server"
    )]
    std::env::var("TEST_POSTGRES_URL").ok()
}

/// All figures on one database.
async fn everything(on: &str, database: String, data: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(Error::unavailable)?;
    let address = listener.local_addr().map_err(Error::unavailable)?;
    let mut config = Config::defaults()?;
    config.database = database;
    config.data = data.to_owned();
    config.listen = address;
    config.public_url = format!("http://{address}");
    config.mail.transport = MailTransport::Memory;
    let app = App::build(config, Clock::System).await?;
    seed::run(&app.state, data).await?;
    let state = app.state.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = app.serve(listener, async {
        let _ = stopped.await;
    });
    let measuring = async {
        let measured = doors(on, &state, data).await;
        let _ = stop.send(());
        measured
    };
    let (served, measured) = tokio::join!(serving, measuring);
    served.and(measured)
}

async fn doors(on: &str, state: &State, data: &Path) -> Result<()> {
    let token = backend_token(state).await?;
    let size = submission(state, &token)?.body.map_or(0, |body| body.len());
    if let Store::Sqlite(_) = state.store {
        // The same on any database: once is enough.
        parsing(size, submission(state, &token)?).await?;
    }
    inserts(on, state.store.clone(), size).await?;

    let hook = hook_call(state, data)?;
    let what = format!("hook, {} bytes, {on}", hook()?.body.map_or(0, |body| body.len()));
    load(&what, hook).await?;

    for _ in 0..CASES {
        send(&client()?, submission(state, &token)?).await?;
    }
    let search = search(state).await?;
    load(&format!("member's search over {CASES} cases, {on}"), || {
        Ok(search.clone())
    })
    .await?;

    load(&format!("`$submit`, {size} bytes, {on}"), || {
        submission(state, &token)
    })
    .await?;
    jobs::drain(state).await.map(drop)
}

/// The machine's limit for a door: the same body, parsed and written again, nothing else.
async fn parsing(size: usize, call: Call) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(Error::unavailable)?;
    let address = listener.local_addr().map_err(Error::unavailable)?;
    let router = Router::new().route("/", post(|Json(body): Json<Value>| async move { Json(body) }));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let measuring = async {
        let call = Call {
            url: format!("http://{address}/"),
            contains: "preauthorization",
            ..call
        };
        let measured = load(&format!("parse and write {size} bytes (axum alone)"), || {
            Ok(call.clone())
        })
        .await;
        let _ = stop.send(());
        measured
    };
    let (served, measured) = tokio::join!(serving.into_future(), measuring);
    served.map_err(Error::unavailable).and(measured)
}

/// The machine's limit for a commit: one row of the same size, durable.
async fn inserts(on: &str, store: Store, size: usize) -> Result<()> {
    let text = "x".repeat(size);
    let what = format!("one durable insert of {size} bytes (store alone), {on}");
    figures(
        &what,
        || Ok(text.clone()),
        move |text| {
            let store = store.clone();
            async move {
                let now = Clock::System.now();
                let row = (new_id(now).to_string(), vec![("row".to_owned(), text)], now);
                let unit = store.write(row, |tx, (key, files, now)| {
                    Box::pin(async move { tx.add_policy_set(key, files, *now).await })
                });
                unit.await
            }
        },
    )
    .await
}

/// A hook with two orders and a token of its own: a token is good for one call.
fn hook_call<'a>(state: &'a State, data: &'a Path) -> Result<impl Fn() -> Result<Call> + 'a> {
    let key = keys::partner_key(data, seed::EHR)?;
    let url = state.url(HOOK);
    Ok(move || {
        let run = Run::new(state.now());
        let seconds = run.seconds();
        let claims = json!({
            "iss": "https://ehr.demo.example", "sub": "https://ehr.demo.example", "aud": url,
            "iat": seconds, "exp": seconds + 240, "jti": run.uuid(),
        });
        Ok(Call {
            url: url.clone(),
            token: key.sign(&claims)?,
            body: Some(run.hook().to_string()),
            contains: "systemActions",
        })
    })
}

/// A request that is approved at once, with the form's answers.
fn submission(state: &State, token: &str) -> Result<Call> {
    let run = Run::new(state.now());
    let form = state
        .published()
        .forms
        .canonical("home-oxygen|1.0.0", &state.config.public_url)
        .ok_or_else(|| Error::not_found("form", "home-oxygen|1.0.0"))?;
    Ok(Call {
        url: state.url(SUBMIT),
        token: token.to_owned(),
        body: Some(run.oxygen(&form, None, 87, "normal").to_string()),
        contains: "\"A1\"",
    })
}

/// All authorizations of the member who carries the walk, as an app reads them.
async fn search(state: &State) -> Result<Call> {
    let (token, member) = app_token(state).await?;
    let path = format!("/fhir/pdex/ExplanationOfBenefit?patient={member}&use=preauthorization");
    Ok(Call {
        url: state.url(&path),
        token,
        body: None,
        contains: "preauthorization",
    })
}

/// A token of the demo EHR that outlives the measurement.
async fn backend_token(state: &State) -> Result<String> {
    let secret = new_secret();
    let token = token(state, &secret, "system/Claim.cruds", "/pas/2.2");
    let unit = state.store.write(token, |tx, token| {
        Box::pin(async move {
            let client = tx.client_by_client_id(seed::EHR).await?;
            let client = client.ok_or_else(|| Error::not_found("client", seed::EHR))?;
            let token = Token {
                client: client.id,
                ..token.clone()
            };
            tx.add_token(&token).await
        })
    });
    unit.await.map(|()| secret)
}

/// A token of the member's app, with the member's permission behind it; and the member's id in the API.
async fn app_token(state: &State) -> Result<(String, Uuid)> {
    let secret = new_secret();
    let token = token(state, &secret, "patient/ExplanationOfBenefit.rs", "/fhir/pdex");
    let unit = state.store.write((token, state.new_id()), |tx, (token, grant)| {
        Box::pin(async move {
            let app = tx.client_by_client_id(seed::APP).await?;
            let app = app.ok_or_else(|| Error::not_found("client", seed::APP))?;
            let login = tx.login_by_username("ruth").await?;
            let login = login.ok_or_else(|| Error::not_found("sign-in", "ruth"))?;
            let grant = Grant {
                id: *grant,
                client: app.id,
                login: login.id,
                member: login.member,
                scope: token.scope.clone(),
                sensitive: true,
                created: token.created,
                last_used: None,
                ended: None,
            };
            tx.add_grant(&grant).await?;
            let token = Token {
                client: app.id,
                grant: Some(grant.id),
                ..token.clone()
            };
            tx.add_token(&token).await?;
            Ok(login.member)
        })
    });
    unit.await.map(|member| (secret, member))
}

/// An access token of nobody yet.
fn token(state: &State, secret: &str, scope: &str, base: &str) -> Token {
    let now = state.now();
    Token {
        hash: fingerprint(secret),
        kind: TokenKind::Access,
        client: Uuid::nil(),
        grant: None,
        scope: scope.to_owned(),
        aud: state.url(base),
        created: now,
        expires: now + Span::hours(1),
        ended: None,
    }
}

fn client() -> Result<Client> {
    let builder = Client::builder().redirect(redirect::Policy::none()).no_proxy();
    builder.build().map_err(Error::internal)
}

/// Makes a call and checks its answer.
async fn send(client: &Client, call: Call) -> Result<()> {
    let request: RequestBuilder = match call.body {
        Some(body) => client
            .post(&call.url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body),
        None => client.get(&call.url),
    };
    let answer = request
        .bearer_auth(&call.token)
        .send()
        .await
        .map_err(Error::unavailable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(Error::unavailable)?;
    if status.is_success() && text.contains(call.contains) {
        return Ok(());
    }
    let start: String = text.chars().take(300).collect();
    Err(Error::internal(format!(
        "{} was answered {status}: {start}",
        call.url
    )))
}

/// The figures of calls over HTTP, made anew for each.
async fn load(what: &str, make: impl Fn() -> Result<Call>) -> Result<()> {
    let client = client()?;
    figures(what, make, move |call| {
        let client = client.clone();
        async move { send(&client, call).await }
    })
    .await
}

/// Runs the work at each load and prints a row. The inputs are made before the clock runs.
async fn figures<I, W, F>(what: &str, make: impl Fn() -> Result<I>, work: W) -> Result<()>
where
    I: Clone + Send + Sync + 'static,
    W: Fn(I) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    for (connections, count) in LOADS {
        let warm = inputs(&make, WARM_UP)?;
        all(connections, warm, work.clone()).await?;
        let inputs = inputs(&make, count)?;
        let began = Instant::now();
        let mut times = all(connections, inputs, work.clone()).await?;
        let seconds = began.elapsed().as_secs_f64();
        times.sort_unstable();
        let rate = f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX)) / seconds;
        let (half, most) = (percentile(&times, 50), percentile(&times, 99));
        println!("| {what} | {connections} | {rate:.0} | {half:.2} | {most:.2} |");
    }
    Ok(())
}

fn inputs<I>(make: impl Fn() -> Result<I>, count: usize) -> Result<Arc<Vec<I>>> {
    (0..count)
        .map(|_| make())
        .collect::<Result<Vec<I>>>()
        .map(Arc::new)
}

/// Works through the inputs with so many at once; how long each took.
async fn all<I, W, F>(at_once: usize, inputs: Arc<Vec<I>>, work: W) -> Result<Vec<Duration>>
where
    I: Clone + Send + Sync + 'static,
    W: Fn(I) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for _ in 0..at_once {
        let (inputs, next, work) = (inputs.clone(), next.clone(), work.clone());
        running.spawn(async move {
            let mut times = Vec::new();
            while let Some(input) = inputs.get(next.fetch_add(1, Ordering::Relaxed)).cloned() {
                let began = Instant::now();
                work(input).await?;
                times.push(began.elapsed());
            }
            Ok::<_, Error>(times)
        });
    }
    let mut times = Vec::with_capacity(inputs.len());
    while let Some(done) = running.join_next().await {
        times.extend(done.map_err(Error::internal)??);
    }
    Ok(times)
}

/// In milliseconds, of times in order.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    let at = (times.len() * percent / 100).min(last);
    times.get(at).map_or(0.0, Duration::as_secs_f64) * 1000.0
}
