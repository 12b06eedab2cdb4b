//! The settings: the defaults in `default.toml` (compiled in, with an explanation of each setting), then the settings
//! file, then environment variables `ASSENT_*`. The server does not start with an invalid setting; the error has one
//! line for each, which says what is wrong and where the setting was set.

mod checks;

use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::{fmt, path::PathBuf};
use toml::{Table, Value};

const DEFAULTS: &str = include_str!("default.toml");

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL at which others reach the server, without a slash at the end.
    pub public_url: String,
    /// The IP address and port to listen on.
    pub listen: SocketAddr,
    /// The IP addresses of the proxies in front of the server.
    pub trusted_proxies: Vec<IpAddr>,
    /// `sqlite:PATH` or `postgres://…`.
    pub database: String,
    /// The folder for generated files.
    pub data: PathBuf,
    /// The folder of the policies, lists, plans and clocks.
    pub rules: PathBuf,
    /// The folder of the questionnaires.
    pub forms: PathBuf,
    /// The plan.
    pub payer: Payer,
    /// Sizes and time limits.
    pub limits: Limits,
    /// Background workers of this process.
    pub workers: Workers,
    /// How mail is sent.
    pub mail: Mail,
    /// Sessions of staff and members.
    pub sessions: Sessions,
    /// Settings for PostgreSQL.
    pub postgres: Postgres,
    /// Repeated submissions.
    pub submissions: Submissions,
    /// Texts that members read.
    pub wording: Wording,
    /// The cost of hashing a password. It cannot be set; tests use the minimal cost.
    #[serde(skip)]
    pub password_cost: PasswordCost,
}

/// The plan.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payer {
    /// The name as on the member's card.
    pub name: String,
    /// The plan's NPIs and payer ids.
    pub identifiers: Vec<String>,
    /// The phone number for members and providers.
    pub phone: String,
    /// How a member can appeal, in plain language.
    pub appeal: String,
}

/// Sizes and time limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// The time limit for the response to a hook call, in milliseconds.
    pub hook_ms: u64,
    /// The time limit for all reads from the EHR during one hook call, in milliseconds.
    pub fetch_ms: u64,
}

/// Background workers of this process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the operator")]
pub struct Workers {
    /// Runs jobs.
    pub jobs: bool,
    /// Sends notifications and mail.
    pub outbox: bool,
    /// Warns staff before cases are late.
    pub deadlines: bool,
    /// Deletes expired data.
    pub purge: bool,
    /// How long a process may hold leased work, in seconds.
    pub lease_seconds: u32,
}

/// How mail is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The transport.
    pub transport: MailTransport,
    /// The URL of the mail relay, for the transport `smtp`.
    pub url: String,
    /// The sender of every message.
    pub from: String,
    /// The address that is warned before cases are late; empty for no warnings.
    pub alerts_to: String,
}

/// Where mail is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTransport {
    /// To a mail relay, over TLS.
    Smtp,
    /// Into files in the data folder.
    File,
    /// Into memory, for tests.
    Memory,
}

/// Sessions of staff and members.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// The time without use after which a session ends, in minutes.
    pub idle_minutes: u32,
}

/// Settings for PostgreSQL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// The largest number of connections of this process.
    pub connections: u32,
    /// The number of prepared statements that each connection keeps.
    pub statement_cache: usize,
}

/// Repeated submissions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submissions {
    /// How many days the same request is treated as the same case.
    pub replay_days: u32,
}

/// Texts that members read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// The highest reading grade of a reason for a member that is sent without a warning to its writer.
    pub reading_grade: u32,
}

/// The cost of hashing a password with argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PasswordCost {
    /// 19 MiB of memory and two passes.
    #[default]
    Standard,
    /// The lowest cost that the algorithm allows, for tests.
    Minimal,
}

/// The database that the setting `database` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// The embedded database in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL server with this URL.
    Postgres(String),
}

/// Where a setting was set.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File,
    /// The name of the variable without the prefix `ASSENT_`.
    Environment(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the settings file"),
            Self::Environment(name) if name == "DATABASE" => {
                f.write_str("the environment variable ASSENT_DATABASE or the option --database")
            }
            Self::Environment(name) => write!(f, "the environment variable ASSENT_{name}"),
        }
    }
}

/// The source of each setting that is not a default, by its dotted name.
type Sources = HashMap<String, Source>;

/// A message about one setting, with the place where it was set.
fn describe(sources: &Sources, setting: &str, problem: &str) -> String {
    match sources.get(setting) {
        Some(source) => format!("{setting} {problem} It was set in {source}."),
        None => format!("{setting} {problem}"),
    }
}

impl Config {
    /// The defaults.
    pub fn defaults() -> Result<Self> {
        Self::layered(None, std::iter::empty())
    }

