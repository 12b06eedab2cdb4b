//! Sends outbox messages: notifications to subscribers and email notices. Messages are sent outside of any transaction
//! and the result is stored afterwards. A receiver may get a message twice after a crash; it can recognize the
//! duplicate by the event number or the Message-ID.
//!
//! Waits between attempts: 5 s, 1 min, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, each ±20 %. A receiver's `Retry-After`
//! extends a wait up to twice the planned time; it is never shortened.
//!
//! A subscriber gets its notifications in the order of their event numbers; a later one waits for the earlier ones, and
//! all of them wait for the handshake. Nothing is sent for a subscription that is off, deleted or in error at that
//! moment, and what came of sending counts only if the client has not changed the subscription in between.

use super::lease::{BATCH_SIZE, lease_end};
use super::payload::{EmailRecipient, NotificationPayload};
use crate::auth::Client;
use crate::error::{Error, Result};
use crate::fhir::decimals;
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
            record_outcome(state, message, None, SendOutcome::NotAttempted).await?;
            continue;
        }
        let (seen, outcome) = match message.kind.as_str() {
            "notification" => send_notification(state, &message).await,
            "mail" => (None, send_email(state, &message).await),
            other => (
                None,
                Ok(SendOutcome::Failed(format!("unknown kind of message: {other}"))),
            ),
        };
        let outcome = outcome.unwrap_or_else(|e| SendOutcome::Retry {
            reason: e.to_string(),
            retry_after: None,
        });
        count += usize::from(!matches!(outcome, SendOutcome::WaitForEarlier));
        record_outcome(state, message, seen, outcome).await?;
    }
    Ok(count)
}

fn position(payload: &str) -> (bool, u64) {
    serde_json::from_str(payload).map_or((true, 0), |n: NotificationPayload| n.position())
}

/// Stores the result of an attempt. A delivered handshake makes its subscription active; a notification that is given
/// up puts it in error. `seen` is the subscription that the message was sent for.
async fn record_outcome(
    state: &State,
    message: LeasedWork,
    seen: Option<SeenSubscription>,
    outcome: SendOutcome,
) -> Result<()> {
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
    let subscription = seen.and_then(|seen| Some((seen.id, seen.version, seen.status_after(label)?)));
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
                    if let Some((id, version, status)) = subscription {
                        let error = (*status == "error").then_some("notifications could not be delivered");
                        tx.set_subscription_status((*id, *version), status, error, *now)
                            .await?;
                    }
                    Ok(())
                })
            },
        )
        .await
}

/// The subscription that a notification is sent for, as it was read for sending.
#[derive(Debug, Clone, Copy)]
struct SeenSubscription {
    id: Uuid,
    version: i64,
    handshake: bool,
}

impl SeenSubscription {
    /// The status that follows from an attempt with this outcome.
    fn status_after(self, outcome: &str) -> Option<&'static str> {
        match outcome {
            "sent" if self.handshake => Some("active"),
            "dead" => Some("error"),
            _ => None,
        }
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

/// Sends a notification. Returns the subscription too, if there is one.
async fn send_notification(
    state: &State,
    message: &LeasedWork,
) -> (Option<SeenSubscription>, Result<SendOutcome>) {
    let (payload, stored) = match read_notification(state, message).await {
        Ok((payload, Some(stored))) => (payload, stored),
        Ok((_, None)) => {
            return (
                None,
                Ok(SendOutcome::Obsolete("the subscription no longer exists")),
            );
        }
        Err(error) => return (None, Err(error)),
    };
    let seen = SeenSubscription {
        id: stored.subscription.id,
        version: stored.subscription.version,
        handshake: payload.handshake,
    };
    let outcome = match reason_not_to_send(&stored, &payload, state.now()) {
        Some(outcome) => Ok(outcome),
        None => deliver(state, &stored, &payload, message.id).await,
    };
    (Some(seen), outcome)
}

async fn read_notification(
    state: &State,
    message: &LeasedWork,
) -> Result<(NotificationPayload, Option<StoredNotification>)> {
    let payload: NotificationPayload = serde_json::from_str(&message.payload).map_err(Error::internal)?;
    let stored = state
        .store
        .read(
            (message.id, payload.subscription, payload.case),
            |tx, (message, subscription, case)| {
                Box::pin(stored_notification(tx, *message, *subscription, *case))
            },
        )
        .await?;
    Ok((payload, stored))
}

/// Why a notification is not sent now. A handshake is sent while its version of the subscription is requested; events
/// are sent while the subscription is active, each after the earlier ones.
fn reason_not_to_send(
    stored: &StoredNotification,
    payload: &NotificationPayload,
    now: DateTime<Utc>,
) -> Option<SendOutcome> {
    let status = stored.subscription.status_at(now);
    let is_wanted = match (status, payload.handshake) {
        ("off", _) => return Some(SendOutcome::Obsolete("the subscription is off")),
        ("error", _) => return Some(SendOutcome::Obsolete("the subscription is in error")),
        (_, true) => status == "requested" && payload.version == Some(stored.subscription.version),
        (_, false) => true,
    };
    if !is_wanted {
        return Some(SendOutcome::Obsolete("the subscription was replaced"));
    }
    if stored.client.as_ref().is_none_or(|client| client.disabled) {
        return Some(SendOutcome::Failed("the client is disabled".to_owned()));
    }
    let has_earlier = || {
        stored
            .pending
            .iter()
            .any(|other| position(other) < payload.position())
    };
    let waits = !payload.handshake && (status != "active" || has_earlier());
    waits.then_some(SendOutcome::WaitForEarlier)
}

async fn deliver(
    state: &State,
    stored: &StoredNotification,
    payload: &NotificationPayload,
    message: Uuid,
) -> Result<SendOutcome> {
    let Some(client) = &stored.client else {
        return Ok(SendOutcome::Failed("the client no longer exists".to_owned()));
    };
    let body = notification_body(
        state,
        &stored.subscription,
        client,
        payload,
        stored.case.as_ref(),
        message,
    )?;
    post_notification(state, &stored.subscription, client, body).await
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
    let notification = pas::notification_bundle(&url, "active", number, &kind, message, now);
    Ok(decimals::write(&notification))
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
