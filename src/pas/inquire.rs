//! `POST Claim/$inquire`: a query by example about one member. The response shows every matching case that the client
//! may see, as it is now (PAS 2.2.1, spec-43 to spec-53). `Claim.identifier` identifies the inquiry itself and is not a
//! search parameter.

use super::member_match;
use super::request::Request;
use super::response::current_response;
use crate::auth::Client;
use crate::error::Result;
use crate::fhir::parameters::BundleBody;
use crate::fhir::{self, coding};
use crate::ig::pas::{PasGuide, Profile, extension_url};
use crate::prior_auth::PriorAuth;
use crate::state::State;
use crate::wire::interaction::Create;
use crate::wire::resource::Claim;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse, Guide};
use axum::extract::State as StateExtractor;
use serde_json::json;

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
    Ok(FhirResponse::ok(&response))
}

/// The member's cases that match the inquiry and that the client may see, each with the text of its request. A client
/// sees the cases that it submitted and those of requesters that are registered for it and named in the inquiry.
async fn matching_cases(
    state: &State,
    client: &Client,
    inquiry: &Request<'_>,
) -> Result<Vec<(PriorAuth, String)>> {
    let Some(member) = member_match::find_member(state, inquiry).await? else {
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
    let codes = service_codes(inquiry);
    // Spec-53 requires the NPI of the ordering provider. Anybody can name an NPI, so it must also be registered for the
    // client.
    let may_see = |case: &PriorAuth| {
        let is_named = |npi: &String| npis.contains(&npi.as_str()) && client.doc.npis.contains(npi);
        case.received.client == client.id || case.received.requester_npi.as_ref().is_some_and(is_named)
    };
    let has_service =
        |case: &PriorAuth| codes.is_empty() || case.items.iter().any(|i| codes.contains(&i.code.as_str()));
    Ok(found
        .into_iter()
        .filter(|(case, _)| may_see(case) && has_service(case))
        .collect())
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

/// The service codes in the inquiry; empty for any service, which the code `not-applicable` means (spec-43).
fn service_codes<'a>(inquiry: &Request<'a>) -> Vec<&'a str> {
    let concepts = inquiry.items().filter_map(|item| item.get("productOrService"));
    let codes: Vec<&str> = concepts.flat_map(coding::codings).map(|c| c.code).collect();
    if codes.contains(&"not-applicable") {
        Vec::new()
    } else {
        codes
    }
}
