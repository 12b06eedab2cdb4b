//! The notification Bundle of a subscription (`backport-subscription-notification-r4`): a handshake, or one event whose
//! focus is the complete PAS response Bundle (PAS 2.2.1 spec-61).

use crate::fhir::dates::instant_text;
use crate::fhir::put;
use crate::ig::pas::SUBSCRIPTION_TOPIC;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";

/// What a notification reports.
#[derive(Debug)]
pub enum NotificationKind<'a> {
    /// Nothing yet: it tests whether the endpoint accepts notifications.
    Handshake,
    /// A decision on a case.
    Event {
        /// The number of the event in this subscription, from 1.
        number: u64,
        /// When the decision was made.
        at: DateTime<Utc>,
        /// The response Bundle for the case at that time.
        focus: &'a Value,
    },
}

/// The notification Bundle. `status` is the subscription's status, `event_count` its number of events so far, `id` the
/// id of the Bundle and of its status entry.
pub fn notification_bundle(
    subscription_url: &str,
    status: &str,
    event_count: u64,
    kind: &NotificationKind<'_>,
    id: Uuid,
    now: DateTime<Utc>,
) -> Value {
    let status_resource = match kind {
        NotificationKind::Handshake => {
            status_parameters(subscription_url, status, "handshake", event_count, None)
        }
        NotificationKind::Event { number, at, focus } => {
            let event = json!({ "name": "notification-event", "part": [
                { "name": "event-number", "valueString": number.to_string() },
                { "name": "timestamp", "valueInstant": instant_text(*at) },
                { "name": "focus", "valueReference": { "reference": focus_url(focus) } },
            ] });
            status_parameters(
                subscription_url,
                status,
                "event-notification",
                event_count,
                Some(event),
            )
        }
    };
    let mut entries = vec![json!({
        "fullUrl": format!("urn:uuid:{id}"),
        "resource": status_resource,
        "request": { "method": "GET", "url": format!("{subscription_url}/$status") },
        "response": { "status": "200" },
    })];
    if let NotificationKind::Event { focus, .. } = kind {
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

fn focus_url(focus: &Value) -> String {
    let id = focus.get("id").and_then(Value::as_str).unwrap_or("");
    format!("urn:uuid:{id}")
}

/// The status of a subscription as `Parameters` (`backport-subscription-status-r4`). `notification_type` is
/// `handshake`, `event-notification` or `query-status`; `event` is the parameter `notification-event`.
pub(super) fn status_parameters(
    subscription_url: &str,
    status: &str,
    notification_type: &str,
    event_count: u64,
    event: Option<Value>,
) -> Value {
    let mut parameters = vec![
        json!({ "name": "subscription", "valueReference": { "reference": subscription_url } }),
        json!({ "name": "topic", "valueCanonical": SUBSCRIPTION_TOPIC }),
        json!({ "name": "status", "valueCode": status }),
        json!({ "name": "type", "valueCode": notification_type }),
        json!({ "name": "events-since-subscription-start", "valueString": event_count.to_string() }),
    ];
    parameters.extend(event);
    let mut resource = json!({
        "resourceType": "Parameters",
        "meta": { "profile": [format!("{BACKPORT}/backport-subscription-status-r4")] },
    });
    put(&mut resource, "parameter", json!(parameters));
    resource
}
