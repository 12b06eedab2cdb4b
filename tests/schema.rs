//! The schemas of both databases have the same tables, columns, types, nullability, keys and indexes.

use crate::support::TestApp;
use crate::support::database::{open_postgres, open_sqlite};
use sqlx::{AssertSqlSafe, Connection as _, Row, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};

/// The parts of a schema that can be read from both databases.
#[derive(Debug, Default, PartialEq, Eq)]
struct Schema {
    /// `table.column`, with whether it may be NULL.
    columns: BTreeMap<String, bool>,
    /// `table.column`, with its SQLite type.
    types: BTreeMap<String, String>,
    /// `table: name (columns)`, with `unique`.
    indexes: BTreeSet<String>,
    /// `table.column -> table`
    references: BTreeSet<String>,
    /// `table (columns)`
    keys: BTreeSet<String>,
}

/// The table in which sqlx records the migrations.
const MIGRATIONS: &str = "_sqlx_migrations";

async fn sqlite_schema(path: &str) -> Schema {
    let mut connection = open_sqlite(path).await;
    let mut schema = Schema::default();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = sqlx::query_scalar(tables)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for table in tables.into_iter().filter(|t| t != MIGRATIONS) {
        let rows = pragma(&mut connection, &format!("PRAGMA table_info(\"{table}\")")).await;
        let mut key: Vec<(i64, String)> = Vec::new();
        for row in rows {
            let (name, nullable) = (row.get::<String, _>("name"), row.get::<i64, _>("notnull") == 0);
            let column = format!("{table}.{name}");
            schema.columns.insert(column.clone(), nullable);
            schema.types.insert(column, row.get("type"));
            if row.get::<i64, _>("pk") > 0 {
                key.push((row.get("pk"), name));
            }
        }
        key.sort();
        let key: Vec<String> = key.into_iter().map(|(_, name)| name).collect();
        schema.keys.insert(format!("{table} ({})", key.join(", ")));
        for row in pragma(&mut connection, &format!("PRAGMA foreign_key_list(\"{table}\")")).await {
            let (from, to) = (row.get::<String, _>("from"), row.get::<String, _>("table"));
            schema.references.insert(format!("{table}.{from} -> {to}"));
        }
        for row in pragma(&mut connection, &format!("PRAGMA index_list(\"{table}\")")).await {
            if row.get::<String, _>("origin") != "c" {
                continue;
            }
            let name: String = row.get("name");
            let unique = if row.get::<i64, _>("unique") == 1 {
                " unique"
            } else {
                ""
            };
            let columns = pragma(&mut connection, &format!("PRAGMA index_info(\"{name}\")")).await;
            let columns: Vec<String> = columns.iter().map(|c| c.get("name")).collect();
            schema
                .indexes
                .insert(format!("{table}: {name} ({}){unique}", columns.join(", ")));
        }
    }
    schema
}

async fn pragma(connection: &mut SqliteConnection, statement: &str) -> Vec<sqlx::sqlite::SqliteRow> {
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap()
}

const PG_COLUMNS: &str = "SELECT table_name::text, column_name::text, is_nullable::text, data_type::text \
    FROM information_schema.columns WHERE table_schema = current_schema()";
const PG_INDEXES: &str = "SELECT t.relname::text, i.relname::text, x.indisunique, x.indisprimary, \
    array_agg(a.attname::text ORDER BY array_position(x.indkey::int2[], a.attnum)) \
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
    JOIN pg_namespace n ON n.oid = t.relnamespace \
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY(x.indkey) \
    WHERE n.nspname = current_schema() GROUP BY 1, 2, 3, 4";
const PG_REFERENCES: &str = "SELECT t.relname::text, a.attname::text, f.relname::text FROM pg_constraint c \
    JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid \
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY(c.conkey) \
    WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace";

async fn postgres_schema(url: &str) -> Schema {
    let mut connection = open_postgres(url).await;
    let mut schema = Schema::default();
    type Column = (String, String, String, String);
    let columns: Vec<Column> = sqlx::query_as(PG_COLUMNS)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for (table, name, nullable, data_type) in columns.into_iter().filter(|c| c.0 != MIGRATIONS) {
        let column = format!("{table}.{name}");
        schema.columns.insert(column.clone(), nullable == "YES");
        schema.types.insert(column, sqlite_type(&data_type).to_owned());
    }
    type Index = (String, String, bool, bool, Vec<String>);
    let indexes: Vec<Index> = sqlx::query_as(PG_INDEXES)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for (table, name, unique, primary, columns) in indexes.into_iter().filter(|i| i.0 != MIGRATIONS) {
        let columns = columns.join(", ");
        if primary {
            schema.keys.insert(format!("{table} ({columns})"));
        } else {
            let unique = if unique { " unique" } else { "" };
            schema
                .indexes
                .insert(format!("{table}: {name} ({columns}){unique}"));
        }
    }
    let references: Vec<(String, String, String)> = sqlx::query_as(PG_REFERENCES)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    schema.references.extend(
        references
            .into_iter()
            .map(|(table, from, to)| format!("{table}.{from} -> {to}")),
    );
    connection.close().await.unwrap();
    schema
}

/// The SQLite type for a PostgreSQL type: ids are bytes, dates and times are text.
fn sqlite_type(data_type: &str) -> &'static str {
    match data_type {
        "uuid" => "BLOB",
        "text" | "date" | "timestamp with time zone" => "TEXT",
        "boolean" | "bigint" => "INTEGER",
        _ => "none",
    }
}

#[tokio::test]
async fn both_databases_have_the_same_schema() {
    let Some(postgres) = TestApp::postgres().await else {
        return;
    };
    let sqlite = TestApp::sqlite().await;
    let postgres_schema = postgres_schema(&postgres.state.config.database).await;
    let sqlite_schema = sqlite_schema(sqlite.state.config.database.strip_prefix("sqlite:").unwrap()).await;
    assert!(
        sqlite_schema.columns.len() > 100 && sqlite_schema.indexes.len() > 20,
        "the schema is incomplete: {sqlite_schema:?}"
    );
    assert_eq!(
        sqlite_schema.columns, postgres_schema.columns,
        "columns and nullability"
    );
    assert_eq!(sqlite_schema.types, postgres_schema.types, "types");
    assert_eq!(sqlite_schema.indexes, postgres_schema.indexes, "indexes");
    assert_eq!(sqlite_schema.keys, postgres_schema.keys, "primary keys");
    assert_eq!(sqlite_schema.references, postgres_schema.references, "references");
    sqlite.finish().await;
    postgres.finish().await;
}
