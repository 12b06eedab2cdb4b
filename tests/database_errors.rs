//! What the caller learns when the database reports an error: a repetition, a conflict, "send it again", or that the
//! request itself cannot be stored. The kinds are read from the databases' codes.

use crate::support::database::open_sqlite;
use crate::support::{TestApp, both};
use assent::error::{DatabaseFailure, ErrorKind, Result};
use assent::store::{Store, Tx};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Stores a text in a unit of work of its own.
async fn store_text(app: &TestApp, body: &str) -> Result<()> {
    let input = (app.state.new_id(), body.to_owned(), app.clock.now());
    let unit = app.state.store.write(input, |tx, (id, body, now)| {
        Box::pin(async move { tx.add_blob(*id, "test", body, *now).await })
    });
    unit.await
}

async fn count_texts(app: &TestApp) -> i64 {
    app.number("SELECT COUNT(*) FROM blob WHERE kind = 'test'").await
}

fn is_postgres(app: &TestApp) -> bool {
    matches!(app.state.store, Store::Postgres(_))
}

both! {
    async fn another_unique_constraint_is_a_conflict_and_no_repetition(app: &TestApp) {
        let unit = app.state.store.write((app.state.new_id(), app.clock.now()), |tx, (id, now)| {
            Box::pin(async move {
                tx.add_blob(*id, "test", "{}", *now).await?;
                tx.add_blob(*id, "test", "{}", *now).await
            })
        });
        let error = unit.await.unwrap_err();
        assert_eq!((error.kind(), error.is_repetition()), (ErrorKind::Conflict, false), "{error}");
        assert_eq!(count_texts(app).await, 0);
    }

    async fn a_reference_to_nothing_is_a_fault_of_the_server(app: &TestApp) {
        let unit = app.state.store.write((app.state.new_id(), app.clock.now()), |tx, (id, now)| {
            Box::pin(async move {
                let mut batch = tx.batch();
                batch
                    .sql("INSERT INTO number_alias (number, case_id, kind, created) VALUES ($1, $2, 'reference', $3)")
                    .bind("none").bind(*id).bind(*now);
                batch.run(tx).await
            })
        });
        assert_eq!(unit.await.unwrap_err().kind(), ErrorKind::Internal);
    }

    async fn text_that_the_database_cannot_hold_is_the_callers_error(app: &TestApp) {
        let stored = store_text(app, "a\0b").await;
        if is_postgres(app) {
            let error = stored.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
            assert!(error.message().contains("characters that cannot be stored"), "{error}");
        } else {
            stored.unwrap();
        }
        store_text(app, "ab").await.unwrap();
    }

    async fn a_unit_of_work_that_ignores_a_failed_statement_is_rolled_back(app: &TestApp) {
        let unit = app.state.store.write((app.state.new_id(), app.clock.now()), |tx, (id, now)| {
            Box::pin(async move {
                tx.add_blob(*id, "test", "{}", *now).await?;
                let _ = tx.add_blob(*id, "test", "{}", *now).await;
                Ok(())
            })
        });
        assert_eq!(unit.await.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(count_texts(app).await, 0);
    }

    async fn a_unit_of_work_that_reads_sees_one_state(app: &TestApp) {
        let input = (app.state.store.clone(), app.state.new_id(), app.clock.now());
        let unit = app.state.store.read(input, |tx, (store, id, now)| {
            Box::pin(async move {
                // The first statement fixes the state.
                tx.last_worker_run("none").await?;
                let write = store.write((*id, *now), |tx, (id, now)| {
                    Box::pin(async move { tx.add_blob(*id, "test", "{}", *now).await })
                });
                write.await?;
                tx.request_text(*id).await
            })
        });
        assert!(unit.await.is_err(), "a text that was stored later is visible");
        assert_eq!(count_texts(app).await, 1);
    }

    async fn a_batch_is_all_or_nothing(app: &TestApp) {
        for one_statement in [false, true] {
            for exists in [true, false] {
                let input = (app.state.new_id(), exists, app.clock.now());
                let result = if one_statement {
                    app.state.store.write_one(input, |tx, input| Box::pin(run_batch(tx, input))).await
                } else {
                    app.state.store.write(input, |tx, input| Box::pin(run_batch(tx, input))).await
                };
                if exists {
                    assert_eq!(result.unwrap(), [300, 1, 1]);
                    assert_eq!(count_texts(app).await, 301);
                    app.sql("DELETE FROM blob WHERE kind = 'test'").await;
                } else {
                    let error = result.unwrap_err();
                    assert_eq!((error.kind(), error.message()), (ErrorKind::Conflict, "It has changed"));
                    assert_eq!(count_texts(app).await, 0, "the statements before it are rolled back");
                }
            }
        }
    }

    async fn every_write_takes_part_in_one_commit_with_its_round_trips(app: &TestApp) {
        let input = (app.state.new_id(), true, app.clock.now());
        let before = app.state.store.usage();
        app.state.store.write_one(input, |tx, input| Box::pin(run_batch(tx, input))).await.unwrap();
        let after = app.state.store.usage();
        assert_eq!(after.commits - before.commits, 1);
        // PostgreSQL needs a transaction here because the last statement may undo the others.
        assert_eq!(after.round_trips - before.round_trips, if is_postgres(app) { 1 } else { 3 });
    }
}

/// Stores 301 texts, and changes a row that exists or not.
async fn run_batch(tx: &mut Tx, (id, exists, now): &(Uuid, bool, DateTime<Utc>)) -> Result<Vec<u64>> {
    let texts = (1..=300_u128).map(|n| Uuid::from_u128(id.as_u128() ^ n));
    let mut batch = tx.batch();
    batch.rows(
        "INSERT INTO blob (id, kind, body, created)",
        4,
        texts,
        |row, text| {
            row.bind(text).bind("test").bind("{}").bind(*now);
        },
    );
    batch.rows(
        "INSERT INTO blob (id, kind, body, created)",
        4,
        [(); 0],
        |_, ()| (),
    );
    batch
        .sql("INSERT INTO blob (id, kind, body, created) VALUES ($1, 'test', $2, $3)")
        .bind(*id)
        .bind("{\"costs\":\"$1\"}")
        .bind(*now);
    let username = if *exists { "nora" } else { "nobody" };
    batch
        .sql("UPDATE staff_member SET disabled = $2 WHERE username = $1")
        .must_change("It has changed")
        .bind(username)
        .bind(false);
    batch.run(tx).await
}

#[tokio::test]
async fn a_locked_sqlite_file_means_send_it_again() {
    let app = TestApp::sqlite().await;
    let file = app.data.path().join("plan.db");
    let mut other = open_sqlite(file).await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let error = store_text(&app, "locked").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    store_text(&app, "free").await.unwrap();
    assert_eq!(count_texts(&app).await, 1);
    app.finish().await;
}

#[tokio::test]
async fn a_sqlite_database_that_cannot_be_written_means_send_it_again() {
    let app = TestApp::sqlite().await;
    // A unit of work that reads has a connection that is read-only.
    let unit = app
        .state
        .store
        .read((app.state.new_id(), app.clock.now()), |tx, (id, now)| {
            Box::pin(async move { tx.add_blob(*id, "test", "{}", *now).await })
        });
    let error = unit.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    app.finish().await;
}

/// Makes each text that is stored on PostgreSQL fail with this SQLSTATE, except after `times` failures.
async fn fail_with(app: &TestApp, state: &str, times: u32) {
    app.sql("CREATE SEQUENCE IF NOT EXISTS failures").await;
    app.sql("ALTER SEQUENCE failures RESTART").await;
    app.sql(&format!(
        "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('failures') <= {times} THEN RAISE EXCEPTION 'failed' USING ERRCODE = '{state}'; END IF; \
         RETURN NEW; END $$"
    ))
    .await;
    app.sql("CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON blob FOR EACH ROW EXECUTE FUNCTION fail()")
        .await;
}

#[tokio::test]
async fn postgres_errors_are_read_by_their_sqlstate() {
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    for (state, kind) in [
        ("53100", ErrorKind::Unavailable), // disk full
        ("55P03", ErrorKind::Unavailable), // lock not available
        ("57014", ErrorKind::Unavailable), // query canceled
        ("25006", ErrorKind::Unavailable), // read-only
        ("57P01", ErrorKind::Unavailable), // the server stops
        ("22003", ErrorKind::Malformed),   // number out of range
        ("22008", ErrorKind::Malformed),   // date out of range
        ("22P05", ErrorKind::Malformed),   // character that the encoding does not have
        ("23514", ErrorKind::Internal),    // check violation
        ("42P01", ErrorKind::Internal),    // no such table
        ("23505", ErrorKind::Conflict),    // unique violation
    ] {
        fail_with(&app, state, 1).await;
        let error = store_text(&app, "x").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_repetition()),
            (kind, false),
            "{state}: {error}"
        );
    }
    assert_eq!(count_texts(&app).await, 0);
    store_text(&app, "x").await.unwrap();
    app.finish().await;
}

#[tokio::test]
async fn postgres_runs_a_unit_of_work_again_after_a_collision() {
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    for state in ["40001", "40P01"] {
        fail_with(&app, state, 3).await;
        store_text(&app, "x").await.unwrap();
        fail_with(&app, state, 100).await;
        let error = store_text(&app, "x").await.unwrap_err();
        assert_eq!(error.database_failure(), Some(DatabaseFailure::Retryable));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(count_texts(&app).await, 2, "each is stored once");
    app.finish().await;
}

#[tokio::test]
async fn lost_postgres_connections_are_replaced() {
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    let end_all = async || {
        app.number(
            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await
    };
    let pings = (0..4).map(|_| app.state.store.ping());
    futures_util::future::try_join_all(pings).await.unwrap();
    assert!(end_all().await > 0);
    app.state.store.ping().await.expect("a read is tried again");
    assert!(end_all().await > 0);
    store_text(&app, "x")
        .await
        .expect("a write that did not begin is tried again");
    app.finish().await;
}
