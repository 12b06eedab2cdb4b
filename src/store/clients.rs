//! The tables `client` (registered partner systems and apps) and `client_origin` (the origins of their browser apps).
//! The issuer and the origins are copied from the document because every hook call and every cross-origin request looks
//! them up.

use super::{Tx, bad_row, database, on};
use crate::auth::Client;
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use uuid::Uuid;

#[derive(sqlx::FromRow)]
struct ClientRow {
    id: Uuid,
    client_id: String,
    name: String,
    doc: String,
    disabled: bool,
}

impl ClientRow {
    fn into_client(self) -> Result<Client> {
        let doc = serde_json::from_str(&self.doc).map_err(|e| bad_row("client", "doc", self.id, e))?;
        Ok(Client {
            id: self.id,
            client_id: self.client_id,
            name: self.name,
            disabled: self.disabled,
            doc,
        })
    }
}

impl Tx {
    /// Stores a new or changed client. The error is a conflict when another client has the `client_id` or issuer.
    pub async fn put_client(&mut self, client: &Client, now: DateTime<Utc>) -> Result<()> {
        let doc = serde_json::to_string(&client.doc).map_err(Error::internal)?;
        on!(self, c => sqlx::query(
            "INSERT INTO client (id, client_id, name, doc, issuer, disabled, created, changed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET client_id = excluded.client_id, \
             name = excluded.name, doc = excluded.doc, issuer = excluded.issuer, disabled = excluded.disabled, \
             changed = excluded.changed",
        )
        .bind(client.id)
        .bind(&client.client_id)
        .bind(&client.name)
        .bind(&doc)
        .bind(&client.doc.issuer)
        .bind(client.disabled)
        .bind(now)
        .bind(now)
        .execute(c)
        .await
        .map(drop))
        .map_err(database)?;
        self.put_origins(client).await
    }

    async fn put_origins(&mut self, client: &Client) -> Result<()> {
        on!(self, c => sqlx::query("DELETE FROM client_origin WHERE client = $1")
            .bind(client.id).execute(c).await.map(drop))
        .map_err(database)?;
        for origin in client.doc.browser_origins() {
            on!(self, c => sqlx::query("INSERT INTO client_origin (origin, client) VALUES ($1, $2)")
                .bind(&origin).bind(client.id).execute(c).await.map(drop))
            .map_err(database)?;
        }
        Ok(())
    }

    /// Whether browser apps of an enabled client call from this origin.
    pub async fn is_registered_origin(&mut self, origin: &str) -> Result<bool> {
        let clients: i64 = on!(self, c => sqlx::query_scalar(
            "SELECT COUNT(*) FROM client_origin o JOIN client c ON c.id = o.client \
             WHERE o.origin = $1 AND c.disabled = $2")
            .bind(origin).bind(false).fetch_one(c).await)
        .map_err(database)?;
        Ok(clients > 0)
    }

    /// A client by its row.
    pub async fn client(&mut self, id: Uuid) -> Result<Option<Client>> {
        let row = on!(self, c => sqlx::query_as::<_, ClientRow>(
            "SELECT id, client_id, name, doc, disabled FROM client WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(c)
        .await)
        .map_err(database)?;
        row.map(ClientRow::into_client).transpose()
    }

    /// A client by its OAuth `client_id`.
    pub async fn client_by_client_id(&mut self, client_id: &str) -> Result<Option<Client>> {
        let row = on!(self, c => sqlx::query_as::<_, ClientRow>(
            "SELECT id, client_id, name, doc, disabled FROM client WHERE client_id = $1",
        )
        .bind(client_id)
        .fetch_optional(c)
        .await)
        .map_err(database)?;
        row.map(ClientRow::into_client).transpose()
    }

    /// All clients, in the order of their `client_id`.
    pub async fn clients(&mut self) -> Result<Vec<Client>> {
        let rows = on!(self, c => sqlx::query_as::<_, ClientRow>(
            "SELECT id, client_id, name, doc, disabled FROM client ORDER BY client_id",
        )
        .fetch_all(c)
        .await)
        .map_err(database)?;
        rows.into_iter().map(ClientRow::into_client).collect()
    }

    /// Disables a client. Returns false when there is none with this `client_id`.
    pub async fn disable_client(&mut self, client_id: &str, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query("UPDATE client SET disabled = $1, changed = $2 WHERE client_id = $3")
            .bind(true)
            .bind(now)
            .bind(client_id)
            .execute(c)
            .await
            .map(|r| r.rows_affected() > 0))
        .map_err(database)
    }
}
