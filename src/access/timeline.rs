//! A member's requests in plain words, for the member's page: what was asked, where it stands, why, how to appeal. The
//! same table of words as the FHIR answer. No colours and no layout here: the pages choose them.

use super::words::{Standing, disposition};
use crate::error::Result;
use crate::fhir::coding;
use crate::prior_auth::{Item, Outcome, PriorAuth};
use crate::rules::Source;
use crate::state::State;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One request of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// The case.
    pub case: Uuid,
    /// The number to quote on the telephone: the first line's tracking number.
    pub number: String,
    /// Who asked.
    pub requester: String,
    /// The plan's time zone, in which its days are meant.
    pub zone: chrono_tz::Tz,
    /// When it came in.
    pub received: DateTime<Utc>,
    /// Whether it was asked for as urgent.
    pub urgent: bool,
    /// By when the plan must answer; none once it has.
    pub answer_by: Option<DateTime<Utc>>,
    /// The state of the whole, in words.
    pub words: String,
    /// What was asked for.
    pub lines: Vec<TimelineLine>,
    /// How to appeal, once something was not approved.
    pub appeal: Option<String>,
    /// When something last happened.
    pub changed: DateTime<Utc>,
}

/// One service of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineLine {
    /// The plan's words for the service, else the code's system in short.
    pub service: String,
    /// The billing code.
    pub code: String,
    /// The state.
    pub standing: Standing,
    /// The state in a sentence: `Approved until October 5, 2027.`
    pub words: String,
    /// Why, for what was not approved or needs no authorization.
    pub reason: Option<String>,
    /// The authorization number, where one was granted.
    pub authorization: Option<String>,
    /// When it was decided.
    pub decided: Option<DateTime<Utc>>,
}

/// Every request of a member, newest first.
pub async fn of_member(state: &State, member: Uuid) -> Result<Vec<Timeline>> {
    let mut cases = state
        .store
        .read(member, |tx, member| {
            Box::pin(async move { tx.cases_of_member(*member).await })
        })
        .await?;
    cases.sort_by_key(|case| std::cmp::Reverse(case.id));
    let now = state.now();
    Ok(cases
        .iter()
        .map(|case| timeline(case, &state.config.payer.appeal, now))
        .collect())
}

/// One case as its member sees it. `appeal` is the plan's way to appeal, in words.
pub fn timeline(case: &PriorAuth, appeal: &str, now: DateTime<Utc>) -> Timeline {
    let today = now.with_timezone(&case.received.zone).date_naive();
    let standings: Vec<Standing> = case.items.iter().map(|item| Standing::of(item, today)).collect();
    let lines = case
        .items
        .iter()
        .zip(&standings)
        .map(|(item, standing)| line(item, *standing))
        .collect();
    Timeline {
        case: case.id,
        number: case
            .items
            .first()
            .map(|item| item.reference_number.clone())
            .unwrap_or_default(),
        requester: case.received.requester.clone(),
        zone: case.received.zone,
        received: case.received_at,
        urgent: case.received.urgent,
        answer_by: case.is_open().then_some(case.received.due.legal),
        words: disposition(&standings),
        lines,
        appeal: standings
            .contains(&Standing::NotApproved)
            .then(|| appeal.to_owned()),
        changed: case.changed,
    }
}

fn line(item: &Item, standing: Standing) -> TimelineLine {
    let (reason, authorization) = match item.decision.as_ref().map(|decided| &decided.outcome) {
        Some(Outcome::Denied(denial)) => (Some(denial.reason().to_owned()), None),
        Some(Outcome::NotRequired { reason }) => (Some(reason.clone()), None),
        Some(Outcome::Approved(approval)) => (None, Some(approval.number.clone())),
        None => (None, None),
    };
    TimelineLine {
        service: service(item),
        code: item.code.clone(),
        standing,
        words: format!("{}.", standing.words()),
        reason,
        authorization,
        decided: item.decision.as_ref().map(|decided| decided.at),
    }
}

/// The title of the policy that covers the service, else the kind of its code.
fn service(item: &Item) -> String {
    if let Source::Policy { title, .. } = &item.verdict.source {
        return title.clone();
    }
    match item.system.as_str() {
        coding::HCPCS => "HCPCS service",
        coding::CPT => "CPT service",
        coding::SERVICE_TYPE => "Kind of service",
        _ => "Service",
    }
    .to_owned()
}
