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
use crate::forms::Forms;
use crate::rules::{Finding, Loading, RuleSet, Tests};
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

    /// Reads the folders and loads the set; findings of forms come first, for the policies need them.
    fn load(&self, config: &Config, tests: Tests) -> Result<std::result::Result<RuleSet, Vec<Finding>>> {
        let forms = match Forms::load(&app::files(self.forms(config))?) {
            Ok(forms) => forms,
            Err(findings) => {
                let all = findings.iter().map(|f| of_form(f)).collect();
                return Ok(Err(all));
            }
        };
        let loading = Loading {
            today: Some(Clock::System.now().date_naive()),
            tests,
            ..Loading::default()
        };
        let files = app::files(self.rules(config))?;
        let clocks = crate::deadlines::Clocks::load(&files).err().unwrap_or_default();
        let loaded = RuleSet::load_with(&files, &|form| forms.link_ids(form), &loading);
        Ok(match loaded {
            Ok(set) if clocks.is_empty() => Ok(set),
            Ok(_) => Err(clocks),
            Err(findings) => Err(clocks.into_iter().chain(findings).collect()),
        })
    }

    /// The same for commands that work with a sound set only.
    fn sound(&self, config: &Config, tests: Tests) -> Result<RuleSet> {
        self.load(config, tests)?.map_err(|findings| {
            let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
            Error::malformed(all.join("\n"))
        })
    }
}

/// A finding of a form as one of a file.
fn of_form(finding: &str) -> Finding {
    let (file, message) = finding.split_once(": ").unwrap_or(("", finding));
    Finding {
        file: format!("questionnaires/{file}"),
        line: None,
        message: message.to_owned(),
        mend: String::new(),
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
