//! The commands of reviewers on a case: approve, deny, refer. A command reads the case and returns the events that
//! follow, or why it is refused; the caller stores the events in one unit of work together with the jobs they cause. All
//! guards are here, so a page and a request sent without the page meet the same ones.

use super::case::PriorAuth;
use super::command_error::CommandError;
use super::denial::{self, Denial};
use super::event::{Event, EventBody, InternalNote};
use super::item::{Approval, Item, ItemStatus, Outcome};
use super::reviewer::{Actor, Reviewer};
use super::wording::{self, HardText};
use crate::rules;
use chrono::{DateTime, NaiveDate, Utc};

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
    /// The last certified day. An approval beyond the policy needs one.
    pub end: Option<NaiveDate>,
    /// The reason in words.
    pub reason: String,
    /// The reviewer's internal note. An approval beyond the policy needs one.
    pub note: String,
}

/// The command of a physician to deny items, all with the same words.
#[derive(Debug)]
pub struct Deny<'a> {
    /// The reviewer.
    pub by: &'a Reviewer,
    /// The version of the case that the reviewer saw.
    pub version_seen: u32,
    /// The items, by their sequences.
    pub items: &'a [u32],
    /// The reason code from X12 list 886.
    pub reason_code: &'a str,
    /// The name of the policy's criterion that the denial is based on.
    pub criterion: Option<&'a str>,
    /// The specific reason for this member.
    pub reason: &'a str,
    /// The reviewer's internal note.
    pub note: &'a str,
    /// The highest reading grade that a reason may have without being accepted by the physician.
    pub grade_limit: u32,
    /// What the physician confirmed after reading what will be sent.
    pub confirmation: Confirmation<'a>,
}

/// The physician's second answer, after reading what a denial will send.
#[derive(Debug, Clone, Copy, Default)]
pub struct Confirmation<'a> {
    /// [`Deny::digest`] of the denial that was shown; empty before it was shown.
    pub digest: &'a str,
    /// The physician accepts that the reason is harder to read than the plan allows.
    pub accepts_hard_text: bool,
}

impl Deny<'_> {
    /// A digest of everything that the physician confirms: the case and its version, the items, and the words. A denial
    /// with any other content has another digest.
    pub fn digest(&self, case: &PriorAuth) -> String {
        let mut parts = vec![case.id.to_string(), self.version_seen.to_string()];
        parts.extend(self.items.iter().map(ToString::to_string));
        parts.extend([
            self.reason_code.to_owned(),
            self.criterion.unwrap_or("").to_owned(),
            self.reason.trim().to_owned(),
            self.note.trim().to_owned(),
        ]);
        denial::digest(parts.iter().map(String::as_str))
    }

    fn internal_note(&self) -> InternalNote {
        InternalNote {
            criterion: self.criterion.map(str::to_owned),
            ..InternalNote::with_text(self.note)
        }
    }
}

