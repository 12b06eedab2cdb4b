//! The table `outbox`: messages that leave the server, and the leases of the processes that send them. A message is
//! written in the unit of work of the change that causes it.
//!
//! Mail is leased message by message. Notifications are leased line by line: a subscription is a line, and the process
//! that has leased it sends its messages one after another in the order of their numbers, so that only the first of a
//! line is ever looked at. The line's own time (`subscription.next_at`) says when it is due again.
//!
//! That a message was sent is recorded whoever holds the lease, because it is true. Everything else that a worker
//! learned counts only while its process still holds the lease.

use super::{Batch, Tx, database, on};
use crate::clock::new_id;
use crate::error::Result;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

/// How many messages one statement inserts or updates at most.
const ROWS_PER_STATEMENT: usize = 200;

/// An email notice that this process has leased.
#[derive(Debug, Clone, FromRow)]
pub struct LeasedMessage {
    /// The row.
    pub id: Uuid,
    /// References to rows as JSON; never content.
    pub payload: String,
    /// The attempts that failed so far.
    pub attempts: i64,
}

/// A message that waits in a line.
#[derive(Debug, Clone, FromRow)]
pub struct LineMessage {
    /// The row.
    pub id: Uuid,
    /// References to rows as JSON; never content.
    pub payload: String,
    /// The attempts that failed so far.
    pub attempts: i64,
}

/// An email notice that is stored once, however often it is added.
#[derive(Debug)]
pub struct OutboxMessage<'a> {
    /// The row.
    pub id: Uuid,
    /// The case that causes the message.
    pub case: Option<Uuid>,
    /// `mail`.
    pub kind: &'a str,
    /// A reference to the recipient, such as `staff`. The address is looked up when the message is sent.
    pub recipient: &'a str,
    /// References to rows as JSON; never content.
    pub payload: &'a str,
    /// The same message always has the same key.
    pub dedupe_key: &'a str,
}

/// A new message for the outbox.
#[derive(Debug, Clone)]
pub(super) struct NewMessage {
    /// The case that causes the message.
    pub case: Option<Uuid>,
    /// `notification` or `mail`.
    pub kind: &'static str,
    /// A reference to the recipient, such as `subscription/…`.
    pub recipient: String,
    /// For a notification the subscription and the place in its line; none for mail.
    pub line: Option<(Uuid, i64)>,
    /// References to rows as JSON; never content.
    pub payload: String,
}

/// What an attempt to send a message that failed leaves behind.
#[derive(Debug, Clone)]
pub struct FailedAttempt {
    /// The message.
    pub message: Uuid,
    /// When it is due again; none when it is given up.
    pub next_at: Option<DateTime<Utc>>,
    /// Why it failed; contains no message content.
    pub reason: String,
}

/// A lease on a line, with what its holder saw of the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct LineLease {
    /// The subscription.
    #[sqlx(rename = "id")]
    pub subscription: Uuid,
    /// The process.
    #[sqlx(rename = "lease_owner")]
    pub owner: Uuid,
    /// The version of the subscription that was seen.
    pub version: i64,
    /// The number of its events that was seen.
    pub event_count: i64,
}

impl Tx {
    /// Adds a notice to the outbox. Returns false when a message with the same key is already there.
    pub async fn enqueue_message(&mut self, message: &OutboxMessage<'_>, now: DateTime<Utc>) -> Result<bool> {
        self.added.queued();
        on!(self, c => sqlx::query(
            "INSERT INTO outbox (id, case_id, kind, recipient, payload, dedupe_key, state, attempts, next_at, created) \
             VALUES ($1, $2, $3, $4, $5, $6, 'queued', 0, $7, $7) \
             ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING")
            .bind(message.id).bind(message.case).bind(message.kind).bind(message.recipient).bind(message.payload)
            .bind(message.dedupe_key).bind(now).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Adds messages to the outbox.
    pub(super) async fn enqueue_messages(
        &mut self,
        messages: Vec<NewMessage>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let mut batch = self.batch();
        self.add_messages(&mut batch, messages, now);
        batch.run(self).await.map(drop)
    }

    /// Adds messages for the outbox to a batch of this unit of work. Mail is leased by the workers of this process when
    /// they have space for it.
    pub(super) fn add_messages(&mut self, batch: &mut Batch, messages: Vec<NewMessage>, now: DateTime<Utc>) {
        let insert = "INSERT INTO outbox (id, case_id, kind, recipient, line, number, payload, state, lease_owner, \
                      attempts, next_at, created)";
        batch.rows(insert, 12, messages, |row, message| {
            let id = new_id(now);
            let reserved = match message.line {
                None => self.handoff.reserve(),
                Some(_) => None,
            };
            row.bind(id)
                .bind(message.case)
                .bind(message.kind)
                .bind(message.recipient)
                .bind(message.line.map(|(line, _)| line))
                .bind(message.line.map(|(_, number)| number))
                .bind(message.payload.as_str())
                .bind(if reserved.is_some() { "leased" } else { "queued" })
                .bind(reserved.as_ref().map(|reserved| reserved.owner))
                .bind(0_i64)
                .bind(now)
                .bind(now);
            match reserved {
                Some(reserved) => {
                    let payload = message.payload;
                    let attempts = 0;
                    self.added.reserved(
                        reserved,
                        LeasedMessage {
                            id,
                            payload,
                            attempts,
                        },
                    );
                }
                None => self.added.queued(),
            }
        });
    }

    /// Whether mail is due that nobody has leased.
    pub async fn is_mail_due(&mut self, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query("SELECT id FROM outbox WHERE state = 'queued' AND line IS NULL AND next_at <= $1 LIMIT 1")
            .bind(now).fetch_optional(c).await.map(|row| row.is_some()))
        .map_err(database)
    }

    /// Whether a line is due that nobody has leased.
    pub async fn is_line_due(&mut self, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query("SELECT id FROM subscription WHERE lease_owner IS NULL AND next_at <= $1 LIMIT 1")
            .bind(now).fetch_optional(c).await.map(|row| row.is_some()))
        .map_err(database)
    }

