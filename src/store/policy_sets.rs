//! The tables `policy_set`, `public_list`, `publication` and `proposal`: the files of every policy set that was
//! published or proposed; the log of publications with time, method and staff, each with the public list of its day;
//! and the one proposal that may wait for a second person. `publication` checks who may propose and confirm.

use super::{Tx, bad_row, database, on};
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// How a policy set was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicationMethod {
    /// The server was started with the folders.
    Start,
    /// The operator sent SIGHUP.
    Signal,
    /// A file in the folders changed (demo only).
    FileChange,
    /// One person proposed it and another confirmed it.
    TwoPerson,
}

impl PublicationMethod {
    /// The name in the database, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Signal => "signal",
            Self::FileChange => "file-change",
            Self::TwoPerson => "two-person",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Start, Self::Signal, Self::FileChange, Self::TwoPerson]
            .into_iter()
            .find(|method| method.as_str() == name)
    }
}

/// One entry of the publication log. The policy set of the entry with the highest number is current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The row.
    pub id: Uuid,
    /// 1, 2, 3 … without gaps.
    pub number: i64,
    /// The hash of the policy set.
    pub set_hash: String,
    /// The hash of the public list on that day.
    pub list_hash: String,
    /// When it was published.
    pub at: DateTime<Utc>,
    /// How it was published.
    pub method: PublicationMethod,
    /// Who proposed it, for the two-person method.
    pub proposed_by: Option<StaffName>,
    /// Who confirmed it, for the two-person method.
    pub confirmed_by: Option<StaffName>,
}

/// A policy set that one person proposed and a second person has not confirmed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The row.
    pub id: Uuid,
    /// The hash of the policy set.
    pub set_hash: String,
    /// The number of the publication that was current when it was proposed.
    pub base: i64,
    /// Who proposed it.
    pub by: StaffName,
    /// When it was proposed.
    pub at: DateTime<Utc>,
}

/// A staff member as the log shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffName {
    /// The row in `staff_member`.
    pub id: Uuid,
    /// The sign-in name.
    pub username: String,
    /// The full name.
    pub name: String,
}

/// How a proposal was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposalResolution {
    /// A second person confirmed and thereby published it.
    Confirmed,
    /// A person withdrew it.
    Withdrawn,
    /// Another policy set was published first.
    Superseded,
}

impl ProposalResolution {
    fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Withdrawn => "withdrawn",
            Self::Superseded => "superseded",
        }
    }
}

#[derive(sqlx::FromRow)]
struct PublicationRow {
    id: Uuid,
    number: i64,
    set_hash: String,
    list_hash: String,
    at: DateTime<Utc>,
    method: String,
    proposed_by: Option<Uuid>,
    proposed_username: Option<String>,
    proposed_name: Option<String>,
    confirmed_by: Option<Uuid>,
    confirmed_username: Option<String>,
    confirmed_name: Option<String>,
}

impl PublicationRow {
    fn publication(self) -> Result<Publication> {
        let method = PublicationMethod::parse(&self.method)
            .ok_or_else(|| bad_row("publication", "method", self.id, "unknown method"))?;
        Ok(Publication {
            id: self.id,
            number: self.number,
            set_hash: self.set_hash,
            list_hash: self.list_hash,
            at: self.at,
            method,
            proposed_by: staff_name(self.proposed_by, self.proposed_username, self.proposed_name),
            confirmed_by: staff_name(self.confirmed_by, self.confirmed_username, self.confirmed_name),
        })
    }
}

fn staff_name(id: Option<Uuid>, username: Option<String>, name: Option<String>) -> Option<StaffName> {
    Some(StaffName {
        id: id?,
        username: username?,
        name: name?,
    })
}

#[derive(sqlx::FromRow)]
struct ProposalRow {
    id: Uuid,
    set_hash: String,
    base: i64,
    proposed_by: Uuid,
    username: String,
    name: String,
    proposed_at: DateTime<Utc>,
}

/// Selects log entries with staff names. It is a macro because `sqlx` only accepts literals.
macro_rules! select_publications {
    ($rest:literal) => {
        concat!(
            "SELECT l.id, l.number, l.set_hash, l.list_hash, l.at, l.method, l.proposed_by, \
             p.username AS proposed_username, p.name AS proposed_name, l.confirmed_by, c.username AS confirmed_username, c.name AS confirmed_name \
             FROM publication l LEFT JOIN staff_member p ON p.id = l.proposed_by \
             LEFT JOIN staff_member c ON c.id = l.confirmed_by ",
            $rest
        )
    };
}

