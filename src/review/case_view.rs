//! One case as a reviewer sees it: its state and history, the member and coverage, the requested items and the
//! evidence.

use super::evidence::{self, CaseEvidence};
use super::fhir_text;
use crate::auth::Client;
use crate::error::{Error, Result};
use crate::fhir::bundle::{BundleIndex, parse_stored_request};
use crate::fhir::{self, dates, list};
use crate::plan::{Coverage, Member};
use crate::prior_auth::{Event, PriorAuth};
use crate::rules::ClaimParts;
use crate::state::{PolicySet, State, WorkSize};
use crate::store::fan_out::Recipients;
use chrono::{Days, Months, NaiveDate};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// Everything that the case page shows.
#[derive(Debug)]
pub struct CaseView {
    /// The case with its current state.
    pub case: PriorAuth,
    /// The case's events, oldest first.
    pub events: Vec<Event>,
    /// The member whom the request is for.
    pub member: Member,
    /// The coverage that the request names.
    pub coverage: Coverage,
    /// The plan's name; `None` when `rules/plans.csv` does not list the plan on the day of receipt.
    pub plan_name: Option<String>,
    /// The names of the clients in the history, by row id.
    pub client_names: HashMap<Uuid, String>,
    /// The items as requested.
    pub requested_items: Vec<RequestedItem>,
    /// The evidence that came with the request.
    pub evidence: CaseEvidence,
    /// Who is informed of a decision on the case.
    pub deliveries: Deliveries,
}

/// Who is informed of a decision on a case, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deliveries {
    /// How many subscriptions of the sending system get a notification.
    pub subscriptions: usize,
    /// How many further subscriptions are stopped because their endpoint does not answer.
    pub stopped_subscriptions: usize,
    /// The name of the requester, if an email notice goes to the address on record.
    pub provider: Option<String>,
    /// How many sign-ins of the member get an email notice.
    pub member_logins: usize,
}

impl From<Recipients> for Deliveries {
    fn from(recipients: Recipients) -> Self {
        let all = recipients.subscriptions.len();
        let stopped = recipients
            .subscriptions
            .iter()
            .filter(|s| s.status == "error")
            .count();
        Self {
            subscriptions: all - stopped,
            stopped_subscriptions: stopped,
            provider: recipients.provider.map(|provider| provider.name),
            member_logins: recipients.logins.len(),
        }
    }
}

/// One item as the provider requested it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestedItem {
    /// `Claim.item.sequence`.
    pub sequence: u32,
    /// The modifiers of the service, in the order of the request: `HCPCS RR`.
    pub modifiers: Vec<String>,
    /// The quantity with its unit: `12 months`.
    pub quantity: Option<String>,
    /// The dates of service as received.
    pub period: Option<String>,
    /// The provider that would perform the service.
    pub performer: Option<String>,
    end_date: Option<NaiveDate>,
    duration: Option<RequestedDuration>,
}

/// A requested quantity that is a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestedDuration {
    Months(u32),
    Days(u64),
}

impl RequestedItem {
    /// The last requested day when service begins on `start`; `None` when the request states neither a duration nor an
    /// end date on or after `start`.
    pub fn last_requested_day(&self, start: NaiveDate) -> Option<NaiveDate> {
        let day_after = match self.duration {
            Some(RequestedDuration::Months(months)) => start.checked_add_months(Months::new(months)),
            Some(RequestedDuration::Days(days)) => start.checked_add_days(Days::new(days)),
            None => None,
        };
        day_after
            .and_then(|day| day.pred_opt())
            .or(self.end_date.filter(|end| *end >= start))
    }
}

impl CaseView {
    /// About how much work it is to build the page.
    pub fn page_size(&self) -> WorkSize {
        WorkSize::new(0, self.events.len())
    }

    /// The item as requested; an empty one when the request has no item with this sequence.
    pub fn requested_item(&self, sequence: u32) -> RequestedItem {
        self.requested_items
            .iter()
            .find(|item| item.sequence == sequence)
            .cloned()
            .unwrap_or_default()
    }
}

/// What the store has about a case.
struct StoredCase {
    case: PriorAuth,
    events: Vec<Event>,
    member: Member,
    coverage: Coverage,
    client: Option<Client>,
    text: String,
    recipients: Recipients,
}

/// Reads one case with everything that the case page shows. Pages use [`super::open_case`], which also stores who opened
/// the case.
pub(super) async fn read_case_view(state: &State, id: Uuid) -> Result<CaseView> {
    let found = state
        .store
        .read((id, state.now()), |tx, (id, now)| {
            Box::pin(async move {
                let events = tx.events(*id).await?;
                let Some(case) = PriorAuth::replay(*id, &events) else {
                    return Ok(None);
                };
                let received = &case.received;
                let member = tx.member(received.member).await?;
                let coverage = tx.coverage(received.coverage).await?;
                let client = tx.client(received.client).await?;
                let text = tx.request_text(received.request).await?;
                let recipients = tx.recipients(&case, *now).await?;
                Ok(member.zip(coverage).map(|(member, coverage)| StoredCase {
                    case,
                    events,
                    member,
                    coverage,
                    client,
                    text,
                    recipients,
                }))
            })
        })
        .await?;
    let stored = found.ok_or_else(|| Error::not_found("case", id))?;
    let policy_set = state.policy_set();
    let size = WorkSize::new(stored.text.len(), stored.case.items.len());
    state.compute(size, || stored.into_view(&policy_set)).await
}

