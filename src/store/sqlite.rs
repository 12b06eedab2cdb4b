//! SQLite: one writer that commits many units of work together, and a few readers that never wait for it.
//!
//! The writer takes the queued units of work, runs each in its own savepoint inside one transaction, commits once, and
//! then returns the results. A unit of work that fails or panics is rolled back alone. If the commit fails, all units
//! of work of the batch fail with 503.

use super::{Open, Tx, database};
use crate::error::{Error, ErrorKind, Result};
use futures_util::{FutureExt, future::BoxFuture};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, mpsc, oneshot};

/// The number of units of work that may wait for the writer; further ones fail with 503.
const MAX_QUEUED: usize = 1000;
/// The largest number of units of work in one commit.
const MAX_BATCH: usize = 128;
/// The time limit for one unit of work.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// One database file.
#[derive(Debug, Clone)]
pub struct Sqlite {
    path: PathBuf,
    writer: mpsc::Sender<Box<dyn QueuedUnit>>,
    readers: SqlitePool,
    wake: Arc<Notify>,
}

impl Sqlite {
    /// Opens or creates the file and its folder, both accessible to the owner only, runs the migrations and starts the
    /// writer.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        create_private_file(path).map_err(|e| Error::unavailable(format!("{}: {e}", path.display())))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(2));
        let mut writer = options.connect().await.map_err(database)?;
        sqlx::migrate!("migrations/sqlite")
            .run(&mut writer)
            .await
            .map_err(Error::unavailable)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options.read_only(true))
            .await
            .map_err(database)?;
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        let wake = Arc::new(Notify::new());
        #[expect(
            clippy::disallowed_methods,
            reason = "the writer ends when the last handle of the store is dropped"
        )]
        tokio::spawn(run_writer(writer, receiver, wake.clone()));
        Ok(Self {
            path: path.to_owned(),
            writer: sender,
            readers,
            wake,
        })
    }

    pub(super) fn lock(&self) -> Result<std::fs::File> {
        let path = self.path.with_extension("lock");
        let file = open_private(&path).map_err(|e| Error::unavailable(format!("{}: {e}", path.display())))?;
        file.try_lock().map_err(|_| {
            Error::conflict(format!(
                "Another server is using the database {}. Stop it, or use PostgreSQL to run several servers",
                self.path.display()
            ))
        })?;
        Ok(file)
    }

    pub(super) async fn write<C, T, F>(&self, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let queued = Box::new(TypedUnit {
            input,
            unit,
            result: None,
            sender: Some(sender),
        });
        self.writer
            .try_send(queued)
            .map_err(|_| Error::unavailable("the write queue is full or closed"))?;
        receiver
            .await
            .map_err(|_| Error::unavailable("the database writer stopped"))?
    }

    pub(super) async fn read<C, T, F>(&self, input: &C, unit: &F) -> Result<T>
    where
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>>,
    {
        let open = self.readers.begin().await.map_err(database)?;
        let mut tx = Tx::new(Open::Reader(open));
        let result = unit(&mut tx, input).await;
        if let Open::Reader(open) = tx.open {
            open.rollback().await.map_err(database)?;
        }
        result
    }

    pub(super) fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        // An empty unit of work returns after everything queued before it is stored.
        let _ = self.write((), |_, ()| Box::pin(async { Ok(()) })).await;
    }
}

/// A unit of work that waits for the writer, with its types erased.
trait QueuedUnit: Send {
    /// Runs it inside the open transaction. Returns false when it failed and must be rolled back.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool>;
    /// Sends the caller the result: that of the unit of work, or an error if the commit failed.
    fn reply(self: Box<Self>, committed: Result<(), String>);
}

struct TypedUnit<C, T, F> {
    input: C,
    unit: F,
    result: Option<Result<T>>,
    sender: Option<oneshot::Sender<Result<T>>>,
}

