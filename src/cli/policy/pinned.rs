//! The set that a case was decided under, from the database: every published set is kept there under its hash.

use crate::error::{Error, Result};
use crate::forms::Forms;
use crate::rules::{Loading, RuleSet};
use crate::store::Store;

/// The rules of a published set. Its policies were checked against the forms of their day when it was published; those
/// of today only stand in for them while it is read. None when no such set was published here.
pub async fn pinned(store: &Store, hash: &str, forms: &Forms) -> Result<Option<RuleSet>> {
    let files = store
        .read(hash.to_owned(), |tx, hash| {
            Box::pin(async move { tx.policy_set(hash).await })
        })
        .await?;
    let Some(files) = files else { return Ok(None) };
    let files: Vec<(String, String)> = serde_json::from_str(&files).map_err(Error::internal)?;
    // Its tests passed on the day of its publication.
    let loading = Loading {
        skip_tests: true,
        ..Loading::default()
    };
    RuleSet::load_with(&files, &|form| forms.link_ids(form), &loading)
        .map(Some)
        .map_err(|findings| {
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            Error::malformed(format!(
                "The set {hash} cannot be read any more:\n{}",
                lines.join("\n")
            ))
        })
}
