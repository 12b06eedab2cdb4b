//! HL7's own validator, applied to what the server sends. A test keeps the first FHIR resource or CDS Hooks message of
//! each shape that leaves through an API; at its end, when `HL7_VALIDATOR_URL` names a service with the protocol of HL7's
//! validator wrapper, each of them is validated once per process, and an error that `tests/validator/defects.toml` does not
//! list fails the test. Without the variable nothing is kept.

mod defects;
mod message;

use super::environment::setting;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use defects::Defect;
use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use message::Message;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// How many messages of one test are validated.
const MOST_PER_TEST: usize = 40;
/// How many messages of one process are validated. The report names how many shapes were skipped.
const MOST_PER_RUN: usize = 800;
/// Where the report of a run is written.
const REPORT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/validator.txt");

/// Where extensions may be defined besides the guides. Tests send extensions of their own, which come back.
const EXTENSIONS: [&str; 0] = [];

/// What the process has validated so far.
#[derive(Default)]
struct Progress {
    taken: HashSet<u64>,
    skipped: HashSet<u64>,
    defects_seen: BTreeSet<usize>,
    per_guide: BTreeMap<String, (usize, Duration)>,
}

/// A validation service with the list of known defects.
pub struct Validator {
    url: String,
    defects: Vec<Defect>,
    report: PathBuf,
    progress: Mutex<Progress>,
}

/// The service that `HL7_VALIDATOR_URL` names; `none` leaves the validation to another run.
static SERVICE: LazyLock<Option<Validator>> = LazyLock::new(|| {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/validator/defects.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let url = setting("HL7_VALIDATOR_URL").filter(|url| url != "none")?;
    Some(Validator::new(&url, &text, REPORT.into()))
});

