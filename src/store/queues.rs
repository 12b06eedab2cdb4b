//! The two tables of queued work: `job` for background work inside the server, `outbox` for messages that leave it. A
//! row is written in the unit of work of the change that causes it, leased by one worker at a time, and finished in the
//! unit of work that stores its result.

use super::{Tx, database, on};
use crate::error::Result;
use chrono::{DateTime, Months, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A table of queued work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// `job`: background work inside the server.
    Job,
    /// `outbox`: notifications and mail.
    Outbox,
}

/// A job or outbox message that a worker has leased.
#[derive(Debug, Clone, FromRow)]
pub struct LeasedWork {
    /// The row.
    pub id: Uuid,
    /// What to do, such as `fan-out` or `mail`.
    pub kind: String,
    /// References to rows as JSON; never content.
    pub payload: String,
    /// The number of attempts, including this one.
    pub attempts: i64,
}

/// A new message for the outbox.
#[derive(Debug)]
pub struct OutboxMessage<'a> {
    /// The row.
    pub id: Uuid,
    /// The case that causes the message.
    pub case: Option<Uuid>,
    /// `notification` or `mail`.
    pub kind: &'a str,
    /// A reference to the recipient, such as `subscription/…`. The address is looked up when the message is sent.
    pub recipient: &'a str,
    /// References to rows as JSON; never content.
    pub payload: &'a str,
    /// The same message always has the same key, so that it is stored once.
    pub dedupe_key: &'a str,
}

/// Leases due rows of a table; `$lock` keeps replicas from waiting for each other's rows.
macro_rules! lease_sql {
    ($table:literal, $lock:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET state = 'leased', lease_until = $2, attempts = attempts + 1 WHERE id IN (SELECT id FROM ",
            $table,
            " WHERE next_at <= $1 AND (state = 'queued' OR (state = 'leased' AND lease_until < $1)) \
             ORDER BY next_at, id LIMIT $3",
            $lock,
            ") RETURNING id, kind, payload, attempts"
        )
    };
}

/// Returns leased work to the queue or sets it aside, unless the lease was lost.
macro_rules! failure_sql {
    ($table:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET state = $3, next_at = $4, last_error = $5, lease_until = NULL \
             WHERE id = $1 AND state = 'leased' AND attempts = $2"
        )
    };
}

