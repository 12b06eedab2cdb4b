//! Checks the due times of open cases. It counts and sends email notices to staff; it never decides. Each escalation
//! step of a case causes one notice, whichever process checks; after a pause only the highest step that was missed
//! does. A check reads only the cases that have reached their next step, in units of work of limited size. Each check is
//! recorded in the table `worker`.

use crate::clock::new_id;
use crate::deadlines::{Clocks, EscalationStep};
use crate::error::{Error, Result};
use crate::state::State;
use crate::store::Tx;
use crate::store::messages::EmailRecipient;
use crate::store::queue_updates::EscalationQuery;
use crate::store::queues::OutboxMessage;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// The escalation steps that staff are notified of. The store knows them by their place, from 1.
const NOTIFIED_STEPS: [EscalationStep; 3] = [
    EscalationStep::DueSoon,
    EscalationStep::DueNow,
    EscalationStep::Overdue,
];
/// The most cases in one unit of work.
const BATCH_SIZE: usize = 100;

/// What one check found.
struct Found {
    /// Open cases.
    open: i64,
    /// Open cases past their due time.
    overdue: i64,
    /// The decision clocks of open cases.
    clocks: BTreeSet<String>,
}

/// Counts the open cases, and queues the notices of cases that have reached their next escalation step: of each clock
/// and step up to [`BATCH_SIZE`]. Returns the number of notices if more cases may be due, otherwise 0.
pub(super) async fn check_due_times(state: &State) -> Result<usize> {
    let now = state.now();
    let found = state.store.read(now, |tx, now| Box::pin(count(tx, *now))).await?;
    metrics::gauge!("assent_cases_open").set(f64::from(u32::try_from(found.open).unwrap_or(u32::MAX)));
    metrics::gauge!("assent_cases_late").set(f64::from(u32::try_from(found.overdue).unwrap_or(u32::MAX)));
    let (mut queued, mut is_more) = (0, false);
    if !state.config.mail.alerts_to.is_empty() {
        let policy_set = state.policy_set();
        for clock in &found.clocks {
            for level in 0..3 {
                let query = escalation_query(&policy_set.clocks, clock, level, now);
                let unit = state.store.write((query, now), |tx, (query, now)| {
                    Box::pin(notify_staff(tx, query, *now))
                });
                let taken = unit.await?;
                queued += taken;
                is_more |= taken == BATCH_SIZE;
            }
        }
    }
    let seen = found.open;
    let done = i64::try_from(queued).unwrap_or(i64::MAX);
    state
        .store
        .write((now, seen, done), |tx, (now, seen, done)| {
            Box::pin(tx.record_worker_run("deadlines", *now, *seen, *done))
        })
        .await?;
    Ok(if is_more { queued } else { 0 })
}

async fn count(tx: &mut Tx, now: DateTime<Utc>) -> Result<Found> {
    let groups = tx.queue_groups().await?;
    let mut found = Found {
        open: 0,
        overdue: tx.count_overdue(now).await?,
        clocks: BTreeSet::new(),
    };
    for (group, open) in groups {
        found.open += open;
        found.clocks.insert(group.clock);
    }
    Ok(found)
}

fn escalation_query(clocks: &Clocks, clock: &str, level: i64, now: DateTime<Utc>) -> EscalationQuery {
    EscalationQuery {
        clock: clock.to_owned(),
        level,
        reached: NOTIFIED_STEPS.map(|step| clocks.due_window(clock, step, now).before.unwrap_or(now)),
        limit: i64::try_from(BATCH_SIZE).unwrap_or(i64::MAX),
    }
}

/// Takes the cases that have reached their next step and queues a notice for each. Returns how many there were.
async fn notify_staff(tx: &mut Tx, query: &EscalationQuery, now: DateTime<Utc>) -> Result<usize> {
    let payload = serde_json::to_string(&EmailRecipient::Staff).map_err(Error::internal)?;
    let taken = tx.take_escalated(query).await?;
    for case in &taken {
        let step = usize::try_from(case.notified - 1)
            .ok()
            .and_then(|place| NOTIFIED_STEPS.get(place))
            .ok_or_else(|| Error::internal("an escalation level is not a step"))?;
        let message = OutboxMessage {
            id: new_id(now),
            case: Some(case.case_id),
            kind: "mail",
            recipient: "staff",
            payload: &payload,
            dedupe_key: &format!("case/{}/due/{}", case.case_id, step.as_str()),
        };
        tx.enqueue_message(&message, now).await?;
    }
    Ok(taken.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_of_the_store_begin_where_the_steps_do() {
        let now: DateTime<Utc> = "2026-10-06T12:00:00Z".parse().unwrap();
        let clocks = Clocks::default();
        let query = escalation_query(&clocks, "any", 0, now);
        for (step, before) in NOTIFIED_STEPS.into_iter().zip(query.reached) {
            let last = before - chrono::Duration::microseconds(1);
            assert_eq!(clocks.step_at("any", last, now), step);
            assert!(clocks.step_at("any", before, now) < step);
        }
    }
}
