//! Two people: one proposes what the folders of the server hold, another puts exactly those bytes in force. The one
//! guard stands here and runs in the unit that writes, so a page, a raw POST and a race meet the same.

use super::record::{Entry, named, record, set_files};
use super::{Candidate, Reloaded, blocking, candidate, check, count, put_in_force};
use crate::error::{Error, Kind, Result};
use crate::prior_auth::Reviewer;
use crate::rules::Finding;
use crate::state::{SetFiles, State};
use crate::store::policy_sets::{Closed, How, Proposal};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What became of a proposal.
#[derive(Debug)]
pub enum Proposed {
    /// It waits for a second person.
    Waits,
    /// The folders hold what is in force already.
    Same,
    /// They have mistakes; nothing is kept.
    Refused(Vec<Finding>),
}

/// The proposal that waits, with its files.
pub async fn waiting(state: &State) -> Result<Option<(Proposal, SetFiles)>> {
    let found = state
        .store
        .read((), |tx, ()| Box::pin(async move { tx.pending_proposal().await }))
        .await?;
    let Some(proposal) = found else { return Ok(None) };
    let files = set_files(&state.store, proposal.set.clone()).await?;
    Ok(Some((proposal, files)))
}

/// Reads, checks and tests the folders and keeps them as the one proposal. One that was made against an older set
/// gives way.
pub async fn propose(state: &State, by: &Reviewer) -> Result<Proposed> {
    publishes(by)?;
    let published = match candidate(state).await? {
        Candidate::Same => return Ok(Proposed::Same),
        Candidate::Faulty(hash, findings) => {
            for finding in &findings {
                let hash = hash.as_deref().unwrap_or("-");
                tracing::info!(hash, by = by.username, finding = %finding, "a proposal was refused");
            }
            count(How::TwoPeople.word(), "refused");
            return Ok(Proposed::Refused(findings));
        }
        Candidate::Sound(published) => *published,
    };
    let now = state.now();
    let proposal = Proposal {
        id: state.new_id(),
        set: published.hash.clone(),
        base: state.published().number().unwrap_or(0),
        by: named(by),
        at: now,
    };
    let hash = proposal.set.clone();
    let files = published.files().clone();
    let kept = state
        .store
        .write((proposal, files, now), |tx, (proposal, files, now)| {
            Box::pin(async move {
                if tx.newest_number().await? != proposal.base {
                    return Err(moved_on());
                }
                if let Some(other) = tx.pending_proposal().await? {
                    if other.base == proposal.base {
                        return Err(one_waits());
                    }
                    tx.close_proposal(other.id, Closed::Overtaken, Some(proposal.by.id), *now)
                        .await?;
                }
                tx.add_policy_set(&proposal.set, files.all(), *now).await?;
                tx.add_proposal(proposal).await
            })
        })
        .await;
    kept.map_err(|e| match e.kind() {
        // Two proposed at the same time.
        Kind::Conflict if e.log_line().is_some() => one_waits(),
        _ => e,
    })?;
    tracing::info!(hash, proposed_by = by.username, "a policy set is proposed");
    Ok(Proposed::Waits)
}

/// Puts a proposed set in force: its bytes as they were proposed, whatever the folders hold now.
pub async fn confirm(state: &State, by: &Reviewer, proposal: Uuid) -> Result<Reloaded> {
    publishes(by)?;
    let (waits, newest) = state
        .store
        .read((), |tx, ()| {
            Box::pin(async move { Ok((tx.pending_proposal().await?, tx.newest_number().await?)) })
        })
        .await?;
    let proposal = may_confirm(waits.as_ref(), proposal, by, newest)?.clone();
    let files = set_files(&state.store, proposal.set.clone()).await?;
    let (held, today) = (state.published(), state.now().date_naive());
    let published = match blocking(move || check(files, &held, today)).await? {
        Ok(published) => published,
        Err(findings) => {
            count(How::TwoPeople.word(), "refused");
            return Ok(Reloaded::Refused(findings));
        }
    };
    let entry = Entry::confirmed(proposal, by.clone());
    let recorded = record(&state.store, state.now(), entry, published).await;
    let (published, _) = recorded.map_err(|e| match e.kind() {
        // Another process took the log's next number.
        Kind::Conflict if e.log_line().is_some() => moved_on(),
        _ => e,
    })?;
    count(How::TwoPeople.word(), "published");
    Ok(put_in_force(state, published).map_or(Reloaded::Same, Reloaded::Published))
}

