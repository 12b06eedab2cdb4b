//! Subscriptions to the PAS topic (Subscriptions R5 Backport for R4, 1.1.0; PAS 2.2.1 spec-51 to spec-62): rest-hook,
//! full resource, one filter by sending system. A client can subscribe only for its own systems. Searches and `$status`
//! are in `subscription_search`.

use super::subscription_checks::check;
use crate::auth::BackendCaller;
use crate::error::{Error, Result};
use crate::fhir::{self, put};
use crate::ig::pas::PasGuide;
use crate::state::State;
use crate::store::Tx;
use crate::store::subscriptions::Subscription;
use crate::wire::interaction::{Create, Delete, Read, Update};
use crate::wire::resource;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse, Guide};
use axum::extract::{Path, State as StateExtractor};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::fmt::Display;
use uuid::Uuid;

/// How many messages of a deleted subscription are given up in the unit of work that deletes it.
const GIVEN_UP_AT_ONCE: i64 = 500;

/// `POST Subscription`: stores it with status `requested` and queues the handshake.
pub async fn create(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Create>,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    let id = state.new_id();
    let new = new_subscription(&caller, id, body.value, "requested")?;
    let limit = state.config.limits.subscriptions;
    let stored = state
        .store
        .write((new, limit, state.now()), |tx, (new, limit, now)| {
            Box::pin(async move {
                tx.add_subscription(new, *limit, *now).await?;
                enqueue_handshake(tx, new, *now).await?;
                Ok(new.clone())
            })
        })
        .await?;
    Ok(FhirResponse::created(
        &resource_json(&stored, state.now()),
        url(&state, guide, id),
    ))
}

/// `PUT Subscription/{id}`: replaces it and queues a new handshake, unless its status is `off`.
pub async fn update(
    StateExtractor(state): StateExtractor<State>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Update>,
    Path(id): Path<String>,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    let own = find_own(&state, &caller, &id).await?;
    if fhir::text(&body.value, &["id"]).is_some_and(|in_body| in_body != id) {
        let message = "Subscription.id must be the id in the URL";
        return Err(Error::malformed(message).at_element("Subscription.id").into());
    }
    let is_off = fhir::text(&body.value, &["status"]) == Some("off");
    let status = if is_off { "off" } else { "requested" };
    let new = new_subscription(&caller, own.id, body.value, status)?;
    let replaced = state
        .store
        .write((new, state.now()), |tx, (new, now)| {
            Box::pin(async move {
                let Some(stored) = tx.replace_subscription(new, *now).await? else {
                    return Ok(None);
                };
                enqueue_handshake(tx, &stored, *now).await?;
                Ok(Some(stored))
            })
        })
        .await?;
    let stored = replaced.ok_or_else(|| not_found(&id))?;
    Ok(FhirResponse::read(&resource_json(&stored, state.now())))
}

/// `GET Subscription/{id}`.
pub async fn read(
    StateExtractor(state): StateExtractor<State>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Read>,
    Path(id): Path<String>,
) -> Result<FhirResponse, FhirFailure> {
    let own = find_own(&state, &caller, &id).await?;
    Ok(FhirResponse::read(&resource_json(&own, state.now())))
}

/// `DELETE Subscription/{id}`: deletes the subscription. Queued notifications are not sent.
pub async fn delete(
    StateExtractor(state): StateExtractor<State>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Delete>,
    Path(id): Path<String>,
) -> Result<StatusCode, FhirFailure> {
    let own = find_own(&state, &caller, &id).await?;
    state
        .store
        .write(own.id, |tx, id| {
            Box::pin(async move { tx.delete_subscription(*id, GIVEN_UP_AT_ONCE).await })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's subscription with this id. Subscriptions of other clients are not found.
pub(super) async fn find_own(state: &State, caller: &BackendCaller, id: &str) -> Result<Subscription> {
    let uuid: Uuid = id.parse().map_err(|_| not_found(id))?;
    let found = state
        .store
        .read_one(uuid, |tx, id| Box::pin(async move { tx.subscription(*id).await }))
        .await?;
    found
        .filter(|subscription| subscription.client == caller.client.id)
        .ok_or_else(|| not_found(id))
}

fn not_found(id: impl Display) -> Error {
    Error::not_found("Subscription", id)
}

/// The subscription that a client sent, with this status.
fn new_subscription(caller: &BackendCaller, id: Uuid, doc: Value, status: &str) -> Result<Subscription> {
    let senders = check(&caller.client, &doc)?;
    Ok(Subscription {
        id,
        client: caller.client.id,
        status: status.to_owned(),
        version: 1,
        doc,
        senders,
        event_count: 0,
        error: None,
    })
}

/// Queues the handshake of a subscription that waits for it. One whose `end` has passed is off and gets none.
async fn enqueue_handshake(tx: &mut Tx, subscription: &Subscription, now: DateTime<Utc>) -> Result<()> {
    if subscription.status_at(now) != "requested" {
        return Ok(());
    }
    let Subscription { id, version, .. } = subscription;
    let number = subscription.event_count;
    let payload =
        json!({ "subscription": id, "handshake": true, "version": version, "number": number }).to_string();
    tx.enqueue_handshake(subscription, payload, now).await
}

/// The resource as the client sent it, with the server's id and its status at this time.
pub(super) fn resource_json(subscription: &Subscription, now: DateTime<Utc>) -> Value {
    let mut resource = subscription.doc.clone();
    put(&mut resource, "id", json!(subscription.id));
    put(&mut resource, "status", json!(subscription.status_at(now)));
    match (&subscription.error, resource.as_object_mut()) {
        (Some(error), _) => put(&mut resource, "error", json!(error)),
        (None, Some(elements)) => drop(elements.remove("error")),
        (None, None) => {}
    }
    resource
}

pub(super) fn url(state: &State, guide: &PasGuide, id: Uuid) -> String {
    subscription_url(&state.config.public_url, guide, id)
}

/// The full URL of a subscription.
pub fn subscription_url(public_url: &str, guide: &PasGuide, id: Uuid) -> String {
    format!("{public_url}{}/Subscription/{id}", guide.base_path)
}
