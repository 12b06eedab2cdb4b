//! The items of a case: what was requested, the verdict of the policies, the status and the decision.

use super::denial::Denial;
use super::item_verdict::ItemVerdict;
use super::reviewer::Actor;
use crate::rules::{self, VerdictSource};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One item of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// `Claim.item.sequence`; it stays the same for the life of the authorization (PAS spec-34).
    pub sequence: u32,
    /// The code system, in its stored spelling.
    pub system: String,
    /// The code.
    pub code: String,
    /// `Claim.item.quantity` as sent.
    pub quantity: Option<Value>,
    /// The first requested day of service.
    pub serviced: Option<NaiveDate>,
    /// The last requested day of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serviced_until: Option<NaiveDate>,
    /// The plan's tracking number for this item (X12 REF-NT).
    pub reference_number: String,
    /// The status of the item.
    pub status: ItemStatus,
    /// The queue of the item while it is open.
    pub queue: Option<String>,
    /// The verdict of the policies, with its trace.
    pub verdict: ItemVerdict,
    /// NPIs of the requester that held a gold card for this item on the day of receipt. The policies were evaluated
    /// with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gold_card: Vec<String>,
    /// The verdicts of policies in state `shadow`, for the plan's own analysis. They affect nothing and are not sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<rules::Verdict>,
    /// The decision, once there is one.
    pub decision: Option<ItemDecision>,
}

impl Item {
    /// The first day of an approval that is made on `today`: the first requested day of service.
    pub fn first_day(&self, today: NaiveDate) -> NaiveDate {
        self.serviced.unwrap_or(today)
    }

    /// Whether a policy was applied and its condition for an approval is met. Without a policy, the answer is no. An
    /// approval of any other item goes beyond the policy.
    pub fn meets_policy(&self) -> bool {
        let is_policy = matches!(self.verdict.source, VerdictSource::Policy { .. });
        // A coverage rule has a text and no name; the condition of an approval comes after all of them.
        let approval = self
            .verdict
            .trace
            .last()
            .filter(|node| node.criterion.is_some() || node.text.is_none());
        is_policy
            && self.verdict.error.is_none()
            && approval.is_some_and(|node| node.outcome == rules::Outcome::Met)
    }
}

/// The status of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemStatus {
    /// A coordinator has to complete or route it.
    Intake,
    /// A nurse reviews it.
    ClinicalReview,
    /// A physician has to review it.
    PhysicianReview,
    /// Approved as requested.
    Approved,
    /// Denied by a physician.
    Denied,
    /// No authorization is required.
    NotRequired,
}

impl ItemStatus {
    /// Whether the item waits for staff.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Intake | Self::ClinicalReview | Self::PhysicianReview)
    }

    /// The status of items that wait for staff with this stored value.
    pub fn open(stored: &str) -> Option<Self> {
        [Self::Intake, Self::ClinicalReview, Self::PhysicianReview]
            .into_iter()
            .find(|status| status.as_str() == stored)
    }

    /// The stored value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::ClinicalReview => "clinical-review",
            Self::PhysicianReview => "physician-review",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::NotRequired => "not-required",
        }
    }

    /// The X12 review action code (data element 306) sent to the provider.
    pub fn review_action(self) -> &'static str {
        match self {
            Self::Intake | Self::ClinicalReview | Self::PhysicianReview => "A4",
            Self::Approved => "A1",
            Self::Denied => "A3",
            Self::NotRequired => "NA",
        }
    }
}

/// The decision on one item: when, by whom and what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemDecision {
    /// When the decision was made.
    pub at: DateTime<Utc>,
    /// Software if a rule decided, else the named reviewer.
    pub by: Actor,
    /// What was decided.
    pub outcome: Outcome,
}

/// What was decided on an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Approved as requested.
    Approved(Approval),
    /// Denied. Only [`Denial::attest`] makes a [`Denial`].
    Denied(Denial),
    /// No authorization is required.
    NotRequired {
        /// The reason in words.
        reason: String,
    },
}

/// The approval of an item as requested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// The authorization number (X12 HCR02).
    pub number: String,
    /// The first certified day.
    pub start: NaiveDate,
    /// The last certified day. None if neither the rule nor the reviewer set an end.
    pub end: Option<NaiveDate>,
    /// The reason in words.
    pub reason: String,
}
