//! The requester: the provider of the Claim and, for a `PractitionerRole`, its practitioner and its organization.

use super::request::Request;
use crate::auth::Client;
use crate::error::{Error, Issue, IssueCode, Result};
use crate::fhir::bundle::BundleEntry;
use crate::fhir::{self, reference};
use crate::ig::pas::extension_url;
use crate::plan::Requester;
use serde_json::Value;

/// The provider's entry, then the entries of its practitioner and organization.
fn provider_and_role_parts<'a>(request: &Request<'a>) -> Vec<BundleEntry<'a>> {
    let provider = request.provider;
    let references = ["practitioner", "organization"]
        .into_iter()
        .filter_map(|name| reference::literal(provider.resource.get(name)?));
    let parts = references.filter_map(|literal| request.index.resolve(literal, provider.full_url));
    std::iter::once(provider).chain(parts).collect()
}

/// The practitioner and the organization, without the `PractitionerRole`.
pub(super) fn practitioner_and_organization<'a>(request: &Request<'a>) -> Vec<BundleEntry<'a>> {
    let mut entries = provider_and_role_parts(request);
    entries.retain(|e| !e.is_type("PractitionerRole"));
    entries
}

/// The first NPI of the requester.
pub(super) fn first_npi(request: &Request<'_>) -> Option<String> {
    provider_and_role_parts(request)
        .into_iter()
        .find_map(|e| fhir::npi(e.resource))
        .map(str::to_owned)
}

/// Every NPI of the requester, which may hold gold cards.
pub(super) fn npis(request: &Request<'_>) -> Requester {
    let provider = request.claim.resource.get("provider").unwrap_or(&Value::Null);
    // References of a role resolve from the role, those of the Claim from the Claim.
    Requester::resolve(provider, &|literal| {
        let from_role = request.index.resolve(literal, request.provider.full_url);
        let found = from_role.or_else(|| request.index.resolve(literal, request.claim.full_url));
        found.map(|entry| entry.resource)
    })
}

/// The requester's name for display; empty when no resource has a name.
pub(super) fn display_name(request: &Request<'_>) -> String {
    let name = |resource: &Value| {
        fhir::text(resource, &["name"])
            .map(str::to_owned)
            .or_else(|| fhir::human_name(resource))
    };
    provider_and_role_parts(request)
        .into_iter()
        .find_map(|e| name(e.resource))
        .unwrap_or_default()
}

/// The interchange sender of the request (X12 ISA06) and the FHIRPath of its extension.
fn interchange_sender<'a>(request: &Request<'a>) -> Option<(&'a str, String)> {
    let url = extension_url("TransmissionIdentifiers");
    let transmission = fhir::extension(request.claim.resource, &url)?;
    let sender = fhir::extension(transmission, "interchangeSenderID")?;
    let id = fhir::text(sender, &["valueString"])?.trim();
    let claim = request.claim.path();
    Some((
        id,
        format!("{claim}.extension('{url}').extension('interchangeSenderID')"),
    ))
}

/// The interchange sender must be a sending system or a provider of the client: nobody sends in the name of another.
pub(super) fn check_sender(client: &Client, request: &Request<'_>) -> Result<()> {
    let Some((id, path)) = interchange_sender(request) else {
        return Ok(());
    };
    let is_own = |own: &String| own == id;
    if client.doc.senders.iter().any(is_own) || client.doc.npis.iter().any(is_own) {
        return Ok(());
    }
    let message =
        "This sending system is not registered for the client. Register it, or send the id of one that is.";
    Err(Error::with_issues(vec![Issue::error(
        IssueCode::Forbidden,
        path,
        message,
    )]))
}

/// The identifiers whose subscriptions are notified: the interchange sender and every identifier of the requester.
pub(super) fn senders(request: &Request<'_>) -> Vec<String> {
    let sender = interchange_sender(request).map(|(id, _)| id.to_owned());
    let mut senders: Vec<String> = sender.into_iter().collect();
    for entry in provider_and_role_parts(request) {
        senders.extend(fhir::identifiers(entry.resource).map(|(_, value)| value.to_owned()));
    }
    senders.sort_unstable();
    senders.dedup();
    senders
}
