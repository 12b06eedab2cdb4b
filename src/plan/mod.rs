//! The plan's own records: members, coverages, providers, gold cards; and which member and coverage a message refers
//! to (`docs/architecture.md`). The store reads candidate rows, and this module selects among them without I/O.

mod facts;
mod gold_card;
mod matching;
mod names;
mod records;
mod requester;

pub use facts::{member_facts, transition_until};
pub use gold_card::{GoldCard, GoldCardEnd, exempt_requesters, is_npi};
pub use matching::{
    CoverageMatch, MemberNumbers, NoMember, choose_coverage, may_be_same_person, member_numbers, no_member,
    only_member,
};
pub use names::{fold_name, fold_number};
pub use records::{coverage_from_fhir, member_from_patient, provider_from_fhir};
pub use requester::{Requester, requester_of_order};

use chrono::NaiveDate;
use serde_json::Value;
use uuid::Uuid;

/// A member of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Primary key of the row.
    pub id: Uuid,
    /// The plan's member id, as on the member's card.
    pub member_id: String,
    /// Family name, normalized for comparison with [`fold_name`].
    pub family: String,
    /// First given name, normalized for comparison with [`fold_name`]; may be empty.
    pub given: String,
    /// Birth date, if the plan has it.
    pub birth_date: Option<NaiveDate>,
    /// `Patient.gender`: administrative gender.
    pub gender: Option<String>,
    /// The Patient resource as imported.
    pub doc: Value,
}

/// One coverage of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Primary key of the row.
    pub id: Uuid,
    /// Key for repeated imports: `system|value` of the first identifier.
    pub key: String,
    /// Primary key of the member's row.
    pub member: Uuid,
    /// The plan's code: `Coverage.class` of type `plan`.
    pub plan: String,
    /// Line of business of the plan, such as `MA`.
    pub line_of_business: String,
    /// The state whose rules apply, if any.
    pub state: Option<String>,
    /// The plan's time zone.
    pub zone: chrono_tz::Tz,
    /// `Coverage.subscriberId`.
    pub subscriber_id: Option<String>,
    /// `Coverage.status`.
    pub status: String,
    /// First day of coverage, if the plan has it.
    pub starts: Option<NaiveDate>,
    /// Last day of coverage; none while no end is set.
    pub ends: Option<NaiveDate>,
    /// The Coverage resource as imported.
    pub doc: Value,
}

impl Coverage {
    /// Whether the coverage is active and its period includes `day`.
    pub fn in_force(&self, day: NaiveDate) -> bool {
        self.status == "active"
            && self.starts.is_none_or(|start| start <= day)
            && self.ends.is_none_or(|end| day <= end)
    }
}

/// A practitioner or an organization in the plan's records.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// Primary key of the row.
    pub id: Uuid,
    /// Key for repeated imports: the resource type with the NPI, else with system and value of the first identifier.
    pub key: String,
    /// `Practitioner` or `Organization`.
    pub kind: String,
    /// National Provider Identifier.
    pub npi: Option<String>,
    /// Name for display.
    pub name: String,
    /// Address for email notices.
    pub email: Option<String>,
    /// The resource as imported.
    pub doc: Value,
}
