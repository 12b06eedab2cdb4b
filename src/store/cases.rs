//! The tables of cases: append-only events, the columns computed from them in the same transaction, the request as
//! received, and the numbers by which a case can be found.

use super::{Batch, Tx, bad_row, database, on};
use crate::error::{Error, Result};
use crate::prior_auth::{
    Actor, Event, EventBody, GENESIS, Outcome, PriorAuth, chain_hash, read_shared_verdicts,
};
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

/// One row of the table `event`.
#[derive(FromRow)]
pub(super) struct EventRow {
    seq: i64,
    at: DateTime<Utc>,
    kind: String,
    role: String,
    body: String,
    prev_hash: String,
    hash: String,
}

/// An event with what its row has beside it.
struct EventColumns<'a> {
    event: &'a Event,
    credential: Option<String>,
    body: String,
    previous: String,
    hash: String,
}

impl<'a> EventColumns<'a> {
    /// The rows of events that follow the event with the hash `previous`.
    fn of(events: &'a [Event], mut previous: String) -> Result<Vec<Self>> {
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            let body = serde_json::to_string(&StoredBody {
                actor: &event.actor,
                content: &event.body,
            })
            .map_err(|e| Error::internal(format!("an event cannot be serialized: {e}")))?;
            let hash = chain_hash(&previous, event, &body);
            let credential = event.actor.reviewer().and_then(|r| r.credential.as_ref());
            rows.push(Self {
                event,
                credential: credential.and_then(|c| serde_json::to_string(c).ok()),
                body,
                previous: std::mem::replace(&mut previous, hash.clone()),
                hash,
            });
        }
        Ok(rows)
    }
}

/// A number by which a case can be found.
struct NumberAlias<'a> {
    number: &'a str,
    kind: &'static str,
    created: DateTime<Utc>,
}

/// The authorization numbers of approvals.
fn authorization_numbers(events: &[Event]) -> impl Iterator<Item = NumberAlias<'_>> {
    events.iter().filter_map(|event| match &event.body {
        EventBody::Decided { outcome, .. } => match outcome.as_ref() {
            Outcome::Approved(approval) => Some(NumberAlias {
                number: &approval.number,
                kind: "authorization",
                created: event.at,
            }),
            _ => None,
        },
        _ => None,
    })
}

impl Batch {
    /// Adds a new case: the request as received, the computed columns, items, events and numbers.
    pub(super) fn add_case(&mut self, case: &PriorAuth, events: &[Event], request: &str) -> Result<()> {
        let received = &case.received;
        self.sql("INSERT INTO blob (id, kind, body, created) VALUES ($1, 'pas-request', $2, $3)")
            .bind(received.request)
            .bind(request)
            .bind(case.received_at);
        self.sql(
            "INSERT INTO prior_auth (id, client, member, coverage, request, line_of_business, status, queue, urgent, \
             received, due_internal, version, changed, requester_npi, app_access, approval_ends) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .bind(case.id)
        .bind(received.client)
        .bind(received.member)
        .bind(received.coverage)
        .bind(received.request)
        .bind(received.line_of_business.as_str())
        .bind(case.status())
        .bind(case.queue())
        .bind(received.urgent)
        .bind(case.received_at)
        .bind(received.due.internal)
        .bind(i64::from(case.version))
        .bind(case.changed)
        .bind(received.requester_npi.as_deref())
        .bind(received.app_access.as_str())
        .bind(approval_ends(case).as_str());
        let insert = "INSERT INTO item (case_id, sequence, system, code, status)";
        self.rows(insert, 5, &case.items, |row, item| {
            row.bind(case.id)
                .bind(i64::from(item.sequence))
                .bind(item.system.as_str())
                .bind(item.code.as_str())
                .bind(item.status.as_str());
        });
        let references = case.items.iter().map(|item| NumberAlias {
            number: &item.reference_number,
            kind: "reference",
            created: case.received_at,
        });
        self.add_numbers(case.id, references.chain(authorization_numbers(events)));
        self.add_events(case.id, GENESIS.to_owned(), events)?;
        self.add_queue_changes(None, case);
        Ok(())
    }

    fn add_events(&mut self, case: Uuid, previous: String, events: &[Event]) -> Result<()> {
        let rows = EventColumns::of(events, previous)?;
        let insert =
            "INSERT INTO event (case_id, seq, at, kind, actor, role, credential, body, prev_hash, hash)";
        self.rows(insert, 10, &rows, |row, columns| {
            let event = columns.event;
            row.bind(case)
                .bind(i64::from(event.seq))
                .bind(event.at)
                .bind(event.body.kind())
                .bind(actor_key(&event.actor))
                .bind(event.actor.role())
                .bind(columns.credential.as_deref())
                .bind(columns.body.as_str())
                .bind(columns.previous.as_str())
                .bind(columns.hash.as_str());
        });
        Ok(())
    }

    fn add_numbers<'n>(&mut self, case: Uuid, numbers: impl Iterator<Item = NumberAlias<'n>>) {
        let insert = "INSERT INTO number_alias (number, case_id, kind, created)";
        self.rows(insert, 4, numbers, |row, alias| {
            row.bind(alias.number)
                .bind(case)
                .bind(alias.kind)
                .bind(alias.created);
        });
    }
}

