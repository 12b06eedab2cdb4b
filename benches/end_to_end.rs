//! Throughput and latency of the server on this machine at 1, 8 and 32 connections: the CRD hook, PAS `$submit` with
//! its durable commit, and the member's search. For comparison, the limits of the machine: an axum handler that only
//! parses and serializes the same body, and single inserts of the same size through the store.
//!
//! `cargo bench` runs it on SQLite, and also on PostgreSQL when `TEST_POSTGRES_URL` names a server. Client, server and
//! database share the machine's processors, so a dedicated server is faster. `docs/performance.md` quotes the figures.

use assent::app::App;
use assent::auth::fingerprint;
use assent::clock::{Clock, new_id, new_secret};
use assent::config::{Config, MailTransport};
use assent::demo::{keys, seed, walk::messages::Messages};
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

/// Numbers of connections, each with the number of requests.
const LOADS: [(usize, usize); 3] = [(1, 600), (8, 1600), (32, 2400)];
/// Requests before the measurement, so that connections, caches and prepared statements exist.
const WARM_UP: usize = 100;
/// How many cases the member has while the search is measured.
const CASES: usize = 6;
const HOOK: &str = "/cds-services/order-sign-crd";
const SUBMIT: &str = "/pas/2.2/Claim/$submit";

/// One HTTP request, and a text that a correct reply contains.
#[derive(Clone)]
struct BenchRequest {
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
        store::create_private_folder(&data)?;
        println!("| | connections | per second | p50 ms | p99 ms |\n|---|---:|---:|---:|---:|");
        let sqlite = format!("sqlite:{}", data.join("bench.db").display());
        let mut measured = measure_database("SQLite", sqlite, &data).await;
        if let (Ok(()), Some(server)) = (&measured, postgres_url()) {
            let schema = format!("bench_{run}");
            let url = store::create_schema(&server, &schema).await?;
            measured = measure_database("PostgreSQL", url, &data).await;
            store::drop_schema(&server, &schema).await?;
        }
        // A failure is harmless: the operating system cleans up its folder for temporary files.
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

/// Starts a server with this database and measures everything. `name` is the database's name in the table.
async fn measure_database(name: &str, database: String, data: &Path) -> Result<()> {
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
    seed::fill_plan(&app.state, data).await?;
    let state = app.state.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = app.serve(listener, async {
        let _ = stopped.await;
    });
    let measuring = async {
        let measured = measure_all(name, &state, data).await;
        let _ = stop.send(());
        measured
    };
    let (served, measured) = tokio::join!(serving, measuring);
    served.and(measured)
}

async fn measure_all(name: &str, state: &State, data: &Path) -> Result<()> {
    let token = backend_token(state).await?;
    let size = submit_request(state, &token)?.body.map_or(0, |body| body.len());
    if let Store::Sqlite(_) = state.store {
        // Parsing does not depend on the database, so it is measured once.
        measure_parsing(size, submit_request(state, &token)?).await?;
    }
    measure_inserts(name, state.store.clone(), size).await?;

    let hook = hook_requests(state, data)?;
    let row = format!(
        "hook, {} bytes, {name}",
        hook()?.body.map_or(0, |body| body.len())
    );
    measure_requests(&row, hook).await?;

    for _ in 0..CASES {
        send(&client()?, submit_request(state, &token)?).await?;
    }
    let search = search_request(state).await?;
    measure_requests(&format!("member's search over {CASES} cases, {name}"), || {
        Ok(search.clone())
    })
    .await?;

    measure_requests(&format!("`$submit`, {size} bytes, {name}"), || {
        submit_request(state, &token)
    })
    .await?;
    jobs::run_all_due(state).await.map(drop)
}

/// The machine's limit for an API: the same body, only parsed and serialized.
async fn measure_parsing(size: usize, request: BenchRequest) -> Result<()> {
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
        let request = BenchRequest {
            url: format!("http://{address}/"),
            contains: "preauthorization",
            ..request
        };
        let measured = measure_requests(&format!("parse and write {size} bytes (axum alone)"), || {
            Ok(request.clone())
        })
        .await;
        let _ = stop.send(());
        measured
    };
    let (served, measured) = tokio::join!(serving.into_future(), measuring);
    served.map_err(Error::unavailable).and(measured)
}

