//! What is in force and how it comes into force: the folders are read, checked and tested as one, stored with an entry in
//! the log, and swapped in; a set with a mistake changes nothing. The newest entry of the log is in force everywhere:
//! a process that did not make it follows it.
//!
//! Whoever publishes stores first and swaps then, so a crash between the two leaves a log that every process follows. Two
//! at once meet at the entry's number, which is unique: the second one looks again. Requests under way keep the set that
//! they began with. Checking is work for the processor and runs where it holds up no answer.

mod changes;
mod folders;
mod follow;
mod proposal;
mod record;

pub use changes::{Change, Kind as ChangeKind, Side, changes, sides};
pub use folders::{files, fingerprint};
pub use follow::follow;
pub use proposal::{Proposed, confirm, propose, waiting, withdraw};
pub use record::open_list;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::{Finding, Loading};
use crate::state::{Published, Refused, SetFiles, State, told};
use crate::store::Store;
use crate::store::policy_sets::{How, Publication};
use chrono::NaiveDate;
use record::{Entry, record};

/// What became of an attempt to publish the folders.
#[derive(Debug)]
pub enum Reloaded {
    /// They hold what is in force already.
    Same,
    /// They are in force now.
    Published(Publication),
    /// They have mistakes; what was in force stays.
    Refused(Vec<Finding>),
}

/// What the folders hold, compared with what is in force.
enum Candidate {
    Same,
    Sound(Box<Published>),
    Faulty(Option<String>, Vec<Finding>),
}

/// Which set a server starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The newest publication; the folders when there is none.
    Stored,
    /// The folders.
    Folders,
}

/// The set that a server starts with, stored and logged.
pub async fn open(config: &Config, clock: &Clock, store: &Store, opening: Opening) -> Result<Published> {
    if opening == Opening::Stored
        && let Some(stored) = in_force(clock, store).await?
    {
        return Ok(stored);
    }
    first(clock, store, of_folders(config, clock).await?).await
}

/// The set that a command reads with: what is in force, else what the folders hold. Nothing is published.
pub async fn to_read_with(config: &Config, clock: &Clock, store: &Store) -> Result<Published> {
    match in_force(clock, store).await? {
        Some(published) => Ok(published),
        None => of_folders(config, clock).await,
    }
}

/// What the folders hold, read, checked and tested.
pub async fn of_folders(config: &Config, clock: &Clock) -> Result<Published> {
    let config = config.clone();
    let loading = Loading {
        today: Some(clock.now().date_naive()),
        ..Loading::default()
    };
    let published = blocking(move || Published::check(folders::read(&config)?, &loading)).await?;
    published.map_err(|findings| Error::malformed(told(&findings)))
}

/// Stores a set that a server starts with.
pub async fn first(clock: &Clock, store: &Store, published: Published) -> Result<Published> {
    let (published, new) = record(store, clock.now(), Entry::of(How::Start), published).await?;
    if new {
        tell(&published);
    }
    Ok(published)
}

/// The set of the newest publication; none when nothing was ever published.
pub async fn in_force(clock: &Clock, store: &Store) -> Result<Option<Published>> {
    let newest = store
        .read((), |tx, ()| {
            Box::pin(async move { tx.newest_publication().await })
        })
        .await?;
    let Some(entry) = newest else { return Ok(None) };
    let (hash, number, at) = (entry.set.clone(), entry.number, entry.at);
    match record::stored(store, clock.now().date_naive(), entry).await? {
        Ok(published) => Ok(Some(published)),
        Err(findings) => Err(Error::malformed(format!(
            "The policy set {hash}, in force since {at} (publication {number}), does not load any more:\n{}\n\
             `assent serve --publish` puts the folders in force instead",
            told(&findings)
        ))),
    }
}