impl Tx {
    /// Stores the files of a policy set under its hash. Storing the same set again changes nothing.
    pub async fn add_policy_set(
        &mut self,
        hash: &str,
        files: &[(String, String)],
        now: DateTime<Utc>,
    ) -> Result<()> {
        let files = serde_json::to_string(files).map_err(Error::internal)?;
        on!(self, c => sqlx::query(
            "INSERT INTO policy_set (hash, files, created) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING")
            .bind(hash).bind(&files).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// The files of a policy set as a JSON array of [path, text] pairs.
    pub async fn policy_set(&mut self, hash: &str) -> Result<Option<String>> {
        on!(self, c => sqlx::query_scalar("SELECT files FROM policy_set WHERE hash = $1")
            .bind(hash).fetch_optional(c).await)
        .map_err(database)
    }

    /// Stores a public list under its hash. Storing the same list again changes nothing.
    pub async fn add_public_list(&mut self, hash: &str, doc: &str, now: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO public_list (hash, doc, created) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING")
            .bind(hash).bind(doc).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// A public list as JSON, by its hash.
    pub async fn public_list(&mut self, hash: &str) -> Result<Option<String>> {
        on!(self, c => sqlx::query_scalar("SELECT doc FROM public_list WHERE hash = $1")
            .bind(hash).fetch_optional(c).await)
        .map_err(database)
    }

    /// Adds an entry to the log. The error is a conflict when another process has taken the number.
    pub async fn add_publication(&mut self, entry: &Publication) -> Result<()> {
        let id = |staff: &Option<StaffName>| staff.as_ref().map(|staff| staff.id);
        let (proposed, confirmed) = (id(&entry.proposed_by), id(&entry.confirmed_by));
        on!(self, c => sqlx::query(
            "INSERT INTO publication (id, number, set_hash, list_hash, at, method, proposed_by, confirmed_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(entry.id).bind(entry.number).bind(&entry.set_hash).bind(&entry.list_hash).bind(entry.at)
            .bind(entry.method.as_str()).bind(proposed).bind(confirmed).execute(c).await.map(drop))
        .map_err(database)
    }

    /// The number of the newest entry; 0 when nothing was published yet.
    pub async fn newest_publication_number(&mut self) -> Result<i64> {
        let number: Option<i64> =
            on!(self, c => sqlx::query_scalar("SELECT number FROM publication ORDER BY number DESC LIMIT 1")
                .fetch_optional(c).await)
            .map_err(database)?;
        Ok(number.unwrap_or(0))
    }

    /// The newest entries, up to `limit`, newest first.
    pub async fn publications(&mut self, limit: i64) -> Result<Vec<Publication>> {
        let rows =
            on!(self, c => sqlx::query_as::<_, PublicationRow>(select_publications!("ORDER BY l.number DESC LIMIT $1"))
            .bind(limit).fetch_all(c).await)
            .map_err(database)?;
        rows.into_iter().map(PublicationRow::publication).collect()
    }

    /// The newest entry, whose policy set is current.
    pub async fn newest_publication(&mut self) -> Result<Option<Publication>> {
        Ok(self.publications(1).await?.into_iter().next())
    }

    /// An entry by its row.
    pub async fn publication(&mut self, id: Uuid) -> Result<Option<Publication>> {
        let row = on!(self, c => sqlx::query_as::<_, PublicationRow>(select_publications!("WHERE l.id = $1"))
            .bind(id).fetch_optional(c).await)
        .map_err(database)?;
        row.map(PublicationRow::publication).transpose()
    }

    /// The last entry before an instant.
    pub async fn publication_before(&mut self, at: DateTime<Utc>) -> Result<Option<Publication>> {
        let row = on!(self, c => sqlx::query_as::<_, PublicationRow>(
            select_publications!("WHERE l.at < $1 ORDER BY l.number DESC LIMIT 1"))
            .bind(at).fetch_optional(c).await)
        .map_err(database)?;
        row.map(PublicationRow::publication).transpose()
    }

    /// When the newest entry was added.
    pub async fn last_publication_time(&mut self) -> Result<Option<DateTime<Utc>>> {
        on!(self, c => sqlx::query_scalar("SELECT at FROM publication ORDER BY number DESC LIMIT 1")
            .fetch_optional(c).await)
        .map_err(database)
    }

    /// Adds a proposal. The error is a conflict when another proposal is pending.
    pub async fn add_proposal(&mut self, proposal: &Proposal) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO proposal (id, set_hash, base, state, proposed_by, proposed_at) \
             VALUES ($1, $2, $3, 'pending', $4, $5)")
            .bind(proposal.id).bind(&proposal.set_hash).bind(proposal.base).bind(proposal.by.id).bind(proposal.at)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// The pending proposal.
    pub async fn pending_proposal(&mut self) -> Result<Option<Proposal>> {
        let row = on!(self, c => sqlx::query_as::<_, ProposalRow>(
            "SELECT q.id, q.set_hash, q.base, q.proposed_by, p.username, p.name, q.proposed_at FROM proposal q \
             JOIN staff_member p ON p.id = q.proposed_by WHERE q.state = 'pending'")
            .fetch_optional(c).await)
        .map_err(database)?;
        Ok(row.map(|row| Proposal {
            id: row.id,
            set_hash: row.set_hash,
            base: row.base,
            by: StaffName {
                id: row.proposed_by,
                username: row.username,
                name: row.name,
            },
            at: row.proposed_at,
        }))
    }

    /// Closes a proposal. Returns false when it was not pending any more.
    pub async fn close_proposal(
        &mut self,
        id: Uuid,
        resolution: ProposalResolution,
        by: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        on!(self, c => sqlx::query(
            "UPDATE proposal SET state = $2, closed_by = $3, closed_at = $4 WHERE id = $1 AND state = 'pending'")
            .bind(id).bind(resolution.as_str()).bind(by).bind(now).execute(c).await
            .map(|r| r.rows_affected() == 1))
        .map_err(database)
    }
}
