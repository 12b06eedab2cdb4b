//! Runs the fan-out jobs. A decision is sent out as one notification per subscription and as email notices to the
//! member and the requester. The unit of work that finishes a job also takes the event numbers and enqueues the
//! messages, so that each happens once even if a server stops in between.

use super::lease::{BATCH_SIZE, lease_end};
use super::payload::{EmailRecipient, NotificationPayload};
use crate::clock::new_id;
use crate::error::{Error, Result};
use crate::prior_auth::PriorAuth;
use crate::state::State;
use crate::store::Tx;
use crate::store::fan_out::FanOutJob;
use crate::store::queues::{LeasedWork, OutboxMessage, Queue};
use crate::store::subscriptions::Subscription;
use chrono::{DateTime, Duration, Utc};

/// After this many failed attempts a job is given up.
const MAX_ATTEMPTS: i64 = 8;

/// Leases the jobs that are due and runs them. Returns how many there were.
pub(super) async fn run_due(state: &State) -> Result<usize> {
    let now = state.now();
    let leased = state
        .store
        .write((now, lease_end(state, now)), |tx, (now, end)| {
            Box::pin(async move { tx.lease(Queue::Job, *now, *end, BATCH_SIZE).await })
        })
        .await?;
    let count = leased.len();
    for job in leased {
        let (id, attempts) = (job.id, job.attempts);
        let done = state
            .store
            .write((job.clone(), now), |tx, (job, now)| Box::pin(run(tx, job, *now)))
            .await;
        if let Err(error) = done {
            tracing::error!(job = %id, attempts, cause = %error, "a job failed");
            let next = (attempts < MAX_ATTEMPTS).then(|| now + Duration::seconds(5 * attempts.pow(2)));
            let reason = error.to_string();
            state
                .store
                .write((job, next, reason, now), |tx, (job, next, reason, now)| {
                    Box::pin(async move { tx.record_failure(Queue::Job, job, *next, reason, *now).await })
                })
                .await?;
        }
    }
    Ok(count)
}

async fn run(tx: &mut Tx, leased: &LeasedWork, now: DateTime<Utc>) -> Result<()> {
    if !tx.finish_job(leased).await? {
        // The lease has expired and another worker has the job, so this unit of work must change nothing.
        return Ok(());
    }
    let job: FanOutJob = serde_json::from_str(&leased.payload)
        .map_err(|e| Error::internal(format!("job {} has an invalid payload: {e}", leased.id)))?;
    let events = tx.events(job.case).await?;
    let decided_at = events.iter().find(|e| e.seq == job.seq).map(|e| e.at);
    let case = PriorAuth::replay(job.case, &events);
    let (Some(case), Some(decided_at)) = (case, decided_at) else {
        return Err(Error::not_found("event of case", job.case));
    };
    let recipients = tx.recipients(&case, now).await?;
    if !job.in_submit_response {
        notify_subscribers(tx, &case, &recipients.subscriptions, job.seq, now).await?;
        if let Some(npi) = recipients.provider.and_then(|provider| provider.npi) {
            enqueue_email(tx, &case, &EmailRecipient::Provider { npi }, decided_at, now).await?;
        }
    }
    for login in recipients.logins {
        let recipient = EmailRecipient::Member { login: login.id };
        enqueue_email(tx, &case, &recipient, decided_at, now).await?;
    }
    Ok(())
}

async fn notify_subscribers(
    tx: &mut Tx,
    case: &PriorAuth,
    subscriptions: &[Subscription],
    seq: u32,
    now: DateTime<Utc>,
) -> Result<()> {
    for subscription in subscriptions {
        let Some(number) = tx.next_event_number(subscription.id).await? else {
            continue;
        };
        if subscription.status == "error" {
            continue;
        }
        let payload = NotificationPayload {
            subscription: subscription.id,
            handshake: false,
            version: None,
            case: Some(case.id),
            seq: Some(seq),
            number: Some(u64::try_from(number).map_err(Error::internal)?),
        };
        let message = OutboxMessage {
            id: new_id(now),
            case: Some(case.id),
            kind: "notification",
            recipient: &format!("subscription/{}", subscription.id),
            payload: &serde_json::to_string(&payload).map_err(Error::internal)?,
            dedupe_key: &format!("subscription/{}/case/{}/{seq}", subscription.id, case.id),
        };
        tx.enqueue_message(&message, now).await?;
    }
    Ok(())
}

/// Items that are decided together cause one email per recipient, because their decisions have the same time.
async fn enqueue_email(
    tx: &mut Tx,
    case: &PriorAuth,
    recipient: &EmailRecipient,
    decided_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    let reference = recipient.reference();
    let message = OutboxMessage {
        id: new_id(now),
        case: Some(case.id),
        kind: "mail",
        recipient: &reference,
        payload: &serde_json::to_string(recipient).map_err(Error::internal)?,
        dedupe_key: &format!("{reference}/case/{}/{}", case.id, decided_at.timestamp_micros()),
    };
    tx.enqueue_message(&message, now).await.map(drop)
}
