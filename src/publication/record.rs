//! Writes policy sets to the store and loads them. A publication is written in one unit of work together with the
//! set's files and the public list of that day.

use super::{proposal, run_blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::prior_auth::Reviewer;
use crate::rules::sha256;
use crate::rules::{EmbeddedTests, Finding, LoadOptions, PublicList};
use crate::state::{PolicySet, PolicySetFiles};
use crate::store::policy_sets::{Proposal, ProposalResolution, Publication, PublicationMethod, StaffName};
use crate::store::{Store, Tx};
use chrono::{DateTime, NaiveDate, Utc};
use std::sync::Arc;

/// How often to try when other processes publish at the same time.
const MAX_ATTEMPTS: u32 = 5;

/// What caused a publication.
#[derive(Debug, Clone)]
pub(super) struct Trigger {
    method: PublicationMethod,
    /// The confirmed proposal and the person who confirms it.
    confirmation: Option<(Proposal, Reviewer)>,
}

impl Trigger {
    /// A server start, a signal or a changed file.
    pub(super) fn automatic(method: PublicationMethod) -> Self {
        Self {
            method,
            confirmation: None,
        }
    }

    pub(super) fn confirmation(proposal: Proposal, by: Reviewer) -> Self {
        Self {
            method: PublicationMethod::TwoPerson,
            confirmation: Some((proposal, by)),
        }
    }
}

/// Everything that one publication writes.
struct NewPublication {
    now: DateTime<Utc>,
    trigger: Trigger,
    hash: String,
    files: PolicySetFiles,
    list_hash: String,
    list: String,
}

/// Stores a policy set and adds it to the publication log. Returns the set with its publication, and whether that entry
/// is new: a set that is the newest entry already gets no second one.
pub(super) async fn record(
    store: &Store,
    now: DateTime<Utc>,
    trigger: Trigger,
    policy_set: PolicySet,
) -> Result<(PolicySet, bool)> {
    let serialized = run_blocking(move || {
        let list = policy_set.public_list_at(now);
        serde_json::to_string(&list).map(|text| (policy_set, Arc::new(list), text))
    });
    let (policy_set, list, text) = serialized.await?.map_err(Error::internal)?;
    let list_hash = sha256(text.as_bytes());
    let mut attempts = 0;
    loop {
        attempts += 1;
        let new = NewPublication {
            now,
            trigger: trigger.clone(),
            hash: policy_set.hash.clone(),
            files: policy_set.files().clone(),
            list_hash: list_hash.clone(),
            list: text.clone(),
        };
        let result = store
            .write(new, |tx, new| Box::pin(write_publication(tx, new)))
            .await;
        match result {
            Ok((publication, is_new)) => return Ok((policy_set.with_publication(publication, list), is_new)),
            // Another process took the publication number.
            Err(e)
                if e.kind() == ErrorKind::Conflict
                    && trigger.confirmation.is_none()
                    && attempts < MAX_ATTEMPTS => {}
            Err(e) => return Err(e),
        }
    }
}

async fn write_publication(tx: &mut Tx, new: &NewPublication) -> Result<(Publication, bool)> {
    let newest = tx.newest_publication().await?;
    let number = newest.as_ref().map_or(0, |publication| publication.number);
    let (mut proposed_by, mut confirmed_by) = (None, None);
    match &new.trigger.confirmation {
        Some((proposal, by)) => {
            let pending = tx.pending_proposal().await?;
            proposal::may_confirm(pending.as_ref(), proposal.id, by, number)?;
            let closed = tx.close_proposal(proposal.id, ProposalResolution::Confirmed, Some(by.id), new.now);
            if !closed.await? {
                return Err(proposal::not_pending());
            }
            (proposed_by, confirmed_by) = (Some(proposal.by.clone()), Some(named(by)));
        }
        None => {
            if let Some(newest) = newest.filter(|publication| publication.set_hash == new.hash) {
                return Ok((newest, false));
            }
        }
    }
    tx.add_policy_set(&new.hash, new.files.all(), new.now).await?;
    tx.add_public_list(&new.list_hash, &new.list, new.now).await?;
    let publication = Publication {
        id: crate::clock::new_id(new.now),
        number: number + 1,
        set_hash: new.hash.clone(),
        list_hash: new.list_hash.clone(),
        at: new.now,
        method: new.trigger.method,
        proposed_by,
        confirmed_by,
    };
    tx.add_publication(&publication).await?;
    Ok((publication, true))
}

pub(super) fn named(person: &Reviewer) -> StaffName {
    StaffName {
        id: person.id,
        username: person.username.clone(),
        name: person.name.clone(),
    }
}

/// Loads a policy set as it was published. Its tests passed then and are not run again.
pub(super) async fn load_stored(
    store: &Store,
    today: NaiveDate,
    publication: Publication,
) -> Result<Result<PolicySet, Vec<Finding>>> {
    let files = load_files(store, publication.set_hash.clone()).await?;
    let list = public_list_text(store, publication.list_hash.clone()).await?;
    let loading = LoadOptions {
        today: Some(today),
        embedded_tests: EmbeddedTests::Skip,
        ..LoadOptions::default()
    };
    run_blocking(move || {
        let list = parse_public_list(&list)?;
        Ok(PolicySet::from_files(files, &loading)
            .map(|set| set.with_publication(publication, Arc::new(list))))
    })
    .await?
}

/// The files of a stored policy set.
pub(super) async fn load_files(store: &Store, hash: String) -> Result<PolicySetFiles> {
    let stored = store
        .read_one(hash.clone(), |tx, hash| {
            Box::pin(async move { tx.policy_set(hash).await })
        })
        .await?;
    let json = stored.ok_or_else(|| Error::internal(format!("policy set {hash} is not in the store")))?;
    run_blocking(move || PolicySetFiles::from_json(&json)).await?
}

/// The public list with this hash. `Internal` when it is not in the store or cannot be read.
pub async fn load_public_list(store: &Store, hash: &str) -> Result<Arc<PublicList>> {
    let text = public_list_text(store, hash.to_owned()).await?;
    run_blocking(move || parse_public_list(&text).map(Arc::new)).await?
}

async fn public_list_text(store: &Store, hash: String) -> Result<String> {
    let stored = store
        .read_one(hash.clone(), |tx, hash| {
            Box::pin(async move { tx.public_list(hash).await })
        })
        .await?;
    stored.ok_or_else(|| Error::internal(format!("public list {hash} is not in the store")))
}

fn parse_public_list(text: &str) -> Result<PublicList> {
    serde_json::from_str(text)
        .map_err(|e| Error::internal(format!("a stored public list cannot be read: {e}")))
}
