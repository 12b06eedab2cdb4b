//! `assent policy list`: a table of the policies.

use super::{Folders, is_selected};
use crate::cli::print;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::{EmbeddedTests, Policy};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

const COLUMNS: [&str; 9] = [
    "policy",
    "version",
    "status",
    "from",
    "to",
    "lines of business",
    "codes",
    "tests",
    "title",
];

/// Options of `policy list`.
#[derive(Debug, Args)]
pub struct List {
    /// Policy name, a part of it, or name@version; by default every policy
    name: Option<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

/// Prints the policies, sorted by name and version.
pub fn run(command: &List, config: &Config) -> Result<ExitCode> {
    let policy_set = command.folders.load_valid(config, EmbeddedTests::CheckOnly)?;
    let mut policies: Vec<&Policy> = policy_set
        .rules
        .policies()
        .filter(|policy| is_selected(command.name.as_deref(), policy))
        .collect();
    policies.sort_by_key(|policy| (policy.name(), policy.version()));
    if command.json {
        let policies: Vec<Value> = policies.iter().map(|policy| json_of(policy)).collect();
        let output = json!({ "hash": policy_set.hash, "policies": policies });
        print(&serde_json::to_string_pretty(&output).map_err(Error::internal)?);
    } else {
        print_table(&policies);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(policies: &[&Policy]) {
    let rows: Vec<[String; 9]> = std::iter::once(COLUMNS.map(str::to_owned))
        .chain(policies.iter().map(|policy| row(policy)))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        print(&cells.join("  "));
    }
}

fn row(policy: &Policy) -> [String; 9] {
    let effective = policy.effective();
    [
        policy.name().to_owned(),
        policy.version().to_owned(),
        policy.status().code().to_owned(),
        effective.from.to_string(),
        effective.to.map(|to| to.to_string()).unwrap_or_default(),
        policy
            .lines_of_business()
            .map_or_else(|| "any".to_owned(), |lobs| lobs.join(" ")),
        policy.codes().count().to_string(),
        policy.test_count().to_string(),
        policy.title().to_owned(),
    ]
}

fn json_of(policy: &Policy) -> Value {
    let effective = policy.effective();
    let codes: Vec<Value> = policy
        .codes()
        .map(|(system, code)| json!({ "system": system, "code": code }))
        .collect();
    json!({
        "policy": policy.name(),
        "version": policy.version(),
        "status": policy.status().code(),
        "title": policy.title(),
        "owner": policy.owner(),
        "file": policy.file(),
        "hash": policy.hash(),
        "from": effective.from,
        "to": effective.to,
        "lines_of_business": policy.lines_of_business(),
        "states": policy.states(),
        "codes": codes,
        "forms": policy.forms(),
        "tests": policy.test_count(),
    })
}
