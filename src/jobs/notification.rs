//! Builds one notification and sends it to the subscriber's endpoint.

use super::outbox::SendOutcome;
use crate::auth::Client;
use crate::error::{Error, Result};
use crate::fhir::decimals;
use crate::ig::pas::{PasGuide, Profile};
use crate::net::{AllowedHosts, PostMessage, PostResult};
use crate::pas::{self, NotificationKind};
use crate::prior_auth::{Event, PriorAuth};
use crate::state::{State, WorkSize};
use crate::store::messages::NotificationPayload;
use crate::store::subscriptions::Subscription;
use std::time::Duration;
use uuid::Uuid;

/// What the body of a notification is built from.
pub(super) struct CaseText {
    pub id: Uuid,
    pub events: Vec<Event>,
    /// The request as received.
    pub request: String,
}

/// Sends a notification. An error is one of this server.
pub(super) async fn send(
    state: &State,
    subscription: &Subscription,
    client: &Client,
    payload: &NotificationPayload,
    case: Option<&CaseText>,
    message: Uuid,
) -> Result<SendOutcome> {
    let size = case.map_or(WorkSize::new(0, 0), |case| {
        WorkSize::new(case.request.len(), case.events.len())
    });
    let body = state
        .compute(size, || body(state, subscription, client, payload, case, message))
        .await?;
    Ok(post(state, subscription, client, body).await)
}

async fn post(state: &State, subscription: &Subscription, client: &Client, body: String) -> SendOutcome {
    let (headers, content_type) = pas::rest_hook_headers(&subscription.doc);
    let Some(endpoint) = pas::endpoint(&subscription.doc) else {
        return SendOutcome::Failed("the subscription has no endpoint".to_owned());
    };
    // The client's registration may have changed since the subscription was created, so it is checked each time.
    let allowed = AllowedHosts {
        hosts: &client.doc.callback_hosts,
        loopback_http: client.doc.loopback_http,
    };
    let message = PostMessage {
        headers: &headers,
        content_type: &content_type,
        body,
        time_limit: Duration::from_secs(u64::from(state.config.workers.delivery_seconds)),
    };
    match state.net.post(endpoint, message, allowed).await {
        PostResult::Accepted => SendOutcome::Sent,
        PostResult::RetryLater { reason, retry_after } => SendOutcome::Retry { reason, retry_after },
        PostResult::Rejected(reason) => SendOutcome::Failed(reason),
    }
}

/// The body of a notification, built from the case's events up to the one that it is about.
fn body(
    state: &State,
    subscription: &Subscription,
    client: &Client,
    payload: &NotificationPayload,
    case: Option<&CaseText>,
    message: Uuid,
) -> Result<String> {
    let now = state.now();
    let guide = PasGuide::for_client(&client.doc.versions);
    let url = pas::subscription_url(&state.config.public_url, guide, subscription.id);
    let (Some(text), Some(seq), Some(number)) = (case, payload.seq, payload.number) else {
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
    let until: Vec<Event> = text.events.iter().filter(|e| e.seq <= seq).cloned().collect();
    let case = PriorAuth::replay(text.id, &until).ok_or_else(|| Error::not_found("case", text.id))?;
    let focus = pas::current_response(state, guide, &case, &text.request, Profile::ClaimResponse, now)?;
    let at = case.changed;
    let kind = NotificationKind::Event {
        number,
        at,
        focus: &focus,
    };
    let notification = pas::notification_bundle(&url, "active", number, &kind, message, now);
    Ok(decimals::write(&notification))
}
