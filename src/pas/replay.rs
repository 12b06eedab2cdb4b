//! Repeated submissions: the same request from the same client gets the response of the first submission.

use super::request::Request;
use super::response::current_response;
use super::submit_call::SubmitCall;
use crate::error::{Error, Result};
use crate::fhir::decimals;
use crate::ig::pas::Profile;
use chrono::Duration;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What is known about an earlier submission of the same request.
pub(super) enum EarlierSubmission {
    /// There is none.
    None,
    /// It was answered within the replay window; this is the response for it now.
    Answered(String),
    /// It is older than the replay window, so the request counts as new.
    Expired,
}

/// The key of a submission: a hash of the sender's identifiers and of the whole content of the Bundle. Identifiers
/// alone are not enough because senders reuse them. The key does not depend on white space, on the order of JSON
/// members or on whether the Bundle was sent in `Parameters`.
pub(super) fn replay_key(request: &Request<'_>, bundle: &Value) -> String {
    let mut hash = Sha256::new();
    for part in [
        request.bundle_identifier.as_str(),
        &request.claim_identifier(),
        &bundle.to_string(),
    ] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hash.finalize())
}

/// Looks for an earlier submission of the same request by the same client. Until a reviewer decides, its response is
/// the stored one, byte for byte; afterwards it shows the case as it is now.
pub(super) async fn find_earlier(call: &SubmitCall<'_>, replay_key: &str) -> Result<EarlierSubmission> {
    let state = call.state;
    let found = state
        .store
        .read((call.client.id, replay_key.to_owned()), |tx, (client, key)| {
            Box::pin(async move {
                let Some(submission) = tx.submission(*client, key).await? else {
                    return Ok(None);
                };
                let Some(case) = tx.case(submission.case_id).await? else {
                    return Err(Error::internal("a submission has no case"));
                };
                let text = tx.request_text(case.received.request).await?;
                Ok(Some((submission, case, text)))
            })
        })
        .await?;
    let Some((submission, case, text)) = found else {
        return Ok(EarlierSubmission::None);
    };
    if call.now - submission.created > Duration::days(i64::from(state.config.submissions.replay_days)) {
        return Ok(EarlierSubmission::Expired);
    }
    // Only decisions change the response. A referral to a physician does not show outside of the plan.
    let mut decisions = case.items.iter().filter_map(|item| item.decision.as_ref());
    if !decisions.any(|decision| decision.by.reviewer().is_some()) {
        return Ok(EarlierSubmission::Answered(submission.response));
    }
    let response = current_response(state, call.guide, &case, &text, Profile::ClaimResponse, call.now)?;
    Ok(EarlierSubmission::Answered(decimals::write(&response)))
}
