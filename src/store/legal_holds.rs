//! The table `legal_hold`: cases that must not be deleted, with the reason. A hold is ended, never deleted before its
//! case.

use super::{Tx, database, on};
use crate::clock::new_id;
use crate::error::Result;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A hold that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LegalHold {
    /// The case.
    pub case_id: Uuid,
    /// A number of the case.
    pub number: String,
    /// Why it must be kept.
    pub reason: String,
    /// Who decided.
    pub added_by: String,
    /// When.
    pub added_at: DateTime<Utc>,
}

impl Tx {
    /// Holds a case, unless it is held already. Returns whether it is a new hold.
    pub async fn add_legal_hold(
        &mut self,
        case: Uuid,
        reason: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        on!(self, c => sqlx::query(
            "INSERT INTO legal_hold (id, case_id, reason, added_by, added_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (case_id) WHERE ended_at IS NULL DO NOTHING")
            .bind(new_id(now)).bind(case).bind(reason).bind(by).bind(now).execute(c).await
            .map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Ends the hold of a case. Returns false when it is not held.
    pub async fn end_legal_hold(&mut self, case: Uuid, by: &str, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query(
            "UPDATE legal_hold SET ended_by = $2, ended_at = $3 WHERE case_id = $1 AND ended_at IS NULL")
            .bind(case).bind(by).bind(now).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// The holds that have not ended, oldest first.
    pub async fn legal_holds(&mut self) -> Result<Vec<LegalHold>> {
        on!(self, c => sqlx::query_as(
            "SELECT h.case_id, MIN(n.number) AS number, h.reason, h.added_by, h.added_at FROM legal_hold h \
             JOIN number_alias n ON n.case_id = h.case_id WHERE h.ended_at IS NULL \
             GROUP BY h.id, h.case_id, h.reason, h.added_by, h.added_at ORDER BY h.added_at, h.id")
            .fetch_all(c).await)
        .map_err(database)
    }
}
