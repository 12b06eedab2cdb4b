//! The settings: the defaults in `default.toml` (compiled in, with an explanation of each setting), then the settings
//! file, then environment variables `ASSENT_*`, then options of the command line. The server does not start with an
//! invalid setting; the error has one line for each, which says what is wrong and where the setting was set.

mod checks;
mod connections;
mod sources;

pub use connections::Connections;
pub use sources::{Flag, SettingsFile};

use crate::error::{Error, Result};
use serde::Deserialize;
use sources::{Source, Sources};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const DEFAULTS: &str = include_str!("default.toml");
/// The default of the setting `rules`.
const DEFAULT_RULES: &str = "rules";
/// The default of the setting `forms`.
const DEFAULT_FORMS: &str = "questionnaires";

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
    /// The header in which those proxies write the client's address.
    pub forwarded_header: ForwardedHeader,
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
    /// Connections and their time limits.
    pub connections: Connections,
    /// Background workers of this process.
    pub workers: Workers,
    /// How mail is sent.
    pub mail: Mail,
    /// Sessions of staff and members.
    pub sessions: Sessions,
    /// How often credentials may be guessed.
    pub sign_in: SignIn,
    /// Settings for PostgreSQL.
    pub postgres: Postgres,
    /// Repeated submissions.
    pub submissions: Submissions,
    /// How long data are kept.
    pub retention: Retention,
    /// Texts that members read.
    pub wording: Wording,
    /// The cost of hashing a password. It cannot be set; tests use the minimal cost.
    #[serde(skip)]
    pub password_cost: PasswordCost,
    /// Where each setting was set.
    #[serde(skip)]
    sources: Sources,
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
    /// The largest number of items in one request.
    pub items: usize,
    /// The largest number of resources in one request or hook call: entries of its Bundles, and contained resources.
    pub entries: usize,
    /// How many bytes of resources that were built for member apps stay in memory.
    pub member_resources_bytes: usize,
    /// The largest number of cases in the answer to one inquiry.
    pub inquiry_cases: usize,
    /// The largest number of orders in one hook call or form call.
    pub orders: usize,
    /// The largest number of subscriptions of one client.
    pub subscriptions: u32,
    /// How many large computations run at once; 0 for one for each processor.
    pub computations: usize,
    /// The free disk space below which the server is not ready, in MiB; 0 for no limit.
    pub free_disk_mib: u64,
}

/// Background workers of this process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the operator")]
pub struct Workers {
    /// Sends notifications and mail.
    pub outbox: bool,
    /// Warns staff before cases are late.
    pub deadlines: bool,
    /// Deletes expired data.
    pub purge: bool,
    /// How many subscribers are sent notifications at the same time.
    pub deliveries: u32,
    /// The time limit for one notification, in seconds.
    pub delivery_seconds: u32,
    /// After how many seconds without a report the leases of a process are free.
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

/// The header in which a proxy writes the address of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// Sessions of staff and members.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// The time without use after which a session ends, in minutes.
    pub idle_minutes: u32,
}

/// How often passwords and secrets may be guessed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The time in which failed tries are counted, in minutes.
    pub window_minutes: u32,
    /// Failed tries for one name from one address.
    pub tries: u32,
    /// Failed tries for one name from all addresses where it has never signed in.
    pub account_tries: u32,
    /// Failed tries from one address for all names.
    pub address_tries: u32,
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

/// How long data are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Decided cases with their history and requests, in years after the last change.
    pub case_years: u32,
    /// Entries of the access log, in years.
    pub access_log_years: u32,
    /// Hook calls and their assertions, and feedback, in years.
    pub hook_years: u32,
    /// Messages that were sent or given up, in days.
    pub message_days: u32,
    /// Tokens, codes, token ids, sessions and counts of failed sign-ins, in days after they expire.
    pub expired_days: u32,
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

/// The folder of a file; the working folder for a file without one.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The database that the setting `database` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// The embedded database in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL server with this URL.
    Postgres(String),
}

/// A message about one setting, with the place where it was set.
fn describe(sources: &Sources, setting: &str, problem: &str) -> String {
    match sources.get(setting) {
        Some(source) => format!("{setting} {problem} It was set {source}."),
        None => format!("{setting} {problem}"),
    }
}

impl Config {
    /// The defaults.
    pub fn defaults() -> Result<Self> {
        Self::layered(None, std::iter::empty(), Vec::new())
    }

