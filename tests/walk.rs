//! The walk, which sends the whole thread over HTTP to a real server: green on both databases, red when a policy says
//! something else.

use crate::support::{altered_policies, config, server_url};
use assent::demo::walk::{Report, own, own_with};
use tempfile::TempDir;

#[track_caller]
fn green(report: &Report) {
    assert_eq!(report.steps.len(), 8, "the walk has eight steps");
    let red: Vec<_> = report
        .steps
        .iter()
        .filter(|s| !s.ok)
        .map(|s| format!("{}: {}", s.name, s.detail))
        .collect();
    assert!(red.is_empty(), "{}", red.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_green_on_sqlite() {
    let data = TempDir::new().unwrap();
    green(&own(config(&data), |_| {}).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_green_on_postgres() {
    let Some(server) = server_url() else { return };
    let data = TempDir::new().unwrap();
    let mut config = config(&data);
    config.database = server;
    green(&own(config, |_| {}).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_asks_for_more_turns_a_step_red() {
    let data = TempDir::new().unwrap();
    let config = config(&data);
    // The plan lowers the threshold, and with it the examples that its own tests approve.
    let changes = [
        (
            "policies/dme/home-oxygen/2026.2.yaml",
            "at_most: \"88 %\"",
            "at_most: \"86 %\"",
        ),
        (
            "policies/dme/home-oxygen/2026.2.yaml",
            "value: 88 }",
            "value: 86 }",
        ),
        ("fixtures/oxygen.json", "\"value\": 87", "\"value\": 85"),
    ];
    let policies = altered_policies(&config, &changes);
    let report = own_with(config, policies, |_| {}).await.unwrap();
    assert!(
        !report.green(),
        "the walk does not notice which policy is in force"
    );
    let third = &report.steps[2];
    assert!(
        !third.ok,
        "the request of 87 % is still approved: {}",
        third.detail
    );
}
