//! `assent policy list`: the index of policies.

use super::{Folders, is_meant};
use crate::cli::say;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::{Policy, Tests};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What to list.
#[derive(Debug, Args)]
pub struct List {
    /// A policy's name, a part of it, or name@version
    name: Option<String>,
    /// Prints one JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

/// Lists policies by name and version.
pub fn run(command: &List, config: &Config) -> Result<ExitCode> {
    let published = command.folders.sound(config, Tests::Read)?;
    let set = &published.rules;
    let mut meant: Vec<&Policy> = set
        .policies()
        .filter(|policy| is_meant(command.name.as_deref(), policy))
        .collect();
    meant.sort_by_key(|policy| (policy.name(), policy.version()));
    if command.json {
        let all: Vec<Value> = meant.iter().map(|policy| json_of(policy)).collect();
        let shown = json!({ "hash": published.hash, "policies": all });
        say(&serde_json::to_string_pretty(&shown).map_err(Error::internal)?);
        return Ok(ExitCode::SUCCESS);
    }
    let head = [
        "policy", "version", "status", "from", "to", "lines", "codes", "tests", "title",
    ]
    .map(str::to_owned);
    let rows: Vec<[String; 9]> = std::iter::once(head)
        .chain(meant.iter().map(|policy| row(policy)))
        .collect();
    let widths: Vec<usize> = (0..9)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(String::len)
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        say(&cells.join("  "));
    }
    Ok(ExitCode::SUCCESS)
}

fn row(policy: &Policy) -> [String; 9] {
    let window = policy.effective();
    [
        policy.name().to_owned(),
        policy.version().to_owned(),
        policy.status().word().to_owned(),
        window.from.to_string(),
        window.to.map(|to| to.to_string()).unwrap_or_default(),
        policy
            .lines()
            .map_or_else(|| "any".to_owned(), |lines| lines.join(" ")),
        policy.codes().count().to_string(),
        policy.test_count().to_string(),
        policy.title().to_owned(),
    ]
}

fn json_of(policy: &Policy) -> Value {
    let window = policy.effective();
    let codes: Vec<Value> = policy
        .codes()
        .map(|(system, code)| json!({ "system": system, "code": code }))
        .collect();
    json!({ "policy": policy.name(), "version": policy.version(), "status": policy.status().word(),
        "title": policy.title(), "owner": policy.owner(), "file": policy.file(), "hash": policy.hash(),
        "from": window.from, "to": window.to, "lines": policy.lines(), "states": policy.states(),
        "codes": codes, "forms": policy.forms(), "tests": policy.test_count() })
}
