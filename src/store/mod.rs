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

mod batch;
mod failure;
mod open_error;
mod pool;
mod postgres;
mod sqlite;
mod tx;

pub mod access_log;
pub mod accounts;
pub mod assertions;
pub mod callers;
pub mod cases;
pub mod clients;
pub mod fan_out;
pub mod gold_cards;
mod handoff;
pub mod leases;
pub mod legal_holds;
pub mod member_cases;
pub mod messages;
pub mod oauth;
pub mod plan;
pub mod policy_sets;
pub mod queue;
pub mod queue_updates;
pub mod queues;
pub mod retention;
pub mod sessions;
pub mod stored_cases;
pub mod submissions;
pub mod subscriptions;
pub mod throttles;

use crate::config::{Config, Database};
use crate::error::{Error, Result};
use futures_util::future::BoxFuture;
use handoff::Handoff;
use std::sync::Arc;
use std::time::Duration;
use tx::Mode;

pub use batch::{Batch, Storable};
pub(crate) use batch::{numbered, padded};
pub(crate) use failure::database;
pub(crate) use tx::on;
pub use tx::{Tx, Usage};

/// How long a unit of work that only reads continues after its caller went away.
const PATIENCE: Option<Duration> = Some(Duration::from_millis(250));

/// A connection to one of the two databases. Cloning it is cheap.
#[derive(Debug, Clone)]
pub enum Store {
    /// The embedded database, one file.
    Sqlite(sqlite::Sqlite),
    /// A PostgreSQL server, which several processes may share.
    Postgres(postgres::Postgres),
}

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
        let opened = match config.database()? {
            Database::Sqlite(path) => sqlite::Sqlite::open(&path).await.map(Self::Sqlite),
            Database::Postgres(url) => postgres::Postgres::open(&url, &config.postgres)
                .await
                .map(Self::Postgres),
        };
        opened.map_err(|error| open_error::with_place(&error, config))
    }

    /// Locks the embedded database against other servers until the returned file is dropped. PostgreSQL needs no lock.
    pub fn lock(config: &Config) -> Result<Option<std::fs::File>> {
        let locked = match config.database()? {
            Database::Sqlite(path) => sqlite::lock(&path).map(Some),
            Database::Postgres(_) => Ok(None),
        };
        locked.map_err(|error| open_error::with_place(&error, config))
    }

    /// Runs a unit of work and returns after its commit is durable. The unit of work borrows `input`. If the caller stops
    /// waiting, the unit of work still ends.
    pub async fn write<C, T, F>(&self, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        self.write_in(Mode::Transaction, input, unit).await
    }

    /// Runs a unit of work of exactly one statement, or one run of a batch. On PostgreSQL it is one round trip, without a
    /// transaction around it.
    pub async fn write_one<C, T, F>(&self, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        self.write_in(Mode::OneStatement, input, unit).await
    }

    async fn write_in<C, T, F>(&self, mode: Mode, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        match self {
            Self::Sqlite(sqlite) => sqlite.write(input, unit).await,
            Self::Postgres(postgres) => postgres.write(input, unit, mode).await,
        }
    }

    /// Reads one consistent state. `unit` borrows `input`.
    pub async fn read<C, T, F>(&self, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        self.read_in(Mode::Transaction, input, unit).await
    }

    /// Reads with exactly one statement, without a transaction around it.
    pub async fn read_one<C, T, F>(&self, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        self.read_in(Mode::OneStatement, input, unit).await
    }

    /// Reads with several statements that need not see the same state, for example because the rows of each never change or
    /// stand alone. On PostgreSQL this saves the round trips of a transaction.
    pub async fn read_each<C, T, F>(&self, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        self.read_in(Mode::Separate, input, unit).await
    }

    async fn read_in<C, T, F>(&self, mode: Mode, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        match self {
            Self::Sqlite(sqlite) => sqlite.clone().read(input, unit, mode).await,
            Self::Postgres(postgres) => postgres.clone().read(input, unit, mode).await,
        }
    }

    /// Checks that the database responds.
    pub async fn ping(&self) -> Result<()> {
        self.read_one((), |tx, ()| {
            Box::pin(async move {
                on!(tx, c => sqlx::query("SELECT 1").execute(c).await.map(drop)).map_err(database)
            })
        })
        .await
    }

    /// What this store has done so far.
    pub fn usage(&self) -> Usage {
        match self {
            Self::Sqlite(sqlite) => sqlite.usage(),
            Self::Postgres(postgres) => postgres.usage(),
        }
    }

    /// Closes all connections. Every write that returned is already durable.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
        }
    }

    /// The way from the commits of this process to its workers.
    pub fn handoff(&self) -> &Handoff {
        match self {
            Self::Sqlite(sqlite) => sqlite.handoff(),
            Self::Postgres(postgres) => postgres.handoff(),
        }
    }

    /// Wakes workers when a message was queued through this store, or by another process.
    pub fn wake(&self) -> Arc<tokio::sync::Notify> {
        self.handoff().wake()
    }

    /// Whether several servers may share the database.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Waits for messages that other processes queue and wakes the workers of this one. Returns only with an error, for
    /// example behind a proxy that does not support `LISTEN`; workers also look for messages themselves.
    pub async fn listen(&self) -> Result<()> {
        match self {
            Self::Sqlite(_) => std::future::pending().await,
            Self::Postgres(postgres) => postgres.listen().await,
        }
    }
}

/// Runs a unit of work to its end, even if the caller stops waiting: its connection is not left in the middle of a
/// statement and can be used again. With `patience`, it is stopped that long after the caller went away.
async fn to_its_end<T: Send + 'static>(
    patience: Option<Duration>,
    unit: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    use tracing::Instrument;
    let (caller, gone) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move {
        let _ = gone.await;
        match patience {
            Some(patience) => tokio::time::sleep(patience).await,
            None => std::future::pending().await,
        }
    };
    let limited = async move {
        tokio::select! {
            biased;
            result = unit => result,
            () = stopped => Err(Error::unavailable("the caller went away")),
        }
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the task ends with its unit of work, which has a time limit"
    )]
    let task = tokio::spawn(limited.in_current_span());
    let result = task.await;
    drop(caller);
    result.unwrap_or_else(|_| Err(Error::internal("a unit of work panicked")))
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
