//! Sends outbox messages: notifications to subscribers and email notices. Messages are sent outside of any transaction
//! and the result is stored afterwards. A receiver may get a message twice after a crash; it can recognize the
//! duplicate by the event number or the Message-ID.
//!
//! Waits between attempts: 5 s, 1 min, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, each ±20 %. A receiver's `Retry-After`
//! extends a wait up to twice the planned time; it is never shortened.
//!
//! A subscriber gets its notifications in the order of their event numbers; a later one waits for the earlier ones.

use super::lease::{BATCH_SIZE, lease_end};
use super::payload::{EmailRecipient, NotificationPayload};
use crate::auth::Client;
use crate::error::{Error, Result};
use crate::ig::pas::{PasGuide, Profile};
use crate::mail::{Email, NoticeKind, SendError};
use crate::net::{AllowedHosts, PostResult};
use crate::pas::{self, NotificationKind};
use crate::prior_auth::{Event, PriorAuth};
use crate::state::State;
use crate::store::Tx;
use crate::store::queues::{LeasedWork, Queue};
use crate::store::subscriptions::Subscription;
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// The planned waits between attempts, in seconds.
const WAITS: [i64; 8] = [5, 60, 300, 1800, 7200, 18_000, 36_000, 36_000];

/// The result of an attempt to send a message.
#[derive(Debug)]
enum SendOutcome {
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
    /// An earlier message to the same receiver has to be sent first. Does not count as an attempt.
    WaitForEarlier,
    /// The time of the lease ran out. Does not count as an attempt.
    NotAttempted,
}

/// What is stored about a message after an attempt.
#[derive(Debug)]
enum StoredOutcome {
    Sent,
    /// Back to the queue without counting the attempt.
    Released(DateTime<Utc>),
    /// A failed attempt; without a next time the message is given up.
    Failure {
        next: Option<DateTime<Utc>>,
        reason: String,
    },
}

/// Leases the messages that are due and sends them. Returns how many were leased, without those that wait for an
/// earlier message.
pub(super) async fn run_due(state: &State) -> Result<usize> {
    let now = state.now();
    let end = lease_end(state, now);
    let mut leased = state
        .store
        .write((now, end), |tx, (now, end)| {
            Box::pin(async move { tx.lease(Queue::Outbox, *now, *end, BATCH_SIZE).await })
        })
        .await?;
    let mut count = 0;
    leased.sort_by_key(|message| position(&message.payload));
    for message in leased {
        if state.now() > now + (end - now) / 2 {
            // A slow receiver has used up the time. The remaining messages are released before their leases end, so
            // that no other worker sends them at the same time.
            record_outcome(state, message, SendOutcome::NotAttempted).await?;
            continue;
        }
        let outcome = match message.kind.as_str() {
            "notification" => send_notification(state, &message).await,
            "mail" => send_email(state, &message).await,
            other => Ok(SendOutcome::Failed(format!("unknown kind of message: {other}"))),
        };
        let outcome = outcome.unwrap_or_else(|e| SendOutcome::Retry {
            reason: e.to_string(),
            retry_after: None,
        });
        count += usize::from(!matches!(outcome, SendOutcome::WaitForEarlier));
        record_outcome(state, message, outcome).await?;
    }
    Ok(count)
}

fn position(payload: &str) -> (u64, bool) {
    serde_json::from_str(payload).map_or((0, false), |n: NotificationPayload| n.position())
}

