//! The settings: `default.toml` (compiled in, and the reference), then a file, then the environment `ASSENT_*`.
//! What makes no sense is refused at start, one sentence per mistake.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};
use toml::{Table, Value};

const DEFAULT: &str = include_str!("default.toml");

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address that the world uses; no slash at the end.
    pub public_url: String,
    /// The socket to listen on.
    pub listen: SocketAddr,
    /// `sqlite:PATH` or `postgres://…`.
    pub database: String,
    /// Folder of everything that is generated.
    pub data: PathBuf,
    /// Folder of the policies.
    pub rules: PathBuf,
    /// Folder of the questionnaires.
    pub forms: PathBuf,
    /// Who the plan is.
    pub payer: Payer,
    /// Sizes and times.
    pub limits: Limits,
    /// What runs beside the answers.
    pub workers: Workers,
    /// How mail leaves.
    pub mail: Mail,
    /// Sessions of people.
    pub sessions: Sessions,
    /// Settings of PostgreSQL alone.
    pub postgres: Postgres,
    /// Repeated submissions.
    pub submissions: Submissions,
    /// How hard a password is to hash. Not a setting: only tests make it quick.
    #[serde(skip)]
    pub password_work: PasswordWork,
}

/// Who the plan is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payer {
    /// As on the member's card.
    pub name: String,
    /// NPIs and payer ids that mean this plan.
    pub identifiers: Vec<String>,
    /// The phone for members and providers.
    pub phone: String,
    /// How to appeal, in words for a member.
    pub appeal: String,
}

/// Sizes and times.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest body in bytes.
    pub body_bytes: usize,
    /// A hook's total time in milliseconds.
    pub hook_ms: u64,
    /// A hook's time for reads from the EHR, in milliseconds.
    pub fetch_ms: u64,
}

/// Which workers run in this process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the operator")]
pub struct Workers {
    /// Work inside the house.
    pub jobs: bool,
    /// Effects that leave the house.
    pub outbox: bool,
    /// The watch over due times.
    pub deadlines: bool,
    /// Removal of what has expired.
    pub purge: bool,
    /// How long a lease on a piece of work holds, in seconds.
    pub lease_seconds: u32,
}

/// How mail leaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// smtp, file or memory.
    pub transport: MailTransport,
    /// The relay of the smtp transport.
    pub url: String,
    /// The sender.
    pub from: String,
    /// Who hears of due times; may be empty.
    pub alerts_to: String,
}

/// The three ways for a mail to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTransport {
    /// To a relay, over TLS.
    Smtp,
    /// Into files under the data folder.
    File,
    /// Kept in memory, for tests.
    Memory,
}

/// Sessions of people.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Idle time in minutes.
    pub idle_minutes: u32,
}

/// Settings of PostgreSQL alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Connections of this process.
    pub connections: u32,
    /// Prepared statements per connection.
    pub statement_cache: usize,
}

/// Repeated submissions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submissions {
    /// The window in days.
    pub replay_days: u32,
}

/// How hard a password is to hash (argon2id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PasswordWork {
    /// 19 MiB, two passes.
    #[default]
    Full,
    /// As little as the algorithm allows; for tests alone.
    Quick,
}

/// Which database a `database` setting names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// The embedded one, in this file.
    Sqlite(PathBuf),
    /// A server; the URL.
    Postgres(String),
}

impl Config {
    /// The defaults alone.
    pub fn defaults() -> Result<Self> {
        Self::layered(None, std::iter::empty())
    }

