//! `assent policy …`: what a policy analyst does with rule files. All but `explain --id` and `backtest` need nothing
//! but the files.

pub mod backtest;
mod check;
pub mod explain;
mod list;
mod new;
pub mod pinned;
mod report;
mod test;

use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::{Finding, Loading, Tests};
use crate::state::{Published, SetFiles};
use clap::Subcommand;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Finds every mistake in the rule files, each with its line and how to mend it
    Check(check::Check),
    /// Runs the tests inside the policies
    Test(test::Test),
    /// Lists the policies
    List(list::List),
    /// Writes a draft that passes 'check', with its form, fixture and first tests
    New(new::New),
    /// Shows why: the trace of a case document or of a stored case
    Explain(explain::Explain),
    /// Runs every stored case again under another set and tells what would change
    Backtest(backtest::Backtest),
}

/// Runs one command.
pub async fn run(command: PolicyCommand, config: &Config) -> Result<ExitCode> {
    match command {
        PolicyCommand::Check(command) => check::run(&command, config),
        PolicyCommand::Test(command) => test::run(&command, config),
        PolicyCommand::List(command) => list::run(&command, config),
        PolicyCommand::New(command) => new::run(&command, config),
        PolicyCommand::Explain(command) => explain::run(command, config).await,
        PolicyCommand::Backtest(command) => backtest::run(command, config).await,
    }
}

/// Other folders than those of the settings.
#[derive(Debug, clap::Args)]
pub struct Folders {
    /// The folder of rules, over the settings
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// The folder of questionnaires, over the settings
    #[arg(long, value_name = "DIR")]
    forms: Option<PathBuf>,
}

impl Folders {
    /// The folder of rules.
    fn rules<'a>(&'a self, config: &'a Config) -> &'a PathBuf {
        self.rules.as_ref().unwrap_or(&config.rules)
    }

    /// The folder of questionnaires.
    fn forms<'a>(&'a self, config: &'a Config) -> &'a PathBuf {
        self.forms.as_ref().unwrap_or(&config.forms)
    }

    /// Reads the folders and checks them as a server does before it publishes them.
    fn load(&self, config: &Config, tests: Tests) -> Result<std::result::Result<Published, Vec<Finding>>> {
        let loading = Loading {
            today: Some(Clock::System.now().date_naive()),
            tests,
            ..Loading::default()
        };
        let (rules, forms) = (app::files(self.rules(config))?, app::files(self.forms(config))?);
        Ok(Published::check(SetFiles::new(&rules, &forms), &loading))
    }

    /// The same for commands that work with a sound set only.
    fn sound(&self, config: &Config, tests: Tests) -> Result<Published> {
        self.load(config, tests)?.map_err(|findings| {
            let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
            Error::malformed(all.join("\n"))
        })
    }
}

/// Whether a policy is meant by a name on the command line: the whole name, a part of it, or `name@version`.
fn is_meant(wanted: Option<&str>, policy: &crate::rules::Policy) -> bool {
    wanted.is_none_or(|wanted| {
        let (name, version) = wanted
            .split_once('@')
            .map_or((wanted, None), |(n, v)| (n, Some(v)));
        policy.name().contains(name) && version.is_none_or(|v| v == policy.version())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_set_as_the_server_does() {
        let config = Config::defaults().unwrap();
        let own = Folders {
            rules: None,
            forms: None,
        };
        let loaded = own.sound(&config, Tests::Read).unwrap();
        let (rules, forms) = (
            app::files(&config.rules).unwrap(),
            app::files(&config.forms).unwrap(),
        );
        assert_eq!(loaded.hash, SetFiles::new(&rules, &forms).hash());
    }
}
