//! Approve as asked, refer, deny. The case is read, judged by `prior_auth` and written in one unit with the work that
//! follows from it; a command that is refused writes nothing.
//!
//! An approval of less than was asked is adverse, like a denial (42 CFR 422.566(d)); this door does not make one.

use super::case_view::{RequestedLine, requested};
use super::criteria;
use crate::clock::{new_id, new_number};
use crate::error::{Error, Result};
use crate::prior_auth::{Approve, Body, Denial, Deny, Event, FileNote, Outcome, PriorAuth, Refer, Reviewer};
use crate::rules::DenialReason;
use crate::state::State;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// What a reviewer wants done.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The case.
    pub case: Uuid,
    /// The version that the reviewer saw.
    pub seen: u32,
    /// The lines that it is about.
    pub lines: Vec<u32>,
    /// For the file; never sent.
    pub note: String,
    /// Approve, deny or refer.
    pub what: What,
}

/// One of the three things that a person can do.
#[derive(Debug, Clone)]
pub enum What {
    /// Approve as asked.
    Approve {
        /// The last day; none takes the last day that was asked for.
        until: Option<NaiveDate>,
    },
    /// Deny.
    Deny {
        /// X12 list 886, one of the plan's reasons.
        reason_code: String,
        /// The criterion that it rests on, by its name in the policy.
        criterion: Option<String>,
        /// The specific reason, sent as written.
        text: String,
    },
    /// Send up to a physician with the note as the question.
    Refer,
}

/// Carries a decision out. The same decision again changes nothing and answers with the case.
pub async fn decide(state: &State, by: &Reviewer, decision: Decision) -> Result<PriorAuth> {
    let numbers: Vec<String> = decision.lines.iter().map(|_| new_number("PA")).collect();
    let published = state.published();
    let reasons: Vec<DenialReason> = published.rules.denial_reasons().to_vec();
    let work = (decision, by.clone(), numbers, reasons, state.now());
    let (case, decided) = state
        .store
        .write(work, |tx, (decision, by, numbers, reasons, now)| {
            Box::pin(async move {
                let case = tx.case(decision.case).await?;
                let case = case.ok_or_else(|| Error::not_found("case", decision.case))?;
                let text = tx.request_text(case.received.request).await?;
                let request: Value = serde_json::from_str(&text).map_err(Error::internal)?;
                let desk = Desk {
                    by,
                    reasons,
                    asked: requested(&request, case.received.zone),
                    numbers,
                    now: *now,
                };
                let events = desk.events(&case, decision)?;
                if events.is_empty() {
                    return Ok((case, Vec::new()));
                }
                let after = tx.append(&case, &events).await?;
                for event in events.iter().filter(|e| matches!(e.body, Body::Decided { .. })) {
                    let payload = json!({ "case": case.id, "seq": event.seq, "answered": false }).to_string();
                    let key = format!("case/{}/{}", case.id, event.seq);
                    tx.enqueue_job(new_id(*now), "fan-out", &payload, &key, *now)
                        .await?;
                }
                Ok((after, events))
            })
        })
        .await?;
    for event in decided {
        metrics::counter!("assent_reviews_total", "event" => event.body.kind()).increment(1);
    }
    Ok(case)
}

/// What stands ready when a case is decided.
struct Desk<'a> {
    by: &'a Reviewer,
    reasons: &'a [DenialReason],
    asked: Vec<RequestedLine>,
    /// An authorization number for each line of the decision.
    numbers: &'a [String],
    now: DateTime<Utc>,
}

