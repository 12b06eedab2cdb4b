//! Stored cases page by page, for whoever runs them again. Reads only, and never all at once: requests are big.

use super::{Tx, database, on};
use crate::error::{Error, Result};
use crate::prior_auth::PriorAuth;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A case with its request as it was received; or why it cannot be read.
pub type StoredCase = (Uuid, Result<(PriorAuth, String)>);

impl Tx {
    /// How many cases were received at or after an instant.
    pub async fn count_cases_since(&mut self, since: DateTime<Utc>) -> Result<i64> {
        on!(self, c => sqlx::query_scalar("SELECT COUNT(*) FROM prior_auth WHERE received >= $1")
            .bind(since).fetch_one(c).await)
        .map_err(database)
    }

    /// At most so many cases that were received at or after an instant, in the order of their ids, from the one behind
    /// `after` on (the nil id: from the first). One that cannot be read does not hide the others.
    pub async fn stored_cases(
        &mut self,
        after: Uuid,
        since: DateTime<Utc>,
        most: i64,
    ) -> Result<Vec<StoredCase>> {
        let ids: Vec<Uuid> = on!(self, c => sqlx::query_scalar(
            "SELECT id FROM prior_auth WHERE id > $1 AND received >= $2 ORDER BY id LIMIT $3")
            .bind(after).bind(since).bind(most).fetch_all(c).await)
        .map_err(database)?;
        let mut cases = Vec::with_capacity(ids.len());
        for id in ids {
            cases.push((id, self.stored_case(id).await));
        }
        Ok(cases)
    }

    /// A case with its request.
    pub async fn stored_case(&mut self, id: Uuid) -> Result<(PriorAuth, String)> {
        let case = self.case(id).await?.ok_or_else(|| Error::not_found("case", id))?;
        let text = self.request_text(case.received.request).await?;
        Ok((case, text))
    }
}
