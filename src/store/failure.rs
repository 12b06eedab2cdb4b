//! What an error of the database means, read from its code: SQLSTATE on PostgreSQL, the extended result code on SQLite.

use crate::error::{DatabaseFailure, Error};
use std::cell::Cell;

tokio::task_local! {
    /// Whether a statement of the running unit of work failed.
    static STATEMENT_FAILED: Cell<bool>;
}

/// Runs a unit of work. The second value tells whether one of its statements failed.
pub(super) async fn watched<T>(unit: impl Future<Output = T>) -> (T, bool) {
    STATEMENT_FAILED
        .scope(Cell::new(false), async {
            let result = unit.await;
            (result, STATEMENT_FAILED.with(Cell::get))
        })
        .await
}

/// Converts a database error.
#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
pub(crate) fn database(error: sqlx::Error) -> Error {
    let _ = STATEMENT_FAILED.try_with(|failed| failed.set(true));
    match &error {
        sqlx::Error::Database(reported) => {
            let code = reported.code().unwrap_or_default();
            if reported.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                of_sqlite(code.parse().unwrap_or(0), &error)
            } else {
                of_postgres(&code, reported.constraint(), &error)
            }
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => {
            Error::unavailable(&error).caused_by(DatabaseFailure::ConnectionLost)
        }
        _ => Error::internal(&error),
    }
}

/// The last unit of work continued after a statement of it had failed; PostgreSQL discards such a unit.
pub(super) fn continued_after_failure() -> Error {
    Error::internal("a unit of work continued after one of its statements had failed")
}

/// <https://www.sqlite.org/rescode.html>. The last eight bits are the primary result code.
fn of_sqlite(code: i32, error: &sqlx::Error) -> Error {
    const CONSTRAINT: i32 = 19;
    const CONSTRAINT_PRIMARY_KEY: i32 = CONSTRAINT | 6 << 8;
    const CONSTRAINT_UNIQUE: i32 = CONSTRAINT | 8 << 8;
    const CONSTRAINT_ROW_ID: i32 = CONSTRAINT | 10 << 8;
    const TOO_BIG: i32 = 18;
    match (code, code & 0xff) {
        (CONSTRAINT_PRIMARY_KEY | CONSTRAINT_UNIQUE | CONSTRAINT_ROW_ID, _) => exists(error),
        (_, TOO_BIG) => not_storable("is too long", error),
        // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN
        (_, 5 | 6 | 7 | 8 | 9 | 10 | 13 | 14) => Error::unavailable(error),
        _ => Error::internal(error),
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>. The first two characters are the class.
fn of_postgres(state: &str, constraint: Option<&str>, error: &sqlx::Error) -> Error {
    match (state, state.get(..2).unwrap_or_default()) {
        ("23505", _) if constraint == Some(SUBMISSION_KEY) => {
            exists(error).caused_by(DatabaseFailure::RepeatedSubmission)
        }
        ("23505", _) => exists(error),
        // serialization failure, deadlock
        ("40001" | "40P01", _) => Error::unavailable(error).caused_by(DatabaseFailure::Retryable),
        // the server stops, stopped, or does not accept connections yet
        ("57P01" | "57P02" | "57P03", _) | (_, "08") => {
            Error::unavailable(error).caused_by(DatabaseFailure::ConnectionLost)
        }
        // lock not available, canceled, read-only; insufficient resources (disk full, memory, connections); system errors
        ("55P03" | "57014" | "25006", _) | (_, "53" | "58") => Error::unavailable(error),
        // U+0000 and text that the database's encoding does not have
        ("22021" | "22P05", _) => not_storable("has characters that cannot be stored", error),
        ("22001" | "54000", _) => not_storable("is too long", error),
        ("22003" | "22008", _) => not_storable("has a number or date that is out of range", error),
        _ => Error::internal(error),
    }
}

/// The primary key of the table `submission`: the only constraint that means that a request is repeated.
pub(super) const SUBMISSION_KEY: &str = "submission_pkey";

/// An error of an INSERT into `submission`. SQLite names no constraint, but the table has no other unique one.
pub(super) fn submission(error: sqlx::Error) -> Error {
    let unique = matches!(&error, sqlx::Error::Database(e) if e.is_unique_violation());
    let error = database(error);
    if unique {
        error.caused_by(DatabaseFailure::RepeatedSubmission)
    } else {
        error
    }
}

fn exists(error: &sqlx::Error) -> Error {
    Error::conflict("A record with the same key already exists").with_log_detail(error)
}

/// The caller's data cannot be stored. It would fail again, so the answer is not "send it again".
fn not_storable(why: &str, error: &sqlx::Error) -> Error {
    Error::malformed(format!("A value in the request {why}")).with_log_detail(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind::{self, Conflict, Internal, Malformed, Unavailable};

    #[test]
    fn sqlite_reports_by_extended_result_code() {
        let kinds: [(i32, ErrorKind); 13] = [
            (5, Unavailable),           // SQLITE_BUSY
            (5 | 2 << 8, Unavailable),  // SQLITE_BUSY_SNAPSHOT
            (6, Unavailable),           // SQLITE_LOCKED
            (8, Unavailable),           // SQLITE_READONLY
            (10 | 3 << 8, Unavailable), // SQLITE_IOERR_WRITE
            (13, Unavailable),          // SQLITE_FULL
            (14, Unavailable),          // SQLITE_CANTOPEN
            (1555, Conflict),           // SQLITE_CONSTRAINT_PRIMARYKEY
            (2067, Conflict),           // SQLITE_CONSTRAINT_UNIQUE
            (787, Internal),            // SQLITE_CONSTRAINT_FOREIGNKEY
            (1299, Internal),           // SQLITE_CONSTRAINT_NOTNULL
            (18, Malformed),            // SQLITE_TOOBIG
            (1, Internal),              // SQLITE_ERROR
        ];
        for (code, kind) in kinds {
            let error = of_sqlite(code, &sqlx::Error::RowNotFound);
            assert_eq!(error.kind(), kind, "{code}");
            assert!(!error.is_repetition(), "{code}");
        }
    }

    #[test]
    fn only_the_key_of_a_submission_means_that_a_request_is_repeated() {
        let unique = |constraint| of_postgres("23505", Some(constraint), &sqlx::Error::RowNotFound);
        assert!(unique("submission_pkey").is_repetition());
        assert!(!unique("seen_jti_pkey").is_repetition());
        assert_eq!(unique("seen_jti_pkey").kind(), Conflict);
    }

    #[test]
    fn a_lost_connection_is_not_a_fault_of_the_server() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let error = database(sqlx::Error::Io(refused));
        assert_eq!(error.kind(), Unavailable);
        assert_eq!(error.database_failure(), Some(DatabaseFailure::ConnectionLost));
    }
}
