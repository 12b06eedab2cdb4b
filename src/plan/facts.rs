//! What rules may know of a member: the facts that a hook, a form and a request share, worked out in one place so that
//! all three see the same. Pure: the day is handed in.

use super::{Coverage, Member};
use crate::fhir::dates;
use crate::rules::MemberFacts;
use chrono::{Days, NaiveDate};

/// How long treatment that began elsewhere goes on untouched.
///
/// 42 CFR 422.112(b)(8)(i)(B) asks for "a minimum 90-day transition period". We take the shortest that keeps it and
/// count the first day of the coverage as day 1, so day 90 is the last that is protected: 89 days after the first.
const DAYS_AFTER_THE_FIRST: u64 = 89;

/// The facts of a member under one of the member's coverages, on a day of the plan's. `all` are the member's coverages,
/// that one among them. Gold cards belong to a line of a request, not to the member: they are added there.
pub fn facts(member: &Member, coverage: &Coverage, all: &[Coverage], today: NaiveDate) -> MemberFacts {
    MemberFacts {
        line: coverage.line.clone(),
        state: coverage.state.clone(),
        age: member.birth_date.and_then(|birth| dates::age_on(birth, today)),
        coverage_from: coverage.starts,
        transition_until: transition_until(coverage, all),
        gold_card: Vec::new(),
    }
}

/// The last day of a new member's transition. None where the coverage names no first day, or where the member had
/// another coverage here on the day before: who goes on without a gap is not new. The date is worked out for every
/// line of business; a policy's scope says for which it means something.
pub fn transition_until(coverage: &Coverage, all: &[Coverage]) -> Option<NaiveDate> {
    let first = coverage.starts?;
    let before = first.pred_opt()?;
    let goes_on = all
        .iter()
        .any(|other| other.id != coverage.id && held(other, before));
    if goes_on {
        return None;
    }
    first.checked_add_days(Days::new(DAYS_AFTER_THE_FIRST))
}

/// Whether the coverage was in force on a day that may be long ago. Its status speaks of today, so a cancelled one
/// counts up to its last day; one that was never meant does not.
fn held(coverage: &Coverage, day: NaiveDate) -> bool {
    let ended_somewhere = coverage.ends.is_some() || coverage.status == "active";
    !matches!(coverage.status.as_str(), "entered-in-error" | "draft")
        && ended_somewhere
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
            line: "MA".into(),
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
    fn the_ninetieth_day_is_the_last_of_the_transition() {
        let new = coverage(1, "active", "2026-01-01", "");
        let until = transition_until(&new, std::slice::from_ref(&new)).unwrap();
        assert_eq!(until, day("2026-03-31"));
        assert_eq!((until - day("2026-01-01")).num_days() + 1, 90);
    }

    #[test]
    fn who_goes_on_without_a_gap_is_not_new() {
        let new = coverage(1, "active", "2026-01-01", "");
        let of = |other: Coverage| transition_until(&new, &[new.clone(), other]);
        assert_eq!(of(coverage(2, "active", "2025-01-01", "2025-12-31")), None);
        assert_eq!(of(coverage(2, "cancelled", "2025-01-01", "2025-12-31")), None);
        assert_eq!(
            of(coverage(2, "active", "", "")),
            None,
            "without dates it was always there"
        );
        for new_still in [
            coverage(2, "active", "2025-01-01", "2025-12-30"),
            coverage(2, "active", "2026-01-01", ""),
            coverage(2, "entered-in-error", "2025-01-01", "2025-12-31"),
            coverage(2, "cancelled", "2025-01-01", ""),
            coverage(1, "active", "2025-01-01", ""),
        ] {
            assert!(of(new_still.clone()).is_some(), "{new_still:?}");
        }
    }

    #[test]
    fn a_coverage_without_a_first_day_has_no_transition() {
        let new = coverage(1, "active", "", "");
        assert_eq!(transition_until(&new, &[]), None);
    }
}
