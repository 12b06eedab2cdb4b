//! Why a database could not be opened, as sentences for the operator. Drivers' messages go to the log line only. A
//! password in the URL is never repeated.

use crate::config::Config;
use crate::error::{Error, ErrorKind};
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;
use std::fmt::Display;
use std::path::Path;

fn cannot_open(sentence: impl Into<String>, cause: impl Display) -> Error {
    Error::new(ErrorKind::Unavailable, sentence).with_log_detail(cause)
}

/// The file or its folder cannot be created or opened.
pub(super) fn file(path: &Path, cause: &std::io::Error) -> Error {
    let path = path.display();
    Error::new(
        ErrorKind::Unavailable,
        format!("The file {path} cannot be created or opened: {cause}."),
    )
}

/// `SQLite` cannot open the file.
pub(super) fn sqlite(path: &Path, cause: &sqlx::Error) -> Error {
    let code = cause.as_database_error().and_then(|e| e.code());
    // The primary result code is the lowest byte of an extended one.
    let primary = code
        .as_deref()
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff);
    let reason = match primary {
        Some(5 | 6) => "is used by another program at the moment",
        Some(8) => "cannot be written: this user may only read it, or its disk is read-only",
        Some(11) => "is damaged. Restore it from a backup",
        Some(13) => "cannot be written: its disk is full",
        Some(14) => "cannot be opened by this user",
        Some(26) => "is not an SQLite database. Name another file",
        _ => "cannot be opened",
    };
    cannot_open(format!("The database {} {reason}.", path.display()), cause)
}

/// The server cannot be reached, or refuses the connection.
pub(super) fn postgres(options: &PgConnectOptions, cause: &sqlx::Error) -> Error {
    let (host, port, user) = (options.get_host(), options.get_port(), options.get_username());
    let name = options.get_database().unwrap_or(user);
    let code = cause.as_database_error().and_then(|e| e.code());
    let sentence = match code.as_deref() {
        Some("28P01" | "28000") => {
            format!("The database server at {host}:{port} refuses the user {user} or the password.")
        }
        Some("3D000") => {
            format!("The database server at {host}:{port} has no database {name}. Create it first.")
        }
        Some("42501") => format!("The user {user} may not use the database {name} at {host}:{port}."),
        Some("53300") => format!("The database server at {host}:{port} has too many connections."),
        Some("57P03") => format!("The database server at {host}:{port} is starting or stopping. Try again."),
        Some(_) => format!("The database server at {host}:{port} refuses the connection."),
        None => format!(
            "No database server responds at {host}:{port}. Start it, or check the address and the network."
        ),
    };
    cannot_open(sentence, cause)
}

/// No answer within the time limit.
pub(super) fn postgres_timeout(options: &PgConnectOptions) -> Error {
    let (host, port) = (options.get_host(), options.get_port());
    cannot_open(
        format!(
            "No database server responds at {host}:{port}. Start it, or check the address and the network."
        ),
        "the connection was not made in time",
    )
}

/// The schema cannot be brought to the version of this program.
pub(super) fn migration(cause: &MigrateError) -> Error {
    let sentence = match cause {
        MigrateError::VersionMissing(number) => format!(
            "The database was last used by a newer version of assent: its schema has the migration {number}, which this \
             program does not know. Install that version or a newer one. A newer database is never changed back."
        ),
        MigrateError::VersionMismatch(number) => format!(
            "The database was created by another build of assent: its migration {number} differs from that of this program. \
             Use that build, or a new database."
        ),
        _ => "The schema of the database cannot be updated.".to_owned(),
    };
    cannot_open(sentence, cause)
}

/// Adds where the setting `database` was set.
pub(super) fn with_place(error: &Error, config: &Config) -> Error {
    let problem = error.message().trim_end_matches('.');
    let located = Error::new(
        error.kind(),
        format!("{problem}. {}", config.where_set("database")),
    );
    match error.log_detail() {
        Some(detail) => located.with_log_detail(detail),
        None => located,
    }
}
