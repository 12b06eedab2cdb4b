//! A member's requests in plain words, for the member's page: what was requested, its status, the reason and how to
//! appeal. The status texts are the same as in the FHIR API (`member_status`). Colors and layout are chosen by the
//! pages.

use super::member_status::{MemberStatus, disposition};
use crate::error::Result;
use crate::fhir::coding;
use crate::prior_auth::{Item, Outcome, PriorAuth};
use crate::rules::{RuleSet, VerdictSource};
use crate::state::State;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A prior authorization request as its member sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestSummary {
    /// The case.
    pub case: Uuid,
    /// The number to give on the phone: the reference number of the first item.
    pub reference_number: String,
    /// The name of the requester.
    pub requester: String,
    /// The plan's time zone. Dates are shown in this zone.
    pub zone: chrono_tz::Tz,
    /// When the plan received the request.
    pub received: DateTime<Utc>,
    /// Whether the request is urgent (expedited).
    pub urgent: bool,
    /// When the plan must decide; `None` once it has decided.
    pub decision_due: Option<DateTime<Utc>>,
    /// The status of the whole request in words.
    pub status_text: String,
    /// The requested services.
    pub items: Vec<ItemSummary>,
    /// How to appeal, if an item was denied.
    pub appeal_instructions: Option<String>,
    /// The time of the case's last event.
    pub last_changed: DateTime<Utc>,
}

/// A requested service as the member sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemSummary {
    /// The plain name of the service; if the rules have none, the title of the policy or the code system.
    pub service: String,
    /// The billing code.
    pub code: String,
    /// The status.
    pub status: MemberStatus,
    /// The status in a sentence: `Approved through Oct 5, 2027.`
    pub status_text: String,
    /// The reason why the service was denied or needs no authorization.
    pub reason: Option<String>,
    /// The authorization number of an approval.
    pub authorization_number: Option<String>,
    /// When the item was decided.
    pub decided: Option<DateTime<Utc>>,
}

/// How many requests one page shows.
const PAGE: usize = 20;

/// Some of a member's requests.
#[derive(Debug)]
pub struct SummaryPage {
    /// Newest first.
    pub requests: Vec<RequestSummary>,
    /// The last case of the page if there are older requests.
    pub older_than: Option<Uuid>,
}

/// Loads a page of a member's requests: the newest, or those before a case. `member` is the id of the member's row.
pub async fn load_for_member(state: &State, member: Uuid, before: Option<Uuid>) -> Result<SummaryPage> {
    let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let mut cases = state
        .store
        .read((member, before, limit), |tx, (member, before, limit)| {
            Box::pin(async move { tx.cases_of_member(*member, *before, *limit).await })
        })
        .await?;
    let has_older = cases.len() > PAGE;
    cases.truncate(PAGE);
    let (policy_set, now) = (state.policy_set(), state.now());
    let appeal = &state.config.payer.appeal;
    Ok(SummaryPage {
        older_than: cases.last().filter(|_| has_older).map(|case| case.id),
        requests: cases
            .iter()
            .map(|case| summarize(case, &policy_set.rules, appeal, now))
            .collect(),
    })
}

/// Summarizes a case. `rules` has the plain names of services; `appeal_instructions` is the plan's text about how to
/// appeal.
pub fn summarize(
    case: &PriorAuth,
    rules: &RuleSet,
    appeal_instructions: &str,
    now: DateTime<Utc>,
) -> RequestSummary {
    let today = now.with_timezone(&case.received.zone).date_naive();
    let statuses: Vec<MemberStatus> = case
        .items
        .iter()
        .map(|item| MemberStatus::from_item(item, today))
        .collect();
    let items = case
        .items
        .iter()
        .zip(&statuses)
        .map(|(item, status)| summarize_item(item, *status, rules))
        .collect();
    RequestSummary {
        case: case.id,
        reference_number: case
            .items
            .first()
            .map(|item| item.reference_number.clone())
            .unwrap_or_default(),
        requester: case.received.requester_name.clone(),
        zone: case.received.zone,
        received: case.received_at,
        urgent: case.received.urgent,
        decision_due: case.is_open().then_some(case.received.due.legal),
        status_text: disposition(&statuses),
        items,
        appeal_instructions: statuses
            .contains(&MemberStatus::NotApproved)
            .then(|| appeal_instructions.to_owned()),
        last_changed: case.changed,
    }
}

fn summarize_item(item: &Item, status: MemberStatus, rules: &RuleSet) -> ItemSummary {
    let (reason, authorization_number) = match item.decision.as_ref().map(|decision| &decision.outcome) {
        Some(Outcome::Denied(denial)) => (Some(denial.reason().to_owned()), None),
        Some(Outcome::NotRequired { reason }) => (Some(reason.clone()), None),
        Some(Outcome::Approved(approval)) => (None, Some(approval.number.clone())),
        None => (None, None),
    };
    ItemSummary {
        service: service_name(item, rules),
        code: item.code.clone(),
        status,
        status_text: format!("{}.", status.text()),
        reason,
        authorization_number,
        decided: item.decision.as_ref().map(|decision| decision.at),
    }
}

/// The plain name of the service, otherwise the title of the policy that was applied, otherwise the type of the code.
fn service_name(item: &Item, rules: &RuleSet) -> String {
    if let Some(name) = rules.service_name(&item.system, &item.code) {
        return name.to_owned();
    }
    if let VerdictSource::Policy { title, .. } = &item.verdict.source {
        return title.clone();
    }
    match item.system.as_str() {
        coding::HCPCS => "HCPCS service",
        coding::CPT => "CPT service",
        coding::SERVICE_TYPE => "Service type",
        _ => "Service",
    }
    .to_owned()
}
