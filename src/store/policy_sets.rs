//! The tables `policy_set`, `public_list`, `publication` and `proposal`: every set that was ever put in force or proposed,
//! file by file; the log of what was put in force when, how and by whom, each entry with the public list of its day;
//! and the one set that may wait for a second person. Who may do what is asked elsewhere (`publication`).

use super::{Tx, bad_row, database, on};
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What made a set the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The server started with the folders.
    Start,
    /// The operator's signal.
    Signal,
    /// A file of the folders changed (demo alone).
    FileChange,
    /// One person proposed, another confirmed.
    TwoPeople,
}

impl How {
    /// The word that is stored, logged and counted.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Signal => "signal",
            Self::FileChange => "file-change",
            Self::TwoPeople => "two-people",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::Start, Self::Signal, Self::FileChange, Self::TwoPeople]
            .into_iter()
            .find(|how| how.word() == word)
    }
}

/// One entry of the log. The entry with the highest number is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The row.
    pub id: Uuid,
    /// 1, 2, 3 … without gaps.
    pub number: i64,
    /// The set's hash.
    pub set: String,
    /// The hash of the public list of that day.
    pub list: String,
    /// When.
    pub at: DateTime<Utc>,
    /// How.
    pub how: How,
    /// Who proposed it.
    pub proposed_by: Option<Named>,
    /// Who confirmed it.
    pub confirmed_by: Option<Named>,
}

/// A set that waits for a second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The row.
    pub id: Uuid,
    /// The set's hash.
    pub set: String,
    /// The number of the publication that it was compared with.
    pub base: i64,
    /// Who proposed it.
    pub by: Named,
    /// When.
    pub at: DateTime<Utc>,
}

/// A member of staff in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The person's row.
    pub id: Uuid,
    /// The sign-in name.
    pub username: String,
    /// The person's name.
    pub name: String,
}

/// How a proposal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// A second person put it in force.
    Confirmed,
    /// Somebody took it back.
    Withdrawn,
    /// Another set came into force before it.
    Overtaken,
}

impl Closed {
    fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Withdrawn => "withdrawn",
            Self::Overtaken => "overtaken",
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
    how: String,
    proposed_by: Option<Uuid>,
    proposed_username: Option<String>,
    proposed_name: Option<String>,
    confirmed_by: Option<Uuid>,
    confirmed_username: Option<String>,
    confirmed_name: Option<String>,
}

impl PublicationRow {
    fn publication(self) -> Result<Publication> {
        let how =
            How::read(&self.how).ok_or_else(|| bad_row("publication", "how", self.id, "an unknown word"))?;
        Ok(Publication {
            id: self.id,
            number: self.number,
            set: self.set_hash,
            list: self.list_hash,
            at: self.at,
            how,
            proposed_by: named(self.proposed_by, self.proposed_username, self.proposed_name),
            confirmed_by: named(self.confirmed_by, self.confirmed_username, self.confirmed_name),
        })
    }
}

