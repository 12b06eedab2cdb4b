//! Subscriptions of partner systems to their own cases, with a gap-free event number each.

use super::{Tx, bad_row, database, on};
use crate::error::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

/// One subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its row, which is its FHIR id.
    pub id: Uuid,
    /// The client that made it.
    pub client: Uuid,
    /// requested, active, error, off.
    pub status: String,
    /// The resource as sent, without its status.
    pub doc: Value,
    /// The sending systems whose cases it hears of.
    pub senders: Vec<String>,
    /// Events so far.
    pub events: u64,
    /// Why it stands in error; no content.
    pub error: Option<String>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    client: Uuid,
    status: String,
    doc: String,
    senders: String,
    next_event: i64,
    error: Option<String>,
}

impl Row {
    fn subscription(self) -> Result<Subscription> {
        let bad = |column: &str, why: String| bad_row("subscription", column, self.id, why);
        Ok(Subscription {
            id: self.id,
            client: self.client,
            doc: serde_json::from_str(&self.doc).map_err(|e| bad("doc", e.to_string()))?,
            senders: serde_json::from_str(&self.senders).map_err(|e| bad("senders", e.to_string()))?,
            events: u64::try_from(self.next_event).map_err(|e| bad("next_event", e.to_string()))?,
            status: self.status,
            error: self.error,
        })
    }
}

impl Tx {
    /// Stores a new subscription or replaces the content of one.
    pub async fn put_subscription(&mut self, it: &Subscription, now: DateTime<Utc>) -> Result<()> {
        let senders = serde_json::to_string(&it.senders).unwrap_or_default();
        on!(self, c => sqlx::query(
            "INSERT INTO subscription (id, client, status, doc, senders, next_event, error, created, changed) \
             VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $7) ON CONFLICT (id) DO UPDATE SET status = excluded.status, \
             doc = excluded.doc, senders = excluded.senders, error = excluded.error, changed = excluded.changed")
            .bind(it.id).bind(it.client).bind(&it.status).bind(it.doc.to_string()).bind(&senders)
            .bind(&it.error).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// A subscription of a client.
    pub async fn subscription(&mut self, id: Uuid) -> Result<Option<Subscription>> {
        let row: Option<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, client, status, doc, senders, next_event, error FROM subscription WHERE id = $1")
            .bind(id).fetch_optional(c).await)
        .map_err(database)?;
        row.map(Row::subscription).transpose()
    }

    /// All subscriptions of a client that were not taken back.
    pub async fn subscriptions_of(&mut self, client: Uuid) -> Result<Vec<Subscription>> {
        let rows: Vec<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, client, status, doc, senders, next_event, error FROM subscription \
             WHERE client = $1 AND status <> 'off' ORDER BY id")
            .bind(client).fetch_all(c).await)
        .map_err(database)?;
        rows.into_iter().map(Row::subscription).collect()
    }

    /// Sets the status; `why` holds no content.
    pub async fn set_subscription_status(
        &mut self,
        id: Uuid,
        status: &str,
        why: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        on!(self, c => sqlx::query("UPDATE subscription SET status = $2, error = $3, changed = $4 WHERE id = $1")
            .bind(id).bind(status).bind(why).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Takes the next event number of a subscription; numbers have no gaps.
    pub async fn next_event_number(&mut self, id: Uuid) -> Result<i64> {
        on!(self, c => sqlx::query_scalar(
            "UPDATE subscription SET next_event = next_event + 1 WHERE id = $1 RETURNING next_event")
            .bind(id).fetch_one(c).await)
        .map_err(database)
    }
}
