//! The databases of a measurement: an empty one for each section, and what it has stored and logged so far.

use assent::clock::{Clock, new_id};
use assent::error::{Error, Result};
use assent::store;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::path::{Path, PathBuf};

/// One of the two databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    /// With the URL of the server.
    Postgres(String),
}

impl Kind {
    /// The name in the tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

/// An empty database.
pub struct Database {
    kind: Kind,
    /// As in the setting `database`.
    pub url: String,
    /// The file, or the schema.
    name: String,
}

impl Database {
    /// Creates one; the file of an embedded one is in `folder`.
    pub async fn create(kind: &Kind, folder: &Path) -> Result<Self> {
        let id = new_id(Clock::System.now()).simple();
        let (url, name) = match kind {
            Kind::Sqlite => {
                let path = folder.join(format!("{id}.db")).display().to_string();
                (format!("sqlite:{path}"), path)
            }
            Kind::Postgres(server) => {
                let schema = format!("bench_{id}");
                (store::create_schema(server, &schema).await?, schema)
            }
        };
        Ok(Self {
            kind: kind.clone(),
            url,
            name,
        })
    }

    /// Deletes everything in it.
    pub async fn delete(self) -> Result<()> {
        match &self.kind {
            Kind::Sqlite => {
                for end in ["", "-wal", "-shm"] {
                    // A file that does not exist is fine.
                    let _ = std::fs::remove_file(format!("{}{end}", self.name));
                }
                Ok(())
            }
            Kind::Postgres(server) => store::drop_schema(server, &self.name).await,
        }
    }

    async fn sqlite(&self) -> Result<SqliteConnection> {
        let options = SqliteConnectOptions::new().filename(&self.name);
        options.connect().await.map_err(Error::internal)
    }

    async fn postgres(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.url).await.map_err(Error::internal)
    }

    /// The bytes that are stored, with indexes, without the log.
    pub async fn stored_bytes(&self) -> Result<f64> {
        match &self.kind {
            Kind::Sqlite => {
                let mut connection = self.sqlite().await?;
                let pages: i64 = sqlx::query_scalar(
                    "SELECT (SELECT page_count FROM pragma_page_count) \
                     - (SELECT freelist_count FROM pragma_freelist_count)",
                )
                .fetch_one(&mut connection)
                .await
                .map_err(Error::internal)?;
                Ok(pages as f64 * 4096.0)
            }
            Kind::Postgres(_) => {
                let mut connection = self.postgres().await?;
                sqlx::query_scalar(
                    "SELECT SUM(pg_total_relation_size(c.oid))::float8 FROM pg_class c \
                     JOIN pg_namespace n ON n.oid = c.relnamespace \
                     WHERE n.nspname = current_schema() AND c.relkind = 'r'",
                )
                .fetch_one(&mut connection)
                .await
                .map_err(Error::internal)
            }
        }
    }

    /// Begins to count the bytes of the write-ahead log.
    pub async fn watch_log(&self) -> Result<LogWatch> {
        match &self.kind {
            Kind::Sqlite => {
                let mut connection = self.sqlite().await?;
                for sql in ["BEGIN", "SELECT COUNT(*) FROM client"] {
                    sqlx::query(sql)
                        .execute(&mut connection)
                        .await
                        .map_err(Error::internal)?;
                }
                let index = PathBuf::from(format!("{}-shm", self.name));
                let began = SqliteLog::read(&index)?;
                Ok(LogWatch::Sqlite {
                    _reader: connection,
                    index,
                    began,
                })
            }
            Kind::Postgres(_) => {
                let mut connection = self.postgres().await?;
                let began = postgres_log(&mut connection).await?;
                Ok(LogWatch::Postgres { connection, began })
            }
        }
    }

    /// Brings the statistics of the query planner and the log up to date after many rows were added.
    pub async fn settle(&self) -> Result<()> {
        match &self.kind {
            Kind::Sqlite => {
                let mut connection = self.sqlite().await?;
                let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
                sqlx::query(sql)
                    .execute(&mut connection)
                    .await
                    .map(drop)
                    .map_err(Error::internal)
            }
            Kind::Postgres(_) => {
                let mut connection = self.postgres().await?;
                for sql in ["ANALYZE", "CHECKPOINT"] {
                    // A checkpoint needs a privilege that the role may not have.
                    let _ = sqlx::query(sql).execute(&mut connection).await;
                }
                Ok(())
            }
        }
    }
}

/// Counts the bytes written to the write-ahead log.
pub enum LogWatch {
    /// The open read keeps SQLite from starting its log again from the beginning, so that every page that is written
    /// adds to it.
    Sqlite {
        _reader: SqliteConnection,
        index: PathBuf,
        began: SqliteLog,
    },
    /// PostgreSQL tells the position in its log.
    Postgres { connection: PgConnection, began: f64 },
}

impl LogWatch {
    /// The bytes since it began.
    pub async fn bytes(self) -> Result<f64> {
        match self {
            Self::Sqlite { index, began, .. } => {
                let now = SqliteLog::read(&index)?;
                // If the log was empty, the first write began it anew; after that, the open read prevents it.
                let before = if now.salt == began.salt { began.pages } else { 0 };
                // Each page has a header of 24 bytes in the log.
                Ok(f64::from(now.pages.saturating_sub(before)) * f64::from(now.page_size + 24))
            }
            Self::Postgres {
                mut connection,
                began,
            } => Ok(postgres_log(&mut connection).await? - began),
        }
    }
}

async fn postgres_log(connection: &mut PgConnection) -> Result<f64> {
    sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8")
        .fetch_one(connection)
        .await
        .map_err(Error::internal)
}

/// The header of SQLite's index of its log (file format, "WAL-Index Header").
pub struct SqliteLog {
    pages: u32,
    page_size: u32,
    salt: u32,
}

impl SqliteLog {
    fn read(index: &Path) -> Result<Self> {
        let bytes = std::fs::read(index).map_err(Error::internal)?;
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u32::from_ne_bytes)
        };
        let page_size = bytes.get(14..16).and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            pages: number(16),
            page_size: page_size.map_or(4096, |bytes| u32::from(u16::from_ne_bytes(bytes))),
            salt: number(32),
        })
    }
}
