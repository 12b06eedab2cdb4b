//! Decisions of reviewers: approve as requested, refer, deny. The case is read and the decision checked by `prior_auth`;
//! then the events and the messages that follow from them are written in one unit of work, if the case is still the one
//! that was read. A refused decision writes nothing, and so does a denial that the physician has not confirmed.
//!
//! Approving less than requested is an adverse decision, like a denial (42 CFR 422.566(d)). This module does not
//! support it.

use super::case_view::{RequestedItem, requested_items};
use crate::clock::new_number;
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::bundle::parse_stored_request;
use crate::prior_auth::{
    Approve, CommandError, Confirmation, DenialPreview, Deny, Event, EventBody, Outcome, PriorAuth, Refer,
    Reviewer,
};
use crate::rules::DenialReason;
use crate::state::{State, WorkSize};
use crate::store::fan_out::{MailRecipients, StoredDecisions};
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

/// A reviewer's decision on some items of a case, as sent by the case page.
#[derive(Debug, Clone)]
pub struct ReviewDecision {
    /// The case's row id.
    pub case: Uuid,
    /// The version of the case that the reviewer saw.
    pub version_seen: u32,
    /// The items to decide, by `Claim.item.sequence`.
    pub items: Vec<u32>,
    /// The case note. It is internal and never sent to the member or the provider.
    pub note: String,
    /// What to do with the items.
    pub action: ReviewAction,
}

/// What a reviewer can do with an item.
#[derive(Debug, Clone)]
pub enum ReviewAction {
    /// Approve as requested.
    Approve {
        /// The last day of the approval; `None` stands for the last requested day.
        until: Option<NaiveDate>,
    },
    /// Deny.
    Deny(ReviewDenial),
    /// Refer to a physician. The case note is the question to the physician.
    Refer,
}

/// The words of a denial, and the physician's confirmation.
#[derive(Debug, Clone)]
pub struct ReviewDenial {
    /// The code of one of the plan's denial reasons (X12 list 886).
    pub reason_code: String,
    /// The name of the policy's criterion that the denial is based on.
    pub criterion: Option<String>,
    /// The specific reason, sent to the member and the provider exactly as written.
    pub text: String,
    /// The digest of the denial that was shown for confirmation; empty before it was shown.
    pub confirmation: String,
    /// The physician accepts that the text is harder to read than the plan allows.
    pub accepts_hard_text: bool,
}

/// What came of a decision that was not refused.
#[derive(Debug)]
pub enum ReviewResult {
    /// It is recorded. The event that was added last has the case's version as its number.
    Recorded(PriorAuth),
    /// The same decision was recorded before; nothing changed.
    Unchanged(PriorAuth),
    /// A denial that passes every check waits for the physician's confirmation. Nothing is recorded.
    ConfirmDenial(Box<DenialToConfirm>),
}

/// A denial to show before it is recorded.
#[derive(Debug)]
pub struct DenialToConfirm {
    /// The case as it would be after the denial.
    pub after: PriorAuth,
    /// The denial with its digest and the sentences that are hard to read.
    pub preview: DenialPreview,
    /// The physician confirmed it, but did not accept that the text is hard to read.
    pub hard_text_not_accepted: bool,
}

/// How often a decision is checked again because the case changed between its check and its unit of work.
const MAX_ATTEMPTS: u32 = 3;

/// Carries out a decision. The same decision a second time changes nothing.
pub async fn decide(state: &State, by: &Reviewer, decision: ReviewDecision) -> Result<ReviewResult> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match decide_once(state, by, &decision).await {
            Err(Attempt::CaseChanged(_)) if attempts < MAX_ATTEMPTS => {}
            Err(Attempt::CaseChanged(error) | Attempt::Refused(error)) => return Err(error),
            Ok(result) => return Ok(result),
        }
    }
}

