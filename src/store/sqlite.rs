//! SQLite: one writer that commits many units of work together, and a few readers that never wait for it.
//!
//! The writer takes the queued units of work, runs each in its own savepoint inside one transaction, commits once, and
//! then returns the results. A unit of work that fails or panics is rolled back alone. If the commit fails, all units
//! of work of the batch fail with 503.

use super::failure::{continued_after_failure, watched};
use super::handoff::{AddedWork, Handoff};
use super::open_error;
use super::pool::Pool;
use super::tx::{Mode, Open, Shared, Tx, Usage};
use crate::error::{DatabaseFailure, Error, ErrorKind, Result};
use futures_util::{FutureExt, future::BoxFuture};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The number of units of work that may wait for the writer; further ones fail with 503.
const MAX_QUEUED: usize = 1000;
/// The largest number of units of work in one commit.
const MAX_BATCH: usize = 128;
/// The time limit for one unit of work.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The pages in the write-ahead log after which a commit copies it into the database: 16 MB. The log is then written
/// again from its beginning.
const CHECKPOINT_PAGES: &str = "4000";
/// The size to which the log's file is cut when it had to grow further, because a reader needed an old state: 64 MB.
const MAX_LOG_BYTES: &str = "67108864";
/// When nothing was written for this long, the log is copied into the database.
const IDLE: Duration = Duration::from_secs(5);
/// The prepared statements of each connection: more than the store has.
const STATEMENTS: usize = 512;

/// One database file.
#[derive(Debug, Clone)]
pub struct Sqlite {
    writer: mpsc::Sender<Box<dyn QueuedUnit>>,
    readers: Pool<sqlx::Sqlite>,
    closed: Arc<AtomicBool>,
    shared: Shared,
}

/// How a connection opens the file. The page caches are bounded: 16 MB for the writer, 4 MB for each reader. The file is
/// not mapped into memory, because mapped pages count as the process's own.
fn options(path: &Path, cache_kib: u32) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(2))
        .statement_cache_capacity(STATEMENTS)
        .pragma("cache_size", format!("-{cache_kib}"))
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", MAX_LOG_BYTES)
}

/// Twice the number of processors: a reader's thread also waits for the task that takes its rows.
fn reader_count() -> usize {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    (2 * processors).clamp(4, 32)
}

