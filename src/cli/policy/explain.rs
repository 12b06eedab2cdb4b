//! `assent policy explain`: prints the trace of a case. A case document (such as a fixture) is evaluated under the
//! rules in the folders. A stored case is evaluated under the policy set under which it was decided, and the result is
//! compared with the stored verdict. The output contains the trace, what was set aside at receipt, and no
//! other data of the member.

use super::Folders;
use super::stored_set::load_stored_set;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::evidence::Admission;
use crate::pas::stored_case_documents;
use crate::prior_auth::{PriorAuth, comparison};
use crate::rules::{CaseDocument, EmbeddedTests, Verdict, VerdictSource, trace_text};
use crate::state::PolicySet;
use crate::store::Store;
use clap::{ArgGroup, Args};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use uuid::Uuid;

/// Options of `policy explain`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["case", "id"]).required(true)))]
pub struct Explain {
    /// Case document as JSON, such as a fixture; evaluated under the rules in the folders
    #[arg(long = "case", value_name = "FILE")]
    case: Option<PathBuf>,
    /// Stored case: its id, authorization number or tracking number
    #[arg(long, value_name = "CASE")]
    id: Option<String>,
    /// Explain only this item of the stored case
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "case")]
    item: Option<u32>,
    /// Print a JSON array instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

/// The verdict on one item, with where it comes from.
pub struct Explanation {
    /// The stored case and the item's sequence; `None` for a case document.
    pub item: Option<(Uuid, u32)>,
    /// The hash of the policy set.
    pub policy_set: String,
    /// The verdict with its trace.
    pub verdict: Verdict,
    /// Whether trace and decision equal the stored ones; `None` for a case document.
    pub matches_stored: Option<bool>,
    /// What could not decide; `None` if the case or the case document was stored without it.
    pub admission: Option<Admission>,
}

