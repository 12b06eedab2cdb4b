//! The store: two databases, one text of SQL. The only room with `sqlx`.
//!
//! A unit of work is one closure: `write` returns only when its commit is durable, `read` sees one consistent state.
//! Facts, events, outbox rows and jobs that follow from one decision belong in one unit. A unit holds SQL alone (no
//! waiting on anything else) and may run twice, so it owns nothing but what it is handed.
//!
//! Portable SQL: `$n` parameters only; no `now()`, `random()`, `ANY($1)`, `ILIKE`; times and ids are parameters;
//! booleans are bound; JSON is text that no query looks into; every change of state names the version that it saw;
//! every idempotency is a unique constraint.

mod postgres;
mod sqlite;

pub mod assertions;
pub mod cases;
pub mod clients;
pub mod gold_cards;
pub mod oauth;
pub mod people;
pub mod plan;
pub mod policy_sets;
pub mod queues;
pub mod replay;
pub mod sessions;
pub mod subscriptions;

use crate::config::{Config, Database};
use crate::error::{Error, Result};
use futures_util::future::BoxFuture;
use sqlx::{PgConnection, SqliteConnection};
use std::sync::Arc;

/// One of the two databases. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Store {
    /// The embedded one.
    Sqlite(sqlite::Sqlite),
    /// A server, shared by replicas.
    Postgres(postgres::Postgres),
}

/// An open transaction on either database. The table groups add their queries to it.
#[derive(Debug)]
pub struct Tx {
    open: Open,
    /// Work was enqueued: whoever waits for some is woken after the commit.
    wakes: bool,
}

#[derive(Debug)]
enum Open {
    Writer(SqliteConnection),
    /// Rolls back by itself when a read is given up, so that its connection can be used again.
    Reader(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// The connection of a transaction, in its driver's own type.
#[derive(Debug)]
pub(crate) enum Connection<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Tx {
    fn on(open: Open) -> Self {
        Self { open, wakes: false }
    }

    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match &mut self.open {
            Open::Writer(c) => Connection::Sqlite(c),
            Open::Reader(c) => Connection::Sqlite(c),
            Open::Postgres(c) => Connection::Postgres(c),
        }
    }
}

/// Runs one body on whichever database the transaction is of; with two arms where the dialects differ.
macro_rules! on {
    ($tx:expr, $c:ident => $body:expr) => {
        match $tx.connection() {
            $crate::store::Connection::Sqlite($c) => $body,
            $crate::store::Connection::Postgres($c) => $body,
        }
    };
    ($tx:expr, sqlite $s:ident => $sqlite:expr, postgres $p:ident => $postgres:expr) => {
        match $tx.connection() {
            $crate::store::Connection::Sqlite($s) => $sqlite,
            $crate::store::Connection::Postgres($p) => $postgres,
        }
    };
}
pub(crate) use on;

/// What a unit of work looks like: it gets the transaction and its own input, both borrowed.
pub trait Unit<C, T>:
    for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static
{
}
impl<C, T, F> Unit<C, T> for F where
    F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static
{
}

/// A folder that only the owner may enter, made if it is missing.
pub fn private_folder(folder: &std::path::Path) -> Result<()> {
    sqlite::make_private(folder).map_err(|e| Error::unavailable(format!("{}: {e}", folder.display())))
}

/// Makes a schema on a PostgreSQL server and answers with the URL that works in it.
pub async fn create_schema(url: &str, name: &str) -> Result<String> {
    postgres::create_schema(url, name).await
}

/// Drops a schema with everything in it.
pub async fn drop_schema(url: &str, name: &str) -> Result<()> {
    postgres::drop_schema(url, name).await
}

impl Store {
    /// Opens the database that the config names and brings its schema up to date.
    pub async fn open(config: &Config) -> Result<Self> {
        match config.database()? {
            Database::Sqlite(path) => Ok(Self::Sqlite(sqlite::Sqlite::open(&path).await?)),
            Database::Postgres(url) => Ok(Self::Postgres(
                postgres::Postgres::open(&url, &config.postgres).await?,
            )),
        }
    }

    /// Keeps every other server off the embedded file until the answer is dropped. A server database needs no lock.
    pub fn lock(&self) -> Result<Option<std::fs::File>> {
        match self {
            Self::Sqlite(sqlite) => sqlite.lock().map(Some),
            Self::Postgres(_) => Ok(None),
        }
    }

    /// Runs a unit of work and returns when its commit is durable. `input` is lent to the unit.
    pub async fn write<C, T, F>(&self, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        match self {
            Self::Sqlite(sqlite) => sqlite.write(input, unit).await,
            Self::Postgres(postgres) => postgres.write(&input, &unit).await,
        }
    }

    /// Reads in one consistent state.
    pub async fn read<C, T, F>(&self, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        match self {
            Self::Sqlite(sqlite) => sqlite.read(&input, &unit).await,
            Self::Postgres(postgres) => postgres.read(&input, &unit).await,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.read((), |tx, ()| {
            Box::pin(async move {
                on!(tx, c => sqlx::query("SELECT 1").execute(c).await.map(drop)).map_err(database)
            })
        })
        .await
    }

    /// Closes every connection; what was answered is on disk already.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
        }
    }

    /// Wakes whoever waits for work on this store (jobs, outbox).
    pub fn wake(&self) -> Arc<tokio::sync::Notify> {
        match self {
            Self::Sqlite(sqlite) => sqlite.wake(),
            Self::Postgres(postgres) => postgres.wake(),
        }
    }
}

/// A database error as the house's own: a broken uniqueness is a conflict, everything else means that the work
/// could not be stored.
#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
pub(crate) fn database(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Database(e) if e.is_unique_violation() => {
            Error::conflict("The same thing exists already").logged(e)
        }
        sqlx::Error::Database(e) if e.is_foreign_key_violation() || e.is_check_violation() => {
            Error::internal(e)
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => Error::internal(&error),
        _ => Error::unavailable(&error),
    }
}

/// A row that does not hold what its column promises: names table, column and id.
pub(crate) fn bad_row(
    table: &str,
    column: &str,
    id: impl std::fmt::Display,
    why: impl std::fmt::Display,
) -> Error {
    Error::internal(format!("{table}.{column} of row {id} cannot be read: {why}"))
}
