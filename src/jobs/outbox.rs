//! Effects that leave the house: notifications to subscribers, mail. Sent outside of any transaction, then noted; a
//! receiver may see one twice after a crash and tells them apart by event number or Message-ID, never by luck.
//!
//! Waits between tries: 5 s, 1 min, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, each ±20 %. A receiver's `Retry-After` is
//! honoured up to twice the planned wait, and never cut short.
//!
//! One subscriber gets its notifications in the order of their numbers; a later one waits behind an earlier one.

use super::{MOST, lease_end};
use crate::error::{Error, Result};
use crate::ig::pas::V2_2;
use crate::mail::{Knock, Letter, NotSent};
use crate::net::{Allowed, Delivered};
use crate::pas::{self, NotificationKind};
use crate::prior_auth::{Event, PriorAuth};
use crate::state::State;
use crate::store::queues::{Queue, Waiting};
use crate::store::subscriptions::Subscription;
use chrono::Duration;
use serde::Deserialize;
use uuid::Uuid;

const WAITS: [i64; 8] = [5, 60, 300, 1800, 7200, 18_000, 36_000, 36_000];

#[derive(Debug, Deserialize)]
struct Notification {
    subscription: Uuid,
    #[serde(default)]
    handshake: bool,
    case: Option<Uuid>,
    seq: Option<u32>,
    number: Option<u64>,
}

impl Notification {
    /// Its place among those for the same subscription: a handshake comes after the events before it.
    fn place(&self) -> (u64, bool) {
        (self.number.unwrap_or(0), self.handshake)
    }
}

fn place(payload: &str) -> (u64, bool) {
    serde_json::from_str(payload).map_or((0, false), |n: Notification| n.place())
}

#[derive(Debug, Deserialize)]
struct Mail {
    whom: String,
    id: String,
}