/// Why an attempt recorded nothing.
enum Attempt {
    /// The case changed after it was read. A new attempt sees the change.
    CaseChanged(Error),
    /// The decision is refused, or it could not be stored.
    Refused(Error),
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Reads the case, checks the decision, and writes what follows if the case has not changed since.
async fn decide_once(
    state: &State,
    by: &Reviewer,
    decision: &ReviewDecision,
) -> Result<ReviewResult, Attempt> {
    let (case, text, mail) = read_decided_case(state, decision.case).await?;
    let inputs = DecisionInputs {
        by: by.clone(),
        reasons: state.policy_set().rules.denial_reasons().to_vec(),
        numbers: decision.items.iter().map(|_| new_number("PA")).collect(),
        grade_limit: state.config.wording.reading_grade,
        now: state.now().max(case.changed),
        decision: decision.clone(),
    };
    let size = WorkSize::new(text.len(), decision.items.len());
    let proposed = state.compute(size, || {
        let request = parse_stored_request(&text, case.id)?;
        let context = DecisionContext {
            inputs: &inputs,
            requested: requested_items(&request, case.received.zone),
        };
        context.events(&case)
    });
    let events = match proposed.await? {
        Proposed::Events(events) if events.is_empty() => return Ok(ReviewResult::Unchanged(case)),
        Proposed::Events(events) => events,
        Proposed::Denial(denial) => return Ok(ReviewResult::ConfirmDenial(denial)),
    };
    let kinds: Vec<&'static str> = events.iter().map(|event| event.body.kind()).collect();
    let unit = state
        .store
        .write((case, events, mail), |tx, (case, events, mail)| {
            Box::pin(async move {
                let after = tx.append(case, events).await?;
                let decisions = StoredDecisions {
                    case: &after,
                    events,
                    mail,
                };
                tx.fan_out(&decisions).await?;
                Ok(after)
            })
        });
    let after = unit.await.map_err(|error| match error.kind() {
        ErrorKind::Conflict => Attempt::CaseChanged(error),
        _ => Attempt::Refused(error),
    })?;
    for kind in kinds {
        metrics::counter!("assent_reviews_total", "event" => kind).increment(1);
    }
    Ok(ReviewResult::Recorded(after))
}

/// The case with its request as received, and who gets an email notice of a decision on it.
async fn read_decided_case(state: &State, id: Uuid) -> Result<(PriorAuth, String, MailRecipients)> {
    let unit = state.store.read(id, |tx, id| {
        Box::pin(async move {
            let case = tx.case(*id).await?.ok_or_else(|| Error::not_found("case", id))?;
            let text = tx.request_text(case.received.request).await?;
            let mail = tx.mail_recipients(&case).await?;
            Ok((case, text, mail))
        })
    });
    unit.await
}

/// A decision with everything that it is checked against, besides the case.
struct DecisionInputs {
    decision: ReviewDecision,
    by: Reviewer,
    /// The plan's denial reasons.
    reasons: Vec<DenialReason>,
    /// One new authorization number for each item of the decision.
    numbers: Vec<String>,
    grade_limit: u32,
    now: DateTime<Utc>,
}

/// The inputs with the items as requested.
struct DecisionContext<'a> {
    inputs: &'a DecisionInputs,
    requested: Vec<RequestedItem>,
}

/// What a decision would add to the case, or the denial that has to be confirmed first.
#[derive(Debug)]
enum Proposed {
    Events(Vec<Event>),
    Denial(Box<DenialToConfirm>),
}

