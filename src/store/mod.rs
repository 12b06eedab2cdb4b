//! The store: SQLite or PostgreSQL with the same SQL. This is the only module that uses `sqlx`.
//!
//! A unit of work is one closure and one transaction: `write` returns only after its commit is durable, and `read` sees
//! one consistent state. Events, outbox messages and jobs that follow from one decision belong in one unit of work. A
//! unit of work runs SQL only, never waits for anything else, and may run twice; it therefore borrows its input and
//! changes nothing outside the transaction.
//!
//! Rules for portable SQL: only `$n` parameters; no `now()`, `random()`, `ANY($1)` or `ILIKE`; times, ids and booleans
//! are parameters; JSON is text that queries do not read; every update of a state checks the version that was read; and
//! whatever must happen once has a unique constraint.

mod postgres;
mod sqlite;

pub mod access_log;
pub mod accounts;
pub mod assertions;
pub mod cases;
pub mod clients;
pub mod fan_out;
pub mod gold_cards;
pub mod oauth;
pub mod plan;
pub mod policy_sets;
pub mod queues;
pub mod sessions;
pub mod stored_cases;
pub mod subscriptions;

use crate::config::{Config, Database};
use crate::error::{Error, Result};
use futures_util::future::BoxFuture;
use sqlx::{PgConnection, SqliteConnection};
use std::sync::Arc;

/// A connection to one of the two databases. Cloning it is cheap.
#[derive(Debug, Clone)]
pub enum Store {
    /// The embedded database, one file.
    Sqlite(sqlite::Sqlite),
    /// A PostgreSQL server, which several processes may share.
    Postgres(postgres::Postgres),
}

/// An open transaction on either database. Each module of the store adds its queries to it.
#[derive(Debug)]
pub struct Tx {
    open: Open,
    /// Whether a job or outbox message was added, so that workers are woken after the commit.
    added_work: bool,
}

#[derive(Debug)]
enum Open {
    Writer(SqliteConnection),
    /// Rolls back when it is dropped, so that the connection of a cancelled read can be used again.
    Reader(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// The connection of a transaction, in the type of its driver.
#[derive(Debug)]
pub(crate) enum Connection<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Tx {
    fn new(open: Open) -> Self {
        Self {
            open,
            added_work: false,
        }
    }

    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match &mut self.open {
            Open::Writer(c) => Connection::Sqlite(c),
            Open::Reader(c) => Connection::Sqlite(c),
            Open::Postgres(c) => Connection::Postgres(c),
        }
    }
}

/// Runs one expression on the transaction's database, or one of two expressions where the SQL dialects differ.
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

/// Creates a folder that only its owner may access, if it does not exist.
pub fn create_private_folder(folder: &std::path::Path) -> Result<()> {
    sqlite::create_private_folder(folder)
        .map_err(|e| Error::unavailable(format!("{}: {e}", folder.display())))
}

/// Creates a schema on a PostgreSQL server and returns the URL of the server with this schema selected.
pub async fn create_schema(url: &str, name: &str) -> Result<String> {
    postgres::create_schema(url, name).await
}

/// Drops a schema and everything in it.
pub async fn drop_schema(url: &str, name: &str) -> Result<()> {
    postgres::drop_schema(url, name).await
}

impl Store {
    /// Opens the configured database and runs the migrations.
    pub async fn open(config: &Config) -> Result<Self> {
        match config.database()? {
            Database::Sqlite(path) => Ok(Self::Sqlite(sqlite::Sqlite::open(&path).await?)),
            Database::Postgres(url) => Ok(Self::Postgres(
                postgres::Postgres::open(&url, &config.postgres).await?,
            )),
        }
    }

    /// Locks the embedded database against other servers until the returned file is dropped. PostgreSQL needs no lock.
    pub fn lock(&self) -> Result<Option<std::fs::File>> {
        match self {
            Self::Sqlite(sqlite) => sqlite.lock().map(Some),
            Self::Postgres(_) => Ok(None),
        }
    }

    /// Runs a unit of work and returns after its commit is durable. The unit of work borrows `input`.
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

    /// Reads one consistent state. `unit` borrows `input`.
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

    /// Checks that the database responds.
    pub async fn ping(&self) -> Result<()> {
        self.read((), |tx, ()| {
            Box::pin(async move {
                on!(tx, c => sqlx::query("SELECT 1").execute(c).await.map(drop)).map_err(database)
            })
        })
        .await
    }

    /// Closes all connections. Every write that returned is already durable.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
        }
    }

    /// Signals workers that a job or outbox message was added through this store.
    pub fn wake(&self) -> Arc<tokio::sync::Notify> {
        match self {
            Self::Sqlite(sqlite) => sqlite.wake(),
            Self::Postgres(postgres) => postgres.wake(),
        }
    }
}

/// Converts a database error. A violated unique constraint is a conflict; most others mean that the data could not be
/// stored.
#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
pub(crate) fn database(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Database(e) if e.is_unique_violation() => {
            Error::conflict("A record with the same key already exists").with_log_detail(e)
        }
        sqlx::Error::Database(e) if e.is_foreign_key_violation() || e.is_check_violation() => {
            Error::internal(e)
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => Error::internal(&error),
        _ => Error::unavailable(&error),
    }
}

/// An internal error for a column with a value that cannot be read. It names table, column and row.
pub(crate) fn bad_row(
    table: &str,
    column: &str,
    id: impl std::fmt::Display,
    why: impl std::fmt::Display,
) -> Error {
    Error::internal(format!("{table}.{column} in row {id} cannot be read: {why}"))
}
