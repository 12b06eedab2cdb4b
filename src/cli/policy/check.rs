//! `assent policy check`: every load-time check over all files, all findings at once. Exit code 1 when there is one.

use super::Folders;
use crate::cli::say;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::{Finding, Tests};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What to check.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    folders: Folders,
    /// Leaves the embedded tests out
    #[arg(long)]
    no_tests: bool,
    /// Prints one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Checks and prints.
pub fn run(command: &Check, config: &Config) -> Result<ExitCode> {
    let loaded = command
        .folders
        .load(config, if command.no_tests { Tests::Read } else { Tests::Run })?;
    let (findings, warnings, summary) = match loaded {
        Err(findings) => (findings, Vec::new(), String::new()),
        Ok(set) => {
            let count = counted(set.rules.policies().count(), "policy is", "policies are");
            let warnings = set.rules.warnings().iter().map(below_rules).collect();
            (Vec::new(), warnings, format!("{count} sound. Set {}", set.hash))
        }
    };
    if command.json {
        let shown = json!({ "findings": all(&findings), "warnings": all(&warnings) });
        say(&serde_json::to_string_pretty(&shown).map_err(Error::internal)?);
    } else {
        for finding in &findings {
            say(&lines("error", finding));
        }
        for warning in &warnings {
            say(&lines("warning", warning));
        }
        if findings.is_empty() {
            say(&summary);
        } else {
            let count = counted(findings.len(), "mistake", "mistakes");
            say(&format!("{count}. Nothing is published while there is one"));
        }
    }
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A number with its noun.
pub(super) fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// A warning names its file below the folder of rules; as a finding does, it is shown with the folder.
fn below_rules(finding: &Finding) -> Finding {
    Finding {
        file: format!("rules/{}", finding.file),
        ..finding.clone()
    }
}

fn all(findings: &[Finding]) -> Vec<Value> {
    let one = |f: &Finding| json!({ "file": f.file, "line": f.line, "message": f.message, "mend": f.mend });
    findings.iter().map(one).collect()
}

/// A finding as two lines: what is wrong and where, then how to mend it.
pub(super) fn lines(word: &str, finding: &Finding) -> String {
    let place = match finding.line {
        Some(line) => format!("{}:{line}", finding.file),
        None => finding.file.clone(),
    };
    let mend = if finding.mend.is_empty() {
        String::new()
    } else {
        format!("  mend: {}\n", finding.mend)
    };
    format!("{place}: {word}: {}\n{mend}", finding.message)
}
