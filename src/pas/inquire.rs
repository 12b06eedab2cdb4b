//! `POST Claim/$inquire`: a query by example about one member. The response shows every matching case that the client
//! may see, as it is now (PAS 2.2.1, spec-43 to spec-53). `Claim.identifier` identifies the inquiry itself and is not a
//! search parameter. Only cases that the client may see are read, and their number is limited: an inquiry that matches
//! more is refused, because an answer without some of them would look complete.

use super::member_match;
use super::request::Request;
use super::response::current_response;
use crate::auth::Client;
use crate::error::{Error, Issue, IssueCode, Result};
use crate::fhir::bundle::parse_stored_request;
use crate::fhir::coding::{Coding, codings};
use crate::fhir::parameters::BundleBody;
use crate::fhir::{self, decimals, list};
use crate::ig::pas::{PasGuide, Profile, extension_url};
use crate::prior_auth::PriorAuth;
use crate::rules::code_key;
use crate::state::{State, WorkSize};
use crate::store::member_cases::{Inquiry, MOST_NPIS};
use crate::wire::interaction::Create;
use crate::wire::resource::Claim;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse, Guide};
use axum::extract::State as StateExtractor;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
    let cases = matching_cases(&state, &caller.client, &inquiry).await?;
    // Reading and writing a case takes about as long as parsing its request three times.
    let size = WorkSize::new(cases.iter().map(|(_, text)| text.len() * 3).sum(), 0);
    let answer = || {
        let mut parameters = Vec::with_capacity(cases.len());
        for (case, text) in &cases {
            let profile = Profile::ClaimInquiryResponse;
            let bundle = current_response(&state, guide, case, text, profile, now)?;
            parameters.push(json!({ "name": "return", "resource": bundle }));
        }
        let mut response = json!({ "resourceType": "Parameters" });
        if !parameters.is_empty() {
            fhir::put(&mut response, "parameter", Value::Array(parameters));
        }
        Ok(decimals::write(&response))
    };
    let answer = state.compute(size, answer).await?;
    Ok(FhirResponse::text(answer))
}

/// How many cases are looked into at once.
const PAGE: i64 = 50;
/// The largest number of cases that one inquiry looks into.
const MOST_READ: usize = 1000;

/// The member's cases that match the inquiry and that the client may see, each with the text of its request, newest
/// first. A client sees the cases that it submitted and those of requesters that are registered for it and named in the
/// inquiry.
async fn matching_cases(
    state: &State,
    client: &Client,
    inquiry: &Request<'_>,
) -> Result<Vec<(PriorAuth, String)>> {
    let Ok(member) = member_match::find_member(state, inquiry).await? else {
        return Ok(Vec::new());
    };
    let most = state.config.limits.inquiry_cases;
    let numbers = case_numbers(inquiry);
    if numbers.len() > most {
        return Err(too_many(most));
    }
    let query = Inquiry {
        member: member.id,
        client: client.id,
        npis: named_npis(client, inquiry)?,
    };
    let services = services(inquiry.claim.resource);
    let any_service = services.iter().any(|service| service.code == "not-applicable") || services.is_empty();
    let matches = |(case, text): &(PriorAuth, String)| -> Result<bool> {
        Ok(any_service || has_service(case, text, &services)?)
    };
    let mut matching = Vec::new();
    if !numbers.is_empty() {
        let read = state.store.read((query, numbers), |tx, (query, numbers)| {
            Box::pin(async move {
                let ids = tx.inquired_cases_by_number(query, numbers).await?;
                tx.cases_with_requests(query.member, &ids).await
            })
        });
        for case in read.await? {
            if matches(&case)? {
                matching.push(case);
            }
        }
        return Ok(matching);
    }
    let (mut after, mut looked_into) = (None, 0);
    loop {
        let read = state.store.read((query.clone(), after), |tx, (query, after)| {
            Box::pin(async move {
                let ids = tx.inquired_cases(query, *after, PAGE).await?;
                tx.cases_with_requests(query.member, &ids).await
            })
        });
        let cases = read.await?;
        let Some((last, _)) = cases.last() else {
            return Ok(matching);
        };
        after = Some(last.id);
        looked_into += cases.len();
        for case in cases {
            if matches(&case)? {
                matching.push(case);
            }
        }
        if matching.len() > most || looked_into > MOST_READ {
            return Err(too_many(most));
        }
    }
}

fn too_many(most: usize) -> Error {
    let message = format!(
        "More than {most} authorizations match this inquiry. Add an authorization number, an administration reference \
         number, or the code of a service that few requests have."
    );
    Error::with_issues(vec![Issue::error(
        IssueCode::TooCostly,
        "Bundle.entry[0].resource",
        message,
    )])
}

/// The NPIs in the inquiry that are registered for the client. Spec-53 requires the NPI of the ordering provider; anybody
/// can name an NPI, so it must also be registered.
fn named_npis(client: &Client, inquiry: &Request<'_>) -> Result<Vec<String>> {
    let named: BTreeSet<String> = inquiry
        .index
        .entries()
        .filter_map(|entry| fhir::npi(entry.resource))
        .map(str::to_owned)
        .collect();
    let npis = client.acts_for(named);
    if npis.len() > MOST_NPIS {
        let message =
            format!("An inquiry can name at most {MOST_NPIS} registered providers. Send several inquiries.");
        return Err(Error::with_issues(vec![Issue::error(
            IssueCode::TooCostly,
            "Bundle.entry",
            message,
        )]));
    }
    Ok(npis)
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
