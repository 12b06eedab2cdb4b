//! Events: what happened to a case, when, who did it and why. Events are only added. Each stores the hash of the event
//! before it, so that a later change to the history can be detected.

use super::app_access::AppAccess;
use super::denial::digest;
use super::item::{Item, Outcome};
use super::reviewer::Actor;
use crate::deadlines::DueTime;
use crate::evidence::Admission;
use crate::rules::MemberFacts;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The hash before the first event of a case.
pub const GENESIS: &str = "genesis";

/// One event in the history of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The number of the event in its case, from 1 without gaps.
    pub seq: u32,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub body: EventBody,
}

/// What happened in an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventBody {
    /// The request was received. The decision clock starts with this event.
    Received(Box<Received>),
    /// The policies evaluated one item. Holds the item with its verdict.
    Evaluated(Box<Item>),
    /// One item was decided.
    Decided {
        /// The item.
        sequence: u32,
        /// The reviewer's internal note.
        #[serde(default, skip_serializing_if = "InternalNote::is_empty")]
        note: InternalNote,
        /// What was decided.
        #[serde(flatten)]
        outcome: Box<Outcome>,
    },
    /// A reviewer referred one item to a physician.
    Referred {
        /// The item.
        sequence: u32,
        /// The question for the physician.
        question: String,
    },
}

/// What is known about a case when it is received. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The client that sent the request.
    pub client: Uuid,
    /// The member's row.
    pub member: Uuid,
    /// The coverage's row.
    pub coverage: Uuid,
    /// Line of business (MA, MEDICAID-MC, CHIP, QHP, ERISA).
    pub line_of_business: String,
    /// The plan's time zone.
    pub zone: chrono_tz::Tz,
    /// The API and version that received the request: `pas-2.2`.
    pub channel: String,
    /// The provider requested an expedited decision. Staff cannot change this.
    pub urgent: bool,
    /// When the case must be decided.
    pub due: DueTime,
    /// The id of the blob with the request as received.
    pub request: Uuid,
    /// The hash of the policy set that was current at receipt.
    pub policy_set: String,
    /// The requester's NPI.
    pub requester_npi: Option<String>,
    /// The requester's name, for display.
    pub requester_name: String,
    /// Identifiers of the sending system and of the requester. Subscriptions for these identifiers are notified.
    pub senders: Vec<String>,
    /// The coverage-assertion-id that the request refers to, if any.
    pub assertion: Option<String>,
    /// The member facts that the policies were evaluated with, so that the case can be evaluated again in the same way.
    /// Gold cards are stored with each item. None on cases that were received before facts were stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_facts: Option<MemberFacts>,
    /// Which resources and answers of the request could not decide. A case that is evaluated again reads it here. None
    /// on cases that were received before admissions were stored: everything in their requests decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// Which member apps may read the case.
    #[serde(default, skip_serializing_if = "AppAccess::is_all")]
    pub app_access: AppAccess,
}

/// What a reviewer adds to a decision for internal use. It is never sent to members, providers or apps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InternalNote {
    /// The name in the policy of the criterion that the decision is based on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criterion: Option<String>,
    /// The text of the note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl InternalNote {
    /// A note with this text; an empty note when the text is blank.
    pub fn with_text(text: &str) -> Self {
        Self {
            criterion: None,
            text: Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        }
    }

    /// Whether the note has no content.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl EventBody {
    /// The value of the column `event.kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Received(_) => "received",
            Self::Evaluated(item) if item.status.is_open() => "pended",
            Self::Evaluated(_) => "evaluated",
            Self::Decided { .. } => "decided",
            Self::Referred { .. } => "referred",
        }
    }
}

/// The hash of an event, as lower-case hex: SHA-256 over the hash of the event before it and all its stored fields.
pub fn chain_hash(previous: &str, event: &Event, body: &str) -> String {
    digest([
        previous,
        &event.seq.to_string(),
        &crate::fhir::dates::instant_text(event.at),
        event.body.kind(),
        event.actor.name(),
        event.actor.role(),
        body,
    ])
}
