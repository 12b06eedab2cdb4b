//! Subscriptions to the PAS topic (Subscriptions R5 Backport for R4, 1.1.0; PAS 2.2.1 spec-51 to spec-62): rest-hook,
//! full resource, one filter by sending system. A client can subscribe only for its own systems.

use super::notification::status_parameters;
use super::subscription_checks::check;
use crate::auth::BackendCaller;
use crate::clock::new_id;
use crate::error::{Error, Result};
use crate::fhir::{self, put};
use crate::ig::pas::PasGuide;
use crate::state::State;
use crate::store::queues::OutboxMessage;
use crate::store::subscriptions::Subscription;
use crate::wire::interaction::{Create, Delete, Read, Update};
use crate::wire::resource;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse, Guide};
use axum::extract::{Path, Query, State as StateExtractor};
use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

/// `POST Subscription`: stores it with status `requested` and queues the handshake.
pub async fn create(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Create>,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    let senders = check(&caller.client, &body.value)?;
    let id = state.new_id();
    let stored = store_with_handshake(&state, &caller, id, body.value, senders).await?;
    Ok(FhirResponse::created(
        &resource_json(&stored),
        url(&state, guide, id),
    ))
}

/// `PUT Subscription/{id}`: replaces it and queues a new handshake, or ends it when its status is `off`.
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
    let senders = check(&caller.client, &body.value)?;
    if fhir::text(&body.value, &["status"]) == Some("off") {
        turn_off(&state, own.id).await?;
        let off = Subscription {
            status: "off".to_owned(),
            doc: body.value,
            error: None,
            ..own
        };
        return Ok(FhirResponse::ok(&resource_json(&off)));
    }
    let stored = store_with_handshake(&state, &caller, own.id, body.value, senders).await?;
    Ok(FhirResponse::ok(&resource_json(&stored)))
}

/// `GET Subscription/{id}`.
pub async fn read(
    StateExtractor(state): StateExtractor<State>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Read>,
    Path(id): Path<String>,
) -> Result<FhirResponse, FhirFailure> {
    let own = find_own(&state, &caller, &id).await?;
    Ok(FhirResponse::ok(&resource_json(&own)))
}

/// `GET Subscription`: every subscription of the client.
pub async fn search(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Read>,
) -> Result<FhirResponse, FhirFailure> {
    let own = find_all_own(&state, &caller).await?;
    let entries: Vec<Value> = own
        .iter()
        .map(|s| {
            json!({
                "fullUrl": url(&state, guide, s.id),
                "resource": resource_json(s),
                "search": { "mode": "match" },
            })
        })
        .collect();
    Ok(FhirResponse::ok(&searchset(&entries)))
}

