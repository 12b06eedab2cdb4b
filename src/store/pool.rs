//! The connections to one database. A connection is checked only after it waited for long, because each check is a round
//! trip; one that failed is closed and not used again.

use super::failure::database;
use crate::error::{Error, Result};
use sqlx::{ConnectOptions, Connection, Database};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a unit of work waits for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// A connection that waited for longer is checked before it is used.
const CHECK_AFTER: Duration = Duration::from_secs(30);

type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

/// A bounded number of connections, opened when they are first needed.
pub(super) struct Pool<DB: Database>(Arc<Shared<DB>>);

struct Shared<DB: Database> {
    options: Options<DB>,
    idle: Mutex<Vec<(DB::Connection, Instant)>>,
    permits: Arc<Semaphore>,
}

impl<DB: Database> Clone for Pool<DB> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<DB: Database> Pool<DB> {
    /// A pool of at most `limit` connections.
    pub(super) fn new(options: Options<DB>, limit: usize) -> Self {
        Self(Arc::new(Shared {
            options,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(limit)),
        }))
    }

    /// Waits for a connection, or opens one.
    pub(super) async fn get(&self) -> Result<Pooled<DB>> {
        tokio::time::timeout(WAIT, self.idle_or_new())
            .await
            .map_err(|_| Error::unavailable("no connection to the database was free in time"))?
    }

    async fn idle_or_new(&self) -> Result<Pooled<DB>> {
        let permit = self.0.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Error::unavailable("the database is closed"))?;
        let pooled = |connection| Pooled {
            connection,
            pool: self.clone(),
            permit,
        };
        while let Some((mut connection, since)) = self.take_idle() {
            if since.elapsed() < CHECK_AFTER || connection.ping().await.is_ok() {
                return Ok(pooled(connection));
            }
        }
        self.0.options.connect().await.map(pooled).map_err(database)
    }

    fn take_idle(&self) -> Option<(DB::Connection, Instant)> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, connection: DB::Connection) {
        if !self.0.permits.is_closed() {
            let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((connection, Instant::now()));
        }
    }

    /// Drops the waiting connections. After one was lost, the others are lost too.
    pub(super) fn forget_idle(&self) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Closes the waiting connections, and each other one when its unit of work ends.
    pub(super) async fn close(&self) {
        self.0.permits.close();
        while let Some((connection, _)) = self.take_idle() {
            let _ = connection.close().await;
        }
    }
}

impl<DB: Database> fmt::Debug for Pool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl<DB: Database> fmt::Debug for Pooled<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pooled")
    }
}

/// A connection in use. If it is dropped, it is closed; only `give_back` returns it to the pool.
pub(super) struct Pooled<DB: Database> {
    /// The connection.
    pub(super) connection: DB::Connection,
    pool: Pool<DB>,
    permit: OwnedSemaphorePermit,
}

impl<DB: Database> Pooled<DB> {
    /// Returns the connection to the pool. Nothing may be open on it.
    pub(super) fn give_back(self) {
        self.pool.put(self.connection);
        drop(self.permit);
    }
}
