//! The client: a process of its own that sends a load and reports how fast the server answered. It reads the load as
//! JSON from standard input and writes its figures as JSON to standard output, so that its work counts neither as the
//! server's processor time nor as its memory.

use crate::signing::Signing;
use assent::clock::{Clock, new_id};
use assent::error::{Error, Result};
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, header};
use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Stands in a body where each request has an id of its own.
pub const UNIQUE: &str = "UNIQUE-ID-OF-THE-REQUEST";

/// One kind of request, and a text that a correct reply contains.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Template {
    pub path: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// A request without a body is a GET, one with a body a POST of JSON.
    pub body: Option<String>,
    /// Signs a token of its own for each request.
    pub signing: Option<Signing>,
    pub contains: String,
}

impl Template {
    /// A request with this bearer token.
    pub fn with_token(path: &str, token: &str, body: Option<String>, contains: &str) -> Self {
        Self {
            path: path.to_owned(),
            headers: vec![("authorization".to_owned(), format!("Bearer {token}"))],
            body,
            signing: None,
            contains: contains.to_owned(),
        }
    }

    /// The bytes of the body as sent.
    pub fn size(&self) -> usize {
        let body = self.body.as_deref().unwrap_or("");
        let ids = body.matches(UNIQUE).count();
        body.len() + ids * 36 - ids * UNIQUE.len()
    }
}

/// What a client process sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    /// IP address and port of the server.
    pub address: String,
    /// The kinds of requests, sent in turn.
    pub requests: Vec<Template>,
    /// The number of connections; each sends its next request when it has the answer to the one before.
    pub connections: usize,
    /// Requests before the measurement, so that connections, caches and prepared statements exist.
    pub warm_up: usize,
    /// The number of measured requests.
    pub count: usize,
    /// Requests per second, sent at fixed times; without it, as many as are answered. The time of a request begins when
    /// it should have been sent, so that a slow answer counts for those that wait behind it.
    pub per_second: Option<f64>,
}

/// What a client process measured.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Figures {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub longest_ms: f64,
}

/// Sends the load from a process of its own.
pub fn run(load: &Load) -> Result<Figures> {
    let own = std::env::current_exe().map_err(Error::internal)?;
    let mut child = Command::new(own)
        .arg("client")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::internal)?;
    if let Some(input) = child.stdin.take() {
        serde_json::to_writer(input, load).map_err(Error::internal)?;
    }
    let output = child.wait_with_output().map_err(Error::internal)?;
    if !output.status.success() {
        return Err(Error::internal("the client process failed"));
    }
    serde_json::from_slice(&output.stdout).map_err(Error::internal)
}

/// The client process.
pub fn run_process() -> Result<()> {
    let load: Load = serde_json::from_reader(std::io::stdin()).map_err(Error::internal)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::internal)?;
    let figures = runtime.block_on(measure(load))?;
    serde_json::to_writer(std::io::stdout(), &figures).map_err(Error::internal)
}

async fn measure(load: Load) -> Result<Figures> {
    let clients: Vec<HttpClient> = (0..load.connections).map(|_| HttpClient::new()).collect();
    let load = Arc::new(load);
    let tokens = sign_ahead(&load, load.warm_up)?;
    send_all(&clients, &load, tokens, load.warm_up).await?;
    let tokens = sign_ahead(&load, load.count)?;
    let began = Instant::now();
    let mut times = send_all(&clients, &load, tokens, load.count).await?;
    let seconds = began.elapsed().as_secs_f64();
    times.sort_unstable();
    Ok(Figures {
        per_second: f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX)) / seconds,
        p50_ms: percentile(&times, 50),
        p99_ms: percentile(&times, 99),
        longest_ms: percentile(&times, 100),
    })
}

/// The number of requests whose tokens are signed before the measurement starts. In a longer load, they would expire.
const MOST_SIGNED_AHEAD: usize = 20_000;

/// The tokens of so many requests; none where a request needs none, and none at all for a long load.
fn sign_ahead(load: &Load, count: usize) -> Result<Vec<Option<String>>> {
    if count > MOST_SIGNED_AHEAD {
        return Ok(Vec::new());
    }
    let templates = load.requests.iter().cycle().take(count);
    templates
        .map(|template| template.signing.as_ref().map(Signing::token).transpose())
        .collect()
}

/// Sends `count` requests over all connections; returns how long each took.
async fn send_all(
    clients: &[HttpClient],
    load: &Arc<Load>,
    tokens: Vec<Option<String>>,
    count: usize,
) -> Result<Vec<Duration>> {
    let next = Arc::new(AtomicUsize::new(0));
    let tokens = Arc::new(tokens);
    let start = Instant::now();
    let mut running = JoinSet::new();
    for client in clients {
        let (client, load, tokens, next) = (client.clone(), load.clone(), tokens.clone(), next.clone());
        running.spawn(async move {
            let mut times = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return Ok::<_, Error>(times);
                }
                let began = time_to_send(&load, start, n).await;
                let Some(template) = load.requests.get(n % load.requests.len().max(1)) else {
                    return Ok(times);
                };
                let token = match (tokens.get(n), &template.signing) {
                    (Some(token), _) => token.clone(),
                    (None, Some(signing)) => Some(signing.token()?),
                    (None, None) => None,
                };
                client.send(&load.address, template, token).await?;
                times.push(began.elapsed());
            }
        });
    }
    let mut times = Vec::with_capacity(count);
    while let Some(done) = running.join_next().await {
        times.extend(done.map_err(Error::internal)??);
    }
    Ok(times)
}

/// Waits until request `n` must be sent; returns the time from which it counts.
async fn time_to_send(load: &Load, start: Instant, n: usize) -> Instant {
    let Some(per_second) = load.per_second else {
        return Instant::now();
    };
    let seconds = f64::from(u32::try_from(n).unwrap_or(u32::MAX)) / per_second;
    let planned = start + Duration::from_secs_f64(seconds);
    if planned > Instant::now() {
        tokio::time::sleep_until(planned.into()).await;
    }
    planned
}

/// One kept-alive connection.
#[derive(Clone)]
pub struct HttpClient(Client<HttpConnector, Body>);

impl HttpClient {
    /// A client without a connection.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(1)
                .build(connector),
        )
    }

    /// Sends a request, checks the reply and returns its body.
    pub async fn send(&self, address: &str, template: &Template, token: Option<String>) -> Result<Bytes> {
        let method = if template.body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{}", template.path));
        for (name, value) in &template.headers {
            request = request.header(name.as_str(), value.as_str());
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match &template.body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                let id = new_id(Clock::System.now()).to_string();
                Body::from(body.replace(UNIQUE, &id))
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(Error::internal)?;
        let reply = self.0.request(request).await.map_err(Error::internal)?;
        let status = reply.status();
        let body = reply
            .into_body()
            .collect()
            .await
            .map_err(Error::internal)?
            .to_bytes();
        let text = String::from_utf8_lossy(&body);
        if status.is_success() && text.contains(&template.contains) {
            return Ok(body);
        }
        let start: String = text.chars().take(600).collect();
        Err(Error::internal(format!(
            "{} returned HTTP {status} without {}: {start}",
            template.path, template.contains
        )))
    }
}

/// The percentile of sorted durations, in milliseconds.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    let index = (times.len() * percent / 100).min(last);
    times.get(index).map_or(0.0, Duration::as_secs_f64) * 1000.0
}
