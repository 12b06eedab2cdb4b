//! `POST Claim/$inquire`: a query by example about one member. The response shows every matching case that the client
//! may see, as it is now (PAS 2.2.1, spec-43 to spec-53). `Claim.identifier` identifies the inquiry itself and is not a
//! search parameter.

use super::member_match;
use super::request::Request;
use super::response::current_response;
use crate::auth::Client;
use crate::error::Result;
use crate::fhir::bundle::parse_stored_request;
use crate::fhir::coding::{Coding, codings};
use crate::fhir::parameters::BundleBody;
use crate::fhir::{self, decimals, list};
use crate::ig::pas::{PasGuide, Profile, extension_url};
use crate::prior_auth::PriorAuth;
use crate::rules::code_key;
use crate::state::State;
use crate::wire::interaction::Create;
use crate::wire::resource::Claim;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse, Guide};
use axum::extract::State as StateExtractor;
use serde_json::{Value, json};

/// Handles `POST {base}/Claim/$inquire`.
pub async fn post(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<Claim, Create>,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    let now = state.now();
    let body = BundleBody::read(body.text, body.value)?;
    let inquiry = Request::read_inquiry(guide, &body.value)?;
    let mut parameters = Vec::new();
    for (case, text) in matching_cases(&state, &caller.client, &inquiry).await? {
        let profile = Profile::ClaimInquiryResponse;
        let bundle = current_response(&state, guide, &case, &text, profile, now)?;
        parameters.push(json!({ "name": "return", "resource": bundle }));
    }
    let mut response = json!({ "resourceType": "Parameters" });
    if !parameters.is_empty() {
        fhir::put(&mut response, "parameter", json!(parameters));
    }
    Ok(FhirResponse::text(decimals::write(&response)))
}

/// The member's cases that match the inquiry and that the client may see, each with the text of its request. A client
/// sees the cases that it submitted and those of requesters that are registered for it and named in the inquiry.
async fn matching_cases(
    state: &State,
    client: &Client,
    inquiry: &Request<'_>,
) -> Result<Vec<(PriorAuth, String)>> {
    let Ok(member) = member_match::find_member(state, inquiry).await? else {
        return Ok(Vec::new());
    };
    let found = state
        .store
        .read((member.id, case_numbers(inquiry)), |tx, (member, numbers)| {
            Box::pin(async move {
                let mut numbered = Vec::new();
                for number in numbers {
                    numbered.extend(tx.case_by_number(number).await?);
                }
                let mut found = Vec::new();
                for case in tx.cases_of_member(*member).await? {
                    if numbers.is_empty() || numbered.contains(&case.id) {
                        let text = tx.request_text(case.received.request).await?;
                        found.push((case, text));
                    }
                }
                Ok(found)
            })
        })
        .await?;
    let npis: Vec<&str> = inquiry
        .index
        .entries()
        .filter_map(|e| fhir::npi(e.resource))
        .collect();
    let services = services(inquiry.claim.resource);
    let any_service = services.iter().any(|service| service.code == "not-applicable") || services.is_empty();
    // Spec-53 requires the NPI of the ordering provider. Anybody can name an NPI, so it must also be registered for the
    // client.
    let may_see = |case: &PriorAuth| {
        let is_named = |npi: &String| npis.contains(&npi.as_str()) && client.doc.npis.contains(npi);
        case.received.client == client.id || case.received.requester_npi.as_ref().is_some_and(is_named)
    };
    let mut matching = Vec::new();
    for (case, text) in found {
        if may_see(&case) && (any_service || has_service(&case, &text, &services)?) {
            matching.push((case, text));
        }
    }
    Ok(matching)
}

/// The authorization numbers and tracking numbers in the inquiry, on the Claim and on its items.
fn case_numbers(inquiry: &Request<'_>) -> Vec<String> {
    let elements = std::iter::once(inquiry.claim.resource).chain(inquiry.items());
    elements
        .flat_map(|element| {
            ["authorizationNumber", "administrationReferenceNumber"]
                .into_iter()
                .filter_map(move |name| {
                    fhir::text(fhir::extension(element, &extension_url(name))?, &["valueString"])
                })
        })
        .map(str::to_owned)
        .collect()
}

/// The services of a Claim, with every coding. The code `not-applicable` in an inquiry means any service (spec-43).
fn services(claim: &Value) -> Vec<Coding<'_>> {
    let concepts = list(claim, "item").filter_map(|item| item.get("productOrService"));
    concepts.flat_map(codings).collect()
}

/// Whether a coding of the case's request is one of these services. Codings without a system are compared by code.
fn has_service(case: &PriorAuth, request_text: &str, wanted: &[Coding<'_>]) -> Result<bool> {
    let stored = parse_stored_request(request_text, case.id)?;
    let request = Request::read_stored(case, &stored)?;
    let requested = services(request.claim.resource);
    let is_same = |one: &Coding<'_>, other: &Coding<'_>| {
        let any_system = one.system.is_empty() || other.system.is_empty();
        one.code == other.code
            && (any_system || code_key(&one.system, one.code) == code_key(&other.system, other.code))
    };
    Ok(wanted
        .iter()
        .any(|one| requested.iter().any(|other| is_same(one, other))))
}
