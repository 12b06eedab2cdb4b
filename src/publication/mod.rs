//! Publishes policy sets. The folders of policies and forms are read, checked and tested as one set, stored with an
//! entry in the publication log, and made current. a set with an error changes nothing. The newest log entry is
//! current on every server: a process that did not write it loads it (`follow`).
//!
//! The set is stored before it becomes current in this process, so a crash between the two leaves a log that every
//! process follows. Two processes that publish at the same time compete for the entry's unique number; the second one
//! reads the log again. Requests in progress keep the set that they started with. Checking is CPU-bound and runs on
//! blocking threads, so it does not delay responses.

mod builtin;
mod changes;
mod folders;
mod follow;
mod proposal;
mod record;

pub use builtin::{builtin_forms, builtin_rules};
pub use changes::{Change, ChangeKind, Excerpt, changes, side_by_side};
pub use folders::{fingerprint, read_folder, read_forms, read_rules};
pub use follow::follow;
pub use proposal::{ProposalOutcome, confirm, pending_proposal, propose, withdraw};
pub use record::load_public_list;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::{Finding, LoadOptions};
use crate::state::{PolicySet, PolicySetFiles, RefusedPolicySet, State, findings_text};
use crate::store::Store;
use crate::store::policy_sets::{Publication, PublicationMethod};
use chrono::NaiveDate;
use record::{Trigger, record};

/// Result of an attempt to publish.
#[derive(Debug)]
pub enum ReloadOutcome {
    /// The set is the current one already.
    Unchanged,
    /// The set is current now.
    Published(Publication),
    /// The set has errors; the current set stays.
    Refused(Vec<Finding>),
}

/// What the folders contain, compared with the current set.
enum Candidate {
    Unchanged,
    Valid(Box<PolicySet>),
    /// The hash is missing when the files could not be read.
    Invalid(Option<String>, Vec<Finding>),
}

/// Which policy set a server starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    /// The newest publication; the folders when nothing was ever published.
    LatestPublication,
    /// The folders.
    Folders,
}

/// The policy set that a server starts with, stored and logged. `Malformed` lists the findings when the folders have
/// errors or the newest publication does not load.
pub async fn starting_set(
    config: &Config,
    clock: &Clock,
    store: &Store,
    start_from: StartFrom,
) -> Result<PolicySet> {
    if start_from == StartFrom::LatestPublication
        && let Some(stored) = current(clock, store).await?
    {
        return Ok(stored);
    }
    publish_at_start(clock, store, load_folders(config, clock).await?).await
}

/// The policy set for a command that only reads: the current one, or the folders when nothing was ever published.
/// Publishes nothing.
pub async fn current_or_folders(config: &Config, clock: &Clock, store: &Store) -> Result<PolicySet> {
    match current(clock, store).await? {
        Some(policy_set) => Ok(policy_set),
        None => load_folders(config, clock).await,
    }
}

/// The folders as one policy set, checked and tested. `Malformed` lists the findings.
pub async fn load_folders(config: &Config, clock: &Clock) -> Result<PolicySet> {
    let config = config.clone();
    let loading = LoadOptions {
        today: Some(clock.now().date_naive()),
        ..LoadOptions::default()
    };
    let policy_set =
        run_blocking(move || PolicySet::from_files(folders::read_both(&config)?, &loading)).await?;
    policy_set.map_err(|findings| Error::malformed(findings_text(&findings)))
}

/// Stores the policy set that a server starts with and adds it to the log unless it is the newest entry already.
pub async fn publish_at_start(clock: &Clock, store: &Store, policy_set: PolicySet) -> Result<PolicySet> {
    let (policy_set, is_new) = record(
        store,
        clock.now(),
        Trigger::automatic(PublicationMethod::Start),
        policy_set,
    )
    .await?;
    if is_new {
        log_current(&policy_set);
    }
    Ok(policy_set)
}

/// The policy set of the newest publication; `None` when nothing was ever published.
pub async fn current(clock: &Clock, store: &Store) -> Result<Option<PolicySet>> {
    let newest = store
        .read_one((), |tx, ()| {
            Box::pin(async move { tx.newest_publication().await })
        })
        .await?;
    let Some(publication) = newest else {
        return Ok(None);
    };
    let (hash, number, at) = (publication.set_hash.clone(), publication.number, publication.at);
    match record::load_stored(store, clock.now().date_naive(), publication).await? {
        Ok(policy_set) => Ok(Some(policy_set)),
        Err(findings) => Err(Error::malformed(format!(
            "Policy set {hash}, current since {at} (publication {number}), does not load with this version of Assent:\n\
             {}\nTo publish the folders instead, run 'assent serve --publish'",
            findings_text(&findings)
        ))),
    }
}