fn named(id: Option<Uuid>, username: Option<String>, name: Option<String>) -> Option<Named> {
    Some(Named {
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
    proposed: DateTime<Utc>,
}

/// The log's columns with the people's names; a literal per query, since the driver takes no other text.
macro_rules! log {
    ($rest:literal) => {
        concat!(
            "SELECT l.id, l.number, l.set_hash, l.list_hash, l.at, l.how, l.proposed_by, p.username AS proposed_username, \
             p.name AS proposed_name, l.confirmed_by, c.username AS confirmed_username, c.name AS confirmed_name \
             FROM publication l LEFT JOIN person p ON p.id = l.proposed_by LEFT JOIN person c ON c.id = l.confirmed_by ",
            $rest
        )
    };
}

impl Tx {
    /// Keeps a set's files under its hash; the same set again changes nothing.
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

    /// Keeps a public list under its hash; the same list again changes nothing.
    pub async fn add_public_list(&mut self, hash: &str, doc: &str, now: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO public_list (hash, doc, created) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING")
            .bind(hash).bind(doc).bind(now).execute(c).await.map(drop))
        .map_err(database)
    }

    /// A public list as JSON.
    pub async fn public_list(&mut self, hash: &str) -> Result<Option<String>> {
        on!(self, c => sqlx::query_scalar("SELECT doc FROM public_list WHERE hash = $1")
            .bind(hash).fetch_optional(c).await)
        .map_err(database)
    }

    /// Adds an entry to the log. A number that is taken is a conflict: another process was first.
    pub async fn add_publication(&mut self, entry: &Publication) -> Result<()> {
        let person = |who: &Option<Named>| who.as_ref().map(|who| who.id);
        let (proposed, confirmed) = (person(&entry.proposed_by), person(&entry.confirmed_by));
        on!(self, c => sqlx::query(
            "INSERT INTO publication (id, number, set_hash, list_hash, at, how, proposed_by, confirmed_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(entry.id).bind(entry.number).bind(&entry.set).bind(&entry.list).bind(entry.at)
            .bind(entry.how.word()).bind(proposed).bind(confirmed).execute(c).await.map(drop))
        .map_err(database)
    }

    /// The number of the newest entry; 0 for an empty log.
    pub async fn newest_number(&mut self) -> Result<i64> {
        let number: Option<i64> =
            on!(self, c => sqlx::query_scalar("SELECT number FROM publication ORDER BY number DESC LIMIT 1")
                .fetch_optional(c).await)
            .map_err(database)?;
        Ok(number.unwrap_or(0))
    }

    /// The newest entries, the newest first.
    pub async fn publications(&mut self, most: i64) -> Result<Vec<Publication>> {
        let rows =
            on!(self, c => sqlx::query_as::<_, PublicationRow>(log!("ORDER BY l.number DESC LIMIT $1"))
            .bind(most).fetch_all(c).await)
            .map_err(database)?;
        rows.into_iter().map(PublicationRow::publication).collect()
    }

    /// The entry that is in force.
    pub async fn newest_publication(&mut self) -> Result<Option<Publication>> {
        Ok(self.publications(1).await?.into_iter().next())
    }

    /// An entry by its row.
    pub async fn publication(&mut self, id: Uuid) -> Result<Option<Publication>> {
        let row = on!(self, c => sqlx::query_as::<_, PublicationRow>(log!("WHERE l.id = $1"))
            .bind(id).fetch_optional(c).await)
        .map_err(database)?;
        row.map(PublicationRow::publication).transpose()
    }

    /// The entry that was in force just before an instant.
    pub async fn publication_before(&mut self, at: DateTime<Utc>) -> Result<Option<Publication>> {
        let row = on!(self, c => sqlx::query_as::<_, PublicationRow>(
            log!("WHERE l.at < $1 ORDER BY l.number DESC LIMIT 1"))
            .bind(at).fetch_optional(c).await)
        .map_err(database)?;
        row.map(PublicationRow::publication).transpose()
    }

    /// When a set was last put in force.
    pub async fn last_publication(&mut self) -> Result<Option<DateTime<Utc>>> {
        on!(self, c => sqlx::query_scalar("SELECT at FROM publication ORDER BY number DESC LIMIT 1")
            .fetch_optional(c).await)
        .map_err(database)
    }

    /// Adds a proposal. A second one that waits is a conflict.
    pub async fn add_proposal(&mut self, proposal: &Proposal) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO proposal (id, set_hash, base, state, proposed_by, proposed) \
             VALUES ($1, $2, $3, 'pending', $4, $5)")
            .bind(proposal.id).bind(&proposal.set).bind(proposal.base).bind(proposal.by.id).bind(proposal.at)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// The proposal that waits.
    pub async fn pending_proposal(&mut self) -> Result<Option<Proposal>> {
        let row = on!(self, c => sqlx::query_as::<_, ProposalRow>(
            "SELECT q.id, q.set_hash, q.base, q.proposed_by, p.username, p.name, q.proposed FROM proposal q \
             JOIN person p ON p.id = q.proposed_by WHERE q.state = 'pending'")
            .fetch_optional(c).await)
        .map_err(database)?;
        Ok(row.map(|row| Proposal {
            id: row.id,
            set: row.set_hash,
            base: row.base,
            by: Named {
                id: row.proposed_by,
                username: row.username,
                name: row.name,
            },
            at: row.proposed,
        }))
    }

    /// Ends a proposal; false when it did not wait any more.
    pub async fn close_proposal(
        &mut self,
        id: Uuid,
        how: Closed,
        by: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        on!(self, c => sqlx::query(
            "UPDATE proposal SET state = $2, closed_by = $3, closed = $4 WHERE id = $1 AND state = 'pending'")
            .bind(id).bind(how.word()).bind(by).bind(now).execute(c).await.map(|done| done.rows_affected() == 1))
        .map_err(database)
    }
}
