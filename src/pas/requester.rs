//! The requester: the provider of the Claim and, for a `PractitionerRole`, its practitioner and its organization.

use super::request::Request;
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

/// The identifiers whose subscriptions are notified: the interchange sender and every identifier of the requester.
pub(super) fn senders(request: &Request<'_>) -> Vec<String> {
    let transmission = fhir::extension(request.claim.resource, &extension_url("TransmissionIdentifiers"));
    let interchange_sender = transmission
        .and_then(|e| fhir::extension(e, "interchangeSenderID"))
        .and_then(|e| fhir::text(e, &["valueString"]))
        .map(|id| id.trim().to_owned());
    let mut senders: Vec<String> = interchange_sender.into_iter().collect();
    for entry in provider_and_role_parts(request) {
        senders.extend(fhir::identifiers(entry.resource).map(|(_, value)| value.to_owned()));
    }
    senders.sort_unstable();
    senders.dedup();
    senders
}
