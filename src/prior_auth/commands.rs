//! What can be done to a case. A command reads the case and answers with the events that follow; the caller stores
//! them in one unit with everything that they cause.

use super::{
    Actor, Approval, Body, Denial, Event, FileNote, Item, ItemStatus, Outcome, PriorAuth, Received, Refused,
    Reviewer,
};
use crate::rules::{Decision, Verdict};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use uuid::Uuid;

/// Everything that opens a case.
#[derive(Debug)]
pub struct Opening {
    /// The new case's id.
    pub id: Uuid,
    /// When the request was received.
    pub at: DateTime<Utc>,
    /// What is fixed since receipt.
    pub received: Received,
    /// The lines with their verdicts.
    pub items: Vec<ItemOpening>,
}

/// One line of a request with what the policies said of it.
#[derive(Debug)]
pub struct ItemOpening {
    /// `Claim.item.sequence`.
    pub sequence: u32,
    /// The code's system, stored spelling.
    pub system: String,
    /// The code.
    pub code: String,
    /// The quantity as sent.
    pub quantity: Option<Value>,
    /// First day of service asked for.
    pub serviced: Option<NaiveDate>,
    /// The plan's tracking number for the line.
    pub reference_number: String,
    /// The authorization number to use if the line is approved at once.
    pub authorization_number: String,
    /// What the policies said.
    pub verdict: Verdict,
    /// NPIs of the requester that need no authorization for the line.
    pub gold_card: Vec<String>,
    /// What policies in shadow would have said.
    pub shadow: Vec<Verdict>,
}

/// A reviewer approves a line as asked.
#[derive(Debug)]
pub struct Approve<'a> {
    /// Who.
    pub by: &'a Reviewer,
    /// The version of the case that the reviewer saw.
    pub seen: u32,
    /// The line.
    pub sequence: u32,
    /// The number to grant.
    pub number: String,
    /// Last day certified, if any.
    pub end: Option<NaiveDate>,
    /// Why, in words.
    pub reason: String,
}

/// A physician denies a line.
#[derive(Debug)]
pub struct Deny<'a> {
    /// Who.
    pub by: &'a Reviewer,
    /// The version of the case that the reviewer saw.
    pub seen: u32,
    /// The line.
    pub sequence: u32,
    /// X12 list 886.
    pub reason_code: String,
    /// The specific reason for this member.
    pub reason: String,
}

/// A nurse sends a line up.
#[derive(Debug)]
pub struct Refer<'a> {
    /// Who.
    pub by: &'a Reviewer,
    /// The version of the case that the reviewer saw.
    pub seen: u32,
    /// The line.
    pub sequence: u32,
    /// What the physician should look at.
    pub question: String,
}

