//! `POST Claim/$submit`: read, match, evaluate, open, commit, respond. The response is sent only after the commit. If
//! the commit fails, the response is 503 and nothing is stored.

use super::business_error::BusinessError;
use super::replay::{self, EarlierSubmission};
use super::request::Request;
use super::submit_call::SubmitCall;
use super::{assertion, commit, earlier_request, member_match, open, response};
use crate::error::Error;
use crate::fhir::decimals;
use crate::fhir::parameters::BundleBody;
use crate::ig::pas::PasGuide;
use crate::state::State;
use crate::wire::interaction::Create;
use crate::wire::resource::Claim;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse, Guide};
use axum::extract::State as StateExtractor;
use serde_json::Value;

/// Handles `POST {base}/Claim/$submit`.
pub async fn post(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<Claim, Create>,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    let body = BundleBody::read(body.text, body.value)?;
    let request = Request::read(guide, &body.value)?;
    let marked: Value = serde_json::from_str(&decimals::mark(&body.text)).map_err(Error::internal)?;
    let call = SubmitCall {
        state: &state,
        guide,
        client: &caller.client,
        request: &request,
        echoed: &Request::read_again(guide, &marked)?,
        now: state.now(),
    };
    let replay_key = replay::replay_key(&request, &body.value);
    let earlier = replay::find_earlier(&call, &replay_key).await?;
    if let EarlierSubmission::Answered(response) = earlier {
        return Ok(FhirResponse::text(response));
    }
    if let Some(not_new) = earlier_request::refusal(&request) {
        return Ok(refuse(&call, &not_new));
    }
    let matched = match member_match::find(&call).await? {
        Ok(matched) => matched,
        Err(not_found) => return Ok(refuse(&call, &not_found)),
    };
    let assertion = assertion::find(&call, &matched.member).await?;
    let opened = open::open_case(&call, &matched, assertion)?;
    let submission = commit::NewSubmission {
        request_text: body.text,
        replay_key,
        replaces_expired: matches!(earlier, EarlierSubmission::Expired),
    };
    let response = commit::commit(&call, opened, submission).await?;
    metrics::counter!("assent_pas_submissions_total").increment(1);
    Ok(FhirResponse::text(response))
}

/// A request that was understood but cannot be processed: status 200 with `ClaimResponse.error` (PAS spec-38).
fn refuse(call: &SubmitCall<'_>, error: &BusinessError) -> FhirResponse {
    FhirResponse::text(decimals::write(&response::refusal(call, error)))
}