    /// Defaults, then a file's text, then `ASSENT_*` variables (name without the prefix, value); checked.
    pub fn layered(file: Option<&str>, environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut table: Table = parse(DEFAULT, "the defaults")?;
        if let Some(text) = file {
            merge(&mut table, parse(text, "the config file")?);
        }
        for (name, value) in environment {
            set(&mut table, &name.to_lowercase(), &value);
        }
        let misfits = misfits(&table)?;
        if !misfits.is_empty() {
            return Err(Error::malformed(misfits.join("\n")));
        }
        let config: Self = Value::Table(table).try_into().map_err(|e: toml::de::Error| {
            Error::malformed(format!("The settings do not fit: {}", e.message()))
        })?;
        let mistakes = config.mistakes();
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(Error::malformed(mistakes.join("\n")))
        }
    }

    /// Which database is meant.
    pub fn database(&self) -> Result<Database> {
        if let Some(path) = self.database.strip_prefix("sqlite:") {
            return Ok(Database::Sqlite(PathBuf::from(path.trim_start_matches("//"))));
        }
        if self.database.starts_with("postgres://") || self.database.starts_with("postgresql://") {
            return Ok(Database::Postgres(self.database.clone()));
        }
        Err(Error::malformed("database must be sqlite:PATH or postgres://…"))
    }

    /// One sentence per setting that makes no sense.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |held: bool, sentence: &str| {
            if !held {
                mistakes.push(sentence.to_owned());
            }
        };
        let url = url::Url::parse(&self.public_url);
        check(
            url.as_ref()
                .is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host()),
            "public_url must be an http or https address, such as https://pa.plan.example.",
        );
        check(
            !self.public_url.ends_with('/'),
            "public_url must not end with a slash.",
        );
        check(
            self.database().is_ok(),
            "database must be sqlite:PATH or postgres://user@host/name.",
        );
        check(
            !self.payer.name.trim().is_empty(),
            "payer.name must not be empty: it stands on every card.",
        );
        check(
            !self.payer.identifiers.is_empty(),
            "payer.identifiers must hold at least the plan's NPI, or no coverage is ever ours.",
        );
        check(
            self.limits.body_bytes >= 65_536,
            "limits.body_bytes must be at least 65536.",
        );
        check(
            self.limits.fetch_ms < self.limits.hook_ms,
            "limits.fetch_ms must be less than limits.hook_ms: the answer still has to be made.",
        );
        check(
            (1..=5000).contains(&self.limits.hook_ms),
            "limits.hook_ms must lie between 1 and 5000.",
        );
        check(
            (1..=3600).contains(&self.workers.lease_seconds),
            "workers.lease_seconds must lie between 1 and 3600.",
        );
        check(
            (5..=720).contains(&self.sessions.idle_minutes),
            "sessions.idle_minutes must lie between 5 and 720.",
        );
        check(
            (2..=200).contains(&self.postgres.connections),
            "postgres.connections must lie between 2 and 200.",
        );
        check(self.mail.from.contains('@'), "mail.from must hold an address.");
        check(
            self.mail.alerts_to.is_empty() || self.mail.alerts_to.contains('@'),
            "mail.alerts_to must be empty or an address.",
        );
        if self.mail.transport == MailTransport::Smtp {
            let secure = self.mail.url.starts_with("smtps://")
                || (self.mail.url.starts_with("smtp://") && self.mail.url.contains("tls=required"));
            check(
                secure,
                "mail.url must be smtps://… or smtp://…?tls=required: mail that may fall back to plain text is refused.",
            );
        }
        mistakes
    }
}

/// The variables of this process that start with `ASSENT_`, without the prefix. The one home of the environment.
/// `ASSENT_EXAMPLES` belongs to the tests and is left out.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter_map(|(name, value)| {
        let name = name.strip_prefix("ASSENT_")?;
        (name != "EXAMPLES").then(|| (name.to_owned(), value))
    })
}

fn parse(text: &str, what: &str) -> Result<Table> {
    text.parse()
        .map_err(|e: toml::de::Error| Error::malformed(format!("{what} cannot be read: {e}")))
}

fn merge(base: &mut Table, over: Table) {
    for (name, value) in over {
        match (base.get_mut(&name), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

/// One sentence per setting that is unknown or of another type than its default: each is tried alone.
fn misfits(table: &Table) -> Result<Vec<String>> {
    let defaults = parse(DEFAULT, "the defaults")?;
    let mut all = Vec::new();
    for (path, value) in leaves(table, "") {
        let mut alone = defaults.clone();
        put(&mut alone, &path, value);
        if let Err(error) = Value::Table(alone).try_into::<Config>() {
            all.push(format!("{path} does not fit: {}.", error.message()));
        }
    }
    Ok(all)
}

/// Every setting of a table with its dotted name.
fn leaves(table: &Table, above: &str) -> Vec<(String, Value)> {
    table
        .iter()
        .flat_map(|(name, value)| match value {
            Value::Table(inner) => leaves(inner, &format!("{above}{name}.")),
            other => vec![(format!("{above}{name}"), other.clone())],
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

/// Sets `a__b` to the text, in the type that the default has.
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

    fn with(file: &str) -> Result<Config> {
        Config::layered(Some(file), std::iter::empty())
    }

    #[test]
    fn the_defaults_make_sense() {
        Config::defaults().unwrap();
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let environment = [("LIMITS__BODY_BYTES".to_owned(), "70000".to_owned())].into_iter();
        let config = Config::layered(Some("[limits]\nbody_bytes = 80000"), environment).unwrap();
        assert_eq!(config.limits.body_bytes, 70_000);
    }

    #[test]
    fn every_mistake_has_its_own_sentence() {
        let error = with(
            "public_url = \"ftp://x/\"\ndatabase = \"mysql:x\"\n[mail]\ntransport = \"smtp\"\nurl = \"smtp://relay\"",
        )
        .unwrap_err();
        let sentences: Vec<&str> = error.message().lines().collect();
        assert_eq!(sentences.len(), 4, "{sentences:?}");
        assert!(sentences.iter().any(|s| s.contains("fall back to plain text")));
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(
            with("lissten = \"127.0.0.1:1\"")
                .unwrap_err()
                .message()
                .contains("lissten")
        );
    }
}
