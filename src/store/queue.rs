//! The queue: one row of `queue_entry` for each open case, with everything that the queue page shows, and the counts of
//! `queue_count`. Both are written in the unit of work that changes the case, so that no reader replays events. A list
//! costs the same however many cases are open: it reads one page of keys from an index for each group of cases with the
//! same filter values, and then the rows of that page.

use super::{Tx, bad_row, database, on};
use crate::deadlines::DueWindow;
use crate::error::Result;
use crate::fhir;
use crate::prior_auth::ItemStatus;
use crate::rules::CriteriaCounts;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The most rows that [`Tx::queue_entries`] reads at once.
pub const MAX_ENTRIES: usize = 50;

/// Open cases with the same values of the queue's filters and the same decision clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, FromRow)]
pub struct QueueGroup {
    /// The status of the least advanced open item.
    pub status: String,
    /// The review queue; empty when the case has none.
    pub queue: String,
    /// Whether the provider requested an expedited decision.
    pub urgent: bool,
    /// Line of business.
    pub line_of_business: String,
    /// The name of the decision clock.
    pub clock: String,
}

/// Which groups of cases to read. A field that is `None` filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Only cases with this status.
    pub status: Option<String>,
    /// Only this review queue.
    pub queue: Option<String>,
    /// Only expedited requests (`true`) or only standard ones (`false`).
    pub urgent: Option<bool>,
    /// Only this line of business.
    pub line_of_business: Option<String>,
    /// Only this decision clock.
    pub clock: Option<String>,
}

impl GroupFilter {
    /// Whether the cases of a group match.
    pub fn matches(&self, group: &QueueGroup) -> bool {
        let is =
            |wanted: &Option<String>, value: &String| wanted.as_ref().is_none_or(|wanted| wanted == value);
        is(&self.status, &group.status)
            && is(&self.queue, &group.queue)
            && self.urgent.is_none_or(|urgent| urgent == group.urgent)
            && is(&self.line_of_business, &group.line_of_business)
            && is(&self.clock, &group.clock)
    }
}

/// The place of a case in the queue: due time, receipt, id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, FromRow)]
pub struct QueueKey {
    /// The due time that staff work to.
    pub due: DateTime<Utc>,
    /// When the request was received.
    pub received: DateTime<Utc>,
    /// The case.
    pub case_id: Uuid,
}

impl QueueKey {
    /// The place before every case that is due at this time or later.
    fn before_due(due: DateTime<Utc>) -> Self {
        Self {
            due,
            received: DateTime::UNIX_EPOCH,
            case_id: Uuid::nil(),
        }
    }
}

/// A part of the queue: the cases between two places. Neither place is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRange {
    /// The place before the first case.
    pub after: QueueKey,
    /// The place after the last case.
    pub before: QueueKey,
    /// Whether the last cases of the range are read, in reverse order, and not the first.
    pub backward: bool,
}

impl QueueRange {
    /// The whole queue.
    pub fn whole() -> Self {
        let end_of_time = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        Self {
            after: QueueKey::before_due(DateTime::UNIX_EPOCH),
            before: QueueKey::before_due(end_of_time),
            backward: false,
        }
    }

    /// The part whose due times are in a window.
    #[must_use]
    pub fn within(mut self, window: DueWindow) -> Self {
        if let Some(from) = window.from {
            self.after = self.after.max(QueueKey::before_due(from));
        }
        if let Some(before) = window.before {
            self.before = self.before.min(QueueKey::before_due(before));
        }
        self
    }
}

/// One open case as the queue shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueEntry {
    /// The place in the queue.
    pub key: QueueKey,
    /// The number by which staff know the case.
    pub number: String,
    /// Line of business.
    pub line_of_business: String,
    /// The status of the least advanced open item.
    pub status: ItemStatus,
    /// The review queue; empty when the case has none.
    pub queue: String,
    /// Whether the provider requested an expedited decision.
    pub urgent: bool,
    /// The name of the decision clock.
    pub clock: String,
    /// The requester's name.
    pub requester: String,
    /// The number of items, open or not.
    pub items: i64,
    /// The code system of the first open item.
    pub system: String,
    /// The code of the first open item.
    pub code: String,
    /// The title of the policy that was applied to the first open item.
    pub policy_title: Option<String>,
    /// How many conditions of the first open item are met; `None` when no policy was applied.
    pub counts: Option<CriteriaCounts>,
    /// The member id on the card.
    pub member_id: String,
    /// The member's name.
    pub member_name: String,
}

#[derive(FromRow)]
struct EntryRow {
    #[sqlx(flatten)]
    key: QueueKey,
    number: String,
    line_of_business: String,
    status: String,
    queue: String,
    urgent: bool,
    clock: String,
    requester: String,
    items: i64,
    system: String,
    code: String,
    policy_title: Option<String>,
    met: Option<i64>,
    not_met: Option<i64>,
    unknown: Option<i64>,
    member_id: String,
    doc: String,
}

