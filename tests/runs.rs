//! Names in one line the parts of the suite that this machine cannot run; fails in CI, where all parts must run.

use crate::support::{chromedriver, setting};
use std::io::Write;

#[test]
fn parts_that_do_not_run_are_named_in_one_line() {
    let parts = [
        (
            "PostgreSQL (TEST_POSTGRES_URL)",
            setting("TEST_POSTGRES_URL").is_some(),
        ),
        ("the browser (chromedriver)", chromedriver().is_some()),
        (
            "the published examples (ASSENT_EXAMPLES)",
            setting("ASSENT_EXAMPLES").is_some(),
        ),
        (
            "HL7's validator (HL7_VALIDATOR_URL)",
            setting("HL7_VALIDATOR_URL").is_some(),
        ),
    ];
    let missing: Vec<&str> = parts
        .iter()
        .filter(|(_, available)| !available)
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return;
    }
    let line = format!("\nnot run on this machine: {}\n", missing.join(", "));
    // Bypasses the test harness, which hides the output of a test that passes.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(
        setting("CI").is_none(),
        "CI must run every part: {}",
        missing.join(", ")
    );
}