    /// Leases up to `limit` notices that are due.
    pub async fn lease_mail(
        &mut self,
        owner: Uuid,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<LeasedMessage>> {
        on!(self,
            sqlite c => sqlx::query_as(
                "UPDATE outbox SET state = 'leased', lease_owner = $1 WHERE id IN (SELECT id FROM outbox \
                 WHERE state = 'queued' AND line IS NULL AND next_at <= $2 ORDER BY next_at, id LIMIT $3) \
                 RETURNING id, payload, attempts")
                .bind(owner).bind(now).bind(limit).fetch_all(c).await,
            postgres c => sqlx::query_as(
                "UPDATE outbox SET state = 'leased', lease_owner = $1 WHERE id IN (SELECT id FROM outbox \
                 WHERE state = 'queued' AND line IS NULL AND next_at <= $2 ORDER BY next_at, id LIMIT $3 \
                 FOR UPDATE SKIP LOCKED) RETURNING id, payload, attempts")
                .bind(owner).bind(now).bind(limit).fetch_all(c).await)
        .map_err(database)
    }

    /// Leases up to `limit` lines that are due: those whose last attempt failed, or the others.
    pub async fn lease_lines(
        &mut self,
        owner: Uuid,
        now: DateTime<Utc>,
        failing: bool,
        limit: i64,
    ) -> Result<Vec<LineLease>> {
        on!(self,
            sqlite c => sqlx::query_as(
                "UPDATE subscription SET lease_owner = $1 WHERE id IN (SELECT id FROM subscription \
                 WHERE lease_owner IS NULL AND next_at <= $2 AND (failures > 0) = $3 ORDER BY next_at, id LIMIT $4) \
                 RETURNING id, lease_owner, version, event_count")
                .bind(owner).bind(now).bind(failing).bind(limit).fetch_all(c).await,
            postgres c => sqlx::query_as(
                "UPDATE subscription SET lease_owner = $1 WHERE id IN (SELECT id FROM subscription \
                 WHERE lease_owner IS NULL AND next_at <= $2 AND (failures > 0) = $3 ORDER BY next_at, id LIMIT $4 \
                 FOR UPDATE SKIP LOCKED) RETURNING id, lease_owner, version, event_count")
                .bind(owner).bind(now).bind(failing).bind(limit).fetch_all(c).await)
        .map_err(database)
    }

    /// Which of these notices the process still holds.
    pub async fn still_leased(&mut self, owner: Uuid, messages: &[Uuid]) -> Result<Vec<Uuid>> {
        on!(self, c => {
            let mut query = QueryBuilder::new("SELECT id FROM outbox WHERE state = 'leased' AND lease_owner = ");
            query.push_bind(owner).push(" AND id IN (");
            let mut ids = query.separated(", ");
            for id in messages {
                ids.push_bind(*id);
            }
            ids.push_unseparated(")");
            query.build_query_scalar().fetch_all(c).await
        })
        .map_err(database)
    }

    /// The email addresses of these member sign-ins; none for those that are disabled or have none.
    pub async fn member_addresses(&mut self, logins: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
        if logins.is_empty() {
            return Ok(Vec::new());
        }
        on!(self, c => {
            let mut query = QueryBuilder::new("SELECT id, email FROM member_login WHERE disabled = ");
            query.push_bind(false).push(" AND email IS NOT NULL AND id IN (");
            let mut ids = query.separated(", ");
            for id in logins {
                ids.push_bind(*id);
            }
            ids.push_unseparated(")");
            query.build_query_as().fetch_all(c).await
        })
        .map_err(database)
    }

    /// The first messages of a line, at most `limit`.
    pub async fn line_messages(&mut self, subscription: Uuid, limit: i64) -> Result<Vec<LineMessage>> {
        on!(self, c => sqlx::query_as(
            "SELECT id, payload, attempts FROM outbox WHERE line = $1 AND state = 'queued' \
             ORDER BY number, id LIMIT $2")
            .bind(subscription).bind(limit).fetch_all(c).await)
        .map_err(database)
    }

    /// Records that messages were sent.
    pub async fn record_sent(&mut self, messages: &[Uuid], now: DateTime<Utc>) -> Result<()> {
        for some in messages.chunks(ROWS_PER_STATEMENT) {
            on!(self, c => {
                let mut query = QueryBuilder::new("UPDATE outbox SET state = 'sent', sent_at = ");
                query.push_bind(now).push(
                    ", attempts = attempts + 1, lease_owner = NULL, last_error = NULL \
                     WHERE state <> 'sent' AND id IN (");
                let mut ids = query.separated(", ");
                for id in some {
                    ids.push_bind(*id);
                }
                ids.push_unseparated(")");
                query.build().execute(c).await.map(drop)
            })
            .map_err(database)?;
        }
        Ok(())
    }

    /// Records a failed attempt to send a notice that this process has leased.
    pub async fn record_mail_failure(
        &mut self,
        owner: Uuid,
        failed: &FailedAttempt,
        now: DateTime<Utc>,
    ) -> Result<()> {
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = $3, attempts = attempts + 1, next_at = $4, last_error = $5, lease_owner = NULL \
             WHERE id = $1 AND state = 'leased' AND lease_owner = $2")
            .bind(failed.message).bind(owner).bind(failed.state()).bind(failed.next_at.unwrap_or(now))
            .bind(&failed.reason).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Records a failed attempt to send the first message of a line.
    pub async fn record_line_failure(
        &mut self,
        lease: LineLease,
        failed: &FailedAttempt,
        now: DateTime<Utc>,
    ) -> Result<()> {
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = $4, attempts = attempts + 1, next_at = $5, last_error = $6 \
             WHERE id = $1 AND state = 'queued' \
             AND EXISTS (SELECT 1 FROM subscription WHERE id = $2 AND lease_owner = $3)")
            .bind(failed.message).bind(lease.subscription).bind(lease.owner).bind(failed.state())
            .bind(failed.next_at.unwrap_or(now)).bind(&failed.reason).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Gives up messages of a line that are not needed any more, at most `limit`, unless the client has changed the
    /// subscription since. Returns how many there were.
    pub async fn give_up_line(&mut self, lease: LineLease, reason: &str, limit: i64) -> Result<u64> {
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = 'dead', last_error = $4 WHERE id IN (SELECT id FROM outbox \
             WHERE line = $1 AND state = 'queued' ORDER BY number, id LIMIT $5) \
             AND EXISTS (SELECT 1 FROM subscription WHERE id = $1 AND lease_owner = $2 AND version = $3)")
            .bind(lease.subscription).bind(lease.owner).bind(lease.version).bind(reason).bind(limit)
            .execute(c).await.map(|r| r.rows_affected()))
        .map_err(database)
    }

    /// Returns a line of which every message was sent or given up. If there is a new one, or the client has changed the
    /// subscription, the line is due again at once.
    pub async fn release_empty_line(&mut self, lease: LineLease, now: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query(
            "UPDATE subscription SET lease_owner = NULL, failures = 0, \
             next_at = CASE WHEN version = $3 AND event_count = $4 THEN NULL ELSE $5 END \
             WHERE id = $1 AND lease_owner = $2")
            .bind(lease.subscription).bind(lease.owner).bind(lease.version).bind(lease.event_count).bind(now)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// Returns a line that is due again at `next_at`. `failed` counts a failed attempt. If the client has changed the
    /// subscription, the line is due at once and its failures no longer count.
    pub async fn release_line(
        &mut self,
        lease: LineLease,
        next_at: DateTime<Utc>,
        failed: bool,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let one_more = i64::from(failed);
        on!(self, c => sqlx::query(
            "UPDATE subscription SET lease_owner = NULL, next_at = CASE WHEN version = $3 THEN $4 ELSE $5 END, \
             failures = CASE WHEN version = $3 THEN (failures + $6) * $6 ELSE 0 END \
             WHERE id = $1 AND lease_owner = $2")
            .bind(lease.subscription).bind(lease.owner).bind(lease.version).bind(next_at).bind(now).bind(one_more)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// Records a run of a periodic worker: when it ran, how many rows it looked at and how many it changed.
    pub async fn record_worker_run(
        &mut self,
        name: &str,
        now: DateTime<Utc>,
        seen: i64,
        done: i64,
    ) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO worker (name, last_run, seen, done) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE \
             SET last_run = excluded.last_run, seen = excluded.seen, done = excluded.done")
            .bind(name).bind(now).bind(seen).bind(done).execute(c).await.map(drop))
        .map_err(database)
    }

    /// When a periodic worker ran last.
    pub async fn last_worker_run(&mut self, name: &str) -> Result<Option<DateTime<Utc>>> {
        on!(self, c => sqlx::query_scalar("SELECT last_run FROM worker WHERE name = $1")
            .bind(name).fetch_optional(c).await)
        .map_err(database)
    }
}

impl FailedAttempt {
    fn state(&self) -> &'static str {
        if self.next_at.is_some() { "queued" } else { "dead" }
    }
}
