//! What of the suite this machine cannot run: said in one line, and a failure where everything has to be there.

use crate::support::{chromedriver, setting};
use std::io::Write;

#[test]
fn what_does_not_run_is_said_in_one_line() {
    let parts = [
        ("PostgreSQL (TEST_POSTGRES_URL)", setting("TEST_POSTGRES_URL").is_some()),
        ("the browser (chromedriver)", chromedriver().is_some()),
        ("the published examples (ASSENT_EXAMPLES)", setting("ASSENT_EXAMPLES").is_some()),
    ];
    let missing: Vec<&str> = parts.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return;
    }
    let line = format!("\nnot run on this machine: {}\n", missing.join(", "));
    // Past the test harness, which keeps what a green test prints.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(setting("CI").is_none(), "CI needs every part: {}", missing.join(", "));
}
