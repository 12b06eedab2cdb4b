//! The queue: the open cases in one fixed order (due time, receipt, id), page by page, with filters, the number of cases
//! that match them, and the number that they hide. The queue is never sorted by a predicted outcome.

use crate::deadlines::{Clocks, EscalationStep};
use crate::error::Result;
use crate::prior_auth::ItemStatus;
use crate::state::{PolicySet, State};
use crate::store::Tx;
use crate::store::queue::{GroupFilter, MAX_ENTRIES, QueueEntry, QueueGroup, QueueKey, QueueRange};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    /// The filters without the one for the due time.
    fn of_groups(&self) -> GroupFilter {
        GroupFilter {
            status: self.status.map(|status| status.as_str().to_owned()),
            queue: self.queue.clone(),
            urgent: self.urgent,
            line_of_business: self.line_of_business.clone(),
            clock: None,
        }
    }

    /// The parts of the queue that match. The due times of an escalation step are a part of their own for each clock.
    fn parts(
        &self,
        groups: &BTreeMap<QueueGroup, i64>,
        clocks: &Clocks,
        now: DateTime<Utc>,
    ) -> Vec<(GroupFilter, QueueRange)> {
        let filter = self.of_groups();
        let Some(step) = self.escalation_step else {
            return vec![(filter, QueueRange::whole())];
        };
        let of_open_cases: BTreeSet<&String> = groups.keys().map(|group| &group.clock).collect();
        let part = |clock: &String| {
            let filter = GroupFilter {
                clock: Some(clock.clone()),
                ..filter.clone()
            };
            let window = clocks.due_window(clock, step, now);
            (filter, QueueRange::whole().within(window))
        };
        of_open_cases.into_iter().map(part).collect()
    }
}

/// Where a page of the queue is. A page stays at its cases while others enter and leave the queue before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QueuePosition {
    /// The first page.
    #[default]
    First,
    /// The page after the case at this place.
    After(QueueKey),
    /// The page before the case at this place.
    Before(QueueKey),
}

/// One page of the queue at one instant.
#[derive(Debug, Default)]
pub struct Queue {
    /// When the queue was read.
    pub now: DateTime<Utc>,
    /// The cases of the page, each with how near its due time is.
    pub entries: Vec<(QueueEntry, EscalationStep)>,
    /// How many open cases match the filters, on all pages.
    pub matching: i64,
    /// How many open cases do not match the filters.
    pub hidden: i64,
    /// Whether there is a page before this one.
    pub has_earlier: bool,
    /// Whether there is a page after this one.
    pub has_later: bool,
    /// Every line of business that has an open case.
    pub lines_of_business: BTreeSet<String>,
    /// Every review queue that has an open case.
    pub queues: BTreeSet<String>,
}

/// Reads one page of the open cases that match the filters.
pub async fn read_queue(state: &State, filters: &QueueFilters, position: QueuePosition) -> Result<Queue> {
    let request = Arc::new(PageRequest {
        filters: filters.clone(),
        position,
        now: state.now(),
        policy_set: state.policy_set(),
    });
    let unit = state
        .store
        .read(request, |tx, request| Box::pin(request.page(tx)));
    unit.await
}

struct PageRequest {
    filters: QueueFilters,
    position: QueuePosition,
    now: DateTime<Utc>,
    policy_set: Arc<PolicySet>,
}

/// The keys of one page.
struct PageKeys {
    keys: Vec<QueueKey>,
    has_earlier: bool,
    has_later: bool,
}

impl PageRequest {
    async fn page(&self, tx: &mut Tx) -> Result<Queue> {
        let mut groups = tx.queue_groups().await?;
        let open: i64 = groups.values().sum();
        let lines_of_business = groups
            .keys()
            .map(|group| group.line_of_business.clone())
            .collect();
        let queues = groups.keys().map(|group| group.queue.clone());
        let queues = queues.filter(|queue| !queue.is_empty()).collect();
        let filter = self.filters.of_groups();
        groups.retain(|group, _| filter.matches(group));
        let parts = self.filters.parts(&groups, &self.policy_set.clocks, self.now);
        let mut matching = 0;
        // Only a filter for the due time has to count in the index.
        match self.filters.escalation_step {
            None => matching = groups.values().sum(),
            Some(_) => {
                for (filter, range) in &parts {
                    matching += tx.count_queue_range(filter, range).await?;
                }
            }
        }
        let page = self.keys(tx, &parts).await?;
        let clocks = &self.policy_set.clocks;
        let entries = tx.queue_entries(&page.keys).await?.into_iter().map(|entry| {
            let step = clocks.step_at(&entry.clock, entry.key.due, self.now);
            (entry, step)
        });
        Ok(Queue {
            now: self.now,
            entries: entries.collect(),
            matching,
            hidden: open - matching,
            has_earlier: page.has_earlier,
            has_later: page.has_later,
            lines_of_business,
            queues,
        })
    }

