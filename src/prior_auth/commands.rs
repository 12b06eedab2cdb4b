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
        decision: None,
    };
    (item, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadlines::Due;
    use crate::prior_auth::{Credential, CredentialKind, Role};
    use crate::rules::{CoverageAnswer, Pend, Source};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn pended() -> PriorAuth {
        let now = at("2026-10-01T14:05:00Z");
        let verdict = Verdict {
            source: Source::NoBillingCode,
            coverage: CoverageAnswer::indeterminate("test"),
            decision: Decision::Pend(Pend {
                queue: "dme-nurse".to_owned(),
                reason: "clinical-review".to_owned(),
                ask: Vec::new(),
            }),
            criteria: std::collections::BTreeMap::new(),
            trace: Vec::new(),
            trace_hash: String::new(),
            error: None,
        };
        let received = Received {
            client: Uuid::nil(),
            member: Uuid::nil(),
            coverage: Uuid::nil(),
            line: "MA".to_owned(),
            zone: chrono_tz::America::New_York,
            channel: "pas-2.2".to_owned(),
            urgent: false,
            due: Due {
                work: now,
                legal: now,
                rule: "test".to_owned(),
                source: "test".to_owned(),
            },
            request: Uuid::nil(),
            rules: String::new(),
            requester_npi: None,
            requester: String::new(),
            senders: Vec::new(),
            assertion: None,
        };
        let item = ItemOpening {
            sequence: 1,
            system: String::new(),
            code: "E1390".to_owned(),
            quantity: None,
            serviced: None,
            reference_number: "RF-1".to_owned(),
            authorization_number: "PA-1".to_owned(),
            verdict,
        };
        let events = PriorAuth::open(Opening {
            id: Uuid::nil(),
            at: now,
            received,
            items: vec![item],
        });
        PriorAuth::replay(Uuid::nil(), &events).unwrap()
    }

    fn reviewer(role: Role, kind: Option<CredentialKind>, expires: Option<&str>) -> Reviewer {
        let credential = kind.map(|kind| Credential {
            kind,
            license: "35-1".to_owned(),
            state: "OH".to_owned(),
            npi: None,
            specialty: None,
            expires: expires.map(|day| day.parse().unwrap()),
        });
        Reviewer {
            id: Uuid::from_u128(1),
            username: "x".into(),
            name: "X".into(),
            roles: vec![role],
            credential,
        }
    }

    fn deny<'a>(by: &'a Reviewer, seen: u32, reason: &str) -> Deny<'a> {
        Deny {
            by,
            seen,
            sequence: 1,
            reason_code: "0F".to_owned(),
            reason: reason.to_owned(),
        }
    }

    const REASON: &str = "A resting saturation of 91 percent does not meet the criterion.";

    #[test]
    fn only_a_physician_with_a_valid_license_denies() {
        let (case, now) = (pended(), at("2026-10-02T10:00:00Z"));
        let refused = [
            reviewer(Role::Intake, None, None),
            reviewer(Role::Nurse, Some(CredentialKind::Nurse), None),
            reviewer(Role::Nurse, Some(CredentialKind::Physician), None),
            reviewer(Role::Supervisor, Some(CredentialKind::Physician), None),
            reviewer(Role::Physician, None, None),
            reviewer(Role::Physician, Some(CredentialKind::Nurse), None),
            reviewer(
                Role::Physician,
                Some(CredentialKind::Physician),
                Some("2026-10-01"),
            ),
        ];
        for by in refused {
            let answer = case.deny(&deny(&by, case.version, REASON), now);
            assert!(matches!(answer, Err(Refused::NotPermitted(_))), "{by:?}");
        }
        let physician = reviewer(
            Role::Physician,
            Some(CredentialKind::Physician),
            Some("2026-10-02"),
        );
        let events = case.deny(&deny(&physician, case.version, REASON), now).unwrap();
        let mut after = case.clone();
        for event in &events {
            after.apply(event);
        }
        assert_eq!(
            (after.status(), after.items[0].status),
            ("decided", ItemStatus::Denied)
        );
        assert_eq!(after.denials().next().unwrap().1.attested_by(), &physician);
    }

    #[test]
    fn a_denial_needs_a_code_and_words() {
        let (case, now) = (pended(), at("2026-10-02T10:00:00Z"));
        let physician = reviewer(Role::Physician, Some(CredentialKind::Physician), None);
        let thin = case.deny(&deny(&physician, case.version, "  too short  "), now);
        assert!(matches!(thin, Err(Refused::Incomplete("reason", _))));
        let uncoded = Deny {
            reason_code: String::new(),
            ..deny(&physician, case.version, REASON)
        };
        assert!(matches!(
            case.deny(&uncoded, now),
            Err(Refused::Incomplete("reason_code", _))
        ));
    }

    #[test]
    fn a_stale_command_is_refused_and_the_same_decision_twice_is_one() {
        let (mut case, now) = (pended(), at("2026-10-02T10:00:00Z"));
        let physician = reviewer(Role::Physician, Some(CredentialKind::Physician), None);
        let seen = case.version;
        assert!(matches!(
            case.deny(&deny(&physician, seen - 1, REASON), now),
            Err(Refused::Stale(_))
        ));
        let events = case.deny(&deny(&physician, seen, REASON), now).unwrap();
        for event in &events {
            case.apply(event);
        }
        assert_eq!(case.deny(&deny(&physician, seen, REASON), now), Ok(Vec::new()));
        let other = case.deny(
            &deny(&physician, seen, "Another reason that is long enough to count."),
            now,
        );
        assert_eq!(other, Err(Refused::AlreadyDecided));
    }

    #[test]
    fn a_nurse_approves_as_asked_and_refers_up() {
        let (mut case, now) = (pended(), at("2026-10-02T10:00:00Z"));
        let nurse = reviewer(Role::Nurse, Some(CredentialKind::Nurse), None);
        let question = "Is the test recent enough?".to_owned();
        let up = case
            .refer(
                Refer {
                    by: &nurse,
                    seen: case.version,
                    sequence: 1,
                    question,
                },
                now,
            )
            .unwrap();
        for event in &up {
            case.apply(event);
        }
        assert_eq!(case.status(), "physician-review");
        let approve = Approve {
            by: &nurse,
            seen: case.version,
            sequence: 1,
            number: "PA-2".to_owned(),
            end: None,
            reason: "Meets the criteria".to_owned(),
        };
        let events = case.approve(approve, now).unwrap();
        for event in &events {
            case.apply(event);
        }
        assert_eq!(case.items[0].status.review_action(), "A1");
    }

    #[test]
    fn a_changed_event_breaks_the_chain() {
        let case = pended();
        let physician = reviewer(Role::Physician, Some(CredentialKind::Physician), None);
        let event = case
            .deny(
                &deny(&physician, case.version, REASON),
                at("2026-10-02T10:00:00Z"),
            )
            .unwrap()
            .remove(0);
        let first = super::super::chain_hash("before", &event, "body");
        assert_ne!(first, super::super::chain_hash("before", &event, "changed body"));
        assert_ne!(first, super::super::chain_hash("other", &event, "body"));
    }
}
