//! One case as a reviewer sees it: the case, its history, the people, what was asked for and what came with it.

use super::evidence::{self, Evidence};
use super::words;
use crate::error::{Error, Result};
use crate::fhir::bundle::Index;
use crate::fhir::{self, dates, list};
use crate::plan::{Coverage, Member};
use crate::prior_auth::{Event, PriorAuth};
use crate::rules::item_of_claim;
use crate::state::State;
use chrono::{Days, Months, NaiveDate};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// Everything that the case screen shows.
#[derive(Debug)]
pub struct CaseView {
    /// The case as its events add up.
    pub case: PriorAuth,
    /// Its history, oldest first.
    pub events: Vec<Event>,
    /// Whom it is for.
    pub member: Member,
    /// Under which coverage.
    pub coverage: Coverage,
    /// The plan's name, where the plans table has it.
    pub plan: Option<String>,
    /// The names of partner systems that occur in the history, by row.
    pub systems: HashMap<Uuid, String>,
    /// What was asked for, line by line.
    pub lines: Vec<RequestedLine>,
    /// What came with it.
    pub evidence: Evidence,
}

/// One line as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestedLine {
    /// `Claim.item.sequence`.
    pub sequence: u32,
    /// `12 months`.
    pub quantity: Option<String>,
    /// The dates of service as sent.
    pub period: Option<String>,
    /// Who would perform it.
    pub performer: Option<String>,
    asked_end: Option<NaiveDate>,
    asked_length: Option<Length>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Months(u32),
    Days(u64),
}

impl RequestedLine {
    /// The last day that was asked for when service begins on `start`; none when the request does not say.
    pub fn last_day(&self, start: NaiveDate) -> Option<NaiveDate> {
        let by_length = match self.asked_length {
            Some(Length::Months(months)) => start.checked_add_months(Months::new(months)),
            Some(Length::Days(days)) => start.checked_add_days(Days::new(days)),
            None => None,
        };
        by_length
            .and_then(|day| day.pred_opt())
            .or(self.asked_end.filter(|end| *end >= start))
    }
}

impl CaseView {
    /// The line as asked; an empty one when the request no longer tells.
    pub fn line(&self, sequence: u32) -> RequestedLine {
        self.lines
            .iter()
            .find(|line| line.sequence == sequence)
            .cloned()
            .unwrap_or_default()
    }
}

/// Reads one case.
pub async fn case_view(state: &State, id: Uuid) -> Result<CaseView> {
    let found = state
        .store
        .read(id, |tx, id| {
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
                Ok(member
                    .zip(coverage)
                    .map(|(member, coverage)| (case, events, member, coverage, client, text)))
            })
        })
        .await?;
    let (case, events, member, coverage, client, text) = found.ok_or_else(|| Error::not_found("case", id))?;
    let request: Value = serde_json::from_str(&text)
        .map_err(|e| Error::internal(format!("the request of case {id} cannot be read: {e}")))?;
    let day = case.received_at.with_timezone(&case.received.zone).date_naive();
    let published = state.published();
    Ok(CaseView {
        plan: published
            .rules
            .plan(&coverage.plan, day)
            .map(|plan| plan.name.clone()),
        systems: client
            .into_iter()
            .map(|client| (client.id, client.name))
            .collect(),
        lines: requested(&request, case.received.zone),
        evidence: Evidence::of(&request, &published.forms, day),
        case,
        events,
        member,
        coverage,
    })
}

/// The lines of the Claim in a request.
pub(super) fn requested(request: &Value, zone: chrono_tz::Tz) -> Vec<RequestedLine> {
    let bundle = evidence::bundle_of(request);
    let index = Index::of(bundle);
    let claim = index
        .entries()
        .find(|e| fhir::resource_type(e.resource) == Some("Claim"));
    let Some(claim) = claim.map(|entry| entry.resource) else {
        return Vec::new();
    };
    list(claim, "item")
        .filter_map(|item| {
            let sequence = u32::try_from(item.get("sequence")?.as_u64()?).ok()?;
            let facts = item_of_claim(claim, item);
            let performer = facts
                .get("performer")
                .map(|r| serde_json::json!({ "reference": r }));
            let period = item.get("servicedPeriod").and_then(|p| fhir::text(p, &["end"]));
            Some(RequestedLine {
                sequence,
                quantity: facts.get("quantity").and_then(words::quantity),
                period: facts.get("period").and_then(words::period),
                performer: performer.and_then(|who| evidence::party(&who, &index)),
                asked_end: period
                    .and_then(|end| dates::DateRange::read(end, zone))
                    .map(|days| days.last),
                asked_length: facts.get("quantity").and_then(length),
            })
        })
        .collect()
}

/// The length of time that a quantity in a time unit stands for.
fn length(quantity: &Value) -> Option<Length> {
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
        "mo" => Length::Months(count),
        "a" => Length::Months(count * 12),
        "wk" => Length::Days(u64::from(count) * 7),
        "d" => Length::Days(u64::from(count)),
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
    fn a_line_shows_what_was_asked() {
        let lines = requested(&samples::request(), chrono_tz::America::New_York);
        let [line] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert_eq!(line.quantity.as_deref(), Some("12 months"));
        assert_eq!(line.period.as_deref(), Some("2026-10-06 to 2027-10-05"));
        assert_eq!(line.performer.as_deref(), Some("Ada Lung, NPI 1003000126"));
    }

    #[test]
    fn the_last_day_asked_for_counts_from_the_first_day_of_service() {
        let lines = requested(&samples::request(), chrono_tz::America::New_York);
        assert_eq!(lines[0].last_day(day("2026-10-08")), Some(day("2027-10-07")));
        let by_date = RequestedLine {
            asked_end: Some(day("2026-12-31")),
            ..RequestedLine::default()
        };
        assert_eq!(by_date.last_day(day("2026-10-08")), Some(day("2026-12-31")));
        assert_eq!(by_date.last_day(day("2027-01-01")), None);
    }

    #[test]
    fn units_are_no_length_of_time() {
        assert_eq!(
            length(&json!({ "value": 2, "unit": "wk" })),
            Some(Length::Days(14))
        );
        assert_eq!(length(&json!({ "value": 1, "unit": "UN" })), None);
        assert_eq!(length(&json!({ "value": 1.5, "unit": "mo" })), None);
        assert_eq!(length(&json!({ "value": 12 })), None);
    }
}
