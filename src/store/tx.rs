//! An open unit of work: its connection and what is measured about it.

use super::handoff::{AddedWork, Handoff};
use super::pool::Pooled;
use sqlx::{PgConnection, SqliteConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// An open unit of work on either database. Each module of the store adds its queries to it.
#[derive(Debug)]
pub struct Tx {
    pub(super) open: Open,
    /// What the unit of work added for the workers.
    pub(super) added: AddedWork,
    pub(super) handoff: Handoff,
    pub(super) mode: Mode,
    counters: Arc<Counters>,
    statements: u32,
}

/// Whether a unit of work runs in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Any number of statements.
    Transaction,
    /// Any number of statements, each of which sees the state of its own moment.
    Separate,
    /// One statement, which needs no transaction.
    OneStatement,
}

#[derive(Debug)]
pub(super) enum Open {
    Writer(SqliteConnection),
    Reader(Pooled<sqlx::Sqlite>),
    Postgres(Pooled<sqlx::Postgres>),
}

/// The connection of a transaction, in the type of its driver.
#[derive(Debug)]
pub(crate) enum Connection<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Tx {
    pub(super) fn new(open: Open, mode: Mode, shared: &Shared) -> Self {
        Self {
            open,
            added: AddedWork::default(),
            handoff: shared.handoff.clone(),
            mode,
            counters: shared.counters.clone(),
            statements: 0,
        }
    }

    /// The connection, for one statement.
    pub(crate) fn connection(&mut self) -> Connection<'_> {
        self.statements += 1;
        debug_assert!(
            self.mode != Mode::OneStatement || self.statements == 1,
            "a unit of work of one statement runs a second one; use read or write"
        );
        self.counters.add(1, 1, 0);
        match &mut self.open {
            Open::Writer(c) => Connection::Sqlite(c),
            Open::Reader(c) => Connection::Sqlite(&mut c.connection),
            Open::Postgres(c) => Connection::Postgres(&mut c.connection),
        }
    }

    /// Whether the unit of work runs on PostgreSQL.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.open, Open::Postgres(_))
    }
}

/// What a store has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Statements; those of one batch count as one.
    pub statements: u64,
    /// How often the database was waited for: statements, begins and ends of transactions.
    pub round_trips: u64,
    /// Durable commits.
    pub commits: u64,
}

/// What all units of work of a store share.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    pub(super) handoff: Handoff,
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    statements: AtomicU64,
    round_trips: AtomicU64,
    commits: AtomicU64,
}

impl Counters {
    pub(super) fn add(&self, statements: u64, round_trips: u64, commits: u64) {
        self.statements.fetch_add(statements, Ordering::Relaxed);
        self.round_trips.fetch_add(round_trips, Ordering::Relaxed);
        self.commits.fetch_add(commits, Ordering::Relaxed);
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            statements: self.statements.load(Ordering::Relaxed),
            round_trips: self.round_trips.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
        }
    }
}

/// The target of the span and of the event of each query. The log filter `assent::store::query=debug` shows them.
const QUERY: &str = "assent::store::query";

/// Measures one query while its span is enabled, and costs next to nothing otherwise.
#[derive(Debug)]
pub(crate) struct Timer(Option<Started>);

#[derive(Debug)]
struct Started {
    span: tracing::Span,
    at: Instant,
}

impl Timer {
    /// `place` is the type name of an item inside the function of the query.
    pub(crate) fn start(place: &'static str) -> Self {
        if !tracing::enabled!(target: QUERY, tracing::Level::DEBUG) {
            return Self(None);
        }
        let name = query_name(place);
        Self(Some(Started {
            span: tracing::debug_span!(target: QUERY, "query", query = name),
            at: Instant::now(),
        }))
    }

    /// Ends the span.
    pub(crate) fn end(self) {
        if let Some(Started { span, at }) = self.0 {
            let micros = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(target: QUERY, parent: &span, micros, "query");
        }
    }
}

/// The last name of a path that is a function's own: `assent::store::plan::<impl …>::member::{{closure}}::here` is
/// `member`.
fn query_name(place: &'static str) -> &'static str {
    place
        .rsplit("::")
        .find(|part| !part.starts_with("{{") && *part != "here")
        .unwrap_or(place)
}

/// Runs one expression on the transaction's database, or one of two expressions where the SQL dialects differ. The
/// expression is one query; its span has the name of the function around it.
macro_rules! on {
    ($tx:expr, $c:ident => $body:expr) => {
        $crate::store::tx::on!($tx, sqlite $c => $body, postgres $c => $body)
    };
    ($tx:expr, sqlite $s:ident => $sqlite:expr, postgres $p:ident => $postgres:expr) => {{
        fn here() {}
        let timer = $crate::store::tx::Timer::start(::std::any::type_name_of_val(&here));
        let result = match $tx.connection() {
            $crate::store::tx::Connection::Sqlite($s) => $sqlite,
            $crate::store::tx::Connection::Postgres($p) => $postgres,
        };
        timer.end();
        result
    }};
}
pub(crate) use on;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_the_name_of_its_function() {
        let place = "assent::store::plan::<impl assent::store::tx::Tx>::member::{{closure}}::here";
        assert_eq!(query_name(place), "member");
    }
}
