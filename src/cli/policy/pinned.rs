//! The set that a case was decided under, from the database: every set that was ever in force is kept there, policies
//! and forms, under its hash.

use crate::error::{Error, Result};
use crate::rules::{Loading, Tests};
use crate::state::{Published, SetFiles, told};
use crate::store::Store;

/// A set that was in force, as it was then; its tests passed that day and are not run again. None when no such set was
/// ever in force here.
pub async fn pinned(store: &Store, hash: &str) -> Result<Option<Published>> {
    let files = store
        .read(hash.to_owned(), |tx, hash| {
            Box::pin(async move { tx.policy_set(hash).await })
        })
        .await?;
    let Some(files) = files else { return Ok(None) };
    let loading = Loading {
        tests: Tests::Leave,
        ..Loading::default()
    };
    Published::check(SetFiles::read(&files)?, &loading)
        .map(Some)
        .map_err(|findings| {
            let found = told(&findings);
            Error::malformed(format!("The set {hash} cannot be read any more:\n{found}"))
        })
}