/// Publishes what the folders contain now. Changes nothing when that is the current set or has an error.
pub async fn reload(state: &State, method: PublicationMethod) -> Result<ReloadOutcome> {
    let reloaded = try_reload(state, method).await;
    let outcome = match &reloaded {
        Ok(ReloadOutcome::Unchanged) => "unchanged",
        Ok(ReloadOutcome::Published(_)) => "published",
        Ok(ReloadOutcome::Refused(_)) => "refused",
        Err(_) => "failed",
    };
    count(method.as_str(), outcome);
    reloaded
}

async fn try_reload(state: &State, method: PublicationMethod) -> Result<ReloadOutcome> {
    match read_candidate(state).await? {
        Candidate::Unchanged => {
            let hash = state.policy_set().hash.clone();
            tracing::info!(
                method = method.as_str(),
                hash,
                "the folders contain the current policy set"
            );
            state.set_refused_policy_set(None);
            Ok(ReloadOutcome::Unchanged)
        }
        Candidate::Invalid(hash, findings) => {
            refuse(state, hash, None, method.as_str(), &findings);
            Ok(ReloadOutcome::Refused(findings))
        }
        Candidate::Valid(policy_set) => {
            let trigger = Trigger::automatic(method);
            let (policy_set, _) = record(&state.store, state.now(), trigger, *policy_set).await?;
            Ok(make_current(state, policy_set).map_or(ReloadOutcome::Unchanged, ReloadOutcome::Published))
        }
    }
}

/// Reads, checks and tests the folders on a blocking thread.
async fn read_candidate(state: &State) -> Result<Candidate> {
    let (config, current, today) = (state.config.clone(), state.policy_set(), state.now().date_naive());
    run_blocking(move || {
        let files = match folders::read_both(&config) {
            Ok(files) => files,
            Err(findings) => return Candidate::Invalid(None, findings),
        };
        let hash = files.hash();
        if hash == current.hash {
            return Candidate::Unchanged;
        }
        match check(files, &current, today) {
            Ok(policy_set) => Candidate::Valid(Box::new(policy_set)),
            Err(findings) => Candidate::Invalid(Some(hash), findings),
        }
    })
    .await
}

/// Checks and tests a policy set. Policies that passed their tests in the current set are not tested again.
fn check(files: PolicySetFiles, current: &PolicySet, today: NaiveDate) -> Result<PolicySet, Vec<Finding>> {
    let loading = LoadOptions {
        today: Some(today),
        passed_tests: current.rules.passed_tests().clone(),
        ..LoadOptions::default()
    };
    PolicySet::from_files(files, &loading)
}

/// Makes a stored policy set current in this process and logs it; returns its publication.
fn make_current(state: &State, policy_set: PolicySet) -> Option<Publication> {
    log_current(&policy_set);
    let publication = policy_set.publication().cloned();
    state.make_current(policy_set);
    publication
}

fn log_current(policy_set: &PolicySet) {
    let Some(publication) = policy_set.publication() else {
        return;
    };
    let username = |person: &Option<crate::store::policy_sets::StaffName>| {
        person
            .as_ref()
            .map(|person| person.username.clone())
            .unwrap_or_default()
    };
    tracing::info!(
        publication = publication.number,
        hash = publication.set_hash,
        method = publication.method.as_str(),
        proposed_by = username(&publication.proposed_by),
        confirmed_by = username(&publication.confirmed_by),
        policies = policy_set.rules.policies().count(),
        public_list_rows = policy_set.public_list().rows().len(),
        "policy set published"
    );
    let number = u32::try_from(publication.number).unwrap_or(u32::MAX);
    metrics::gauge!("assent_publication").set(f64::from(number));
    metrics::gauge!("assent_publication_refused").set(0.0);
}

/// Logs every finding of a refused policy set and keeps them for `/readyz`.
fn refuse(
    state: &State,
    hash: Option<String>,
    number: Option<i64>,
    method: &'static str,
    findings: &[Finding],
) {
    for finding in findings {
        tracing::error!(
            method,
            hash = hash.as_deref().unwrap_or("-"),
            finding = %finding,
            "policy set refused; the current set stays"
        );
    }
    metrics::gauge!("assent_publication_refused").set(1.0);
    state.set_refused_policy_set(Some(RefusedPolicySet {
        hash,
        publication: number,
        at: state.now(),
        method,
        findings: findings.to_vec(),
    }));
}

fn count(method: &'static str, outcome: &'static str) {
    metrics::counter!("assent_publications_total", "method" => method, "outcome" => outcome).increment(1);
}

/// Runs CPU-bound work or file reads on a blocking thread.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}
