//! The status of an item as a member sees it, and its text. The FHIR API and the member's page both use this module, so
//! they say the same. Steps inside the review are never visible (ground rules, section 6, column "Member").

use crate::prior_auth::{Item, ItemStatus, Outcome};
use chrono::NaiveDate;

/// The status of an item as a member sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberStatus {
    /// The request was received.
    Received,
    /// A reviewer is working on it. A denial that is only proposed has this status too.
    InReview,
    /// Approved, and the approval is still valid.
    Approved {
        /// The last day of the approval; `None` if it has no end.
        until: Option<NaiveDate>,
    },
    /// Approved, but the last day has passed.
    Ended {
        /// The last day of the approval.
        on: NaiveDate,
    },
    /// Denied.
    NotApproved,
    /// The service needs no prior authorization.
    NotRequired,
}

impl MemberStatus {
    /// The status of an item on `today`, a day in the plan's time zone.
    pub fn from_item(item: &Item, today: NaiveDate) -> Self {
        let until = item
            .decision
            .as_ref()
            .and_then(|decision| match &decision.outcome {
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

    /// Whether the item is not decided yet.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Received | Self::InReview)
    }

    /// Whether the item was approved, also if the approval has ended.
    pub fn is_approved(self) -> bool {
        matches!(self, Self::Approved { .. } | Self::Ended { .. })
    }

    /// The status in words, without a period at the end.
    pub fn text(self) -> String {
        match self {
            Self::Received => "Received".to_owned(),
            Self::InReview => "In review".to_owned(),
            Self::Approved { until: Some(day) } => format!("Approved through {}", format_date(day)),
            Self::Approved { until: None } => "Approved".to_owned(),
            Self::Ended { on } => format!("Approval ended on {}", format_date(on)),
            Self::NotApproved => "Not approved".to_owned(),
            Self::NotRequired => "No approval needed".to_owned(),
        }
    }
}

/// A date as members read it: `Nov 30, 2026`.
fn format_date(day: NaiveDate) -> String {
    day.format("%b %-d, %Y").to_string()
}

/// The status of a whole request in words, without a period at the end. `statuses` are those of its items.
pub fn disposition(statuses: &[MemberStatus]) -> String {
    let any = |is: fn(MemberStatus) -> bool| statuses.iter().copied().any(is);
    let (open, approved) = (any(MemberStatus::is_open), any(MemberStatus::is_approved));
    let denied = statuses.contains(&MemberStatus::NotApproved);
    match statuses {
        [first, rest @ ..] if rest.iter().all(|status| status == first) => first.text(),
        _ if open && statuses.iter().all(|status| status.is_open()) => MemberStatus::InReview.text(),
        _ if open => "Some services are decided, others are in review".to_owned(),
        _ if approved && denied => "Some services are approved, others are not".to_owned(),
        _ if denied => "Some services are not approved".to_owned(),
        _ => "Approved where approval is needed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn items_with_the_same_status_share_one_text() {
        let approved = MemberStatus::Approved {
            until: Some(day("2027-10-05")),
        };
        assert_eq!(disposition(&[approved, approved]), "Approved through Oct 5, 2027");
        assert_eq!(
            disposition(&[approved, MemberStatus::NotApproved]),
            "Some services are approved, others are not"
        );
        assert_eq!(
            disposition(&[approved, MemberStatus::InReview]),
            "Some services are decided, others are in review"
        );
        assert_eq!(
            disposition(&[MemberStatus::Received, MemberStatus::InReview]),
            "In review"
        );
    }
}
