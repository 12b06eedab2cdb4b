//! Decisions of reviewers: approve as requested, refer, deny. The case is read, checked by `prior_auth` and written in
//! one unit of work together with the jobs that follow from the decision. A refused decision writes nothing.
//!
//! Approving less than requested is an adverse decision, like a denial (42 CFR 422.566(d)). This module does not
//! support it.

use super::case_view::{RequestedItem, requested_items};
use super::criteria;
use crate::clock::new_number;
use crate::error::{Error, Result};
use crate::fhir::bundle::parse_stored_request;
use crate::prior_auth::{
    Approve, Denial, Deny, Event, EventBody, InternalNote, Outcome, PriorAuth, Refer, Reviewer,
};
use crate::rules::DenialReason;
use crate::state::State;
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
    Deny {
        /// The code of one of the plan's denial reasons (X12 list 886).
        reason_code: String,
        /// The name of the policy's criterion that the denial is based on.
        criterion: Option<String>,
        /// The specific reason, sent to the member and the provider exactly as written.
        text: String,
    },
    /// Refer to a physician. The case note is the question to the physician.
    Refer,
}

/// Carries out a decision and returns the case after it. The same decision a second time changes nothing.
pub async fn decide(state: &State, by: &Reviewer, decision: ReviewDecision) -> Result<PriorAuth> {
    let numbers: Vec<String> = decision.items.iter().map(|_| new_number("PA")).collect();
    let policy_set = state.policy_set();
    let reasons: Vec<DenialReason> = policy_set.rules.denial_reasons().to_vec();
    let work = (decision, by.clone(), numbers, reasons, state.now());
    let (case, events) = state
        .store
        .write(work, |tx, (decision, by, numbers, reasons, now)| {
            Box::pin(async move {
                let case = tx.case(decision.case).await?;
                let case = case.ok_or_else(|| Error::not_found("case", decision.case))?;
                let text = tx.request_text(case.received.request).await?;
                let request = parse_stored_request(&text, case.id)?;
                let context = DecisionContext {
                    by,
                    reasons,
                    requested: requested_items(&request, case.received.zone),
                    numbers,
                    now: *now,
                };
                let events = context.events(&case, decision)?;
                if events.is_empty() {
                    return Ok((case, Vec::new()));
                }
                let after = tx.append(&case, &events).await?;
                tx.enqueue_fan_out(case.id, &events, false).await?;
                Ok((after, events))
            })
        })
        .await?;
    for event in events {
        metrics::counter!("assent_reviews_total", "event" => event.body.kind()).increment(1);
    }
    Ok(case)
}

/// One item of a decision.
struct ItemStep<'a> {
    sequence: u32,
    /// The version of the case that the command must name.
    version_seen: u32,
    /// The authorization number to use if the item is approved.
    number: &'a str,
}

/// Everything that a decision is checked against, besides the case.
struct DecisionContext<'a> {
    by: &'a Reviewer,
    reasons: &'a [DenialReason],
    requested: Vec<RequestedItem>,
    /// One new authorization number for each item of the decision.
    numbers: &'a [String],
    now: DateTime<Utc>,
}