/// What became of one effect.
enum Done {
    Sent,
    /// Not now; the wait is in seconds when the receiver asked for one.
    Later(String, Option<u64>),
    Never(String),
    /// Nobody wants it any more; that is nobody's failure.
    Moot(&'static str),
    /// An earlier effect for the same receiver has to go first; this is no try.
    Behind,
    /// There was no time left; this is no try either.
    Untried,
}

/// Leases what is due and sends it; answers with how many pieces were leased and not put back behind others.
pub(super) async fn run_due(state: &State) -> Result<usize> {
    let now = state.now();
    let end = lease_end(state, now);
    let mut leased = state
        .store
        .write((now, end), |tx, (now, end)| {
            Box::pin(async move { tx.lease(Queue::Outbox, *now, *end, MOST).await })
        })
        .await?;
    let mut did = 0;
    leased.sort_by_key(|effect| place(&effect.payload));
    for effect in leased {
        if state.now() > now + (end - now) / 2 {
            // A slow receiver used up the time: the rest goes back before its lease ends, so that nobody else sends
            // the same meanwhile.
            settle(state, effect, Done::Untried).await?;
            continue;
        }
        let done = match effect.kind.as_str() {
            "notification" => notify(state, &effect).await,
            "mail" => mail(state, &effect).await,
            other => Ok(Done::Never(format!("no such kind of effect: {other}"))),
        };
        let done = done.unwrap_or_else(|e| Done::Later(e.to_string(), None));
        did += usize::from(!matches!(done, Done::Behind));
        settle(state, effect, done).await?;
    }
    Ok(did)
}

/// Notes what became of an effect; a handshake that arrived makes its subscription active, a failure for good puts
/// it into error.
async fn settle(state: &State, effect: Waiting, done: Done) -> Result<()> {
    let now = state.now();
    let kind = effect.kind.clone();
    let (word, next, why) = match &done {
        Done::Sent => ("sent", None, String::new()),
        Done::Behind => ("behind", Some(now + Duration::seconds(1)), String::new()),
        Done::Untried => ("untried", Some(now), String::new()),
        Done::Never(why) => ("dead", None, why.clone()),
        Done::Moot(why) => ("moot", None, (*why).to_owned()),
        Done::Later(why, asked) => {
            let next = next_try(effect.attempts, *asked).map(|wait| now + wait);
            (if next.is_some() { "again" } else { "dead" }, next, why.clone())
        }
    };
    metrics::counter!("assent_outbox_total", "kind" => kind, "outcome" => word).increment(1);
    if word == "dead" {
        tracing::error!(effect = %effect.id, attempts = effect.attempts, cause = %why, "an effect cannot be delivered");
    }
    let subscription = subscription_change(&effect, word);
    state
        .store
        .write(
            (effect, word, next, why, subscription, now),
            |tx, (effect, word, next, why, subscription, now)| {
                Box::pin(async move {
                    match (*word, next) {
                        ("sent", _) => drop(tx.finish_effect(effect, *now).await?),
                        ("behind" | "untried", Some(next)) => tx.hand_back(effect, *next).await?,
                        _ => tx.put_back(Queue::Outbox, effect, *next, why, *now).await?,
                    }
                    if let Some((id, status)) = subscription {
                        let why = (*status == "error").then_some("notifications could not be delivered");
                        tx.set_subscription_status(*id, status, why, *now).await?;
                    }
                    Ok(())
                })
            },
        )
        .await
}

fn subscription_change(effect: &Waiting, word: &str) -> Option<(Uuid, &'static str)> {
    if effect.kind != "notification" {
        return None;
    }
    let payload: Notification = serde_json::from_str(&effect.payload).ok()?;
    match word {
        "sent" if payload.handshake => Some((payload.subscription, "active")),
        "dead" => Some((payload.subscription, "error")),
        _ => None,
    }
}

/// The wait after the n-th try (from 1); none when it was the last.
fn next_try(attempts: i64, asked: Option<u64>) -> Option<Duration> {
    let planned = *WAITS.get(usize::try_from(attempts - 1).ok()?)?;
    let [byte] = crate::clock::random_bytes::<1>();
    let jitter = 400 * i64::from(byte) / 255;
    Some(Duration::milliseconds(
        match asked.and_then(|s| i64::try_from(s).ok()) {
            Some(asked) => asked.clamp(planned, planned * 2) * (1000 + jitter / 2),
            None => planned * (800 + jitter),
        },
    ))
}

async fn notify(state: &State, effect: &Waiting) -> Result<Done> {
    let payload: Notification = serde_json::from_str(&effect.payload).map_err(Error::internal)?;
    let found = state
        .store
        .read(
            (effect.id, payload.subscription, payload.case),
            |tx, (effect, subscription, case)| {
                Box::pin(async move {
                    let beside = tx.waiting_beside(*effect).await?;
                    let subscription = tx.subscription(*subscription).await?;
                    let Some(subscription) = subscription else {
                        return Ok(None);
                    };
                    let client = tx.client(subscription.client).await?;
                    let case = match case {
                        Some(id) => Some(stored_case(tx, *id).await?),
                        None => None,
                    };
                    Ok(Some((beside, subscription, client, case)))
                })
            },
        )
        .await?;
    let Some((beside, subscription, client, case)) = found else {
        return Ok(Done::Moot("the subscription is gone"));
    };
    match subscription.status.as_str() {
        "off" => return Ok(Done::Moot("the subscription was taken back")),
        "error" => return Ok(Done::Moot("the subscription stands in error")),
        _ => {}
    }
    let Some(client) = client.filter(|c| !c.disabled) else {
        return Ok(Done::Never("the client is disabled".to_owned()));
    };
    if beside.iter().any(|other| place(other) < payload.place()) {
        return Ok(Done::Behind);
    }
    let body = body(state, &subscription, &payload, case.as_ref(), effect.id)?;
    let (headers, content_type) = pas::channel(&subscription.doc);
    let Some(endpoint) = pas::endpoint(&subscription.doc) else {
        return Ok(Done::Never("the subscription has no endpoint".to_owned()));
    };
    // The registration may have changed since the subscription was made: checked again at each send.
    let allowed = Allowed {
        hosts: &client.doc.callback_hosts,
        loopback_http: client.doc.loopback_http,
    };
    Ok(
        match state
            .net
            .post(endpoint, &headers, &content_type, body, allowed)
            .await
        {
            Delivered::Yes => Done::Sent,
            Delivered::Later(why, asked) => Done::Later(why, asked),
            Delivered::No(why) => Done::Never(why),
        },
    )
}

type StoredCase = (Uuid, Vec<Event>, String);

async fn stored_case(tx: &mut crate::store::Tx, id: Uuid) -> Result<StoredCase> {
    let events = tx.events(id).await?;
    let case = PriorAuth::replay(id, &events).ok_or_else(|| Error::not_found("case", id))?;
    let text = tx.request_text(case.received.request).await?;
    Ok((id, events, text))
}

/// The notification's body: rebuilt from the case's events up to the one that it is about.
fn body(
    state: &State,
    subscription: &Subscription,
    payload: &Notification,
    case: Option<&StoredCase>,
    effect: Uuid,
) -> Result<String> {
    let now = state.now();
    let url = state.url(&format!("/pas/2.2/Subscription/{}", subscription.id));
    let (Some((id, events, text)), Some(seq), Some(number)) = (case, payload.seq, payload.number) else {
        let handshake = pas::notification(
            &url,
            &subscription.status,
            payload.number.unwrap_or(0),
            &NotificationKind::Handshake,
            effect,
            now,
        );
        return Ok(handshake.to_string());
    };
    let until: Vec<Event> = events.iter().filter(|e| e.seq <= seq).cloned().collect();
    let case = PriorAuth::replay(*id, &until).ok_or_else(|| Error::not_found("case", id))?;
    let focus = pas::current_answer(state, &V2_2, &case, text, "profile-claimresponse", now)?;
    let at = case.changed;
    let kind = NotificationKind::Event {
        number,
        at,
        focus: &focus,
    };
    Ok(pas::notification(&url, "active", number, &kind, effect, now).to_string())
}

async fn mail(state: &State, effect: &Waiting) -> Result<Done> {
    let payload: Mail = serde_json::from_str(&effect.payload).map_err(Error::internal)?;
    let (knock, address) = match payload.whom.as_str() {
        "member" => (Knock::Member, member_address(state, &payload.id).await?),
        "provider" => (Knock::Provider, provider_address(state, payload.id).await?),
        _ => (
            Knock::WorkDue,
            Some(state.config.mail.alerts_to.clone()).filter(|a| !a.is_empty()),
        ),
    };
    let Some(address) = address else {
        return Ok(Done::Never("no address on file".to_owned()));
    };
    let link = state.url(&format!("/k/{}", effect.id));
    let letter = Letter {
        to: &address,
        knock,
        link: &link,
        id: effect.id,
    };
    Ok(match state.mail.send(&letter).await {
        Ok(()) => Done::Sent,
        Err(NotSent::Later(why)) => Done::Later(why, None),
        Err(NotSent::Never(why)) => Done::Never(why),
    })
}

async fn member_address(state: &State, login: &str) -> Result<Option<String>> {
    let id: Uuid = login.parse().map_err(Error::internal)?;
    let login = state
        .store
        .read(id, |tx, id| Box::pin(async move { tx.login(*id).await }))
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