/// The machine's limit for a commit: one durable insert of the same size.
async fn measure_inserts(name: &str, store: Store, size: usize) -> Result<()> {
    let text = "x".repeat(size);
    let row = format!("one durable insert of {size} bytes (store alone), {name}");
    measure(
        &row,
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

/// Hook requests with two orders, each with its own token: a token is accepted once.
fn hook_requests<'a>(state: &'a State, data: &'a Path) -> Result<impl Fn() -> Result<BenchRequest> + 'a> {
    let key = keys::client_key(data, seed::EHR)?;
    let url = state.url(HOOK);
    Ok(move || {
        let messages = Messages::new(state.now());
        let seconds = messages.seconds();
        let claims = json!({
            "iss": "https://ehr.demo.example", "sub": "https://ehr.demo.example", "aud": url,
            "iat": seconds, "exp": seconds + 240, "jti": messages.uuid(),
        });
        Ok(BenchRequest {
            url: url.clone(),
            token: key.sign(&claims)?,
            body: Some(messages.order_sign_hook().to_string()),
            contains: "systemActions",
        })
    })
}

/// A PAS request with answers, which is approved immediately.
fn submit_request(state: &State, token: &str) -> Result<BenchRequest> {
    let messages = Messages::new(state.now());
    let form = state
        .policy_set()
        .forms
        .canonical("home-oxygen|1.0.0", &state.config.public_url)
        .ok_or_else(|| Error::not_found("form", "home-oxygen|1.0.0"))?;
    Ok(BenchRequest {
        url: state.url(SUBMIT),
        token: token.to_owned(),
        body: Some(messages.oxygen_request(&form, None, 87, "normal").to_string()),
        contains: "\"A1\"",
    })
}

/// A search for all authorizations of the member in the messages, by the member's app.
async fn search_request(state: &State) -> Result<BenchRequest> {
    let (token, member) = app_token(state).await?;
    let path = format!("/fhir/pdex/ExplanationOfBenefit?patient={member}&use=preauthorization");
    Ok(BenchRequest {
        url: state.url(&path),
        token,
        body: None,
        contains: "preauthorization",
    })
}

/// An access token of the demo EHR that is valid for longer than the measurement.
async fn backend_token(state: &State) -> Result<String> {
    let secret = new_secret();
    let token = new_token(state, &secret, "system/Claim.cruds", "/pas/2.2");
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

/// An access token of the member's app with its grant, and the member's id in the API.
async fn app_token(state: &State) -> Result<(String, Uuid)> {
    let secret = new_secret();
    let token = new_token(state, &secret, "patient/ExplanationOfBenefit.rs", "/fhir/pdex");
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

/// An access token without a client.
fn new_token(state: &State, secret: &str, scope: &str, base: &str) -> Token {
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

/// Sends a request and verifies the reply.
async fn send(client: &Client, bench_request: BenchRequest) -> Result<()> {
    let request: RequestBuilder = match bench_request.body {
        Some(body) => client
            .post(&bench_request.url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body),
        None => client.get(&bench_request.url),
    };
    let reply = request
        .bearer_auth(&bench_request.token)
        .send()
        .await
        .map_err(Error::unavailable)?;
    let status = reply.status();
    let text = reply.text().await.map_err(Error::unavailable)?;
    if status.is_success() && text.contains(bench_request.contains) {
        return Ok(());
    }
    let start: String = text.chars().take(300).collect();
    Err(Error::internal(format!(
        "{} returned HTTP {status}: {start}",
        bench_request.url
    )))
}

/// Measures HTTP requests; `make` builds each of them.
async fn measure_requests(row: &str, make: impl Fn() -> Result<BenchRequest>) -> Result<()> {
    let client = client()?;
    measure(row, make, move |request| {
        let client = client.clone();
        async move { send(&client, request).await }
    })
    .await
}

/// Runs `work` at each number of connections and prints a table row. The inputs are built before the measurement.
async fn measure<I, W, F>(row: &str, make: impl Fn() -> Result<I>, work: W) -> Result<()>
where
    I: Clone + Send + Sync + 'static,
    W: Fn(I) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    for (connections, count) in LOADS {
        let warm_up = build_inputs(&make, WARM_UP)?;
        run_all(connections, warm_up, work.clone()).await?;
        let inputs = build_inputs(&make, count)?;
        let began = Instant::now();
        let mut times = run_all(connections, inputs, work.clone()).await?;
        let seconds = began.elapsed().as_secs_f64();
        times.sort_unstable();
        let rate = f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX)) / seconds;
        let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
        println!("| {row} | {connections} | {rate:.0} | {p50:.2} | {p99:.2} |");
    }
    Ok(())
}

fn build_inputs<I>(make: impl Fn() -> Result<I>, count: usize) -> Result<Arc<Vec<I>>> {
    (0..count)
        .map(|_| make())
        .collect::<Result<Vec<I>>>()
        .map(Arc::new)
}

/// Runs `work` on every input, `at_once` of them in parallel; returns how long each took.
async fn run_all<I, W, F>(at_once: usize, inputs: Arc<Vec<I>>, work: W) -> Result<Vec<Duration>>
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

/// The percentile of sorted durations, in milliseconds.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    let index = (times.len() * percent / 100).min(last);
    times.get(index).map_or(0.0, Duration::as_secs_f64) * 1000.0
}
