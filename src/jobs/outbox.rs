//! Sends outbox messages: notifications to subscribers (`line`) and email notices (`notices`), each at its own pace, so
//! that a slow subscriber holds up neither mail nor other subscribers. Messages are sent outside of any transaction and
//! the result is stored afterwards. A receiver may get a message twice after a crash; it can recognize the duplicate by
//! the event number or the Message-ID.
//!
//! Waits between attempts: 5 s, 1 min, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, each ±20 %. A receiver's `Retry-After`
//! extends a wait up to twice the planned time; it is never shortened.

use super::lease::{self, Stop};
use super::{jittered, line, notices};
use crate::error::Result;
use crate::state::State;
use chrono::{DateTime, Duration, Utc};
use futures_util::future;
use std::time::Duration as Time;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

/// The planned waits between attempts, in seconds.
const WAITS: [i64; 8] = [5, 60, 300, 1800, 7200, 18_000, 36_000, 36_000];
/// Workers look for work at least this often.
pub(super) const POLL: Time = Time::from_secs(1);
/// How many lines and notices one round of the tests leases at once.
const TEST_BATCH: i64 = 50;

/// The result of an attempt to send a message.
#[derive(Debug)]
pub(super) enum SendOutcome {
    Sent,
    /// The attempt failed and can be repeated.
    Retry {
        reason: String,
        /// The receiver's `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// The message cannot be delivered.
    Failed(String),
    /// The message is no longer needed. This is not a failure.
    Obsolete(&'static str),
}

/// An attempt that did not send a message.
#[derive(Debug)]
pub(super) struct Failure {
    /// The value `outcome` of the metric.
    pub label: &'static str,
    /// When the message is due again; none when it is given up.
    pub next_at: Option<DateTime<Utc>>,
    pub reason: String,
}

impl SendOutcome {
    /// What follows when the message was not sent, where `failures` attempts failed before.
    pub(super) fn failure(self, failures: i64, now: DateTime<Utc>) -> Option<Failure> {
        let (label, next_at, reason) = match self {
            Self::Sent => return None,
            Self::Retry { reason, retry_after } => {
                let next_at = next_wait(failures, retry_after).map(|wait| now + wait);
                (if next_at.is_some() { "retry" } else { "dead" }, next_at, reason)
            }
            Self::Failed(reason) => ("dead", None, reason),
            Self::Obsolete(reason) => ("obsolete", None, reason.to_owned()),
        };
        Some(Failure {
            label,
            next_at,
            reason,
        })
    }
}

/// Sends messages until the server stops. When another process has taken the leases of this one over, it begins again
/// under a new name.
pub(super) async fn run(state: State, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let owner = match lease::register(&state).await {
            Ok(owner) => owner,
            Err(error) => {
                tracing::error!(worker = "outbox", cause = %error, "a worker failed and will try again");
                tokio::select! {
                    () = tokio::time::sleep(jittered(POLL)) => {}
                    _ = stopped.changed() => {}
                }
                continue;
            }
        };
        let received = state.store.handoff().receive(owner);
        let stop = Stop::new(stopped.clone());
        let alive = async {
            lease::report_until_lost(&state, owner, &stop).await;
            stop.set();
        };
        let listening = async {
            tokio::select! {
                () = listen(&state) => {}
                () = stop.wait() => {}
            }
        };
        tokio::join!(
            alive,
            listening,
            notices::run(&state, owner, received, &stop),
            lines(&state, owner, &stop)
        );
        state.store.handoff().end();
        lease::unregister(&state, owner).await;
    }
}

/// Is woken by other processes for as long as the database supports it.
async fn listen(state: &State) {
    loop {
        if let Err(error) = state.store.listen().await {
            tracing::debug!(cause = %error, "other processes cannot wake the workers; they look for messages themselves");
        }
        tokio::time::sleep(jittered(POLL * 30)).await;
    }
}

/// Leases lines that are due and sends their messages, each line in a task of its own. Lines whose last attempt failed
/// have their own places, so that endpoints that do not answer keep no others waiting.
async fn lines(state: &State, owner: Uuid, stop: &Stop) {
    let places = i64::from(state.config.workers.deliveries);
    let mut free = [places, (places / 2).max(1)];
    let mut tasks: JoinSet<usize> = JoinSet::new();
    let wake = state.store.wake();
    while !(stop.is_set() && tasks.is_empty()) {
        // Starts listening before it looks, so that a message enqueued in between is not missed.
        let mut woken = std::pin::pin!(wake.notified());
        woken.as_mut().enable();
        if !stop.is_set() {
            if let Err(error) = start_lines(state, owner, stop, &mut free, &mut tasks).await {
                tracing::error!(worker = "outbox", cause = %error, "a worker failed and will try again");
            }
            state.workers.has_completed_a_round("outbox");
            metrics::counter!("assent_worker_rounds_total", "worker" => "outbox").increment(1);
        }
        tokio::select! {
            Some(ended) = tasks.join_next() => {
                let place = ended.ok().and_then(|kind| free.get_mut(kind));
                place.into_iter().for_each(|free| *free += 1);
            }
            () = tokio::time::sleep(jittered(POLL)) => {}
            () = woken => {}
            () = stop.wait(), if !stop.is_set() => {}
        }
    }
}

/// Leases as many lines as there are free places: `free` counts those for lines that work and for lines that fail.
async fn start_lines(
    state: &State,
    owner: Uuid,
    stop: &Stop,
    free: &mut [i64; 2],
    tasks: &mut JoinSet<usize>,
) -> Result<()> {
    let now = state.now();
    let is_due = state
        .store
        .read_one(now, |tx, now| Box::pin(async move { tx.is_line_due(*now).await }));
    if !is_due.await? {
        return Ok(());
    }
    for (kind, free) in free.iter_mut().enumerate().filter(|(_, free)| **free > 0) {
        let leased = state
            .store
            .write_one(
                (owner, now, kind == 1, *free),
                |tx, (owner, now, failing, limit)| {
                    Box::pin(async move { tx.lease_lines(*owner, *now, *failing, *limit).await })
                },
            )
            .await?;
        for lease in leased {
            *free -= 1;
            let (state, stop) = (state.clone(), stop.clone());
            tasks.spawn(async move {
                line::send(&state, lease, &stop).await;
                kind
            });
        }
    }
    Ok(())
}

/// Sends what is due once, for tests. Returns how many attempts there were.
pub(super) async fn run_due(state: &State) -> Result<usize> {
    let owner = lease::register(state).await?;
    let stop = Stop::never();
    let now = state.now();
    let (mail, working, failing) = state
        .store
        .write((owner, now), |tx, (owner, now)| {
            Box::pin(async move {
                Ok((
                    tx.lease_mail(*owner, *now, TEST_BATCH).await?,
                    tx.lease_lines(*owner, *now, false, TEST_BATCH).await?,
                    tx.lease_lines(*owner, *now, true, TEST_BATCH).await?,
                ))
            })
        })
        .await?;
    let mut tried = mail.len() + working.len() + failing.len();
    let lines = working.into_iter().chain(failing);
    let (_, sent) = tokio::join!(
        notices::send(state, owner, mail, &stop),
        future::join_all(lines.map(|lease| line::send(state, lease, &stop)))
    );
    tried += sent.into_iter().sum::<usize>();
    lease::unregister(state, owner).await;
    Ok(tried)
}

/// The wait after an attempt, where `failures` others failed before it; none after the last one.
pub(super) fn next_wait(failures: i64, retry_after: Option<u64>) -> Option<Duration> {
    let planned = *WAITS.get(usize::try_from(failures).ok()?)?;
    let [byte] = crate::clock::random_bytes::<1>();
    let jitter = 400 * i64::from(byte) / 255;
    let requested = retry_after.and_then(|seconds| i64::try_from(seconds).ok());
    Some(Duration::milliseconds(match requested {
        Some(requested) => requested.clamp(planned, planned * 2) * (1000 + jitter / 2),
        None => planned * (800 + jitter),
    }))
}

/// Counts an attempt, and logs a message that cannot be delivered.
pub(super) fn count(kind: &'static str, message: Uuid, outcome: &'static str, reason: &str) {
    metrics::counter!("assent_outbox_total", "kind" => kind, "outcome" => outcome).increment(1);
    if outcome == "dead" {
        tracing::error!(message = %message, cause = %reason, "a message cannot be delivered");
    }
}
