//! Keeps the queue in step with the cases: the row of an open case and the counts of its group are written in the unit
//! of work that changes the case. Staff are notified of each escalation level of a case once.

use super::queue::QueueGroup;
use super::{Batch, Tx, database, on};
use crate::error::Result;
use crate::prior_auth::{Item, PriorAuth};
use crate::rules::{VerdictSource, count_conditions};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use std::collections::BTreeMap;
use uuid::Uuid;
/// The number of rows of `queue_count` for one group.
const SHARDS: u128 = 8;

impl QueueGroup {
    fn of(case: &PriorAuth) -> Self {
        Self {
            status: case.status().to_owned(),
            queue: case.queue().unwrap_or_default().to_owned(),
            urgent: case.received.urgent,
            line_of_business: case.received.line_of_business.clone(),
            clock: case.received.due.clock.clone(),
        }
    }
}

/// Which open cases staff are to be notified of: those of one clock, last notified at one level, that have reached the
/// next. The levels are 0 (not notified), 1 (due soon), 2 (due now) and 3 (overdue).
#[derive(Debug, Clone)]
pub struct EscalationQuery {
    /// The name of the decision clock.
    pub clock: String,
    /// The level that staff were last notified of: 0, 1 or 2.
    pub level: i64,
    /// The ends of the due times that have reached level 1, 2 and 3, not included.
    pub reached: [DateTime<Utc>; 3],
    /// The largest number of cases.
    pub limit: i64,
}

/// An open case that has reached an escalation level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Escalated {
    /// The case.
    pub case_id: Uuid,
    /// The level: 1, 2 or 3.
    pub notified: i64,
}

/// Takes the cases that have reached the next escalation level. `$lock` keeps two processes from taking the same ones.
macro_rules! take_escalated {
    ($lock:literal) => {
        concat!(
            "UPDATE queue_entry SET notified = CASE WHEN due < $1 THEN 3 WHEN due < $2 THEN 2 ELSE 1 END \
             WHERE case_id IN (SELECT case_id FROM queue_entry WHERE clock = $3 AND notified = $4 AND due < $5 \
             ORDER BY due, case_id LIMIT $6",
            $lock,
            ") RETURNING case_id, notified"
        )
    };
}

impl Batch {
    /// Keeps the row and the counts of a case in step with it. `before` is the case before the change, or `None` for a
    /// new case. A case that was decided at once never enters the queue and costs nothing here.
    pub(super) fn add_queue_changes(&mut self, before: Option<&PriorAuth>, after: &PriorAuth) {
        let before = before.filter(|case| case.is_open()).map(QueueGroup::of);
        let after_group = after.is_open().then(|| QueueGroup::of(after));
        if let Some(group) = &after_group {
            self.put_queue_entry(after, group);
        } else if before.is_some() {
            self.sql("DELETE FROM queue_entry WHERE case_id = $1")
                .bind(after.id);
        }
        // Always in the order of the groups, so that two units of work that move cases in opposite directions do not wait
        // for each other.
        let mut changes: BTreeMap<QueueGroup, i64> = BTreeMap::new();
        for (group, change) in before
            .map(|g| (g, -1))
            .into_iter()
            .chain(after_group.map(|g| (g, 1)))
        {
            *changes.entry(group).or_default() += change;
        }
        self.count_queue(after.id, &changes);
    }

    fn put_queue_entry(&mut self, case: &PriorAuth, group: &QueueGroup) {
        let item = case.items.iter().find(|item| item.status.is_open());
        let counts = item.and_then(|item| count_conditions(&item.verdict));
        self.sql(
            "INSERT INTO queue_entry (case_id, member, number, line_of_business, status, queue, urgent, clock, received, \
             due, requester, items, system, code, policy_title, met, not_met, unknown, notified) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 0) \
             ON CONFLICT (case_id) DO UPDATE SET status = excluded.status, queue = excluded.queue, \
             items = excluded.items, system = excluded.system, code = excluded.code, \
             policy_title = excluded.policy_title, met = excluded.met, not_met = excluded.not_met, \
             unknown = excluded.unknown",
        )
        .bind(case.id)
        .bind(case.received.member)
        .bind(case.number())
        .bind(group.line_of_business.as_str())
        .bind(group.status.as_str())
        .bind(group.queue.as_str())
        .bind(group.urgent)
        .bind(group.clock.as_str())
        .bind(case.received_at)
        .bind(case.received.due.internal)
        .bind(case.received.requester_name.as_str())
        .bind(integer(case.items.len()))
        .bind(item.map_or("", |item| item.system.as_str()))
        .bind(item.map_or("", |item| item.code.as_str()))
        .bind(item.and_then(policy_title))
        .bind(counts.map(|counts| integer(counts.met)))
        .bind(counts.map(|counts| integer(counts.not_met)))
        .bind(counts.map(|counts| integer(counts.unknown)));
    }

    fn count_queue(&mut self, case: Uuid, changes: &BTreeMap<QueueGroup, i64>) {
        let shard = i64::try_from(case.as_u128() % SHARDS).unwrap_or_default();
        self.rows_then(
            "INSERT INTO queue_count (status, queue, urgent, line_of_business, clock, shard, open, changes)",
            8,
            changes,
            |row, (group, change)| {
                row.bind(group.status.as_str())
                    .bind(group.queue.as_str())
                    .bind(group.urgent)
                    .bind(group.line_of_business.as_str())
                    .bind(group.clock.as_str())
                    .bind(shard)
                    .bind(*change)
                    .bind(1_i64);
            },
            "ON CONFLICT (status, queue, urgent, line_of_business, clock, shard) DO UPDATE \
             SET open = queue_count.open + excluded.open, changes = queue_count.changes + 1",
        );
    }
}

impl Tx {
    /// Takes up to `limit` cases that have reached the next escalation level, and marks them as notified. Their notices
    /// belong in the same unit of work.
    pub async fn take_escalated(&mut self, query: &EscalationQuery) -> Result<Vec<Escalated>> {
        let [soon, now, over] = query.reached;
        let next = match query.level {
            0 => soon,
            1 => now,
            _ => over,
        };
        on!(self,
            sqlite c => sqlx::query_as(take_escalated!("")).bind(over).bind(now).bind(&query.clock)
                .bind(query.level).bind(next).bind(query.limit).fetch_all(c).await,
            postgres c => sqlx::query_as(take_escalated!(" FOR UPDATE SKIP LOCKED")).bind(over).bind(now)
                .bind(&query.clock).bind(query.level).bind(next).bind(query.limit).fetch_all(c).await)
        .map_err(database)
    }
}

fn policy_title(item: &Item) -> Option<&str> {
    match &item.verdict.source {
        VerdictSource::Policy { title, .. } => Some(title),
        _ => None,
    }
}

fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
