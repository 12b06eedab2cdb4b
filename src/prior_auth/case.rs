//! The state of a case, computed from its events.

use super::denial::Denial;
use super::event::{Event, EventBody, Received};
use super::item::{Approval, Item, ItemDecision, ItemStatus, Outcome};
use chrono::{DateTime, TimeZone, Utc};
use uuid::Uuid;

/// The state of a case, computed from its events.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorAuth {
    /// The id of the case.
    pub id: Uuid,
    /// What is known since receipt.
    pub received: Received,
    /// When the request was received. Decision clocks start here.
    pub received_at: DateTime<Utc>,
    /// The items in the order of the request.
    pub items: Vec<Item>,
    /// The number of its last event. A command names the version that the reviewer saw.
    pub version: u32,
    /// The time of the last event.
    pub changed: DateTime<Utc>,
}

impl PriorAuth {
    /// Computes a case from its events. `None` if the first event is not the receipt.
    pub fn replay(id: Uuid, events: &[Event]) -> Option<Self> {
        let (first, rest) = events.split_first()?;
        let EventBody::Received(received) = &first.body else {
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

    /// Applies one event.
    pub fn apply(&mut self, event: &Event) {
        self.version = event.seq;
        self.changed = event.at;
        match &event.body {
            EventBody::Received(_) => {}
            EventBody::Evaluated(item) => self.items.push(item.as_ref().clone()),
            EventBody::Decided {
                sequence, outcome, ..
            } => {
                let decided = ItemDecision {
                    at: event.at,
                    by: event.actor.clone(),
                    outcome: outcome.as_ref().clone(),
                };
                if let Some(item) = self.item_mut(*sequence) {
                    item.status = match outcome.as_ref() {
                        Outcome::Approved(_) => ItemStatus::Approved,
                        Outcome::Denied(_) => ItemStatus::Denied,
                        Outcome::NotRequired { .. } => ItemStatus::NotRequired,
                    };
                    item.queue = None;
                    item.decision = Some(decided);
                }
            }
            EventBody::Referred { sequence, .. } => {
                if let Some(item) = self.item_mut(*sequence) {
                    item.status = ItemStatus::PhysicianReview;
                }
            }
        }
    }

    /// A decision of the software follows the evaluation of its item, so the search begins at the last item.
    fn item_mut(&mut self, sequence: u32) -> Option<&mut Item> {
        self.items.iter_mut().rev().find(|i| i.sequence == sequence)
    }

    /// The item with this sequence.
    pub fn item(&self, sequence: u32) -> Option<&Item> {
        self.items.iter().find(|i| i.sequence == sequence)
    }

    /// The number by which staff, providers and members know the case: the reference number of its first item.
    pub fn number(&self) -> &str {
        self.items.first().map_or("", |item| &item.reference_number)
    }

    /// The status of the least advanced open item, or `decided` if no item is open.
    pub fn status(&self) -> &'static str {
        self.items
            .iter()
            .map(|i| i.status)
            .filter(|s| s.is_open())
            .min()
            .map_or("decided", ItemStatus::as_str)
    }

    /// Whether any item waits for staff.
    pub fn is_open(&self) -> bool {
        self.items.iter().any(|i| i.status.is_open())
    }

    /// The queue of the first open item.
    pub fn queue(&self) -> Option<&str> {
        self.items
            .iter()
            .filter(|i| i.status.is_open())
            .find_map(|i| i.queue.as_deref())
    }

    /// When approvals end: at the start of the day after their last day, in the plan's time zone.
    pub fn approval_ends(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.approvals().filter_map(|(_, approval)| {
            let day_after = approval.end?.succ_opt()?;
            // Some zones begin a day later than at midnight when their clocks change.
            let start = (0..=3).find_map(|hour| {
                self.received
                    .zone
                    .from_local_datetime(&day_after.and_hms_opt(hour, 0, 0)?)
                    .earliest()
            });
            start.map(|start| start.with_timezone(&Utc))
        })
    }

    /// The approvals with their items.
    pub fn approvals(&self) -> impl Iterator<Item = (&Item, &Approval)> {
        self.items
            .iter()
            .filter_map(|item| match &item.decision.as_ref()?.outcome {
                Outcome::Approved(approval) => Some((item, approval)),
                _ => None,
            })
    }

    /// The denials with their items.
    pub fn denials(&self) -> impl Iterator<Item = (&Item, &Denial)> {
        self.items
            .iter()
            .filter_map(|item| match &item.decision.as_ref()?.outcome {
                Outcome::Denied(denial) => Some((item, denial)),
                _ => None,
            })
    }
}
