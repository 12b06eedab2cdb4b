//! Storing a submission: one unit of work with the case, its events, the request's text, what a repetition needs, and the
//! notices of its decisions.

use super::open::OpenedCase;
use super::replay::{self, EarlierSubmission};
use super::submit_call::SubmitCall;
use crate::error::{Error, ErrorKind, Result};
use crate::store::fan_out::MailRecipients;
use crate::store::submissions::{self, Submission};
use uuid::Uuid;

/// A case that is not stored yet, and its response.
pub(super) struct NewSubmission {
    /// The case and its events.
    pub opened: OpenedCase,
    /// The id of the response Bundle, from which a repetition makes the same response again.
    pub response_id: Uuid,
    /// The text of the response.
    pub response: String,
    /// The member's sign-ins that get an email notice.
    pub notified_logins: Vec<Uuid>,
    /// The case of an earlier submission with the same key that is older than the replay window. It is replaced.
    pub expired: Option<Uuid>,
}

/// What the unit of work stores.
struct Unit {
    opened: OpenedCase,
    request_text: String,
    client: Uuid,
    replay_key: String,
    submission: Submission,
    replaces: Option<Uuid>,
    mail: MailRecipients,
}

/// Stores the submission and returns the response. Of two equal requests at the same moment only one is stored; the
/// other gets the same response. If the unit of work fails, nothing is stored and the error is `Unavailable`.
pub(super) async fn commit(call: &SubmitCall<'_>, new: NewSubmission, replay_key: String) -> Result<String> {
    let replaces = new.expired;
    let unit = Unit {
        request_text: call.text.to_owned(),
        client: call.client.id,
        replay_key: replay_key.clone(),
        submission: Submission {
            case_id: new.opened.case.id,
            response: new.response_id,
            created: call.now,
        },
        replaces,
        opened: new.opened,
        mail: MailRecipients {
            member_logins: new.notified_logins,
            provider_npi: None,
        },
    };
    let stored = call
        .state
        .store
        .write_one(unit, |tx, unit| {
            Box::pin(async move {
                let new = submissions::NewSubmission {
                    case: &unit.opened.case,
                    events: &unit.opened.events,
                    request: &unit.request_text,
                    client: unit.client,
                    replay_key: &unit.replay_key,
                    submission: &unit.submission,
                    replaces: unit.replaces,
                    mail: &unit.mail,
                };
                tx.add_submission(&new).await
            })
        })
        .await;
    match stored {
        Ok(()) => Ok(new.response),
        // Nothing but the same request changes the row that this one replaces.
        Err(error)
            if error.is_repetition() || (replaces.is_some() && error.kind() == ErrorKind::Conflict) =>
        {
            repeated(call, &replay_key, error).await
        }
        Err(error) if error.kind() == ErrorKind::Conflict => Err(Error::unavailable(error)),
        Err(error) => Err(error),
    }
}

/// The response to the same request, which was stored in the meantime.
async fn repeated(call: &SubmitCall<'_>, replay_key: &str, error: Error) -> Result<String> {
    let query = replay::Query::new(call, replay_key);
    let read = call
        .state
        .store
        .read(query, |tx, query| Box::pin(replay::find_earlier(tx, query)));
    match read.await? {
        EarlierSubmission::Answered(earlier) => replay::response(call, &earlier),
        EarlierSubmission::None | EarlierSubmission::Expired(_) => Err(Error::unavailable(error)),
    }
}
