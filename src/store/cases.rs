//! The tables of cases: append-only events, the columns computed from them in the same transaction, the request as
//! received, the numbers by which a case can be found, and the responses to submissions.

use super::{Tx, bad_row, database, on};
use crate::error::{Error, Result};
use crate::prior_auth::{Actor, Event, EventBody, GENESIS, PriorAuth, chain_hash};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

/// The JSON in the column `event.body`: actor and content as they were at the time of the event.
#[derive(Serialize, Deserialize)]
struct StoredBody<A, B> {
    actor: A,
    content: B,
}

#[derive(FromRow)]
struct EventRow {
    seq: i64,
    at: DateTime<Utc>,
    kind: String,
    role: String,
    body: String,
    prev_hash: String,
    hash: String,
}

/// The stored response to an earlier submission.
#[derive(Debug, FromRow)]
pub struct Submission {
    /// The case that the submission opened.
    pub case_id: Uuid,
    /// The case's version in the response.
    pub version: i64,
    /// The response, exactly as sent.
    pub response: String,
    /// When the submission was received.
    pub created: DateTime<Utc>,
}

impl Tx {
    /// Stores a new case: the request as received, the computed columns, items, events and numbers.
    pub async fn open_case(&mut self, case: &PriorAuth, events: &[Event], request: &str) -> Result<()> {
        let received = &case.received;
        on!(self, c => sqlx::query("INSERT INTO blob (id, kind, body, created) VALUES ($1, 'pas-request', $2, $3)")
            .bind(received.request).bind(request).bind(case.received_at).execute(c).await.map(drop))
        .map_err(database)?;
        on!(self, c => sqlx::query(
            "INSERT INTO prior_auth (id, client, member, coverage, request, line_of_business, status, queue, urgent, \
             received, due_internal, version, changed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
            .bind(case.id).bind(received.client).bind(received.member).bind(received.coverage)
            .bind(received.request).bind(&received.line_of_business).bind(case.status()).bind(case.queue())
            .bind(received.urgent).bind(case.received_at).bind(received.due.internal)
            .bind(i64::from(case.version)).bind(case.changed).execute(c).await.map(drop))
        .map_err(database)?;
        for item in &case.items {
            on!(self, c => sqlx::query(
                "INSERT INTO item (case_id, sequence, system, code, status) VALUES ($1, $2, $3, $4, $5)")
                .bind(case.id).bind(i64::from(item.sequence)).bind(&item.system).bind(&item.code)
                .bind(item.status.as_str()).execute(c).await.map(drop))
            .map_err(database)?;
            self.add_number(case.id, &item.reference_number, "reference", case.received_at)
                .await?;
        }
        self.add_events(case.id, GENESIS.to_owned(), events).await
    }

    /// Adds events to a case and updates its computed columns. If the case has changed since `before` was read, nothing
    /// is written and the error is a conflict.
    pub async fn append(&mut self, before: &PriorAuth, events: &[Event]) -> Result<PriorAuth> {
        let mut after = before.clone();
        for event in events {
            after.apply(event);
        }
        let changed = on!(self, c => sqlx::query(
            "UPDATE prior_auth SET status = $1, queue = $2, version = $3, changed = $4 WHERE id = $5 AND version = $6")
            .bind(after.status()).bind(after.queue()).bind(i64::from(after.version)).bind(after.changed)
            .bind(before.id).bind(i64::from(before.version)).execute(c).await.map(|r| r.rows_affected()))
        .map_err(database)?;
        if changed != 1 {
            return Err(Error::conflict(
                "This case was updated while you were working. Review it again before you decide",
            ));
        }
        for item in &after.items {
            on!(self, c => sqlx::query("UPDATE item SET status = $1 WHERE case_id = $2 AND sequence = $3")
                .bind(item.status.as_str()).bind(before.id).bind(i64::from(item.sequence)).execute(c).await.map(drop))
            .map_err(database)?;
        }
        let last: String =
            on!(self, c => sqlx::query_scalar("SELECT hash FROM event WHERE case_id = $1 AND seq = $2")
            .bind(before.id).bind(i64::from(before.version)).fetch_one(c).await)
            .map_err(database)?;
        self.add_events(before.id, last, events).await?;
        Ok(after)
    }

    async fn add_events(&mut self, case: Uuid, mut previous: String, events: &[Event]) -> Result<()> {
        for event in events {
            let body = serde_json::to_string(&StoredBody {
                actor: &event.actor,
                content: &event.body,
            })
            .map_err(|e| Error::internal(format!("an event cannot be serialized: {e}")))?;
            let hash = chain_hash(&previous, event, &body);
            let credential = event.actor.reviewer().and_then(|r| r.credential.as_ref());
            let credential = credential.and_then(|c| serde_json::to_string(c).ok());
            on!(self, c => sqlx::query(
                "INSERT INTO event (case_id, seq, at, kind, actor, role, credential, body, prev_hash, hash) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
                .bind(case).bind(i64::from(event.seq)).bind(event.at).bind(event.body.kind())
                .bind(actor_key(&event.actor)).bind(event.actor.role()).bind(&credential).bind(&body)
                .bind(&previous).bind(&hash).execute(c).await.map(drop))
            .map_err(database)?;
            if let EventBody::Decided { outcome, .. } = &event.body
                && let crate::prior_auth::Outcome::Approved(approval) = outcome.as_ref()
            {
                self.add_number(case, &approval.number, "authorization", event.at)
                    .await?;
            }
            previous = hash;
        }
        Ok(())
    }

    async fn add_number(&mut self, case: Uuid, number: &str, kind: &str, now: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query("INSERT INTO number_alias (number, case_id, kind, created) VALUES ($1, $2, $3, $4)")
            .bind(number).bind(case).bind(kind).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// All events of a case in order. The error names the row when the hash chain is broken or a row cannot be read.
    pub async fn events(&mut self, case: Uuid) -> Result<Vec<Event>> {
        let rows: Vec<EventRow> = on!(self, c => sqlx::query_as(
            "SELECT seq, at, kind, role, body, prev_hash, hash FROM event WHERE case_id = $1 ORDER BY seq")
            .bind(case).fetch_all(c).await)
        .map_err(database)?;
        let mut previous = GENESIS.to_owned();
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let place = format!("{case}/{}", row.seq);
            let stored: StoredBody<Actor, EventBody> =
                serde_json::from_str(&row.body).map_err(|e| bad_row("event", "body", &place, e))?;
            let seq = u32::try_from(row.seq).map_err(|e| bad_row("event", "seq", &place, e))?;
            let event = Event {
                seq,
                at: row.at,
                actor: stored.actor,
                body: stored.content,
            };
            let columns_match = row.kind == event.body.kind() && row.role == event.actor.role();
            if !columns_match
                || row.prev_hash != previous
                || row.hash != chain_hash(&previous, &event, &row.body)
            {
                return Err(bad_row(
                    "event",
                    "hash",
                    &place,
                    "the hash chain of events is broken here",
                ));
            }
            previous = row.hash;
            events.push(event);
        }
        Ok(events)
    }

    /// A case, computed from its events.
    pub async fn case(&mut self, id: Uuid) -> Result<Option<PriorAuth>> {
        let events = self.events(id).await?;
        if events.is_empty() {
            return Ok(None);
        }
        PriorAuth::replay(id, &events).map(Some).ok_or_else(|| {
            bad_row(
                "event",
                "kind",
                id,
                "the history does not begin with the receipt of the request",
            )
        })
    }

    /// The cases of a member, last changed first.
    pub async fn cases_of_member(&mut self, member: Uuid) -> Result<Vec<PriorAuth>> {
        let ids: Vec<Uuid> = on!(self, c => sqlx::query_scalar(
            "SELECT id FROM prior_auth WHERE member = $1 ORDER BY changed DESC, id")
            .bind(member).fetch_all(c).await)
        .map_err(database)?;
        self.cases(ids).await
    }

    /// The open cases in the order of the queue (due time, time of receipt, id), at most 500.
    pub async fn open_cases(&mut self) -> Result<Vec<PriorAuth>> {
        let ids: Vec<Uuid> = on!(self, c => sqlx::query_scalar(
            "SELECT id FROM prior_auth WHERE status IN ('intake', 'clinical-review', 'physician-review') \
             ORDER BY due_internal, received, id LIMIT 500")
            .fetch_all(c).await)
        .map_err(database)?;
        self.cases(ids).await
    }

    /// The number of open cases.
    pub async fn count_open_cases(&mut self) -> Result<i64> {
        on!(self, c => sqlx::query_scalar(
            "SELECT COUNT(*) FROM prior_auth WHERE status IN ('intake', 'clinical-review', 'physician-review')")
            .fetch_one(c).await)
        .map_err(database)
    }

    /// When an open case last changed.
    pub async fn last_change_of_open_cases(&mut self) -> Result<Option<DateTime<Utc>>> {
        on!(self, c => sqlx::query_scalar(
            "SELECT changed FROM prior_auth WHERE status IN ('intake', 'clinical-review', 'physician-review') \
             ORDER BY changed DESC LIMIT 1")
            .fetch_optional(c).await)
        .map_err(database)
    }

    async fn cases(&mut self, ids: Vec<Uuid>) -> Result<Vec<PriorAuth>> {
        let mut cases = Vec::with_capacity(ids.len());
        for id in ids {
            cases.extend(self.case(id).await?);
        }
        Ok(cases)
    }

    /// The request as it was received.
    pub async fn request_text(&mut self, blob: Uuid) -> Result<String> {
        on!(self, c => sqlx::query_scalar("SELECT body FROM blob WHERE id = $1").bind(blob).fetch_one(c).await)
            .map_err(database)
    }

    /// Stores a text that no query reads, such as feedback on a card.
    pub async fn add_blob(&mut self, id: Uuid, kind: &str, body: &str, now: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query("INSERT INTO blob (id, kind, body, created) VALUES ($1, $2, $3, $4)")
            .bind(id).bind(kind).bind(body).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// The case with an authorization number or tracking number; numbers never expire.
    pub async fn case_by_number(&mut self, number: &str) -> Result<Option<Uuid>> {
        on!(self, c => sqlx::query_scalar("SELECT case_id FROM number_alias WHERE number = $1")
            .bind(number).fetch_optional(c).await)
        .map_err(database)
    }

    /// The stored response to an earlier submission of the same request.
    pub async fn submission(&mut self, client: Uuid, key: &str) -> Result<Option<Submission>> {
        on!(self, c => sqlx::query_as(
            "SELECT case_id, version, response, created FROM submission WHERE client = $1 AND key = $2")
            .bind(client).bind(key).fetch_optional(c).await)
        .map_err(database)
    }

    /// Stores the response to a request. `replaces` deletes an earlier response whose replay window has ended.
    pub async fn add_submission(
        &mut self,
        client: Uuid,
        key: &str,
        case: &PriorAuth,
        response: &str,
        replaces: bool,
    ) -> Result<()> {
        if replaces {
            on!(self, c => sqlx::query("DELETE FROM submission WHERE client = $1 AND key = $2")
                .bind(client).bind(key).execute(c).await.map(drop))
            .map_err(database)?;
        }
        on!(self, c => sqlx::query(
            "INSERT INTO submission (client, key, case_id, version, response, created) \
             VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(client).bind(key).bind(case.id).bind(i64::from(case.version)).bind(response)
            .bind(case.received_at).execute(c).await.map(drop))
        .map_err(database)
    }
}

/// The value of the column `event.actor`. A member is never an actor.
fn actor_key(actor: &Actor) -> String {
    match actor {
        Actor::Software => "software".to_owned(),
        Actor::Client { id } => format!("client/{id}"),
        Actor::Staff(reviewer) => format!("staff/{}", reviewer.id),
    }
}
