//! Who calls: the client of an access token or of an issuer, in one statement. A client that is disabled, a token that has
//! ended and a grant that has ended are not found. `client_cache` of `auth` parses the documents.

use super::{Tx, database, on};
use crate::error::Result;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// An enabled client with its registration document as text.
#[derive(Debug, FromRow)]
pub struct StoredClient {
    /// The row.
    pub id: Uuid,
    /// The OAuth `client_id`.
    pub client_id: String,
    /// The name that staff and members see.
    pub name: String,
    /// Keys and permissions, as JSON.
    pub doc: String,
}

/// The client of a backend service's access token.
#[derive(Debug, FromRow)]
pub struct BackendRow {
    /// The client.
    #[sqlx(flatten)]
    pub client: StoredClient,
    /// The scopes of the token, separated by spaces.
    pub scope: String,
}

/// The client of an app's access token, and what the member allowed it.
#[derive(Debug, FromRow)]
pub struct AppRow {
    /// The client.
    #[sqlx(flatten)]
    pub client: StoredClient,
    /// The grant.
    pub grant_id: Uuid,
    /// The member.
    pub member: Uuid,
    /// Whether the member shares records that are marked sensitive.
    pub sensitive: bool,
    /// The scopes of the token, separated by spaces.
    pub scope: String,
}

impl Tx {
    /// The backend service that holds this access token at a time.
    pub async fn backend_caller(&mut self, hash: &str, now: DateTime<Utc>) -> Result<Option<BackendRow>> {
        on!(self, c => sqlx::query_as(
            "SELECT c.id, c.client_id, c.name, c.doc, t.scope FROM token t JOIN client c ON c.id = t.client \
             WHERE t.hash = $1 AND t.kind = 'access' AND t.grant_id IS NULL AND t.ended IS NULL AND t.expires > $2 \
             AND c.disabled = $3")
            .bind(hash).bind(now).bind(false).fetch_optional(c).await)
        .map_err(database)
    }

    /// The app that holds this access token for `audience` at a time.
    pub async fn app_caller(
        &mut self,
        hash: &str,
        audience: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<AppRow>> {
        on!(self, c => sqlx::query_as(
            "SELECT c.id, c.client_id, c.name, c.doc, t.grant_id, g.member, g.sensitive, t.scope FROM token t \
             JOIN \"grant\" g ON g.id = t.grant_id JOIN member_login l ON l.id = g.login JOIN client c ON c.id = t.client \
             WHERE t.hash = $1 AND t.kind = 'access' AND t.aud = $2 AND t.ended IS NULL AND t.expires > $3 \
             AND g.ended IS NULL AND l.disabled = $4 AND c.disabled = $4")
            .bind(hash).bind(audience).bind(now).bind(false).fetch_optional(c).await)
        .map_err(database)
    }

    /// The client whose hook calls have this issuer.
    pub async fn hook_caller(&mut self, issuer: &str) -> Result<Option<StoredClient>> {
        on!(self, c => sqlx::query_as(
            "SELECT id, client_id, name, doc FROM client WHERE issuer = $1 AND disabled = $2")
            .bind(issuer).bind(false).fetch_optional(c).await)
        .map_err(database)
    }
}