/// Evaluates and prints; exit code 2 when the result for a stored case differs from the stored verdict.
pub async fn run(command: Explain, config: &Config) -> Result<ExitCode> {
    let explanations = match (&command.case, &command.id) {
        (Some(file), _) => {
            let policy_set = command.folders.load_valid(config, EmbeddedTests::CheckOnly)?;
            vec![explain_document(file, &policy_set)?]
        }
        (None, Some(id)) => {
            let store = Store::open(config).await?;
            let explanations = explain_case(&store, id).await;
            store.close().await;
            explanations?
        }
        (None, None) => {
            return Err(Error::malformed(
                "Give a case document with --case or a stored case with --id",
            ));
        }
    };
    let is_wanted = |explanation: &Explanation| {
        command.item.is_none() || explanation.item.map(|(_, sequence)| sequence) == command.item
    };
    let explanations: Vec<Explanation> = explanations.into_iter().filter(is_wanted).collect();
    if explanations.is_empty() {
        return Err(Error::malformed(
            "The case has no such item, or no rule was evaluated for it",
        ));
    }
    let text = if command.json {
        let all: Vec<Value> = explanations.iter().map(Explanation::to_json).collect();
        serde_json::to_string_pretty(&all).map_err(Error::internal)?
    } else {
        let all: Vec<String> = explanations.iter().map(Explanation::to_text).collect();
        all.join("\n")
    };
    crate::cli::print(&text);
    let differs = explanations.iter().any(|one| one.matches_stored == Some(false));
    Ok(if differs {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

fn explain_document(file: &Path, policy_set: &PolicySet) -> Result<Explanation> {
    let unreadable = |reason: String| Error::malformed(format!("{}: {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| unreadable(e.to_string()))?;
    let json: Value = serde_json::from_str(&text).map_err(|e| unreadable(e.to_string()))?;
    let admission = json.get("admission").and_then(|a| Admission::deserialize(a).ok());
    let document = CaseDocument::from_json(json).map_err(unreadable)?;
    Ok(Explanation {
        admission,
        item: None,
        policy_set: policy_set.hash.clone(),
        verdict: policy_set.rules.evaluate(&document),
        matches_stored: None,
    })
}

/// Every item of a stored case, evaluated under the policy set under which it was decided. `case` is an id, an
/// authorization number or a tracking number. `NotFound` for an unknown case; `Malformed` when it cannot be evaluated.
pub async fn explain_case(store: &Store, case: &str) -> Result<Vec<Explanation>> {
    let (case, request_text) = find_case(store, case).await?;
    let hash = &case.received.policy_set;
    let policy_set = load_stored_set(store, hash).await?;
    let unpublished = || {
        Error::malformed(format!(
            "Policy set {hash} of this case was never published on this database"
        ))
    };
    let rules = policy_set.ok_or_else(unpublished)?.rules;
    let documents = stored_case_documents(&case, &request_text, &rules)?;
    let without_facts = || {
        Error::malformed(
            "This case was stored before member facts were kept with cases. It cannot be evaluated again",
        )
    };
    let explanations = documents
        .ok_or_else(without_facts)?
        .into_iter()
        .map(|(sequence, document)| {
            let verdict = rules.evaluate(&document);
            let stored = case.item(sequence).map(|item| &item.verdict);
            Explanation {
                item: Some((case.id, sequence)),
                admission: case.received.admission.clone(),
                policy_set: hash.clone(),
                matches_stored: stored
                    .map(|s| s.trace_hash == verdict.trace_hash && s.decision == verdict.decision),
                verdict,
            }
        });
    Ok(explanations.collect())
}

/// The case and the text of its request.
async fn find_case(store: &Store, case: &str) -> Result<(PriorAuth, String)> {
    store
        .read(case.to_owned(), |tx, case| {
            Box::pin(async move {
                let id = match Uuid::parse_str(case) {
                    Ok(id) => Some(id),
                    Err(_) => tx.case_by_number(case).await?,
                };
                let id = id.ok_or_else(|| Error::not_found("case", case))?;
                tx.stored_case(id).await
            })
        })
        .await
}

impl Explanation {
    /// Item, policy set and policy; the trace; whether it equals the stored one.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        if let Some((case, sequence)) = self.item {
            let _ = writeln!(text, "case {case}, item {sequence}");
        }
        let _ = writeln!(text, "policy set {}", self.policy_set);
        match &self.verdict.source {
            VerdictSource::Policy {
                policy,
                version,
                hash,
                title,
            } => {
                let _ = writeln!(text, "policy {policy}@{version} {hash}: {title}");
            }
            VerdictSource::List { file, line, .. } if !file.is_empty() => {
                let _ = writeln!(
                    text,
                    "{} ({file}:{line})",
                    comparison::source_name(&self.verdict.source)
                );
            }
            source => {
                let _ = writeln!(text, "{}", comparison::source_name(source));
            }
        }
        for one in self.admission.iter().flat_map(|admission| &admission.set_aside) {
            let what = one
                .link_id
                .as_ref()
                .or(one.reference.as_ref())
                .unwrap_or(&one.resource_type);
            let _ = writeln!(text, "set aside: {what} at {}: {}", one.path, one.reason);
        }
        text += &trace_text(&self.verdict);
        match self.matches_stored {
            None => {}
            Some(true) => text += "This equals the stored verdict.\n",
            Some(false) => text += "This DIFFERS from the stored verdict.\n",
        }
        text
    }

    fn to_json(&self) -> Value {
        json!({
            "case": self.item.map(|(case, _)| case),
            "item": self.item.map(|(_, sequence)| sequence),
            "policySet": self.policy_set,
            "admission": self.admission,
            "verdict": self.verdict,
            "matchesStored": self.matches_stored,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::operator_cases::operator_cases;

    #[test]
    fn the_explanation_says_every_operator_with_each_outcome_plain_and_negated() {
        for case in operator_cases() {
            let [fact, required, found] = case.words;
            let (outcome, condition) = (case.outcome.text(), case.condition);
            let explanation = Explanation {
                item: None,
                admission: None,
                policy_set: "sha256:0".into(),
                verdict: case.verdict,
                matches_stored: None,
            };
            let text = explanation.to_text();
            let words = format!("[{outcome}] {fact} (required: {required}");
            assert!(text.contains(&words), "{condition}: {words}\n{text}");
            assert!(
                found.is_empty() || text.contains(&format!(", found: {found}")),
                "{condition}\n{text}"
            );
        }
    }
}
