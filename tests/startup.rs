//! The first ten minutes of an operator: what is wrong at the start is reported as what it is, with where it was set, and
//! nothing is created before; the program also runs where its folders are not.

use crate::support::database::open_sqlite;
use crate::support::{Installation, Server, free_port};
use assent::auth::keys::new_es384;
use sqlx::Connection as _;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

/// Runs a command that must fail, and returns what it says. It must not speak of a request that is sent again.
#[track_caller]
fn refused(installation: &Installation, arguments: &[&str]) -> String {
    let (code, out, err) = installation.run(arguments);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(
        !err.contains("could not store") && !err.contains("Send it again"),
        "{err}"
    );
    err
}

#[track_caller]
fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// Nothing was created in the installation's folder besides these.
#[track_caller]
fn assert_only(installation: &Installation, expected: &[&str]) {
    let entries = std::fs::read_dir(installation.folder.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_taken_port_is_reported_with_its_setting_before_anything_is_created() {
    let installation = Installation::new();
    let _taken = TcpListener::bind(("127.0.0.1", installation.port)).unwrap();
    for command in ["serve", "demo"] {
        let err = refused(&installation, &[command]);
        let address = format!("127.0.0.1:{} is in use by another program", installation.port);
        assert_parts(
            &err,
            &[
                &address,
                "set in the environment variable ASSENT_LISTEN",
                "choose another port",
            ],
        );
        assert_only(&installation, &[]);
    }
    let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let err = refused(
        &installation,
        &["serve", "--listen", &other.local_addr().unwrap().to_string()],
    );
    assert_parts(&err, &["listen was set by the option --listen"]);
    let err = refused(&installation, &["serve", "--public-url", "somewhere"]);
    assert_parts(
        &err,
        &[
            "public_url must be an http or https URL",
            "set by the option --public-url",
        ],
    );
    assert_only(&installation, &[]);
}

#[test]
fn a_missing_folder_or_file_is_reported_with_its_setting_before_anything_is_created() {
    let mut installation = Installation::new();
    installation.file("file", "");
    installation.file("assent.toml", "payer.name = \"Plan\"\n\nrules = \"no-rules\"\n");
    installation.unset("RULES");
    let err = refused(&installation, &["--config", "assent.toml", "serve"]);
    assert_parts(
        &err,
        &[
            "The folder no-rules cannot be read",
            "rules was set in line 3 of assent.toml",
        ],
    );
    let err = refused(&installation, &["--config", "no-file.toml", "serve"]);
    assert_parts(
        &err,
        &["The settings file no-file.toml cannot be read", "--config"],
    );
    installation.set("DATA", "file/data");
    let err = refused(&installation, &["serve"]);
    assert_parts(
        &err,
        &["file/data cannot be created: file is not a folder", "ASSENT_DATA"],
    );
    installation.set("DATA", "file");
    let err = refused(&installation, &["demo"]);
    assert_parts(&err, &["file is not a folder", "ASSENT_DATA"]);
    installation.unset("DATA");
    installation.set("DATABASE", "sqlite:file/assent.db");
    let err = refused(&installation, &["demo"]);
    assert_parts(
        &err,
        &[
            "file/assent.db cannot be created: file is not a folder",
            "ASSENT_DATABASE",
        ],
    );
    installation.set("DATABASE", "sqlite:.");
    let err = refused(&installation, &["serve"]);
    assert_parts(&err, &[". is a folder, not a database", "ASSENT_DATABASE"]);
    assert_only(&installation, &["assent.toml", "file"]);
}

#[test]
fn policies_with_mistakes_are_reported_before_a_database_is_created() {
    let mut installation = Installation::new();
    let folder = installation.folder.path().join("empty");
    std::fs::create_dir(&folder).unwrap();
    installation.set("RULES", "empty");
    let err = refused(&installation, &["serve"]);
    assert_parts(&err, &["The policy set contains no plan"]);
    assert_only(&installation, &["empty"]);
}

#[test]
fn a_file_that_is_no_database_is_reported_as_such() {
    let mut installation = Installation::new();
    installation.file("notes.db", &"these are notes ".repeat(100));
    let setting = "sqlite:notes.db";
    installation.set("DATABASE", setting);
    for command in [&["serve"][..], &["client", "list"], &["migrate"]] {
        let err = refused(&installation, command);
        assert_parts(&err, &["notes.db is not an SQLite database", "ASSENT_DATABASE"]);
    }
    let err = refused(&installation, &["--database", "mysql:x", "migrate"]);
    assert_parts(
        &err,
        &[
            "database must be sqlite:PATH or postgres://",
            "set by the option --database",
        ],
    );
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_reported_as_such() {
    let installation = Installation::new();
    assert_eq!(installation.run(&["migrate"]).0, 0);
    let path = installation.folder.path().join("plan/assent.db");
    let mut connection = open_sqlite(path).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9000, 'newer', 1, x'00', 0)";
    sqlx::raw_sql(newer).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let err = refused(&installation, &["serve"]);
    assert_parts(
        &err,
        &[
            "last used by a newer version of assent",
            "the migration 9000",
            "Install that version",
        ],
    );
}

#[test]
fn a_second_server_with_the_same_database_is_refused() {
    let installation = Installation::new();
    let server = installation.serve();
    let other_port = format!("127.0.0.1:{}", free_port());
    let err = refused(&installation, &["serve", "--listen", &other_port]);
    assert_parts(
        &err,
        &[
            "Another server is using the database",
            "plan/assent.db",
            "ASSENT_DATABASE",
        ],
    );
    assert!(server.request("GET /healthz HTTP/1.1", "").contains("alive"));
}

#[test]
fn a_database_server_that_does_not_respond_is_reported_without_the_password() {
    let mut installation = Installation::new();
    let port = free_port();
    installation.set(
        "DATABASE",
        &format!("postgres://assent:a-secret-word@127.0.0.1:{port}/assent"),
    );
    for command in [&["serve"][..], &["user", "list"]] {
        let err = refused(&installation, command);
        let server = format!("No database server responds at 127.0.0.1:{port}");
        assert_parts(
            &err,
            &[
                &server,
                "database was set in the environment variable ASSENT_DATABASE",
            ],
        );
        assert!(!err.contains("a-secret-word"), "{err}");
    }
    assert_only(&installation, &[]);
}

#[test]
fn the_check_of_a_server_that_is_not_there_says_so_once() {
    let installation = Installation::new();
    let url = format!("http://127.0.0.1:{}", installation.port);
    for arguments in [
        &["walk", "--server", &url][..],
        &["walk", "--server", &url, "--json"],
    ] {
        let err = refused(&installation, arguments);
        assert_eq!(err.matches("No server responds at").count(), 1, "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    let err = refused(&installation, &["healthcheck"]);
    assert_parts(&err, &["No server responds at 127.0.0.1:"]);
}

#[test]
fn the_program_runs_without_its_folders_with_what_is_compiled_in() {
    let mut installation = Installation::new();
    installation.unset("RULES");
    installation.unset("FORMS");
    let (code, out, err) = installation.run(&["policy", "check"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("no errors"), "{out}");
    let (code, out, err) = installation.run(&["policy", "list"]);
    assert!(code == 0 && out.contains("home-oxygen"), "{out}{err}");
    let err = refused(
        &installation,
        &["policy", "new", "dme.walking-aid", "--code", "E0143"],
    );
    assert_parts(&err, &["assent policy export FOLDER"]);
    let server = installation.serve();
    assert!(server.log().contains("compiled into assent"), "{}", server.log());
    let hash = server.readiness()["policy_set"].clone();
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);

    assert_eq!(installation.run(&["policy", "export", "mine"]).0, 0);
    assert_parts(
        &refused(&installation, &["policy", "export", "mine"]),
        &["exists already"],
    );
    let plans = installation.folder.path().join("mine/rules/plans.csv");
    let text = std::fs::read_to_string(&plans).unwrap();
    std::fs::write(&plans, format!("{text}\n")).unwrap();
    installation.set("RULES", "mine/rules");
    installation.set("FORMS", "mine/questionnaires");
    let server = installation.start(&["serve", "--publish"]);
    assert_ne!(
        server.readiness()["policy_set"],
        hash,
        "a folder in the settings wins"
    );
}

/// The line of the demo's output with the next command, and the whole output up to it.
fn next_command(installation: &Installation, runs_in_cargo: bool) -> (String, String) {
    let mut command = installation.command(&["demo"]);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env_remove("CARGO");
    if runs_in_cargo {
        command.env("CARGO", "/usr/bin/cargo");
    }
    let mut child = command.spawn().unwrap();
    let mut output = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let server = Server::of(child, installation);
    while !output.contains(" walk --server ") {
        let line = lines
            .next()
            .expect("the demo ended before it named the next command")
            .unwrap();
        output.push_str(&line);
        output.push('\n');
    }
    server.wait_for_answer();
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);
    let line = output.lines().last().unwrap().trim().to_owned();
    (line, output)
}

#[test]
fn the_demo_names_the_next_command_in_the_form_in_which_it_was_called() {
    let mut installation = Installation::new();
    installation.unset("PUBLIC_URL");
    let url = format!("http://127.0.0.1:{}", installation.port);
    let (command, output) = next_command(&installation, false);
    assert_eq!(
        command,
        format!("{} walk --server {url}", env!("CARGO_BIN_EXE_assent"))
    );
    for place in ["plan/assent.db", "data/mail", "/rules", "/questionnaires"] {
        assert!(output.contains(place), "{place} is not named: {output}");
    }
    installation.set("DATA", "elsewhere");
    let (command, _) = next_command(&installation, true);
    assert_eq!(
        command,
        format!("cargo run -- walk --server {url} --data elsewhere")
    );
}

#[test]
fn a_client_that_could_never_sign_in_is_refused_with_what_to_do() {
    let installation = Installation::new();
    let add = |more: &[&str]| {
        let arguments = [&["client", "add", "ehr", "--name", "EHR"][..], more].concat();
        refused(&installation, &arguments)
    };
    assert_parts(&add(&[]), &["give --issuer for CDS Hooks calls, or a --scope"]);
    assert_parts(
        &add(&["--scope", "system/Claim.c"]),
        &["give --jwks or --jwks-uri"],
    );
    assert_parts(
        &add(&["--issuer", "ehr"]),
        &["--issuer must be the URL", "give --jwks or --jwks-uri"],
    );
    let empty = installation.file("empty.json", "{\"keys\": []}");
    let empty = empty.to_str().unwrap();
    assert_parts(
        &add(&["--scope", "system/Claim.c", "--jwks", empty]),
        &["no key that can sign in", "ES384"],
    );
    assert_parts(
        &add(&["--jwks", "nowhere.json"]),
        &["nowhere.json cannot be read"],
    );
    let app = [
        "--scope",
        "patient/*.rs",
        "--public",
        "--redirect-uri",
        "http://app.example/cb",
    ];
    assert_parts(
        &add(&app),
        &[
            "--redirect-uri http://app.example/cb must be an https URL",
            "--loopback-http",
        ],
    );
    let keys = installation.file("keys.json", &new_es384("k").unwrap().jwks().to_string());
    let keys = keys.to_str().unwrap();
    let hosts = [
        "--scope",
        "system/Subscription.c",
        "--jwks",
        keys,
        "--callback-host",
        "https//ehr",
    ];
    assert_parts(
        &add(&hosts),
        &["https//ehr must be the name of a host (--callback-host)"],
    );
    assert_eq!(
        installation.run(&["client", "list"]).1,
        "No clients are registered.\n"
    );
}
