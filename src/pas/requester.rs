//! Who asks: the provider of the Claim and, behind a role, the person and the organization that it names.

use super::request::Request;
use crate::fhir::bundle::Entry;
use crate::fhir::{self, reference};
use crate::ig::pas::sd;
use crate::plan::Requester;
use serde_json::Value;

/// The provider's entry, then those behind a role.
fn everyone<'a>(request: &Request<'a>) -> Vec<Entry<'a>> {
    let provider = request.provider;
    let named = ["practitioner", "organization"]
        .into_iter()
        .filter_map(|name| reference::literal(provider.resource.get(name)?));
    let behind = named.filter_map(|found| request.index.resolve(found, provider.full_url));
    std::iter::once(provider).chain(behind).collect()
}

/// The person and the organization; never a role.
pub(super) fn parties<'a>(request: &Request<'a>) -> Vec<Entry<'a>> {
    let mut all = everyone(request);
    all.retain(|e| fhir::resource_type(e.resource) != Some("PractitionerRole"));
    all
}

/// The first NPI among them.
pub(super) fn npi(request: &Request<'_>) -> Option<String> {
    everyone(request)
        .into_iter()
        .find_map(|e| fhir::npi(e.resource))
        .map(str::to_owned)
}

/// Every NPI among them: those who may hold a gold card.
pub(super) fn npis(request: &Request<'_>) -> Requester {
    let named = request.claim.resource.get("provider").unwrap_or(&Value::Null);
    // References of the Claim are resolved from the Claim, those of a role from the role.
    Requester::of(named, &|reference| {
        let found = request.index.resolve(reference, request.provider.full_url);
        let found = found.or_else(|| request.index.resolve(reference, request.claim.full_url));
        found.map(|entry| entry.resource)
    })
}

/// A name for people; empty when nobody has one.
pub(super) fn name(request: &Request<'_>) -> String {
    let name = |r: &Value| {
        fhir::text(r, &["name"])
            .map(str::to_owned)
            .or_else(|| fhir::human_name(r))
    };
    everyone(request)
        .into_iter()
        .find_map(|e| name(e.resource))
        .unwrap_or_default()
}

/// Whose subscriptions hear of the case: the interchange sender and every identifier of the requester.
pub(super) fn senders(request: &Request<'_>) -> Vec<String> {
    let sent = fhir::extension(request.claim.resource, &sd("extension-TransmissionIdentifiers"));
    let interchange = sent
        .and_then(|e| fhir::extension(e, "interchangeSenderID"))
        .and_then(|e| fhir::text(e, &["valueString"]))
        .map(|id| id.trim().to_owned());
    let mut senders: Vec<String> = interchange.into_iter().collect();
    for entry in everyone(request) {
        senders.extend(fhir::identifiers(entry.resource).map(|(_, value)| value.to_owned()));
    }
    senders.sort_unstable();
    senders.dedup();
    senders
}