    /// The defaults, overridden by the text of a settings file, overridden by environment variables as (name without
    /// `ASSENT_`, value). The error has one line for each invalid setting.
    pub fn layered(file: Option<&str>, environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut table: Table = parse(DEFAULTS, "The built-in defaults")?;
        let mut sources = Sources::new();
        if let Some(text) = file {
            let file = parse(text, "The settings file")?;
            sources.extend(
                leaves(&file, "")
                    .into_iter()
                    .map(|(name, _)| (name, Source::File)),
            );
            merge(&mut table, file);
        }
        for (variable, value) in environment {
            let name = variable.to_lowercase();
            set(&mut table, &name, &value);
            sources.insert(
                name.replace("__", "."),
                Source::Environment(variable.to_uppercase()),
            );
        }
        let misfits = misfits(&table, &sources)?;
        if !misfits.is_empty() {
            return Err(Error::malformed(misfits.join("\n")));
        }
        let config: Self = Value::Table(table).try_into().map_err(|e: toml::de::Error| {
            Error::malformed(format!("The settings are not valid: {}", e.message()))
        })?;
        let mistakes: Vec<String> = config
            .mistakes()
            .into_iter()
            .map(|(setting, problem)| describe(&sources, setting, problem))
            .collect();
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(Error::malformed(mistakes.join("\n")))
        }
    }

    /// The database that the setting `database` names.
    pub fn database(&self) -> Result<Database> {
        if let Some(path) = self.database.strip_prefix("sqlite:") {
            return Ok(Database::Sqlite(PathBuf::from(path.trim_start_matches("//"))));
        }
        if self.database.starts_with("postgres://") || self.database.starts_with("postgresql://") {
            return Ok(Database::Postgres(self.database.clone()));
        }
        Err(Error::malformed(
            "database must be sqlite:PATH or postgres://user:password@host/name.",
        ))
    }
}

/// The environment variables of this process that begin with `ASSENT_`, as (name without the prefix, value). Only this
/// function reads the environment. `ASSENT_EXAMPLES` is for the tests and is left out.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter_map(|(name, value)| {
        let name = name.strip_prefix("ASSENT_")?;
        (name != "EXAMPLES").then(|| (name.to_owned(), value))
    })
}

fn parse(text: &str, name: &str) -> Result<Table> {
    text.parse()
        .map_err(|e: toml::de::Error| Error::malformed(format!("{name} cannot be read: {e}")))
}

/// Overrides the values of `base`, table by table.
fn merge(base: &mut Table, overrides: Table) {
    for (name, value) in overrides {
        match (base.get_mut(&name), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

/// A message for each setting that does not exist or has the wrong type. Each setting is tried alone on top of the
/// defaults, so that all mistakes are reported at once.
fn misfits(table: &Table, sources: &Sources) -> Result<Vec<String>> {
    let defaults = parse(DEFAULTS, "The built-in defaults")?;
    let mut all = Vec::new();
    for (path, value) in leaves(table, "") {
        let mut alone = defaults.clone();
        put(&mut alone, &path, value);
        if let Err(error) = Value::Table(alone).try_into::<Config>() {
            let problem = format!("is not valid: {}.", error.message().trim_end());
            all.push(describe(sources, &path, &problem));
        }
    }
    Ok(all)
}

/// All settings of a table with their dotted names.
fn leaves(table: &Table, prefix: &str) -> Vec<(String, Value)> {
    table
        .iter()
        .flat_map(|(name, value)| match value {
            Value::Table(inner) => leaves(inner, &format!("{prefix}{name}.")),
            other => vec![(format!("{prefix}{name}"), other.clone())],
        })
        .collect()
}

fn put(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((outer, rest)) => {
            let inner = table
                .entry(outer.to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// Sets `table__name` to a text, converted to the type of the default.
fn set(table: &mut Table, name: &str, text: &str) {
    if let Some((outer, rest)) = name.split_once("__") {
        if let Some(Value::Table(inner)) = table.get_mut(outer) {
            set(inner, rest, text);
            return;
        }
        table.insert(name.to_owned(), Value::String(text.to_owned()));
        return;
    }
    let value = match table.get(name) {
        Some(Value::Integer(_)) => text
            .parse()
            .map_or_else(|_| Value::String(text.to_owned()), Value::Integer),
        Some(Value::Boolean(_)) => text
            .parse()
            .map_or_else(|_| Value::String(text.to_owned()), Value::Boolean),
        Some(Value::Array(_)) => Value::Array(
            text.split(',')
                .map(|part| Value::String(part.trim().to_owned()))
                .collect(),
        ),
        _ => Value::String(text.to_owned()),
    };
    table.insert(name.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(file: &str) -> Result<Config> {
        Config::layered(Some(file), std::iter::empty())
    }

    #[test]
    fn the_defaults_are_valid() {
        Config::defaults().unwrap();
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = [("LIMITS__BODY_BYTES".to_owned(), "70000".to_owned())].into_iter();
        let config = Config::layered(Some("[limits]\nbody_bytes = 80000"), environment).unwrap();
        assert_eq!(config.limits.body_bytes, 70_000);
    }

    #[test]
    fn every_invalid_setting_is_reported_with_its_source() {
        let error = from_file(
            "public_url = \"ftp://x/\"\ndatabase = \"mysql:x\"\n[mail]\ntransport = \"smtp\"\nurl = \"smtp://relay\"",
        )
        .unwrap_err();
        let lines: Vec<&str> = error.message().lines().collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("without encryption")));
        assert!(
            lines
                .iter()
                .all(|line| line.ends_with("It was set in the settings file.")),
            "{lines:?}"
        );
        let environment = [("SESSIONS__IDLE_MINUTES".to_owned(), "1".to_owned())].into_iter();
        let error = Config::layered(None, environment).unwrap_err();
        assert_eq!(
            error.message(),
            "sessions.idle_minutes must be from 5 to 720. \
             It was set in the environment variable ASSENT_SESSIONS__IDLE_MINUTES."
        );
    }

    #[test]
    fn an_unknown_setting_is_rejected() {
        assert!(
            from_file("lissten = \"127.0.0.1:1\"")
                .unwrap_err()
                .message()
                .contains("lissten")
        );
    }
}