impl EntryRow {
    fn into_entry(self) -> Result<QueueEntry> {
        let id = self.key.case_id;
        let status = ItemStatus::open(&self.status).ok_or_else(|| {
            bad_row(
                "queue_entry",
                "status",
                id,
                "it is not the status of an open item",
            )
        })?;
        let member: serde_json::Value =
            serde_json::from_str(&self.doc).map_err(|e| bad_row("member", "doc", &self.member_id, e))?;
        let count = |column: Option<i64>| column.and_then(|count| usize::try_from(count).ok());
        let counts = count(self.met)
            .zip(count(self.not_met))
            .zip(count(self.unknown))
            .map(|((met, not_met), unknown)| CriteriaCounts {
                met,
                not_met,
                unknown,
            });
        Ok(QueueEntry {
            key: self.key,
            number: self.number,
            line_of_business: self.line_of_business,
            status,
            queue: self.queue,
            urgent: self.urgent,
            clock: self.clock,
            requester: self.requester,
            items: self.items,
            system: self.system,
            code: self.code,
            policy_title: self.policy_title,
            counts,
            member_id: self.member_id,
            member_name: fhir::human_name(&member).unwrap_or_default(),
        })
    }
}

#[derive(FromRow)]
struct CountRow {
    #[sqlx(flatten)]
    group: QueueGroup,
    open: i64,
}

// SQL is made of macros because `sqlx` only accepts literals.

/// The groups that match the filters: parameters 1 to 5.
macro_rules! groups {
    () => {
        "(SELECT DISTINCT status, queue, urgent, line_of_business, clock FROM queue_count WHERE open > 0 \
         AND (status = $1 OR $1 IS NULL) AND (queue = $2 OR $2 IS NULL) AND (urgent = $3 OR $3 IS NULL) \
         AND (line_of_business = $4 OR $4 IS NULL) AND (clock = $5 OR $5 IS NULL)) g"
    };
}

/// The cases of a group in a range: parameters 6 to 11.
macro_rules! of_group {
    () => {
        "x.status = g.status AND x.queue = g.queue AND x.urgent = g.urgent \
         AND x.line_of_business = g.line_of_business AND x.clock = g.clock \
         AND (x.due, x.received, x.case_id) > ($6, $7, $8) AND (x.due, x.received, x.case_id) < ($9, $10, $11)"
    };
}

/// The first keys of a range: parameters 1 to 6 are its ends, 7 is the number of keys.
macro_rules! keys {
    ($order:literal) => {
        concat!(
            "SELECT due, received, case_id FROM queue_entry \
             WHERE (due, received, case_id) > ($1, $2, $3) AND (due, received, case_id) < ($4, $5, $6) ORDER BY due ",
            $order,
            ", received ",
            $order,
            ", case_id ",
            $order,
            " LIMIT $7"
        )
    };
}

/// The first keys of a range from the groups that match: the first ones of each group, and of these the first. Parameter
/// 12 is the number of keys. The dialects differ in how a query in FROM may refer to a row beside it.
macro_rules! keys_of_groups {
    ($order:literal) => {
        (
            concat!(
                "SELECT e.due, e.received, e.case_id FROM ",
                groups!(),
                " JOIN queue_entry e ON e.case_id IN (SELECT x.case_id FROM queue_entry x WHERE ",
                of_group!(),
                order_of_x!($order),
                " LIMIT $12) ORDER BY e.due ",
                $order,
                ", e.received ",
                $order,
                ", e.case_id ",
                $order,
                " LIMIT $12"
            ),
            concat!(
                "SELECT k.due, k.received, k.case_id FROM ",
                groups!(),
                " CROSS JOIN LATERAL (SELECT x.due, x.received, x.case_id FROM queue_entry x WHERE ",
                of_group!(),
                order_of_x!($order),
                " LIMIT $12) k ORDER BY k.due ",
                $order,
                ", k.received ",
                $order,
                ", k.case_id ",
                $order,
                " LIMIT $12"
            ),
        )
    };
}

macro_rules! order_of_x {
    ($order:literal) => {
        concat!(
            " ORDER BY x.due ",
            $order,
            ", x.received ",
            $order,
            ", x.case_id ",
            $order
        )
    };
}

