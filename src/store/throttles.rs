//! The table `throttle`: how often a credential was tried within a window of time. A key is a fingerprint, so its length
//! does not depend on what a caller typed. A row without tries remembers that a sign-in has succeeded.

use super::{Tx, database, on};
use crate::error::Result;
use chrono::{DateTime, Utc};

impl Tx {
    /// Counts one try if fewer than `most` were counted since the window of this key began; the first try begins a
    /// window that ends at `expires`. Returns whether the try was counted. Of two tries at the same moment, the second
    /// one sees the first.
    pub async fn count_try(
        &mut self,
        key: &str,
        most: u32,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<bool> {
        on!(self, c => sqlx::query(
            "INSERT INTO throttle (key, tries, expires) VALUES ($1, 1, $2) \
             ON CONFLICT (key) DO UPDATE SET \
             tries = CASE WHEN throttle.expires <= $3 THEN 1 ELSE throttle.tries + 1 END, \
             expires = CASE WHEN throttle.expires <= $3 THEN excluded.expires ELSE throttle.expires END \
             WHERE throttle.expires <= $3 OR throttle.tries < $4",
        )
        .bind(key)
        .bind(expires)
        .bind(now)
        .bind(i64::from(most))
        .execute(c)
        .await
        .map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Takes one counted try back.
    pub async fn return_try(&mut self, key: &str) -> Result<()> {
        on!(self, c => sqlx::query("UPDATE throttle SET tries = tries - 1 WHERE key = $1 AND tries > 0")
            .bind(key)
            .execute(c)
            .await
            .map(drop))
        .map_err(database)
    }

    /// Takes all counted tries back.
    pub async fn return_all_tries(&mut self, key: &str) -> Result<()> {
        on!(self, c => sqlx::query("DELETE FROM throttle WHERE key = $1").bind(key).execute(c).await.map(drop))
            .map_err(database)
    }

    /// Remembers a key until `expires`, for [`Tx::is_remembered`].
    pub async fn remember(&mut self, key: &str, expires: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO throttle (key, tries, expires) VALUES ($1, 0, $2) \
             ON CONFLICT (key) DO UPDATE SET expires = excluded.expires",
        )
        .bind(key)
        .bind(expires)
        .execute(c)
        .await
        .map(drop))
        .map_err(database)
    }

    /// Whether a key is remembered.
    pub async fn is_remembered(&mut self, key: &str, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM throttle WHERE key = $1 AND expires > $2")
            .bind(key)
            .bind(now)
            .fetch_one(c)
            .await)
        .map(|count| count > 0)
        .map_err(database)
    }
}