impl DecisionContext<'_> {
    /// The events that follow from the decision, over all its items. If one item is refused, the whole decision is.
    fn events(&self, case: &PriorAuth) -> Result<Proposed> {
        let decision = &self.inputs.decision;
        if let ReviewAction::Deny(denial) = &decision.action {
            return self.denial(case, denial);
        }
        if decision.items.is_empty() {
            return Err(Error::invalid("item", "Select at least one item"));
        }
        let mut after = case.clone();
        let mut all = Vec::new();
        for (sequence, number) in decision.items.iter().zip(&self.inputs.numbers) {
            // The first item is checked against the version that the reviewer saw. Later items build on the events of
            // the items before them, which the reviewer cannot have seen.
            let version_seen = if all.is_empty() {
                decision.version_seen
            } else {
                after.version
            };
            let events = match &decision.action {
                ReviewAction::Approve { until } => {
                    let command = self.approval(&after, *sequence, version_seen, number, *until);
                    self.approve(&after, command, *until)?
                }
                _ => after.refer(self.referral(*sequence, version_seen), self.inputs.now)?,
            };
            for event in &events {
                after.apply(event);
            }
            all.extend(events);
        }
        Ok(Proposed::Events(all))
    }

    fn referral(&self, sequence: u32, version_seen: u32) -> Refer<'_> {
        Refer {
            by: &self.inputs.by,
            version_seen,
            sequence,
            question: self.inputs.decision.note.clone(),
        }
    }

    fn approval(
        &self,
        case: &PriorAuth,
        sequence: u32,
        version_seen: u32,
        number: &str,
        until: Option<NaiveDate>,
    ) -> Approve<'_> {
        Approve {
            by: &self.inputs.by,
            version_seen,
            sequence,
            number: number.to_owned(),
            end: until.or(self.last_requested_day(case, sequence)),
            reason: "Approved as requested after review".to_owned(),
            note: self.inputs.decision.note.clone(),
        }
    }

    fn approve(
        &self,
        case: &PriorAuth,
        command: Approve<'_>,
        until: Option<NaiveDate>,
    ) -> Result<Vec<Event>> {
        let requested_end = self.last_requested_day(case, command.sequence);
        let events = case.approve(command, self.inputs.now)?;
        if events.iter().any(|event| is_approval(&event.body)) {
            check_not_shortened(until, requested_end)?;
        }
        Ok(events)
    }

    /// The last requested day of an item; `None` when the request states neither a duration nor an end date.
    fn last_requested_day(&self, case: &PriorAuth, sequence: u32) -> Option<NaiveDate> {
        let today = self.inputs.now.with_timezone(&case.received.zone).date_naive();
        let start = case.item(sequence).map_or(today, |item| item.first_day(today));
        self.requested
            .iter()
            .find(|item| item.sequence == sequence)
            .and_then(|item| item.last_requested_day(start))
    }

    fn denial(&self, case: &PriorAuth, denial: &ReviewDenial) -> Result<Proposed> {
        let command = self.denial_command(denial);
        let (preview, hard_text_not_accepted) = match case.deny(&command, self.inputs.now) {
            Ok(events) => {
                self.check_reason_code(&denial.reason_code)?;
                return Ok(Proposed::Events(events));
            }
            Err(refused @ (CommandError::NotConfirmed | CommandError::HardToRead)) => (
                case.preview_denial(&command, self.inputs.now)?,
                refused == CommandError::HardToRead,
            ),
            Err(error) => return Err(error.into()),
        };
        self.check_reason_code(&denial.reason_code)?;
        let mut after = case.clone();
        for event in &preview.events {
            after.apply(event);
        }
        Ok(Proposed::Denial(Box::new(DenialToConfirm {
            after,
            preview,
            hard_text_not_accepted,
        })))
    }

    fn denial_command<'a>(&'a self, denial: &'a ReviewDenial) -> Deny<'a> {
        let decision = &self.inputs.decision;
        Deny {
            by: &self.inputs.by,
            version_seen: decision.version_seen,
            items: &decision.items,
            reason_code: &denial.reason_code,
            criterion: denial.criterion.as_deref(),
            reason: &denial.text,
            note: &decision.note,
            grade_limit: self.inputs.grade_limit,
            confirmation: Confirmation {
                digest: &denial.confirmation,
                accepts_hard_text: denial.accepts_hard_text,
            },
        }
    }

    /// The reason code must be one of the plan's.
    fn check_reason_code(&self, code: &str) -> Result<()> {
        if self.inputs.reasons.iter().any(|reason| reason.code == code) {
            return Ok(());
        }
        Err(Error::invalid("reason", "Choose a reason from the plan's list"))
    }
}

fn is_approval(body: &EventBody) -> bool {
    matches!(body, EventBody::Decided { outcome, .. } if matches!(**outcome, Outcome::Approved(_)))
}

