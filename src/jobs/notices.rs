//! Email notices. Those that a commit of this process caused arrive in memory; the others are looked up. A batch is read
//! in one unit of work, sent at the same time, and recorded in one unit of work.

use super::jittered;
use super::lease::Stop;
use super::outbox::{POLL, SendOutcome, count};
use crate::error::{Error, Result};
use crate::mail::{Email, NoticeKind, SendError};
use crate::state::State;
use crate::store::Tx;
use crate::store::messages::EmailRecipient;
use crate::store::queues::{FailedAttempt, LeasedMessage};
use chrono::{DateTime, Utc};
use futures_util::future;
use std::time::Instant;
use tokio::sync::mpsc;
use uuid::Uuid;

/// How many notices are sent at the same time.
const BATCH: usize = 32;

/// A notice with its recipient and address.
#[derive(Debug)]
struct Notice {
    message: LeasedMessage,
    /// None when the payload cannot be read.
    recipient: Option<EmailRecipient>,
    address: Option<String>,
}

/// Sends notices until `stop` is set.
pub(super) async fn run(
    state: &State,
    owner: Uuid,
    mut received: mpsc::Receiver<LeasedMessage>,
    stop: &Stop,
) {
    let wake = state.store.wake();
    let mut look_at = Instant::now();
    while !stop.is_set() {
        // Starts listening before it looks, so that a message enqueued in between is not missed.
        let mut woken = std::pin::pin!(wake.notified());
        woken.as_mut().enable();
        let looks = Instant::now() >= look_at;
        let mut batch = take(&mut received, if looks { BATCH / 2 } else { BATCH });
        if looks {
            let limit = BATCH - batch.len();
            let found = lease_due(state, owner, limit).await;
            let is_full = found.len() == limit;
            look_at = Instant::now() + if is_full { POLL / 100 } else { jittered(POLL) };
            batch.extend(found);
        }
        if !batch.is_empty() {
            send(state, owner, batch, stop).await;
            continue;
        }
        let pause = look_at.saturating_duration_since(Instant::now());
        tokio::select! {
            Some(first) = received.recv() => {
                let mut batch = vec![first];
                batch.extend(take(&mut received, BATCH - 1));
                send(state, owner, batch, stop).await;
            }
            () = tokio::time::sleep(pause) => {}
            () = woken => look_at = Instant::now(),
            () = stop.wait() => {}
        }
    }
}

/// What has arrived in memory, at most `limit`.
fn take(received: &mut mpsc::Receiver<LeasedMessage>, limit: usize) -> Vec<LeasedMessage> {
    std::iter::from_fn(|| received.try_recv().ok())
        .take(limit)
        .collect()
}

async fn lease_due(state: &State, owner: Uuid, limit: usize) -> Vec<LeasedMessage> {
    let now = state.now();
    let leased = async {
        let is_due = state
            .store
            .read_one(now, |tx, now| Box::pin(async move { tx.is_mail_due(*now).await }));
        if !is_due.await? {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).map_err(Error::internal)?;
        let leased = state
            .store
            .write_one((owner, now, limit), |tx, (owner, now, limit)| {
                Box::pin(async move { tx.lease_mail(*owner, *now, *limit).await })
            });
        leased.await
    };
    leased.await.unwrap_or_else(|error: Error| {
        tracing::error!(worker = "outbox", cause = %error, "a worker failed and will try again");
        Vec::new()
    })
}

/// Sends leased notices at the same time and records what came of it.
pub(super) async fn send(state: &State, owner: Uuid, batch: Vec<LeasedMessage>, stop: &Stop) {
    if batch.is_empty() {
        return;
    }
    let now = state.now();
    let result = match read(state, owner, batch.clone()).await {
        Ok(notices) => {
            let attempts = notices.iter().map(|notice| attempt(state, notice));
            let outcomes = future::join_all(attempts).await;
            BatchResult::of(
                owner,
                now,
                notices.iter().map(|notice| &notice.message).zip(outcomes),
            )
        }
        Err(error) => {
            let failed = |_: &LeasedMessage| SendOutcome::Retry {
                reason: error.to_string(),
                retry_after: None,
            };
            BatchResult::of(owner, now, batch.iter().map(|message| (message, failed(message))))
        }
    };
    if result.sent.is_empty() && result.failed.is_empty() {
        return;
    }
    loop {
        let (store, input) = (&state.store, result.clone());
        let stored = if result.failed.is_empty() {
            let sent = store.write_one(input, |tx, result| {
                Box::pin(tx.record_sent(&result.sent, result.now))
            });
            sent.await
        } else {
            store.write(input, |tx, result| Box::pin(result.store(tx))).await
        };
        match stored {
            Ok(()) => return,
            Err(error) => tracing::error!(cause = %error, "the results of sending could not be stored yet"),
        }
        if stop.is_set() {
            return;
        }
        stop.pause(POLL).await;
    }
}