impl PriorAuth {
    /// Opens a case: the receipt, then each line as the policies left it. Approvals by rule are for what was asked.
    pub fn open(opening: Opening) -> Vec<Event> {
        let client = opening.received.client;
        let zone = opening.received.zone;
        let at = opening.at;
        let today = at.with_timezone(&zone).date_naive();
        let mut bodies = vec![(
            Actor::Client { id: client },
            Body::Received(Box::new(opening.received)),
        )];
        for line in opening.items {
            let (item, outcome) = judge(line, today);
            let sequence = item.sequence;
            bodies.push((Actor::Software, Body::Evaluated(Box::new(item))));
            if let Some(outcome) = outcome {
                let outcome = Box::new(outcome);
                let note = FileNote::default();
                bodies.push((
                    Actor::Software,
                    Body::Decided {
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

    /// Approves one line as asked.
    pub fn approve(&self, command: Approve<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, Refused> {
        let today = self.today(now);
        if !command.by.may_approve(today) {
            return Err(Refused::NotPermitted(
                "Only a nurse or physician with a valid license may approve",
            ));
        }
        let item = self
            .item(command.sequence)
            .ok_or(Refused::NoSuchItem(command.sequence))?;
        if let Some(decided) = &item.decision {
            return match (&decided.outcome, &decided.by) {
                (Outcome::Approved(_), Actor::Staff(by)) if by.id == command.by.id => Ok(Vec::new()),
                _ => Err(Refused::AlreadyDecided),
            };
        }
        self.seen(command.seen)?;
        let start = item.serviced.unwrap_or(today).max(today);
        if command.end.is_some_and(|end| end < start) {
            return Err(Refused::Incomplete(
                "end",
                "The last day certified lies before the first",
            ));
        }
        let approval = Approval {
            number: command.number,
            start,
            end: command.end,
            reason: command.reason,
        };
        Ok(self.by_staff(
            command.by,
            now,
            Body::Decided {
                sequence: command.sequence,
                note: FileNote::default(),
                outcome: Box::new(Outcome::Approved(approval)),
            },
        ))
    }

    /// Denies one line; the physician attests it.
    pub fn deny(&self, command: &Deny<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, Refused> {
        let denial = Denial::attest(command.by, &command.reason_code, &command.reason, self.today(now))?;
        let item = self
            .item(command.sequence)
            .ok_or(Refused::NoSuchItem(command.sequence))?;
        if let Some(decided) = &item.decision {
            let same = decided.outcome == Outcome::Denied(denial);
            return if same {
                Ok(Vec::new())
            } else {
                Err(Refused::AlreadyDecided)
            };
        }
        self.seen(command.seen)?;
        Ok(self.by_staff(
            command.by,
            now,
            Body::Decided {
                sequence: command.sequence,
                note: FileNote::default(),
                outcome: Box::new(Outcome::Denied(denial)),
            },
        ))
    }

    /// Sends one line up to a physician. The clock runs on.
    pub fn refer(&self, command: Refer<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, Refused> {
        if !command.by.may_approve(self.today(now)) {
            return Err(Refused::NotPermitted(
                "Only a nurse or physician with a valid license may refer a request",
            ));
        }
        let item = self
            .item(command.sequence)
            .ok_or(Refused::NoSuchItem(command.sequence))?;
        if item.decision.is_some() {
            return Err(Refused::AlreadyDecided);
        }
        if item.status == ItemStatus::PhysicianReview {
            return Ok(Vec::new());
        }
        self.seen(command.seen)?;
        let question = command.question.trim().to_owned();
        if question.is_empty() {
            return Err(Refused::Incomplete(
                "question",
                "Say what the physician should look at",
            ));
        }
        Ok(self.by_staff(
            command.by,
            now,
            Body::Referred {
                sequence: command.sequence,
                question,
            },
        ))
    }

    fn today(&self, now: DateTime<Utc>) -> NaiveDate {
        now.with_timezone(&self.received.zone).date_naive()
    }

    fn seen(&self, version: u32) -> Result<(), Refused> {
        if version == self.version {
            return Ok(());
        }
        Err(Refused::Stale(format!(
            "The case has changed since you opened it: it now stands at step {} of its history, you saw step {version}",
            self.version
        )))
    }

    fn by_staff(&self, by: &Reviewer, at: DateTime<Utc>, body: Body) -> Vec<Event> {
        vec![Event {
            seq: self.version + 1,
            at,
            actor: Actor::Staff(by.clone()),
            body,
        }]
    }
}

/// What a verdict makes of a line: approved and not-required are decided at once and never stand in a queue; everything
/// else waits for people.
fn judge(line: ItemOpening, today: NaiveDate) -> (Item, Option<Outcome>) {
    let start = line.serviced.unwrap_or(today).max(today);
    let (status, queue, outcome) = match &line.verdict.decision {
        Decision::Approve(grant) => {
            let approval = Approval {
                number: line.authorization_number,
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
        sequence: line.sequence,
        system: line.system,
        code: line.code,
        quantity: line.quantity,
        serviced: line.serviced,
        reference_number: line.reference_number,
        status,
        queue,
        verdict: line.verdict,
        gold_card: line.gold_card,
        shadow: line.shadow,
        decision: None,
    };
    (item, outcome)
}

#[cfg(test)]
mod tests;
