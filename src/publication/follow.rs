//! Follows the publication log of a shared database: when another process has published, this process loads that policy
//! set from the store and makes it current. If it cannot load the set (for example because this program is older than
//! the one that published it), it logs the findings once and keeps the set that it has.

use super::{count, make_current, record, refuse};
use crate::error::Result;
use crate::state::State;

/// Checks the log once. Returns how many policy sets were made current: 0 or 1.
pub async fn follow(state: &State) -> Result<usize> {
    let newest = state
        .store
        .read_one((), |tx, ()| {
            Box::pin(async move { tx.newest_publication_number().await })
        })
        .await?;
    let current = state.policy_set().publication_number().unwrap_or(0);
    let refused = state.refused_policy_set().and_then(|refused| refused.publication);
    if newest <= current || refused == Some(newest) {
        return Ok(0);
    }
    let publication = state
        .store
        .read_one((), |tx, ()| {
            Box::pin(async move { tx.newest_publication().await })
        })
        .await?;
    let Some(publication) = publication else {
        return Ok(0);
    };
    let (hash, number) = (publication.set_hash.clone(), publication.number);
    match record::load_stored(&state.store, state.now().date_naive(), publication).await? {
        Ok(policy_set) => {
            count("follow", "published");
            make_current(state, policy_set);
            Ok(1)
        }
        Err(findings) => {
            count("follow", "refused");
            refuse(state, Some(hash), Some(number), "follow", &findings);
            Ok(0)
        }
    }
}
