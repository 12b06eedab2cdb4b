//! How the program was called, so that it can name further commands in the same form.

use std::path::Path;

/// The words in front of a command: `cargo run --release --`, or the program as it was typed.
pub fn program() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo sets this variable for the programs that it runs; it is no setting"
    )]
    let runs_in_cargo = std::env::var("CARGO").is_ok();
    let typed = std::env::args().next().unwrap_or_default();
    words(runs_in_cargo, &typed)
}

fn words(runs_in_cargo: bool, typed: &str) -> String {
    if !runs_in_cargo {
        return if typed.is_empty() { "assent" } else { typed }.to_owned();
    }
    let is_release = Path::new(typed).iter().any(|part| part == "release");
    if is_release {
        "cargo run --release --"
    } else {
        "cargo run --"
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_as_the_program_was_called() {
        assert_eq!(words(false, "assent"), "assent");
        assert_eq!(words(false, "./target/release/assent"), "./target/release/assent");
        assert_eq!(words(true, "target/release/assent"), "cargo run --release --");
        assert_eq!(words(true, "target/debug/assent"), "cargo run --");
        assert_eq!(words(false, ""), "assent");
    }
}