/// A denial that passes every check except the physician's confirmation.
#[derive(Debug, Clone, PartialEq)]
pub struct DenialPreview {
    /// The events that the denial would add; none when the same denial is already recorded.
    pub events: Vec<Event>,
    /// The digest that confirms exactly this denial.
    pub digest: String,
    /// Why the reason is harder to read than the plan allows, if it is.
    pub hard_text: Option<HardText>,
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
    /// Approves one item as requested. The same approval again by the same reviewer changes nothing. An approval beyond
    /// the policy needs a note and a last day.
    pub fn approve(&self, command: Approve<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, CommandError> {
        let today = self.today(now);
        if !command.by.may_approve(today) {
            return Err(CommandError::NotPermitted(
                "Only a nurse or physician with a valid license may approve",
            ));
        }
        let item = self.existing_item(command.sequence)?;
        if let Some(decided) = &item.decision {
            return match (&decided.outcome, &decided.by) {
                (Outcome::Approved(_), Actor::Staff(by)) if by.id == command.by.id => Ok(Vec::new()),
                _ => Err(CommandError::AlreadyDecided),
            };
        }
        self.require_version(command.version_seen)?;
        let start = item.first_day(today);
        if command.end.is_some_and(|end| end < start) {
            return Err(CommandError::Incomplete(
                "end",
                "The last certified day is before the first",
            ));
        }
        let asked_until = item.serviced_until;
        if command
            .end
            .zip(asked_until)
            .is_some_and(|(end, asked)| end < asked)
        {
            return Err(CommandError::Incomplete(
                "end",
                "The last certified day is before the last day of service that was asked for",
            ));
        }
        if !item.meets_policy() {
            check_approval_beyond_policy(&command)?;
        }
        let note = InternalNote::with_text(&command.note);
        let outcome = Outcome::Approved(Approval {
            number: command.number,
            start,
            end: command.end,
            reason: command.reason,
        });
        Ok(vec![self.decided(
            command.by,
            now,
            command.sequence,
            note,
            outcome,
        )])
    }

    /// Denies items; the physician attests the denial. The same denial again changes nothing. A denial is recorded only
    /// after the physician has confirmed exactly what will be sent.
    pub fn deny(&self, command: &Deny<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, CommandError> {
        let preview = self.preview_denial(command, now)?;
        if preview.events.is_empty() {
            return Ok(preview.events);
        }
        if command.confirmation.digest != preview.digest {
            return Err(CommandError::NotConfirmed);
        }
        if preview.hard_text.is_some() && !command.confirmation.accepts_hard_text {
            return Err(CommandError::HardToRead);
        }
        Ok(preview.events)
    }

    /// Checks a denial, except for the confirmation, and returns what it would record. If one item is refused, all are.
    pub fn preview_denial(
        &self,
        command: &Deny<'_>,
        now: DateTime<Utc>,
    ) -> Result<DenialPreview, CommandError> {
        let today = self.today(now);
        // Permission is checked first: a reviewer who may not deny gets this error whatever else is wrong.
        let denial = Denial::attest(command.by, command.reason_code, command.reason, today)?;
        if command.items.is_empty() {
            return Err(CommandError::Incomplete("item", "Select at least one item"));
        }
        let mut after = self.clone();
        let mut events = Vec::new();
        for sequence in command.items {
            let item = self.existing_item(*sequence)?;
            if let Some(decided) = &item.decision {
                if decided.outcome == Outcome::Denied(denial.clone()) {
                    continue;
                }
                return Err(CommandError::AlreadyDecided);
            }
            self.require_version(command.version_seen)?;
            check_cited_criterion(item, command.criterion)?;
            check_words(item, command.reason)?;
            let outcome = Outcome::Denied(denial.clone());
            let event = after.decided(command.by, now, *sequence, command.internal_note(), outcome);
            after.apply(&event);
            events.push(event);
        }
        Ok(DenialPreview {
            events,
            digest: command.digest(self),
            hard_text: wording::hard_text(command.reason.trim(), command.grade_limit),
        })
    }

    /// Refers one item to a physician. The decision clock keeps running.
    pub fn refer(&self, command: Refer<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, CommandError> {
        if !command.by.may_approve(self.today(now)) {
            return Err(CommandError::NotPermitted(
                "Only a nurse or physician with a valid license may refer a request",
            ));
        }
        let item = self.existing_item(command.sequence)?;
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
        let body = EventBody::Referred {
            sequence: command.sequence,
            question,
        };
        Ok(vec![self.staff_event(command.by, now, body)])
    }

    fn existing_item(&self, sequence: u32) -> Result<&Item, CommandError> {
        self.item(sequence).ok_or(CommandError::ItemNotFound(sequence))
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

    fn decided(
        &self,
        by: &Reviewer,
        at: DateTime<Utc>,
        sequence: u32,
        note: InternalNote,
        outcome: Outcome,
    ) -> Event {
        let outcome = Box::new(outcome);
        let body = EventBody::Decided {
            sequence,
            note,
            outcome,
        };
        self.staff_event(by, at, body)
    }

    fn staff_event(&self, by: &Reviewer, at: DateTime<Utc>, body: EventBody) -> Event {
        Event {
            seq: self.version + 1,
            // The clocks of two servers may differ; the history of a case never goes back in time.
            at: at.max(self.changed),
            actor: Actor::Staff(by.clone()),
            body,
        }
    }
}

/// An approval of an item that does not meet the policy, or that no policy applies to, needs a reason and a last day.
fn check_approval_beyond_policy(command: &Approve<'_>) -> Result<(), CommandError> {
    if command.note.trim().is_empty() {
        return Err(CommandError::Incomplete(
            "note",
            "A criterion is not met or unknown, or no policy applies. Explain in the note why you are approving anyway",
        ));
    }
    if command.end.is_none() {
        return Err(CommandError::Incomplete(
            "end",
            "A criterion is not met or unknown, or no policy applies. Enter the last day of the approval",
        ));
    }
    Ok(())
}

/// A denial can only cite a criterion of the policy that was applied, and not one that is met.
fn check_cited_criterion(item: &Item, criterion: Option<&str>) -> Result<(), CommandError> {
    let Some(name) = criterion else { return Ok(()) };
    match item.verdict.criteria.get(name) {
        None => Err(CommandError::Incomplete(
            "criterion",
            "Choose a criterion of the policy that was applied to every selected item",
        )),
        Some(rules::Outcome::Met) => Err(CommandError::Incomplete(
            "criterion",
            "This criterion is met, so a denial cannot be based on it. Choose a criterion that is not met or unknown",
        )),
        Some(_) => Ok(()),
    }
}

/// The reason for the member does not consist of the internal names of the policy that was applied.
fn check_words(item: &Item, reason: &str) -> Result<(), CommandError> {
    let mut ids: Vec<&str> = item.verdict.criteria.keys().map(String::as_str).collect();
    if let rules::VerdictSource::Policy { policy, .. } = &item.verdict.source {
        ids.push(policy);
    }
    match wording::reason_mistake(reason, &ids) {
        Some(mistake) => Err(CommandError::Incomplete("reason", mistake)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
