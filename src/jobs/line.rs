//! The line of one subscription: its messages are sent one after another, the handshake first and then the events in the
//! order of their numbers. While the first message waits for its next attempt, nothing else of the line is sent.
//!
//! Directly before each message the subscription is read again: nothing is sent for one that is off, deleted or in error
//! at that moment, and what came of sending counts only if the client has not changed the subscription in between.

use super::lease::Stop;
use super::notification::{self, CaseText};
use super::outbox::{POLL, SendOutcome, count, next_wait};
use crate::auth::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::prior_auth::PriorAuth;
use crate::state::State;
use crate::store::Tx;
use crate::store::messages::NotificationPayload;
use crate::store::queues::{FailedAttempt, LineLease, LineMessage};
use crate::store::subscriptions::Subscription;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How many messages are read at once.
const BATCH: i64 = 8;
/// After so many messages a line is due again behind the others.
const MAX_PER_LEASE: usize = 128;
/// Results are recorded at least this often while messages are sent.
const RECORD_AFTER: Duration = Duration::from_millis(100);
/// How many messages that are not needed any more are given up in one unit of work.
const GIVEN_UP_AT_ONCE: i64 = 500;
/// Why a subscription is in error.
const UNDELIVERABLE: &str = "notifications could not be delivered";
/// When a line is due again after an error of this server.
const AFTER_ERROR: chrono::Duration = chrono::Duration::seconds(5);

/// Sends the messages of a leased line until none is left, one fails, or `stop` is set, and returns the line. Returns
/// how many attempts there were.
pub(super) async fn send(state: &State, lease: LineLease, stop: &Stop) -> usize {
    let mut line = Line {
        state,
        stop,
        lease,
        tried: 0,
        current: None,
        sent: Vec::new(),
    };
    let ended = AssertUnwindSafe(line.send_all()).catch_unwind().await;
    let reason = match ended {
        Ok(Ok(())) => return line.tried,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the worker panicked".to_owned(),
    };
    tracing::error!(subscription = %line.lease.subscription, cause = %reason, "the messages of a subscription could not be sent");
    line.return_after_error(reason).await;
    line.tried
}

/// What is read to send some messages of a line.
struct Batch {
    subscription: Subscription,
    /// None when the client is disabled.
    client: Option<Client>,
    messages: Vec<Prepared>,
}

/// A message with what its body is built from.
struct Prepared {
    message: LineMessage,
    payload: NotificationPayload,
    /// None for a handshake.
    case: Option<CaseText>,
}

/// What follows for the line after a message.
enum Next {
    Message,
    ReadAgain,
    Released,
}

/// What is recorded in one unit of work.
#[derive(Clone, Default)]
struct Recorded {
    sent: Vec<Uuid>,
    failed: Option<FailedAttempt>,
    /// The subscription's new status, and why it is in error.
    status: Option<(&'static str, Option<&'static str>)>,
    /// When the line is due again, and whether that is because an attempt failed.
    due_again: Option<(DateTime<Utc>, bool)>,
}

struct Line<'a> {
    state: &'a State,
    stop: &'a Stop,
    lease: LineLease,
    tried: usize,
    /// The message that is being sent.
    current: Option<LineMessage>,
    /// Messages that were sent and are not recorded yet.
    sent: Vec<Uuid>,
}

