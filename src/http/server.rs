//! Accepts connections, within the limits of the settings `connections`, and serves HTTP/1.1 and HTTP/2 without TLS on
//! them. The proxy in front of the server terminates TLS.

use super::connection::{Activity, Verdict, WatchedBody, WatchedStream};
use super::slots::{Slot, Slots};
use crate::config::Config;
use crate::state::State;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

/// How long a new connection waits for another one to end when there are too many.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(250);
/// How long the server waits after it could not accept a connection, for example because it has too many open files.
const WAIT_AFTER_ERROR: Duration = Duration::from_millis(500);
/// How long a connection that is being closed may take to end.
const CLOSING: Duration = Duration::from_secs(5);
/// How many refused connections may wait for their client to read the refusal.
const REFUSALS: usize = 64;
/// How long they wait.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// The response to a connection beyond the limits.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-type: text/plain\r\n\
    content-length: 43\r\nconnection: close\r\n\r\nThe server has too many connections open.\r\n";

/// The largest number of requests at a time on one HTTP/2 connection.
const HTTP2_REQUESTS: u32 = 100;
/// How much of a body an HTTP/2 client may send before it is read, in bytes: of one request, and of all on a connection.
const HTTP2_WINDOWS: (u32, u32) = (64 * 1024, 512 * 1024);
/// How many requests an HTTP/2 client may cancel before the server has seen them.
const HTTP2_RESETS: usize = 20;
/// How often an HTTP/2 connection with requests is asked whether it is alive, and how long it may take to answer.
const HTTP2_PING: Duration = Duration::from_secs(20);
/// The largest number of headers of a request.
const HEADERS: usize = 100;

/// What all connections share.
struct Server {
    router: Router,
    builder: Builder<TokioExecutor>,
    state: State,
    /// One for each connection that may be open.
    places: Arc<Semaphore>,
    by_address: Arc<Slots>,
    refusals: Arc<Semaphore>,
    is_closing: AtomicBool,
    /// Wakes all connections: the server is closing, or idle connections should end so that new ones can begin.
    attention: Notify,
}

/// Serves requests until `stop` completes. Then finishes those in progress; what is left after `longest` is closed.
pub async fn serve(
    listener: TcpListener,
    state: State,
    stop: impl Future<Output = ()> + Send,
    longest: Duration,
) {
    let server = Arc::new(Server::new(state));
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => server.admit(stream, peer, &mut connections).await,
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(cause = %error, "no connection can be accepted");
                server.attention.notify_waiters();
                tokio::select! {
                    () = &mut stop => break,
                    () = sleep(WAIT_AFTER_ERROR) => {}
                }
            }
        }
    }
    drop(listener);
    server.is_closing.store(true, Ordering::Relaxed);
    server.attention.notify_waiters();
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(longest, all_ended).await.is_err() {
        tracing::warn!("some requests did not end in time and were closed");
        connections.shutdown().await;
    }
}

/// Whether accepting failed because of the client, so that the next connection may be accepted at once.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// What a connection holds while it is open.
struct Admission {
    _place: OwnedSemaphorePermit,
    _slot: Option<Slot>,
}

impl Server {
    fn new(state: State) -> Self {
        let settings = &state.config.connections;
        Self {
            router: super::router(state.clone()),
            builder: builder(&state.config),
            places: Arc::new(Semaphore::new(settings.total.min(Semaphore::MAX_PERMITS))),
            by_address: Slots::new(settings.per_address),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            is_closing: AtomicBool::new(false),
            attention: Notify::new(),
            state,
        }
    }

