//! The table `subscription`: subscriptions of partner systems to their own cases. The events of each subscription are
//! numbered without gaps. A subscription is also the line of its messages, see `queues`.

use super::queues::{LineLease, NewMessage};
use super::{Tx, bad_row, database, on};
use crate::error::{Error, Result};
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
    /// Stores a new subscription, unless the client has `limit` of them already.
    pub async fn add_subscription(
        &mut self,
        subscription: &Subscription,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<()> {
        // The lock makes two requests of one client wait for each other, so that the limit holds.
        on!(self,
            sqlite _c => Ok(()),
            postgres c => sqlx::query("SELECT 1 FROM client WHERE id = $1 FOR UPDATE")
                .bind(subscription.client).execute(c).await.map(drop))
        .map_err(database)?;
        let count: i64 =
            on!(self, c => sqlx::query_scalar("SELECT COUNT(*) FROM subscription WHERE client = $1")
            .bind(subscription.client).fetch_one(c).await)
            .map_err(database)?;
        if count >= i64::from(limit) {
            return Err(Error::invalid(
                "Subscription",
                format!("A client can have {limit} subscriptions. Delete one that is not needed any more"),
            ));
        }
        let senders = serde_json::to_string(&subscription.senders).unwrap_or_default();
        on!(self, c => sqlx::query(
            "INSERT INTO subscription (id, client, status, version, doc, senders, event_count, failures, error, \
             created, changed) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7, $8, $8)")
            .bind(subscription.id).bind(subscription.client).bind(&subscription.status).bind(subscription.version)
            .bind(subscription.doc.to_string()).bind(&senders).bind(&subscription.error).bind(now)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// Replaces the content and the status of a subscription and returns it with its new version and its number of
    /// events. `None` if it was deleted. Its line is due at once, so that its messages are sent or given up.
    pub async fn replace_subscription(
        &mut self,
        subscription: &Subscription,
        now: DateTime<Utc>,
    ) -> Result<Option<Subscription>> {
        let senders = serde_json::to_string(&subscription.senders).unwrap_or_default();
        let row: Option<Row> = on!(self, c => sqlx::query_as(
            "UPDATE subscription SET status = $2, version = version + 1, doc = $3, senders = $4, error = $5, \
             changed = $6, next_at = $6, failures = 0 WHERE id = $1 RETURNING id, client, status, version, doc, senders, event_count, error")
            .bind(subscription.id).bind(&subscription.status).bind(subscription.doc.to_string()).bind(&senders)
            .bind(&subscription.error).bind(now).fetch_optional(c).await)
        .map_err(database)?;
        row.map(Row::into_subscription).transpose()
    }

    /// Deletes a subscription. None of its messages is sent any more; the first `limit` of them are given up at once and
    /// the others by [`Tx::give_up_orphans`].
    pub async fn delete_subscription(&mut self, id: Uuid, limit: i64) -> Result<()> {
        on!(self, c => sqlx::query("DELETE FROM subscription WHERE id = $1").bind(id).execute(c).await.map(drop))
            .map_err(database)?;
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = 'dead', last_error = 'the subscription was deleted' WHERE id IN (\
             SELECT id FROM outbox WHERE line = $1 AND state = 'queued' ORDER BY number, id LIMIT $2)")
            .bind(id).bind(limit).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Gives up messages of subscriptions that were deleted, at most `limit`. Returns how many there were.
    pub async fn give_up_orphans(&mut self, limit: i64) -> Result<u64> {
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = 'dead', last_error = 'the subscription was deleted' WHERE id IN (\
             SELECT o.id FROM outbox o WHERE o.state = 'queued' AND o.line > $1 \
             AND NOT EXISTS (SELECT 1 FROM subscription s WHERE s.id = o.line) LIMIT $2)")
            .bind(Uuid::nil()).bind(limit).execute(c).await.map(|r| r.rows_affected()))
        .map_err(database)
    }

    /// Adds the handshake of a subscription to its line, before all events.
    pub async fn enqueue_handshake(
        &mut self,
        subscription: &Subscription,
        payload: String,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let message = NewMessage {
            case: None,
            kind: "notification",
            recipient: format!("subscription/{}", subscription.id),
            line: Some((subscription.id, 0)),
            payload,
        };
        self.enqueue_messages(vec![message], now).await?;
        self.count_events(subscription.id, 0, Some(now)).await
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

    /// All subscriptions of a client, locked in the order of their ids until the unit of work ends.
    pub(super) async fn lock_subscriptions_of(&mut self, client: Uuid) -> Result<Vec<Subscription>> {
        let rows: Vec<Row> = on!(self,
            sqlite c => sqlx::query_as(
                "SELECT id, client, status, version, doc, senders, event_count, error FROM subscription \
                 WHERE client = $1 ORDER BY id")
                .bind(client).fetch_all(c).await,
            postgres c => sqlx::query_as(
                "SELECT id, client, status, version, doc, senders, event_count, error FROM subscription \
                 WHERE client = $1 ORDER BY id FOR UPDATE")
                .bind(client).fetch_all(c).await)
        .map_err(database)?;
        rows.into_iter().map(Row::into_subscription).collect()
    }

    /// Counts new events of a locked subscription. With `due` its line is due then, unless it is due earlier.
    pub(super) async fn count_events(
        &mut self,
        id: Uuid,
        count: i64,
        due: Option<DateTime<Utc>>,
    ) -> Result<()> {
        on!(self, c => sqlx::query(
            "UPDATE subscription SET event_count = event_count + $2, next_at = COALESCE(next_at, $3) WHERE id = $1")
            .bind(id).bind(count).bind(due).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Sets the status that follows from sending, unless the client changed or deleted the subscription since, or
    /// another process has leased its line. `error` contains no message content.
    pub async fn set_subscription_status(
        &mut self,
        lease: LineLease,
        status: &str,
        error: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        on!(self, c => sqlx::query(
            "UPDATE subscription SET status = $4, error = $5, changed = $6 \
             WHERE id = $1 AND lease_owner = $2 AND version = $3 AND status IN ('requested', 'active')")
            .bind(lease.subscription).bind(lease.owner).bind(lease.version).bind(status).bind(error).bind(now)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// A subscription whose line the process has leased; none if it was deleted or the lease was lost.
    pub async fn leased_subscription(&mut self, id: Uuid, owner: Uuid) -> Result<Option<Subscription>> {
        let row: Option<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, client, status, version, doc, senders, event_count, error FROM subscription \
             WHERE id = $1 AND lease_owner = $2")
            .bind(id).bind(owner).fetch_optional(c).await)
        .map_err(database)?;
        row.map(Row::into_subscription).transpose()
    }
}
