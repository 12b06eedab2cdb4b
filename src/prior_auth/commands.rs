//! Opening a case: the receipt, then each item with its verdict. The caller stores the events in one unit of work together
//! with the jobs they cause. The commands of reviewers are in `decisions`.

use super::case::PriorAuth;
use super::event::{Event, EventBody, InternalNote, Received};
use super::item::{Approval, Item, ItemStatus, Outcome};
use super::item_verdict::SharedVerdicts;
use super::reviewer::Actor;
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
    /// The last requested day of service.
    pub serviced_until: Option<NaiveDate>,
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
        let mut verdicts = SharedVerdicts::default();
        for item in new.items {
            let (item, outcome) = apply_verdict(item, today, &mut verdicts);
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
}

/// Turns a verdict into the first status of an item. Approvals and items that need no authorization are decided at once
/// and never enter a queue; everything else waits for staff.
fn apply_verdict(new: NewItem, today: NaiveDate, verdicts: &mut SharedVerdicts) -> (Item, Option<Outcome>) {
    // The approved period contains the days asked for, also when they are in the past.
    let start = new.serviced.unwrap_or(today);
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
        serviced_until: new.serviced_until,
        reference_number: new.reference_number,
        status,
        queue,
        verdict: verdicts.share(new.sequence, new.verdict),
        gold_card: new.gold_card,
        shadow: new.shadow,
        decision: None,
    };
    (item, outcome)
}
