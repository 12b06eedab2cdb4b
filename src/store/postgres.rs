//! PostgreSQL: a pool, one transaction per unit of work, a serialization failure or deadlock tried again.

use super::{Open, Tx, database};
use crate::config;
use crate::error::{Error, Result};
use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::{str::FromStr, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How often a unit is tried when the server asks for it.
const TRIES: u32 = 4;

/// A pool on one server.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: PgPool,
    wake: Arc<Notify>,
}

impl Postgres {
    /// Connects and migrates.
    pub(super) async fn open(url: &str, settings: &config::Postgres) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|e| Error::malformed("database is no usable postgres:// address").logged(e))?
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
        let mut tried = 0;
        loop {
            tried += 1;
            match self.attempt(input, unit).await {
                Err(error) if tried < TRIES && asks_for_retry(&error) => {}
                other => return other,
            }
        }
    }

    async fn attempt<C, T, F>(&self, input: &C, unit: &F) -> Result<T>
    where
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>>,
    {
        let mut tx = Tx::on(Open::Postgres(self.pool.begin().await.map_err(database)?));
        let answer = unit(&mut tx, input).await;
        let Open::Postgres(open) = tx.open else {
            return answer;
        };
        if answer.is_ok() {
            open.commit().await.map_err(Error::unavailable)?;
            if tx.wakes {
                self.wake.notify_waiters();
            }
        } else {
            open.rollback().await.map_err(database)?;
        }
        answer
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
        let mut tx = Tx::on(Open::Postgres(open));
        unit(&mut tx, input).await
    }

    pub(super) fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// SQLSTATE 40001 (serialization) and 40P01 (deadlock) ask for the same work once more.
fn asks_for_retry(error: &Error) -> bool {
    error
        .log_line()
        .is_some_and(|line| line.contains("40001") || line.contains("40P01") || line.contains("deadlock"))
}

/// Makes a schema; the answer is the URL with `search_path` set to it.
pub(super) async fn create_schema(url: &str, name: &str) -> Result<String> {
    run_once(url, format!("CREATE SCHEMA {}", plain(name)?)).await?;
    let separator = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{separator}options[search_path]={name}"))
}

/// Drops a schema with everything in it.
pub(super) async fn drop_schema(url: &str, name: &str) -> Result<()> {
    run_once(url, format!("DROP SCHEMA IF EXISTS {} CASCADE", plain(name)?)).await
}

async fn run_once(url: &str, sql: String) -> Result<()> {
    let mut connection = sqlx::PgConnection::connect(url).await.map_err(database)?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .map_err(database)?;
    connection.close().await.map_err(database)
}

/// A name that needs no quotes: small letters, digits and underscores.
fn plain(name: &str) -> Result<&str> {
    let fine = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if fine {
        Ok(name)
    } else {
        Err(Error::malformed(
            "A schema's name holds small letters, digits and underscores",
        ))
    }
}
