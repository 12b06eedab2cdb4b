//! The commands on a case: open, approve, deny, refer. A command reads the case and returns the events that follow; the
//! caller stores them in one unit of work together with the jobs they cause.

use super::case::PriorAuth;
use super::command_error::CommandError;
use super::denial::Denial;
use super::event::{Event, EventBody, InternalNote, Received};
use super::item::{Approval, Item, ItemStatus, Outcome};
use super::reviewer::{Actor, Reviewer};
use crate::rules::{Decision, Verdict};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use uuid::Uuid;

/// What is needed to open a case.
#[derive(Debug)]
pub struct NewCase {
    /// The id of the new case.
    pub id: Uuid,
    /// When the request was received.
    pub at: DateTime<Utc>,
    /// What is known at receipt.
    pub received: Received,
    /// The items with their verdicts.
    pub items: Vec<NewItem>,
}

/// One item of a request with the verdict of the policies.
#[derive(Debug)]
pub struct NewItem {
    /// `Claim.item.sequence`.
    pub sequence: u32,
    /// The code system, in its stored spelling.
    pub system: String,
    /// The code.
    pub code: String,
    /// `Claim.item.quantity` as sent.
    pub quantity: Option<Value>,
    /// The first requested day of service.
    pub serviced: Option<NaiveDate>,
    /// The plan's tracking number for the item (X12 REF-NT).
    pub reference_number: String,
    /// The authorization number to use if a rule approves the item.
    pub authorization_number: String,
    /// The verdict of the policies.
    pub verdict: Verdict,
    /// NPIs of the requester that hold a gold card for the item.
    pub gold_card: Vec<String>,
    /// The verdicts of policies in state `shadow`.
    pub shadow: Vec<Verdict>,
}

/// The command of a reviewer to approve an item as requested.
#[derive(Debug)]
pub struct Approve<'a> {
    /// The reviewer.
    pub by: &'a Reviewer,
    /// The version of the case that the reviewer saw.
    pub version_seen: u32,
    /// The item, by its sequence.
    pub sequence: u32,
    /// The authorization number.
    pub number: String,
    /// The last certified day, if any.
    pub end: Option<NaiveDate>,
    /// The reason in words.
    pub reason: String,
}

/// The command of a physician to deny an item.
#[derive(Debug)]
pub struct Deny<'a> {
    /// The reviewer.
    pub by: &'a Reviewer,
    /// The version of the case that the reviewer saw.
    pub version_seen: u32,
    /// The item, by its sequence.
    pub sequence: u32,
    /// The reason code from X12 list 886.
    pub reason_code: String,
    /// The specific reason for this member.
    pub reason: String,
}

/// The command of a reviewer to refer an item to a physician.
#[derive(Debug)]
pub struct Refer<'a> {
    /// The reviewer.
    pub by: &'a Reviewer,
    /// The version of the case that the reviewer saw.
    pub version_seen: u32,
    /// The item, by its sequence.
    pub sequence: u32,
    /// The question for the physician.
    pub question: String,
}

impl PriorAuth {
    /// Opens a case: the receipt, then each item with its verdict. An item that a rule approves is approved as
    /// requested and one that needs no authorization is closed, both with a decision event; all others wait for staff.
    pub fn open(new: NewCase) -> Vec<Event> {
        let client = new.received.client;
        let zone = new.received.zone;
        let at = new.at;
        let today = at.with_timezone(&zone).date_naive();
        let mut bodies = vec![(
            Actor::Client { id: client },
            EventBody::Received(Box::new(new.received)),
        )];
        for item in new.items {
            let (item, outcome) = apply_verdict(item, today);
            let sequence = item.sequence;
            bodies.push((Actor::Software, EventBody::Evaluated(Box::new(item))));
            if let Some(outcome) = outcome {
                let outcome = Box::new(outcome);
                let note = InternalNote::default();
                bodies.push((
                    Actor::Software,
                    EventBody::Decided {
                        sequence,
                        note,
                        outcome,
                    },
                ));
            }
        }
        (1..)
            .zip(bodies)
            .map(|(seq, (actor, body))| Event { seq, at, actor, body })
            .collect()
    }

