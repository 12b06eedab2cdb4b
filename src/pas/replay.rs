//! Repeated submissions: the same request from the same client gets the response of the first submission.

use super::request::Request;
use super::response::{Envelope, current_response, response_of};
use super::submit_call::SubmitCall;
use crate::error::{Error, Result};
use crate::fhir::decimals;
use crate::ig::pas::{PasGuide, Profile};
use crate::prior_auth::PriorAuth;
use crate::store::Tx;
use crate::store::submissions::Submission;
use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use uuid::Uuid;

/// What is known about an earlier submission of the same request.
pub(super) enum EarlierSubmission {
    /// There is none.
    None,
    /// It is within the replay window.
    Answered(Box<Answered>),
    /// It is older than the replay window, so the request counts as new. The case is the one that it opened.
    Expired(Uuid),
}

/// An earlier submission of the same request within the replay window.
pub(super) struct Answered {
    submission: Submission,
    case: PriorAuth,
    request_text: String,
}

/// What identifies a repetition.
#[derive(Debug, Clone)]
pub(super) struct Query {
    /// The client.
    pub client: Uuid,
    /// See `replay_key`.
    pub key: String,
    /// Submissions before this time have expired.
    oldest: DateTime<Utc>,
}

impl Query {
    /// Repetitions of the request of this call.
    pub(super) fn new(call: &SubmitCall<'_>, replay_key: &str) -> Self {
        let days = call.state.config.submissions.replay_days;
        Self {
            client: call.client.id,
            key: replay_key.to_owned(),
            oldest: call.now - Duration::days(i64::from(days)),
        }
    }
}

/// The key of a submission: a hash of the sender's identifiers and of the whole content of the Bundle. Identifiers
/// alone are not enough because senders reuse them. The key does not depend on white space, on the order of JSON
/// members or on whether the Bundle was sent in `Parameters`.
pub(super) fn replay_key(request: &Request<'_>, bundle: &Value) -> String {
    let mut hash = Context::new(&SHA256);
    for part in [
        &request.bundle_identifier,
        &request.claim_identifier(),
        &bundle.to_string(),
    ] {
        hash.update(&part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hash.finish())
}

/// Looks for an earlier submission of the same request by the same client.
pub(super) async fn find_earlier(tx: &mut Tx, query: &Query) -> Result<EarlierSubmission> {
    let Some(submission) = tx.submission(query.client, &query.key).await? else {
        return Ok(EarlierSubmission::None);
    };
    if submission.created < query.oldest {
        return Ok(EarlierSubmission::Expired(submission.case_id));
    }
    let Some(case) = tx.case(submission.case_id).await? else {
        return Err(Error::internal("a submission has no case"));
    };
    let request_text = tx.request_text(case.received.request).await?;
    Ok(EarlierSubmission::Answered(Box::new(Answered {
        submission,
        case,
        request_text,
    })))
}

/// The response to a repetition. Until a reviewer decides, it is the response to the first submission, byte for byte:
/// it is made again from the same events, the same request, and its own id and time. Afterwards it shows the case as it
/// is now.
pub(super) fn response(call: &SubmitCall<'_>, earlier: &Answered) -> Result<String> {
    let Answered {
        submission,
        case,
        request_text,
    } = earlier;
    // Only decisions change the response. A referral to a physician does not show outside of the plan.
    let mut decisions = case.items.iter().filter_map(|item| item.decision.as_ref());
    let public_url = &call.state.config.public_url;
    let response = if decisions.any(|decision| decision.by.reviewer().is_some()) {
        current_response(
            call.state,
            call.guide,
            case,
            request_text,
            Profile::ClaimResponse,
            call.now,
        )?
    } else {
        let channel = &case.received.channel;
        let guide = PasGuide::named(channel)
            .ok_or_else(|| Error::internal(format!("case {} has the unknown channel {channel}", case.id)))?;
        let envelope = Envelope {
            bundle_id: submission.response,
            now: submission.created,
            profile: Profile::ClaimResponse,
        };
        response_of(public_url, guide, case, request_text, envelope)?
    };
    Ok(decimals::write(&response))
}
