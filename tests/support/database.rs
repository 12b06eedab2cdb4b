//! A seeded database for each test: the demo plan is stored once per process; then the SQLite file is copied, or the
//! PostgreSQL database is created from a template.

use super::{config, start, unique};
use assent::app::App;
use assent::clock::Clock;
use assent::demo::seed;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The database of one test.
pub struct Database {
    pub url: String,
    server: Option<(String, String)>,
}

/// A change that is not committed yet.
pub struct OpenChange(PgConnection);

impl OpenChange {
    pub async fn commit(mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
        self.0.close().await.unwrap();
    }
}

/// The folder with the seeded database, and with the keys and sign-ins that all copies share.
struct Template {
    data: TempDir,
}

static SQLITE: OnceCell<Template> = OnceCell::const_new();
static POSTGRES: OnceCell<Option<(Template, String, String)>> = OnceCell::const_new();

pub async fn sqlite(data: &TempDir) -> Database {
    let template = SQLITE
        .get_or_init(|| async {
            let data = TempDir::new().unwrap();
            let url = format!("sqlite:{}", data.path().join("plan.db").display());
            seed_into(&url, &data).await;
            Template { data }
        })
        .await;
    copy_secrets(template.data.path(), data.path());
    let file = data.path().join("plan.db");
    std::fs::copy(template.data.path().join("plan.db"), &file).unwrap();
    Database {
        url: format!("sqlite:{}", file.display()),
        server: None,
    }
}

pub async fn postgres(data: &TempDir) -> Option<Database> {
    let template = POSTGRES
        .get_or_init(|| async {
            let server = server_url()?;
            let data = TempDir::new().unwrap();
            let name = format!("assent_template_{}", std::process::id());
            run_as_admin(&server, &format!("DROP DATABASE IF EXISTS {name}")).await;
            run_as_admin(&server, &format!("CREATE DATABASE {name}")).await;
            seed_into(&database_url(&server, &name), &data).await;
            Some((Template { data }, server, name))
        })
        .await;
    let (template, server, source) = template.as_ref()?;
    copy_secrets(template.data.path(), data.path());
    let name = format!("assent_test_{}_{}", std::process::id(), unique());
    run_as_admin(server, &format!("CREATE DATABASE {name} TEMPLATE {source}")).await;
    Some(Database {
        url: database_url(server, &name),
        server: Some((server.clone(), name)),
    })
}

/// The URL of the PostgreSQL server for tests. CI must provide it.
pub fn server_url() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "only tests read this variable")]
    let url = std::env::var("TEST_POSTGRES_URL").ok();
    #[expect(clippy::disallowed_methods, reason = "only tests read this variable")]
    let ci = std::env::var("CI").is_ok();
    assert!(url.is_some() || !ci, "CI needs TEST_POSTGRES_URL");
    url
}

fn database_url(server: &str, name: &str) -> String {
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

async fn run_as_admin(server: &str, statement: &str) {
    let mut connection = open_postgres(server).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn seed_into(url: &str, data: &TempDir) {
    let mut config = config(data);
    url.clone_into(&mut config.database);
    let app = App::build(config, Clock::fixed_at(start())).await.unwrap();
    seed::fill_plan(&app.state, data.path()).await.unwrap();
    app.state.store.close().await;
    drop(app);
    if let Some(path) = url.strip_prefix("sqlite:") {
        // Write the write-ahead log into the file that is copied.
        let mut connection = open_sqlite(path).await;
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
}

fn copy_secrets(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("keys")).unwrap();
    for key in std::fs::read_dir(from.join("keys")).unwrap() {
        let key = key.unwrap();
        std::fs::copy(key.path(), to.join("keys").join(key.file_name())).unwrap();
    }
    std::fs::copy(from.join("sign-ins.json"), to.join("sign-ins.json")).unwrap();
}

/// The tables whose rows are counted.
const TABLES: [&str; 26] = [
    "assertion",
    "authorization_code",
    "blob",
    "client",
    "coverage",
    "event",
    "gold_card",
    "\"grant\"",
    "hook_call",
    "item",
    "member",
    "member_login",
    "number_alias",
    "outbox",
    "policy_set",
    "prior_auth",
    "proposal",
    "provider",
    "public_list",
    "publication",
    "seen_jti",
    "session",
    "staff_member",
    "submission",
    "subscription",
    "token",
];

/// A connection of the test itself. Its statements are not logged, so that their plans are not checked.
/// Opens a SQLite file for a test's own statements. They are not logged, because the plans of logged ones are checked.
pub async fn open_sqlite(path: impl AsRef<std::path::Path>) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    options.disable_statement_logging().connect().await.unwrap()
}

/// Opens a PostgreSQL database for a test's own statements, like [`open_sqlite`].
pub async fn open_postgres(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.disable_statement_logging().connect().await.unwrap()
}

impl Database {
    pub fn is_postgres(&self) -> bool {
        self.server.is_some()
    }

    pub async fn row_counts(&self) -> Vec<(String, i64)> {
        let mut counts = Vec::new();
        for table in TABLES {
            counts.push((
                table.to_owned(),
                self.number(&format!("SELECT COUNT(*) FROM {table}")).await,
            ));
        }
        counts
    }

    pub async fn number(&self, query: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        if self.server.is_some() {
            let mut connection = open_postgres(&self.url).await;
            let number = sqlx::query_scalar(query)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
            number
        } else {
            let mut connection = self.sqlite_connection().await;
            sqlx::query_scalar(query)
                .fetch_one(&mut connection)
                .await
                .unwrap()
        }
    }

    pub async fn execute(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        if self.server.is_some() {
            let mut connection = open_postgres(&self.url).await;
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        } else {
            let mut connection = self.sqlite_connection().await;
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        }
    }

    /// Runs a statement on PostgreSQL and leaves its transaction open: the rows that it changed are locked.
    pub async fn open_change(&self, statement: &str) -> OpenChange {
        let mut connection = open_postgres(&self.url).await;
        let text = sqlx::AssertSqlSafe(format!("BEGIN; {statement}"));
        sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
        OpenChange(connection)
    }

    pub async fn sqlite_connection(&self) -> SqliteConnection {
        let path = self.url.strip_prefix("sqlite:").unwrap();
        open_sqlite(path).await
    }

    pub async fn remove(self) {
        if let Some((server, name)) = self.server {
            run_as_admin(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}
