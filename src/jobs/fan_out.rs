//! A decision becomes what it causes: a notification per subscription, a knock for the member and the requester.
//! The event numbers are taken and the job is ended in one unit, so that each happens once, whoever dies meanwhile.

use super::{MOST, lease_end};
use crate::clock::new_id;
use crate::error::{Error, Result};
use crate::prior_auth::PriorAuth;
use crate::state::State;
use crate::store::Tx;
use crate::store::queues::{Effect, Queue, Waiting};
use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

/// How often a job is tried before it is laid aside.
const TRIES: i64 = 8;

/// A job's payload.
#[derive(Debug, Deserialize)]
struct Task {
    case: Uuid,
    seq: u32,
    /// The provider has this in the synchronous answer already.
    #[serde(default)]
    answered: bool,
}

/// Leases what is due and does it; answers with how many pieces.
pub(super) async fn run_due(state: &State) -> Result<usize> {
    let now = state.now();
    let leased = state
        .store
        .write((now, lease_end(state, now)), |tx, (now, end)| {
            Box::pin(async move { tx.lease(Queue::Job, *now, *end, MOST).await })
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
            let next = (attempts < TRIES).then(|| now + Duration::seconds(5 * attempts.pow(2)));
            let why = error.to_string();
            state
                .store
                .write((job, next, why, now), |tx, (job, next, why, now)| {
                    Box::pin(async move { tx.put_back(Queue::Job, job, *next, why, *now).await })
                })
                .await?;
        }
    }
    Ok(count)
}

async fn run(tx: &mut Tx, job: &Waiting, now: DateTime<Utc>) -> Result<()> {
    if !tx.finish_job(job).await? {
        // The lease ran out and another worker has the job: what it does counts, this unit does nothing.
        return Ok(());
    }
    let task: Task = serde_json::from_str(&job.payload)
        .map_err(|e| Error::internal(format!("job {} has no usable payload: {e}", job.id)))?;
    let events = tx.events(task.case).await?;
    let decided = events.iter().find(|e| e.seq == task.seq).map(|e| e.at);
    let case = PriorAuth::replay(task.case, &events);
    let (Some(case), Some(at)) = (case, decided) else {
        return Err(Error::not_found("event of case", task.case));
    };
    if !task.answered {
        notify_subscribers(tx, &case, task.seq, now).await?;
        knock_provider(tx, &case, at, now).await?;
    }
    knock_member(tx, &case, at, now).await
}

async fn notify_subscribers(tx: &mut Tx, case: &PriorAuth, seq: u32, now: DateTime<Utc>) -> Result<()> {
    for subscription in tx.subscriptions_of(case.received.client).await? {
        if !subscription
            .senders
            .iter()
            .any(|sender| case.received.senders.contains(sender))
        {
            continue;
        }
        let number = tx.next_event_number(subscription.id).await?;
        if subscription.status == "error" {
            continue;
        }
        let payload =
            json!({ "subscription": subscription.id, "case": case.id, "seq": seq, "number": number });
        let to_ref = format!("subscription/{}", subscription.id);
        let effect = Effect {
            id: new_id(now),
            case: Some(case.id),
            kind: "notification",
            to_ref: &to_ref,
            payload: &payload.to_string(),
            dedupe_key: &format!("subscription/{}/case/{}/{seq}", subscription.id, case.id),
        };
        tx.enqueue_effect(&effect, now).await?;
    }
    Ok(())
}

async fn knock_provider(tx: &mut Tx, case: &PriorAuth, at: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    let Some(npi) = &case.received.requester_npi else {
        return Ok(());
    };
    let Some(provider) = tx.provider_by_npi(npi).await? else {
        return Ok(());
    };
    if provider.email.is_none() {
        return Ok(());
    }
    knock(tx, case, "provider", npi, at, now).await
}

async fn knock_member(tx: &mut Tx, case: &PriorAuth, at: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    for login in tx.logins_of_member(case.received.member).await? {
        if login.email.is_some() && !login.disabled {
            knock(tx, case, "member", &login.id.to_string(), at, now).await?;
        }
    }
    Ok(())
}

/// One knock for everything that was decided at one moment, however many lines it was.
async fn knock(
    tx: &mut Tx,
    case: &PriorAuth,
    whom: &str,
    id: &str,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    let to_ref = format!("{whom}/{id}");
    let payload = json!({ "whom": whom, "id": id }).to_string();
    let effect = Effect {
        id: new_id(now),
        case: Some(case.id),
        kind: "mail",
        to_ref: &to_ref,
        payload: &payload,
        dedupe_key: &format!("{to_ref}/case/{}/{}", case.id, at.timestamp_micros()),
    };
    tx.enqueue_effect(&effect, now).await.map(drop)
}