impl StoredCase {
    fn into_view(self, policy_set: &PolicySet) -> Result<CaseView> {
        let case = self.case;
        let request = parse_stored_request(&self.text, case.id)?;
        let day = case.received_at.with_timezone(&case.received.zone).date_naive();
        let admission = case.received.admission.as_ref();
        Ok(CaseView {
            plan_name: policy_set
                .rules
                .plan(&self.coverage.plan, day)
                .map(|plan| plan.name.clone()),
            client_names: self
                .client
                .into_iter()
                .map(|client| (client.id, client.name))
                .collect(),
            requested_items: requested_items(&request, case.received.zone),
            evidence: CaseEvidence::collect(&request, admission, &policy_set.forms, day),
            deliveries: self.recipients.into(),
            case,
            events: self.events,
            member: self.member,
            coverage: self.coverage,
        })
    }
}

/// The items of the Claim in a request. Dates without a time are days in `zone`.
pub(super) fn requested_items(request: &Value, zone: chrono_tz::Tz) -> Vec<RequestedItem> {
    let index = BundleIndex::new(request);
    let claim = index
        .entries()
        .find(|e| fhir::resource_type(e.resource) == Some("Claim"));
    let Some(claim) = claim.map(|entry| entry.resource) else {
        return Vec::new();
    };
    let parts = ClaimParts::new(claim);
    list(claim, "item")
        .filter_map(|item| {
            let sequence = u32::try_from(item.get("sequence")?.as_u64()?).ok()?;
            let facts = parts.item_facts(item);
            let performer = facts
                .get("performer")
                .map(|r| serde_json::json!({ "reference": r }));
            let end = item.get("servicedPeriod").and_then(|p| fhir::text(p, &["end"]));
            Some(RequestedItem {
                sequence,
                modifiers: list(item, "modifier")
                    .filter_map(fhir_text::concept_text)
                    .collect(),
                quantity: facts.get("quantity").and_then(fhir_text::quantity_text),
                period: facts.get("period").and_then(fhir_text::period_text),
                performer: performer.and_then(|performer| evidence::party_name(&performer, &index)),
                end_date: end
                    .and_then(|end| dates::DateRange::read(end, zone))
                    .map(|days| days.last),
                duration: facts.get("quantity").and_then(requested_duration),
            })
        })
        .collect()
}

/// The duration that a quantity in a time unit stands for; `None` for other units and for fractions.
fn requested_duration(quantity: &Value) -> Option<RequestedDuration> {
    let count = quantity
        .get("value")?
        .as_f64()
        .filter(|n| n.fract() == 0.0 && (1.0..=1200.0).contains(n))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 1 to 1200"
    )]
    let count = count as u32;
    Some(match fhir::text(quantity, &["unit"])? {
        "mo" => RequestedDuration::Months(count),
        "a" => RequestedDuration::Months(count * 12),
        "wk" => RequestedDuration::Days(u64::from(count) * 7),
        "d" => RequestedDuration::Days(u64::from(count)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use serde_json::json;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn an_item_shows_quantity_dates_and_performer_as_requested() {
        let items = requested_items(&samples::request(), chrono_tz::America::New_York);
        let [item] = items.as_slice() else {
            panic!("{items:?}")
        };
        assert_eq!(item.quantity.as_deref(), Some("12 months"));
        assert_eq!(item.period.as_deref(), Some("2026-10-06 to 2027-10-05"));
        assert_eq!(item.performer.as_deref(), Some("Ada Lung, NPI 1003000126"));
    }

    #[test]
    fn the_last_requested_day_counts_from_the_first_day_of_service() {
        let items = requested_items(&samples::request(), chrono_tz::America::New_York);
        assert_eq!(
            items[0].last_requested_day(day("2026-10-08")),
            Some(day("2027-10-07"))
        );
        let with_end_date = RequestedItem {
            end_date: Some(day("2026-12-31")),
            ..RequestedItem::default()
        };
        assert_eq!(
            with_end_date.last_requested_day(day("2026-10-08")),
            Some(day("2026-12-31"))
        );
        assert_eq!(with_end_date.last_requested_day(day("2027-01-01")), None);
    }

    #[test]
    fn only_a_whole_number_of_a_time_unit_is_a_duration() {
        assert_eq!(
            requested_duration(&json!({ "value": 2, "unit": "wk" })),
            Some(RequestedDuration::Days(14))
        );
        assert_eq!(requested_duration(&json!({ "value": 1, "unit": "UN" })), None);
        assert_eq!(requested_duration(&json!({ "value": 1.5, "unit": "mo" })), None);
        assert_eq!(requested_duration(&json!({ "value": 12 })), None);
    }
}
