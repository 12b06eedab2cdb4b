//! The policy sets that were published: every file, under the set's hash.

use super::{Tx, database, on};
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};

impl Tx {
    /// Keeps a published set; the same set again changes nothing.
    pub async fn add_policy_set(
        &mut self,
        hash: &str,
        files: &[(String, String)],
        now: DateTime<Utc>,
    ) -> Result<()> {
        let files = serde_json::to_string(files).map_err(Error::internal)?;
        on!(self, c => sqlx::query(
            "INSERT INTO policy_set (hash, files, published) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING")
            .bind(hash).bind(&files).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// A set's files as JSON: pairs of path and text.
    pub async fn policy_set(&mut self, hash: &str) -> Result<Option<String>> {
        on!(self, c => sqlx::query_scalar("SELECT files FROM policy_set WHERE hash = $1")
            .bind(hash).fetch_optional(c).await)
        .map_err(database)
    }

    /// When a set was last published.
    pub async fn last_publication(&mut self) -> Result<Option<DateTime<Utc>>> {
        on!(self, c => sqlx::query_scalar("SELECT published FROM policy_set ORDER BY published DESC LIMIT 1")
            .fetch_optional(c).await)
        .map_err(database)
    }
}