impl Sqlite {
    /// Opens or creates the file and its folder, both accessible to the owner only, runs the migrations and starts the
    /// writer.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        create_private_file(path).map_err(|e| open_error::file(path, &e))?;
        let mut writer = options(path, 16_384)
            .connect()
            .await
            .map_err(|e| open_error::sqlite(path, &e))?;
        sqlx::migrate!("migrations/sqlite")
            .run(&mut writer)
            .await
            .map_err(|e| open_error::migration(&e))?;
        let readers = Pool::new(options(path, 4096).read_only(true), reader_count());
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        let shared = Shared::default();
        let tx = Tx::new(Open::Writer(writer), Mode::Transaction, &shared);
        #[expect(
            clippy::disallowed_methods,
            reason = "the writer ends when the last handle of the store is dropped"
        )]
        tokio::spawn(run_writer(tx, receiver, shared.clone()));
        Ok(Self {
            writer: sender,
            readers,
            closed: Arc::default(),
            shared,
        })
    }

    pub(super) async fn write<C, T, F>(&self, input: C, unit: F) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::unavailable("the database is closed"));
        }
        self.queue(input, unit).await
    }

    async fn queue<C, T, F>(&self, input: C, unit: F) -> Result<T>
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

    pub(super) async fn read<C, T, F>(self, input: C, unit: F, mode: Mode) -> Result<T>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        super::to_its_end(super::PATIENCE, async move {
            match self.try_read(&input, &unit, mode).await {
                Err(e) if e.database_failure() == Some(DatabaseFailure::ConnectionLost) => {
                    self.readers.forget_idle();
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
        let mut open = self.readers.get().await?;
        if mode == Mode::Transaction {
            send(&mut open.connection, "BEGIN");
        }
        let mut tx = Tx::new(Open::Reader(open), mode, &self.shared);
        let result = unit(&mut tx, input).await;
        if let (Open::Reader(mut open), true) = (tx.open, is_usable(&result)) {
            if mode == Mode::Transaction {
                send(&mut open.connection, "ROLLBACK");
            }
            open.give_back();
        }
        result
    }

    pub(super) fn usage(&self) -> Usage {
        self.shared.counters.usage()
    }

    pub(super) fn handoff(&self) -> &Handoff {
        &self.shared.handoff
    }

    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.readers.close().await;
        // An empty unit of work returns after everything queued before it is stored.
        let _ = self.queue((), |_, ()| Box::pin(async { Ok(()) })).await;
    }
}

/// Whether the connection can be used again after this result.
fn is_usable<T>(result: &Result<T>) -> bool {
    !matches!(result, Err(e) if e.kind() == ErrorKind::Unavailable)
}

/// Gives a statement to the connection's thread without waiting for its result. The thread runs all statements in
/// order, so the next one that is waited for comes after it.
fn send(connection: &mut SqliteConnection, sql: &'static str) {
    let _ = sqlx::query(sql).execute(connection).now_or_never();
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
            let work = AssertUnwindSafe(watched((self.unit)(tx, &self.input))).catch_unwind();
            let result = match tokio::time::timeout(TIME_LIMIT, work).await {
                Ok(Ok((Ok(_), true))) => Err(continued_after_failure()),
                Ok(Ok((result, _))) => result,
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

async fn run_writer(mut tx: Tx, mut queue: mpsc::Receiver<Box<dyn QueuedUnit>>, shared: Shared) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut written = false;
    loop {
        let received = tokio::time::timeout(IDLE, queue.recv_many(&mut batch, MAX_BATCH)).await;
        match received {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) if std::mem::take(&mut written) => {
                // It copies what it can without waiting for readers.
                let _ = execute(&mut tx, "PRAGMA wal_checkpoint(PASSIVE)").await;
                continue;
            }
            Err(_) => continue,
        }
        written = true;
        metrics::histogram!("assent_store_batch")
            .record(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
        commit_together(&mut tx, &shared, std::mem::take(&mut batch)).await;
    }
    if let Open::Writer(connection) = tx.open {
        let _ = connection.close().await;
    }
}

/// Commits all units of work of a batch in one transaction. If that fails, each is tried once more in a transaction of
/// its own, so that one of them cannot make the others fail.
async fn commit_together(tx: &mut Tx, shared: &Shared, mut batch: Vec<Box<dyn QueuedUnit>>) {
    let committed = run_transaction(tx, shared, &mut batch).await;
    if committed.is_err() && batch.len() > 1 {
        for unit in batch {
            let mut alone = vec![unit];
            let committed = run_transaction(tx, shared, &mut alone).await;
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

async fn run_transaction(
    tx: &mut Tx,
    shared: &Shared,
    batch: &mut [Box<dyn QueuedUnit>],
) -> Result<(), String> {
    let done = match batch {
        [only] => run_alone(tx, only).await,
        several => run_in_savepoints(tx, several).await,
    };
    shared.counters.add(0, 2, u64::from(done.is_ok()));
    let added = std::mem::take(&mut tx.added);
    if done.is_ok() {
        shared.handoff.committed(added);
    } else {
        // A failed COMMIT leaves the transaction open. Roll it back so that the next one can begin.
        let _ = execute(tx, "ROLLBACK").await;
    }
    done
}

async fn run_alone(tx: &mut Tx, unit: &mut Box<dyn QueuedUnit>) -> Result<(), String> {
    execute(tx, "BEGIN IMMEDIATE").await?;
    if unit.run(tx).await {
        return execute(tx, "COMMIT").await;
    }
    tx.added = AddedWork::default();
    execute(tx, "ROLLBACK").await
}

/// Each unit of work has the savepoint `u` to itself. Its begin and its release are not waited for: they can only fail
/// when a statement before them made SQLite roll back the whole transaction. The unit of that statement failed, so it
/// is rolled back to its savepoint, and this is waited for and then fails.
async fn run_in_savepoints(tx: &mut Tx, batch: &mut [Box<dyn QueuedUnit>]) -> Result<(), String> {
    execute(tx, "BEGIN IMMEDIATE; SAVEPOINT u").await?;
    let mut after_success = false;
    for unit in batch {
        if after_success && let Open::Writer(connection) = &mut tx.open {
            send(connection, "RELEASE u");
            send(connection, "SAVEPOINT u");
        }
        let added = tx.added.mark();
        after_success = unit.run(tx).await;
        if !after_success {
            tx.added.roll_back_to(added);
            execute(tx, "ROLLBACK TO u").await?;
        }
    }
    execute(tx, "COMMIT").await
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

/// Locks a database against other servers. The lock ends when the returned file is closed.
pub(super) fn lock(database: &Path) -> Result<std::fs::File> {
    let path = database.with_extension("lock");
    create_private_file(&path).map_err(|e| open_error::file(&path, &e))?;
    let file = open_private(&path).map_err(|e| open_error::file(&path, &e))?;
    file.try_lock().map_err(|_| {
        Error::conflict(format!(
            "Another server is using the database {}. Stop it, or use PostgreSQL to run several servers",
            database.display()
        ))
    })?;
    Ok(file)
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
