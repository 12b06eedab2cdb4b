//! `assent policy …`: commands for policy analysts. Only `explain --id` and `backtest` use the database; the others
//! need only the rule and form files.

pub mod backtest;
mod check;
pub mod explain;
mod export;
mod list;
mod new;
mod report;
pub mod stored_set;
mod test;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::publication;
use crate::rules::{EmbeddedTests, Finding, LoadOptions};
use crate::state::{PolicySet, PolicySetFiles, findings_text};
use clap::Subcommand;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Subcommands of `policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Find every error in the rule and form files, with file, line and how to fix it
    Check(check::Check),
    /// Run the tests inside the policies
    Test(test::Test),
    /// List the policies
    List(list::List),
    /// Create a draft policy that passes 'check', with its form, fixture and first tests
    New(new::New),
    /// Write the policies and forms that are compiled into assent into a folder, to change them there
    Export(export::Export),
    /// Explain a verdict: print the trace of a case document or of a stored case
    Explain(explain::Explain),
    /// Evaluate every stored case under a candidate policy set and report what would change
    Backtest(backtest::Backtest),
}

/// Runs a subcommand and returns its exit code.
pub async fn run(command: PolicyCommand, config: &Config) -> Result<ExitCode> {
    match command {
        PolicyCommand::Check(command) => check::run(&command, config),
        PolicyCommand::Test(command) => test::run(&command, config),
        PolicyCommand::List(command) => list::run(&command, config),
        PolicyCommand::New(command) => new::run(&command, config),
        PolicyCommand::Export(command) => export::run(&command),
        PolicyCommand::Explain(command) => explain::run(command, config).await,
        PolicyCommand::Backtest(command) => backtest::run(command, config).await,
    }
}

/// Folders to use instead of those in the settings.
#[derive(Debug, clap::Args)]
pub struct Folders {
    /// Folder of rules to use instead of the one in the settings
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Folder of forms to use instead of the one in the settings
    #[arg(long, value_name = "DIR")]
    forms: Option<PathBuf>,
}

impl Folders {
    /// The folder of rules; none for those that are compiled into the program.
    fn rules<'a>(&'a self, config: &'a Config) -> Option<&'a Path> {
        self.rules.as_deref().or_else(|| config.rules_folder())
    }

    /// The folder of forms; none for those that are compiled into the program.
    fn forms<'a>(&'a self, config: &'a Config) -> Option<&'a Path> {
        self.forms.as_deref().or_else(|| config.forms_folder())
    }

    /// Reads and checks the folders as a server does before it publishes them.
    fn load(
        &self,
        config: &Config,
        embedded_tests: EmbeddedTests,
    ) -> Result<std::result::Result<PolicySet, Vec<Finding>>> {
        let options = LoadOptions {
            today: Some(Clock::System.now().date_naive()),
            embedded_tests,
            ..LoadOptions::default()
        };
        let rules = publication::read_rules(self.rules(config))?;
        let forms = publication::read_forms(self.forms(config))?;
        Ok(PolicySet::from_files(
            PolicySetFiles::new(&rules, &forms),
            &options,
        ))
    }

    /// Like `load`, for commands that need a policy set without errors. `Malformed` lists the findings.
    fn load_valid(&self, config: &Config, embedded_tests: EmbeddedTests) -> Result<PolicySet> {
        self.load(config, embedded_tests)?
            .map_err(|findings| Error::malformed(findings_text(&findings)))
    }
}

/// Whether a name on the command line selects a policy: no name, its name or a part of it, or `name@version`.
fn is_selected(name: Option<&str>, policy: &crate::rules::Policy) -> bool {
    name.is_none_or(|name| {
        let (name, version) = name.split_once('@').map_or((name, None), |(n, v)| (n, Some(v)));
        policy.name().contains(name) && version.is_none_or(|v| v == policy.version())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_computes_the_same_hash_as_the_server() {
        let config = Config::defaults().unwrap();
        let folders = Folders {
            rules: None,
            forms: None,
        };
        let loaded = folders.load_valid(&config, EmbeddedTests::CheckOnly).unwrap();
        let (rules, forms) = (
            publication::read_folder(&config.rules).unwrap(),
            publication::read_folder(&config.forms).unwrap(),
        );
        assert_eq!(loaded.hash, PolicySetFiles::new(&rules, &forms).hash());
    }
}
