//! Deletes what is older than the settings of `[retention]`. Each unit of work deletes a bounded number of rows, with a
//! pause after it, so that requests never wait for long.

use super::jittered;
use crate::config::Retention;
use crate::error::Result;
use crate::state::State;
use crate::store::retention::Expiring;
use chrono::{DateTime, Days, Months, Utc};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// The pause between two checks.
const EVERY: Duration = Duration::from_secs(3600);
/// The pause after each unit of work.
const PAUSE: Duration = Duration::from_millis(50);
/// How many messages of deleted subscriptions are given up in one unit of work.
const ORPHANS: i64 = 500;

/// Deletes what has expired, and again every hour, until the server stops.
pub(super) async fn run(state: State, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if let Err(error) = delete_expired(&state, &stopped).await {
            tracing::error!(worker = "purge", cause = %error, "a worker failed and will try again");
        }
        state.workers.has_completed_a_round("purge");
        metrics::counter!("assent_worker_rounds_total", "worker" => "purge").increment(1);
        tokio::select! {
            () = tokio::time::sleep(jittered(EVERY)) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Deletes everything that has expired. Returns how many rows there were.
pub(super) async fn delete_expired(state: &State, stopped: &watch::Receiver<bool>) -> Result<u64> {
    let now = state.now();
    let mut deleted = 0;
    for kind in Expiring::ALL {
        let before = expired_before(&state.config.retention, kind, now);
        let mut after = Uuid::nil();
        loop {
            let unit = state
                .store
                .write((kind, before, after), |tx, (kind, before, after)| {
                    Box::pin(async move { tx.delete_expired(*kind, *before, *after).await })
                })
                .await?;
            metrics::counter!("assent_deleted_rows_total", "kind" => kind.as_str()).increment(unit.count);
            deleted += unit.count;
            after = unit.last;
            if unit.count < u64::from(kind.batch()) || *stopped.borrow() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    give_up_orphans(state, stopped).await?;
    let done = i64::try_from(deleted).unwrap_or(i64::MAX);
    state
        .store
        .write((now, done), |tx, (now, done)| {
            Box::pin(async move { tx.record_worker_run("purge", *now, *done, *done).await })
        })
        .await?;
    tracing::info!(rows = deleted, "expired rows were deleted");
    Ok(deleted)
}

async fn give_up_orphans(state: &State, stopped: &watch::Receiver<bool>) -> Result<()> {
    loop {
        let given_up = state.store.write((), |tx, ()| {
            Box::pin(async move { tx.give_up_orphans(ORPHANS).await })
        });
        if given_up.await? < ORPHANS.unsigned_abs() || *stopped.borrow() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Rows from before this time are deleted.
fn expired_before(settings: &Retention, kind: Expiring, now: DateTime<Utc>) -> DateTime<Utc> {
    let years = |years: u32| now.checked_sub_months(Months::new(years.saturating_mul(12)));
    let days = |days: u32| now.checked_sub_days(Days::new(u64::from(days)));
    let before = match kind {
        Expiring::Cases => years(settings.case_years),
        Expiring::AccessLog => years(settings.access_log_years),
        Expiring::HookCalls | Expiring::Texts => years(settings.hook_years),
        Expiring::Messages => days(settings.message_days),
        Expiring::TokenIds
        | Expiring::Codes
        | Expiring::Tokens
        | Expiring::Sessions
        | Expiring::Throttles => days(settings.expired_days),
    };
    before.unwrap_or(DateTime::UNIX_EPOCH)
}