impl Tx {
    /// Every group that has an open case, with the number of its open cases. There are as many as combinations of filter
    /// values, however many cases are open.
    pub async fn queue_groups(&mut self) -> Result<BTreeMap<QueueGroup, i64>> {
        let rows: Vec<CountRow> = on!(self, c => sqlx::query_as(
            "SELECT status, queue, urgent, line_of_business, clock, CAST(SUM(open) AS BIGINT) AS open FROM queue_count \
             GROUP BY status, queue, urgent, line_of_business, clock")
            .fetch_all(c).await)
        .map_err(database)?;
        let open = rows.into_iter().filter(|row| row.open > 0);
        Ok(open.map(|row| (row.group, row.open)).collect())
    }

    /// How often the queue changed. The number only grows.
    pub async fn queue_changes(&mut self) -> Result<i64> {
        on!(self, c => sqlx::query_scalar("SELECT CAST(COALESCE(SUM(changes), 0) AS BIGINT) FROM queue_count")
            .fetch_one(c).await)
        .map_err(database)
    }

    /// Up to `limit` keys of a part of the queue. In reverse order when the range is read backward.
    pub async fn queue_keys(
        &mut self,
        filter: &GroupFilter,
        range: &QueueRange,
        limit: i64,
    ) -> Result<Vec<QueueKey>> {
        let (after, before) = (range.after, range.before);
        if *filter == GroupFilter::default() {
            let sql = if range.backward {
                keys!("DESC")
            } else {
                keys!("ASC")
            };
            return on!(self, c => sqlx::query_as(sql)
                .bind(after.due).bind(after.received).bind(after.case_id)
                .bind(before.due).bind(before.received).bind(before.case_id).bind(limit).fetch_all(c).await)
            .map_err(database);
        }
        let (sqlite, postgres) = if range.backward {
            keys_of_groups!("DESC")
        } else {
            keys_of_groups!("ASC")
        };
        macro_rules! found {
            ($sql:ident, $c:ident) => {
                sqlx::query_as($sql)
                    .bind(&filter.status)
                    .bind(&filter.queue)
                    .bind(filter.urgent)
                    .bind(&filter.line_of_business)
                    .bind(&filter.clock)
                    .bind(after.due)
                    .bind(after.received)
                    .bind(after.case_id)
                    .bind(before.due)
                    .bind(before.received)
                    .bind(before.case_id)
                    .bind(limit)
                    .fetch_all($c)
                    .await
            };
        }
        on!(self, sqlite c => found!(sqlite, c), postgres c => found!(postgres, c)).map_err(database)
    }

    /// How many cases of a part of the queue match the filters.
    pub async fn count_queue_range(&mut self, filter: &GroupFilter, range: &QueueRange) -> Result<i64> {
        let (after, before) = (range.after, range.before);
        let sql = concat!(
            "SELECT COUNT(*) FROM ",
            groups!(),
            " JOIN queue_entry x ON ",
            of_group!()
        );
        on!(self, c => sqlx::query_scalar(sql)
            .bind(&filter.status).bind(&filter.queue).bind(filter.urgent).bind(&filter.line_of_business)
            .bind(&filter.clock).bind(after.due).bind(after.received).bind(after.case_id)
            .bind(before.due).bind(before.received).bind(before.case_id).fetch_one(c).await)
        .map_err(database)
    }

    /// How many open cases are past their due time.
    pub async fn count_overdue(&mut self, now: DateTime<Utc>) -> Result<i64> {
        on!(self, c => sqlx::query_scalar("SELECT COUNT(*) FROM queue_entry WHERE due < $1")
            .bind(now).fetch_one(c).await)
        .map_err(database)
    }

    /// The rows of up to [`MAX_ENTRIES`] open cases, in the order of the queue.
    pub async fn queue_entries(&mut self, keys: &[QueueKey]) -> Result<Vec<QueueEntry>> {
        let ids = keys
            .iter()
            .map(|key| key.case_id)
            .chain(std::iter::repeat(Uuid::nil()));
        let ids: Vec<Uuid> = ids.take(MAX_ENTRIES).collect();
        let rows: Vec<EntryRow> = on!(self, c => {
            let mut query = sqlx::query_as(
                "SELECT e.due, e.received, e.case_id, e.number, e.line_of_business, e.status, e.queue, e.urgent, \
                 e.clock, e.requester, e.items, e.system, e.code, e.policy_title, e.met, e.not_met, e.unknown, \
                 m.member_id, m.doc FROM queue_entry e JOIN member m ON m.id = e.member WHERE e.case_id IN \
                 ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, \
                 $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, \
                 $41, $42, $43, $44, $45, $46, $47, $48, $49, $50)");
            for id in &ids {
                query = query.bind(id);
            }
            query.fetch_all(c).await
        })
        .map_err(database)?;
        let mut entries: Vec<QueueEntry> = rows
            .into_iter()
            .map(EntryRow::into_entry)
            .collect::<Result<_>>()?;
        entries.sort_unstable_by_key(|entry| entry.key);
        Ok(entries)
    }
}
