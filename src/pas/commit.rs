//! Storing a submission: one unit of work with the case, its events, the request's text, the response for repetitions
//! and the fan-out jobs of its decisions.

use super::open::OpenedCase;
use super::replay::{self, EarlierSubmission};
use super::response;
use super::response_context::ResponseContext;
use super::submit_call::SubmitCall;
use crate::clock::new_id;
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::decimals;
use crate::ig::pas::Profile;

/// What is stored of a submission beside the case.
pub(super) struct NewSubmission {
    /// The text of the request Bundle.
    pub request_text: String,
    /// See `replay::replay_key`.
    pub replay_key: String,
    /// An earlier submission with the same key is older than the replay window and is replaced.
    pub replaces_expired: bool,
}

/// Stores the submission and returns the response. Of two equal requests at the same moment only one is stored; the
/// other gets the same response. If the unit of work fails, nothing is stored and the error is `Unavailable`.
pub(super) async fn commit(
    call: &SubmitCall<'_>,
    opened: OpenedCase,
    submission: NewSubmission,
) -> Result<String> {
    let response = response::bundle(&ResponseContext {
        guide: call.guide,
        public_url: &call.state.config.public_url,
        case: &opened.case,
        request: call.echoed,
        bundle_id: new_id(call.now),
        now: call.now,
        profile: Profile::ClaimResponse,
    });
    let response = decimals::write(&response);
    let replay_key = submission.replay_key.clone();
    let unit = (opened, submission, response.clone(), call.client.id);
    let stored = call
        .state
        .store
        .write(unit, |tx, (opened, submission, response, client)| {
            Box::pin(async move {
                let OpenedCase { case, events } = opened;
                let NewSubmission {
                    request_text,
                    replay_key,
                    replaces_expired,
                } = submission;
                tx.open_case(case, events, request_text).await?;
                tx.add_submission(*client, replay_key, case, response, *replaces_expired)
                    .await?;
                tx.enqueue_fan_out(case.id, events, true).await
            })
        })
        .await;
    match stored {
        Ok(()) => Ok(response),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            match replay::find_earlier(call, &replay_key).await? {
                EarlierSubmission::Answered(response) => Ok(response),
                EarlierSubmission::None | EarlierSubmission::Expired => Err(Error::unavailable(error)),
            }
        }
        Err(error) => Err(error),
    }
}
