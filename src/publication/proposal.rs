//! Two-person publication: one person proposes what the server's folders contain, another confirms exactly those bytes.
//! The one check of who may confirm (`may_confirm`) runs inside the unit of work that writes the publication, so a
//! page, a direct POST and two concurrent requests all meet it.

use super::record::{Trigger, load_files, named, record};
use super::{Candidate, ReloadOutcome, check, count, make_current, read_candidate, run_blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::prior_auth::Reviewer;
use crate::rules::Finding;
use crate::state::{PolicySetFiles, State};
use crate::store::policy_sets::{Proposal, ProposalResolution, PublicationMethod};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Result of a proposal.
#[derive(Debug)]
pub enum ProposalOutcome {
    /// The proposal is stored and needs a second person's confirmation.
    Pending,
    /// The folders contain the current set; nothing is stored.
    Unchanged,
    /// The folders have errors; nothing is stored.
    Refused(Vec<Finding>),
}

/// The proposal that needs confirmation, with its files; `None` when there is none.
pub async fn pending_proposal(state: &State) -> Result<Option<(Proposal, PolicySetFiles)>> {
    let pending = state
        .store
        .read_one((), |tx, ()| Box::pin(async move { tx.pending_proposal().await }))
        .await?;
    let Some(proposal) = pending else { return Ok(None) };
    let files = load_files(&state.store, proposal.set_hash.clone()).await?;
    Ok(Some((proposal, files)))
}

/// Reads, checks and tests the folders and stores them as the one pending proposal. A pending proposal that was made
/// against an older publication is replaced; any other one is a `Conflict`. `Forbidden` without a policy role.
pub async fn propose(state: &State, by: &Reviewer) -> Result<ProposalOutcome> {
    require_policy_role(by)?;
    let policy_set = match read_candidate(state).await? {
        Candidate::Unchanged => return Ok(ProposalOutcome::Unchanged),
        Candidate::Invalid(hash, findings) => {
            for finding in &findings {
                let hash = hash.as_deref().unwrap_or("-");
                tracing::info!(hash, by = by.username, finding = %finding, "proposed policy set refused");
            }
            count(PublicationMethod::TwoPerson.as_str(), "refused");
            return Ok(ProposalOutcome::Refused(findings));
        }
        Candidate::Valid(policy_set) => *policy_set,
    };
    let proposal = Proposal {
        id: state.new_id(),
        set_hash: policy_set.hash.clone(),
        base: state.policy_set().publication_number().unwrap_or(0),
        by: named(by),
        at: state.now(),
    };
    let hash = proposal.set_hash.clone();
    store_proposal(state, proposal, policy_set.files().clone()).await?;
    tracing::info!(hash, proposed_by = by.username, "policy set proposed");
    Ok(ProposalOutcome::Pending)
}

async fn store_proposal(state: &State, proposal: Proposal, files: PolicySetFiles) -> Result<()> {
    let stored = state
        .store
        .write((proposal, files, state.now()), |tx, (proposal, files, now)| {
            Box::pin(async move {
                if tx.newest_publication_number().await? != proposal.base {
                    return Err(other_set_published());
                }
                if let Some(other) = tx.pending_proposal().await? {
                    if other.base == proposal.base {
                        return Err(other_proposal_pending());
                    }
                    tx.close_proposal(
                        other.id,
                        ProposalResolution::Superseded,
                        Some(proposal.by.id),
                        *now,
                    )
                    .await?;
                }
                tx.add_policy_set(&proposal.set_hash, files.all(), *now).await?;
                tx.add_proposal(proposal).await
            })
        })
        .await;
    stored.map_err(|e| match e.kind() {
        // The unique index on pending proposals: two people proposed at the same time.
        ErrorKind::Conflict if e.log_detail().is_some() => other_proposal_pending(),
        _ => e,
    })
}

/// Publishes the proposed policy set: the files as they were proposed, whatever the folders contain now.
pub async fn confirm(state: &State, by: &Reviewer, proposal: Uuid) -> Result<ReloadOutcome> {
    require_policy_role(by)?;
    let (pending, newest) = state
        .store
        .read((), |tx, ()| {
            Box::pin(async move {
                Ok((
                    tx.pending_proposal().await?,
                    tx.newest_publication_number().await?,
                ))
            })
        })
        .await?;
    let proposal = may_confirm(pending.as_ref(), proposal, by, newest)?.clone();
    let files = load_files(&state.store, proposal.set_hash.clone()).await?;
    let (current, today) = (state.policy_set(), state.now().date_naive());
    let policy_set = match run_blocking(move || check(files, &current, today)).await? {
        Ok(policy_set) => policy_set,
        Err(findings) => {
            count(PublicationMethod::TwoPerson.as_str(), "refused");
            return Ok(ReloadOutcome::Refused(findings));
        }
    };
    let trigger = Trigger::confirmation(proposal, by.clone());
    let recorded = record(&state.store, state.now(), trigger, policy_set).await;
    let (policy_set, _) = recorded.map_err(|e| match e.kind() {
        // The unique publication number: another process published at the same time.
        ErrorKind::Conflict if e.log_detail().is_some() => other_set_published(),
        _ => e,
    })?;
    count(PublicationMethod::TwoPerson.as_str(), "published");
    Ok(make_current(state, policy_set).map_or(ReloadOutcome::Unchanged, ReloadOutcome::Published))
}

/// Withdraws a pending proposal. `Conflict` when it is no longer pending.
pub async fn withdraw(state: &State, by: &Reviewer, proposal: Uuid) -> Result<()> {
    require_policy_role(by)?;
    let withdrawal: (Uuid, Uuid, DateTime<Utc>) = (proposal, by.id, state.now());
    let closed = state
        .store
        .write(withdrawal, |tx, (proposal, by, now)| {
            Box::pin(async move {
                tx.close_proposal(*proposal, ProposalResolution::Withdrawn, Some(*by), *now)
                    .await
            })
        })
        .await?;
    if !closed {
        return Err(not_pending());
    }
    tracing::info!(by = by.username, "proposed policy set withdrawn");
    Ok(())
}

/// The one check of a confirmation: the role, the proposal's id, a second person, and that nothing was published since
/// the proposal was made.
pub(super) fn may_confirm<'a>(
    pending: Option<&'a Proposal>,
    id: Uuid,
    by: &Reviewer,
    newest: i64,
) -> Result<&'a Proposal> {
    require_policy_role(by)?;
    let proposal = pending
        .filter(|proposal| proposal.id == id)
        .ok_or_else(not_pending)?;
    if proposal.by.id == by.id {
        return Err(Error::forbidden(
            "You proposed this policy set. Another policy author or policy approver must confirm it",
        ));
    }
    if proposal.base != newest {
        return Err(other_set_published());
    }
    Ok(proposal)
}

