//! Loads the policy set under which a case was decided from the database, which keeps every published set under its
//! hash.

use crate::error::{Error, Result};
use crate::rules::{EmbeddedTests, LoadOptions};
use crate::state::{PolicySet, PolicySetFiles, findings_text};
use crate::store::Store;

/// The policy set with this hash, as it was published; `None` when it was never published on this database. Its tests
/// passed then and are not run again. `Malformed` when it does not load with this version of Assent.
pub async fn load_stored_set(store: &Store, hash: &str) -> Result<Option<PolicySet>> {
    let files = store
        .read(hash.to_owned(), |tx, hash| {
            Box::pin(async move { tx.policy_set(hash).await })
        })
        .await?;
    let Some(files) = files else { return Ok(None) };
    let options = LoadOptions {
        embedded_tests: EmbeddedTests::Skip,
        ..LoadOptions::default()
    };
    PolicySet::from_files(PolicySetFiles::from_json(&files)?, &options)
        .map(Some)
        .map_err(|findings| {
            let findings = findings_text(&findings);
            Error::malformed(format!(
                "Policy set {hash} does not load with this version of Assent:\n{findings}"
            ))
        })
}
