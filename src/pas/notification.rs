//! The notification bundle (backport-subscription-notification-r4): a handshake, or one event whose focus is the
//! complete PAS response bundle (spec-61).

use crate::fhir::dates::instant_text;
use crate::fhir::put;
use crate::ig::pas::TOPIC;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";

/// What is told.
#[derive(Debug)]
pub enum Kind<'a> {
    /// "Are you there?"
    Handshake,
    /// Something happened to a case.
    Event {
        /// The event's number in this subscription.
        number: u64,
        /// When it happened.
        at: DateTime<Utc>,
        /// The complete response bundle as it stood then.
        focus: &'a Value,
    },
}

/// The bundle. `id` gives it and its status entry their own ids.
pub fn build(
    subscription_url: &str,
    status: &str,
    events: u64,
    kind: &Kind<'_>,
    id: Uuid,
    now: DateTime<Utc>,
) -> Value {
    let focus_url = |focus: &Value| {
        format!(
            "urn:uuid:{}",
            focus.get("id").and_then(Value::as_str).unwrap_or("")
        )
    };
    let parameters = match kind {
        Kind::Handshake => status_parameters(subscription_url, status, "handshake", events, None),
        Kind::Event { number, at, focus } => {
            let event = json!({ "name": "notification-event", "part": [
                { "name": "event-number", "valueString": number.to_string() },
                { "name": "timestamp", "valueInstant": instant_text(*at) },
                { "name": "focus", "valueReference": { "reference": focus_url(focus) } },
            ] });
            status_parameters(
                subscription_url,
                status,
                "event-notification",
                events,
                Some(event),
            )
        }
    };
    let mut entries = vec![json!({
        "fullUrl": format!("urn:uuid:{id}"),
        "resource": parameters,
        "request": { "method": "GET", "url": format!("{subscription_url}/$status") },
        "response": { "status": "200" },
    })];
    if let Kind::Event { focus, .. } = kind {
        entries.push(json!({
            "fullUrl": focus_url(focus),
            "resource": focus,
            "request": { "method": "POST", "url": "Bundle" },
            "response": { "status": "201" },
        }));
    }
    json!({
        "resourceType": "Bundle",
        "id": id,
        "meta": { "profile": [format!("{BACKPORT}/backport-subscription-notification-r4")] },
        "type": "history",
        "timestamp": instant_text(now),
        "entry": entries,
    })
}

/// `backport-subscription-status-r4`.
pub(super) fn status_parameters(
    subscription_url: &str,
    status: &str,
    kind: &str,
    events: u64,
    event: Option<Value>,
) -> Value {
    let mut parameters = vec![
        json!({ "name": "subscription", "valueReference": { "reference": subscription_url } }),
        json!({ "name": "topic", "valueCanonical": TOPIC }),
        json!({ "name": "status", "valueCode": status }),
        json!({ "name": "type", "valueCode": kind }),
        json!({ "name": "events-since-subscription-start", "valueString": events.to_string() }),
    ];
    parameters.extend(event);
    let mut resource = json!({
        "resourceType": "Parameters",
        "meta": { "profile": [format!("{BACKPORT}/backport-subscription-status-r4")] },
    });
    put(&mut resource, "parameter", json!(parameters));
    resource
}