    /// Serves a new connection, or refuses it.
    async fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
        match self.admission(peer).await {
            Ok(admission) => {
                let server = self.clone();
                connections.spawn(async move {
                    server.serve_connection(stream, peer).await;
                    drop(admission);
                });
            }
            Err(reason) => {
                metrics::counter!("assent_connections_refused_total", "reason" => reason).increment(1);
                if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
                    connections.spawn(async move {
                        // The client may be gone or may not read: the connection is closed in any case.
                        let _ = timeout(REFUSAL_TIME, refuse(stream)).await;
                        drop(permit);
                    });
                }
            }
        }
    }

    /// Takes what a connection needs. A trusted proxy has no limit of its own, because its clients have.
    async fn admission(&self, peer: SocketAddr) -> Result<Admission, &'static str> {
        let address = peer.ip().to_canonical();
        let slot = if self.state.config.trusted_proxies.contains(&address) {
            None
        } else {
            Some(self.by_address.take(address).ok_or("address")?)
        };
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                self.attention.notify_waiters();
                let freed = timeout(WAIT_FOR_OTHERS, self.places.clone().acquire_owned()).await;
                freed.map_err(|_| "total")?.map_err(|_| "total")?
            }
        };
        Ok(Admission {
            _place: place,
            _slot: slot,
        })
    }

    async fn serve_connection(&self, stream: TcpStream, peer: SocketAddr) {
        // Without it a response waits for more to send; if it cannot be set, the response is only later.
        let _ = stream.set_nodelay(true);
        let activity = Activity::new();
        let service = service_fn(|request| answer(self.router.clone(), peer, activity.clone(), request));
        let io = TokioIo::new(WatchedStream::new(stream, activity.clone()));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let settings = &self.state.config.connections;
        let mut attention = pin!(self.attention.notified());
        attention.as_mut().enable();
        let mut next_look = pin!(sleep(settings.headers().min(settings.idle())));
        let mut is_ending = false;
        if self.is_closing.load(Ordering::Relaxed) {
            connection.as_mut().graceful_shutdown();
        }
        loop {
            tokio::select! {
                biased;
                // The connection ended. A broken connection is the client's affair.
                _ = connection.as_mut() => return,
                () = attention.as_mut() => {
                    attention.set(self.attention.notified());
                    attention.as_mut().enable();
                    if self.is_closing.load(Ordering::Relaxed) || activity.is_idle() {
                        connection.as_mut().graceful_shutdown();
                    }
                }
                () = next_look.as_mut() => {
                    let wait = match activity.verdict(settings) {
                        Verdict::Continue(wait) => wait,
                        Verdict::Close if !is_ending => {
                            is_ending = true;
                            connection.as_mut().graceful_shutdown();
                            CLOSING
                        }
                        Verdict::Close | Verdict::Cut => return,
                    };
                    next_look.set(sleep(wait));
                }
            }
        }
    }
}

/// The protocols with their limits. The time limits of HTTP/1.1 are those of `Activity`.
fn builder(config: &Config) -> Builder<TokioExecutor> {
    let settings = &config.connections;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(settings.headers_bytes)
        .max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_REQUESTS)
        .initial_stream_window_size(HTTP2_WINDOWS.0)
        .initial_connection_window_size(HTTP2_WINDOWS.1)
        .max_header_list_size(u32::try_from(settings.headers_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(HTTP2_RESETS)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING);
    builder
}

/// Answers one request.
async fn answer(
    router: Router,
    peer: SocketAddr,
    activity: Arc<Activity>,
    mut request: Request<Incoming>,
) -> Result<Response<WatchedBody>, Infallible> {
    let in_progress = activity.begin_request();
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.oneshot(request).await?;
    let is_event_stream = is_event_stream(response.headers());
    Ok(response.map(|body| in_progress.respond(body, is_event_stream)))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/event-stream"))
}

/// Sends the refusal and waits until the client has closed the connection. Closed at once, the connection would be reset
/// and the client would not see the refusal.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(REFUSAL).await?;
    stream.shutdown().await?;
    let mut discarded = [0; 1024];
    while stream.read(&mut discarded).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_names_its_length() {
        let text = std::str::from_utf8(REFUSAL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