impl Desk<'_> {
    /// The events that follow from the decision, over all its lines; one refusal refuses the whole.
    fn events(&self, case: &PriorAuth, decision: &Decision) -> Result<Vec<Event>> {
        if let What::Deny {
            reason_code, text, ..
        } = &decision.what
        {
            // Who may not deny learns that first, whatever else is wrong.
            Denial::attest(self.by, reason_code, text, self.today(case))?;
        }
        if decision.lines.is_empty() {
            return Err(Error::invalid("line", "Tick at least one line"));
        }
        let mut after = case.clone();
        let mut all = Vec::new();
        for (sequence, number) in decision.lines.iter().zip(self.numbers) {
            // Within one decision each line sees what the lines before it did, and nothing else.
            let seen = if all.is_empty() {
                decision.seen
            } else {
                after.version
            };
            let mut events = match &decision.what {
                What::Approve { until } => {
                    self.approve(&after, decision, (*sequence, seen, number), *until)?
                }
                What::Deny {
                    reason_code,
                    criterion,
                    text,
                } => {
                    let command = Deny {
                        by: self.by,
                        seen,
                        sequence: *sequence,
                        reason_code: reason_code.clone(),
                        reason: text.clone(),
                    };
                    let events = after.deny(&command, self.now)?;
                    self.check_reason(&after, *sequence, reason_code, criterion.as_deref())?;
                    events
                }
                What::Refer => {
                    let question = decision.note.clone();
                    after.refer(
                        Refer {
                            by: self.by,
                            seen,
                            sequence: *sequence,
                            question,
                        },
                        self.now,
                    )?
                }
            };
            for event in &mut events {
                event.annotate(file_note(decision));
                after.apply(event);
            }
            all.extend(events);
        }
        Ok(all)
    }

    fn approve(
        &self,
        case: &PriorAuth,
        decision: &Decision,
        (sequence, seen, number): (u32, u32, &str),
        until: Option<NaiveDate>,
    ) -> Result<Vec<Event>> {
        let today = self.today(case);
        let start = case
            .item(sequence)
            .and_then(|item| item.serviced)
            .unwrap_or(today)
            .max(today);
        let asked = self.asked.iter().find(|line| line.sequence == sequence);
        let asked = asked.and_then(|line| line.last_day(start));
        let command = Approve {
            by: self.by,
            seen,
            sequence,
            number: number.to_owned(),
            end: until.or(asked),
            reason: "Approved as asked after review".to_owned(),
        };
        let events = case.approve(command, self.now)?;
        if events.iter().any(|event| is_approval(&event.body)) {
            check_whole(until, asked)?;
            check_explained(case, sequence, decision)?;
        }
        Ok(events)
    }

    /// The coded reason is one of the plan's, the criterion one of the policy's.
    fn check_reason(
        &self,
        case: &PriorAuth,
        sequence: u32,
        code: &str,
        criterion: Option<&str>,
    ) -> Result<()> {
        if !self.reasons.iter().any(|reason| reason.code == code) {
            return Err(Error::invalid("reason", "Choose a reason from the plan's list"));
        }
        let item = case.item(sequence);
        let known = |name| item.is_some_and(|i| criteria::named(&i.verdict).iter().any(|n| n.name == name));
        if criterion.is_some_and(|name| !known(name)) {
            return Err(Error::invalid(
                "criterion",
                "Choose a criterion of the policy that was applied",
            ));
        }
        Ok(())
    }

    /// Today, in the plan's zone.
    fn today(&self, case: &PriorAuth) -> NaiveDate {
        self.now.with_timezone(&case.received.zone).date_naive()
    }
}

fn is_approval(body: &Body) -> bool {
    matches!(body, Body::Decided { outcome, .. } if matches!(**outcome, Outcome::Approved(_)))
}

/// An approval covers all that was asked: an earlier end would be an approval of less.
fn check_whole(until: Option<NaiveDate>, asked: Option<NaiveDate>) -> Result<()> {
    match (until, asked) {
        (Some(until), Some(asked)) if until < asked => Err(Error::invalid(
            "until",
            format!(
                "An approval is for all that was asked, until {asked} at least; less than that is a denial in part"
            ),
        )),
        _ => Ok(()),
    }
}

/// Who approves although a criterion is not met or unknown says why.
fn check_explained(case: &PriorAuth, sequence: u32, decision: &Decision) -> Result<()> {
    let unsettled = case
        .item(sequence)
        .is_some_and(|item| criteria::unsettled(&item.verdict));
    if unsettled && decision.note.trim().is_empty() {
        let why = "A criterion is not met or unknown: say in the note why you approve all the same";
        return Err(Error::invalid("note", why));
    }
    Ok(())
}

