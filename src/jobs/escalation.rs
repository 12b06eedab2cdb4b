//! Checks the due times of open cases. It counts and sends email notices to staff; it never decides. Each escalation
//! step of a case causes one notice, whichever process checks; after a pause only the highest step that was missed
//! does. Each check is recorded in the table `worker`.

use super::payload::EmailRecipient;
use crate::clock::new_id;
use crate::deadlines::EscalationStep;
use crate::error::{Error, Result};
use crate::prior_auth::PriorAuth;
use crate::state::State;
use crate::store::Tx;
use crate::store::queues::OutboxMessage;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Checks every open case once.
pub(super) async fn check_due_times(state: &State) -> Result<()> {
    let now = state.now();
    let open = state
        .store
        .read((), |tx, ()| Box::pin(async move { tx.open_cases().await }))
        .await?;
    let policy_set = state.policy_set();
    let step = |case: &PriorAuth| policy_set.clocks.escalation_step(&case.received.due, now);
    let overdue = open
        .iter()
        .filter(|case| step(case) == EscalationStep::Overdue)
        .count();
    metrics::gauge!("assent_cases_open").set(f64::from(u32::try_from(open.len()).unwrap_or(u32::MAX)));
    metrics::gauge!("assent_cases_late").set(f64::from(u32::try_from(overdue).unwrap_or(u32::MAX)));
    let send_email = !state.config.mail.alerts_to.is_empty();
    let due: Vec<(Uuid, EscalationStep)> = open
        .iter()
        .map(|case| (case.id, step(case)))
        .filter(|(_, step)| send_email && *step >= EscalationStep::DueSoon)
        .collect();
    let checked = i64::try_from(open.len()).unwrap_or(i64::MAX);
    state
        .store
        .write((due, checked, now), |tx, (due, checked, now)| {
            Box::pin(notify_staff(tx, due, *checked, *now))
        })
        .await
}

async fn notify_staff(
    tx: &mut Tx,
    due: &[(Uuid, EscalationStep)],
    checked: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    let payload = serde_json::to_string(&EmailRecipient::Staff).map_err(Error::internal)?;
    let mut queued = 0;
    for (case, step) in due {
        let message = OutboxMessage {
            id: new_id(now),
            case: Some(*case),
            kind: "mail",
            recipient: "staff",
            payload: &payload,
            dedupe_key: &format!("case/{case}/due/{}", step.as_str()),
        };
        queued += i64::from(tx.enqueue_message(&message, now).await?);
    }
    tx.record_worker_run("deadlines", now, checked, queued).await
}
