//! Explains every statement that any test of this process made the server run, on the database of the test that ends
//! next, and fails when one reads a whole table that grows. Cost must not grow with cases, members and policies.

use super::database::Database;
use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, SqliteConnection};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer};

/// The tables that stay small: what the operator enters, what is published, and one row for each process or worker.
const SMALL: [&str; 13] = [
    "client",
    "client_origin",
    "gold_card",
    "legal_hold",
    "policy_set",
    "process",
    "proposal",
    "public_list",
    "publication",
    "queue_count",
    "staff_member",
    "worker",
    "_sqlx_migrations",
];

/// Statements that read everything on purpose, with the reason.
const WHOLE: [(&str, &str); 3] = [
    (
        "FROM member_login ORDER BY username",
        "`assent user list` prints all sign-ins",
    ),
    (
        "COUNT(*) FROM prior_auth WHERE received >= $1",
        "the back-test evaluates all of these cases again",
    ),
    (
        "JOIN queue_entry e ON e.case_id IN (SELECT",
        "only SQLite runs this form of the queue's keys; PostgreSQL has the one with LATERAL",
    ),
];

#[derive(Default)]
struct Statements {
    /// Texts that no database has explained yet, and those that were seen at all.
    sqlite: BTreeSet<String>,
    postgres: BTreeSet<String>,
    seen: BTreeSet<String>,
    /// Texts that one of the databases does not accept.
    foreign: BTreeSet<String>,
}

static STATEMENTS: Mutex<Option<Statements>> = Mutex::new(None);

fn statements() -> MutexGuard<'static, Option<Statements>> {
    STATEMENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers each statement that sqlx logs. Connections of the tests themselves do not log.
pub struct Recorder;

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let sql = if text.statement.trim().is_empty() {
            text.summary
        } else {
            text.statement
        };
        remember(sql.trim());
    }
}

#[derive(Default)]
struct Text {
    summary: String,
    statement: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn remember(sql: &str) {
    let mut all = statements();
    let all = all.get_or_insert_default();
    // A batch on SQLite is one text.
    for one in sql.split("; ") {
        let reads_or_writes = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"]
            .iter()
            .any(|word| one.starts_with(word));
        if reads_or_writes && all.seen.insert(one.to_owned()) {
            all.sqlite.insert(one.to_owned());
            all.postgres.insert(one.to_owned());
        }
    }
}

/// The statements whose plan reads a whole table, each with the part of the plan.
pub async fn whole_table_reads(database: &Database) -> Vec<String> {
    let texts = {
        let mut all = statements();
        let all = all.get_or_insert_default();
        std::mem::take(if database.is_postgres() {
            &mut all.postgres
        } else {
            &mut all.sqlite
        })
    };
    let mut found = Vec::new();
    for sql in texts {
        let read = if database.is_postgres() {
            let options: sqlx::postgres::PgConnectOptions = database.url.parse().unwrap();
            let mut connection = options.disable_statement_logging().connect().await.unwrap();
            let read = explain_on_postgres(&mut connection, &sql).await;
            connection.close().await.unwrap();
            read
        } else {
            explain_on_sqlite(&mut database.sqlite_connection().await, &sql).await
        };
        match read {
            Ok(Some(_)) if WHOLE.iter().any(|(part, _)| sql.contains(part)) => {}
            Ok(Some(part)) => found.push(format!("{part}: {sql}")),
            Ok(None) => {}
            Err(error) => {
                let other_accepts = statements().get_or_insert_default().foreign.insert(sql.clone());
                if !other_accepts {
                    found.push(format!(
                        "neither database explains this statement ({error}): {sql}"
                    ));
                }
            }
        }
    }
    found
}

/// The growing table behind a name in a statement, which may be an alias.
fn growing_table(sql: &str, name: &str, tables: &[String]) -> Option<String> {
    let words: Vec<&str> = sql
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|w| !w.is_empty() && *w != "AS")
        .collect();
    let is_table = |word: &str| tables.iter().any(|t| t == word);
    let aliased = words
        .windows(2)
        .find(|pair| pair[1] == name && is_table(pair[0]))
        .map(|pair| pair[0]);
    let named = words.contains(&name) || !sql.starts_with("INSERT");
    // An INSERT also shows how SQLite would look for rows that wait for this one, if there were any.
    let table = aliased.or_else(|| (named && is_table(name)).then_some(name))?;
    (!SMALL.contains(&table)).then(|| table.to_owned())
}

async fn explain_on_sqlite(
    connection: &mut SqliteConnection,
    sql: &str,
) -> Result<Option<String>, sqlx::Error> {
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await?;
    let plan = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(plan).fetch_all(connection).await?;
    let steps: Vec<String> = rows.iter().map(|row| row.get::<String, _>("detail")).collect();
    Ok(sqlite_scan(&steps, sql, &tables))
}

