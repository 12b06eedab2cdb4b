//! Work that waits: `job` inside the house, `outbox` for effects that leave it. A row is written in the unit of the
//! fact that causes it, leased by one worker at a time, and finished in the unit of its effect.

use super::{Tx, database, on};
use crate::error::Result;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// The two tables of waiting work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Work inside the house.
    Job,
    /// Effects that leave it.
    Outbox,
}

/// One piece of waiting work, as leased.
#[derive(Debug, Clone, FromRow)]
pub struct Waiting {
    /// Its row.
    pub id: Uuid,
    /// What to do.
    pub kind: String,
    /// References, never content.
    pub payload: String,
    /// How often it was tried, this time included.
    pub attempts: i64,
}

/// A new effect that leaves the house.
#[derive(Debug)]
pub struct Effect<'a> {
    /// Its row.
    pub id: Uuid,
    /// The case that causes it.
    pub case: Option<Uuid>,
    /// `notification`, `mail`.
    pub kind: &'a str,
    /// Whom it is for, by reference; the address is looked up when it is sent.
    pub to_ref: &'a str,
    /// References, never content.
    pub payload: &'a str,
    /// The same effect has the same key, whoever asks for it.
    pub dedupe_key: &'a str,
}

impl Tx {
    /// Adds work inside the house; the same key again adds nothing.
    pub async fn enqueue_job(
        &mut self,
        id: Uuid,
        kind: &str,
        payload: &str,
        dedupe_key: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.wakes = true;
        on!(self, c => sqlx::query(
            "INSERT INTO job (id, kind, payload, dedupe_key, state, attempts, next_at, created) \
             VALUES ($1, $2, $3, $4, 'queued', 0, $5, $5) ON CONFLICT (dedupe_key) DO NOTHING")
            .bind(id).bind(kind).bind(payload).bind(dedupe_key).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Adds an effect; the same key again adds nothing. True when it is new.
    pub async fn enqueue_effect(&mut self, effect: &Effect<'_>, now: DateTime<Utc>) -> Result<bool> {
        self.wakes = true;
        on!(self, c => sqlx::query(
            "INSERT INTO outbox (id, case_id, kind, to_ref, payload, dedupe_key, state, attempts, next_at, created) \
             VALUES ($1, $2, $3, $4, $5, $6, 'queued', 0, $7, $7) ON CONFLICT (dedupe_key) DO NOTHING")
            .bind(effect.id).bind(effect.case).bind(effect.kind).bind(effect.to_ref).bind(effect.payload)
            .bind(effect.dedupe_key).bind(now).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Leases up to `most` pieces of work until `until`. Work whose lease ran out counts as waiting again.
    pub async fn lease(
        &mut self,
        queue: Queue,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        most: i64,
    ) -> Result<Vec<Waiting>> {
        match queue {
            Queue::Job => on!(self,
                sqlite c => sqlx::query_as(
                    "UPDATE job SET state = 'leased', lease_until = $2, attempts = attempts + 1 WHERE id IN \
                     (SELECT id FROM job WHERE next_at <= $1 AND (state = 'queued' OR (state = 'leased' AND \
                     lease_until < $1)) ORDER BY next_at, id LIMIT $3) RETURNING id, kind, payload, attempts")
                    .bind(now).bind(until).bind(most).fetch_all(c).await,
                postgres c => sqlx::query_as(
                    "UPDATE job SET state = 'leased', lease_until = $2, attempts = attempts + 1 WHERE id IN \
                     (SELECT id FROM job WHERE next_at <= $1 AND (state = 'queued' OR (state = 'leased' AND \
                     lease_until < $1)) ORDER BY next_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) \
                     RETURNING id, kind, payload, attempts")
                    .bind(now).bind(until).bind(most).fetch_all(c).await),
            Queue::Outbox => on!(self,
                sqlite c => sqlx::query_as(
                    "UPDATE outbox SET state = 'leased', lease_until = $2, attempts = attempts + 1 WHERE id IN \
                     (SELECT id FROM outbox WHERE next_at <= $1 AND (state = 'queued' OR (state = 'leased' AND \
                     lease_until < $1)) ORDER BY next_at, id LIMIT $3) RETURNING id, kind, payload, attempts")
                    .bind(now).bind(until).bind(most).fetch_all(c).await,
                postgres c => sqlx::query_as(
                    "UPDATE outbox SET state = 'leased', lease_until = $2, attempts = attempts + 1 WHERE id IN \
                     (SELECT id FROM outbox WHERE next_at <= $1 AND (state = 'queued' OR (state = 'leased' AND \
                     lease_until < $1)) ORDER BY next_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) \
                     RETURNING id, kind, payload, attempts")
                    .bind(now).bind(until).bind(most).fetch_all(c).await),
        }
        .map_err(database)
    }

    /// Ends a piece of work in the unit of its effect. False when the lease was lost and another worker has it: the
    /// unit must then fail, so that the effect happens once.
    pub async fn finish_job(&mut self, job: &Waiting) -> Result<bool> {
        on!(self, c => sqlx::query("UPDATE job SET state = 'done' WHERE id = $1 AND state = 'leased' AND attempts = $2")
            .bind(job.id).bind(job.attempts).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Notes that an effect has left.
    pub async fn finish_effect(&mut self, effect: &Waiting, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = 'sent', sent_at = $3 WHERE id = $1 AND state = 'leased' AND attempts = $2")
            .bind(effect.id).bind(effect.attempts).bind(now).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Puts work back for another try, or lays it aside as dead; `why` holds no content. Work whose lease was lost
    /// belongs to another worker and stays as it is.
    pub async fn put_back(
        &mut self,
        queue: Queue,
        work: &Waiting,
        next_at: Option<DateTime<Utc>>,
        why: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let state = if next_at.is_some() { "queued" } else { "dead" };
        let next_at = next_at.unwrap_or(now);
        match queue {
            Queue::Job => on!(self, c => sqlx::query(
                "UPDATE job SET state = $3, next_at = $4, last_error = $5, lease_until = NULL \
                 WHERE id = $1 AND state = 'leased' AND attempts = $2")
                .bind(work.id).bind(work.attempts).bind(state).bind(next_at).bind(why).execute(c).await.map(drop)),
            Queue::Outbox => on!(self, c => sqlx::query(
                "UPDATE outbox SET state = $3, next_at = $4, last_error = $5, lease_until = NULL \
                 WHERE id = $1 AND state = 'leased' AND attempts = $2")
                .bind(work.id).bind(work.attempts).bind(state).bind(next_at).bind(why).execute(c).await.map(drop)),
        }
        .map_err(database)
    }

    /// Gives back an effect that was leased and not tried: it counts as no try.
    pub async fn hand_back(&mut self, effect: &Waiting, next_at: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = 'queued', next_at = $3, attempts = attempts - 1, lease_until = NULL \
             WHERE id = $1 AND state = 'leased' AND attempts = $2")
            .bind(effect.id).bind(effect.attempts).bind(next_at).execute(c).await.map(drop))
        .map_err(database)
    }

    /// How many pieces of work are in a state.
    pub async fn count_waiting(&mut self, queue: Queue, state: &str) -> Result<i64> {
        match queue {
            Queue::Job => on!(self, c => sqlx::query_scalar("SELECT COUNT(*) FROM job WHERE state = $1")
                .bind(state).fetch_one(c).await),
            Queue::Outbox => {
                on!(self, c => sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE state = $1")
                .bind(state).fetch_one(c).await)
            }
        }
        .map_err(database)
    }

    /// The payloads of the other effects of this one's kind that wait for the same receiver.
    pub async fn waiting_beside(&mut self, effect: Uuid) -> Result<Vec<String>> {
        on!(self, c => sqlx::query_scalar(
            "SELECT o.payload FROM outbox o JOIN outbox own ON own.id = $1 WHERE o.to_ref = own.to_ref \
             AND o.kind = own.kind AND o.state IN ('queued', 'leased') AND o.id <> own.id")
            .bind(effect).fetch_all(c).await)
        .map_err(database)
    }

    /// Notes that a sweep ran: when, how much it saw, how much it did.
    pub async fn beat(&mut self, name: &str, now: DateTime<Utc>, seen: i64, done: i64) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO worker (name, last_run, seen, done) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE \
             SET last_run = excluded.last_run, seen = excluded.seen, done = excluded.done")
            .bind(name).bind(now).bind(seen).bind(done).execute(c).await.map(drop))
        .map_err(database)
    }

    /// When a sweep ran last.
    pub async fn last_beat(&mut self, name: &str) -> Result<Option<DateTime<Utc>>> {
        on!(self, c => sqlx::query_scalar("SELECT last_run FROM worker WHERE name = $1")
            .bind(name).fetch_optional(c).await)
        .map_err(database)
    }

    /// Removes what has expired: spent token ids, codes, tokens, sessions, finished work older than `before`.
    pub async fn purge(&mut self, now: DateTime<Utc>, before: DateTime<Utc>) -> Result<u64> {
        let mut gone = 0;
        gone +=
            on!(self, c => sqlx::query("DELETE FROM seen_jti WHERE expires < $1").bind(now).execute(c).await
            .map(|r| r.rows_affected()))
            .map_err(database)?;
        gone += on!(self, c => sqlx::query("DELETE FROM oauth_code WHERE expires < $1").bind(before).execute(c).await
            .map(|r| r.rows_affected())).map_err(database)?;
        gone +=
            on!(self, c => sqlx::query("DELETE FROM token WHERE expires < $1").bind(before).execute(c).await
            .map(|r| r.rows_affected()))
            .map_err(database)?;
        gone +=
            on!(self, c => sqlx::query("DELETE FROM session WHERE expires < $1").bind(now).execute(c).await
            .map(|r| r.rows_affected()))
            .map_err(database)?;
        gone +=
            on!(self, c => sqlx::query("DELETE FROM job WHERE state = 'done' AND next_at < $1").bind(before)
            .execute(c).await.map(|r| r.rows_affected()))
            .map_err(database)?;
        gone += on!(self, c => sqlx::query("DELETE FROM outbox WHERE state = 'sent' AND sent_at < $1").bind(before)
            .execute(c).await.map(|r| r.rows_affected())).map_err(database)?;
        Ok(gone)
    }
}
