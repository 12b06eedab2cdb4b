//! The same with the real binary: signals, restarts, two servers on one database, the demo that watches its files.

use super::{OXYGEN, TITLE};
use crate::support::{House, TestApp};

#[test]
fn a_signal_publishes_the_folders_and_a_mistake_keeps_the_old_set() {
    let mut house = House::new();
    let folders = house.own_folders();
    let server = house.serve();
    let first = server.ready();
    folders.edit(OXYGEN, "format: pa-policy/1", "format: pa-policy/9");
    server.ask_to_reload();
    let refused = server.until_ready(|ready| !ready["refused"].is_null());
    assert_eq!(refused["policies"], first["policies"]);
    assert_eq!(refused["ready"], true);
    let log = server.log();
    assert!(log.contains(&format!("rules/{OXYGEN}:")), "{log}");
    assert!(
        server
            .ask("GET /metrics HTTP/1.1", "")
            .contains("assent_publication_refused 1"),
        "the metric says so"
    );
    folders.edit(OXYGEN, "format: pa-policy/9", "format: pa-policy/1");
    folders.edit(OXYGEN, TITLE, "title: As amended");
    server.ask_to_reload();
    let second = server.until_ready(|ready| ready["publication"] == 2);
    assert_ne!(second["policies"], first["policies"]);
    assert!(second["refused"].is_null());
    let metrics = server.ask("GET /metrics HTTP/1.1", "");
    for line in [
        "assent_publication 2",
        "assent_publication_refused 0",
        "assent_publications_total{how=\"signal\",outcome=\"published\"} 1",
        "assent_publications_total{how=\"signal\",outcome=\"refused\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let hash = second["policies"].as_str().unwrap();
    assert!(server.log().contains(hash), "the log names the set");
    server.ask_to_stop();
    assert_eq!(server.end(), 0);
}

#[test]
fn a_restart_serves_what_was_published_and_not_what_lies_in_the_folders() {
    let mut house = House::new();
    let folders = house.own_folders();
    let server = house.serve();
    let first = server.ready();
    server.ask_to_stop();
    assert_eq!(server.end(), 0);
    folders.edit(OXYGEN, TITLE, "title: Nobody published this");
    let server = house.serve();
    assert_eq!(server.ready()["policies"], first["policies"]);
    server.ask_to_stop();
    assert_eq!(server.end(), 0);
    let server = house.start(&["serve", "--publish"]);
    let second = server.ready();
    assert_ne!(second["policies"], first["policies"]);
    assert_eq!(second["publication"], 2);
    server.ask_to_stop();
    assert_eq!(server.end(), 0);
    folders.edit(OXYGEN, "format: pa-policy/1", "format: pa-policy/9");
    let (code, _, err) = house.run(&["serve", "--publish"]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("rules/{OXYGEN}:")), "{err}");
}

#[test]
fn the_demo_publishes_a_file_that_was_changed() {
    let mut house = House::new();
    let folders = house.own_folders();
    house.set("DATA", &house.folder.path().join("data").display().to_string());
    let server = house.start(&["demo"]);
    let first = server.ready();
    folders.edit(OXYGEN, TITLE, "title: As amended");
    let second = server.until_ready(|ready| ready["publication"] == 2);
    assert_ne!(second["policies"], first["policies"]);
    server.ask_to_stop();
    assert_eq!(server.end(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_come_to_the_same_set() {
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    let house = || {
        let mut house = House::new();
        house.set("DATABASE", &app.state.config.database);
        house.set("POSTGRES__CONNECTIONS", "4");
        let folders = house.own_folders();
        (house, folders)
    };
    let ((first, folders), (second, _)) = (house(), house());
    let (first, second) = (first.serve(), second.serve());
    assert_eq!(first.ready()["policies"], second.ready()["policies"]);
    folders.edit(OXYGEN, TITLE, "title: As amended");
    first.ask_to_reload();
    let published = first.until_ready(|ready| ready["publication"] == 2);
    let followed = second.until_ready(|ready| ready["publication"] == 2);
    assert_eq!(published["policies"], followed["policies"]);
    for server in [first, second] {
        server.ask_to_stop();
        assert_eq!(server.end(), 0);
    }
    app.finish().await;
}
