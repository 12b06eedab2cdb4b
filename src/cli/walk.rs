//! `assent walk`: the thread over HTTP, against a server of its own or a running one.

use crate::config::Config;
use crate::demo::walk::{self as thread, Step};
use crate::error::{Error, Result};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where to walk.
#[derive(Debug, Args)]
pub struct Walk {
    /// A running server; without it the walk starts its own with a fresh store
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The demo's data folder: keys, sign-ins, mail (with --server)
    #[arg(long, default_value = "data", value_name = "FOLDER")]
    data: PathBuf,
    /// Prints one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Walks; exit code 1 when a step is red.
#[expect(clippy::print_stdout, reason = "a command speaks to the terminal")]
pub async fn run(command: Walk, config: Config) -> Result<ExitCode> {
    let tell = |step: &Step| {
        if !command.json {
            println!("{}", line(step));
        }
    };
    let report = match &command.server {
        Some(server) => thread::against(server, &command.data, tell).await?,
        None => thread::own(config, tell).await?,
    };
    if command.json {
        println!("{}", serde_json::to_string(&report).map_err(Error::internal)?);
    }
    Ok(if report.green() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn line(step: &Step) -> String {
    let mark = if step.ok { "ok " } else { "RED" };
    let detail = step.detail.replace('\n', "\n      ");
    format!("{mark} {} ({} ms)\n      {detail}", step.name, step.ms)
}
