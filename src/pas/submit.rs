//! `POST Claim/$submit`: read, match, evaluate, open, commit, respond. The response is sent only after the commit. If
//! the commit fails, the response is 503 and nothing is stored.

use super::business_error::BusinessError;
use super::commit::{self, NewSubmission};
use super::records::{self, Records};
use super::request::Request;
use super::request_size::check_size;
use super::response_context::ResponseContext;
use super::submit_call::SubmitCall;
use super::{assertion, earlier_request, member_match, open, replay, requester, response};
use crate::auth::Client;
use crate::clock::new_id;
use crate::error::Result;
use crate::fhir::parameters::BundleBody;
use crate::ig::pas::{PasGuide, Profile};
use crate::state::{State, WorkSize};
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
    let items = check_size(&state.config.limits, &body.value)?;
    let size = WorkSize::new(body.text.len(), items);
    let read = state
        .compute(size, || read_request(guide, &caller.client, &body.value))
        .await?;
    let (request, replay_key) = read;
    let call = SubmitCall {
        state: &state,
        guide,
        client: &caller.client,
        request: &request,
        text: &body.text,
        now: state.now(),
    };
    let records = match records::read(&call, &replay_key).await? {
        Ok(records) => records,
        Err(earlier) => {
            let response = state.compute(size, || replay::response(&call, &earlier)).await?;
            return Ok(FhirResponse::text(response));
        }
    };
    let response = match state.compute(size, || decide(&call, records)).await? {
        Decided::Refused(response) => response,
        Decided::Opened(new) => {
            let response = commit::commit(&call, *new, replay_key).await?;
            metrics::counter!("assent_pas_submissions_total").increment(1);
            response
        }
    };
    Ok(FhirResponse::text(response))
}

/// Reads and checks the request, and computes the key of its repetitions.
fn read_request<'a>(guide: &PasGuide, client: &Client, bundle: &'a Value) -> Result<(Request<'a>, String)> {
    let request = Request::read(guide, bundle)?;
    requester::check_sender(client, &request)?;
    let replay_key = replay::replay_key(&request, bundle);
    Ok((request, replay_key))
}

/// What becomes of a new request.
enum Decided {
    /// It was understood and cannot be processed; the response says why, and nothing is stored.
    Refused(String),
    /// It opens a case.
    Opened(Box<NewSubmission>),
}

/// Evaluates a new request and writes its response. Nothing is stored here.
fn decide(call: &SubmitCall<'_>, mut records: Records) -> Result<Decided> {
    if let Some(not_new) = earlier_request::refusal(call.request) {
        return refuse(call, &not_new);
    }
    let (expired, named) = (records.expired, records.assertion.take());
    let matched = match member_match::choose(call, records) {
        Ok(matched) => matched,
        Err(not_found) => return refuse(call, &not_found),
    };
    let assertion = assertion::check(call.request, named.as_ref(), &matched.member)?;
    let opened = open::open_case(call, &matched, assertion)?;
    let response_id = new_id(call.now);
    let response = response::write_response(call, |request| {
        response::bundle(&ResponseContext {
            guide: call.guide,
            public_url: &call.state.config.public_url,
            case: &opened.case,
            request,
            bundle_id: response_id,
            now: call.now,
            profile: Profile::ClaimResponse,
        })
    })?;
    Ok(Decided::Opened(Box::new(NewSubmission {
        opened,
        response_id,
        response,
        notified_logins: matched.notified_logins,
        expired,
    })))
}

/// A request that was understood but cannot be processed: status 200 with `ClaimResponse.error` (PAS spec-38).
fn refuse(call: &SubmitCall<'_>, error: &BusinessError) -> Result<Decided> {
    let text = response::write_response(call, |request| response::refusal(call, request, error))?;
    Ok(Decided::Refused(text))
}