impl DecisionContext<'_> {
    /// The events that follow from the decision, over all its items. If one item is refused, the whole decision is.
    fn events(&self, case: &PriorAuth, decision: &ReviewDecision) -> Result<Vec<Event>> {
        if let ReviewAction::Deny {
            reason_code, text, ..
        } = &decision.action
        {
            // Permission is checked first: a reviewer who may not deny gets this error whatever else is wrong.
            Denial::attest(self.by, reason_code, text, self.today(case))?;
        }
        if decision.items.is_empty() {
            return Err(Error::invalid("item", "Select at least one item"));
        }
        let mut after = case.clone();
        let mut all = Vec::new();
        for (sequence, number) in decision.items.iter().zip(self.numbers) {
            // The first item is checked against the version that the reviewer saw. Later items build on the events of
            // the items before them, which the reviewer cannot have seen.
            let version_seen = if all.is_empty() {
                decision.version_seen
            } else {
                after.version
            };
            let step = ItemStep {
                sequence: *sequence,
                version_seen,
                number,
            };
            let mut events = self.item_events(&after, decision, &step)?;
            for event in &mut events {
                event.set_note(internal_note(decision));
                after.apply(event);
            }
            all.extend(events);
        }
        Ok(all)
    }

    fn item_events(
        &self,
        case: &PriorAuth,
        decision: &ReviewDecision,
        step: &ItemStep<'_>,
    ) -> Result<Vec<Event>> {
        match &decision.action {
            ReviewAction::Approve { until } => self.approve(case, decision, step, *until),
            ReviewAction::Deny {
                reason_code,
                criterion,
                text,
            } => {
                let command = Deny {
                    by: self.by,
                    version_seen: step.version_seen,
                    sequence: step.sequence,
                    reason_code: reason_code.clone(),
                    reason: text.clone(),
                };
                let events = case.deny(&command, self.now)?;
                self.check_denial_choices(case, step.sequence, reason_code, criterion.as_deref())?;
                Ok(events)
            }
            ReviewAction::Refer => {
                let command = Refer {
                    by: self.by,
                    version_seen: step.version_seen,
                    sequence: step.sequence,
                    question: decision.note.clone(),
                };
                Ok(case.refer(command, self.now)?)
            }
        }
    }

    fn approve(
        &self,
        case: &PriorAuth,
        decision: &ReviewDecision,
        step: &ItemStep<'_>,
        until: Option<NaiveDate>,
    ) -> Result<Vec<Event>> {
        let today = self.today(case);
        let start = case
            .item(step.sequence)
            .and_then(|item| item.serviced)
            .unwrap_or(today)
            .max(today);
        let requested = self.requested.iter().find(|item| item.sequence == step.sequence);
        let requested_end = requested.and_then(|item| item.last_requested_day(start));
        let command = Approve {
            by: self.by,
            version_seen: step.version_seen,
            sequence: step.sequence,
            number: step.number.to_owned(),
            end: until.or(requested_end),
            reason: "Approved as requested after review".to_owned(),
        };
        let events = case.approve(command, self.now)?;
        if events.iter().any(|event| is_approval(&event.body)) {
            check_not_shortened(until, requested_end)?;
            check_explained(case, step.sequence, decision)?;
        }
        Ok(events)
    }

    /// The reason code must be one of the plan's and the criterion one of the applied policy's.
    fn check_denial_choices(
        &self,
        case: &PriorAuth,
        sequence: u32,
        reason_code: &str,
        criterion: Option<&str>,
    ) -> Result<()> {
        if !self.reasons.iter().any(|reason| reason.code == reason_code) {
            return Err(Error::invalid("reason", "Choose a reason from the plan's list"));
        }
        let item = case.item(sequence);
        let is_known = |name| {
            item.is_some_and(|item| {
                criteria::named_criteria(&item.verdict)
                    .iter()
                    .any(|criterion| criterion.name == name)
            })
        };
        if criterion.is_some_and(|name| !is_known(name)) {
            return Err(Error::invalid(
                "criterion",
                "Choose a criterion of the policy that was applied",
            ));
        }
        Ok(())
    }

    /// Today in the plan's time zone.
    fn today(&self, case: &PriorAuth) -> NaiveDate {
        self.now.with_timezone(&case.received.zone).date_naive()
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
                "An approval must cover everything that was requested, at least until {end}. \
                 Approving less is a partial denial"
            ),
        )),
        _ => Ok(()),
    }
}

/// An approval of an item with a criterion that is not met or unknown needs a case note.
fn check_explained(case: &PriorAuth, sequence: u32, decision: &ReviewDecision) -> Result<()> {
    let needs_explanation = case
        .item(sequence)
        .is_some_and(|item| criteria::needs_explanation(&item.verdict));
    if needs_explanation && decision.note.trim().is_empty() {
        return Err(Error::invalid(
            "note",
            "A criterion is not met or unknown. Explain in the note why you are approving anyway",
        ));
    }
    Ok(())
}

fn internal_note(decision: &ReviewDecision) -> InternalNote {
    let text = Some(decision.note.trim().to_owned()).filter(|note| !note.is_empty());
    let criterion = match &decision.action {
        ReviewAction::Deny { criterion, .. } => criterion.clone(),
        _ => None,
    };
    InternalNote { criterion, text }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, nurse, physician};
    use super::*;
    use crate::error::ErrorKind;
    use crate::prior_auth::ItemStatus;

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
        ReviewAction::Deny {
            reason_code: "0F".to_owned(),
            criterion: Some("test-age".to_owned()),
            text: "The saturation on file is from 47 days before the request.".to_owned(),
        }
    }

    fn events(by: &Reviewer, decision: &ReviewDecision) -> Result<Vec<Event>> {
        let case = samples::case();
        let numbers: Vec<String> = (0..decision.items.len()).map(|n| format!("PA-{n}")).collect();
        let reasons = [DenialReason {
            code: "0F".to_owned(),
            text: "Not shown".to_owned(),
            carc: "50".to_owned(),
        }];
        let context = DecisionContext {
            by,
            reasons: &reasons,
            requested: requested_items(&samples::request(), case.received.zone),
            numbers: &numbers,
            now: samples::now(),
        };
        context.events(&case, decision)
    }

    fn decided(event: &Event) -> (&InternalNote, &Outcome) {
        match &event.body {
            EventBody::Decided { note, outcome, .. } => (note, outcome),
            other => panic!("{other:?}"),
        }
    }

    fn refusal(by: &Reviewer, decision: &ReviewDecision) -> (ErrorKind, String) {
        let error = events(by, decision).unwrap_err();
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
    fn a_physician_denies_with_reason_and_criterion() {
        let events = events(&physician(), &decision(denial())).unwrap();
        let (note, Outcome::Denied(denial)) = decided(&events[0]) else {
            panic!("{events:?}")
        };
        assert_eq!(
            (denial.reason_code(), note.criterion.as_deref()),
            ("0F", Some("test-age"))
        );
    }

    #[test]
    fn an_unknown_denial_reason_or_criterion_is_refused() {
        for (code, criterion, expected) in [("ZZ", None, "list"), ("0F", Some("mood"), "criterion")] {
            let action = ReviewAction::Deny {
                reason_code: code.to_owned(),
                criterion: criterion.map(str::to_owned),
                text: "The saturation on file is from 47 days before the request.".to_owned(),
            };
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
