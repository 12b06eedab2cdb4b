//! `assent policy explain`: the trace of one case, read out. Of a case document (a fixture) under the rules of the
//! folders; of a stored case under the set that it was decided under, with whether the same comes out today. It prints
//! what the trace holds and nothing else of the member.

use super::Folders;
use super::pinned::pinned;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::pas::stored;
use crate::prior_auth::{PriorAuth, flips};
use crate::rules::{CaseDocument, Source, Tests, Verdict, readable};
use crate::state::Published;
use crate::store::Store;
use clap::{ArgGroup, Args};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use uuid::Uuid;

/// Which case.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["case", "id"]).required(true)))]
pub struct Explain {
    /// A case document as JSON, such as a fixture; evaluated under the rules of the folders
    #[arg(long = "case", value_name = "FILE")]
    case: Option<PathBuf>,
    /// A stored case: its id, or an authorization or tracking number
    #[arg(long, value_name = "CASE")]
    id: Option<String>,
    /// One line of the case
    #[arg(long, value_name = "N", conflicts_with = "case")]
    item: Option<u32>,
    /// As JSON, one array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

/// One line, explained.
pub struct Explained {
    /// The stored case and its line; none for a document.
    pub line: Option<(Uuid, u32)>,
    /// The hash of the set that was asked.
    pub set: String,
    /// What came out.
    pub verdict: Verdict,
    /// Whether trace and decision are those that were stored; none for a document.
    pub as_stored: Option<bool>,
}

/// Evaluates and prints; exit code 2 when a stored case comes out otherwise than it is stored.
pub async fn run(command: Explain, config: &Config) -> Result<ExitCode> {
    let explained = match (&command.case, &command.id) {
        (Some(file), _) => vec![of_document(file, &command.folders.sound(config, Tests::Read)?)?],
        (None, Some(id)) => {
            let store = Store::open(config).await?;
            let explained = of_case(&store, id).await;
            store.close().await;
            explained?
        }
        (None, None) => return Err(Error::malformed("Name a case document or a stored case")),
    };
    let wanted = |one: &Explained| command.item.is_none() || one.line.map(|(_, n)| n) == command.item;
    let explained: Vec<Explained> = explained.into_iter().filter(wanted).collect();
    if explained.is_empty() {
        return Err(Error::malformed(
            "The case has no such line that a rule was asked about",
        ));
    }
    let told = if command.json {
        let all: Vec<Value> = explained.iter().map(Explained::as_json).collect();
        serde_json::to_string_pretty(&all).map_err(Error::internal)?
    } else {
        let all: Vec<String> = explained.iter().map(Explained::as_text).collect();
        all.join("\n")
    };
    crate::cli::say(&told);
    let otherwise = explained.iter().any(|one| one.as_stored == Some(false));
    Ok(if otherwise {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

fn of_document(file: &Path, published: &Published) -> Result<Explained> {
    let unread = |why: String| Error::malformed(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| unread(e.to_string()))?;
    let json: Value = serde_json::from_str(&text).map_err(|e| unread(e.to_string()))?;
    let document = CaseDocument::from_json(json).map_err(unread)?;
    Ok(Explained {
        line: None,
        set: published.hash.clone(),
        verdict: published.rules.evaluate(&document),
        as_stored: None,
    })
}

/// Every line of a stored case under the set that it was decided under.
pub async fn of_case(store: &Store, named: &str) -> Result<Vec<Explained>> {
    let (case, text) = find(store, named).await?;
    let set = &case.received.rules;
    let published = pinned(store, set).await?;
    let gone = || Error::malformed(format!("The set {set} of this case was never in force here"));
    let rules = published.ok_or_else(gone)?.rules;
    let documents = stored::documents(&case, &text, &rules)?;
    let old = || {
        Error::malformed(
            "This case is older than the facts that are kept with a case; it cannot be run again",
        )
    };
    let explained = documents
        .ok_or_else(old)?
        .into_iter()
        .map(|(sequence, document)| {
            let verdict = rules.evaluate(&document);
            let stored = case.item(sequence).map(|item| &item.verdict);
            Explained {
                line: Some((case.id, sequence)),
                set: set.clone(),
                as_stored: stored
                    .map(|s| s.trace_hash == verdict.trace_hash && s.decision == verdict.decision),
                verdict,
            }
        });
    Ok(explained.collect())
}

async fn find(store: &Store, named: &str) -> Result<(PriorAuth, String)> {
    store
        .read(named.to_owned(), |tx, named| {
            Box::pin(async move {
                let id = match Uuid::parse_str(named) {
                    Ok(id) => Some(id),
                    Err(_) => tx.case_by_number(named).await?,
                };
                let id = id.ok_or_else(|| Error::not_found("case", named))?;
                tx.stored_case(id).await
            })
        })
        .await
}

impl Explained {
    /// The head, the trace, and whether it is the stored one.
    pub fn as_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        if let Some((case, line)) = self.line {
            let _ = writeln!(text, "case {case}, line {line}");
        }
        let _ = writeln!(text, "set {}", self.set);
        match &self.verdict.source {
            Source::Policy {
                policy,
                version,
                hash,
                title,
            } => {
                let _ = writeln!(text, "policy {policy}@{version} {hash}: {title}");
            }
            Source::List { file, line, .. } if !file.is_empty() => {
                let _ = writeln!(text, "{} ({file}:{line})", flips::policy(&self.verdict.source));
            }
            source => {
                let _ = writeln!(text, "{}", flips::policy(source));
            }
        }
        text += &readable(&self.verdict);
        match self.as_stored {
            None => {}
            Some(true) => text += "This is what was stored.\n",
            Some(false) => text += "This is NOT what was stored.\n",
        }
        text
    }

    fn as_json(&self) -> Value {
        json!({
            "case": self.line.map(|(case, _)| case),
            "item": self.line.map(|(_, item)| item),
            "set": self.set,
            "verdict": self.verdict,
            "asStored": self.as_stored,
        })
    }
}
