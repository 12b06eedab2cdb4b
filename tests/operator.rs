//! The operator's side, with the real binary: clients and sign-ins, the import, settings, health, logs, stopping.

use crate::support::House;
use assent::demo::seed::plan_records;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use std::io::{Read, Write};

#[test]
fn clients_come_in_are_listed_and_shut_out() {
    let house = House::new();
    let (code, out, err) = house.run(&["client", "add", "ehr-1", "--name", "Lake EHR", "--scope", "system/Claim.c"]);
    assert_eq!((code, out.as_str()), (0, "Client ehr-1 is registered.\n"), "{err}");
    let (code, _, err) = house.run(&["client", "add", "ehr-1", "--name", "Again"]);
    assert_eq!(code, 1);
    assert!(err.contains("Another client has this client_id"), "{err}");
    let bad = ["client", "add", "app", "--name", "App", "--public", "--scope", "anything", "--redirect-uri", "ftp://x"];
    let (code, _, err) = house.run(&bad);
    assert_eq!(code, 1);
    assert!(err.contains("anything is no scope") && err.contains("ftp://x must be an https address"), "{err}");
    let (_, out, _) = house.run(&["client", "add", "app-2", "--name", "App", "--secret", "--redirect-uri", "https://a.example/cb"]);
    let secret = out.lines().find_map(|line| line.strip_prefix("client_secret: ")).expect("the secret is shown once");
    let (code, out, _) = house.run(&["client", "list"]);
    assert_eq!(code, 0);
    assert!(out.contains("ehr-1\tenabled\tLake EHR\tsystem/Claim.c"), "{out}");
    assert!(!out.contains(secret) && !out.contains("Again"), "{out}");
    assert_eq!(house.run(&["client", "disable", "ehr-1"]).0, 0);
    assert!(house.run(&["client", "list"]).1.contains("ehr-1\tdisabled"));
    let (code, _, err) = house.run(&["client", "disable", "nobody"]);
    assert_eq!((code, err.as_str()), (1, "assent: There is no client nobody\n"));
}

#[test]
fn sign_ins_come_in_are_listed_and_shut_out() {
    let house = House::new();
    let nurse = ["--role", "nurse", "--license", "RN1", "--license-kind", "nurse", "--license-state", "OH"];
    let words = [&["user", "add", "Nora", "--name", "Nora N"][..], &nurse].concat();
    let (code, out, err) = house.run(&words);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("nora can sign in.\npassword: "), "{out}");
    let (code, _, err) = house.run(&["user", "add", "paul", "--name", "Paul", "--role", "physician"]);
    assert_eq!(code, 1);
    assert!(err.contains("A physician needs a physician's license"), "{err}");
    let sam = ["user", "add", "sam", "--name", "Sam", "--role", "supervisor", "--password-stdin"];
    assert_eq!(house.run_with_line(&sam, "short\n").0, 1, "a short password");
    let (code, out, err) = house.run_with_line(&sam, "a long pass phrase\n");
    assert_eq!((code, out.as_str()), (0, "sam can sign in.\n"), "{err}");
    let (code, _, err) = house.run(&["user", "add", "ruth", "--member", "NOBODY"]);
    assert_eq!(code, 1, "a member's sign-in needs a member: {err}");
    let (_, out, _) = house.run(&["user", "list"]);
    assert!(out.contains("nora\tenabled\tstaff\tNora N\tnurse") && out.contains("sam\tenabled"), "{out}");
    assert_eq!(house.run(&["user", "disable", "NORA"]).0, 0, "names are folded");
    assert!(house.run(&["user", "list"]).1.contains("nora\tdisabled"));
    assert_eq!(house.run(&["user", "disable", "nobody"]).0, 1);
}

/// A member and a coverage of the plan, as they are exported.
fn member_and_coverage() -> [Value; 2] {
    let mut records = plan_records().into_iter();
    [records.next().unwrap(), records.next().unwrap()]
}

async fn counted(house: &House) -> Vec<i64> {
    let path = house.folder.path().join("plan/assent.db");
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let mut counts = Vec::new();
    for query in ["SELECT COUNT(*) FROM member", "SELECT COUNT(*) FROM coverage", "SELECT COUNT(*) FROM provider"] {
        counts.push(sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap());
    }
    counts
}