    async fn keys(&self, tx: &mut Tx, parts: &[(GroupFilter, QueueRange)]) -> Result<PageKeys> {
        let page = keys_at(tx, parts, self.position).await?;
        // A page that has lost its cases, or that is now at the beginning, becomes the first page.
        let becomes_first = match self.position {
            QueuePosition::First => false,
            QueuePosition::After(_) => page.keys.is_empty(),
            QueuePosition::Before(_) => !page.has_earlier,
        };
        if becomes_first {
            return keys_at(tx, parts, QueuePosition::First).await;
        }
        Ok(page)
    }
}

/// The keys of one page, merged from the parts.
async fn keys_at(
    tx: &mut Tx,
    parts: &[(GroupFilter, QueueRange)],
    position: QueuePosition,
) -> Result<PageKeys> {
    let limit = i64::try_from(MAX_ENTRIES).unwrap_or(i64::MAX) + 1;
    let mut keys = Vec::new();
    for (filter, range) in parts {
        let mut range = *range;
        match position {
            QueuePosition::First => {}
            QueuePosition::After(key) => range.after = range.after.max(key),
            QueuePosition::Before(key) => {
                range.before = range.before.min(key);
                range.backward = true;
            }
        }
        keys.extend(tx.queue_keys(filter, &range, limit).await?);
    }
    keys.sort_unstable();
    let is_more = keys.len() > MAX_ENTRIES;
    if let QueuePosition::Before(_) = position {
        keys.drain(..keys.len().saturating_sub(MAX_ENTRIES));
        return Ok(PageKeys {
            keys,
            has_earlier: is_more,
            has_later: true,
        });
    }
    keys.truncate(MAX_ENTRIES);
    Ok(PageKeys {
        keys,
        has_earlier: position != QueuePosition::First,
        has_later: is_more,
    })
}

/// A number that changes whenever a case enters the queue, changes in it or leaves it. Callers only compare two of them.
/// All callers of this process share one read a second.
pub async fn queue_version(state: &State) -> Result<i64> {
    let read = state.store.read_one((), |tx, ()| Box::pin(tx.queue_changes()));
    state.queue_version.get(read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(line_of_business: &str, urgent: bool) -> QueueGroup {
        QueueGroup {
            status: "clinical-review".to_owned(),
            queue: "dme-nurse".to_owned(),
            urgent,
            line_of_business: line_of_business.to_owned(),
            clock: "ma-standard".to_owned(),
        }
    }

    #[test]
    fn a_group_of_cases_matches_when_every_filter_does() {
        let matches = |filters: QueueFilters| filters.of_groups().matches(&group("MA", false));
        let base = QueueFilters::default();
        assert!(matches(base.clone()));
        for (urgent, line_of_business, expected) in [
            (Some(false), Some("MA"), true),
            (Some(true), Some("MA"), false),
            (None, Some("CHIP"), false),
        ] {
            let line_of_business = line_of_business.map(str::to_owned);
            let filters = QueueFilters {
                urgent,
                line_of_business,
                ..base.clone()
            };
            assert_eq!(matches(filters), expected);
        }
        let with_status = |status| QueueFilters {
            status: Some(status),
            ..base.clone()
        };
        assert!(matches(with_status(ItemStatus::ClinicalReview)));
        assert!(!matches(with_status(ItemStatus::PhysicianReview)));
        let with_queue = |queue: &str| QueueFilters {
            queue: Some(queue.to_owned()),
            ..base.clone()
        };
        assert!(matches(with_queue("dme-nurse")) && !matches(with_queue("intake")));
    }

    #[test]
    fn a_filter_for_the_due_time_is_a_part_of_the_queue_for_each_clock() {
        let now: DateTime<Utc> = "2026-10-06T12:00:00Z".parse().unwrap();
        let groups = [(group("MA", false), 3), (group("CHIP", true), 1)].into();
        let all = QueueFilters::default().parts(&groups, &Clocks::default(), now);
        assert_eq!(all, [(GroupFilter::default(), QueueRange::whole())]);
        let filters = QueueFilters {
            escalation_step: Some(EscalationStep::Overdue),
            ..QueueFilters::default()
        };
        let parts = filters.parts(&groups, &Clocks::default(), now);
        let [(filter, range)] = parts.as_slice() else {
            panic!("one clock, one part: {parts:?}")
        };
        assert_eq!(filter.clock.as_deref(), Some("ma-standard"));
        assert_eq!((range.after, range.before.due), (QueueRange::whole().after, now));
    }
}