    /// The defaults, overridden by a settings file, overridden by environment variables as (name without `ASSENT_`,
    /// value), overridden by options of the command line. The error has one line for each invalid setting.
    pub fn layered(
        file: Option<&SettingsFile>,
        environment: impl Iterator<Item = (String, String)>,
        flags: Vec<Flag>,
    ) -> Result<Self> {
        let mut table: Table = parse(DEFAULTS, "The built-in defaults")?;
        let mut sources = Sources::default();
        if let Some(file) = file {
            sources.add_file(file)?;
            merge(&mut table, parse(&file.text, &file.path.display().to_string())?);
        }
        for (variable, value) in environment {
            let name = variable.to_lowercase();
            set(&mut table, &name, &value);
            let setting = name.replace("__", ".");
            let variable = sources::environment_variable(&setting);
            sources.set(setting, Source::Environment(variable));
        }
        for flag in flags {
            set(&mut table, &flag.setting.replace('.', "__"), &flag.value);
            sources.set(flag.setting.to_owned(), Source::Option(flag.option));
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
            Ok(Self { sources, ..config })
        } else {
            Err(Error::malformed(mistakes.join("\n")))
        }
    }

    /// A sentence that says where a setting was set, or how to set it when it has its default.
    pub fn where_set(&self, setting: &str) -> String {
        self.sources.sentence(setting)
    }

    /// Whether somebody has set a setting.
    pub fn is_set(&self, setting: &str) -> bool {
        self.sources.get(setting).is_some()
    }

    /// The folder of the policies, or none for those that are compiled into the program: the setting is empty, or it was
    /// not set and the default folder does not exist.
    pub fn rules_folder(&self) -> Option<&Path> {
        self.folder_in_use("rules", &self.rules, DEFAULT_RULES)
    }

    /// The folder of the forms, or none for those that are compiled into the program.
    pub fn forms_folder(&self) -> Option<&Path> {
        self.folder_in_use("forms", &self.forms, DEFAULT_FORMS)
    }

    fn folder_in_use<'a>(&self, setting: &str, folder: &'a Path, default: &str) -> Option<&'a Path> {
        if folder.as_os_str().is_empty() {
            return None;
        }
        let is_default = !self.is_set(setting) && folder == Path::new(default);
        (!is_default || folder.is_dir()).then_some(folder)
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

    fn settings_file(text: &str) -> SettingsFile {
        SettingsFile {
            path: "assent.toml".into(),
            text: text.to_owned(),
        }
    }

    fn from_file(file: &str) -> Result<Config> {
        Config::layered(Some(&settings_file(file)), std::iter::empty(), Vec::new())
    }

    #[test]
    fn the_defaults_are_valid() {
        Config::defaults().unwrap();
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = [("LIMITS__BODY_BYTES".to_owned(), "70000".to_owned())].into_iter();
        let file = settings_file("data = \"x\"\n[limits]\nbody_bytes = 80000");
        let flag = Flag {
            option: "--database",
            setting: "database",
            value: "sqlite:other.db".to_owned(),
        };
        let config = Config::layered(Some(&file), environment, vec![flag]).unwrap();
        assert_eq!(config.limits.body_bytes, 70_000);
        assert_eq!(
            config.where_set("limits.body_bytes"),
            "limits.body_bytes was set in the environment variable ASSENT_LIMITS__BODY_BYTES."
        );
        assert_eq!(config.where_set("data"), "data was set in line 1 of assent.toml.");
        assert_eq!(
            config.where_set("database"),
            "database was set by the option --database."
        );
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
        let ends = [1, 2, 5].map(|line| format!("It was set in line {line} of assent.toml."));
        assert!(
            lines
                .iter()
                .all(|line| ends.iter().any(|end| line.ends_with(end))),
            "{lines:?}"
        );
        let environment = [("SESSIONS__IDLE_MINUTES".to_owned(), "1".to_owned())].into_iter();
        let error = Config::layered(None, environment, Vec::new()).unwrap_err();
        assert_eq!(
            error.message(),
            "sessions.idle_minutes must be from 5 to 720. \
             It was set in the environment variable ASSENT_SESSIONS__IDLE_MINUTES."
        );
    }

    #[test]
    fn the_folders_of_the_defaults_are_those_that_the_code_knows() {
        let config = Config::defaults().unwrap();
        assert_eq!(config.rules, Path::new(DEFAULT_RULES));
        assert_eq!(config.forms, Path::new(DEFAULT_FORMS));
        let builtin = from_file("rules = \"\"").unwrap();
        assert_eq!(builtin.rules_folder(), None);
        let missing = from_file("rules = \"no-such-folder\"").unwrap();
        assert_eq!(
            missing.rules_folder(),
            Some(Path::new("no-such-folder")),
            "a missing folder is an error"
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