/// Stores the result of an attempt. A delivered handshake makes its subscription active; a notification that is given
/// up puts it in error.
async fn record_outcome(state: &State, message: LeasedWork, outcome: SendOutcome) -> Result<()> {
    let now = state.now();
    let kind = message.kind.clone();
    let (label, stored) = match outcome {
        SendOutcome::Sent => ("sent", StoredOutcome::Sent),
        SendOutcome::WaitForEarlier => ("waiting", StoredOutcome::Released(now + Duration::seconds(1))),
        SendOutcome::NotAttempted => ("not-attempted", StoredOutcome::Released(now)),
        SendOutcome::Failed(reason) => ("dead", StoredOutcome::Failure { next: None, reason }),
        SendOutcome::Obsolete(reason) => {
            let reason = reason.to_owned();
            ("obsolete", StoredOutcome::Failure { next: None, reason })
        }
        SendOutcome::Retry { reason, retry_after } => {
            let next = next_wait(message.attempts, retry_after).map(|wait| now + wait);
            let label = if next.is_some() { "retry" } else { "dead" };
            (label, StoredOutcome::Failure { next, reason })
        }
    };
    metrics::counter!("assent_outbox_total", "kind" => kind, "outcome" => label).increment(1);
    if let ("dead", StoredOutcome::Failure { reason, .. }) = (label, &stored) {
        let attempts = message.attempts;
        tracing::error!(message = %message.id, attempts, cause = %reason, "a message cannot be delivered");
    }
    let subscription = subscription_status(&message, label);
    state
        .store
        .write(
            (message, stored, subscription, now),
            |tx, (message, stored, subscription, now)| {
                Box::pin(async move {
                    match stored {
                        StoredOutcome::Sent => drop(tx.finish_message(message, *now).await?),
                        StoredOutcome::Released(next) => tx.release(message, *next).await?,
                        StoredOutcome::Failure { next, reason } => {
                            tx.record_failure(Queue::Outbox, message, *next, reason, *now)
                                .await?;
                        }
                    }
                    if let Some((id, status)) = subscription {
                        let error = (*status == "error").then_some("notifications could not be delivered");
                        tx.set_subscription_status(*id, status, error, *now).await?;
                    }
                    Ok(())
                })
            },
        )
        .await
}

/// The subscription whose status changes after an attempt, with the new status.
fn subscription_status(message: &LeasedWork, outcome: &str) -> Option<(Uuid, &'static str)> {
    if message.kind != "notification" {
        return None;
    }
    let payload: NotificationPayload = serde_json::from_str(&message.payload).ok()?;
    match outcome {
        "sent" if payload.handshake => Some((payload.subscription, "active")),
        "dead" => Some((payload.subscription, "error")),
        _ => None,
    }
}

/// The wait after the n-th attempt (from 1); none after the last one.
fn next_wait(attempts: i64, retry_after: Option<u64>) -> Option<Duration> {
    let planned = *WAITS.get(usize::try_from(attempts - 1).ok()?)?;
    let [byte] = crate::clock::random_bytes::<1>();
    let jitter = 400 * i64::from(byte) / 255;
    let requested = retry_after.and_then(|seconds| i64::try_from(seconds).ok());
    Some(Duration::milliseconds(match requested {
        Some(requested) => requested.clamp(planned, planned * 2) * (1000 + jitter / 2),
        None => planned * (800 + jitter),
    }))
}

/// What is read from the store to send a notification.
struct StoredNotification {
    subscription: Subscription,
    client: Option<Client>,
    case: Option<StoredCase>,
    /// Payloads of other messages to the same subscription that are not sent yet.
    pending: Vec<String>,
}

/// A case's id, events and request text.
type StoredCase = (Uuid, Vec<Event>, String);

async fn send_notification(state: &State, message: &LeasedWork) -> Result<SendOutcome> {
    let payload: NotificationPayload = serde_json::from_str(&message.payload).map_err(Error::internal)?;
    let read = state
        .store
        .read(
            (message.id, payload.subscription, payload.case),
            |tx, (message, subscription, case)| {
                Box::pin(stored_notification(tx, *message, *subscription, *case))
            },
        )
        .await?;
    let Some(StoredNotification {
        subscription,
        client,
        case,
        pending,
    }) = read
    else {
        return Ok(SendOutcome::Obsolete("the subscription no longer exists"));
    };
    match subscription.status.as_str() {
        "off" => return Ok(SendOutcome::Obsolete("the subscription is off")),
        "error" => return Ok(SendOutcome::Obsolete("the subscription is in error")),
        _ => {}
    }
    let Some(client) = client.filter(|c| !c.disabled) else {
        return Ok(SendOutcome::Failed("the client is disabled".to_owned()));
    };
    if pending.iter().any(|other| position(other) < payload.position()) {
        return Ok(SendOutcome::WaitForEarlier);
    }
    let body = notification_body(state, &subscription, &client, &payload, case.as_ref(), message.id)?;
    post_notification(state, &subscription, &client, body).await
}

async fn stored_notification(
    tx: &mut Tx,
    message: Uuid,
    subscription: Uuid,
    case: Option<Uuid>,
) -> Result<Option<StoredNotification>> {
    let pending = tx.pending_payloads_to_same_recipient(message).await?;
    let Some(subscription) = tx.subscription(subscription).await? else {
        return Ok(None);
    };
    let client = tx.client(subscription.client).await?;
    let case = match case {
        Some(id) => Some(stored_case(tx, id).await?),
        None => None,
    };
    Ok(Some(StoredNotification {
        subscription,
        client,
        case,
        pending,
    }))
}