/// The step of a plan that reads a whole growing table. A scan in the order of an index is fine if a LIMIT ends it.
fn sqlite_scan(steps: &[String], sql: &str, tables: &[String]) -> Option<String> {
    let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY"));
    let ends_early = sql.contains(" LIMIT ") && !sorts;
    steps
        .iter()
        .find(|step| {
            let scanned = step
                .strip_prefix("SCAN ")
                .and_then(|rest| rest.split_whitespace().next());
            let in_order = step.contains(" USING ") && ends_early;
            !in_order && scanned.is_some_and(|name| growing_table(sql, name, tables).is_some())
        })
        .cloned()
}

async fn explain_on_postgres(
    connection: &mut PgConnection,
    sql: &str,
) -> Result<Option<String>, sqlx::Error> {
    let run = |text: String| sqlx::raw_sql(AssertSqlSafe(text));
    run("SET enable_seqscan = off; SET enable_mergejoin = off; SET enable_hashjoin = off; SET plan_cache_mode = force_generic_plan".to_owned())
        .execute(&mut *connection)
        .await?;
    run(format!("PREPARE q AS {sql}"))
        .execute(&mut *connection)
        .await?;
    let count: i32 = sqlx::query_scalar(
        "SELECT COALESCE(cardinality(parameter_types), 0) FROM pg_prepared_statements WHERE name = 'q'",
    )
    .fetch_one(&mut *connection)
    .await?;
    let nulls = vec!["NULL"; usize::try_from(count).unwrap()].join(", ");
    let nulls = if nulls.is_empty() {
        nulls
    } else {
        format!("({nulls})")
    };
    let plan = run(format!("EXPLAIN (FORMAT JSON) EXECUTE q{nulls}"))
        .fetch_one(connection)
        .await?;
    let plan: Value = serde_json::from_str(plan.try_get_unchecked::<&str, _>(0)?).unwrap();
    Ok(postgres_scan(&plan[0]["Plan"], false))
}

/// The node of a plan that reads a whole growing table: a sequential scan that cannot be avoided, or an index that is
/// read from end to end. `ends_early` is whether a LIMIT above ends the reading.
fn postgres_scan(node: &Value, ends_early: bool) -> Option<String> {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    let table = node["Relation Name"].as_str().unwrap_or_default();
    let grows = !table.is_empty() && !table.starts_with("pg_") && !SMALL.contains(&table);
    let whole_index =
        matches!(kind, "Index Scan" | "Index Only Scan") && node["Index Cond"].is_null() && !ends_early;
    let whole_bitmap = kind == "Bitmap Heap Scan" && reads_whole_index(node);
    if grows && (kind == "Seq Scan" || whole_index || whole_bitmap) {
        return Some(format!("{kind} on {table}"));
    }
    let ends_early = match kind {
        "Limit" => true,
        "Sort" | "Incremental Sort" | "Aggregate" | "Hash" | "HashAggregate" | "Materialize" => false,
        _ => ends_early,
    };
    let below = node["Plans"].as_array().into_iter().flatten();
    below.into_iter().find_map(|plan| postgres_scan(plan, ends_early))
}

/// Whether a bitmap is made of all entries of an index.
fn reads_whole_index(node: &Value) -> bool {
    let own = node["Node Type"] == "Bitmap Index Scan" && node["Index Cond"].is_null();
    own || node["Plans"]
        .as_array()
        .into_iter()
        .flatten()
        .any(reads_whole_index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{TestApp, both};

    async fn explain(app: &TestApp, sql: &str) -> Option<String> {
        if app.database.is_postgres() {
            let mut connection = PgConnection::connect(&app.database.url).await.unwrap();
            explain_on_postgres(&mut connection, sql).await.unwrap()
        } else {
            explain_on_sqlite(&mut app.database.sqlite_connection().await, sql)
                .await
                .unwrap()
        }
    }

    both! {
        async fn a_whole_table_is_found_and_an_index_is_not(app: &TestApp) {
            for whole in [
                "SELECT id FROM member WHERE given = $1",
                "SELECT m.id FROM member m JOIN coverage c ON c.member = m.id WHERE c.status = $1",
                "SELECT COUNT(*) FROM prior_auth",
                "UPDATE item SET status = $1 WHERE status = $2",
                "SELECT id FROM member ORDER BY given LIMIT 5",
                "SELECT id FROM member ORDER BY member_id",
            ] {
                assert!(explain(app, whole).await.is_some(), "{whole}");
            }
            for indexed in [
                "SELECT id FROM member WHERE member_id = $1",
                "SELECT m.id FROM member m JOIN coverage c ON c.member = m.id WHERE c.folded_subscriber_id = $1",
                "SELECT id FROM member ORDER BY member_id LIMIT 5",
                "SELECT COUNT(*) FROM staff_member",
            ] {
                assert_eq!(explain(app, indexed).await, None, "{indexed}");
            }
        }
    }
}
