//! The end-to-end check (`assent walk`) against a real server: every step passes on both databases, and a step fails
//! when a policy decides differently.

use crate::support::{altered_policies, config, server_url};
use assent::demo::walk::{Report, check_own_server, check_own_server_with};
use tempfile::TempDir;

#[track_caller]
fn assert_passed(report: &Report) {
    assert_eq!(report.steps.len(), 8, "the check has eight steps");
    let failed: Vec<_> = report
        .steps
        .iter()
        .filter(|s| !s.passed)
        .map(|s| format!("{}: {}", s.name, s.detail))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_passes_on_sqlite() {
    let data = TempDir::new().unwrap();
    assert_passed(&check_own_server(config(&data), |_| {}).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_passes_on_postgres() {
    let Some(server) = server_url() else { return };
    let data = TempDir::new().unwrap();
    let mut config = config(&data);
    config.database = server;
    assert_passed(&check_own_server(config, |_| {}).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_policy_fails_a_step() {
    let data = TempDir::new().unwrap();
    let config = config(&data);
    // The oxygen policy requires a lower saturation; the examples in its embedded tests are changed with it.
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
    let report = check_own_server_with(config, policies, |_| {}).await.unwrap();
    assert!(!report.passed(), "the check passes with a stricter policy");
    let third = &report.steps[2];
    assert!(
        !third.passed,
        "the request with a saturation of 87% is still approved: {}",
        third.detail
    );
}
