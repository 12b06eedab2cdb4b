//! `POST Claim/$inquire`: query by example for one member. The answer is the current truth of every case that the
//! caller may see (PAS 2.2.1, spec-43 to spec-53). `Claim.identifier` is the inquiry's own trace, not a search key.

use super::party;
use super::request::Request;
use super::submit::current_answer;
use crate::auth::Client;
use crate::error::Result;
use crate::fhir::{self, coding};
use crate::ig::pas::{V2_2, sd};
use crate::prior_auth::PriorAuth;
use crate::state::State;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse};
use axum::extract::State as Held;
use serde_json::json;

/// The handler.
pub async fn post(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Claim", 'c')?;
    let now = state.now();
    let request = Request::read_inquiry(&V2_2, &body.value)?;
    let mut parameters = Vec::new();
    for (case, text) in cases(&state, &caller.client, &request).await? {
        let bundle = current_answer(&state, &V2_2, &case, &text, "profile-claiminquiryresponse", now)?;
        parameters.push(json!({ "name": "return", "resource": bundle }));
    }
    let mut answer = json!({ "resourceType": "Parameters" });
    if !parameters.is_empty() {
        fhir::put(&mut answer, "parameter", json!(parameters));
    }
    Ok(FhirResponse::ok(&answer))
}

/// The member's cases that match and that the caller may see: its own, or those whose requester it names by NPI.
async fn cases(state: &State, client: &Client, request: &Request<'_>) -> Result<Vec<(PriorAuth, String)>> {
    let Some(member) = party::member(state, request).await? else {
        return Ok(Vec::new());
    };
    let found = state
        .store
        .read((member.id, numbers(request)), |tx, (member, numbers)| {
            Box::pin(async move {
                let mut named = Vec::new();
                for number in numbers {
                    named.extend(tx.case_by_number(number).await?);
                }
                let mut found = Vec::new();
                for case in tx.cases_of_member(*member).await? {
                    if numbers.is_empty() || named.contains(&case.id) {
                        let text = tx.request_text(case.received.request).await?;
                        found.push((case, text));
                    }
                }
                Ok(found)
            })
        })
        .await?;
    let npis: Vec<&str> = request
        .index
        .entries()
        .filter_map(|e| fhir::npi(e.resource))
        .collect();
    let codes = codes(request);
    // Spec-53 wants the ordering NPI beside the member; naming one is not enough, it must be registered for the caller.
    let seen = |case: &PriorAuth| {
        let named = |npi: &String| npis.contains(&npi.as_str()) && client.doc.npis.contains(npi);
        case.received.client == client.id || case.received.requester_npi.as_ref().is_some_and(named)
    };
    let wanted =
        |case: &PriorAuth| codes.is_empty() || case.items.iter().any(|i| codes.contains(&i.code.as_str()));
    Ok(found
        .into_iter()
        .filter(|(case, _)| seen(case) && wanted(case))
        .collect())
}

/// Authorization and tracking numbers that the inquiry names, at the Claim or at an item.
fn numbers(request: &Request<'_>) -> Vec<String> {
    let places = std::iter::once(request.claim.resource).chain(request.items());
    places
        .flat_map(|place| {
            [
                "extension-authorizationNumber",
                "extension-administrationReferenceNumber",
            ]
            .into_iter()
            .filter_map(move |name| fhir::text(fhir::extension(place, &sd(name))?, &["valueString"]))
        })
        .map(str::to_owned)
        .collect()
}

/// The services asked about; `not-applicable` means no filter (spec-43).
fn codes<'a>(request: &Request<'a>) -> Vec<&'a str> {
    let concepts = request.items().filter_map(|item| item.get("productOrService"));
    let all: Vec<&str> = concepts.flat_map(coding::codings).map(|c| c.code).collect();
    if all.contains(&"not-applicable") {
        Vec::new()
    } else {
        all
    }
}