impl Tx {
    /// Adds a job. A job with the same key is added once.
    pub async fn enqueue_job(
        &mut self,
        id: Uuid,
        kind: &str,
        payload: &str,
        dedupe_key: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.added_work = true;
        on!(self, c => sqlx::query(
            "INSERT INTO job (id, kind, payload, dedupe_key, state, attempts, next_at, created) \
             VALUES ($1, $2, $3, $4, 'queued', 0, $5, $5) ON CONFLICT (dedupe_key) DO NOTHING")
            .bind(id).bind(kind).bind(payload).bind(dedupe_key).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Adds a message to the outbox. Returns false when a message with the same key is already there.
    pub async fn enqueue_message(&mut self, message: &OutboxMessage<'_>, now: DateTime<Utc>) -> Result<bool> {
        self.added_work = true;
        on!(self, c => sqlx::query(
            "INSERT INTO outbox (id, case_id, kind, recipient, payload, dedupe_key, state, attempts, next_at, created) \
             VALUES ($1, $2, $3, $4, $5, $6, 'queued', 0, $7, $7) ON CONFLICT (dedupe_key) DO NOTHING")
            .bind(message.id).bind(message.case).bind(message.kind).bind(message.recipient).bind(message.payload)
            .bind(message.dedupe_key).bind(now).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Leases up to `limit` due rows until `until`. A row whose lease has expired is due again.
    pub async fn lease(
        &mut self,
        queue: Queue,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<LeasedWork>> {
        let (sqlite, postgres) = match queue {
            Queue::Job => (
                lease_sql!("job", ""),
                lease_sql!("job", " FOR UPDATE SKIP LOCKED"),
            ),
            Queue::Outbox => (
                lease_sql!("outbox", ""),
                lease_sql!("outbox", " FOR UPDATE SKIP LOCKED"),
            ),
        };
        on!(self,
            sqlite c => sqlx::query_as(sqlite).bind(now).bind(until).bind(limit).fetch_all(c).await,
            postgres c => sqlx::query_as(postgres).bind(now).bind(until).bind(limit).fetch_all(c).await)
        .map_err(database)
    }

    /// Marks a job as done, in the unit of work that stores its result. Returns false when the lease was lost and
    /// another worker has the job. The unit of work must then fail, so that the job takes effect once.
    pub async fn finish_job(&mut self, job: &LeasedWork) -> Result<bool> {
        on!(self, c => sqlx::query("UPDATE job SET state = 'done' WHERE id = $1 AND state = 'leased' AND attempts = $2")
            .bind(job.id).bind(job.attempts).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Marks an outbox message as sent. Returns false when the lease was lost.
    pub async fn finish_message(&mut self, message: &LeasedWork, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = 'sent', sent_at = $3 WHERE id = $1 AND state = 'leased' AND attempts = $2")
            .bind(message.id).bind(message.attempts).bind(now).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Records a failed attempt: the work is due again at `next_at`, or marked `dead` when there is none. `error`
    /// contains no message content. Work whose lease was lost belongs to another worker and does not change.
    pub async fn record_failure(
        &mut self,
        queue: Queue,
        work: &LeasedWork,
        next_at: Option<DateTime<Utc>>,
        error: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let state = if next_at.is_some() { "queued" } else { "dead" };
        let sql = match queue {
            Queue::Job => failure_sql!("job"),
            Queue::Outbox => failure_sql!("outbox"),
        };
        on!(self, c => sqlx::query(sql).bind(work.id).bind(work.attempts).bind(state)
            .bind(next_at.unwrap_or(now)).bind(error).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Returns a leased outbox message that was not tried. It does not count as an attempt.
    pub async fn release(&mut self, message: &LeasedWork, next_at: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = 'queued', next_at = $3, attempts = attempts - 1, lease_until = NULL \
             WHERE id = $1 AND state = 'leased' AND attempts = $2")
            .bind(message.id).bind(message.attempts).bind(next_at).execute(c).await.map(drop))
        .map_err(database)
    }

    /// The number of rows in a state (`queued`, `leased`, `done`, `sent`, `dead`).
    pub async fn count_by_state(&mut self, queue: Queue, state: &str) -> Result<i64> {
        let sql = match queue {
            Queue::Job => "SELECT COUNT(*) FROM job WHERE state = $1",
            Queue::Outbox => "SELECT COUNT(*) FROM outbox WHERE state = $1",
        };
        on!(self, c => sqlx::query_scalar(sql).bind(state).fetch_one(c).await).map_err(database)
    }

    /// The payloads of the other unsent messages of the same kind to the same recipient.
    pub async fn pending_payloads_to_same_recipient(&mut self, message: Uuid) -> Result<Vec<String>> {
        on!(self, c => sqlx::query_scalar(
            "SELECT o.payload FROM outbox o JOIN outbox own ON own.id = $1 WHERE o.recipient = own.recipient \
             AND o.kind = own.kind AND o.state IN ('queued', 'leased') AND o.id <> own.id")
            .bind(message).fetch_all(c).await)
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

    /// Deletes expired `jti` values and sessions, authorization codes, tokens and finished work from before `before`,
    /// and entries of the access log after six years (45 CFR 164.316(b)(2)). Returns the number of deleted rows.
    pub async fn delete_expired(&mut self, now: DateTime<Utc>, before: DateTime<Utc>) -> Result<u64> {
        let six_years_ago = now
            .checked_sub_months(Months::new(72))
            .unwrap_or(DateTime::UNIX_EPOCH);
        let statements = [
            ("DELETE FROM access_log WHERE at < $1", six_years_ago),
            ("DELETE FROM seen_jti WHERE expires < $1", now),
            ("DELETE FROM authorization_code WHERE expires < $1", before),
            ("DELETE FROM token WHERE expires < $1", before),
            ("DELETE FROM session WHERE expires < $1", now),
            ("DELETE FROM job WHERE state = 'done' AND next_at < $1", before),
            ("DELETE FROM outbox WHERE state = 'sent' AND sent_at < $1", before),
        ];
        let mut deleted = 0;
        for (sql, limit) in statements {
            deleted +=
                on!(self, c => sqlx::query(sql).bind(limit).execute(c).await.map(|r| r.rows_affected()))
                    .map_err(database)?;
        }
        Ok(deleted)
    }
}
