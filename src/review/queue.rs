//! The queue: every open case in the one order that there is (due time, receipt, id), with filters that say how much
//! they hide. No other order, and none by a predicted outcome.

use crate::deadlines::Band;
use crate::error::{Error, Result};
use crate::plan::Member;
use crate::prior_auth::{ItemStatus, PriorAuth};
use crate::state::State;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::collections::hash_map::{Entry as Slot, HashMap};

/// What the queue is narrowed to; nothing set shows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// Only expedited, or only standard requests.
    pub urgent: Option<bool>,
    /// Only cases in this state.
    pub status: Option<ItemStatus>,
    /// Only this line of business.
    pub line: Option<String>,
    /// Only this queue.
    pub queue: Option<String>,
    /// Only this nearness of the due time.
    pub band: Option<Band>,
}

impl Filters {
    fn admit(&self, case: &PriorAuth, band: Band) -> bool {
        self.urgent.is_none_or(|urgent| case.received.urgent == urgent)
            && self.status.is_none_or(|status| case.status() == status.as_str())
            && self.line.as_ref().is_none_or(|line| case.received.line == *line)
            && self
                .queue
                .as_ref()
                .is_none_or(|queue| case.queue() == Some(queue))
            && self.band.is_none_or(|wanted| wanted == band)
    }
}

/// One waiting case.
#[derive(Debug)]
pub struct Waiting {
    /// The case.
    pub case: PriorAuth,
    /// Whom it is for.
    pub member: Member,
    /// How near its due time is.
    pub band: Band,
}

/// The queue as it stands.
#[derive(Debug)]
pub struct Queue {
    /// When it was read.
    pub now: DateTime<Utc>,
    /// What the filters let through.
    pub rows: Vec<Waiting>,
    /// How many open cases they hide.
    pub hidden: usize,
    /// Every line of business that has an open case.
    pub lines: BTreeSet<String>,
    /// Every queue that has an open case.
    pub queues: BTreeSet<String>,
}

/// Reads the queue.
pub async fn queue(state: &State, filters: &Filters) -> Result<Queue> {
    let now = state.now();
    let cases = state
        .store
        .read((), |tx, ()| {
            Box::pin(async move {
                let mut members: HashMap<uuid::Uuid, Member> = HashMap::new();
                let mut all = Vec::new();
                for case in tx.open_cases().await? {
                    let id = case.received.member;
                    let member = match members.entry(id) {
                        Slot::Occupied(known) => known.get().clone(),
                        Slot::Vacant(slot) => {
                            let found = tx.member(id).await?;
                            slot.insert(found.ok_or_else(|| Error::not_found("member", id))?)
                                .clone()
                        }
                    };
                    all.push((case, member));
                }
                Ok(all)
            })
        })
        .await?;
    let published = state.published();
    Ok(narrowed(cases, filters, now, |case| {
        published.clocks.band(&case.received.due, now)
    }))
}

fn narrowed(
    cases: Vec<(PriorAuth, Member)>,
    filters: &Filters,
    now: DateTime<Utc>,
    band: impl Fn(&PriorAuth) -> Band,
) -> Queue {
    let lines = cases.iter().map(|(case, _)| case.received.line.clone()).collect();
    let queues = cases
        .iter()
        .filter_map(|(case, _)| case.queue().map(str::to_owned))
        .collect();
    let open = cases.len();
    let rows: Vec<Waiting> = cases
        .into_iter()
        .map(|(case, member)| Waiting {
            band: band(&case),
            case,
            member,
        })
        .filter(|row| filters.admit(&row.case, row.band))
        .collect();
    Queue {
        now,
        hidden: open - rows.len(),
        rows,
        lines,
        queues,
    }
}

/// A text that is another one as soon as a case enters the queue, moves in it or leaves it.
pub async fn queue_mark(state: &State) -> Result<String> {
    state
        .store
        .read((), |tx, ()| {
            Box::pin(async move {
                let open = tx.count_open_cases().await?;
                let last = tx.last_change_of_open_cases().await?;
                Ok(format!("{open}-{}", last.map_or(0, |at| at.timestamp_micros())))
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn narrowed_to(filters: &Filters) -> Queue {
        let urgent = {
            let mut case = samples::case();
            case.received.urgent = true;
            case.received.line = "CHIP".to_owned();
            case
        };
        let cases = [samples::case(), urgent]
            .map(|case| (case, samples::member()))
            .into();
        narrowed(cases, filters, samples::now(), |_| Band::Soon)
    }

    #[test]
    fn filters_hide_and_say_how_much() {
        let all = narrowed_to(&Filters::default());
        assert_eq!((all.rows.len(), all.hidden, all.lines.len()), (2, 0, 2));
        let urgent = narrowed_to(&Filters {
            urgent: Some(true),
            ..Filters::default()
        });
        assert_eq!((urgent.rows.len(), urgent.hidden), (1, 1));
        let none = narrowed_to(&Filters {
            line: Some("CHIP".to_owned()),
            urgent: Some(false),
            ..Filters::default()
        });
        assert_eq!((none.rows.len(), none.hidden, none.lines.len()), (0, 2, 2));
    }

    #[test]
    fn state_queue_and_band_narrow_too() {
        let shown = |filters| narrowed_to(&filters).rows.len();
        let base = Filters::default();
        assert_eq!(
            shown(Filters {
                status: Some(ItemStatus::ClinicalReview),
                ..base.clone()
            }),
            2
        );
        assert_eq!(
            shown(Filters {
                status: Some(ItemStatus::PhysicianReview),
                ..base.clone()
            }),
            0
        );
        assert_eq!(
            shown(Filters {
                queue: Some("dme-nurse".to_owned()),
                ..base.clone()
            }),
            2
        );
        assert_eq!(
            shown(Filters {
                band: Some(Band::Late),
                ..base
            }),
            0
        );
    }
}
