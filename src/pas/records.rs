//! What the store has for a request, read together before the request is evaluated: an earlier submission of
//! the same request, the plan's records of the patient and of the requester, and the hook's assertion.

use super::replay::{EarlierSubmission, find_earlier};
use super::requester;
use super::submit_call::SubmitCall;
use super::{assertion, replay};
use crate::error::Result;
use crate::plan::{self, Coverage, GoldCard, Member, MemberNumbers};
use crate::store::Tx;
use crate::store::assertions::Assertion;
use uuid::Uuid;

/// What the store has for a new request.
pub(super) struct Records {
    /// The case of an earlier submission of the same request that is older than the replay window.
    pub expired: Option<Uuid>,
    /// The members who have a number of the request.
    pub candidates: Vec<Candidate>,
    /// The gold cards of the requester.
    pub gold_cards: Vec<GoldCard>,
    /// The assertion that the request names, if this client has it.
    pub assertion: Option<Assertion>,
}

/// A member who has a number of the request.
pub(super) struct Candidate {
    /// The member.
    pub member: Member,
    /// The member's coverages.
    pub coverages: Vec<Coverage>,
    /// The member's sign-ins that get an email notice.
    pub notified_logins: Vec<Uuid>,
}

/// What the unit of work looks for.
struct Query {
    submission: replay::Query,
    numbers: MemberNumbers,
    npis: Vec<String>,
    assertion: Option<String>,
}

/// Reads the records, or the earlier submission of the same request, whose response is the response to this one.
pub(super) async fn read(
    call: &SubmitCall<'_>,
    replay_key: &str,
) -> Result<std::result::Result<Records, replay::Answered>> {
    let request = call.request;
    let query = Query {
        submission: replay::Query::new(call, replay_key),
        numbers: plan::member_numbers(Some(request.patient.resource), Some(request.coverage.resource)),
        // Gold cards count only for NPIs that are registered for the client, because anybody can name any NPI.
        npis: call.client.acts_for(requester::npis(request).npis),
        assertion: assertion::named(request).map(|(id, _)| id.to_owned()),
    };
    call.state
        .store
        .read_each(query, |tx, query| Box::pin(read_records(tx, query)))
        .await
}

async fn read_records(tx: &mut Tx, query: &Query) -> Result<std::result::Result<Records, replay::Answered>> {
    let expired = match find_earlier(tx, &query.submission).await? {
        EarlierSubmission::Answered(answered) => return Ok(Err(*answered)),
        EarlierSubmission::Expired(case) => Some(case),
        EarlierSubmission::None => None,
    };
    let numbers = &query.numbers;
    let members = tx
        .members_and_coverages(&numbers.member_ids, numbers.subscriber_id.as_deref())
        .await?;
    let mut candidates = Vec::with_capacity(members.len());
    for (member, coverages) in members {
        candidates.push(Candidate {
            coverages,
            notified_logins: tx.notified_logins(member.id).await?,
            member,
        });
    }
    let assertion = match &query.assertion {
        Some(id) => tx.assertion(id, query.submission.client).await?,
        None => None,
    };
    Ok(Ok(Records {
        expired,
        candidates,
        gold_cards: tx.gold_cards_of(&query.npis).await?,
        assertion,
    }))
}
