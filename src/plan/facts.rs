//! The facts about a member that policies may use. CRD, DTR and PAS all compute them here, so that the three stages
//! evaluate the same facts. Callers pass the day; this module does not read the clock.

use super::{Coverage, Member};
use crate::fhir::dates;
use crate::rules::MemberFacts;
use chrono::{Days, NaiveDate};

/// How many days after the first day of coverage a new member's transition period ends.
///
/// 42 CFR 422.112(b)(8)(i)(B) requires "a minimum 90-day transition period" for a course of treatment that began before
/// enrollment. We use the minimum and count the first day of coverage as day 1, so the last protected day is day 90:
/// 89 days after the first.
const TRANSITION_DAYS_AFTER_FIRST: u64 = 89;

/// The facts about a member under one coverage on `today`, a day in the plan's time zone. `all` holds every coverage of
/// the member, including `coverage`. `gold_card` stays empty: gold cards depend on the item and its requester, so the
/// caller adds them (see [`super::exempt_requesters`]), and `retrospective_days`, which only counts for requests.
pub fn member_facts(member: &Member, coverage: &Coverage, all: &[Coverage], today: NaiveDate) -> MemberFacts {
    MemberFacts {
        line_of_business: coverage.line_of_business.clone(),
        state: coverage.state.clone(),
        age: member.birth_date.and_then(|birth| dates::age_on(birth, today)),
        coverage_from: coverage.starts,
        transition_until: transition_until(coverage, all),
        retrospective_days: None,
        gold_card: Vec::new(),
    }
}

/// The last day of a new member's transition period. None if the coverage has no first day, or if another coverage of
/// this member was in force on the day before: a member who continues without a gap is not new. The date is computed
/// for every line of business; each policy's scope decides where it applies.
pub fn transition_until(coverage: &Coverage, all: &[Coverage]) -> Option<NaiveDate> {
    let first = coverage.starts?;
    let before = first.pred_opt()?;
    let continues = all
        .iter()
        .any(|other| other.id != coverage.id && was_in_force(other, before));
    if continues {
        return None;
    }
    first.checked_add_days(Days::new(TRANSITION_DAYS_AFTER_FIRST))
}

/// Whether the coverage was in force on a day in the past. `Coverage.status` describes today, so a cancelled coverage
/// counts up to its last day. A draft or a coverage entered in error never counts.
fn was_in_force(coverage: &Coverage, day: NaiveDate) -> bool {
    let active_or_ended = coverage.ends.is_some() || coverage.status == "active";
    !matches!(coverage.status.as_str(), "entered-in-error" | "draft")
        && active_or_ended
        && coverage.starts.is_none_or(|start| start <= day)
        && coverage.ends.is_none_or(|end| day <= end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn coverage(id: u128, status: &str, starts: &str, ends: &str) -> Coverage {
        Coverage {
            id: Uuid::from_u128(id),
            key: String::new(),
            member: Uuid::nil(),
            plan: String::new(),
            line_of_business: "MA".into(),
            state: None,
            zone: chrono_tz::America::New_York,
            subscriber_id: None,
            status: status.into(),
            starts: starts.parse().ok(),
            ends: ends.parse().ok(),
            doc: serde_json::Value::Null,
        }
    }

    #[test]
    fn the_transition_period_ends_on_day_ninety() {
        let new = coverage(1, "active", "2026-01-01", "");
        let until = transition_until(&new, std::slice::from_ref(&new)).unwrap();
        assert_eq!(until, day("2026-03-31"));
        assert_eq!((until - day("2026-01-01")).num_days() + 1, 90);
    }

    #[test]
    fn a_member_who_continues_without_a_gap_is_not_new() {
        let new = coverage(1, "active", "2026-01-01", "");
        let until_with = |other: Coverage| transition_until(&new, &[new.clone(), other]);
        assert_eq!(
            until_with(coverage(2, "active", "2025-01-01", "2025-12-31")),
            None
        );
        assert_eq!(
            until_with(coverage(2, "cancelled", "2025-01-01", "2025-12-31")),
            None
        );
        assert_eq!(
            until_with(coverage(2, "active", "", "")),
            None,
            "a coverage without dates was always in force"
        );
        for no_continuation in [
            coverage(2, "active", "2025-01-01", "2025-12-30"),
            coverage(2, "active", "2026-01-01", ""),
            coverage(2, "entered-in-error", "2025-01-01", "2025-12-31"),
            coverage(2, "cancelled", "2025-01-01", ""),
            coverage(1, "active", "2025-01-01", ""),
        ] {
            assert!(
                until_with(no_continuation.clone()).is_some(),
                "{no_continuation:?}"
            );
        }
    }

    #[test]
    fn a_coverage_without_a_first_day_has_no_transition_period() {
        let new = coverage(1, "active", "", "");
        assert_eq!(transition_until(&new, &[]), None);
    }
}