thread_local! {
    /// What the current test has sent. A test runs on one thread, with its tasks.
    static KEPT: RefCell<Vec<Message>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a message that the current test has caused if its shape is new and validation is on.
pub fn keep(method: &str, path: &str, text: &str) {
    let Some(service) = SERVICE.as_ref() else { return };
    let Some(message) = Message::read(method, path, text) else {
        return;
    };
    KEPT.with_borrow_mut(|kept| {
        if service.is_new(message.shape) && !kept.iter().any(|other| other.shape == message.shape) {
            kept.push(message);
        }
    });
}

/// Forgets what an earlier test on this thread has left.
pub fn forget() {
    KEPT.take();
}

/// Validates what the current test has sent.
pub async fn validate() {
    let Some(service) = SERVICE.as_ref() else { return };
    let errors = service.validate(KEPT.take()).await;
    assert!(errors.is_empty(), "HL7's validator reports errors:\n{errors}");
}

impl Validator {
    /// A service with a list of defects in TOML, and the file for its report.
    fn new(url: &str, defects: &str, report: PathBuf) -> Self {
        Self {
            url: format!("{}/validate", url.trim_end_matches('/')),
            defects: defects::read(defects),
            report,
            progress: Mutex::default(),
        }
    }

    fn is_new(&self, shape: u64) -> bool {
        !self.progress.lock().unwrap().taken.contains(&shape)
    }

    /// Validates the messages with a new shape, as far as the limits allow, and returns the errors that are not listed.
    async fn validate(&self, messages: Vec<Message>) -> String {
        let (mut errors, mut count) = (String::new(), 0);
        for message in messages {
            if !self.take(message.shape, count) {
                continue;
            }
            count += 1;
            let began = Instant::now();
            let found = self.errors_of(&message).await;
            let mut progress = self.progress.lock().unwrap();
            let (number, time) = progress.per_guide.entry(message.guide.clone()).or_default();
            *number += 1;
            *time += began.elapsed();
            let mut is_listed = |error: &String| {
                let listed = self.defects.iter().position(|d| d.matches(&message.guide, error));
                progress.defects_seen.extend(listed);
                listed.is_some()
            };
            let new: Vec<String> = found.into_iter().filter(|error| !is_listed(error)).collect();
            if !new.is_empty() {
                let _ = writeln!(errors, "{} ({})", message.operation, message.guide);
                for error in new {
                    let _ = writeln!(errors, "  {error}");
                }
                let _ = writeln!(errors, "{}", message.text);
            }
        }
        std::fs::write(&self.report, self.report()).unwrap();
        errors
    }

    /// Takes a shape for validation unless it is known or a limit is reached.
    fn take(&self, shape: u64, taken_by_test: usize) -> bool {
        let mut progress = self.progress.lock().unwrap();
        if progress.taken.contains(&shape) {
            return false;
        }
        if taken_by_test == MOST_PER_TEST || progress.taken.len() == MOST_PER_RUN {
            progress.skipped.insert(shape);
            return false;
        }
        progress.skipped.remove(&shape);
        progress.taken.insert(shape)
    }

    /// The errors that the service reports for a message.
    async fn errors_of(&self, message: &Message) -> Vec<String> {
        let body = json!({
            "validationContext": {
                "sv": "4.0.1", "doNative": false, "extensions": EXTENSIONS, "disableDefaultResourceFetcher": true,
                "allowExampleUrls": true, "igs": [message.guide], "profiles": message.profile.as_slice(),
            },
            "filesToValidate": [{ "fileName": "message.json", "fileType": "json", "fileContent": message.text }],
        });
        let request = Request::post(&self.url).header(header::CONTENT_TYPE, "application/json");
        let client: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).build_http();
        let reply = client
            .request(request.body(Body::from(body.to_string())).unwrap())
            .await;
        let reply = reply.unwrap_or_else(|e| panic!("{} does not answer: {e}", self.url));
        let status = reply.status();
        let bytes: Bytes = reply.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&bytes));
        let reply: Value = serde_json::from_slice(&bytes).unwrap();
        let outcomes = reply["outcomes"].as_array().unwrap();
        let issues = outcomes
            .iter()
            .flat_map(|outcome| outcome["issues"].as_array().unwrap());
        let text = |issue: &Value, name: &str| issue[name].as_str().unwrap_or("-").to_owned();
        issues
            .filter(|issue| matches!(issue["level"].as_str(), Some("ERROR" | "FATAL")))
            .map(|issue| {
                format!(
                    "{}: {} [{}]",
                    text(issue, "location"),
                    text(issue, "message"),
                    text(issue, "messageId")
                )
            })
            .collect()
    }

    /// What was validated and skipped, and which listed defects did not appear.
    fn report(&self) -> String {
        let progress = self.progress.lock().unwrap();
        let mut report = String::new();
        for (guide, (number, time)) in &progress.per_guide {
            let _ = writeln!(
                report,
                "{guide}: {number} messages in {:.1} s",
                time.as_secs_f32()
            );
        }
        let _ = writeln!(
            report,
            "{} shapes validated, {} skipped (at most {MOST_PER_TEST} in a test and {MOST_PER_RUN} in all)",
            progress.taken.len(),
            progress.skipped.len()
        );
        for (n, defect) in self.defects.iter().enumerate() {
            if !progress.defects_seen.contains(&n) {
                let _ = writeln!(
                    report,
                    "listed in tests/validator/defects.toml but not reported: {}",
                    defect.error
                );
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, Router, routing::post};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tempfile::TempDir;

    const DEFECTS: &str = "[[defect]]\nguide = \"pas-2.2.1\"\nerror = \"Claim.item[*].x: * is wrong [M1]\"\nreason = \"The guide contradicts itself.\"\n";

    /// A service that reports these issues for every message, and counts its calls.
    async fn service(issues: Value) -> (String, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let answer = move |Json(_): Json<Value>| {
            counter.fetch_add(1, Ordering::Relaxed);
            let reply = json!({ "outcomes": [{ "issues": issues }] });
            async move { Json(reply) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/validate", post(answer));
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, calls)
    }

    fn message(path: &str, body: &Value) -> Message {
        Message::read("GET", path, &body.to_string()).unwrap()
    }

    #[tokio::test]
    async fn an_error_that_is_not_listed_is_returned_and_a_shape_is_validated_once() {
        let error = json!({ "level": "ERROR", "location": "Claim.item[0].x", "message": "y is wrong", "messageId": "M1" });
        let folder = TempDir::new().unwrap();
        let report = folder.path().join("report");
        let (url, calls) = service(json!([error, { "level": "WARNING", "message": "w" }])).await;
        let validator = Validator::new(&url, DEFECTS, report.clone());
        let claim = json!({ "resourceType": "Claim" });
        let listed = || vec![message("/pas/2.2/Claim/1", &claim)];
        assert_eq!(validator.validate(listed()).await, "");
        assert_eq!(validator.validate(listed()).await, "");
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let other_guide = vec![message("/dtr/2.2/Claim/1", &claim)];
        let errors = validator.validate(other_guide).await;
        assert!(
            errors.contains("GET /dtr/2.2/Claim/{id}") && errors.contains("y is wrong [M1]"),
            "{errors}"
        );
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert!(
            std::fs::read_to_string(&report)
                .unwrap()
                .contains("2 shapes validated, 0 skipped")
        );
    }

    #[tokio::test]
    async fn the_report_names_skipped_shapes_and_defects_that_did_not_appear() {
        let folder = TempDir::new().unwrap();
        let report = folder.path().join("report");
        let (url, calls) = service(json!([])).await;
        let validator = Validator::new(&url, DEFECTS, report.clone());
        let many = |first: usize| -> Vec<Message> {
            let all = first..first + MOST_PER_TEST + 2;
            all.map(|n| {
                message(
                    "/pas/2.2/Claim/1",
                    &json!({ "resourceType": format!("Claim{n}") }),
                )
            })
            .collect()
        };
        assert_eq!(validator.validate(many(0)).await, "");
        assert_eq!(calls.load(Ordering::Relaxed), MOST_PER_TEST);
        let text = std::fs::read_to_string(&report).unwrap();
        assert!(
            text.contains(", 2 skipped") && text.contains("not reported: Claim.item[*].x"),
            "{text}"
        );
        let skipped = many(MOST_PER_TEST);
        assert_eq!(validator.validate(skipped).await, "");
        assert!(
            std::fs::read_to_string(&report).unwrap().contains(", 2 skipped"),
            "two were made up for, two are new"
        );
    }
}
