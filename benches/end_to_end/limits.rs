//! The limits of the machine, measured with the same client in the same run: small axum servers in a process of their
//! own that do only what cannot be left out.
//!
//! `/parse` parses the body and writes it again: the limit of a hook. `/insert` answers after one durable insert of the
//! body: the limit of `$submit`. `/kept` parses the body, if there is one, and answers with a text that was stored
//! before: the limit of a read.

use crate::client::Template;
use assent::clock::{Clock, new_id};
use assent::config::{Config, Database};
use assent::error::{Error, Result};
use assent::store::Store;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// A running limit server.
pub struct LimitServer {
    child: Child,
    /// Its IP address and port.
    pub address: String,
}

impl LimitServer {
    /// Starts the process; `database` is an empty database for the inserts.
    pub fn start(database: &str) -> Result<Self> {
        let own = std::env::current_exe().map_err(Error::internal)?;
        let mut child = Command::new(own)
            .args(["limit", database])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::internal)?;
        let mut address = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output)
                .read_line(&mut address)
                .map_err(Error::internal)?;
        }
        let address = address.trim().to_owned();
        if address.is_empty() {
            return Err(Error::internal("the limit server did not start"));
        }
        Ok(Self { child, address })
    }

    /// The request for the limit of another one: the same body to one of the three addresses.
    pub fn request(path: &str, like: &Template) -> Template {
        Template {
            path: path.to_owned(),
            headers: like.headers.clone(),
            body: like.body.clone(),
            signing: None,
            contains: String::new(),
        }
    }
}

impl Drop for LimitServer {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone)]
struct Limit {
    inserts: Inserts,
    kept: Arc<Mutex<String>>,
}

/// Who inserts: on SQLite the store's writer, which commits many inserts together; on PostgreSQL each insert commits
/// itself in one round trip.
#[derive(Clone)]
enum Inserts {
    Sqlite(Store),
    Postgres(sqlx::PgPool),
}

/// The process of the limit server.
pub fn run_process(database: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::internal)?;
    runtime.block_on(serve(database))
}

async fn serve(database: &str) -> Result<()> {
    let mut config = Config::defaults()?;
    config.database = database.to_owned();
    let store = Store::open(&config).await?;
    let inserts = match config.database()? {
        Database::Sqlite(_) => Inserts::Sqlite(store),
        Database::Postgres(url) => {
            let options = sqlx::postgres::PgPoolOptions::new()
                .max_connections(config.postgres.connections)
                .test_before_acquire(false);
            Inserts::Postgres(options.connect(&url).await.map_err(Error::internal)?)
        }
    };
    let limit = Limit {
        inserts,
        kept: Arc::default(),
    };
    let router = Router::new()
        .route(
            "/parse",
            post(|Json(body): Json<Value>| async move { Json(body) }),
        )
        .route("/insert", post(insert))
        .route("/keep", post(keep))
        .route("/kept", get(kept).post(parse_and_answer))
        .layer(DefaultBodyLimit::disable())
        .with_state(limit);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Error::internal)?;
    println!("{}", listener.local_addr().map_err(Error::internal)?);
    axum::serve(listener, router).await.map_err(Error::internal)
}

async fn insert(State(limit): State<Limit>, body: String) -> Result<&'static str, StatusCode> {
    let now = Clock::System.now();
    let done = match limit.inserts {
        Inserts::Sqlite(store) => {
            let unit = store.write((body, now), |tx, (body, now)| {
                Box::pin(async move { tx.add_blob(new_id(*now), "bench", body, *now).await })
            });
            unit.await
        }
        Inserts::Postgres(pool) => {
            sqlx::query("INSERT INTO blob (id, kind, body, created) VALUES ($1, 'bench', $2, $3)")
                .bind(new_id(now))
                .bind(body)
                .bind(now)
                .execute(&pool)
                .await
                .map(drop)
                .map_err(Error::internal)
        }
    };
    done.map(|()| "stored")
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn keep(State(limit): State<Limit>, body: String) {
    *limit.kept.lock().unwrap_or_else(PoisonError::into_inner) = body;
}

async fn kept(State(limit): State<Limit>) -> String {
    limit.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

async fn parse_and_answer(limit: State<Limit>, body: Bytes) -> Result<String, StatusCode> {
    serde_json::from_slice::<Value>(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(kept(limit).await)
}
