//! The checks of a Subscription that a client creates or replaces (PAS 2.2.1 spec-56 to spec-62). All problems are
//! reported in one response.

use super::rest_hook::endpoint;
use crate::auth::Client;
use crate::error::{Error, IssueCode, Result};
use crate::fhir;
use crate::fhir::outcome::Checks;
use crate::ig::pas::SUBSCRIPTION_TOPIC;
use crate::net::AllowedHosts;
use serde_json::Value;

const FILTER_CRITERIA: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-filter-criteria";
const PAYLOAD_CONTENT: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content";

/// Headers that a subscription must not set because they frame the HTTP message.
const FRAMING_HEADERS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

/// Checks a Subscription and returns the sending systems of its filter.
pub(super) fn check(client: &Client, doc: &Value) -> Result<Vec<String>> {
    if fhir::resource_type(doc) != Some("Subscription") {
        return Err(Error::malformed("The body must be a Subscription").at_element("resourceType"));
    }
    let mut checks = Checks::default();
    checks.require(
        fhir::text(doc, &["criteria"]) == Some(SUBSCRIPTION_TOPIC),
        IssueCode::NotSupported,
        "Subscription.criteria",
        &format!("Subscription.criteria must be {SUBSCRIPTION_TOPIC}"),
    );
    checks.require(
        fhir::text(doc, &["channel", "type"]) == Some("rest-hook"),
        IssueCode::NotSupported,
        "Subscription.channel.type",
        "Subscription.channel.type must be rest-hook (spec-56)",
    );
    let payload = fhir::text(doc, &["channel", "payload"]);
    checks.require(
        matches!(payload, Some("application/fhir+json" | "application/json")),
        IssueCode::NotSupported,
        "Subscription.channel.payload",
        "Subscription.channel.payload must be application/fhir+json",
    );
    let content = fhir::get(doc, &["channel", "_payload"])
        .and_then(|p| fhir::extension(p, PAYLOAD_CONTENT))
        .and_then(|e| fhir::text(e, &["valueCode"]));
    checks.require(
        content == Some("full-resource"),
        IssueCode::NotSupported,
        "Subscription.channel.payload.extension",
        "The extension backport-payload-content must be full-resource (spec-62)",
    );
    check_endpoint(client, doc, &mut checks);
    check_headers(doc, &mut checks);
    let senders = check_filter(client, doc, &mut checks);
    checks.finish()?;
    Ok(senders)
}

fn check_endpoint(client: &Client, doc: &Value, checks: &mut Checks) {
    let path = "Subscription.channel.endpoint";
    let allowed = AllowedHosts {
        hosts: &client.doc.callback_hosts,
        loopback_http: client.doc.loopback_http,
    };
    match endpoint(doc) {
        None => checks.error(
            IssueCode::Required,
            path,
            "Subscription.channel.endpoint is missing",
        ),
        Some(url) => checks.require(
            allowed.check(url).is_ok(),
            IssueCode::Forbidden,
            path,
            "Subscription.channel.endpoint must be an https URL on a host that is registered for this client",
        ),
    }
}

fn check_headers(doc: &Value, checks: &mut Checks) {
    let channel = doc.get("channel").unwrap_or(&Value::Null);
    for (n, header) in fhir::list(channel, "header").enumerate() {
        let name_and_value = header.as_str().and_then(|h| h.split_once(':'));
        let valid = name_and_value
            .is_some_and(|(name, value)| may_set_header(name.trim()) && !value.contains(['\r', '\n']));
        checks.require(
            valid,
            IssueCode::Value,
            format!("Subscription.channel.header[{n}]"),
            "Subscription.channel.header must have the form 'name: value' and must not set Host, Content-Length, \
             Transfer-Encoding or Connection",
        );
    }
}

/// Whether a subscription may set this header: a token (RFC 9110) that does not frame the message.
fn may_set_header(name: &str) -> bool {
    let is_token = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    is_token && !FRAMING_HEADERS.contains(&name.to_ascii_lowercase().as_str())
}

/// The filter `org-identifier=A,B`. The guide's topic and its example use other names for it, which are accepted too.
fn check_filter(client: &Client, doc: &Value, checks: &mut Checks) -> Vec<String> {
    let path = "Subscription.criteria.extension";
    let filter = doc
        .get("_criteria")
        .and_then(|c| fhir::extension(c, FILTER_CRITERIA))
        .and_then(|e| fhir::text(e, &["valueString"]));
    let Some(filter) = filter else {
        let message = "The extension backport-filter-criteria with org-identifier=… is missing (spec-58)";
        checks.error(IssueCode::Required, path, message);
        return Vec::new();
    };
    let (name, values) = filter
        .rsplit('?')
        .next()
        .and_then(|f| f.split_once('='))
        .unwrap_or(("", ""));
    if !matches!(name, "org-identifier" | "orgIdentifier" | "identifier") {
        let message = "The extension backport-filter-criteria must filter by org-identifier";
        checks.error(IssueCode::NotSupported, path, message);
        return Vec::new();
    }
    let senders: Vec<String> = values
        .split(',')
        .map(|v| v.rsplit('|').next().unwrap_or(v).trim().to_owned())
        .filter(|v| !v.is_empty())
        .collect();
    let is_registered =
        |sender: &String| client.doc.senders.contains(sender) || client.doc.npis.contains(sender);
    checks.require(
        !senders.is_empty() && senders.iter().all(is_registered),
        IssueCode::Forbidden,
        path,
        "The filter must name only sending systems that are registered for this client (spec-59)",
    );
    senders
}
