//! The command line: one file per command. Settings come from the file in `--config`; environment variables override
//! the file, and flags override both.

pub mod client;
mod demo;
pub mod gold_card;
mod import;
mod invocation;
pub mod legal_hold;
pub mod policy;
mod serve;
mod startup;
pub mod user;
mod walk;

use crate::clock::Clock;
use crate::config::{self, Config, Flag, SettingsFile};
use crate::error::{Error, Result};
use crate::store::Store;
use clap::{Args, Parser, Subcommand};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The payer's side of electronic prior authorization.
#[derive(Debug, Parser)]
#[command(name = "assent", version, about)]
pub struct Command {
    /// Settings file (TOML); src/config/default.toml in the source lists every setting
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database to use instead of the one in the settings: sqlite:PATH or postgres://...
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Which messages to log, such as info or assent=debug,sqlx=warn
    #[arg(long, global = true, default_value = "info", value_name = "FILTER")]
    log: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the server
    Serve(serve::Serve),
    /// Run the server with a synthetic demo plan, and print its addresses and sign-ins
    Demo(demo::Demo),
    /// Check a server end to end: send the messages of an EHR, a reviewer and a member's app, and verify every reply
    ///
    /// The check runs 8 steps over HTTP: hooks, forms, requests, review, notifications, a member's app and inquiries.
    /// Every message is synthetic. Exit code 1 when a step fails.
    Walk(walk::Walk),
    /// Update the database schema; every other command also does this
    Migrate,
    /// Register, list and disable clients: EHRs, clearinghouses, members' apps
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Add, list and disable sign-ins of staff and members
    #[command(subcommand)]
    User(user::UserCommand),
    /// Add, end and list gold cards: providers exempt from prior authorization for certain services
    #[command(subcommand)]
    GoldCard(gold_card::GoldCardCommand),
    /// Keep cases beyond the time after which they would be deleted, end and list such holds
    #[command(subcommand)]
    LegalHold(legal_hold::LegalHoldCommand),
    /// Import members, coverages, providers and organizations from FHIR NDJSON or Bundles
    Import(import::Import),
    /// Check, test, list, create, explain and back-test policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Exit with code 0 if the server on this machine is ready; for container health checks
    Healthcheck,
}

impl Command {
    fn config(&self) -> Result<Config> {
        let file = self.config.as_deref().map(read_settings).transpose()?;
        let mut flags: Vec<Flag> = flag("--database", "database", self.database.as_ref())
            .into_iter()
            .collect();
        match &self.action {
            Action::Serve(serve) => flags.extend(serve.address.flags()),
            Action::Demo(demo) => flags.extend(demo.address.flags()),
            _ => {}
        }
        Config::layered(file.as_ref(), config::environment(), flags)
    }
}

/// Options of the commands that run a server.
#[derive(Debug, Args)]
struct ServerAddress {
    /// IP address and port to listen on, instead of the one in the settings
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// URL at which others reach the server, instead of the one in the settings
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl ServerAddress {
    fn flags(&self) -> impl Iterator<Item = Flag> {
        let listen = flag("--listen", "listen", self.listen.as_ref());
        let public_url = flag("--public-url", "public_url", self.public_url.as_ref());
        listen.into_iter().chain(public_url)
    }
}

fn flag(option: &'static str, setting: &'static str, value: Option<&String>) -> Option<Flag> {
    value.cloned().map(|value| Flag {
        option,
        setting,
        value,
    })
}

fn read_settings(path: &Path) -> Result<SettingsFile> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::malformed(format!(
            "The settings file {} cannot be read: {e}. It was named with --config.",
            path.display()
        ))
    })?;
    Ok(SettingsFile {
        path: path.to_owned(),
        text,
    })
}

/// An error as a command prints it. The sentence for callers of the server ("send it again") helps nobody here.
pub fn error_text(error: &Error) -> String {
    let is_generic = |other: &Error| error.message() == other.message();
    let detail = error.log_detail().unwrap_or_default();
    if is_generic(&Error::unavailable("")) {
        format!("The command could not be completed: {detail}")
    } else if is_generic(&Error::internal("")) {
        format!("The command failed because of an error in assent: {detail}")
    } else {
        error.to_string()
    }
}

/// Runs one command and returns its exit code. The error is printed to standard error.
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
            Action::Demo(_) => demo::run(config, &log).await?,
            Action::Walk(walk) => return walk::run(walk, config).await,
            Action::Migrate => drop(Store::open(&config).await?),
            Action::Client(action) => {
                let store = Store::open(&config).await?;
                print(&client::run(action, &store, Clock::System.now()).await?);
            }
            Action::User(action) => {
                let store = Store::open(&config).await?;
                print(&user::run(action, &store, config.password_cost, Clock::System.now()).await?);
            }
            Action::GoldCard(action) => {
                let store = Store::open(&config).await?;
                print(&gold_card::run(action, &store, Clock::System.now()).await?);
            }
            Action::LegalHold(action) => {
                let store = Store::open(&config).await?;
                print(&legal_hold::run(action, &store, Clock::System.now()).await?);
            }
            Action::Import(import) => return import::run(import, &config).await,
            Action::Policy(action) => return policy::run(action, &config).await,
            Action::Healthcheck => serve::check_health(&config).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Prints text and a newline. A closed pipe (`assent policy list | head`) is not an error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}
