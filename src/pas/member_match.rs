//! Whom a request is for: the member, the coverage, the facts that policies may read about them, and the gold cards of
//! the requester.

use super::business_error::BusinessError;
use super::records::Records;
use super::request::Request;
use super::requester;
use super::submit_call::SubmitCall;
use crate::error;
use crate::fhir::dates::DateRange;
use crate::plan::{self, Coverage, CoverageMatch, GoldCard, Member, MemberNumbers, NoMember, Requester};
use crate::rules::{ClaimParts, MemberFacts, days_asked_for};
use crate::state::State;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The member and the coverage of a request.
#[derive(Debug)]
pub(super) struct MemberMatch {
    /// The member.
    pub member: Member,
    /// The member's coverage that the request names. It need not be in force on the days of every item.
    pub coverage: Coverage,
    /// What policies may read about the member.
    pub facts: MemberFacts,
    /// The NPIs of the requester.
    pub requester: Requester,
    /// The requester's gold cards.
    pub gold_cards: Vec<GoldCard>,
    /// The member's sign-ins that get an email notice.
    pub notified_logins: Vec<Uuid>,
}

impl MemberMatch {
    /// Why the coverage does not answer for an item: the code of a pend; `None` if it is in force on all of these days.
    pub(super) fn coverage_problem(&self, days: DateRange) -> Option<&'static str> {
        let coverage = &self.coverage;
        if coverage.in_force(days.first) && coverage.in_force(days.last) {
            return None;
        }
        if coverage.starts.is_some_and(|start| days.first < start) {
            return Some("service-before-coverage");
        }
        if coverage.ends.is_some_and(|end| end < days.last) {
            return Some("service-after-coverage");
        }
        Some("coverage-not-active")
    }

    /// The requester's NPIs that need no authorization for an item on the day of receipt. `item` has the facts of the
    /// item (`rules::ClaimParts`).
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

/// Chooses the member and the coverage among the records. The error says which of the two was not found.
pub(super) fn choose(call: &SubmitCall<'_>, records: Records) -> Result<MemberMatch, BusinessError> {
    let request = call.request;
    let patient = request.patient.resource;
    let numbers = plan::member_numbers(Some(patient), Some(request.coverage.resource));
    let (mut members, mut of_member) = (Vec::new(), HashMap::new());
    for candidate in records.candidates {
        of_member.insert(
            candidate.member.id,
            (candidate.coverages, candidate.notified_logins),
        );
        members.push(candidate.member);
    }
    let member = plan::only_member(members, &numbers, Some(patient))
        .map_err(|reason| BusinessError::member_not_found(reason, &request.patient.path()))?;
    let (coverages, notified_logins) = of_member.remove(&member.id).unwrap_or_default();
    let Some(coverage) = choose_coverage(call, &coverages).cloned() else {
        return Err(BusinessError::coverage_not_found(&request.coverage.path()));
    };
    let today = call.now.with_timezone(&coverage.zone).date_naive();
    let policy_set = call.state.policy_set();
    let plan_row = policy_set.rules.plan(&coverage.plan, today);
    let facts = MemberFacts {
        retrospective_days: plan_row.and_then(|plan| plan.retrospective_days),
        ..plan::member_facts(&member, &coverage, &coverages, today)
    };
    Ok(MemberMatch {
        member,
        coverage,
        facts,
        requester: requester::npis(request),
        gold_cards: records.gold_cards,
        notified_logins,
    })
}

/// The member's coverage that a Coverage of the request names and that is in force on the first day of an item, or else
/// on the day of receipt; otherwise one that the request names and that is not in force. The focal Coverage goes first.
fn choose_coverage<'c>(call: &SubmitCall<'_>, coverages: &'c [Coverage]) -> Option<&'c Coverage> {
    let zone = coverages.first()?.zone;
    let today = call.now.with_timezone(&zone).date_naive();
    let claim = call.request.claim.resource;
    let parts = ClaimParts::new(claim);
    let items = call.request.items().map(|item| parts.item_facts(item));
    let mut days: Vec<NaiveDate> = items
        .filter_map(|item| Some(days_asked_for(&item, zone, today)?.first))
        .chain([today])
        .collect();
    // Of days on which the same coverages are in force, one is enough.
    let mut seen = HashSet::new();
    days.retain(|day| seen.insert(coverages.iter().map(|c| c.in_force(*day)).collect::<Vec<_>>()));
    let mut ended = None;
    for sent in &call.request.coverages {
        for day in &days {
            match plan::choose_coverage(coverages, Some(sent.resource), *day) {
                CoverageMatch::InForce(coverage) => return Some(coverage),
                CoverageMatch::NotInForce(coverage) => ended = ended.or(Some(coverage)),
                CoverageMatch::NotFound => {}
            }
        }
    }
    ended
}

/// The one member with the identifiers, the name and the birth date of the Patient.
pub(super) async fn find_member(
    state: &State,
    request: &Request<'_>,
) -> error::Result<Result<Member, NoMember>> {
    let patient = request.patient.resource;
    let numbers = plan::member_numbers(Some(patient), Some(request.coverage.resource));
    let query = numbers.clone();
    let candidates = state
        .store
        .read_each(query, |tx, numbers: &MemberNumbers| {
            Box::pin(async move {
                tx.members_by_numbers(&numbers.member_ids, numbers.subscriber_id.as_deref())
                    .await
            })
        })
        .await?;
    Ok(plan::only_member(candidates, &numbers, Some(patient)))
}