/// What is recorded about a batch.
#[derive(Debug, Clone)]
struct BatchResult {
    owner: Uuid,
    now: DateTime<Utc>,
    sent: Vec<Uuid>,
    failed: Vec<FailedAttempt>,
}

impl BatchResult {
    fn of<'a>(
        owner: Uuid,
        now: DateTime<Utc>,
        outcomes: impl Iterator<Item = (&'a LeasedMessage, SendOutcome)>,
    ) -> Self {
        let (mut sent, mut failed) = (Vec::new(), Vec::new());
        for (message, outcome) in outcomes {
            let Some(failure) = outcome.failure(message.attempts, now) else {
                count("mail", message.id, "sent", "");
                sent.push(message.id);
                continue;
            };
            count("mail", message.id, failure.label, &failure.reason);
            failed.push(FailedAttempt {
                message: message.id,
                next_at: failure.next_at,
                reason: failure.reason,
            });
        }
        Self {
            owner,
            now,
            sent,
            failed,
        }
    }

    async fn store(&self, tx: &mut Tx) -> Result<()> {
        if !self.sent.is_empty() {
            tx.record_sent(&self.sent, self.now).await?;
        }
        for failed in &self.failed {
            tx.record_mail_failure(self.owner, failed, self.now).await?;
        }
        Ok(())
    }
}

/// Reads the addresses of the notices that this process still holds.
async fn read(state: &State, owner: Uuid, batch: Vec<LeasedMessage>) -> Result<Vec<Notice>> {
    let alerts_to = Some(state.config.mail.alerts_to.clone()).filter(|address| !address.is_empty());
    state
        .store
        .read((owner, batch, alerts_to), |tx, (owner, batch, alerts_to)| {
            Box::pin(async move {
                let ids: Vec<Uuid> = batch.iter().map(|message| message.id).collect();
                let held = tx.still_leased(*owner, &ids).await?;
                let recipient = |message: &LeasedMessage| serde_json::from_str(&message.payload).ok();
                let held: Vec<(LeasedMessage, Option<EmailRecipient>)> = batch
                    .iter()
                    .filter(|message| held.contains(&message.id))
                    .map(|message| (message.clone(), recipient(message)))
                    .collect();
                let logins: Vec<Uuid> = held
                    .iter()
                    .filter_map(|(_, recipient)| match recipient {
                        Some(EmailRecipient::Member { login }) => Some(*login),
                        _ => None,
                    })
                    .collect();
                let members = tx.member_addresses(&logins).await?;
                let mut notices = Vec::new();
                for (message, recipient) in held {
                    let address = match &recipient {
                        Some(EmailRecipient::Member { login }) => members
                            .iter()
                            .find_map(|(id, address)| (id == login).then(|| address.clone())),
                        Some(EmailRecipient::Provider { npi }) => {
                            tx.provider_by_npi(npi).await?.and_then(|provider| provider.email)
                        }
                        Some(EmailRecipient::Staff) => alerts_to.clone(),
                        None => None,
                    };
                    notices.push(Notice {
                        message,
                        recipient,
                        address,
                    });
                }
                Ok(notices)
            })
        })
        .await
}

async fn attempt(state: &State, notice: &Notice) -> SendOutcome {
    let Some(recipient) = &notice.recipient else {
        return SendOutcome::Failed("the payload cannot be read".to_owned());
    };
    let Some(address) = &notice.address else {
        return SendOutcome::Failed("no email address on file".to_owned());
    };
    let kind = match recipient {
        EmailRecipient::Member { .. } => NoticeKind::Member,
        EmailRecipient::Provider { .. } => NoticeKind::Provider,
        EmailRecipient::Staff => NoticeKind::WorkDue,
    };
    let link = state.url(&format!("/notice/{}", notice.message.id));
    let email = Email {
        to: address,
        kind,
        link: &link,
        id: notice.message.id,
    };
    match state.mail.send(&email).await {
        Ok(()) => SendOutcome::Sent,
        Err(SendError::Retry(reason)) => SendOutcome::Retry {
            reason,
            retry_after: None,
        },
        Err(SendError::Permanent(reason)) => SendOutcome::Failed(reason),
    }
}
