//! SQLite: one writer that commits for everyone who waits, a few readers that never wait for it.
//!
//! The writer takes the units that are queued, runs each in a savepoint of its own inside one transaction, commits
//! once, and only then answers. A unit that fails or panics rolls back alone. A commit that fails answers 503 to all.

use super::{Open, Tx, database};
use crate::error::{Error, Kind, Result};
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

/// Units that may wait for the writer; one more is answered 503.
const QUEUE: usize = 1000;
/// Units that share one commit at most.
const BATCH: usize = 128;
/// Time for one unit.
const UNIT: Duration = Duration::from_secs(10);

/// One database file.
#[derive(Debug, Clone)]
pub struct Sqlite {
    path: PathBuf,
    writer: mpsc::Sender<Box<dyn Waiting>>,
    readers: SqlitePool,
    wake: Arc<Notify>,
}

impl Sqlite {
    /// Opens or creates the file (its folder too, both private to the owner), migrates, starts the writer.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        private_file(path).map_err(|e| Error::unavailable(format!("{}: {e}", path.display())))?;
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
        let (sender, receiver) = mpsc::channel(QUEUE);
        let wake = Arc::new(Notify::new());
        #[expect(
            clippy::disallowed_methods,
            reason = "the writer lives as long as the store's last handle"
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
                "Another server runs on {}; stop it or use PostgreSQL",
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
        let (reply, answer) = oneshot::channel();
        let waiting = Box::new(Work {
            input,
            unit,
            done: None,
            reply: Some(reply),
        });
        self.writer
            .try_send(waiting)
            .map_err(|_| Error::unavailable("the writer's queue is full or closed"))?;
        answer
            .await
            .map_err(|_| Error::unavailable("the writer stopped"))?
    }

    pub(super) async fn read<C, T, F>(&self, input: &C, unit: &F) -> Result<T>
    where
        F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>>,
    {
        let open = self.readers.begin().await.map_err(database)?;
        let mut tx = Tx::on(Open::Reader(open));
        let answer = unit(&mut tx, input).await;
        if let Open::Reader(open) = tx.open {
            open.rollback().await.map_err(database)?;
        }
        answer
    }

    pub(super) fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        // What is queued is still answered: the writer ends when the last sender is gone.
        let _ = self.write((), |_, ()| Box::pin(async { Ok(()) })).await;
    }
}

/// A unit of work that waits for the writer, without its types.
trait Waiting: Send {
    /// Runs it inside the open transaction; false when it failed and must be undone.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool>;
    /// Tells the caller: the unit's own answer, or that nothing was stored.
    fn answer(self: Box<Self>, stored: Result<(), String>);
}

struct Work<C, T, F> {
    input: C,
    unit: F,
    done: Option<Result<T>>,
    reply: Option<oneshot::Sender<Result<T>>>,
}

impl<C, T, F> Waiting for Work<C, T, F>
where
    C: Send + Sync,
    T: Send,
    F: for<'t> Fn(&'t mut Tx, &'t C) -> BoxFuture<'t, Result<T>> + Send + Sync,
{
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let work = AssertUnwindSafe((self.unit)(tx, &self.input)).catch_unwind();
            let done = match tokio::time::timeout(UNIT, work).await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) => Err(Error::internal("a unit of work panicked")),
                Err(_) => Err(Error::unavailable("a unit of work took too long")),
            };
            let held = done.is_ok();
            self.done = Some(done);
            held
        })
    }

    fn answer(mut self: Box<Self>, stored: Result<(), String>) {
        let done = self.done.take();
        let answer = match (stored, done) {
            (Ok(()), Some(done)) => done,
            (Err(_), Some(Err(own))) if own.kind() != Kind::Unavailable => Err(own),
            (Err(why), _) => Err(Error::unavailable(why)),
            (Ok(()), None) => Err(Error::unavailable("the unit of work never ran")),
        };
        if let Some(reply) = self.reply.take() {
            // The caller may have gone away; the work stands all the same.
            let _ = reply.send(answer);
        }
    }
}

async fn run_writer(
    connection: SqliteConnection,
    mut queue: mpsc::Receiver<Box<dyn Waiting>>,
    wake: Arc<Notify>,
) {
    let mut tx = Tx::on(Open::Writer(connection));
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        metrics::histogram!("assent_store_batch")
            .record(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
        commit_together(&mut tx, std::mem::take(&mut batch)).await;
        if std::mem::take(&mut tx.wakes) {
            wake.notify_waiters();
        }
    }
    if let Open::Writer(connection) = tx.open {
        let _ = connection.close().await;
    }
}

/// One transaction for everyone who waits. When the commit of several fails, each is tried once more alone, so that
/// one bad unit harms nobody else.
async fn commit_together(tx: &mut Tx, mut batch: Vec<Box<dyn Waiting>>) {
    let stored = transaction(tx, &mut batch).await;
    if stored.is_err() && batch.len() > 1 {
        for one in batch {
            let mut alone = vec![one];
            let stored = transaction(tx, &mut alone).await;
            for unit in alone {
                unit.answer(stored.clone());
            }
        }
        return;
    }
    for unit in batch {
        unit.answer(stored.clone());
    }
}

async fn transaction(tx: &mut Tx, batch: &mut [Box<dyn Waiting>]) -> Result<(), String> {
    execute(tx, "BEGIN IMMEDIATE").await?;
    let outcome = savepoints(tx, batch).await;
    let outcome = match outcome {
        Ok(()) => execute(tx, "COMMIT").await,
        Err(why) => Err(why),
    };
    if outcome.is_err() {
        // A failed COMMIT leaves the transaction open; undo it so that the next one can begin.
        let _ = execute(tx, "ROLLBACK").await;
    }
    outcome
}

async fn savepoints(tx: &mut Tx, batch: &mut [Box<dyn Waiting>]) -> Result<(), String> {
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
        return Err("not the writer".to_owned());
    };
    sqlx::query(sql)
        .execute(connection)
        .await
        .map(drop)
        .map_err(|e| e.to_string())
}

/// The folder (0700) and the file (0600), made if they are missing.
fn private_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        make_private(folder)?;
    }
    open_private(path).map(drop)
}

/// Opens a file, or makes one that only its owner may read.
fn open_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A folder that only the owner may enter; one that exists is left as it is.
pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
