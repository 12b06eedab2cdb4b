//! The queue: every open case in one fixed order (due time, receipt, id), with filters and the number of cases that
//! the filters hide. The queue is never sorted by a predicted outcome.

use crate::deadlines::EscalationStep;
use crate::error::{Error, Result};
use crate::plan::Member;
use crate::prior_auth::{ItemStatus, PriorAuth};
use crate::state::State;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::collections::hash_map::{Entry as MapEntry, HashMap};

/// Which cases the queue shows. A field that is `None` filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFilters {
    /// Only expedited requests (`true`) or only standard ones (`false`).
    pub urgent: Option<bool>,
    /// Only cases with this status.
    pub status: Option<ItemStatus>,
    /// Only this line of business.
    pub line_of_business: Option<String>,
    /// Only this review queue.
    pub queue: Option<String>,
    /// Only cases whose due time is this near.
    pub escalation_step: Option<EscalationStep>,
}

impl QueueFilters {
    fn matches(&self, case: &PriorAuth, step: EscalationStep) -> bool {
        let received = &case.received;
        self.urgent.is_none_or(|urgent| received.urgent == urgent)
            && self.status.is_none_or(|status| case.status() == status.as_str())
            && self
                .line_of_business
                .as_ref()
                .is_none_or(|lob| received.line_of_business == *lob)
            && self
                .queue
                .as_ref()
                .is_none_or(|queue| case.queue() == Some(queue))
            && self.escalation_step.is_none_or(|wanted| wanted == step)
    }
}

/// One open case in the queue.
#[derive(Debug)]
pub struct QueueEntry {
    /// The case.
    pub case: PriorAuth,
    /// The member whom the request is for.
    pub member: Member,
    /// How near the due time is.
    pub escalation_step: EscalationStep,
}

/// The queue at one instant.
#[derive(Debug)]
pub struct Queue {
    /// When the queue was read.
    pub now: DateTime<Utc>,
    /// The cases that match the filters.
    pub entries: Vec<QueueEntry>,
    /// How many open cases do not match the filters.
    pub hidden: usize,
    /// Every line of business that has an open case.
    pub lines_of_business: BTreeSet<String>,
    /// Every review queue that has an open case.
    pub queues: BTreeSet<String>,
}

/// Reads all open cases and applies the filters.
pub async fn read_queue(state: &State, filters: &QueueFilters) -> Result<Queue> {
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
                        MapEntry::Occupied(known) => known.get().clone(),
                        MapEntry::Vacant(vacant) => {
                            let member = tx.member(id).await?;
                            vacant
                                .insert(member.ok_or_else(|| Error::not_found("member", id))?)
                                .clone()
                        }
                    };
                    all.push((case, member));
                }
                Ok(all)
            })
        })
        .await?;
    let policy_set = state.policy_set();
    Ok(filter_cases(cases, filters, now, |case| {
        policy_set.clocks.escalation_step(&case.received.due, now)
    }))
}

fn filter_cases(
    cases: Vec<(PriorAuth, Member)>,
    filters: &QueueFilters,
    now: DateTime<Utc>,
    escalation_step: impl Fn(&PriorAuth) -> EscalationStep,
) -> Queue {
    let lines_of_business = cases
        .iter()
        .map(|(case, _)| case.received.line_of_business.clone())
        .collect();
    let queues = cases
        .iter()
        .filter_map(|(case, _)| case.queue().map(str::to_owned))
        .collect();
    let open = cases.len();
    let entries: Vec<QueueEntry> = cases
        .into_iter()
        .map(|(case, member)| QueueEntry {
            escalation_step: escalation_step(&case),
            case,
            member,
        })
        .filter(|entry| filters.matches(&entry.case, entry.escalation_step))
        .collect();
    Queue {
        now,
        hidden: open - entries.len(),
        entries,
        lines_of_business,
        queues,
    }
}

/// A text that changes whenever a case enters the queue, changes in it or leaves it. Callers only compare two of them.
pub async fn queue_version(state: &State) -> Result<String> {
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

    /// A standard Medicare Advantage case and an urgent CHIP case, both due soon.
    fn filtered(filters: &QueueFilters) -> Queue {
        let urgent = {
            let mut case = samples::case();
            case.received.urgent = true;
            case.received.line_of_business = "CHIP".to_owned();
            case
        };
        let cases = [samples::case(), urgent]
            .map(|case| (case, samples::member()))
            .into();
        filter_cases(cases, filters, samples::now(), |_| EscalationStep::DueSoon)
    }

    #[test]
    fn the_queue_counts_the_cases_that_filters_hide() {
        let all = filtered(&QueueFilters::default());
        assert_eq!(
            (all.entries.len(), all.hidden, all.lines_of_business.len()),
            (2, 0, 2)
        );
        let urgent = filtered(&QueueFilters {
            urgent: Some(true),
            ..QueueFilters::default()
        });
        assert_eq!((urgent.entries.len(), urgent.hidden), (1, 1));
        let none = filtered(&QueueFilters {
            line_of_business: Some("CHIP".to_owned()),
            urgent: Some(false),
            ..QueueFilters::default()
        });
        assert_eq!(
            (none.entries.len(), none.hidden, none.lines_of_business.len()),
            (0, 2, 2)
        );
    }

    #[test]
    fn status_queue_and_due_time_can_be_filtered() {
        let shown = |filters| filtered(&filters).entries.len();
        let base = QueueFilters::default();
        assert_eq!(
            shown(QueueFilters {
                status: Some(ItemStatus::ClinicalReview),
                ..base.clone()
            }),
            2
        );
        assert_eq!(
            shown(QueueFilters {
                status: Some(ItemStatus::PhysicianReview),
                ..base.clone()
            }),
            0
        );
        assert_eq!(
            shown(QueueFilters {
                queue: Some("dme-nurse".to_owned()),
                ..base.clone()
            }),
            2
        );
        assert_eq!(
            shown(QueueFilters {
                escalation_step: Some(EscalationStep::Overdue),
                ..base
            }),
            0
        );
    }
}
