//! Deletes rows whose time has passed, a bounded number in each unit of work, found by an index. A row that is still
//! referred to stays: a request as long as its case, a case as long as a legal hold or an entry of the access log
//! refers to it.

use super::{Tx, database, on};
use crate::error::Result;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Rows that are deleted after their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiring {
    /// Entries of the access log.
    AccessLog,
    /// Hook calls with their assertions.
    HookCalls,
    /// Texts that belong to no case, such as feedback on cards.
    Texts,
    /// Ids of tokens that were used once.
    TokenIds,
    /// Authorization codes.
    Codes,
    /// Access tokens and refresh tokens.
    Tokens,
    /// Sessions of staff and members.
    Sessions,
    /// Counts of failed sign-ins and other limited calls.
    Throttles,
    /// Outbox messages that were sent or given up.
    Messages,
    /// Decided cases with their history and request.
    Cases,
}

impl Expiring {
    /// All kinds, in an order in which what refers to a row goes before it.
    pub const ALL: [Self; 10] = [
        Self::AccessLog,
        Self::HookCalls,
        Self::Texts,
        Self::TokenIds,
        Self::Codes,
        Self::Tokens,
        Self::Sessions,
        Self::Throttles,
        Self::Messages,
        Self::Cases,
    ];

    /// The label of the metric `assent_deleted_rows_total`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessLog => "access-log",
            Self::HookCalls => "hook-calls",
            Self::Texts => "texts",
            Self::TokenIds => "token-ids",
            Self::Codes => "codes",
            Self::Tokens => "tokens",
            Self::Sessions => "sessions",
            Self::Throttles => "throttles",
            Self::Messages => "messages",
            Self::Cases => "cases",
        }
    }

    /// How many of these one unit of work deletes. A hook call and a case have many rows.
    pub fn batch(self) -> u32 {
        match self {
            Self::HookCalls => 100,
            Self::Cases => 25,
            _ => 500,
        }
    }

    /// The statement that deletes rows from before `$1`, at most `$2`. Kinds with several tables have their own.
    fn statement(self) -> Option<&'static str> {
        Some(match self {
            Self::AccessLog => {
                "DELETE FROM access_log WHERE id IN (SELECT id FROM access_log WHERE at < $1 ORDER BY at, id LIMIT $2)"
            }
            Self::Texts => {
                "DELETE FROM blob WHERE id IN (SELECT id FROM blob WHERE kind <> 'pas-request' AND created < $1 \
                 ORDER BY created LIMIT $2)"
            }
            Self::TokenIds => {
                "DELETE FROM seen_jti WHERE (issuer, jti) IN (SELECT issuer, jti FROM seen_jti WHERE expires < $1 \
                 ORDER BY expires LIMIT $2)"
            }
            Self::Codes => {
                "DELETE FROM authorization_code WHERE code_hash IN (SELECT code_hash FROM authorization_code \
                 WHERE expires < $1 ORDER BY expires LIMIT $2)"
            }
            Self::Tokens => {
                "DELETE FROM token WHERE hash IN (SELECT hash FROM token WHERE expires < $1 ORDER BY expires LIMIT $2)"
            }
            Self::Sessions => {
                "DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE expires < $1 \
                 ORDER BY expires LIMIT $2)"
            }
            Self::Throttles => {
                "DELETE FROM throttle WHERE key IN (SELECT key FROM throttle WHERE expires < $1 \
                 ORDER BY expires LIMIT $2)"
            }
            Self::HookCalls | Self::Messages | Self::Cases => return None,
        })
    }
}

/// What one unit of work deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// How many hook calls, cases or other rows of the kind there were.
    pub count: u64,
    /// The last case or message that was looked at; the next unit of work begins after it.
    pub last: Uuid,
}

impl Tx {
    /// Deletes rows of a kind from before `before`, at most one batch. Cases and messages are looked for after `after`.
    pub async fn delete_expired(
        &mut self,
        kind: Expiring,
        before: DateTime<Utc>,
        after: Uuid,
    ) -> Result<Deleted> {
        let limit = i64::from(kind.batch());
        if let Some(sql) = kind.statement() {
            let count = on!(self, c => sqlx::query(sql).bind(before).bind(limit).execute(c).await
                .map(|r| r.rows_affected()))
            .map_err(database)?;
            return Ok(Deleted { count, last: after });
        }
        match kind {
            Expiring::HookCalls => {
                let count = self.delete_hook_calls(before, limit).await?;
                Ok(Deleted { count, last: after })
            }
            Expiring::Messages => self.delete_messages(before, after, limit).await,
            _ => self.delete_cases(before, after, limit).await,
        }
    }

