//! The noun of the house: a request for prior authorization, its lines, what was decided on each, and by whom.
//!
//! A case is its append-only events; `PriorAuth` is what they add up to. Commands look at a case and answer with the
//! events that follow, or with the reason why not. Pure: no clock, no store; numbers and instants are handed in.
//!
//! Software approves as asked or refers to a person. A denial exists only as [`Denial`], and that can only be made
//! by [`Denial::attest`], which wants a named physician with a valid credential (42 CFR 422.566(d), 438.210(b)(3)).

mod commands;
mod event;
pub mod flips;
mod reviewer;

pub use commands::{Approve, Deny, ItemOpening, Opening, Refer};
pub use event::{Body, Event, FileNote, GENESIS, chain_hash};
pub use reviewer::{Actor, Credential, CredentialKind, Reviewer, Role};

use crate::deadlines::Due;
use crate::rules::{MemberFacts, Verdict};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What is known of a case from the moment it was received; never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The client system that sent it.
    pub client: Uuid,
    /// The member's row.
    pub member: Uuid,
    /// The coverage's row.
    pub coverage: Uuid,
    /// Line of business (MA, MEDICAID-MC, CHIP, QHP, ERISA).
    pub line: String,
    /// The plan's time zone.
    pub zone: chrono_tz::Tz,
    /// How it came: `pas-2.2`.
    pub channel: String,
    /// Asked for as expedited by the provider; staff cannot clear it.
    pub urgent: bool,
    /// When it must be decided.
    pub due: Due,
    /// The request as received (a blob).
    pub request: Uuid,
    /// The policies that were in force, by hash.
    pub rules: String,
    /// The requester's NPI.
    pub requester_npi: Option<String>,
    /// The requester's name, for people.
    pub requester: String,
    /// Identifiers of the sending system and of the requester: whose subscriptions hear of this case.
    pub senders: Vec<String>,
    /// The assertion of the hook that this request goes back to, if any.
    pub assertion: Option<String>,
    /// What rules were told of the member, so that the case can be evaluated again as it was; gold cards stand with
    /// the lines. None on cases older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<MemberFacts>,
}

/// One line of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// `Claim.item.sequence`; stable for the life of the authorization (PAS spec-34).
    pub sequence: u32,
    /// The code's system, in its stored spelling.
    pub system: String,
    /// The code.
    pub code: String,
    /// What was asked: quantity as sent.
    pub quantity: Option<Value>,
    /// First day of service asked for.
    pub serviced: Option<NaiveDate>,
    /// The plan's tracking number for this line (X12 REF-NT).
    pub reference_number: String,
    /// Where it stands.
    pub status: ItemStatus,
    /// Which queue works on it while it is open.
    pub queue: Option<String>,
    /// What the policies said, with the whole trace.
    pub verdict: Verdict,
    /// NPIs of the requester that needed no authorization for this line on the day of receipt; the rules were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gold_card: Vec<String>,
    /// What policies in shadow would have said. For the plan's own study: nothing rests on it and nobody is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<Verdict>,
    /// What was decided, once it was.
    pub decision: Option<Decided>,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemStatus {
    /// A coordinator has to complete or sort it.
    Intake,
    /// A nurse reviews it.
    ClinicalReview,
    /// A physician has to look.
    PhysicianReview,
    /// Approved as asked.
    Approved,
    /// Denied by a physician.
    Denied,
    /// No authorization is needed.
    NotRequired,
}

impl ItemStatus {
    /// Whether it waits for a person.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Intake | Self::ClinicalReview | Self::PhysicianReview)
    }

    /// The word that is stored.
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

    /// The X12 review action code (data element 306) that a provider sees.
    pub fn review_action(self) -> &'static str {
        match self {
            Self::Intake | Self::ClinicalReview | Self::PhysicianReview => "A4",
            Self::Approved => "A1",
            Self::Denied => "A3",
            Self::NotRequired => "NA",
        }
    }
}

/// A decision on one line, with its moment and its maker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: software for an approval by rule, else a named reviewer.
    pub by: Actor,
    /// What.
    pub outcome: Outcome,
}

/// What a decision says. There is no way to make a denial but [`Denial::attest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Approved as asked.
    Approved(Approval),
    /// Denied.
    Denied(Denial),
    /// Nothing to authorize.
    NotRequired {
        /// Why, in words.
        reason: String,
    },
}

/// An approval as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// The authorization number (X12 HCR02).
    pub number: String,
    /// First day certified.
    pub start: NaiveDate,
    /// Last day certified; none when the rule or the reviewer set no end.
    pub end: Option<NaiveDate>,
    /// Why, in words.
    pub reason: String,
}

/// A denial: a coded reason, words for this member, and the clinician who attests it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Denial {
    reason_code: String,
    reason: String,
    attested_by: Reviewer,
}

