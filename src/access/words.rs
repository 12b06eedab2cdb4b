//! A line's state in a member's words (ground rules, section 6, column "Member"): one table for the FHIR answer and
//! for the member's page, so that both say the same.

use crate::prior_auth::{Item, ItemStatus, Outcome};
use chrono::NaiveDate;

/// Where a line stands, as far as a member is told. What happens inside review never shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It arrived.
    Received,
    /// Somebody looks at it, or proposes something.
    InReview,
    /// Approved, and the approval holds.
    Approved {
        /// The last day that it covers; none when no end was set.
        until: Option<NaiveDate>,
    },
    /// It was approved and the last day has passed.
    Ended {
        /// The last day that it covered.
        on: NaiveDate,
    },
    /// Not approved.
    NotApproved,
    /// No authorization is needed.
    NotRequired,
}

impl Standing {
    /// Where this line stands on `today`, a day of the plan's zone.
    pub fn of(item: &Item, today: NaiveDate) -> Self {
        let until = item.decision.as_ref().and_then(|decided| match &decided.outcome {
            Outcome::Approved(approval) => approval.end,
            _ => None,
        });
        match (item.status, until) {
            (ItemStatus::Intake, _) => Self::Received,
            (ItemStatus::ClinicalReview | ItemStatus::PhysicianReview, _) => Self::InReview,
            (ItemStatus::Approved, Some(on)) if on < today => Self::Ended { on },
            (ItemStatus::Approved, until) => Self::Approved { until },
            (ItemStatus::Denied, _) => Self::NotApproved,
            (ItemStatus::NotRequired, _) => Self::NotRequired,
        }
    }

    /// Whether a decision is still to come.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Received | Self::InReview)
    }

    /// Whether it is or was approved.
    pub fn is_approved(self) -> bool {
        matches!(self, Self::Approved { .. } | Self::Ended { .. })
    }

    /// The state in a sentence without its full stop.
    pub fn words(self) -> String {
        match self {
            Self::Received => "Received".to_owned(),
            Self::InReview => "In review".to_owned(),
            Self::Approved { until: Some(day) } => format!("Approved until {}", day_words(day)),
            Self::Approved { until: None } => "Approved".to_owned(),
            Self::Ended { on } => format!("Approval ended on {}", day_words(on)),
            Self::NotApproved => "Not approved".to_owned(),
            Self::NotRequired => "No authorization needed".to_owned(),
        }
    }
}

/// A day as a member reads it.
fn day_words(day: NaiveDate) -> String {
    day.format("%B %-d, %Y").to_string()
}

/// The state of several lines together, in a sentence without its full stop.
pub fn disposition(lines: &[Standing]) -> String {
    let any = |is: fn(Standing) -> bool| lines.iter().copied().any(is);
    let (open, approved) = (any(Standing::is_open), any(Standing::is_approved));
    let denied = lines.contains(&Standing::NotApproved);
    match lines {
        [first, rest @ ..] if rest.iter().all(|one| one == first) => first.words(),
        _ if open && lines.iter().all(|one| one.is_open()) => Standing::InReview.words(),
        _ if open => "In review; some of it is decided".to_owned(),
        _ if approved && denied => "Part of it approved".to_owned(),
        _ if denied => "Part of it not approved".to_owned(),
        _ => "Approved as far as authorization is needed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn lines_that_stand_alike_speak_as_one() {
        let approved = Standing::Approved {
            until: Some(day("2027-10-05")),
        };
        assert_eq!(
            disposition(&[approved, approved]),
            "Approved until October 5, 2027"
        );
        assert_eq!(
            disposition(&[approved, Standing::NotApproved]),
            "Part of it approved"
        );
        assert_eq!(
            disposition(&[approved, Standing::InReview]),
            "In review; some of it is decided"
        );
        assert_eq!(
            disposition(&[Standing::Received, Standing::InReview]),
            "In review"
        );
    }
}
