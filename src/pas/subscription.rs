//! Subscriptions to the PAS topic (R5 backport for R4, 1.1.0; PAS 2.2.1 spec-51 to spec-62): rest-hook, full
//! resource, one filter by sending system. A client subscribes for its own systems alone.

use crate::auth::{Backend, Client};
use crate::clock::new_id;
use crate::error::{Error, Result};
use crate::fhir::outcome::{Checks, Code};
use crate::fhir::{self, put};
use crate::ig::pas::TOPIC;
use crate::net::Allowed;
use crate::state::State;
use crate::store::queues::Effect;
use crate::store::subscriptions::Subscription;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse};
use axum::extract::{Path, Query, State as Held};
use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

const FILTER: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-filter-criteria";
const CONTENT: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content";

/// `POST Subscription`: stored as requested; the handshake follows.
pub async fn create(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Subscription", 'c')?;
    let senders = check(&caller.client, &body.value)?;
    let id = state.new_id();
    let stored = put_and_shake(&state, &caller, id, body.value, senders).await?;
    let location = state.url(&format!("/pas/2.2/Subscription/{id}"));
    Ok(FhirResponse::created(&resource(&stored), location))
}

/// `PUT Subscription/{id}`: replaces it; a new handshake follows, unless the subscriber switches it off.
pub async fn update(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    Path(id): Path<String>,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Subscription", 'u')?;
    let own = own(&state, &caller, &id).await?;
    if fhir::text(&body.value, &["id"]).is_some_and(|named| named != id) {
        let message = "The id in the body is not the one in the address";
        return Err(Error::malformed(message).at("Subscription.id").into());
    }
    let senders = check(&caller.client, &body.value)?;
    if fhir::text(&body.value, &["status"]) == Some("off") {
        take_back(&state, own.id).await?;
        let off = Subscription {
            status: "off".to_owned(),
            doc: body.value,
            error: None,
            ..own
        };
        return Ok(FhirResponse::ok(&resource(&off)));
    }
    let stored = put_and_shake(&state, &caller, own.id, body.value, senders).await?;
    Ok(FhirResponse::ok(&resource(&stored)))
}

/// `GET Subscription/{id}`.
pub async fn read(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    Path(id): Path<String>,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Subscription", 'r')?;
    Ok(FhirResponse::ok(&resource(&own(&state, &caller, &id).await?)))
}

/// `GET Subscription`: the caller's own.
pub async fn search(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Subscription", 'r')?;
    let entries = all(&state, &caller).await?;
    let entries: Vec<Value> = entries
        .iter()
        .map(|s| json!({ "fullUrl": url(&state, s.id), "resource": resource(s), "search": { "mode": "match" } }))
        .collect();
    Ok(FhirResponse::ok(&searchset(&entries)))
}