fn require_policy_role(by: &Reviewer) -> Result<()> {
    if by.may_publish() {
        return Ok(());
    }
    Err(Error::forbidden(
        "Only a policy author or a policy approver may propose, confirm or withdraw a policy set",
    ))
}

pub(super) fn not_pending() -> Error {
    Error::conflict(
        "This proposal was already confirmed, withdrawn or replaced. Reload the page to see the current state",
    )
}

fn other_proposal_pending() -> Error {
    Error::conflict("Another proposal is pending. Confirm or withdraw it first")
}

fn other_set_published() -> Error {
    Error::conflict("Another policy set was published after this one was proposed. Propose it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior_auth::Role;
    use crate::store::policy_sets::StaffName;

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
            set_hash: "sha256:1".to_owned(),
            base: 3,
            by: StaffName {
                id: Uuid::from_u128(by),
                username: format!("p{by}"),
                name: format!("Person {by}"),
            },
            at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_a_second_person_with_a_policy_role_confirms_the_pending_proposal_on_its_base() {
        let pending = proposal(1);
        let outcome = |by: &Reviewer, id: u128, newest: i64| {
            may_confirm(Some(&pending), Uuid::from_u128(id), by, newest)
                .map(drop)
                .map_err(|e| e.kind())
        };
        let author = person(2, Role::PolicyAuthor);
        assert_eq!(outcome(&author, 7, 3), Ok(()));
        assert_eq!(outcome(&person(2, Role::PolicyApprover), 7, 3), Ok(()));
        assert_eq!(
            outcome(&person(1, Role::PolicyApprover), 7, 3),
            Err(ErrorKind::Forbidden),
            "the proposer confirmed"
        );
        assert_eq!(
            outcome(&person(2, Role::Supervisor), 7, 3),
            Err(ErrorKind::Forbidden),
            "a supervisor has no policy role"
        );
        assert_eq!(
            outcome(&author, 8, 3),
            Err(ErrorKind::Conflict),
            "another proposal's id"
        );
        assert_eq!(
            outcome(&author, 7, 4),
            Err(ErrorKind::Conflict),
            "another set was published"
        );
    }
}