impl Line<'_> {
    async fn send_all(&mut self) -> Result<()> {
        loop {
            let Some(batch) = self.read().await? else {
                // Another process has the line, or the subscription was deleted.
                return Ok(());
            };
            let now = self.state.now();
            if let Some(reason) = reason_to_give_up(&batch.subscription, now) {
                self.give_up(reason).await?;
                return self.return_empty().await;
            }
            if batch.messages.is_empty() {
                return self.return_empty().await;
            }
            if let Next::Released = self.send_batch(batch).await? {
                return Ok(());
            }
        }
    }

    async fn send_batch(&mut self, batch: Batch) -> Result<Next> {
        let mut recorded_at = Instant::now();
        let messages = batch.messages.len();
        for (n, prepared) in batch.messages.into_iter().enumerate() {
            if self.stop.is_set() || self.tried >= MAX_PER_LEASE {
                let now = self.state.now();
                self.record(Recorded {
                    due_again: Some((now, false)),
                    ..Recorded::default()
                })
                .await?;
                return Ok(Next::Released);
            }
            if n > 0 && !self.is_unchanged(&batch.subscription).await? {
                self.record(Recorded::default()).await?;
                return Ok(Next::ReadAgain);
            }
            let next = self
                .send_one(&batch.subscription, batch.client.as_ref(), prepared)
                .await?;
            if !matches!(next, Next::Message) {
                return Ok(next);
            }
            if recorded_at.elapsed() >= RECORD_AFTER || n + 1 == messages {
                self.record(Recorded::default()).await?;
                recorded_at = Instant::now();
            }
        }
        Ok(Next::ReadAgain)
    }

    async fn send_one(
        &mut self,
        subscription: &Subscription,
        client: Option<&Client>,
        prepared: Prepared,
    ) -> Result<Next> {
        let Prepared {
            message,
            payload,
            case,
        } = prepared;
        let (id, failures) = (message.id, message.attempts);
        self.current = Some(message);
        self.tried += 1;
        let outcome = match client {
            None => SendOutcome::Failed("the client is disabled".to_owned()),
            Some(_) if payload.handshake && payload.version != Some(subscription.version) => {
                SendOutcome::Obsolete("the subscription was replaced")
            }
            Some(client) => {
                notification::send(self.state, subscription, client, &payload, case.as_ref(), id).await?
            }
        };
        let now = self.state.now();
        let Some(failure) = outcome.failure(failures, now) else {
            count("notification", id, "sent", "");
            self.current = None;
            self.sent.push(id);
            if !payload.handshake {
                return Ok(Next::Message);
            }
            self.record(Recorded {
                status: Some(("active", None)),
                ..Recorded::default()
            })
            .await?;
            return Ok(Next::ReadAgain);
        };
        count("notification", id, failure.label, &failure.reason);
        let next_at = failure.next_at;
        self.record(Recorded {
            sent: Vec::new(),
            failed: Some(FailedAttempt {
                message: id,
                next_at,
                reason: failure.reason,
            }),
            status: (failure.label == "dead").then_some(("error", Some(UNDELIVERABLE))),
            due_again: next_at.map(|next_at| (next_at, true)),
        })
        .await?;
        self.current = None;
        Ok(if next_at.is_some() {
            Next::Released
        } else {
            Next::ReadAgain
        })
    }

    /// Reads the next messages, if this process still has the line.
    async fn read(&mut self) -> Result<Option<Batch>> {
        let now = self.state.now();
        let read = self.state.store.read((self.lease, now), |tx, (lease, now)| {
            Box::pin(read_batch(tx, *lease, *now))
        });
        let batch = match read.await {
            Ok(batch) => batch,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => {
                // The first message cannot be read, so this counts as an attempt to send it.
                self.current = self.first_message().await?;
                return Err(error);
            }
        };
        if let Some(batch) = &batch {
            self.lease.version = batch.subscription.version;
            self.lease.event_count =
                i64::try_from(batch.subscription.event_count).map_err(Error::internal)?;
        }
        Ok(batch)
    }

    async fn first_message(&self) -> Result<Option<LineMessage>> {
        let read = self.state.store.read_one(self.lease.subscription, |tx, line| {
            Box::pin(async move { tx.line_messages(*line, 1).await })
        });
        Ok(read.await?.pop())
    }

    /// Whether messages may still be sent for the subscription as it was read.
    async fn is_unchanged(&self, seen: &Subscription) -> Result<bool> {
        let (lease, now) = (self.lease, self.state.now());
        let current = self.state.store.read(lease, |tx, lease| {
            Box::pin(async move {
                let found = tx.leased_subscription(lease.subscription, lease.owner).await?;
                let Some(subscription) = found else {
                    return Ok(None);
                };
                let client = tx.client(subscription.client).await?;
                Ok(client.filter(|client| !client.disabled).map(|_| subscription))
            })
        });
        let current = current.await?;
        Ok(current.is_some_and(|current| {
            current.version == seen.version && current.status_at(now) == seen.status_at(now)
        }))
    }

    async fn give_up(&self, reason: &'static str) -> Result<()> {
        loop {
            let given_up = self
                .state
                .store
                .write_one((self.lease, reason), |tx, (lease, reason)| {
                    Box::pin(async move { tx.give_up_line(*lease, reason, GIVEN_UP_AT_ONCE).await })
                });
            let given_up = given_up.await?;
            metrics::counter!("assent_outbox_total", "kind" => "notification", "outcome" => "obsolete")
                .increment(given_up);
            if given_up < GIVEN_UP_AT_ONCE.unsigned_abs() {
                return Ok(());
            }
        }
    }

    async fn return_empty(&self) -> Result<()> {
        let now = self.state.now();
        self.state
            .store
            .write_one((self.lease, now), |tx, (lease, now)| {
                Box::pin(async move { tx.release_empty_line(*lease, *now).await })
            })
            .await
    }

    /// Records what was sent so far together with `result`. That a message was sent must not be lost, so this is tried
    /// again while the database does not answer.
    async fn record(&mut self, mut result: Recorded) -> Result<()> {
        result.sent = std::mem::take(&mut self.sent);
        let is_only_sent = result.failed.is_none() && result.status.is_none() && result.due_again.is_none();
        if is_only_sent && result.sent.is_empty() {
            return Ok(());
        }
        let (lease, now, store) = (self.lease, self.state.now(), &self.state.store);
        loop {
            let input = (result.clone(), lease, now);
            let stored = if is_only_sent {
                let sent = store.write_one(input, |tx, (result, _, now)| {
                    Box::pin(tx.record_sent(&result.sent, *now))
                });
                sent.await
            } else {
                let all = store.write(input, |tx, (result, lease, now)| {
                    Box::pin(result.store(tx, *lease, *now))
                });
                all.await
            };
            match stored {
                Ok(()) => return Ok(()),
                Err(error) if self.stop.is_set() => return Err(error),
                Err(error) => {
                    tracing::error!(cause = %error, "the results of sending could not be stored yet");
                }
            }
            self.stop.pause(POLL).await;
        }
    }

    /// Returns the line after an error of this server. If a message was being sent, that counts as an attempt.
    async fn return_after_error(&mut self, reason: String) {
        let now = self.state.now();
        let failed = self.current.take().map(|message| FailedAttempt {
            message: message.id,
            next_at: next_wait(message.attempts, None).map(|wait| now + wait),
            reason,
        });
        let is_dead = failed.as_ref().is_some_and(|failed| failed.next_at.is_none());
        let next_at = failed.as_ref().and_then(|failed| failed.next_at);
        let recorded = self.record(Recorded {
            sent: Vec::new(),
            status: is_dead.then_some(("error", Some(UNDELIVERABLE))),
            due_again: Some((next_at.unwrap_or(now + AFTER_ERROR), failed.is_some())),
            failed,
        });
        if let Err(error) = recorded.await {
            tracing::warn!(cause = %error, "a line could not be returned; its lease will be freed later");
        }
    }
}

