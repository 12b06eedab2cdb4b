//! Whom a request is for: the member, the coverage, the facts that policies may read about them, and the gold cards of
//! the requester.

use super::business_error::BusinessError;
use super::request::Request;
use super::requester;
use super::submit_call::SubmitCall;
use crate::error::Result;
use crate::plan::{self, Coverage, CoverageMatch, GoldCard, Member, MemberNumbers, Requester};
use crate::rules::MemberFacts;
use crate::state::State;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The member and the coverage of a request, on the day of receipt.
#[derive(Debug)]
pub(super) struct MemberMatch {
    /// The member.
    pub member: Member,
    /// The member's coverage that the request names.
    pub coverage: Coverage,
    /// Whether the coverage is in force.
    pub in_force: bool,
    /// What policies may read about the member.
    pub facts: MemberFacts,
    /// The NPIs of the requester.
    pub requester: Requester,
    /// The requester's gold cards.
    pub gold_cards: Vec<GoldCard>,
}

impl MemberMatch {
    /// The requester's NPIs that need no authorization for an item on the day of receipt. `item` has the facts of the
    /// item (`rules::claim_item_facts`).
    pub(super) fn gold_card_npis(&self, item: &Value, received: DateTime<Utc>) -> Vec<String> {
        let coverage = &self.coverage;
        let day = received.with_timezone(&coverage.zone).date_naive();
        plan::exempt_requesters(
            &self.gold_cards,
            &self.requester,
            item,
            &coverage.line_of_business,
            day,
        )
    }
}

/// Finds the member and the coverage. The inner error says which of the two was not found.
pub(super) async fn find(call: &SubmitCall<'_>) -> Result<std::result::Result<MemberMatch, BusinessError>> {
    let request = call.request;
    let Some(member) = find_member(call.state, request).await? else {
        return Ok(Err(BusinessError::member_not_found(&request.patient.path())));
    };
    let requester = requester::npis(request);
    // Gold cards count only for NPIs that are registered for the client, because anybody can name any NPI.
    let npis = call.client.acts_for(requester.npis.clone());
    let (coverages, gold_cards) = call
        .state
        .store
        .read((member.id, npis), |tx, (member, npis)| {
            Box::pin(async move { Ok((tx.coverages_of(*member).await?, tx.gold_cards_of(npis).await?)) })
        })
        .await?;
    let day_of_receipt = |coverage: &Coverage| call.now.with_timezone(&coverage.zone).date_naive();
    let day = coverages
        .first()
        .map_or_else(|| call.now.date_naive(), day_of_receipt);
    let sent = Some(request.coverage.resource);
    let (coverage, in_force) = match plan::choose_coverage(&coverages, sent, day) {
        CoverageMatch::InForce(coverage) => (coverage.clone(), true),
        CoverageMatch::NotInForce(coverage) => (coverage.clone(), false),
        CoverageMatch::NotFound => {
            return Ok(Err(BusinessError::coverage_not_found(&request.coverage.path())));
        }
    };
    let facts = plan::member_facts(&member, &coverage, &coverages, day_of_receipt(&coverage));
    Ok(Ok(MemberMatch {
        member,
        coverage,
        in_force,
        facts,
        requester,
        gold_cards,
    }))
}

/// The one member with the identifiers, the name and the birth date of the Patient.
pub(super) async fn find_member(state: &State, request: &Request<'_>) -> Result<Option<Member>> {
    let patient = request.patient.resource;
    let numbers = plan::member_numbers(Some(patient), Some(request.coverage.resource));
    let candidates = state
        .store
        .read(numbers, |tx, numbers: &MemberNumbers| {
            Box::pin(async move {
                tx.members_by_numbers(&numbers.member_ids, numbers.subscriber_id.as_deref())
                    .await
            })
        })
        .await?;
    let mut matching = candidates
        .into_iter()
        .filter(|member| plan::may_be_same_person(member, patient));
    Ok(match (matching.next(), matching.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    })
}