impl Denial {
    /// The only way to a denial: a named physician whose credential holds today gives a coded reason and words.
    pub fn attest(by: &Reviewer, reason_code: &str, reason: &str, today: NaiveDate) -> Result<Self, Refused> {
        if !by.may_deny(today) {
            return Err(Refused::NotPermitted(
                "Only a physician reviewer with a valid license on record may deny a request",
            ));
        }
        let reason = reason.trim();
        if reason_code.is_empty() {
            return Err(Refused::Incomplete(
                "reason_code",
                "Choose the reason that the denial rests on",
            ));
        }
        if reason.chars().count() < 20 {
            return Err(Refused::Incomplete(
                "reason",
                "Write the specific reason for this member, in at least twenty characters",
            ));
        }
        Ok(Self {
            reason_code: reason_code.to_owned(),
            reason: reason.to_owned(),
            attested_by: by.clone(),
        })
    }

    /// X12 list 886.
    pub fn reason_code(&self) -> &str {
        &self.reason_code
    }

    /// The specific reason, in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Who attested it.
    pub fn attested_by(&self) -> &Reviewer {
        &self.attested_by
    }
}

/// Why a command was not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// This person may not do it.
    NotPermitted(&'static str),
    /// A field is missing or too thin (field, sentence).
    Incomplete(&'static str, &'static str),
    /// The case moved on since the person looked; says what happened.
    Stale(String),
    /// The line was decided already, and differently.
    AlreadyDecided,
    /// There is no such line.
    NoSuchItem(u32),
}

impl From<Refused> for crate::error::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotPermitted(why) => Self::forbidden(why),
            Refused::Incomplete(field, why) => Self::invalid(field, why),
            Refused::Stale(why) => Self::conflict(why),
            Refused::AlreadyDecided => {
                Self::conflict("This line has been decided already; a decision does not change")
            }
            Refused::NoSuchItem(sequence) => Self::not_found("line", sequence),
        }
    }
}

/// A case: what its events add up to.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorAuth {
    /// Its id.
    pub id: Uuid,
    /// What is fixed since receipt.
    pub received: Received,
    /// When it was received; clocks run from here.
    pub received_at: DateTime<Utc>,
    /// The lines in the order of the request.
    pub items: Vec<Item>,
    /// How many events it has; a command names the version that its person saw.
    pub version: u32,
    /// When the last event happened.
    pub changed: DateTime<Utc>,
}

impl PriorAuth {
    /// The case that these events add up to; `None` when they do not begin with its receipt.
    pub fn replay(id: Uuid, events: &[Event]) -> Option<Self> {
        let (first, rest) = events.split_first()?;
        let Body::Received(received) = &first.body else {
            return None;
        };
        let mut case = Self {
            id,
            received: received.as_ref().clone(),
            received_at: first.at,
            items: Vec::new(),
            version: first.seq,
            changed: first.at,
        };
        for event in rest {
            case.apply(event);
        }
        Some(case)
    }

    /// Adds one event.
    pub fn apply(&mut self, event: &Event) {
        self.version = event.seq;
        self.changed = event.at;
        match &event.body {
            Body::Received(_) => {}
            Body::Evaluated(item) => self.items.push(item.as_ref().clone()),
            Body::Decided {
                sequence, outcome, ..
            } => {
                let decided = Decided {
                    at: event.at,
                    by: event.actor.clone(),
                    outcome: outcome.as_ref().clone(),
                };
                if let Some(item) = self.items.iter_mut().find(|i| i.sequence == *sequence) {
                    item.status = match outcome.as_ref() {
                        Outcome::Approved(_) => ItemStatus::Approved,
                        Outcome::Denied(_) => ItemStatus::Denied,
                        Outcome::NotRequired { .. } => ItemStatus::NotRequired,
                    };
                    item.queue = None;
                    item.decision = Some(decided);
                }
            }
            Body::Referred { sequence, .. } => {
                if let Some(item) = self.items.iter_mut().find(|i| i.sequence == *sequence) {
                    item.status = ItemStatus::PhysicianReview;
                }
            }
        }
    }

    /// The line with this sequence.
    pub fn item(&self, sequence: u32) -> Option<&Item> {
        self.items.iter().find(|i| i.sequence == sequence)
    }

    /// Where the case stands: its least advanced open line, else `decided`.
    pub fn status(&self) -> &'static str {
        self.items
            .iter()
            .map(|i| i.status)
            .filter(|s| s.is_open())
            .min()
            .map_or("decided", ItemStatus::as_str)
    }

    /// Whether a line waits for a person.
    pub fn is_open(&self) -> bool {
        self.items.iter().any(|i| i.status.is_open())
    }

    /// The queue that works on it.
    pub fn queue(&self) -> Option<&str> {
        self.items
            .iter()
            .filter(|i| i.status.is_open())
            .find_map(|i| i.queue.as_deref())
    }

    /// Authorization numbers that were granted, with their lines.
    pub fn approvals(&self) -> impl Iterator<Item = (&Item, &Approval)> {
        self.items
            .iter()
            .filter_map(|item| match &item.decision.as_ref()?.outcome {
                Outcome::Approved(approval) => Some((item, approval)),
                _ => None,
            })
    }

    /// Denials with their lines.
    pub fn denials(&self) -> impl Iterator<Item = (&Item, &Denial)> {
        self.items
            .iter()
            .filter_map(|item| match &item.decision.as_ref()?.outcome {
                Outcome::Denied(denial) => Some((item, denial)),
                _ => None,
            })
    }
}
