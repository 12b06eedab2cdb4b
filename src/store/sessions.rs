//! The table `session`: who is signed in to the pages. The cookie's secret is stored as its fingerprint.

use super::{Tx, bad_row, database, on};
use crate::error::Result;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What kind of account is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// A staff account (`staff_member`).
    Staff,
    /// A member account (`member_login`).
    Member,
}

impl SessionKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Member => "member",
        }
    }
}

/// A signed-in session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The fingerprint of the cookie's secret.
    pub hash: String,
    /// Staff or member.
    pub kind: SessionKind,
    /// The row of the account.
    pub subject: Uuid,
    /// The secret in every form of the session, against cross-site request forgery.
    pub csrf: String,
    /// When the person signed in.
    pub created: DateTime<Utc>,
    /// When the session was last used.
    pub seen: DateTime<Utc>,
    /// When the session expires unless it is used.
    pub expires: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    hash: String,
    kind: String,
    subject: Uuid,
    csrf: String,
    created: DateTime<Utc>,
    seen: DateTime<Utc>,
    expires: DateTime<Utc>,
}

impl SessionRow {
    fn into_session(self) -> Result<Session> {
        let kind = match self.kind.as_str() {
            "staff" => SessionKind::Staff,
            "member" => SessionKind::Member,
            _ => return Err(bad_row("session", "kind", self.subject, "unknown kind")),
        };
        let Self {
            hash,
            subject,
            csrf,
            created,
            seen,
            expires,
            ..
        } = self;
        Ok(Session {
            hash,
            kind,
            subject,
            csrf,
            created,
            seen,
            expires,
        })
    }
}

impl Tx {
    /// Stores a new session.
    pub async fn open_session(&mut self, session: &Session) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO session (hash, kind, subject, csrf, created, seen, expires) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&session.hash)
        .bind(session.kind.as_str())
        .bind(session.subject)
        .bind(&session.csrf)
        .bind(session.created)
        .bind(session.seen)
        .bind(session.expires)
        .execute(c)
        .await
        .map(drop))
        .map_err(database)
    }

    /// The session with this fingerprint, unless it has expired.
    pub async fn session(&mut self, hash: &str, now: DateTime<Utc>) -> Result<Option<Session>> {
        let row = on!(self, c => sqlx::query_as::<_, SessionRow>(
            "SELECT hash, kind, subject, csrf, created, seen, expires FROM session WHERE hash = $1 AND expires > $2",
        )
        .bind(hash)
        .bind(now)
        .fetch_optional(c)
        .await)
        .map_err(database)?;
        row.map(SessionRow::into_session).transpose()
    }

    /// Records that a session was used and extends it.
    pub async fn touch_session(
        &mut self,
        hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<()> {
        on!(self, c => sqlx::query("UPDATE session SET seen = $1, expires = $2 WHERE hash = $3")
            .bind(now)
            .bind(expires)
            .bind(hash)
            .execute(c)
            .await
            .map(drop))
        .map_err(database)
    }

    /// Ends a session.
    pub async fn close_session(&mut self, hash: &str) -> Result<()> {
        on!(self, c => sqlx::query("DELETE FROM session WHERE hash = $1").bind(hash).execute(c).await.map(drop))
            .map_err(database)
    }

    /// Ends every session of an account.
    pub async fn close_sessions_of(&mut self, subject: Uuid) -> Result<()> {
        on!(self, c => sqlx::query("DELETE FROM session WHERE subject = $1").bind(subject).execute(c).await.map(drop))
            .map_err(database)
    }
}