/// Takes a proposal back.
pub async fn withdraw(state: &State, by: &Reviewer, proposal: Uuid) -> Result<()> {
    publishes(by)?;
    let asked: (Uuid, Uuid, DateTime<Utc>) = (proposal, by.id, state.now());
    let closed = state
        .store
        .write(asked, |tx, (proposal, by, now)| {
            Box::pin(async move {
                tx.close_proposal(*proposal, Closed::Withdrawn, Some(*by), *now)
                    .await
            })
        })
        .await?;
    if !closed {
        return Err(gone());
    }
    tracing::info!(by = by.username, "a proposed policy set is withdrawn");
    Ok(())
}

/// The one guard of a confirmation: the role, the proposal that is meant, a second person, and a base that still stands.
pub(super) fn may_confirm<'a>(
    waits: Option<&'a Proposal>,
    meant: Uuid,
    by: &Reviewer,
    newest: i64,
) -> Result<&'a Proposal> {
    publishes(by)?;
    let proposal = waits.filter(|waits| waits.id == meant).ok_or_else(gone)?;
    if proposal.by.id == by.id {
        return Err(Error::forbidden(
            "You proposed this set yourself; another policy author or approver has to confirm it",
        ));
    }
    if proposal.base != newest {
        return Err(moved_on());
    }
    Ok(proposal)
}

fn publishes(by: &Reviewer) -> Result<()> {
    if by.may_publish() {
        return Ok(());
    }
    Err(Error::forbidden(
        "Only a policy author or a policy approver may propose, confirm or withdraw a set",
    ))
}

fn gone() -> Error {
    Error::conflict("This proposal does not wait any more; look at the page again")
}

fn one_waits() -> Error {
    Error::conflict("Another proposal waits already; confirm it or withdraw it first")
}

fn moved_on() -> Error {
    Error::conflict("Another set has come into force since this one was proposed; propose it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior_auth::Role;
    use crate::store::policy_sets::Named;

    fn person(id: u128, role: Role) -> Reviewer {
        Reviewer {
            id: Uuid::from_u128(id),
            username: format!("p{id}"),
            name: format!("Person {id}"),
            roles: vec![role],
            credential: None,
        }
    }

    fn proposal(by: u128) -> Proposal {
        Proposal {
            id: Uuid::from_u128(7),
            set: "sha256:1".to_owned(),
            base: 3,
            by: Named {
                id: Uuid::from_u128(by),
                username: format!("p{by}"),
                name: format!("Person {by}"),
            },
            at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_second_person_with_the_role_confirms_what_still_stands_on_its_base() {
        let waits = proposal(1);
        let may = |by: &Reviewer, meant: u128, newest: i64| {
            may_confirm(Some(&waits), Uuid::from_u128(meant), by, newest)
                .map(drop)
                .map_err(|e| e.kind())
        };
        let author = person(2, Role::PolicyAuthor);
        assert_eq!(may(&author, 7, 3), Ok(()));
        assert_eq!(may(&person(2, Role::PolicyApprover), 7, 3), Ok(()));
        assert_eq!(
            may(&person(1, Role::PolicyApprover), 7, 3),
            Err(Kind::Forbidden),
            "the same person"
        );
        assert_eq!(may(&person(2, Role::Supervisor), 7, 3), Err(Kind::Forbidden));
        assert_eq!(may(&author, 8, 3), Err(Kind::Conflict), "another proposal");
        assert_eq!(may(&author, 7, 4), Err(Kind::Conflict), "another set is in force");
    }
}
