//! Connections of a whole server, over real sockets: slow clients, too many of them, HTTP/2, bodies that are not read or not
//! kept, and the end of the server. The limits are small, so that a test takes about a second.

use crate::support::TestApp;
use assent::app::App;
use assent::config::Config;
use axum::body::Body;
use axum::http::{Request, Version};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The longest time that a test waits for something that must happen.
const SOON: Duration = Duration::from_secs(20);

/// A server on a free port with the database of a test.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Running {
    /// Starts a server with small limits, changed as the test needs.
    async fn start(app: &TestApp, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = app.state.config.clone();
        let workers = &mut config.workers;
        (workers.outbox, workers.deadlines, workers.purge) = (false, false, false);
        let limits = &mut config.connections;
        limits.headers_ms = 400;
        limits.idle_ms = 600;
        limits.grace_ms = 400;
        limits.bytes_per_second = 2000;
        limits.transfer_ms = 2000;
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = App::build(config, app.clock.clone()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = server.serve(listener, async {
            let _ = stopped.await;
        });
        #[expect(clippy::disallowed_methods, reason = "ends with the server")]
        let serving = tokio::spawn(async { serving.await.unwrap() });
        Self {
            address,
            stop: Some(stop),
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A new connection on which this was sent.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// The whole response to a request on a connection of its own.
    async fn get(&self, path: &str, headers: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        until_closed(&mut self.send(&request).await).await
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        timeout(SOON, self.serving)
            .await
            .expect("the server ends")
            .unwrap();
    }
}

/// Everything that the server sends until it closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A connection that is reset is closed too.
    let _ = timeout(SOON, stream.read_to_end(&mut all))
        .await
        .expect("the server closes the connection");
    String::from_utf8_lossy(&all).into_owned()
}

/// What the server sends next.
async fn next_part(stream: &mut TcpStream) -> String {
    let mut part = vec![0; 8192];
    let length = timeout(SOON, stream.read(&mut part))
        .await
        .expect("the server answers")
        .unwrap();
    String::from_utf8_lossy(&part[..length]).into_owned()
}

fn post(path: &str, token: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/fhir+json\r\nContent-Length: {length}\r\n"
    )
}

const SUBMIT: &str = "/pas/2.2/Claim/$submit";

