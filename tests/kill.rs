//! A server that is killed under load, on both databases: every request that was answered is stored once and gets the
//! same answer again, what follows from it is sent once, and every history is complete.

use crate::pas::case_id;
use crate::support::{Installation, PUBLIC_URL, TestApp};
use assent::clock::Clock;
use assent::demo::walk::messages::Messages;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The server is killed after this many answers.
const ANSWERS: usize = 80;
/// How many requests are sent at the same time.
const SENDERS: usize = 12;

/// What one sender did: the answered requests with their answers, and the one that was not answered.
#[derive(Default)]
struct Sent {
    answered: Vec<(String, String)>,
    unanswered: Option<String>,
}

/// Where and how requests are sent.
#[derive(Clone)]
struct Target {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Target {
    /// The answer to a request; none when the connection broke.
    async fn submit(&self, body: &str) -> Option<String> {
        let sent = self
            .client
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("content-type", "application/fhir+json")
            .body(body.to_owned())
            .send();
        let response = sent.await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        assert_eq!(status, 200, "{text}");
        Some(text)
    }
}

/// Sends requests until the connection breaks.
async fn send_until_killed(target: Target, answers: Arc<AtomicUsize>) -> Sent {
    let mut sent = Sent::default();
    loop {
        let body = Messages::new(Clock::System.now()).referral_request().to_string();
        match target.submit(&body).await {
            Some(answer) => {
                sent.answered.push((body, answer));
                answers.fetch_add(1, Ordering::SeqCst);
            }
            None => {
                sent.unanswered = Some(body);
                return sent;
            }
        }
    }
}

/// Waits until the number that a query returns is `expected`.
async fn until(app: &TestApp, query: &str, expected: usize) {
    let began = Instant::now();
    loop {
        let number = app.number(query).await;
        if usize::try_from(number).unwrap() == expected {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{query} stays at {number}, not {expected}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn no_answered_request_is_lost_or_doubled(app: TestApp) {
    let ehr = app.ehr().await;
    app.sql("UPDATE token SET expires = '2100-01-01T00:00:00+00:00'")
        .await;
    let mut installation = Installation::new();
    installation.set("DATABASE", &app.state.config.database);
    installation.set("PUBLIC_URL", PUBLIC_URL);
    installation.set("WORKERS__LEASE_SECONDS", "1");
    let target = Target {
        client: reqwest::Client::builder().build().unwrap(),
        url: format!("http://127.0.0.1:{}/pas/2.2/Claim/$submit", installation.port),
        token: ehr.token.clone(),
    };

    let server = installation.serve();
    let answers = Arc::new(AtomicUsize::new(0));
    let senders = (0..SENDERS).map(|_| send_until_killed(target.clone(), answers.clone()));
    let killing = async {
        while answers.load(Ordering::SeqCst) < ANSWERS {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.kill();
    };
    let (sent, ()) = tokio::join!(futures_util::future::join_all(senders), killing);

    let server = installation.serve();
    let target = &target;
    let answered = sent.iter().flat_map(|sent| &sent.answered);
    let again = answered.map(|(body, answer)| async move {
        assert_eq!(
            target.submit(body).await.as_ref(),
            Some(answer),
            "the answer to the same request changed"
        );
    });
    let repeated = futures_util::future::join_all(again).await.len();
    let mut cases = Vec::new();
    for body in sent.iter().filter_map(|sent| sent.unanswered.as_ref()) {
        let answer = target.submit(body).await.expect("an answer after the restart");
        assert_eq!(target.submit(body).await.as_ref(), Some(&answer));
        cases.push(answer);
    }
    cases.extend(
        sent.iter()
            .flat_map(|sent| sent.answered.iter().map(|(_, answer)| answer.clone())),
    );
    let stored = repeated + sent.iter().filter(|sent| sent.unanswered.is_some()).count();
    assert!(stored >= ANSWERS);
    until(&app, "SELECT COUNT(*) FROM prior_auth", stored).await;
    until(&app, "SELECT COUNT(*) FROM submission", stored).await;
    until(&app, "SELECT COUNT(*) FROM outbox WHERE state = 'sent'", stored).await;
    until(
        &app,
        "SELECT COUNT(DISTINCT case_id) FROM outbox WHERE kind = 'mail'",
        stored,
    )
    .await;
    let written = std::fs::read_dir(installation.folder.path().join("data/mail"))
        .unwrap()
        .count();
    assert!(
        (stored..stored * 2).contains(&written),
        "{written} emails for {stored} cases"
    );
    for answer in cases {
        let response: Value = serde_json::from_str(&answer).unwrap();
        let case = case_id(&response["entry"][0]["resource"]);
        let events = app
            .state
            .store
            .read(case, |tx, id| Box::pin(async move { tx.events(*id).await }));
        assert!(!events.await.expect("an unbroken history").is_empty());
    }
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answered_request_is_lost_or_doubled_on_sqlite() {
    no_answered_request_is_lost_or_doubled(TestApp::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answered_request_is_lost_or_doubled_on_postgres() {
    if let Some(app) = TestApp::postgres().await {
        no_answered_request_is_lost_or_doubled(app).await;
    }
}