fn file_note(decision: &Decision) -> FileNote {
    let text = Some(decision.note.trim().to_owned()).filter(|note| !note.is_empty());
    let criterion = match &decision.what {
        What::Deny { criterion, .. } => criterion.clone(),
        _ => None,
    };
    FileNote { criterion, text }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, nurse, physician};
    use super::*;
    use crate::error::Kind;
    use crate::prior_auth::ItemStatus;

    fn decision(what: What) -> Decision {
        let case = samples::case();
        Decision {
            case: case.id,
            seen: case.version,
            lines: vec![1],
            note: "Called the practice.".to_owned(),
            what,
        }
    }

    fn denial() -> What {
        What::Deny {
            reason_code: "0F".to_owned(),
            criterion: Some("test-age".to_owned()),
            text: "The saturation on file is from 47 days before the request.".to_owned(),
        }
    }

    fn events(by: &Reviewer, decision: &Decision) -> Result<Vec<Event>> {
        let case = samples::case();
        let numbers: Vec<String> = (0..decision.lines.len()).map(|n| format!("PA-{n}")).collect();
        let reasons = [DenialReason {
            code: "0F".to_owned(),
            text: "Not shown".to_owned(),
            carc: "50".to_owned(),
        }];
        let asked = requested(&samples::request(), case.received.zone);
        let desk = Desk {
            by,
            reasons: &reasons,
            asked,
            numbers: &numbers,
            now: samples::now(),
        };
        desk.events(&case, decision)
    }

    fn decided(event: &Event) -> (&FileNote, &Outcome) {
        match &event.body {
            Body::Decided { note, outcome, .. } => (note, outcome),
            other => panic!("{other:?}"),
        }
    }

    fn refused(by: &Reviewer, decision: &Decision) -> (Kind, String) {
        let error = events(by, decision).unwrap_err();
        (error.kind(), error.message().to_owned())
    }

    #[test]
    fn a_nurse_approves_as_asked_and_the_note_stays_in_the_file() {
        let events = events(&nurse(), &decision(What::Approve { until: None })).unwrap();
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
    fn a_nurse_cannot_deny_however_the_form_was_sent() {
        assert_eq!(refused(&nurse(), &decision(denial())).0, Kind::Forbidden);
        let bare = Decision {
            lines: Vec::new(),
            seen: 0,
            ..decision(denial())
        };
        assert_eq!(refused(&nurse(), &bare).0, Kind::Forbidden);
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
    fn a_reason_or_criterion_of_ones_own_is_refused() {
        for (code, criterion, word) in [("ZZ", None, "list"), ("0F", Some("mood"), "criterion")] {
            let what = What::Deny {
                reason_code: code.to_owned(),
                criterion: criterion.map(str::to_owned),
                text: "The saturation on file is from 47 days before the request.".to_owned(),
            };
            let (kind, message) = refused(&physician(), &decision(what));
            assert!(kind == Kind::Invalid && message.contains(word), "{message}");
        }
    }

    #[test]
    fn an_approval_of_less_is_refused() {
        let until = "2026-12-31".parse().ok();
        let (kind, message) = refused(&physician(), &decision(What::Approve { until }));
        assert!(
            kind == Kind::Invalid && message.contains("2027-10-05"),
            "{message}"
        );
    }

    #[test]
    fn an_approval_against_the_criteria_wants_a_note() {
        let silent = Decision {
            note: " ".to_owned(),
            ..decision(What::Approve { until: None })
        };
        assert_eq!(refused(&nurse(), &silent).0, Kind::Invalid);
    }

    #[test]
    fn who_saw_an_older_case_is_told_so() {
        let old = Decision {
            seen: 1,
            ..decision(What::Approve { until: None })
        };
        assert_eq!(refused(&nurse(), &old).0, Kind::Conflict);
    }

    #[test]
    fn a_referral_moves_the_line_up_and_is_no_decision() {
        let events = events(&nurse(), &decision(What::Refer)).unwrap();
        let mut case = samples::case();
        for event in &events {
            case.apply(event);
        }
        assert_eq!(case.items[0].status, ItemStatus::PhysicianReview);
        assert!(events.iter().all(|e| e.body.kind() == "referred"));
    }

    #[test]
    fn nothing_ticked_is_nothing_decided() {
        let none = Decision {
            lines: Vec::new(),
            ..decision(What::Approve { until: None })
        };
        assert_eq!(refused(&nurse(), &none).0, Kind::Invalid);
    }
}
