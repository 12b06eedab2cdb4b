//! PostgreSQL: a connection pool and one transaction per unit of work, which is retried after a serialization failure
//! or deadlock.

use super::{Open, Tx, database};
use crate::config;
use crate::error::{Error, Result};
use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::{str::FromStr, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How often a unit of work is tried after serialization failures and deadlocks.
const MAX_ATTEMPTS: u32 = 4;

/// A connection pool for one server.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: PgPool,
    wake: Arc<Notify>,
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
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await
            .map_err(database)?;
        sqlx::migrate!("migrations/postgres")
            .run(&pool)
            .await
            .map_err(Error::unavailable)?;
        Ok(Self {
            pool,
            wake: Arc::new(Notify::new()),
        })
    }

    pub(super) async fn write<C, T, F>(&self, input: &C, unit: &F) -> Result<T>
    where
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>>,
    {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt(input, unit).await {
                Err(error) if attempts < MAX_ATTEMPTS && is_retryable(&error) => {}
                other => return other,
            }
        }
    }

    async fn attempt<C, T, F>(&self, input: &C, unit: &F) -> Result<T>
    where
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>>,
    {
        let mut tx = Tx::new(Open::Postgres(self.pool.begin().await.map_err(database)?));
        let result = unit(&mut tx, input).await;
        let Open::Postgres(open) = tx.open else {
            return result;
        };
        if result.is_ok() {
            open.commit().await.map_err(Error::unavailable)?;
            if tx.added_work {
                self.wake.notify_waiters();
            }
        } else {
            open.rollback().await.map_err(database)?;
        }
        result
    }

    pub(super) async fn read<C, T, F>(&self, input: &C, unit: &F) -> Result<T>
    where
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>>,
    {
        let open = self
            .pool
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(database)?;
        let mut tx = Tx::new(Open::Postgres(open));
        unit(&mut tx, input).await
    }

    pub(super) fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether the error is a serialization failure (SQLSTATE 40001) or a deadlock (40P01).
fn is_retryable(error: &Error) -> bool {
    error.log_detail().is_some_and(|detail| {
        detail.contains("40001") || detail.contains("40P01") || detail.contains("deadlock")
    })
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