#[tokio::test]
async fn headers_that_arrive_slowly_and_idle_connections_are_cut() {
    let app = TestApp::sqlite().await;
    let server = Running::start(&app, |_| {}).await;
    let began = Instant::now();
    let mut slow = server.send("GET /healthz HTTP/1.1\r\nHost: x\r\nx-a: ").await;
    let dripping = async {
        let mut sent = 0;
        while slow.write_all(b"a").await.is_ok() && sent < 100 {
            sent += 1;
            sleep(Duration::from_millis(50)).await;
        }
        sent
    };
    assert!(dripping.await < 100, "the server reads on for ever");
    let mut silent = server.connect().await;
    assert_eq!(until_closed(&mut silent).await, "");
    let mut idle = server.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(next_part(&mut idle).await.starts_with("HTTP/1.1 200"));
    assert_eq!(until_closed(&mut idle).await, "");
    assert!(began.elapsed() < SOON);
    server.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn a_kept_connection_serves_many_requests() {
    let app = TestApp::sqlite().await;
    let server = Running::start(&app, |_| {}).await;
    let mut stream = server.connect().await;
    for _ in 0..6 {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        assert!(next_part(&mut stream).await.starts_with("HTTP/1.1 200"));
        sleep(Duration::from_millis(200)).await;
    }
    server.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn a_body_that_arrives_slowly_is_cut_by_its_rate() {
    let app = TestApp::sqlite().await;
    let token = app.ehr().await.token;
    let server = Running::start(&app, |_| {}).await;
    let mut slow = server
        .send(&format!("{}\r\n{{", post(SUBMIT, &token, 5000)))
        .await;
    let (mut reader, mut writer) = slow.split();
    let dripping = async {
        while writer.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = vec![0; 4096];
    let length = tokio::select! {
        () = dripping => panic!("the connection was closed without an answer"),
        length = timeout(SOON, reader.read(&mut answer)) => length.expect("the server answers").unwrap(),
    };
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    server.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn a_large_body_without_a_token_is_refused_before_it_is_sent() {
    let app = TestApp::sqlite().await;
    let server = Running::start(&app, |limits| limits.connections.transfer_ms = 60_000).await;
    for path in [
        SUBMIT,
        "/cds-services/order-sign-crd",
        "/dtr/2.2/$questionnaire-package",
    ] {
        let head = post(path, "no-such-token", 1_000_000);
        let mut stream = server.send(&format!("{head}Expect: 100-continue\r\n\r\n")).await;
        let answer = next_part(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
    for path in ["/oauth/token", "/oauth/introspect", "/me/sign-in"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: 16385\r\nExpect: 100-continue\r\n\r\n"
        );
        let answer = next_part(&mut server.send(&head).await).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
    }
    server.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn sixty_unfinished_bodies_take_bounded_memory_and_others_are_answered() {
    let app = TestApp::sqlite().await;
    let token = app.ehr().await.token;
    let server = Running::start(&app, |config| {
        config.limits.body_bytes = 512 * 1024;
        config.connections.bodies_bytes = 1024 * 1024;
        config.connections.grace_ms = 20_000;
        config.connections.transfer_ms = 20_000;
    })
    .await;
    let part = " ".repeat(300 * 1024);
    let mut open = Vec::new();
    for _ in 0..60 {
        let mut stream = server
            .send(&format!("{}\r\n", post(SUBMIT, &token, 400 * 1024)))
            .await;
        // The server may refuse the rest while it is being sent.
        let _ = timeout(Duration::from_millis(500), stream.write_all(part.as_bytes())).await;
        open.push(stream);
    }
    let answers = open.iter_mut().map(|stream| async {
        let mut answer = [0; 12];
        let read = timeout(Duration::from_secs(2), stream.read_exact(&mut answer)).await;
        read.is_ok_and(|read| read.is_ok()).then_some(answer)
    });
    let answers = futures_util::future::join_all(answers).await;
    let refused = answers
        .iter()
        .flatten()
        .filter(|answer| *answer == b"HTTP/1.1 503")
        .count();
    assert!(refused >= 50, "only {refused} of 60 were refused");
    let body = app.messages().referral_request().to_string();
    let mut small = server
        .send(&format!(
            "{}Connection: close\r\n\r\n{body}",
            post(SUBMIT, &token, body.len())
        ))
        .await;
    let answer = until_closed(&mut small).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(open);
    server.stop().await;
    app.leaves_work();
    app.finish().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_of_an_address_are_refused_and_those_of_a_proxy_are_not() {
    let app = TestApp::sqlite().await;
    let server = Running::start(&app, |config| {
        config.connections.per_address = 3;
        config.connections.idle_ms = 60_000;
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = server.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(next_part(&mut stream).await.starts_with("HTTP/1.1 200"));
        open.push(stream);
    }
    let refused = until_closed(&mut server.connect().await).await;
    assert!(
        refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after"),
        "{refused}"
    );
    open.pop();
    let again = async {
        while !server.get("/healthz", "").await.starts_with("HTTP/1.1 200") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, again)
        .await
        .expect("a closed connection frees its place");
    drop(open);
    server.stop().await;

    let proxy: IpAddr = "127.0.0.1".parse().unwrap();
    let server = Running::start(&app, |config| {
        config.trusted_proxies = vec![proxy];
        config.connections.per_address = 1;
    })
    .await;
    let unfinished = |client: &str| {
        let head =
            "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        format!("{head}Content-Length: 10\r\nForwarded: for={client}\r\n\r\n")
    };
    let _first = server.send(&unfinished("198.51.100.1")).await;
    sleep(Duration::from_millis(100)).await;
    let same = server.get("/healthz", "Forwarded: for=198.51.100.1\r\n").await;
    assert!(same.starts_with("HTTP/1.1 429"), "{same}");
    let other = server.get("/healthz", "Forwarded: for=198.51.100.2\r\n").await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    server.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn a_full_server_closes_idle_connections_for_new_ones() {
    let app = TestApp::sqlite().await;
    let server = Running::start(&app, |config| {
        config.connections.total = 4;
        config.connections.per_address = 4;
        config.connections.headers_ms = 60_000;
        config.connections.idle_ms = 60_000;
        config.connections.grace_ms = 60_000;
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut stream = server.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(next_part(&mut stream).await.starts_with("HTTP/1.1 200"));
        idle.push(stream);
    }
    // The address itself may open one more, and the server accepts one more.
    assert!(server.get("/healthz", "").await.starts_with("HTTP/1.1 200"));
    server.stop().await;
    drop(idle);

    let server = Running::start(&app, |config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.connections.total = 3;
        config.connections.per_address = 3;
        config.connections.headers_ms = 60_000;
        config.connections.idle_ms = 60_000;
    })
    .await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        busy.push(server.send("GET /healthz HTTP/1.1\r\n").await);
    }
    let mut idle = server.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(next_part(&mut idle).await.starts_with("HTTP/1.1 200"));
    assert!(server.get("/healthz", "").await.starts_with("HTTP/1.1 200"));
    assert_eq!(
        until_closed(&mut idle).await,
        "",
        "the idle connection ended for a new one"
    );
    busy.push(server.send("GET /healthz HTTP/1.1\r\n").await);
    let refused = server.get("/healthz", "").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    drop(busy);
    server.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn a_client_that_does_not_take_its_response_is_cut() {
    let app = TestApp::sqlite().await;
    let server = Running::start(&app, |_| {}).await;
    // Requests without end whose responses are not read: at some time the server can send no more.
    let mut stream = server.connect().await;
    let request = "GET /fhir/pdex/metadata HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let flood = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    timeout(SOON, flood)
        .await
        .expect("the server closes the connection");
    assert!(server.get("/healthz", "").await.starts_with("HTTP/1.1 200"));
    server.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn http_2_without_tls_is_offered_and_an_idle_connection_is_closed() {
    let app = TestApp::sqlite().await;
    let server = Running::start(&app, |_| {}).await;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Body> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build(connector);
    let url = |path: &str| format!("http://{}{path}", server.address);
    for path in ["/healthz", "/fhir/pdex/metadata"] {
        let request = Request::get(url(path)).body(Body::empty()).unwrap();
        let response = timeout(SOON, client.request(request)).await.unwrap().unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (200, Version::HTTP_2)
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(!body.is_empty());
    }
    drop(client);
    let mut bare = server.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    bare.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    until_closed(&mut bare).await;
    server.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn headers_that_are_too_large_or_too_many_are_refused() {
    let app = TestApp::sqlite().await;
    let server = Running::start(&app, |config| config.connections.headers_bytes = 8192).await;
    let many: String = (0..101).map(|n| format!("x-{n}: 1\r\n")).collect();
    for headers in [format!("x-a: {}\r\n", "a".repeat(9000)), many] {
        let answer = server.get("/healthz", &headers).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    server.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn the_server_ends_while_clients_hold_connections_open() {
    let app = TestApp::sqlite().await;
    let server = Running::start(&app, |config| {
        config.connections.idle_ms = 60_000;
        config.connections.headers_ms = 60_000;
    })
    .await;
    let mut kept = server.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(next_part(&mut kept).await.starts_with("HTTP/1.1 200"));
    let _silent = server.connect().await;
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(until_closed(&mut kept).await, "");
    app.finish().await;
}
