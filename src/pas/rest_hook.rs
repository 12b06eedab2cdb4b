//! The rest-hook channel of a Subscription: where and how notifications are sent.

use crate::fhir;
use serde_json::Value;

/// `Subscription.channel.endpoint`: the URL to which notifications are sent. `doc` is the resource.
pub fn endpoint(doc: &Value) -> Option<&str> {
    fhir::text(doc, &["channel", "endpoint"])
}

/// The HTTP headers (name, value) to send with each notification as the client set them, and the content type.
pub fn rest_hook_headers(doc: &Value) -> (Vec<(String, String)>, String) {
    let channel = doc.get("channel").unwrap_or(&Value::Null);
    let headers = fhir::list(channel, "header")
        .filter_map(Value::as_str)
        .filter_map(|header| header.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let content_type = fhir::text(channel, &["payload"])
        .unwrap_or("application/fhir+json")
        .to_owned();
    (headers, content_type)
}