/// Puts what the folders hold now in force. Nothing changes when they hold the same, or a mistake.
pub async fn reload(state: &State, how: How) -> Result<Reloaded> {
    let reloaded = attempt(state, how).await;
    let outcome = match &reloaded {
        Ok(Reloaded::Same) => "same",
        Ok(Reloaded::Published(_)) => "published",
        Ok(Reloaded::Refused(_)) => "refused",
        Err(_) => "failed",
    };
    count(how.word(), outcome);
    reloaded
}

async fn attempt(state: &State, how: How) -> Result<Reloaded> {
    match candidate(state).await? {
        Candidate::Same => {
            let hash = state.published().hash.clone();
            tracing::info!(
                how = how.word(),
                hash,
                "the folders hold the policy set that is in force"
            );
            state.remember_refused(None);
            Ok(Reloaded::Same)
        }
        Candidate::Faulty(hash, findings) => {
            refuse(state, hash, None, how.word(), &findings);
            Ok(Reloaded::Refused(findings))
        }
        Candidate::Sound(published) => {
            let (published, _) = record(&state.store, state.now(), Entry::of(how), *published).await?;
            Ok(put_in_force(state, published).map_or(Reloaded::Same, Reloaded::Published))
        }
    }
}

/// Reads, checks and tests the folders, away from the threads that answer.
async fn candidate(state: &State) -> Result<Candidate> {
    let (config, held, today) = (state.config.clone(), state.published(), state.now().date_naive());
    blocking(move || {
        let files = match folders::read(&config) {
            Ok(files) => files,
            Err(findings) => return Candidate::Faulty(None, findings),
        };
        let hash = files.hash();
        if hash == held.hash {
            return Candidate::Same;
        }
        match check(files, &held, today) {
            Ok(published) => Candidate::Sound(Box::new(published)),
            Err(findings) => Candidate::Faulty(Some(hash), findings),
        }
    })
    .await
}

/// Checks a set and tests it; policies that passed in the set in force are not tested again.
fn check(files: SetFiles, held: &Published, today: NaiveDate) -> Result<Published, Vec<Finding>> {
    let loading = Loading {
        today: Some(today),
        tested: held.rules.tested().clone(),
        ..Loading::default()
    };
    Published::check(files, &loading)
}

/// Swaps a stored set in and tells about it; gives its entry.
fn put_in_force(state: &State, published: Published) -> Option<Publication> {
    tell(&published);
    let entry = published.publication().cloned();
    state.publish(published);
    entry
}

fn tell(published: &Published) {
    let Some(entry) = published.publication() else {
        return;
    };
    let who = |person: &Option<crate::store::policy_sets::Named>| {
        person
            .as_ref()
            .map(|person| person.username.clone())
            .unwrap_or_default()
    };
    tracing::info!(
        publication = entry.number,
        hash = entry.set,
        how = entry.how.word(),
        proposed_by = who(&entry.proposed_by),
        confirmed_by = who(&entry.confirmed_by),
        policies = published.rules.policies().count(),
        listed = published.list().rows().len(),
        "a policy set is in force"
    );
    let number = u32::try_from(entry.number).unwrap_or(u32::MAX);
    metrics::gauge!("assent_publication").set(f64::from(number));
    metrics::gauge!("assent_publication_refused").set(0.0);
}

/// Logs every finding of a set that stays out, and keeps them for `/readyz`.
fn refuse(state: &State, hash: Option<String>, number: Option<i64>, how: &'static str, findings: &[Finding]) {
    for finding in findings {
        tracing::error!(
            how,
            hash = hash.as_deref().unwrap_or("-"),
            finding = %finding,
            "a policy set is refused; the one in force stays"
        );
    }
    metrics::gauge!("assent_publication_refused").set(1.0);
    state.remember_refused(Some(Refused {
        hash,
        number,
        at: state.now(),
        how,
        findings: findings.to_vec(),
    }));
}

fn count(how: &'static str, outcome: &'static str) {
    metrics::counter!("assent_publications_total", "how" => how, "outcome" => outcome).increment(1);
}

/// Work for the processor and the disk, on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}
