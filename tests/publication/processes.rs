//! Publication with the real binary: signals, restarts, two servers on one database, and the demo, which watches its
//! files.

use super::{OXYGEN, TITLE};
use crate::support::{Installation, TestApp};

#[test]
fn sighup_publishes_the_folders_and_a_set_with_an_error_is_refused() {
    let mut installation = Installation::new();
    let folders = installation.editable_folders();
    let server = installation.serve();
    let first = server.readiness();
    folders.edit(OXYGEN, "format: pa-policy/1", "format: pa-policy/9");
    server.reload();
    let refused = server.wait_until_ready(|ready| !ready["refused"].is_null());
    assert_eq!(refused["policy_set"], first["policy_set"]);
    assert_eq!(refused["ready"], true);
    let log = server.log();
    assert!(log.contains(&format!("rules/{OXYGEN}:")), "{log}");
    assert!(
        server
            .request("GET /metrics HTTP/1.1", "")
            .contains("assent_publication_refused 1"),
        "assent_publication_refused is not 1"
    );
    folders.edit(OXYGEN, "format: pa-policy/9", "format: pa-policy/1");
    folders.edit(OXYGEN, TITLE, "title: As amended");
    server.reload();
    let second = server.wait_until_ready(|ready| ready["publication"] == 2);
    assert_ne!(second["policy_set"], first["policy_set"]);
    assert!(second["refused"].is_null());
    let metrics = server.request("GET /metrics HTTP/1.1", "");
    for line in [
        "assent_publication 2",
        "assent_publication_refused 0",
        "assent_publications_total{method=\"signal\",outcome=\"published\"} 1",
        "assent_publications_total{method=\"signal\",outcome=\"refused\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let hash = second["policy_set"].as_str().unwrap();
    assert!(server.log().contains(hash), "the log does not contain the hash");
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn a_restarted_server_serves_the_latest_publication_and_not_the_folders() {
    let mut installation = Installation::new();
    let folders = installation.editable_folders();
    let server = installation.serve();
    let first = server.readiness();
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);
    folders.edit(OXYGEN, TITLE, "title: Not published");
    let server = installation.serve();
    assert_eq!(server.readiness()["policy_set"], first["policy_set"]);
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);
    let server = installation.start(&["serve", "--publish"]);
    let second = server.readiness();
    assert_ne!(second["policy_set"], first["policy_set"]);
    assert_eq!(second["publication"], 2);
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);
    folders.edit(OXYGEN, "format: pa-policy/1", "format: pa-policy/9");
    let (code, _, err) = installation.run(&["serve", "--publish"]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("rules/{OXYGEN}:")), "{err}");
}

#[test]
fn the_demo_publishes_a_changed_file() {
    let mut installation = Installation::new();
    let folders = installation.editable_folders();
    installation.set(
        "DATA",
        &installation.folder.path().join("data").display().to_string(),
    );
    let server = installation.start(&["demo"]);
    let first = server.readiness();
    folders.edit(OXYGEN, TITLE, "title: As amended");
    let second = server.wait_until_ready(|ready| ready["publication"] == 2);
    assert_ne!(second["policy_set"], first["policy_set"]);
    server.terminate();
    assert_eq!(server.wait_for_exit(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_serve_the_same_policy_set() {
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    let installation = || {
        let mut installation = Installation::new();
        installation.set("DATABASE", &app.state.config.database);
        installation.set("POSTGRES__CONNECTIONS", "4");
        let folders = installation.editable_folders();
        (installation, folders)
    };
    let ((first, folders), (second, _)) = (installation(), installation());
    let (first, second) = (first.serve(), second.serve());
    assert_eq!(first.readiness()["policy_set"], second.readiness()["policy_set"]);
    folders.edit(OXYGEN, TITLE, "title: As amended");
    first.reload();
    let published = first.wait_until_ready(|ready| ready["publication"] == 2);
    let followed = second.wait_until_ready(|ready| ready["publication"] == 2);
    assert_eq!(published["policy_set"], followed["policy_set"]);
    for server in [first, second] {
        server.terminate();
        assert_eq!(server.wait_for_exit(), 0);
    }
    app.finish().await;
}
