//! The binary: parses the command line, runs one command, and prints an error to standard error.

use clap::Parser;
use std::io::Write as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = assent::cli::Command::parse();
    match assent::cli::run(command) {
        Ok(code) => code,
        Err(error) => {
            // If standard error is closed, nobody can read the message.
            let _ = writeln!(std::io::stderr(), "assent: {}", assent::cli::error_text(&error));
            ExitCode::FAILURE
        }
    }
}
