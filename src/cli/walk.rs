//! `assent walk`: the end-to-end check, against a server that it starts itself or a running one.

use super::print;
use crate::config::Config;
use crate::demo::walk::{self as end_to_end, Step};
use crate::error::{Error, Result};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which server to check.
#[derive(Debug, Args)]
pub struct Walk {
    /// URL of a running server with the demo plan; without it, a new server with an empty database is started and
    /// checked
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Data folder of the running demo, with its keys, sign-ins and mail; used with --server
    #[arg(long, default_value = "data", value_name = "FOLDER")]
    data: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the check; exit code 1 when a step fails.
pub async fn run(command: Walk, config: Config) -> Result<ExitCode> {
    let print_step = |step: &Step| {
        if !command.json {
            print(&step_text(step));
        }
    };
    let report = match &command.server {
        Some(server) => end_to_end::check_server(server, &command.data, print_step).await?,
        None => end_to_end::check_own_server(config, print_step).await?,
    };
    if command.json {
        print(&serde_json::to_string(&report).map_err(Error::internal)?);
    }
    Ok(if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn step_text(step: &Step) -> String {
    let result = if step.passed { "passed" } else { "FAILED" };
    let detail = step.detail.replace('\n', "\n      ");
    format!("{result} {} ({} ms)\n      {detail}", step.name, step.duration_ms)
}
