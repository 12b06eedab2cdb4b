//! `assent policy`: rules on the command line, one file per command.

pub mod backtest;
pub mod explain;
pub mod pinned;
mod report;

use crate::config::Config;
use crate::error::Result;
use clap::Subcommand;
use std::process::ExitCode;

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Shows why: the trace of a case document or of a stored case
    Explain(explain::Explain),
    /// Runs every stored case again under another set and tells what would change
    Backtest(backtest::Backtest),
}

/// Does it.
pub async fn run(command: PolicyCommand, config: &Config) -> Result<ExitCode> {
    match command {
        PolicyCommand::Explain(command) => explain::run(command, config).await,
        PolicyCommand::Backtest(command) => backtest::run(command, config).await,
    }
}
