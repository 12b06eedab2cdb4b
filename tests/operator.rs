//! Operators' commands with the real binary: clients, sign-ins, import, settings, health checks, logs, shutdown.

use crate::support::Installation;
use crate::support::database::open_sqlite;
use assent::auth::keys::new_es384;
use assent::demo::seed::plan_records;
use serde_json::{Value, json};
use std::io::{Read, Write};

#[test]
fn clients_are_added_listed_and_disabled() {
    let installation = Installation::new();
    let keys = installation.file("keys.json", &new_es384("k1").unwrap().jwks().to_string());
    let add = [
        "client",
        "add",
        "ehr-1",
        "--name",
        "Lake EHR",
        "--scope",
        "system/Claim.c",
        "--jwks",
        keys.to_str().unwrap(),
    ];
    let (code, out, err) = installation.run(&add);
    assert_eq!(
        (code, out.as_str()),
        (0, "Client ehr-1 is registered.\n"),
        "{err}"
    );
    let again: Vec<&str> = add
        .iter()
        .map(|word| if *word == "Lake EHR" { "Again" } else { word })
        .collect();
    let (code, _, err) = installation.run(&again);
    assert_eq!(code, 1);
    assert!(err.contains("Another client already has this client_id"), "{err}");
    let (_, out, _) = installation.run(&[
        "client",
        "add",
        "app-2",
        "--name",
        "App",
        "--secret",
        "--scope",
        "patient/*.rs",
        "--redirect-uri",
        "https://a.example/cb",
    ]);
    let secret = out
        .lines()
        .find_map(|line| line.strip_prefix("client_secret: "))
        .expect("the command prints the secret");
    let (code, out, _) = installation.run(&["client", "list"]);
    assert_eq!(code, 0);
    assert!(out.contains("ehr-1\tenabled\tLake EHR\tsystem/Claim.c"), "{out}");
    assert!(!out.contains(secret) && !out.contains("Again"), "{out}");
    assert_eq!(installation.run(&["client", "disable", "ehr-1"]).0, 0);
    assert!(
        installation
            .run(&["client", "list"])
            .1
            .contains("ehr-1\tdisabled")
    );
    let (code, _, err) = installation.run(&["client", "disable", "nobody"]);
    assert_eq!((code, err.as_str()), (1, "assent: Client nobody was not found\n"));
}

#[test]
fn all_mistakes_in_a_client_are_reported_together() {
    let installation = Installation::new();
    let bad = [
        "client",
        "add",
        "app",
        "--name",
        "App",
        "--public",
        "--scope",
        "anything",
        "--redirect-uri",
        "ftp://x",
    ];
    let (code, _, err) = installation.run(&bad);
    assert_eq!(code, 1);
    assert!(
        err.contains("anything is not a valid scope") && err.contains("ftp://x must be an https URL"),
        "{err}"
    );
}

#[test]
fn sign_ins_are_added_listed_and_disabled() {
    let installation = Installation::new();
    let nurse = [
        "--role",
        "nurse",
        "--license",
        "RN1",
        "--license-kind",
        "nurse",
        "--license-state",
        "OH",
    ];
    let arguments = [&["user", "add", "Nora", "--name", "Nora N"][..], &nurse].concat();
    let (code, out, err) = installation.run(&arguments);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("nora can sign in.\npassword: "), "{out}");
    let (code, _, err) = installation.run(&["user", "add", "paul", "--name", "Paul", "--role", "physician"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("A physician must have a physician's license"),
        "{err}"
    );
    let sam = [
        "user",
        "add",
        "sam",
        "--name",
        "Sam",
        "--role",
        "supervisor",
        "--password-stdin",
    ];
    assert_eq!(
        installation.run_with_input(&sam, "short\n").0,
        1,
        "a password of five characters"
    );
    let (code, out, err) = installation.run_with_input(&sam, "a long pass phrase\n");
    assert_eq!((code, out.as_str()), (0, "sam can sign in.\n"), "{err}");
    let (code, _, err) = installation.run(&["user", "add", "ruth", "--member", "NOBODY"]);
    assert_eq!(code, 1, "a member's sign-in needs a member: {err}");
    let (_, out, _) = installation.run(&["user", "list"]);
    assert!(
        out.contains("nora\tenabled\tstaff\tNora N\tnurse") && out.contains("sam\tenabled"),
        "{out}"
    );
    assert_eq!(
        installation.run(&["user", "disable", "NORA"]).0,
        0,
        "usernames are not case-sensitive"
    );
    assert!(installation.run(&["user", "list"]).1.contains("nora\tdisabled"));
    assert_eq!(installation.run(&["user", "disable", "nobody"]).0, 1);
}

