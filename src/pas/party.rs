//! Who a request is for: the member behind the patient, which of the member's coverages is meant, and what rules may
//! know of the two; and whether the requester holds gold cards.

use super::request::Request;
use super::requester;
use super::response::BusinessError;
use crate::auth::Client;
use crate::error::Result;
use crate::plan::{self, Asked, Coverage, Found, GoldCard, Member, Requester};
use crate::rules::MemberFacts;
use crate::state::State;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The member and the coverage.
#[derive(Debug)]
pub struct Party {
    /// The member.
    pub member: Member,
    /// The coverage that is meant.
    pub coverage: Coverage,
    /// Whether it is in force on the day of receipt.
    pub in_force: bool,
    /// What rules may know of the member on the day of receipt.
    pub facts: MemberFacts,
    /// Who asks.
    pub requester: Requester,
    /// The requester's gold cards.
    pub gold_cards: Vec<GoldCard>,
}

impl Party {
    /// The NPIs that need not ask for an item (its facts) on the day of receipt.
    pub fn exempt(&self, item: &Value, now: DateTime<Utc>) -> Vec<String> {
        let coverage = &self.coverage;
        let day = now.with_timezone(&coverage.zone).date_naive();
        plan::exempt(&self.gold_cards, &self.requester, item, &coverage.line, day)
    }
}

/// Finds both, or says in X12's words what cannot be found. An outage is an error, never "not found".
pub async fn find(
    state: &State,
    client: &Client,
    request: &Request<'_>,
    now: DateTime<Utc>,
) -> Result<std::result::Result<Party, BusinessError>> {
    let Some(member) = member(state, request).await? else {
        return Ok(Err(BusinessError {
            code: "75",
            follow_up: "C",
            element: "2010C-NM109",
            path: format!("{}.identifier", request.patient.path()),
            text: "No member of this plan has these identifiers together with this name and birth date.",
        }));
    };
    let requester = requester::npis(request);
    // A gold card is for whom the client is registered for, not for a number that anybody could name.
    let wanted = (member.id, client.acts_for(requester.npis.clone()));
    let (ours, gold_cards) = state
        .store
        .read(wanted, |tx, (id, npis)| {
            Box::pin(async move { Ok((tx.coverages_of(*id).await?, tx.gold_cards_of(npis).await?)) })
        })
        .await?;
    let today = |c: &Coverage| now.with_timezone(&c.zone).date_naive();
    let day = ours.first().map_or_else(|| now.date_naive(), today);
    let (coverage, in_force) = match plan::choose_coverage(&ours, Some(request.coverage.resource), day) {
        Found::InForce(coverage) => (coverage.clone(), true),
        Found::NotInForce(coverage) => (coverage.clone(), false),
        Found::NotFound => {
            return Ok(Err(BusinessError {
                code: "75",
                follow_up: "C",
                element: "2010C-NM109",
                path: format!("{}.subscriberId", request.coverage.path()),
                text: "The coverage that was sent is none of this member's coverages with this plan.",
            }));
        }
    };
    let facts = plan::facts(&member, &coverage, &ours, today(&coverage));
    Ok(Ok(Party {
        member,
        coverage,
        in_force,
        facts,
        requester,
        gold_cards,
    }))
}

/// The one member who fits: a number finds, name and birth date must agree.
pub async fn member(state: &State, request: &Request<'_>) -> Result<Option<Member>> {
    let patient = request.patient.resource;
    let asked = plan::member_numbers(Some(patient), Some(request.coverage.resource));
    let found = state
        .store
        .read(asked, |tx, asked: &Asked| {
            Box::pin(async move {
                tx.members_by_numbers(&asked.member_ids, asked.subscriber_id.as_deref())
                    .await
            })
        })
        .await?;
    let mut fitting = found.into_iter().filter(|member| plan::agrees(member, patient));
    Ok(match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    })
}