impl<C, T, F> QueuedUnit for TypedUnit<C, T, F>
where
    C: Send + Sync,
    T: Send,
    F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync,
{
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let work = AssertUnwindSafe((self.unit)(tx, &self.input)).catch_unwind();
            let result = match tokio::time::timeout(TIME_LIMIT, work).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Error::internal("a unit of work panicked")),
                Err(_) => Err(Error::unavailable("a unit of work took too long")),
            };
            let succeeded = result.is_ok();
            self.result = Some(result);
            succeeded
        })
    }

    fn reply(mut self: Box<Self>, committed: Result<(), String>) {
        let reply = match (committed, self.result.take()) {
            (Ok(()), Some(result)) => result,
            (Err(_), Some(Err(own))) if own.kind() != ErrorKind::Unavailable => Err(own),
            (Err(why), _) => Err(Error::unavailable(why)),
            (Ok(()), None) => Err(Error::unavailable("a unit of work was not run")),
        };
        if let Some(sender) = self.sender.take() {
            // The caller may have stopped waiting. What was committed stays.
            let _ = sender.send(reply);
        }
    }
}

async fn run_writer(
    connection: SqliteConnection,
    mut queue: mpsc::Receiver<Box<dyn QueuedUnit>>,
    wake: Arc<Notify>,
) {
    let mut tx = Tx::new(Open::Writer(connection));
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        metrics::histogram!("assent_store_batch")
            .record(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
        commit_together(&mut tx, std::mem::take(&mut batch)).await;
        if std::mem::take(&mut tx.added_work) {
            wake.notify_waiters();
        }
    }
    if let Open::Writer(connection) = tx.open {
        let _ = connection.close().await;
    }
}

/// Commits all units of work of a batch in one transaction. If that fails, each is tried once more in a transaction of
/// its own, so that one of them cannot make the others fail.
async fn commit_together(tx: &mut Tx, mut batch: Vec<Box<dyn QueuedUnit>>) {
    let committed = run_transaction(tx, &mut batch).await;
    if committed.is_err() && batch.len() > 1 {
        for unit in batch {
            let mut alone = vec![unit];
            let committed = run_transaction(tx, &mut alone).await;
            for unit in alone {
                unit.reply(committed.clone());
            }
        }
        return;
    }
    for unit in batch {
        unit.reply(committed.clone());
    }
}

async fn run_transaction(tx: &mut Tx, batch: &mut [Box<dyn QueuedUnit>]) -> Result<(), String> {
    execute(tx, "BEGIN IMMEDIATE").await?;
    let run = run_in_savepoints(tx, batch).await;
    let committed = match run {
        Ok(()) => execute(tx, "COMMIT").await,
        Err(why) => Err(why),
    };
    if committed.is_err() {
        // A failed COMMIT leaves the transaction open. Roll it back so that the next one can begin.
        let _ = execute(tx, "ROLLBACK").await;
    }
    committed
}

async fn run_in_savepoints(tx: &mut Tx, batch: &mut [Box<dyn QueuedUnit>]) -> Result<(), String> {
    for unit in batch {
        execute(tx, "SAVEPOINT u").await?;
        if !unit.run(tx).await {
            execute(tx, "ROLLBACK TO u").await?;
        }
        execute(tx, "RELEASE u").await?;
    }
    Ok(())
}

async fn execute(tx: &mut Tx, sql: &'static str) -> Result<(), String> {
    let Open::Writer(connection) = &mut tx.open else {
        return Err("the transaction does not belong to the writer".to_owned());
    };
    sqlx::query(sql)
        .execute(connection)
        .await
        .map(drop)
        .map_err(|e| e.to_string())
}

/// Creates the folder (mode 0700) and the file (mode 0600) if they do not exist.
fn create_private_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        create_private_folder(folder)?;
    }
    open_private(path).map(drop)
}

/// Opens a file; if it does not exist, creates it with access for its owner only.
fn open_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Creates a folder that only its owner may access. An existing folder does not change.
pub(super) fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
