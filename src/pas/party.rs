//! Who a request is for: the member behind the patient, and which of the member's coverages is meant.

use super::request::Request;
use super::response::BusinessError;
use crate::error::Result;
use crate::plan::{self, Asked, Coverage, Found, Member};
use crate::state::State;
use chrono::{DateTime, Utc};

/// The member and the coverage.
#[derive(Debug)]
pub struct Party {
    /// The member.
    pub member: Member,
    /// The coverage that is meant.
    pub coverage: Coverage,
    /// Whether it is in force on the day of receipt.
    pub in_force: bool,
}

/// Finds both, or says in X12's words what cannot be found. An outage is an error, never "not found".
pub async fn find(
    state: &State,
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
    let id = member.id;
    let ours = state
        .store
        .read(id, |tx, id| Box::pin(async move { tx.coverages_of(*id).await }))
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
    Ok(Ok(Party {
        member,
        coverage,
        in_force,
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
