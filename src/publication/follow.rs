//! A process on a shared database follows the log: when another one has published, it loads that set from the store and
//! swaps to it. A set that it cannot load (an older program than the one that published it) is told once; the old one
//! stays in force.

use super::{count, put_in_force, record, refuse};
use crate::error::Result;
use crate::state::State;

/// Looks once; gives how many sets were put in force.
pub async fn follow(state: &State) -> Result<usize> {
    let newest = state
        .store
        .read((), |tx, ()| Box::pin(async move { tx.newest_number().await }))
        .await?;
    let held = state.published().number().unwrap_or(0);
    let refused = state.refused().and_then(|refused| refused.number);
    if newest <= held || refused == Some(newest) {
        return Ok(0);
    }
    let entry = state
        .store
        .read((), |tx, ()| {
            Box::pin(async move { tx.newest_publication().await })
        })
        .await?;
    let Some(entry) = entry else { return Ok(0) };
    let (hash, number) = (entry.set.clone(), entry.number);
    match record::stored(&state.store, state.now().date_naive(), entry).await? {
        Ok(published) => {
            count("follow", "published");
            put_in_force(state, published);
            Ok(1)
        }
        Err(findings) => {
            count("follow", "refused");
            refuse(state, Some(hash), Some(number), "follow", &findings);
            Ok(0)
        }
    }
}
