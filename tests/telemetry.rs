//! Telemetry cannot hurt: logs that cannot be written, workers that panic, labels that callers invent, full disks.

use crate::support::{Installation, Server, both};
use assent::jobs::supervise;
use serde_json::Value;
use std::io::Read;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The value of a metric, summed over its labels.
fn metric(server: &Server, name: &str) -> f64 {
    let metrics = server.request("GET /metrics HTTP/1.1", "");
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn a_server_whose_log_is_closed_keeps_answering_and_counts_the_lines() {
    let installation = Installation::new();
    let mut command = installation.command(&["serve"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    let server = Server::of(child, &installation);
    server.wait_for_answer();
    for _ in 0..100 {
        assert!(
            server
                .request("GET /nothing HTTP/1.1", "")
                .starts_with("HTTP/1.1 404")
        );
    }
    assert!(metric(&server, "assent_log_lines_dropped_total") >= 100.0);
    assert_eq!(server.readiness()["ready"], true);
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn a_server_whose_log_nobody_reads_keeps_answering() {
    let installation = Installation::new();
    let mut command = installation.command(&["--log", "trace", "serve"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut unread = child.stderr.take().unwrap();
    let server = Server::of(child, &installation);
    server.wait_for_answer();
    for _ in 0..300 {
        assert!(
            server
                .request("GET /nothing HTTP/1.1", "")
                .starts_with("HTTP/1.1 404")
        );
    }
    let mut first = [0; 1];
    unread.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"{");
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn one_option_shows_each_query_with_its_name_and_time() {
    let installation = Installation::new();
    let server = installation.start(&["--log", "info,assent::store::query=debug", "serve"]);
    server.request("GET /readyz HTTP/1.1", "");
    server.terminate();
    let log = server.log();
    assert_eq!(server.wait_for_exit(), 0);
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let queries: Vec<&Value> = lines
        .iter()
        .filter(|line| line["target"] == "assent::store::query")
        .collect();
    let named = |name: &str| {
        queries
            .iter()
            .any(|q| q["span"]["query"] == name && q["fields"]["micros"].is_u64())
    };
    assert!(
        named("record_worker_run") && named("newest_publication_number"),
        "{queries:?}"
    );
}

#[test]
fn methods_and_paths_that_callers_invent_are_one_label() {
    let installation = Installation::new();
    let server = installation.serve();
    for n in 0..30 {
        let reply = server.request(&format!("METHOD{n} /path/{n} HTTP/1.1"), "");
        assert!(reply.starts_with("HTTP/1.1 4"), "{reply}");
    }
    let metrics = server.request("GET /metrics HTTP/1.1", "");
    assert!(
        !metrics.contains("METHOD") && !metrics.contains("/path"),
        "{metrics}"
    );
    let invented = metrics
        .lines()
        .filter(|line| line.starts_with("assent_http_requests_total") && line.contains("method=\"other\""));
    let invented: Vec<&str> = invented.collect();
    assert_eq!(invented.len(), 1, "{invented:?}");
    assert!(
        invented[0].contains("route=\"unmatched\"") && invented[0].ends_with(" 30"),
        "{invented:?}"
    );
    assert!(
        metrics.contains("assent_http_seconds_bucket{") && !metrics.contains("quantile="),
        "{metrics}"
    );
}

#[test]
fn a_server_on_a_full_disk_is_not_ready_and_says_why() {
    let mut installation = Installation::new();
    installation.set("LIMITS__FREE_DISK_MIB", "1000000000000");
    let server = installation.serve_without_being_ready();
    let reply = server.request("GET /readyz HTTP/1.1", "");
    assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
    assert!(reply.contains("The disk of the database has "), "{reply}");
    assert!(
        reply.contains("MiB left, less than 1000000000000 MiB (limits.free_disk_mib)"),
        "{reply}"
    );
    let (code, _, err) = installation.run(&["healthcheck"]);
    assert!(code == 1 && err.contains("The server is not ready: "), "{err}");
}

both! {
    async fn a_worker_that_panics_is_started_again_and_is_named_until_it_works(app: &TestApp) {
        let (_stop, stopped) = watch::channel(false);
        let (state, rounds) = (app.state.clone(), AtomicU32::new(0));
        let work = || async {
            assert!(rounds.fetch_add(1, Ordering::SeqCst) >= 2, "content of a request");
            state.workers.has_completed_a_round("test");
            std::future::pending::<()>().await;
        };
        let problems = async || {
            let reply = app.get("/readyz", None).await;
            let body: Value = serde_json::from_str(&reply.text).unwrap();
            (reply.status.as_u16(), body["problems"].to_string())
        };
        let watching = async {
            while problems().await.0 == 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let (status, text) = problems().await;
            assert_eq!(status, 503);
            assert!(text.contains("The worker test has stopped once since"), "{text}");
            assert!(!text.contains("content of a request"), "{text}");
            while problems().await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = supervise("test", app.state.clone(), stopped, work) => panic!("the worker was not started again"),
            () = watching => {}
        }
        assert_eq!(rounds.load(Ordering::SeqCst), 3);
    }

    async fn a_server_whose_database_cannot_be_written_is_not_ready(app: &TestApp) {
        app.sql("ALTER TABLE worker RENAME TO worker_gone").await;
        let reply = app.get("/readyz", None).await;
        assert_eq!(reply.status, 503);
        assert!(reply.text.contains("The database cannot be written"), "{}", reply.text);
        assert_eq!(app.get("/healthz", None).await.status, 200);
        app.sql("ALTER TABLE worker_gone RENAME TO worker").await;
        let ready: Value = serde_json::from_str(&app.get("/readyz", None).await.text).unwrap();
        assert_eq!((&ready["ready"], &ready["problems"]), (&true.into(), &serde_json::json!([])));
    }
}