    /// Approves one item as requested. The same approval again by the same reviewer changes nothing.
    pub fn approve(&self, command: Approve<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, CommandError> {
        let today = self.today(now);
        if !command.by.may_approve(today) {
            return Err(CommandError::NotPermitted(
                "Only a nurse or physician with a valid license may approve",
            ));
        }
        let item = self
            .item(command.sequence)
            .ok_or(CommandError::ItemNotFound(command.sequence))?;
        if let Some(decided) = &item.decision {
            return match (&decided.outcome, &decided.by) {
                (Outcome::Approved(_), Actor::Staff(by)) if by.id == command.by.id => Ok(Vec::new()),
                _ => Err(CommandError::AlreadyDecided),
            };
        }
        self.require_version(command.version_seen)?;
        let start = item.serviced.unwrap_or(today).max(today);
        if command.end.is_some_and(|end| end < start) {
            return Err(CommandError::Incomplete(
                "end",
                "The last certified day is before the first",
            ));
        }
        let approval = Approval {
            number: command.number,
            start,
            end: command.end,
            reason: command.reason,
        };
        Ok(self.staff_event(
            command.by,
            now,
            EventBody::Decided {
                sequence: command.sequence,
                note: InternalNote::default(),
                outcome: Box::new(Outcome::Approved(approval)),
            },
        ))
    }

    /// Denies one item; the physician attests the denial. The same denial again changes nothing.
    pub fn deny(&self, command: &Deny<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, CommandError> {
        let denial = Denial::attest(command.by, &command.reason_code, &command.reason, self.today(now))?;
        let item = self
            .item(command.sequence)
            .ok_or(CommandError::ItemNotFound(command.sequence))?;
        if let Some(decided) = &item.decision {
            let same = decided.outcome == Outcome::Denied(denial);
            return if same {
                Ok(Vec::new())
            } else {
                Err(CommandError::AlreadyDecided)
            };
        }
        self.require_version(command.version_seen)?;
        Ok(self.staff_event(
            command.by,
            now,
            EventBody::Decided {
                sequence: command.sequence,
                note: InternalNote::default(),
                outcome: Box::new(Outcome::Denied(denial)),
            },
        ))
    }

    /// Refers one item to a physician. The decision clock keeps running.
    pub fn refer(&self, command: Refer<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, CommandError> {
        if !command.by.may_approve(self.today(now)) {
            return Err(CommandError::NotPermitted(
                "Only a nurse or physician with a valid license may refer a request",
            ));
        }
        let item = self
            .item(command.sequence)
            .ok_or(CommandError::ItemNotFound(command.sequence))?;
        if item.decision.is_some() {
            return Err(CommandError::AlreadyDecided);
        }
        if item.status == ItemStatus::PhysicianReview {
            return Ok(Vec::new());
        }
        self.require_version(command.version_seen)?;
        let question = command.question.trim().to_owned();
        if question.is_empty() {
            return Err(CommandError::Incomplete(
                "question",
                "Enter a question for the physician",
            ));
        }
        Ok(self.staff_event(
            command.by,
            now,
            EventBody::Referred {
                sequence: command.sequence,
                question,
            },
        ))
    }

    fn today(&self, now: DateTime<Utc>) -> NaiveDate {
        now.with_timezone(&self.received.zone).date_naive()
    }

    fn require_version(&self, version: u32) -> Result<(), CommandError> {
        if version == self.version {
            return Ok(());
        }
        Err(CommandError::OutOfDate)
    }

    fn staff_event(&self, by: &Reviewer, at: DateTime<Utc>, body: EventBody) -> Vec<Event> {
        vec![Event {
            seq: self.version + 1,
            at,
            actor: Actor::Staff(by.clone()),
            body,
        }]
    }
}

/// Turns a verdict into the first status of an item. Approvals and items that need no authorization are decided at once
/// and never enter a queue; everything else waits for staff.
fn apply_verdict(new: NewItem, today: NaiveDate) -> (Item, Option<Outcome>) {
    let start = new.serviced.unwrap_or(today).max(today);
    let (status, queue, outcome) = match &new.verdict.decision {
        Decision::Approve(grant) => {
            let approval = Approval {
                number: new.authorization_number,
                start,
                end: grant.ends(start),
                reason: grant.reason.clone(),
            };
            (ItemStatus::Approved, None, Some(Outcome::Approved(approval)))
        }
        Decision::NotRequired { reason } => (
            ItemStatus::NotRequired,
            None,
            Some(Outcome::NotRequired {
                reason: reason.clone(),
            }),
        ),
        Decision::Pend(pend) => {
            let intake = matches!(pend.queue.as_str(), "intake" | "administrative");
            let status = if intake {
                ItemStatus::Intake
            } else {
                ItemStatus::ClinicalReview
            };
            (status, Some(pend.queue.clone()), None)
        }
    };
    let item = Item {
        sequence: new.sequence,
        system: new.system,
        code: new.code,
        quantity: new.quantity,
        serviced: new.serviced,
        reference_number: new.reference_number,
        status,
        queue,
        verdict: new.verdict,
        gold_card: new.gold_card,
        shadow: new.shadow,
        decision: None,
    };
    (item, outcome)
}

#[cfg(test)]
mod tests;
