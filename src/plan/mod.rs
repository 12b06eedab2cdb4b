//! The plan's own records: members, coverages, providers; and who is meant by a request. Pure: the store brings
//! candidates, this room judges them.

mod facts;
mod gold_card;
mod matching;
mod records;
mod requester;

pub use facts::{facts, transition_until};
pub use gold_card::{Ended, GoldCard, exempt, is_npi};
pub use matching::{Asked, Found, agrees, choose_coverage, fold, member_numbers};
pub use records::{coverage_of, member_of, provider_of};
pub use requester::{Requester, requester_of_order};

use chrono::NaiveDate;
use serde_json::Value;
use uuid::Uuid;

/// A member of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The row.
    pub id: Uuid,
    /// The plan's member id.
    pub member_id: String,
    /// Family name, folded for comparison.
    pub family: String,
    /// First given name, folded.
    pub given: String,
    /// Birth date.
    pub birth_date: Option<NaiveDate>,
    /// Administrative gender.
    pub gender: Option<String>,
    /// The Patient resource as imported.
    pub doc: Value,
}

/// One coverage of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// The row.
    pub id: Uuid,
    /// What identifies it at import: system and value of its identifier.
    pub key: String,
    /// The member's row.
    pub member: Uuid,
    /// `Coverage.class[plan]`.
    pub plan: String,
    /// Line of business.
    pub line: String,
    /// The state whose rules apply, if any.
    pub state: Option<String>,
    /// The plan's time zone.
    pub zone: chrono_tz::Tz,
    /// The subscriber's number.
    pub subscriber_id: Option<String>,
    /// `Coverage.status`.
    pub status: String,
    /// First day.
    pub starts: Option<NaiveDate>,
    /// Last day.
    pub ends: Option<NaiveDate>,
    /// The Coverage resource as imported.
    pub doc: Value,
}

impl Coverage {
    /// Whether it is in force on a day.
    pub fn in_force(&self, day: NaiveDate) -> bool {
        self.status == "active"
            && self.starts.is_none_or(|start| start <= day)
            && self.ends.is_none_or(|end| day <= end)
    }
}

/// A practitioner or an organization that the plan knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// The row.
    pub id: Uuid,
    /// What identifies it at import.
    pub key: String,
    /// `Practitioner` or `Organization`.
    pub kind: String,
    /// NPI.
    pub npi: Option<String>,
    /// Name.
    pub name: String,
    /// Where notices knock.
    pub email: Option<String>,
    /// The resource as imported.
    pub doc: Value,
}
