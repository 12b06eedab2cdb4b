//! `assent policy check`: runs every load-time check over all rule and form files and prints all findings at once. Exit
//! code 1 when there are findings.

use super::Folders;
use crate::cli::print;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::{EmbeddedTests, Finding};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Options of `policy check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    folders: Folders,
    /// Do not run the tests inside the policies
    #[arg(long)]
    no_tests: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Checks the files and prints the findings.
pub fn run(command: &Check, config: &Config) -> Result<ExitCode> {
    let embedded_tests = if command.no_tests {
        EmbeddedTests::CheckOnly
    } else {
        EmbeddedTests::Run
    };
    let (findings, warnings, summary) = match command.folders.load(config, embedded_tests)? {
        Err(findings) => (findings, Vec::new(), String::new()),
        Ok(set) => {
            let count = counted(set.rules.policies().count(), "policy", "policies");
            let warnings = set.rules.warnings().iter().map(with_folder).collect();
            let summary = format!("{count} checked, no errors. Policy set {}", set.hash);
            (Vec::new(), warnings, summary)
        }
    };
    if command.json {
        let output = json!({ "findings": json_of(&findings), "warnings": json_of(&warnings) });
        print(&serde_json::to_string_pretty(&output).map_err(Error::internal)?);
    } else {
        for finding in &findings {
            print(&finding_text("error", finding));
        }
        for warning in &warnings {
            print(&finding_text("warning", warning));
        }
        if findings.is_empty() {
            print(&summary);
        } else {
            let count = counted(findings.len(), "error", "errors");
            print(&format!(
                "{count}. The policy set cannot be published until every error is fixed"
            ));
        }
    }
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A number with its noun.
pub(super) fn counted(count: usize, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}

/// A warning's file is relative to the folder of rules. Findings are shown with the folder, so warnings are too.
fn with_folder(warning: &Finding) -> Finding {
    Finding {
        file: format!("rules/{}", warning.file),
        ..warning.clone()
    }
}

fn json_of(findings: &[Finding]) -> Vec<Value> {
    let json = |f: &Finding| json!({ "file": f.file, "line": f.line, "message": f.message, "fix": f.fix });
    findings.iter().map(json).collect()
}

/// A finding as two lines: file, line and message; then how to fix it.
pub(super) fn finding_text(severity: &str, finding: &Finding) -> String {
    let place = match finding.line {
        Some(line) => format!("{}:{line}", finding.file),
        None => finding.file.clone(),
    };
    let fix = if finding.fix.is_empty() {
        String::new()
    } else {
        format!("  fix: {}\n", finding.fix)
    };
    format!("{place}: {severity}: {}\n{fix}", finding.message)
}
