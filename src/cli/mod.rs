//! The command line: one file per command. Settings come from `--config`, then the environment, then flags.

pub mod client;
mod demo;
pub mod gold_card;
mod import;
pub mod policy;
mod serve;
pub mod user;
mod walk;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::store::Store;
use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The payer's side of electronic prior authorization.
#[derive(Debug, Parser)]
#[command(name = "assent", version, about)]
pub struct Command {
    /// A file of settings (TOML); config/default.toml in the source lists them all
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// sqlite:PATH or postgres://…, over the settings
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// What to log, such as info or assent=debug,sqlx=warn
    #[arg(long, global = true, default_value = "info", value_name = "FILTER")]
    log: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Runs the server
    Serve(serve::Serve),
    /// Runs the server with a small plan in it, and prints what to open
    Demo,
    /// Sends the whole thread over HTTP and checks each answer
    Walk(walk::Walk),
    /// Brings the database's schema up to date
    Migrate,
    /// Partner systems: EHRs, clearinghouses, members' apps
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Staff and members' sign-ins
    #[command(subcommand)]
    User(user::UserCommand),
    /// Providers who need not ask for certain services
    #[command(subcommand)]
    GoldCard(gold_card::GoldCardCommand),
    /// Reads members, coverages, providers, organizations from FHIR NDJSON or bundles
    Import(import::Import),
    /// Policies: check, test, list, write, run again over past requests
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Asks a running server whether it is ready; for a container's health check
    Healthcheck,
}

impl Command {
    fn config(&self) -> Result<Config> {
        let file = match &self.config {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|e| Error::malformed(format!("{} cannot be read: {e}", path.display())))?,
            ),
            None => None,
        };
        let flag = self
            .database
            .iter()
            .map(|url| ("DATABASE".to_owned(), url.clone()));
        Config::layered(file.as_deref(), config::environment().chain(flag))
    }
}

/// Runs one command; the error is one sentence for the terminal.
pub fn run(command: Command) -> Result<ExitCode> {
    let config = command.config()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::internal)?;
    let log = command.log;
    runtime.block_on(async move {
        match command.action {
            Action::Serve(serve) => serve::run(serve, config, &log).await?,
            Action::Demo => demo::run(config, &log).await?,
            Action::Walk(walk) => return walk::run(walk, config).await,
            Action::Migrate => drop(Store::open(&config).await?),
            Action::Client(action) => {
                let store = Store::open(&config).await?;
                say(&client::run(action, &store, Clock::System.now()).await?);
            }
            Action::User(action) => {
                let store = Store::open(&config).await?;
                say(&user::run(action, &store, config.password_work, Clock::System.now()).await?);
            }
            Action::GoldCard(action) => {
                let store = Store::open(&config).await?;
                say(&gold_card::run(action, &store, Clock::System.now()).await?);
            }
            Action::Import(import) => return import::run(import, &config).await,
            Action::Policy(action) => return policy::run(action, &config).await,
            Action::Healthcheck => serve::ask(&config).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Prints. Whoever closed the other end of a pipe has read enough.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}
