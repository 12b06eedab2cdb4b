//! The table `subscription`: subscriptions of partner systems to their own cases. The events of each subscription are
//! numbered without gaps.

use super::{Tx, bad_row, database, on};
use crate::error::Result;
use crate::fhir;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

/// One subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The row, which is also the FHIR id.
    pub id: Uuid,
    /// The client that created it.
    pub client: Uuid,
    /// `requested`, `active`, `error` or `off`, as stored. See [`Subscription::status_at`].
    pub status: String,
    /// Counts what the client changed, from 1. The result of sending counts only for the version that was sent.
    pub version: i64,
    /// The Subscription resource as sent, without its status.
    pub doc: Value,
    /// The sending systems whose cases cause notifications.
    pub senders: Vec<String>,
    /// The number of events so far.
    pub event_count: u64,
    /// Why the status is `error`; contains no message content.
    pub error: Option<String>,
}

impl Subscription {
    /// The status at a time. A subscription is off once its `end` has passed.
    pub fn status_at(&self, now: DateTime<Utc>) -> &str {
        let end = fhir::text(&self.doc, &["end"]).and_then(fhir::dates::instant);
        if end.is_some_and(|end| end <= now) {
            "off"
        } else {
            &self.status
        }
    }
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    client: Uuid,
    status: String,
    version: i64,
    doc: String,
    senders: String,
    event_count: i64,
    error: Option<String>,
}

impl Row {
    fn into_subscription(self) -> Result<Subscription> {
        let bad = |column: &str, why: String| bad_row("subscription", column, self.id, why);
        Ok(Subscription {
            id: self.id,
            client: self.client,
            doc: serde_json::from_str(&self.doc).map_err(|e| bad("doc", e.to_string()))?,
            senders: serde_json::from_str(&self.senders).map_err(|e| bad("senders", e.to_string()))?,
            event_count: u64::try_from(self.event_count).map_err(|e| bad("event_count", e.to_string()))?,
            status: self.status,
            version: self.version,
            error: self.error,
        })
    }
}

impl Tx {
    /// Stores a new subscription.
    pub async fn add_subscription(&mut self, subscription: &Subscription, now: DateTime<Utc>) -> Result<()> {
        let senders = serde_json::to_string(&subscription.senders).unwrap_or_default();
        on!(self, c => sqlx::query(
            "INSERT INTO subscription (id, client, status, version, doc, senders, event_count, error, created, changed) \
             VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $8)")
            .bind(subscription.id).bind(subscription.client).bind(&subscription.status).bind(subscription.version)
            .bind(subscription.doc.to_string()).bind(&senders).bind(&subscription.error).bind(now)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// Replaces the content and the status of a subscription and returns it with its new version and its number of
    /// events. `None` if it was deleted.
    pub async fn replace_subscription(
        &mut self,
        subscription: &Subscription,
        now: DateTime<Utc>,
    ) -> Result<Option<Subscription>> {
        let senders = serde_json::to_string(&subscription.senders).unwrap_or_default();
        let row: Option<Row> = on!(self, c => sqlx::query_as(
            "UPDATE subscription SET status = $2, version = version + 1, doc = $3, senders = $4, error = $5, changed = $6 \
             WHERE id = $1 RETURNING id, client, status, version, doc, senders, event_count, error")
            .bind(subscription.id).bind(&subscription.status).bind(subscription.doc.to_string()).bind(&senders)
            .bind(&subscription.error).bind(now).fetch_optional(c).await)
        .map_err(database)?;
        row.map(Row::into_subscription).transpose()
    }

    /// Deletes a subscription. Its queued messages find no subscription and are not sent.
    pub async fn delete_subscription(&mut self, id: Uuid) -> Result<()> {
        on!(self, c => sqlx::query("DELETE FROM subscription WHERE id = $1").bind(id).execute(c).await.map(drop))
            .map_err(database)
    }

    /// A subscription by row.
    pub async fn subscription(&mut self, id: Uuid) -> Result<Option<Subscription>> {
        let row: Option<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, client, status, version, doc, senders, event_count, error FROM subscription WHERE id = $1")
            .bind(id).fetch_optional(c).await)
        .map_err(database)?;
        row.map(Row::into_subscription).transpose()
    }

    /// All subscriptions of a client, also those with status `off`.
    pub async fn subscriptions_of(&mut self, client: Uuid) -> Result<Vec<Subscription>> {
        let rows: Vec<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, client, status, version, doc, senders, event_count, error FROM subscription \
             WHERE client = $1 ORDER BY id")
            .bind(client).fetch_all(c).await)
        .map_err(database)?;
        rows.into_iter().map(Row::into_subscription).collect()
    }

    /// Sets the status that follows from sending, unless the client changed or deleted the subscription since `version`
    /// was read. `error` contains no message content.
    pub async fn set_subscription_status(
        &mut self,
        (id, version): (Uuid, i64),
        status: &str,
        error: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        on!(self, c => sqlx::query(
            "UPDATE subscription SET status = $3, error = $4, changed = $5 WHERE id = $1 AND version = $2")
            .bind(id).bind(version).bind(status).bind(error).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Counts a new event of a subscription and returns its number. Numbers begin at 1 and have no gaps. `None` if the
    /// subscription was deleted.
    pub async fn next_event_number(&mut self, id: Uuid) -> Result<Option<i64>> {
        on!(self, c => sqlx::query_scalar(
            "UPDATE subscription SET event_count = event_count + 1 WHERE id = $1 RETURNING event_count")
            .bind(id).fetch_optional(c).await)
        .map_err(database)
    }
}