#[tokio::test]
async fn an_import_takes_what_it_can_and_tells_what_it_cannot() {
    let house = House::new();
    let [member, coverage] = member_and_coverage();
    let mut nameless = member.clone();
    nameless.as_object_mut().unwrap().remove("identifier");
    let mut elsewhere = coverage.clone();
    elsewhere["class"][0]["value"] = json!("NO-SUCH-PLAN");
    elsewhere["identifier"][0]["value"] = json!("other");
    let observation = json!({ "resourceType": "Observation" });
    // The coverage stands before its member: lines may come in any order.
    let lines = [coverage.to_string(), "{ no json".to_owned(), nameless.to_string(), String::new(),
        elsewhere.to_string(), observation.to_string(), member.to_string()];
    let file = house.file("plan.ndjson", &lines.join("\n"));
    let path = file.to_str().unwrap();
    let (code, out, err) = house.run(&["import", path]);
    assert_eq!(code, 2, "{out}{err}");
    assert_eq!(out, "2 records taken, 1 resources of other types skipped, 3 rows refused\n");
    for line in [2, 3, 5] {
        assert!(err.contains(&format!("plan.ndjson:{line}: ")), "line {line} is not told: {err}");
    }
    assert!(err.to_lowercase().contains("plan"), "{err}");
    assert!(!err.contains("Ellery"), "a refusal tells who it is about: {err}");
    assert_eq!(counted(&house).await, [1, 1, 0]);
    assert_eq!(house.run(&["import", path]).0, 2);
    assert_eq!(counted(&house).await, [1, 1, 0], "the same file again changes nothing");

    let all: Vec<Value> = plan_records().into_iter().map(|r| json!({ "resource": r })).collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": all });
    let file = house.file("plan.json", &serde_json::to_string_pretty(&bundle).unwrap());
    let (code, out, err) = house.run(&["import", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(counted(&house).await, [7, 7, 3], "a bundle over several lines, members known and new");
    let broken = json!({ "resourceType": "Bundle", "type": "collection", "entry": [{}, { "resource": elsewhere }] });
    let file = house.file("broken.json", &broken.to_string());
    let (code, _, err) = house.run(&["import", file.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(err.contains("broken.json:1: ") && err.contains("broken.json:2: "), "{err}");
    let (code, _, err) = house.run(&["import", "nowhere.ndjson"]);
    assert_eq!(code, 1);
    assert!(err.contains("nowhere.ndjson cannot be read"), "{err}");
}

#[test]
fn nonsense_in_the_settings_is_refused_with_one_sentence_each() {
    let mut house = House::new();
    house.file("bad.toml", "[payer]\nidentifiers = []\n[limits]\nhook_ms = 9000\n[mail]\ntransport = \"smtp\"\nurl = \"smtp://relay\"");
    house.set("SESSIONS__IDLE_MINUTES", "1");
    let (code, _, err) = house.run(&["--config", "bad.toml", "serve"]);
    assert_eq!(code, 1);
    let told: Vec<&str> = err.lines().collect();
    assert_eq!(told.len(), 4, "{err}");
    for part in ["payer.identifiers", "limits.hook_ms", "sessions.idle_minutes", "mail.url"] {
        assert_eq!(told.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {err}");
    }
    house.set("SESSIONS__IDLE_MINUTES", "30");
    for (name, value, part) in [("LISTEN", "somewhere", "listen"), ("LISSTEN", "127.0.0.1:1", "lissten"), ("LIMITS__BODY_BYTES", "many", "body_bytes")] {
        let (code, err) = {
            let output = house.command(&["serve"]).env(format!("ASSENT_{name}"), value).output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        assert_eq!(code, Some(1), "{name}={value}");
        assert!(err.contains(part), "{name}={value} is not named: {err}");
    }
    let (code, _, err) = house.run(&["--config", "nowhere.toml", "serve"]);
    assert_eq!(code, 1);
    assert!(err.contains("nowhere.toml cannot be read"), "{err}");
}

#[test]
fn a_server_is_healthy_counts_and_logs_without_content() {
    let house = House::new();
    assert_eq!(house.run(&["healthcheck"]).0, 1, "nobody is there yet");
    let [member, coverage] = member_and_coverage();
    let file = house.file("plan.ndjson", &format!("{member}\n{coverage}\n"));
    let server = house.serve();
    assert_eq!(house.run(&["healthcheck"]).0, 0);
    let (code, out, err) = house.run(&["import", file.to_str().unwrap()]);
    assert_eq!(code, 0, "a command works beside the server: {out}{err}");
    assert!(server.ask("GET /healthz HTTP/1.1", "").contains("alive"));
    let ready = server.ask("GET /readyz HTTP/1.1", "");
    assert!(ready.contains("\"ready\":true") && ready.contains("\"policies\":\""), "{ready}");
    let answer = server.ask("GET /fhir/pdex/Patient?family=Ellery&birthdate=1953-03-14 HTTP/1.1", "Authorization: Bearer a-secret-token\r\n");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("a request id").trim();
    let metrics = server.ask("GET /metrics HTTP/1.1", "");
    assert!(metrics.contains("assent_http_requests_total{") && metrics.contains("status=\"401\""), "{metrics}");
    let second = house.run(&["serve"]);
    assert_eq!(second.0, 1);
    assert!(second.2.contains("Another server runs on"), "{}", second.2);
    server.ask_to_stop();
    let log = server.log();
    let lines: Vec<Value> = log.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    let of_request = lines.iter().filter(|line| line["span"]["id"] == id && line["fields"]["status"] == 401);
    assert!(of_request.count() >= 1, "{log}");
    for secret in ["Ellery", "1953-03-14", "a-secret-token", "family"] {
        assert!(!log.contains(secret), "the log holds {secret}: {log}");
        assert!(!metrics.contains(secret), "the metrics hold {secret}");
    }
    assert_eq!(server.end(), 0);
}

#[test]
fn a_server_that_is_stopped_finishes_what_it_has_begun() {
    let house = House::new();
    let server = house.serve();
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
    server.ask_to_stop();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(server.connect().is_err(), "nobody new is let in");
    slow.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("\"error\":"), "{answer}");
    assert_eq!(server.end(), 0);
    assert_eq!(house.run(&["client", "list"]).0, 0, "the file is as it should be");
}

#[test]
fn an_idle_server_rests() {
    let house = House::new();
    let server = house.serve();
    let rounds = || -> f64 {
        let metrics = server.ask("GET /metrics HTTP/1.1", "");
        let lines = metrics.lines().filter(|l| l.starts_with("assent_worker_rounds_total"));
        lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let before = rounds();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let after = rounds();
    assert!(after - before >= 2.0, "the workers do not look at all");
    assert!(after - before < 30.0, "the workers wake each other: {} rounds in three seconds", after - before);
}