impl Recorded {
    async fn store(&self, tx: &mut Tx, lease: LineLease, now: DateTime<Utc>) -> Result<()> {
        if !self.sent.is_empty() {
            tx.record_sent(&self.sent, now).await?;
        }
        if let Some(failed) = &self.failed {
            tx.record_line_failure(lease, failed, now).await?;
        }
        if let Some((status, error)) = self.status {
            tx.set_subscription_status(lease, status, error, now).await?;
        }
        if let Some((next_at, failed)) = self.due_again {
            tx.release_line(lease, next_at, failed, now).await?;
        }
        Ok(())
    }
}

fn reason_to_give_up(subscription: &Subscription, now: DateTime<Utc>) -> Option<&'static str> {
    match subscription.status_at(now) {
        "off" => Some("the subscription is off"),
        "error" => Some("the subscription is in error"),
        _ => None,
    }
}

/// Reads the first messages of a line with their cases: handshakes while the subscription is requested, events while it
/// is active. None when the process no longer has the line.
async fn read_batch(tx: &mut Tx, lease: LineLease, now: DateTime<Utc>) -> Result<Option<Batch>> {
    let found = tx.leased_subscription(lease.subscription, lease.owner).await?;
    let Some(subscription) = found else {
        return Ok(None);
    };
    let client = tx.client(subscription.client).await?;
    let mut batch = Batch {
        client: client.filter(|client| !client.disabled),
        messages: Vec::new(),
        subscription,
    };
    let status = batch.subscription.status_at(now).to_owned();
    if reason_to_give_up(&batch.subscription, now).is_some() {
        return Ok(Some(batch));
    }
    for message in tx.line_messages(lease.subscription, BATCH).await? {
        let payload: NotificationPayload = serde_json::from_str(&message.payload).map_err(Error::internal)?;
        if !payload.handshake && status != "active" {
            // Events wait for the handshake.
            break;
        }
        let case = match payload.case.filter(|_| batch.client.is_some()) {
            Some(case) => match read_case(tx, case).await {
                // The messages before it are sent first.
                Err(error) if error.kind() == ErrorKind::Internal && !batch.messages.is_empty() => break,
                read => Some(read?),
            },
            None => None,
        };
        batch.messages.push(Prepared {
            message,
            payload,
            case,
        });
    }
    Ok(Some(batch))
}

async fn read_case(tx: &mut Tx, id: Uuid) -> Result<CaseText> {
    let events = tx.events(id).await?;
    let case = PriorAuth::replay(id, &events).ok_or_else(|| Error::not_found("case", id))?;
    let request = tx.request_text(case.received.request).await?;
    Ok(CaseText { id, events, request })
}