/// `DELETE Subscription/{id}`: ends the subscription. Queued notifications are not sent.
pub async fn delete(
    StateExtractor(state): StateExtractor<State>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Delete>,
    Path(id): Path<String>,
) -> Result<StatusCode, FhirFailure> {
    let own = find_own(&state, &caller, &id).await?;
    turn_off(&state, own.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `Subscription/{id}/$status`.
pub async fn status(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Read>,
    Path(id): Path<String>,
) -> Result<FhirResponse, FhirFailure> {
    let own = find_own(&state, &caller, &id).await?;
    Ok(FhirResponse::ok(&searchset(&[status_entry(&state, guide, &own)])))
}

/// `Subscription/$status`: of the client's subscriptions with the ids and statuses in the query.
pub async fn status_of_all(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Read>,
    Query(filters): Query<Vec<(String, String)>>,
) -> Result<FhirResponse, FhirFailure> {
    // A parameter that is not in the query does not restrict the result.
    let matches = |name: &str, value: &str| {
        let mut of_name = filters.iter().filter(|(n, _)| n == name).peekable();
        of_name.peek().is_none() || of_name.any(|(_, v)| v.split(',').any(|part| part == value))
    };
    let own = find_all_own(&state, &caller).await?;
    let matching = own
        .iter()
        .filter(|s| matches("id", &s.id.to_string()) && matches("status", &s.status));
    let entries: Vec<Value> = matching.map(|s| status_entry(&state, guide, s)).collect();
    Ok(FhirResponse::ok(&searchset(&entries)))
}

fn status_entry(state: &State, guide: &PasGuide, subscription: &Subscription) -> Value {
    let parameters = status_parameters(
        &url(state, guide, subscription.id),
        &subscription.status,
        "query-status",
        subscription.event_count,
        None,
    );
    let full_url = format!("urn:uuid:{}", state.new_id());
    json!({ "fullUrl": full_url, "resource": parameters, "search": { "mode": "match" } })
}

fn searchset(entries: &[Value]) -> Value {
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": entries.len() });
    if !entries.is_empty() {
        put(&mut bundle, "entry", json!(entries));
    }
    bundle
}

async fn find_all_own(state: &State, caller: &BackendCaller) -> Result<Vec<Subscription>> {
    let client = caller.client.id;
    state
        .store
        .read(client, |tx, id| {
            Box::pin(async move { tx.subscriptions_of(*id).await })
        })
        .await
}

/// The caller's subscription with this id. Subscriptions of other clients are not found.
async fn find_own(state: &State, caller: &BackendCaller, id: &str) -> Result<Subscription> {
    let not_found = || Error::not_found("Subscription", id);
    let uuid: Uuid = id.parse().map_err(|_| not_found())?;
    let found = state
        .store
        .read(uuid, |tx, id| Box::pin(async move { tx.subscription(*id).await }))
        .await?;
    found
        .filter(|s| s.client == caller.client.id && s.status != "off")
        .ok_or_else(not_found)
}

async fn turn_off(state: &State, id: Uuid) -> Result<()> {
    state
        .store
        .write((id, state.now()), |tx, (id, now)| {
            Box::pin(async move { tx.set_subscription_status(*id, "off", None, *now).await })
        })
        .await
}

/// Stores a new subscription or replaces the one with this id, and queues a handshake in the same unit of work.
async fn store_with_handshake(
    state: &State,
    caller: &BackendCaller,
    id: Uuid,
    doc: Value,
    senders: Vec<String>,
) -> Result<Subscription> {
    let now = state.now();
    let mut stored = Subscription {
        id,
        client: caller.client.id,
        status: "requested".to_owned(),
        doc,
        senders,
        event_count: 0,
        error: None,
    };
    stored.event_count = state
        .store
        .write((stored.clone(), now), |tx, (subscription, now)| {
            Box::pin(async move {
                let id = subscription.id;
                tx.put_subscription(subscription, *now).await?;
                let event_count = tx.subscription(id).await?.map_or(0, |s| s.event_count);
                let payload =
                    json!({ "subscription": id, "handshake": true, "number": event_count }).to_string();
                let message_id = new_id(*now);
                let message = OutboxMessage {
                    id: message_id,
                    case: None,
                    kind: "notification",
                    recipient: &format!("subscription/{id}"),
                    payload: &payload,
                    dedupe_key: &format!("subscription/{id}/handshake/{message_id}"),
                };
                tx.enqueue_message(&message, *now).await?;
                Ok(event_count)
            })
        })
        .await?;
    Ok(stored)
}

/// The resource as the client sent it, with the server's id and status.
fn resource_json(subscription: &Subscription) -> Value {
    let mut resource = subscription.doc.clone();
    put(&mut resource, "id", json!(subscription.id));
    put(&mut resource, "status", json!(subscription.status));
    if let Some(error) = &subscription.error {
        put(&mut resource, "error", json!(error));
    }
    resource
}

fn url(state: &State, guide: &PasGuide, id: Uuid) -> String {
    subscription_url(&state.config.public_url, guide, id)
}

/// The full URL of a subscription.
pub fn subscription_url(public_url: &str, guide: &PasGuide, id: Uuid) -> String {
    format!("{public_url}{}/Subscription/{id}", guide.base_path)
}
