//! What no policy may approve on a request, however well its criteria are met: days in the past that the plan does not
//! allow, days that the approved period does not contain, and an item that does not name one service. Such an item is
//! pended with the reason, and the trace of the policy is kept for the reviewer.

use crate::fhir::coding::{CPT, HCPCS};
use crate::fhir::dates::{DateRange, period_days};
use crate::fhir::text;
use crate::rules::evaluate::case_document::{CaseDocument, CaseKind};
use crate::rules::evaluate::policy::pend;
use crate::rules::format::codes::code_key;
use crate::rules::verdict::{ApprovalTerms, Decision, Verdict};
use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use serde_json::Value;

/// The days of service that an item asks for, from its facts; `None` if it names none. A period without a start begins
/// on the day of receipt, or on its own end if that is earlier.
pub fn days_asked_for(item: &Value, zone: Tz, received_day: NaiveDate) -> Option<DateRange> {
    let period = item.get("period")?;
    let days = period_days(period, zone)?;
    let has_start = text(period, &["start"]).is_some();
    Some(DateRange {
        first: if has_start {
            days.first
        } else {
            days.first.min(received_day)
        },
        last: days.last,
    })
}

/// The verdict, pended if the item of a request asks for what no rule may decide. What a policy wants to know is still
/// asked for; an item that a rule sends to intake or administration stays there for its own reason.
pub(in crate::rules) fn within_limits(verdict: Verdict, document: &CaseDocument) -> Verdict {
    if document.kind() != Some(CaseKind::Pas) {
        return verdict;
    }
    let (reason, documents_needed) = match &verdict.decision {
        Decision::Approve(terms) => {
            let reason = limit(document).or_else(|| days_beyond_period(terms, document));
            (reason, Vec::new())
        }
        Decision::NotRequired { .. } => (limit(document), Vec::new()),
        Decision::Pend(pend) if matches!(pend.queue.as_str(), "intake" | "administrative") => {
            (None, Vec::new())
        }
        Decision::Pend(pend) => (limit(document), pend.documents_needed.clone()),
    };
    match reason {
        None => verdict,
        Some((queue, reason)) => Verdict {
            decision: pend(queue, reason, documents_needed),
            ..verdict
        },
    }
}

/// The queue and the reason of an item that neither a policy nor a list row may decide.
fn limit(document: &CaseDocument) -> Option<(&'static str, &'static str)> {
    if document.item()?.get("code_end").is_some() {
        return Some(("intake", "range-of-codes"));
    }
    if has_several_services(document) {
        return Some(("intake", "several-services"));
    }
    let days = document.days_asked_for()?;
    let earliest = document
        .received_day()
        .checked_sub_days(Days::new(document.retrospective_days().unwrap_or(0)))?;
    (days.first < earliest).then_some(("administrative", "service-in-the-past"))
}

/// Whether the codes of the item name more than one procedure. A drug's NDC beside its HCPCS code is one service.
fn has_several_services(document: &CaseDocument) -> bool {
    let codes = document.codes();
    let mut keys = codes
        .iter()
        .filter(|(system, _)| matches!(system.as_str(), HCPCS | CPT))
        .map(|(system, code)| code_key(system, code));
    let first = keys.next();
    keys.any(|key| Some(&key) != first.as_ref())
}

fn days_beyond_period(
    terms: &ApprovalTerms,
    document: &CaseDocument,
) -> Option<(&'static str, &'static str)> {
    let days = document.days_asked_for()?;
    let end = terms.ends(days.first)?;
    (end < days.last).then_some(("clinical-review", "days-beyond-period"))
}

/// A reason for a pend in one sentence, if it is one of those that this module or the coverage gives.
pub(in crate::rules) fn limit_text(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "service-before-coverage" => "The service is before the first day of the coverage",
        "service-after-coverage" => "The service is after the last day of the coverage",
        "coverage-not-active" => "The coverage is not active",
        "service-in-the-past" => "The service is further in the past than the plan allows",
        "days-beyond-period" => "The requested days are more than the period for which the policy approves",
        "range-of-codes" => "The item asks for a range of codes",
        "several-services" => "The codes of the item name more than one service",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_period_without_a_start_begins_on_the_day_of_receipt() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let days = |period: Value| {
            let found = days_asked_for(&json!({ "period": period }), Tz::UTC, day("2026-10-01"))?;
            Some((found.first.to_string(), found.last.to_string()))
        };
        let range = |first: &str, last: &str| Some((first.to_owned(), last.to_owned()));
        assert_eq!(
            days(json!({ "end": "2026-12-31" })),
            range("2026-10-01", "2026-12-31")
        );
        assert_eq!(
            days(json!({ "end": "2026-09-30" })),
            range("2026-09-30", "2026-09-30")
        );
        assert_eq!(
            days(json!({ "start": "2026-11-01" })),
            range("2026-11-01", "2026-11-01")
        );
        assert_eq!(
            days(json!({ "start": "2026-11", "end": "2026-12" })),
            range("2026-11-01", "2026-12-31")
        );
        assert_eq!(days(json!({})), None);
    }

    #[test]
    fn every_reason_has_a_sentence_without_codes() {
        for reason in [
            "service-in-the-past",
            "days-beyond-period",
            "range-of-codes",
            "several-services",
        ] {
            assert!(
                limit_text(reason).is_some_and(|text| !text.contains('-')),
                "{reason}"
            );
        }
        assert_eq!(limit_text("clinical-review"), None);
    }
}
