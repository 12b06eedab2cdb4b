//! The checks of a Subscription that a client creates or replaces (PAS 2.2.1 spec-56 to spec-62). All problems are
//! reported in one response.

use super::rest_hook::endpoint;
use crate::auth::Client;
use crate::error::{Error, IssueCode, Result};
use crate::fhir;
use crate::fhir::outcome::Checks;
use crate::ig::pas::{PasVersion, SUBSCRIPTION_TOPIC};
use crate::net::AllowedHosts;
use serde_json::Value;

const FILTER_CRITERIA: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-filter-criteria";
const CHANNEL_TYPE: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-channel-type";
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
        fhir::text(doc, &["criteria"]).is_some_and(is_topic),
        IssueCode::NotSupported,
        "Subscription.criteria",
        &format!("Subscription.criteria must be {SUBSCRIPTION_TOPIC}, alone or with a version that this server serves"),
    );
    let other_type = fhir::get(doc, &["channel", "_type"]).and_then(|t| fhir::extension(t, CHANNEL_TYPE));
    checks.require(
        fhir::text(doc, &["channel", "type"]) == Some("rest-hook") && other_type.is_none(),
        IssueCode::NotSupported,
        "Subscription.channel.type",
        "Subscription.channel.type must be rest-hook (spec-56)",
    );
    checks.require(
        fhir::text(doc, &["channel", "payload"]).is_some_and(is_payload),
        IssueCode::NotSupported,
        "Subscription.channel.payload",
        "Subscription.channel.payload must be application/fhir+json, alone or with fhirVersion=4.0",
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
    let end = doc.get("end");
    checks.require(
        end.is_none_or(|end| end.as_str().and_then(fhir::dates::instant).is_some()),
        IssueCode::Value,
        "Subscription.end",
        "Subscription.end must be an instant: a date and a time with seconds and time zone",
    );
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

/// Whether the criteria name the topic of PAS, without a version or with one of a guide that is served.
fn is_topic(criteria: &str) -> bool {
    match criteria.split_once('|') {
        Some((topic, version)) => {
            let mut served = PasVersion::SERVED.into_iter().map(|served| served.guide().number);
            topic == SUBSCRIPTION_TOPIC && served.any(|number| number == version)
        }
        None => criteria == SUBSCRIPTION_TOPIC,
    }
}

/// Whether notifications can be sent with this media type: FHIR JSON of this server's FHIR version.
fn is_payload(payload: &str) -> bool {
    let mut parts = payload.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or("").to_ascii_lowercase();
    let is_parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("fhirVersion") => {
            matches!(value.trim_matches('"'), "4.0" | "4.0.1")
        }
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => false,
    };
    matches!(media_type.as_str(), "application/fhir+json" | "application/json") && parts.all(is_parameter)
}

fn check_headers(doc: &Value, checks: &mut Checks) {
    let channel = doc.get("channel").unwrap_or(&Value::Null);
    checks.require(
        channel.get("header").is_none_or(Value::is_array),
        IssueCode::Structure,
        "Subscription.channel.header",
        "Subscription.channel.header must be a list of strings of the form 'name: value'",
    );
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

/// The one filter `org-identifier=A,B`. The guide's topic and its example use other names for it, which are accepted
/// too, as is the resource type of the topic in front of it.
fn check_filter(client: &Client, doc: &Value, checks: &mut Checks) -> Vec<String> {
    let path = "Subscription.criteria.extension";
    let element = doc.get("_criteria").unwrap_or(&Value::Null);
    let mut filters = fhir::extensions(element, FILTER_CRITERIA);
    let (first, second) = (filters.next(), filters.next());
    checks.require(
        second.is_none(),
        IssueCode::NotSupported,
        path,
        "There must be one extension backport-filter-criteria: several filters are not supported",
    );
    let Some(filter) = first.and_then(|extension| fhir::text(extension, &["valueString"])) else {
        let message = "The extension backport-filter-criteria with org-identifier=… is missing (spec-58)";
        checks.error(IssueCode::Required, path, message);
        return Vec::new();
    };
    let (resource_type, query) = filter.split_once('?').unwrap_or(("", filter));
    let (name, values) = query.split_once('=').unwrap_or(("", ""));
    let is_known = matches!(name, "org-identifier" | "orgIdentifier" | "identifier")
        && matches!(resource_type, "" | "Bundle" | "Claim" | "ClaimResponse");
    if !is_known || values.contains(['&', '=', '?']) {
        let message =
            "The extension backport-filter-criteria must filter by org-identifier and by nothing else";
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