/// `DELETE Subscription/{id}`: nothing more is sent.
pub async fn delete(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    Path(id): Path<String>,
) -> Result<StatusCode, FhirFailure> {
    caller.require("Subscription", 'd')?;
    let id = own(&state, &caller, &id).await?.id;
    take_back(&state, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take_back(state: &State, id: Uuid) -> Result<()> {
    let unit = (id, state.now());
    state
        .store
        .write(unit, |tx, (id, now)| {
            Box::pin(async move { tx.set_subscription_status(*id, "off", None, *now).await })
        })
        .await
}

/// `Subscription/{id}/$status`.
pub async fn status(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    Path(id): Path<String>,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Subscription", 'r')?;
    let own = own(&state, &caller, &id).await?;
    Ok(FhirResponse::ok(&searchset(&[status_entry(&state, &own)])))
}

/// `Subscription/$status`, of those with these ids and states.
pub async fn all_status(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    Query(filters): Query<Vec<(String, String)>>,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Subscription", 'r')?;
    let asked = |name: &str, value: &str| {
        let mut of_name = filters.iter().filter(|(n, _)| n == name).peekable();
        of_name.peek().is_none() || of_name.any(|(_, v)| v.split(',').any(|one| one == value))
    };
    let all = all(&state, &caller).await?;
    let fitting = all
        .iter()
        .filter(|s| asked("id", &s.id.to_string()) && asked("status", &s.status));
    let entries: Vec<Value> = fitting.map(|s| status_entry(&state, s)).collect();
    Ok(FhirResponse::ok(&searchset(&entries)))
}

fn status_entry(state: &State, subscription: &Subscription) -> Value {
    let parameters = super::notification::status_parameters(
        &url(state, subscription.id),
        &subscription.status,
        "query-status",
        subscription.events,
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

async fn all(state: &State, caller: &Backend) -> Result<Vec<Subscription>> {
    let client = caller.client.id;
    state
        .store
        .read(client, |tx, id| {
            Box::pin(async move { tx.subscriptions_of(*id).await })
        })
        .await
}

/// The caller's subscription; another's is not there.
async fn own(state: &State, caller: &Backend, id: &str) -> Result<Subscription> {
    let missing = || Error::not_found("Subscription", id);
    let uuid: Uuid = id.parse().map_err(|_| missing())?;
    let found = state
        .store
        .read(uuid, |tx, id| Box::pin(async move { tx.subscription(*id).await }))
        .await?;
    found
        .filter(|s| s.client == caller.client.id && s.status != "off")
        .ok_or_else(missing)
}

async fn put_and_shake(
    state: &State,
    caller: &Backend,
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
        events: 0,
        error: None,
    };
    stored.events = state
        .store
        .write((stored.clone(), now), |tx, (it, now)| {
            Box::pin(async move {
                tx.put_subscription(it, *now).await?;
                let events = tx.subscription(it.id).await?.map_or(0, |s| s.events);
                let payload =
                    json!({ "subscription": it.id, "handshake": true, "number": events }).to_string();
                let effect_id = new_id(*now);
                let effect = Effect {
                    id: effect_id,
                    case: None,
                    kind: "notification",
                    to_ref: &format!("subscription/{}", it.id),
                    payload: &payload,
                    dedupe_key: &format!("subscription/{}/handshake/{effect_id}", it.id),
                };
                tx.enqueue_effect(&effect, *now).await?;
                Ok(events)
            })
        })
        .await?;
    Ok(stored)
}

/// The resource as stored: what the client sent, with our id and status.
fn resource(subscription: &Subscription) -> Value {
    let mut resource = subscription.doc.clone();
    put(&mut resource, "id", json!(subscription.id));
    put(&mut resource, "status", json!(subscription.status));
    if let Some(why) = &subscription.error {
        put(&mut resource, "error", json!(why));
    }
    resource
}

fn url(state: &State, id: Uuid) -> String {
    state.url(&format!("/pas/2.2/Subscription/{id}"))
}

/// The rest-hook's address.
pub fn endpoint(doc: &Value) -> Option<&str> {
    fhir::text(doc, &["channel", "endpoint"])
}

/// The headers to send exactly as given, and the content type.
pub fn channel(doc: &Value) -> (Vec<(String, String)>, String) {
    let channel = doc.get("channel").unwrap_or(&Value::Null);
    let headers = fhir::list(channel, "header")
        .filter_map(Value::as_str)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let content_type = fhir::text(channel, &["payload"])
        .unwrap_or("application/fhir+json")
        .to_owned();
    (headers, content_type)
}

/// Every problem at once; answers with the sending systems of the filter.
fn check(client: &Client, doc: &Value) -> Result<Vec<String>> {
    if fhir::resource_type(doc) != Some("Subscription") {
        return Err(Error::malformed("The body must be a Subscription").at("resourceType"));
    }
    let mut checks = Checks::default();
    checks.require(
        fhir::text(doc, &["criteria"]) == Some(TOPIC),
        Code::NotSupported,
        "Subscription.criteria",
        "The one topic here is PAS's own",
    );
    checks.require(
        fhir::text(doc, &["channel", "type"]) == Some("rest-hook"),
        Code::NotSupported,
        "Subscription.channel.type",
        "The channel must be rest-hook (spec-56)",
    );
    let payload = fhir::text(doc, &["channel", "payload"]);
    checks.require(
        matches!(payload, Some("application/fhir+json" | "application/json")),
        Code::NotSupported,
        "Subscription.channel.payload",
        "The payload must be application/fhir+json",
    );
    let content = fhir::get(doc, &["channel", "_payload"])
        .and_then(|p| fhir::extension(p, CONTENT))
        .and_then(|e| fhir::text(e, &["valueCode"]));
    checks.require(
        content == Some("full-resource"),
        Code::NotSupported,
        "Subscription.channel.payload.extension",
        "The payload content must be full-resource (spec-62)",
    );
    check_endpoint(client, doc, &mut checks);
    let senders = check_filter(client, doc, &mut checks);
    checks.finish()?;
    Ok(senders)
}

fn check_endpoint(client: &Client, doc: &Value, checks: &mut Checks) {
    let at = "Subscription.channel.endpoint";
    let allowed = Allowed {
        hosts: &client.doc.callback_hosts,
        loopback_http: client.doc.loopback_http,
    };
    match endpoint(doc) {
        None => checks.error(Code::Required, at, "channel.endpoint is missing"),
        Some(url) => checks.require(
            allowed.check(url).is_ok(),
            Code::Forbidden,
            at,
            "The endpoint must be https on a host that is registered for you",
        ),
    }
    let lines = doc
        .get("channel")
        .into_iter()
        .flat_map(|c| fhir::list(c, "header"))
        .enumerate();
    for (n, line) in lines {
        let named = line.as_str().and_then(|l| l.split_once(':'));
        let fine = named.is_some_and(|(name, value)| is_header(name.trim()) && !value.contains(['\r', '\n']));
        let at = format!("Subscription.channel.header[{n}]");
        checks.require(fine, Code::Value, at, "A header must read name: value");
    }
}

/// A header that a subscriber may set: a token of RFC 9110, and none that frames the message.
fn is_header(name: &str) -> bool {
    let token = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    token
        && !["host", "content-length", "transfer-encoding", "connection"]
            .contains(&name.to_ascii_lowercase().as_str())
}

/// `org-identifier=A,B`; the guide's topic and example spell it otherwise, so those are taken too.
fn check_filter(client: &Client, doc: &Value, checks: &mut Checks) -> Vec<String> {
    let at = "Subscription.criteria.extension";
    let filter = doc
        .get("_criteria")
        .and_then(|c| fhir::extension(c, FILTER))
        .and_then(|e| fhir::text(e, &["valueString"]));
    let Some(filter) = filter else {
        checks.error(
            Code::Required,
            at,
            "A filter org-identifier=… is needed (spec-58)",
        );
        return Vec::new();
    };
    let (name, values) = filter
        .rsplit('?')
        .next()
        .and_then(|f| f.split_once('='))
        .unwrap_or(("", ""));
    if !matches!(name, "org-identifier" | "orgIdentifier" | "identifier") {
        checks.error(Code::NotSupported, at, "The one filter here is org-identifier");
        return Vec::new();
    }
    let senders: Vec<String> = values
        .split(',')
        .map(|v| v.rsplit('|').next().unwrap_or(v).trim().to_owned())
        .filter(|v| !v.is_empty())
        .collect();
    let known = |sender: &String| client.doc.senders.contains(sender) || client.doc.npis.contains(sender);
    checks.require(
        !senders.is_empty() && senders.iter().all(known),
        Code::Forbidden,
        at,
        "You may subscribe for the sending systems that are registered for you (spec-59)",
    );
    senders
}