impl Tx {
    /// Stores a new case: the request as received, the computed columns, items, events and numbers.
    pub async fn open_case(&mut self, case: &PriorAuth, events: &[Event], request: &str) -> Result<()> {
        let mut batch = self.batch();
        batch.add_case(case, events, request)?;
        batch.run(self).await.map(drop)
    }

    /// Adds events to a case and updates its computed columns. If the case has changed since `before` was read, nothing
    /// is written and the error is a conflict.
    pub async fn append(&mut self, before: &PriorAuth, events: &[Event]) -> Result<PriorAuth> {
        let mut after = before.clone();
        for event in events {
            after.apply(event);
        }
        let last: String =
            on!(self, c => sqlx::query_scalar("SELECT hash FROM event WHERE case_id = $1 AND seq = $2")
            .bind(before.id).bind(i64::from(before.version)).fetch_one(c).await)
            .map_err(database)?;
        let mut batch = self.batch();
        batch
            .sql(
                "UPDATE prior_auth SET status = $1, queue = $2, version = $3, changed = $4, approval_ends = $5 \
                 WHERE id = $6 AND version = $7",
            )
            .bind(after.status())
            .bind(after.queue())
            .bind(i64::from(after.version))
            .bind(after.changed)
            .bind(approval_ends(&after).as_str())
            .bind(before.id)
            .bind(i64::from(before.version))
            .must_change(
                "This case was updated while you were working. Review it again before you decide",
            );
        let changed = before.items.iter().zip(&after.items);
        for (_, item) in changed.filter(|(before, after)| before.status != after.status) {
            batch
                .sql("UPDATE item SET status = $1 WHERE case_id = $2 AND sequence = $3")
                .bind(item.status.as_str())
                .bind(before.id)
                .bind(i64::from(item.sequence));
        }
        batch.add_numbers(before.id, authorization_numbers(events));
        batch.add_events(before.id, last, events)?;
        batch.add_queue_changes(Some(before), &after);
        batch.run(self).await?;
        Ok(after)
    }

    /// All events of a case in order. The error names the row when the hash chain is broken or a row cannot be read.
    pub async fn events(&mut self, case: Uuid) -> Result<Vec<Event>> {
        let rows: Vec<EventRow> = on!(self, c => sqlx::query_as(
            "SELECT seq, at, kind, role, body, prev_hash, hash FROM event WHERE case_id = $1 ORDER BY seq")
            .bind(case).fetch_all(c).await)
        .map_err(database)?;
        read_events(case, rows)
    }

    /// A case, computed from its events.
    pub async fn case(&mut self, id: Uuid) -> Result<Option<PriorAuth>> {
        let events = self.events(id).await?;
        if events.is_empty() {
            return Ok(None);
        }
        replay(id, &events).map(Some)
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
}

/// The events of a case from its rows, in their order. The error names the row when the hash chain is broken or a row
/// cannot be read.
pub(super) fn read_events(case: Uuid, rows: Vec<EventRow>) -> Result<Vec<Event>> {
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
        if !columns_match || row.prev_hash != previous || row.hash != chain_hash(&previous, &event, &row.body)
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
    read_shared_verdicts(&mut events).map_err(|sequence| {
        let place = format!("{case}, item {sequence}");
        bad_row(
            "event",
            "body",
            place,
            "no item before it has the verdict that it names",
        )
    })?;
    Ok(events)
}

/// The case that these events make.
pub(super) fn replay(id: Uuid, events: &[Event]) -> Result<PriorAuth> {
    PriorAuth::replay(id, events).ok_or_else(|| {
        bad_row(
            "event",
            "kind",
            id,
            "the history does not begin with the receipt of the request",
        )
    })
}

/// The value of the column `prior_auth.approval_ends`.
fn approval_ends(case: &PriorAuth) -> String {
    let ends: Vec<String> = case.approval_ends().map(|end| end.to_rfc3339()).collect();
    ends.join(" ")
}

/// The value of the column `event.actor`. A member is never an actor.
fn actor_key(actor: &Actor) -> String {
    match actor {
        Actor::Software => "software".to_owned(),
        Actor::Client { id } => format!("client/{id}"),
        Actor::Staff(reviewer) => format!("staff/{}", reviewer.id),
    }
}
