//! PostgreSQL: a connection pool and one transaction per unit of work, which is retried after a serialization failure
//! or deadlock.

use super::failure::{continued_after_failure, database, watched};
use super::handoff::Handoff;
use super::open_error;
use super::pool::{Pool, Pooled};
use super::tx::{Mode, Open, Shared, Tx, Usage};
use crate::config;
use crate::error::{DatabaseFailure, Error, ErrorKind, Result};
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use std::{str::FromStr, sync::Arc, time::Duration};

/// How often a unit of work is tried after serialization failures and deadlocks.
const MAX_ATTEMPTS: u32 = 4;
/// The time limit for one unit of work.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The time limit for the first connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The channel on which a process wakes the workers of others.
const CHANNEL: &str = "assent_outbox";

/// A connection pool for one server.
#[derive(Debug, Clone)]
pub struct Postgres {
    options: Arc<PgConnectOptions>,
    pool: Pool<sqlx::Postgres>,
    shared: Shared,
}

impl Postgres {
    /// Connects and runs the migrations.
    pub(super) async fn open(url: &str, settings: &config::Postgres) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|e| {
                Error::malformed("The setting database is not a valid postgres:// URL").with_log_detail(e)
            })?
            .application_name("assent")
            .statement_cache_capacity(settings.statement_cache);
        let mut connection = tokio::time::timeout(CONNECT_LIMIT, options.connect())
            .await
            .map_err(|_| open_error::postgres_timeout(&options))?
            .map_err(|e| open_error::postgres(&options, &e))?;
        sqlx::migrate!("migrations/postgres")
            .run(&mut connection)
            .await
            .map_err(|e| open_error::migration(&e))?;
        connection.close().await.map_err(database)?;
        let connections = usize::try_from(settings.connections).unwrap_or(1).max(1);
        Ok(Self {
            pool: Pool::new(options.clone(), connections),
            options: Arc::new(options),
            shared: Shared::default(),
        })
    }

    pub(super) async fn write<C, T, F>(&self, input: C, unit: F, mode: Mode) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let own = self.clone();
        super::to_its_end(None, async move {
            let mut attempts = 1;
            loop {
                match own.try_write(&input, &unit, mode).await {
                    Err(e)
                        if attempts < MAX_ATTEMPTS
                            && e.database_failure() == Some(DatabaseFailure::Retryable) =>
                    {
                        attempts += 1;
                    }
                    other => return other,
                }
            }
        })
        .await
    }

    async fn try_write<C, T, F>(&self, input: &C, unit: &F, mode: Mode) -> Result<T>
    where
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>>,
    {
        let mut open = self.pool.get().await?;
        if mode == Mode::Transaction {
            let begun = run(&mut open.connection, "BEGIN").await;
            // Nothing ran yet, so the unit of work can be tried on another connection.
            begun.map_err(|e| self.lost(e).caused_by(DatabaseFailure::Retryable))?;
            self.shared.counters.add(0, 2, 0);
        }
        let mut tx = Tx::new(Open::Postgres(open), mode, &self.shared);
        let result = match tokio::time::timeout(TIME_LIMIT, watched(unit(&mut tx, input))).await {
            Ok((Ok(_), true)) => Err(continued_after_failure()),
            Ok((result, _)) => result,
            // The connection is dropped, and with it the transaction.
            Err(_) => return Err(Error::unavailable("a unit of work took too long")),
        };
        let Open::Postgres(mut open) = tx.open else {
            return result;
        };
        if let Err(error) = result {
            let usable = match mode {
                Mode::Transaction => run(&mut open.connection, "ROLLBACK").await.is_ok(),
                Mode::OneStatement | Mode::Separate => error.kind() != ErrorKind::Unavailable,
            };
            if usable {
                open.give_back();
            }
            return Err(self.lost(error));
        }
        if mode == Mode::Transaction {
            run(&mut open.connection, "COMMIT").await?;
        }
        self.shared.counters.add(0, 0, 1);
        if self.shared.handoff.committed(tx.added) {
            wake_other_processes(&mut open.connection).await;
        }
        open.give_back();
        result
    }

    /// Drops the waiting connections when one was lost. Returns the error.
    fn lost(&self, error: Error) -> Error {
        if error.database_failure() == Some(DatabaseFailure::ConnectionLost) {
            self.pool.forget_idle();
        }
        error
    }

    pub(super) async fn read<C, T, F>(self, input: C, unit: F, mode: Mode) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        super::to_its_end(super::PATIENCE, async move {
            match self.try_read(&input, &unit, mode).await {
                Err(e) if e.database_failure() == Some(DatabaseFailure::ConnectionLost) => {
                    self.pool.forget_idle();
                    self.try_read(&input, &unit, mode).await
                }
                other => other,
            }
        })
        .await
    }

    async fn try_read<C, T, F>(&self, input: &C, unit: &F, mode: Mode) -> Result<T>
    where
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>>,
    {
        let mut open = self.pool.get().await?;
        if mode == Mode::Transaction {
            run(
                &mut open.connection,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            )
            .await?;
            self.shared.counters.add(0, 1, 0);
        }
        let mut tx = Tx::new(Open::Postgres(open), mode, &self.shared);
        let result = tokio::time::timeout(TIME_LIMIT, unit(&mut tx, input))
            .await
            .map_err(|_| Error::unavailable("a unit of work took too long"))?;
        match (tx.open, mode) {
            (Open::Postgres(open), Mode::Transaction) => end_read(open),
            (Open::Postgres(open), _) => match &result {
                Err(e) if e.kind() == ErrorKind::Unavailable => drop(open),
                _ => open.give_back(),
            },
            _ => {}
        }
        result
    }

    pub(super) fn usage(&self) -> Usage {
        self.shared.counters.usage()
    }

    pub(super) fn handoff(&self) -> &Handoff {
        &self.shared.handoff
    }

    /// Wakes the workers of this process at each notification of another one, until the connection fails.
    pub(super) async fn listen(&self) -> Result<()> {
        let own = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(PgConnectOptions::clone(&self.options))
            .await
            .map_err(database)?;
        let mut listener = PgListener::connect_with(&own).await.map_err(database)?;
        listener.listen(CHANNEL).await.map_err(database)?;
        loop {
            listener.recv().await.map_err(database)?;
            self.shared.handoff.wake().notify_waiters();
        }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Ends a transaction that only read. Its caller need not wait for this.
fn end_read(mut open: Pooled<sqlx::Postgres>) {
    #[expect(clippy::disallowed_methods, reason = "the task ends with one statement")]
    tokio::spawn(async move {
        let ended = run(&mut open.connection, "ROLLBACK");
        if matches!(tokio::time::timeout(TIME_LIMIT, ended).await, Ok(Ok(()))) {
            open.give_back();
        }
    });
}

/// Runs a statement that begins or ends a transaction.
async fn run(connection: &mut PgConnection, sql: &'static str) -> Result<()> {
    sqlx::raw_sql(sql)
        .execute(connection)
        .await
        .map(drop)
        .map_err(database)
}

/// Wakes the workers of other processes. They also look for work themselves, so a failure only costs time.
async fn wake_other_processes(connection: &mut PgConnection) {
    let sent = sqlx::query("SELECT pg_notify($1, '')")
        .bind(CHANNEL)
        .execute(connection)
        .await;
    if let Err(error) = sent {
        tracing::debug!(cause = %error, "other processes could not be woken");
    }
}

/// Creates a schema and returns the URL with `search_path` set to it.
pub(super) async fn create_schema(url: &str, name: &str) -> Result<String> {
    run_once(url, format!("CREATE SCHEMA {}", unquoted(name)?)).await?;
    let separator = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{separator}options[search_path]={name}"))
}

/// Drops a schema and everything in it.
pub(super) async fn drop_schema(url: &str, name: &str) -> Result<()> {
    run_once(url, format!("DROP SCHEMA IF EXISTS {} CASCADE", unquoted(name)?)).await
}

async fn run_once(url: &str, sql: String) -> Result<()> {
    let mut connection = sqlx::PgConnection::connect(url).await.map_err(database)?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .map_err(database)?;
    connection.close().await.map_err(database)
}

/// Checks that a name needs no quotes: lower-case letters, digits and underscores.
fn unquoted(name: &str) -> Result<&str> {
    let valid = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if valid {
        Ok(name)
    } else {
        Err(Error::malformed(
            "The name of a schema may contain lower-case letters, digits and underscores",
        ))
    }
}