/// An approval covers everything that was requested. An earlier end date would approve less.
fn check_not_shortened(until: Option<NaiveDate>, requested_end: Option<NaiveDate>) -> Result<()> {
    match (until, requested_end) {
        (Some(until), Some(end)) if until < end => Err(Error::invalid(
            "until",
            format!(
                "An approval must cover everything that was requested, at least until {end}. Assent cannot record an \
                 approval of less"
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, nurse, physician};
    use super::*;
    use crate::prior_auth::{InternalNote, ItemStatus};

    fn decision(action: ReviewAction) -> ReviewDecision {
        let case = samples::case();
        ReviewDecision {
            case: case.id,
            version_seen: case.version,
            items: vec![1],
            note: "Called the practice.".to_owned(),
            action,
        }
    }

    fn denial() -> ReviewAction {
        ReviewAction::Deny(review_denial())
    }

    fn review_denial() -> ReviewDenial {
        ReviewDenial {
            reason_code: "0F".to_owned(),
            criterion: Some("test-age".to_owned()),
            text: "The test on file is 47 days old. The rule asks for a test from the last 30 days."
                .to_owned(),
            confirmation: String::new(),
            accepts_hard_text: false,
        }
    }

    fn proposed(by: &Reviewer, decision: &ReviewDecision) -> Result<Proposed> {
        let case = samples::case();
        let inputs = DecisionInputs {
            by: by.clone(),
            reasons: vec![DenialReason {
                code: "0F".to_owned(),
                text: "Not shown".to_owned(),
                carc: "50".to_owned(),
            }],
            numbers: (0..decision.items.len()).map(|n| format!("PA-{n}")).collect(),
            grade_limit: 8,
            now: samples::now(),
            decision: decision.clone(),
        };
        let context = DecisionContext {
            inputs: &inputs,
            requested: requested_items(&samples::request(), case.received.zone),
        };
        context.events(&case)
    }

    fn events(by: &Reviewer, decision: &ReviewDecision) -> Result<Vec<Event>> {
        proposed(by, decision).map(|proposed| match proposed {
            Proposed::Events(events) => events,
            Proposed::Denial(denial) => panic!("not confirmed: {denial:?}"),
        })
    }

    /// The denial that has to be confirmed.
    fn to_confirm(by: &Reviewer, decision: &ReviewDecision) -> DenialToConfirm {
        match proposed(by, decision).unwrap() {
            Proposed::Denial(denial) => *denial,
            Proposed::Events(events) => panic!("recorded without a confirmation: {events:?}"),
        }
    }

    fn decided(event: &Event) -> (&InternalNote, &Outcome) {
        match &event.body {
            EventBody::Decided { note, outcome, .. } => (note, outcome),
            other => panic!("{other:?}"),
        }
    }

    fn refusal(by: &Reviewer, decision: &ReviewDecision) -> (ErrorKind, String) {
        let error = proposed(by, decision).unwrap_err();
        (error.kind(), error.message().to_owned())
    }

    #[test]
    fn a_nurse_approves_as_requested_and_the_note_stays_internal() {
        let events = events(&nurse(), &decision(ReviewAction::Approve { until: None })).unwrap();
        let [event] = events.as_slice() else {
            panic!("{events:?}")
        };
        let (note, Outcome::Approved(approval)) = decided(event) else {
            panic!("{event:?}")
        };
        assert_eq!(approval.end, "2027-10-05".parse().ok());
        assert_eq!(note.text.as_deref(), Some("Called the practice."));
        assert!(!approval.reason.contains("Called"));
    }

    #[test]
    fn a_nurse_cannot_deny_even_with_an_incomplete_form() {
        assert_eq!(refusal(&nurse(), &decision(denial())).0, ErrorKind::Forbidden);
        let incomplete = ReviewDecision {
            items: Vec::new(),
            version_seen: 0,
            ..decision(denial())
        };
        assert_eq!(refusal(&nurse(), &incomplete).0, ErrorKind::Forbidden);
    }

    #[test]
    fn a_physician_denies_with_reason_and_criterion_after_a_confirmation() {
        let shown = to_confirm(&physician(), &decision(denial()));
        assert_eq!(shown.after.items[0].status, ItemStatus::Denied);
        assert!(shown.preview.hard_text.is_none() && !shown.hard_text_not_accepted);
        let confirmed = ReviewAction::Deny(ReviewDenial {
            confirmation: shown.preview.digest,
            ..review_denial()
        });
        let events = events(&physician(), &decision(confirmed)).unwrap();
        let (note, Outcome::Denied(denial)) = decided(&events[0]) else {
            panic!("{events:?}")
        };
        assert_eq!(
            (denial.reason_code(), note.criterion.as_deref()),
            ("0F", Some("test-age"))
        );
        assert_eq!(note.text.as_deref(), Some("Called the practice."));
    }

    #[test]
    fn a_text_that_is_hard_to_read_is_confirmed_only_when_that_is_accepted() {
        let hard = ReviewDenial {
            text: "The documentation submitted insufficiently substantiates the necessity of supplemental oxygen."
                .to_owned(),
            ..review_denial()
        };
        let shown = to_confirm(&physician(), &decision(ReviewAction::Deny(hard.clone())));
        assert!(shown.preview.hard_text.is_some() && !shown.hard_text_not_accepted);
        let confirmed = ReviewDenial {
            confirmation: shown.preview.digest,
            ..hard
        };
        let again = to_confirm(&physician(), &decision(ReviewAction::Deny(confirmed.clone())));
        assert!(again.hard_text_not_accepted);
        let accepted = ReviewAction::Deny(ReviewDenial {
            accepts_hard_text: true,
            ..confirmed
        });
        assert_eq!(events(&physician(), &decision(accepted)).unwrap().len(), 1);
    }

    #[test]
    fn an_unknown_denial_reason_and_a_met_or_unknown_criterion_are_refused() {
        for (code, criterion, expected) in [
            ("ZZ", None, "list"),
            ("0F", Some("mood"), "criterion of the policy"),
            ("0F", Some("qualifying"), "is met"),
        ] {
            let action = ReviewAction::Deny(ReviewDenial {
                reason_code: code.to_owned(),
                criterion: criterion.map(str::to_owned),
                ..review_denial()
            });
            let (kind, message) = refusal(&physician(), &decision(action));
            assert!(
                kind == ErrorKind::Invalid && message.contains(expected),
                "{message}"
            );
        }
    }

    #[test]
    fn an_approval_of_less_than_requested_is_refused() {
        let until = "2026-12-31".parse().ok();
        let (kind, message) = refusal(&physician(), &decision(ReviewAction::Approve { until }));
        assert!(
            kind == ErrorKind::Invalid && message.contains("2027-10-05"),
            "{message}"
        );
    }

    #[test]
    fn an_approval_with_an_unmet_criterion_needs_a_note() {
        let without_note = ReviewDecision {
            note: " ".to_owned(),
            ..decision(ReviewAction::Approve { until: None })
        };
        assert_eq!(refusal(&nurse(), &without_note).0, ErrorKind::Invalid);
    }

    #[test]
    fn a_decision_on_an_older_version_of_the_case_is_a_conflict() {
        let stale = ReviewDecision {
            version_seen: 1,
            ..decision(ReviewAction::Approve { until: None })
        };
        assert_eq!(refusal(&nurse(), &stale).0, ErrorKind::Conflict);
    }

    #[test]
    fn a_referral_moves_the_item_to_physician_review_and_decides_nothing() {
        let events = events(&nurse(), &decision(ReviewAction::Refer)).unwrap();
        let mut case = samples::case();
        for event in &events {
            case.apply(event);
        }
        assert_eq!(case.items[0].status, ItemStatus::PhysicianReview);
        assert!(events.iter().all(|e| e.body.kind() == "referred"));
    }

    #[test]
    fn a_decision_without_items_is_refused() {
        let none = ReviewDecision {
            items: Vec::new(),
            ..decision(ReviewAction::Approve { until: None })
        };
        assert_eq!(refusal(&nurse(), &none).0, ErrorKind::Invalid);
    }
}