    async fn delete_hook_calls(&mut self, before: DateTime<Utc>, limit: i64) -> Result<u64> {
        on!(self, c => sqlx::query(
            "DELETE FROM assertion WHERE hook_call IN (SELECT id FROM hook_call WHERE created < $1 \
             ORDER BY created, id LIMIT $2)")
            .bind(before).bind(limit).execute(c).await.map(drop))
        .map_err(database)?;
        on!(self, c => sqlx::query(
            "DELETE FROM hook_call WHERE id IN (SELECT id FROM hook_call WHERE created < $1 \
             ORDER BY created, id LIMIT $2)")
            .bind(before).bind(limit).execute(c).await.map(|r| r.rows_affected()))
        .map_err(database)
    }

    /// Ids begin with the time, so that the oldest messages are found by the key.
    async fn delete_messages(&mut self, before: DateTime<Utc>, after: Uuid, limit: i64) -> Result<Deleted> {
        let ids: Vec<Uuid> = on!(self, c => sqlx::query_scalar(
            "SELECT id FROM outbox WHERE id > $1 AND id < $2 AND state IN ('sent', 'dead') ORDER BY id LIMIT $3")
            .bind(after).bind(first_id(before)).bind(limit).fetch_all(c).await)
        .map_err(database)?;
        let Some(last) = ids.last().copied() else {
            return Ok(Deleted {
                count: 0,
                last: after,
            });
        };
        let count = on!(self, c => sqlx::query(
            "DELETE FROM outbox WHERE id > $1 AND id <= $2 AND state IN ('sent', 'dead')")
            .bind(after).bind(last).execute(c).await.map(|r| r.rows_affected()))
        .map_err(database)?;
        Ok(Deleted { count, last })
    }

    /// Decided cases that were opened and last changed before that time.
    async fn delete_cases(&mut self, before: DateTime<Utc>, after: Uuid, limit: i64) -> Result<Deleted> {
        let cases: Vec<(Uuid, Uuid)> = on!(self, c => sqlx::query_as(
            "SELECT p.id, p.request FROM prior_auth p WHERE p.id > $1 AND p.id < $2 AND p.changed < $3 \
             AND NOT EXISTS (SELECT 1 FROM queue_entry q WHERE q.case_id = p.id) \
             AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.case_id = p.id AND h.ended_at IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM access_log a WHERE a.case_id = p.id) \
             ORDER BY p.id LIMIT $4")
            .bind(after).bind(first_id(before)).bind(before).bind(limit).fetch_all(c).await)
        .map_err(database)?;
        let mut last = after;
        for (case, request) in &cases {
            self.delete_case(*case, *request).await?;
            last = *case;
        }
        let count = u64::try_from(cases.len()).unwrap_or(u64::MAX);
        Ok(Deleted { count, last })
    }

    async fn delete_case(&mut self, case: Uuid, request: Uuid) -> Result<()> {
        const OF_CASE: [&str; 7] = [
            "DELETE FROM outbox WHERE case_id = $1",
            "DELETE FROM submission WHERE case_id = $1",
            "DELETE FROM number_alias WHERE case_id = $1",
            "DELETE FROM legal_hold WHERE case_id = $1",
            "DELETE FROM item WHERE case_id = $1",
            "DELETE FROM event WHERE case_id = $1",
            "DELETE FROM prior_auth WHERE id = $1",
        ];
        for sql in OF_CASE {
            on!(self, c => sqlx::query(sql).bind(case).execute(c).await.map(drop)).map_err(database)?;
        }
        on!(self, c => sqlx::query("DELETE FROM blob WHERE id = $1").bind(request).execute(c).await.map(drop))
            .map_err(database)
    }
}

/// The smallest id that is made at this time or later.
fn first_id(at: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(at.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;
    use chrono::Duration;

    #[test]
    fn ids_made_before_a_time_are_smaller_than_its_first_id() {
        let at: DateTime<Utc> = "2026-11-20T15:04:05.123Z".parse().unwrap();
        assert!(new_id(at - Duration::milliseconds(1)) < first_id(at));
        assert!(new_id(at) > first_id(at));
    }
}
