//! Sets into the store and out of it. An entry of the log is written in one unit with the set's files and the
//! public list of the day.

use super::{blocking, proposal};
use crate::error::{Error, Kind, Result};
use crate::prior_auth::Reviewer;
use crate::rules::verdict::sha256;
use crate::rules::{Finding, Loading, PublicList, Tests};
use crate::state::{Published, SetFiles};
use crate::store::policy_sets::{Closed, How, Named, Proposal, Publication};
use crate::store::{Store, Tx};
use chrono::{DateTime, NaiveDate, Utc};
use std::sync::Arc;

/// Times to look again when another process was first.
const TRIES: u32 = 5;

/// What the log is to say beside the set.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    how: How,
    /// The proposal that is confirmed, and who confirms it.
    confirmed: Option<(Proposal, Reviewer)>,
}

impl Entry {
    pub(super) fn of(how: How) -> Self {
        Self { how, confirmed: None }
    }

    pub(super) fn confirmed(proposal: Proposal, by: Reviewer) -> Self {
        Self {
            how: How::TwoPeople,
            confirmed: Some((proposal, by)),
        }
    }
}

/// Everything that one entry writes.
struct Writing {
    now: DateTime<Utc>,
    entry: Entry,
    hash: String,
    files: SetFiles,
    list_hash: String,
    list: String,
}

/// Stores a set with its entry in the log. The set that is in force already gets no second entry: the answer is its
/// own entry then, and false.
pub(super) async fn record(
    store: &Store,
    now: DateTime<Utc>,
    entry: Entry,
    published: Published,
) -> Result<(Published, bool)> {
    let made = blocking(move || {
        let list = published.list_on(now);
        serde_json::to_string(&list).map(|text| (published, Arc::new(list), text))
    });
    let (published, list, text) = made.await?.map_err(Error::internal)?;
    let list_hash = sha256(text.as_bytes());
    let mut tries = 0;
    loop {
        tries += 1;
        let writing = Writing {
            now,
            entry: entry.clone(),
            hash: published.hash.clone(),
            files: published.files().clone(),
            list_hash: list_hash.clone(),
            list: text.clone(),
        };
        let written = store
            .write(writing, |tx, writing| Box::pin(write(tx, writing)))
            .await;
        match written {
            Ok((publication, new)) => return Ok((published.recorded(publication, list), new)),
            // Another process took the number.
            Err(e) if e.kind() == Kind::Conflict && entry.confirmed.is_none() && tries < TRIES => {}
            Err(e) => return Err(e),
        }
    }
}

async fn write(tx: &mut Tx, writing: &Writing) -> Result<(Publication, bool)> {
    let newest = tx.newest_publication().await?;
    let number = newest.as_ref().map_or(0, |entry| entry.number);
    let mut people = (None, None);
    match &writing.entry.confirmed {
        Some((proposal, by)) => {
            let waits = tx.pending_proposal().await?;
            proposal::may_confirm(waits.as_ref(), proposal.id, by, number)?;
            tx.close_proposal(proposal.id, Closed::Confirmed, Some(by.id), writing.now)
                .await?;
            people = (Some(proposal.by.clone()), Some(named(by)));
        }
        None => {
            if let Some(newest) = newest.filter(|entry| entry.set == writing.hash) {
                return Ok((newest, false));
            }
        }
    }
    tx.add_policy_set(&writing.hash, writing.files.all(), writing.now)
        .await?;
    tx.add_public_list(&writing.list_hash, &writing.list, writing.now)
        .await?;
    let publication = Publication {
        id: crate::clock::new_id(writing.now),
        number: number + 1,
        set: writing.hash.clone(),
        list: writing.list_hash.clone(),
        at: writing.now,
        how: writing.entry.how,
        proposed_by: people.0,
        confirmed_by: people.1,
    };
    tx.add_publication(&publication).await?;
    Ok((publication, true))
}

pub(super) fn named(person: &Reviewer) -> Named {
    Named {
        id: person.id,
        username: person.username.clone(),
        name: person.name.clone(),
    }
}

/// A stored set as it was published. Its tests passed then and are not run again.
pub(super) async fn stored(
    store: &Store,
    today: NaiveDate,
    publication: Publication,
) -> Result<Result<Published, Vec<Finding>>> {
    let files = set_files(store, publication.set.clone()).await?;
    let list = list_text(store, publication.list.clone()).await?;
    let loading = Loading {
        today: Some(today),
        tests: Tests::Leave,
        ..Loading::default()
    };
    blocking(move || {
        let list = read_list(&list)?;
        Ok(Published::check(files, &loading).map(|set| set.recorded(publication, Arc::new(list))))
    })
    .await?
}

/// The files of a set.
pub(super) async fn set_files(store: &Store, hash: String) -> Result<SetFiles> {
    let found = store
        .read(hash.clone(), |tx, hash| {
            Box::pin(async move { tx.policy_set(hash).await })
        })
        .await?;
    let json = found.ok_or_else(|| Error::internal(format!("the policy set {hash} is not in the store")))?;
    blocking(move || SetFiles::read(&json)).await?
}

/// A public list by its hash.
pub async fn open_list(store: &Store, hash: &str) -> Result<Arc<PublicList>> {
    let text = list_text(store, hash.to_owned()).await?;
    blocking(move || read_list(&text).map(Arc::new)).await?
}

async fn list_text(store: &Store, hash: String) -> Result<String> {
    let found = store
        .read(hash.clone(), |tx, hash| {
            Box::pin(async move { tx.public_list(hash).await })
        })
        .await?;
    found.ok_or_else(|| Error::internal(format!("the public list {hash} is not in the store")))
}

fn read_list(text: &str) -> Result<PublicList> {
    serde_json::from_str(text)
        .map_err(|e| Error::internal(format!("a stored public list cannot be read: {e}")))
}
