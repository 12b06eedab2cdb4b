//! Reading stored cases page by page, for evaluating them again. Cases are never read all at once because requests are
//! large.

use super::{Tx, database, on};
use crate::error::{Error, Result};
use crate::prior_auth::PriorAuth;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The id of a case, and the case with its request as received, or why it cannot be read.
pub type StoredCase = (Uuid, Result<(PriorAuth, String)>);

impl Tx {
    /// The number of cases received at or after an instant.
    pub async fn count_cases_since(&mut self, since: DateTime<Utc>) -> Result<i64> {
        on!(self, c => sqlx::query_scalar("SELECT COUNT(*) FROM prior_auth WHERE received >= $1")
            .bind(since).fetch_one(c).await)
        .map_err(database)
    }

    /// Up to `limit` cases received at or after `since`, in the order of their ids, beginning after the case `after`
    /// (the nil id to begin with the first). A case that cannot be read does not prevent the others from being
    /// returned.
    pub async fn stored_cases(
        &mut self,
        after: Uuid,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<StoredCase>> {
        let ids: Vec<Uuid> = on!(self, c => sqlx::query_scalar(
            "SELECT id FROM prior_auth WHERE id > $1 AND received >= $2 ORDER BY id LIMIT $3")
            .bind(after).bind(since).bind(limit).fetch_all(c).await)
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