/// The first member of the demo plan and the member's coverage, as FHIR resources.
fn member_and_coverage() -> [Value; 2] {
    let mut records = plan_records().into_iter();
    [records.next().unwrap(), records.next().unwrap()]
}

/// How many members, coverages and providers the database has.
async fn record_counts(installation: &Installation) -> Vec<i64> {
    let path = installation.folder.path().join("plan/assent.db");
    let mut connection = open_sqlite(path).await;
    let mut counts = Vec::new();
    for query in [
        "SELECT COUNT(*) FROM member",
        "SELECT COUNT(*) FROM coverage",
        "SELECT COUNT(*) FROM provider",
    ] {
        counts.push(
            sqlx::query_scalar(query)
                .fetch_one(&mut connection)
                .await
                .unwrap(),
        );
    }
    counts
}

/// Imports the whole demo plan as one Bundle, then a Bundle with an empty entry and a rejected resource.
async fn check_bundle_import(installation: &Installation, rejected: &Value) {
    let all: Vec<Value> = plan_records()
        .into_iter()
        .map(|r| json!({ "resource": r }))
        .collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": all });
    let file = installation.file("plan.json", &serde_json::to_string_pretty(&bundle).unwrap());
    let (code, out, err) = installation.run(&["import", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(
        record_counts(installation).await,
        [7, 7, 3],
        "a Bundle on several lines with known and new members"
    );
    let broken =
        json!({ "resourceType": "Bundle", "type": "collection", "entry": [{}, { "resource": rejected }] });
    let file = installation.file("broken.json", &broken.to_string());
    let (code, _, err) = installation.run(&["import", file.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(
        err.contains("broken.json:1: ") && err.contains("broken.json:2: "),
        "{err}"
    );
}

#[tokio::test]
async fn an_import_stores_valid_rows_and_lists_rejected_rows() {
    let installation = Installation::new();
    let [member, coverage] = member_and_coverage();
    let mut without_identifier = member.clone();
    without_identifier.as_object_mut().unwrap().remove("identifier");
    let mut unknown_plan = coverage.clone();
    unknown_plan["class"][0]["value"] = json!("NO-SUCH-PLAN");
    unknown_plan["identifier"][0]["value"] = json!("other");
    let observation = json!({ "resourceType": "Observation" });
    // The coverage comes before its member: lines may be in any order.
    let lines = [
        coverage.to_string(),
        "{ not json".to_owned(),
        without_identifier.to_string(),
        String::new(),
        unknown_plan.to_string(),
        observation.to_string(),
        member.to_string(),
    ];
    let file = installation.file("plan.ndjson", &lines.join("\n"));
    let path = file.to_str().unwrap();
    let (code, out, err) = installation.run(&["import", path]);
    assert_eq!(code, 2, "{out}{err}");
    assert_eq!(
        out,
        "2 records imported, 1 resources of other types skipped, 3 rows rejected\n"
    );
    for line in [2, 3, 5] {
        assert!(
            err.contains(&format!("plan.ndjson:{line}: ")),
            "line {line} is not listed: {err}"
        );
    }
    assert!(err.to_lowercase().contains("plan"), "{err}");
    assert!(
        !err.contains("Ellery"),
        "a message contains the member's name: {err}"
    );
    assert_eq!(record_counts(&installation).await, [1, 1, 0]);
    assert_eq!(installation.run(&["import", path]).0, 2);
    assert_eq!(
        record_counts(&installation).await,
        [1, 1, 0],
        "importing the same file again changed something"
    );

    check_bundle_import(&installation, &unknown_plan).await;
    let (code, _, err) = installation.run(&["import", "nowhere.ndjson"]);
    assert_eq!(code, 1);
    assert!(err.contains("nowhere.ndjson cannot be read"), "{err}");
}

#[test]
fn each_invalid_setting_is_reported_in_one_line() {
    let mut installation = Installation::new();
    installation.file("bad.toml", "[payer]\nidentifiers = []\n[limits]\nhook_ms = 9000\n[mail]\ntransport = \"smtp\"\nurl = \"smtp://relay\"");
    installation.set("SESSIONS__IDLE_MINUTES", "1");
    let (code, _, err) = installation.run(&["--config", "bad.toml", "serve"]);
    assert_eq!(code, 1);
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 4, "{err}");
    for setting in [
        "payer.identifiers",
        "limits.hook_ms",
        "sessions.idle_minutes",
        "mail.url",
    ] {
        assert_eq!(
            lines.iter().filter(|line| line.contains(setting)).count(),
            1,
            "{setting}: {err}"
        );
    }
    installation.set("SESSIONS__IDLE_MINUTES", "30");
    for (name, value, setting) in [
        ("LISTEN", "somewhere", "listen"),
        ("LISSTEN", "127.0.0.1:1", "lissten"),
        ("LIMITS__BODY_BYTES", "many", "body_bytes"),
    ] {
        let (code, err) = {
            let output = installation
                .command(&["serve"])
                .env(format!("ASSENT_{name}"), value)
                .output()
                .unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        assert_eq!(code, Some(1), "{name}={value}");
        assert!(err.contains(setting), "{name}={value} is not reported: {err}");
    }
    let (code, _, err) = installation.run(&["--config", "nowhere.toml", "serve"]);
    assert_eq!(code, 1);
    assert!(err.contains("nowhere.toml cannot be read"), "{err}");
}

#[test]
fn health_checks_metrics_and_logs_contain_no_member_data() {
    let installation = Installation::new();
    assert_eq!(
        installation.run(&["healthcheck"]).0,
        1,
        "no server is running yet"
    );
    let [member, coverage] = member_and_coverage();
    let file = installation.file("plan.ndjson", &format!("{member}\n{coverage}\n"));
    let server = installation.serve();
    assert_eq!(installation.run(&["healthcheck"]).0, 0);
    let (code, out, err) = installation.run(&["import", file.to_str().unwrap()]);
    assert_eq!(code, 0, "import while the server runs: {out}{err}");
    assert!(server.request("GET /healthz HTTP/1.1", "").contains("alive"));
    let ready = server.request("GET /readyz HTTP/1.1", "");
    assert!(
        ready.contains("\"ready\":true") && ready.contains("\"policy_set\":\""),
        "{ready}"
    );
    let reply = server.request(
        "GET /fhir/pdex/Patient?family=Ellery&birthdate=1953-03-14 HTTP/1.1",
        "Authorization: Bearer a-secret-token\r\n",
    );
    assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
    let id = reply
        .lines()
        .find_map(|line| line.strip_prefix("x-request-id: "))
        .expect("the response has a request id")
        .trim();
    let metrics = server.request("GET /metrics HTTP/1.1", "");
    assert!(
        metrics.contains("assent_http_requests_total{") && metrics.contains("status=\"401\""),
        "{metrics}"
    );
    server.terminate();
    let log = server.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))
        .collect();
    let of_request = lines
        .iter()
        .filter(|line| line["span"]["id"] == id && line["fields"]["status"] == 401);
    assert!(of_request.count() >= 1, "{log}");
    for secret in ["Ellery", "1953-03-14", "a-secret-token", "family"] {
        assert!(!log.contains(secret), "the log contains {secret}: {log}");
        assert!(!metrics.contains(secret), "the metrics contain {secret}");
    }
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn a_stopping_server_completes_requests_in_progress() {
    let installation = Installation::new();
    let server = installation.serve();
    let body = "grant_type=client_credentials&client_id=nobody";
    let mut slow = server.connect().unwrap();
    let (first, rest) = body.split_at(10);
    let length = body.len();
    write!(
        slow,
        "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n{first}"
    )
    .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    server.terminate();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(
        server.connect().is_err(),
        "the stopping server accepts a new connection"
    );
    slow.write_all(rest.as_bytes()).unwrap();
    let mut reply = String::new();
    slow.read_to_string(&mut reply).unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 4") && reply.contains("\"error\":"),
        "{reply}"
    );
    assert_eq!(server.wait_for_exit(), 0);
    assert_eq!(
        installation.run(&["client", "list"]).0,
        0,
        "the database is usable after the shutdown"
    );
}

#[test]
fn an_idle_server_uses_little_processor_time() {
    let installation = Installation::new();
    let server = installation.serve();
    let rounds = || -> f64 {
        let metrics = server.request("GET /metrics HTTP/1.1", "");
        let lines = metrics
            .lines()
            .filter(|l| l.starts_with("assent_worker_rounds_total"));
        lines
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    let before = rounds();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let after = rounds();
    assert!(after - before >= 2.0, "the workers did not check for work");
    assert!(
        after - before < 30.0,
        "the workers checked for work {} times in three seconds",
        after - before
    );
}