async fn stored_case(tx: &mut Tx, id: Uuid) -> Result<StoredCase> {
    let events = tx.events(id).await?;
    let case = PriorAuth::replay(id, &events).ok_or_else(|| Error::not_found("case", id))?;
    let text = tx.request_text(case.received.request).await?;
    Ok((id, events, text))
}

async fn post_notification(
    state: &State,
    subscription: &Subscription,
    client: &Client,
    body: String,
) -> Result<SendOutcome> {
    let (headers, content_type) = pas::rest_hook_headers(&subscription.doc);
    let Some(endpoint) = pas::endpoint(&subscription.doc) else {
        return Ok(SendOutcome::Failed("the subscription has no endpoint".to_owned()));
    };
    // The client's registration may have changed since the subscription was created, so it is checked each time.
    let allowed = AllowedHosts {
        hosts: &client.doc.callback_hosts,
        loopback_http: client.doc.loopback_http,
    };
    let result = state
        .net
        .post(endpoint, &headers, &content_type, body, allowed)
        .await;
    Ok(match result {
        PostResult::Accepted => SendOutcome::Sent,
        PostResult::RetryLater { reason, retry_after } => SendOutcome::Retry { reason, retry_after },
        PostResult::Rejected(reason) => SendOutcome::Failed(reason),
    })
}

/// The body of a notification, built from the case's events up to the one that it is about.
fn notification_body(
    state: &State,
    subscription: &Subscription,
    client: &Client,
    payload: &NotificationPayload,
    case: Option<&StoredCase>,
    message: Uuid,
) -> Result<String> {
    let now = state.now();
    let guide = PasGuide::for_client(&client.doc.versions);
    let url = pas::subscription_url(&state.config.public_url, guide, subscription.id);
    let (Some((id, events, text)), Some(seq), Some(number)) = (case, payload.seq, payload.number) else {
        let handshake = pas::notification_bundle(
            &url,
            &subscription.status,
            payload.number.unwrap_or(0),
            &NotificationKind::Handshake,
            message,
            now,
        );
        return Ok(handshake.to_string());
    };
    let until: Vec<Event> = events.iter().filter(|e| e.seq <= seq).cloned().collect();
    let case = PriorAuth::replay(*id, &until).ok_or_else(|| Error::not_found("case", id))?;
    let focus = pas::current_response(state, guide, &case, text, Profile::ClaimResponse, now)?;
    let at = case.changed;
    let kind = NotificationKind::Event {
        number,
        at,
        focus: &focus,
    };
    Ok(pas::notification_bundle(&url, "active", number, &kind, message, now).to_string())
}

async fn send_email(state: &State, message: &LeasedWork) -> Result<SendOutcome> {
    let recipient: EmailRecipient = serde_json::from_str(&message.payload).map_err(Error::internal)?;
    let (kind, address) = match recipient {
        EmailRecipient::Member { login } => (NoticeKind::Member, member_address(state, login).await?),
        EmailRecipient::Provider { npi } => (NoticeKind::Provider, provider_address(state, npi).await?),
        EmailRecipient::Staff => (
            NoticeKind::WorkDue,
            Some(state.config.mail.alerts_to.clone()).filter(|a| !a.is_empty()),
        ),
    };
    let Some(address) = address else {
        return Ok(SendOutcome::Failed("no email address on file".to_owned()));
    };
    let link = state.url(&format!("/notice/{}", message.id));
    let email = Email {
        to: &address,
        kind,
        link: &link,
        id: message.id,
    };
    Ok(match state.mail.send(&email).await {
        Ok(()) => SendOutcome::Sent,
        Err(SendError::Retry(reason)) => SendOutcome::Retry {
            reason,
            retry_after: None,
        },
        Err(SendError::Permanent(reason)) => SendOutcome::Failed(reason),
    })
}

async fn member_address(state: &State, login: Uuid) -> Result<Option<String>> {
    let login = state
        .store
        .read(login, |tx, id| Box::pin(async move { tx.login(*id).await }))
        .await?;
    Ok(login.filter(|l| !l.disabled).and_then(|l| l.email))
}

async fn provider_address(state: &State, npi: String) -> Result<Option<String>> {
    let provider = state
        .store
        .read(npi, |tx, npi| {
            Box::pin(async move { tx.provider_by_npi(npi).await })
        })
        .await?;
    Ok(provider.and_then(|p| p.email))
}
