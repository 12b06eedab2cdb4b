//! The binary: parses the command line, runs one command, and prints an error to standard error.

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = assent::cli::Command::parse();
    match assent::cli::run(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("assent: {error}");
            ExitCode::FAILURE
        }
    }
}
