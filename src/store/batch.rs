//! Several statements in one round trip: on SQLite one text of several statements, on PostgreSQL one statement with
//! data-modifying CTEs.
//!
//! All statements of a batch see the state before it, so none may read or change a row that another one of the same
//! batch writes. Foreign keys between their rows are checked at the end, when all rows exist.

use super::failure::{self, database};
use super::tx::{Connection, Mode, Timer, Tx};
use crate::error::{Error, Result};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments as _, AssertSqlSafe, Connection as _, Either, Executor as _, Row as _};
use sqlx::{Encode, Postgres, Sqlite, Type};
use std::fmt::Write as _;

/// A statement with more values than this is split: both databases limit the number of parameters.
const MAX_VALUES: usize = 16_000;
/// SQLite finds each parameter of a statement by its name among all of them, so its time grows with the square of their
/// number.
const MAX_VALUES_ON_SQLITE: usize = 400;
/// Texts with more rows than this are too rare to be kept as prepared statements.
const MAX_PREPARED_ROWS: usize = 32;

/// A value that can be stored in either database.
pub trait Storable<'q>: Encode<'q, Sqlite> + Type<Sqlite> + Encode<'q, Postgres> + Type<Postgres> {}

impl<'q, T> Storable<'q> for T where
    T: Encode<'q, Sqlite> + Type<Sqlite> + Encode<'q, Postgres> + Type<Postgres>
{
}

/// The values of the statements that run in one round trip, in the driver's form.
#[derive(Debug)]
enum Values {
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
}

impl Values {
    fn new(postgres: bool) -> Self {
        if postgres {
            Self::Postgres(PgArguments::default())
        } else {
            Self::Sqlite(SqliteArguments::default())
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Sqlite(values) => values.len(),
            Self::Postgres(values) => values.len(),
        }
    }
}

/// What one statement of a batch must do.
#[derive(Debug, Default)]
struct Expected {
    /// The statement's position in the result; the parts of a split statement share it.
    position: usize,
    /// The message of the conflict when the statement changes no row.
    change: Option<&'static str>,
    /// Whether a second row with the same primary key means that the same request was stored before.
    once: bool,
}

/// The statements of one round trip.
#[derive(Debug)]
struct Group {
    texts: Vec<String>,
    expected: Vec<Expected>,
    values: Values,
    prepared: bool,
}

/// Statements that are collected and then run together.
#[derive(Debug)]
pub struct Batch {
    postgres: bool,
    full: Vec<Group>,
    open: Group,
    /// The number of statements that the caller added.
    added: usize,
    error: Option<Error>,
}

impl Tx {
    /// An empty batch for this unit of work.
    pub fn batch(&self) -> Batch {
        Batch {
            postgres: self.is_postgres(),
            full: Vec::new(),
            open: Group::new(self.is_postgres()),
            added: 0,
            error: None,
        }
    }
}

impl Batch {
    /// Adds a statement; `bind` adds its values. Its parameters are `$1` to `$n`.
    pub fn sql(&mut self, sql: &str) -> &mut Self {
        let position = self.added;
        self.added += 1;
        let group = self.group();
        let text = shifted(sql, group.values.len());
        group.add(text, position);
        self
    }

    /// Adds a value to the statement that was added last.
    pub fn bind<'q, T: Storable<'q>>(&mut self, value: T) -> &mut Self {
        let bound = match &mut self.open.values {
            Values::Sqlite(values) => values.add(value),
            Values::Postgres(values) => values.add(value),
        };
        if let Err(error) = bound {
            self.error = Some(Error::internal(error));
        }
        self
    }

    /// Adds a multi-row INSERT: `insert` is its text before VALUES, and `add` binds the values of a row, always `columns`
    /// of them. Without rows nothing is added.
    pub fn rows<I: IntoIterator>(
        &mut self,
        insert: &str,
        columns: usize,
        rows: I,
        add: impl FnMut(&mut Self, I::Item),
    ) {
        self.rows_then(insert, columns, rows, add, "");
    }

    /// A multi-row INSERT with a clause after the rows, such as ON CONFLICT.
    pub fn rows_then<I: IntoIterator>(
        &mut self,
        insert: &str,
        columns: usize,
        rows: I,
        mut add: impl FnMut(&mut Self, I::Item),
        then: &str,
    ) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return;
        }
        let position = self.added;
        self.added += 1;
        while rows.peek().is_some() {
            let mut text = format!("{insert} VALUES ");
            let (mut count, first) = (0, self.group().values.len());
            self.group().add(String::new(), position);
            let most = if self.postgres {
                MAX_VALUES.saturating_sub(first)
            } else {
                MAX_VALUES_ON_SQLITE
            };
            while let Some(row) = rows.next_if(|_| count == 0 || (count + 1) * columns <= most) {
                text.push_str(if count == 0 { "(" } else { ", (" });
                text.push_str(&numbered(first + count * columns + 1, columns));
                text.push(')');
                add(self, row);
                count += 1;
            }
            if !then.is_empty() {
                text.push(' ');
                text.push_str(then);
            }
            self.open.prepared &= count <= MAX_PREPARED_ROWS;
            if let Some(last) = self.open.texts.last_mut() {
                *last = text;
            }
        }
    }

    /// The last statement must change a row; otherwise the whole unit of work fails with a conflict.
    pub fn must_change(&mut self, conflict: &'static str) -> &mut Self {
        if let Some(expected) = self.last() {
            expected.change = Some(conflict);
        }
        self
    }

    /// The last statement inserts into `submission`: if its primary key exists, the same request was stored before.
    pub fn once(&mut self) -> &mut Self {
        if let Some(expected) = self.last() {
            expected.once = true;
        }
        self
    }

    /// Runs the statements. Returns the number of changed rows of each, in the order in which they were added.
    pub async fn run(self, tx: &mut Tx) -> Result<Vec<u64>> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut changed = vec![0; self.added];
        let in_transaction = tx.is_postgres() && tx.mode == Mode::OneStatement && self.needs_transaction();
        let mut groups = self.full;
        groups.push(self.open);
        groups.retain(|group| !group.texts.is_empty());
        if in_transaction {
            run_in_transaction(tx, groups, &mut changed).await?;
            return Ok(changed);
        }
        for group in groups {
            let timer = Timer::start("batch");
            let result = match tx.connection() {
                Connection::Sqlite(c) => group.run_on_sqlite(c, &mut changed).await,
                Connection::Postgres(c) => group.run_on_postgres(c, &mut changed).await,
            };
            timer.end();
            result?;
        }
        Ok(changed)
    }

    /// Whether a statement can fail after another one took effect.
    fn needs_transaction(&self) -> bool {
        !self.full.is_empty() || self.open.expected.iter().any(|e| e.change.is_some())
    }

    /// The group for the next statement.
    fn group(&mut self) -> &mut Group {
        if self.open.values.len() >= MAX_VALUES {
            let next = Group::new(self.postgres);
            self.full.push(std::mem::replace(&mut self.open, next));
        }
        &mut self.open
    }

    fn last(&mut self) -> Option<&mut Expected> {
        self.open.expected.last_mut()
    }
}

impl Group {
    fn new(postgres: bool) -> Self {
        Self {
            texts: Vec::new(),
            expected: Vec::new(),
            values: Values::new(postgres),
            prepared: true,
        }
    }

    fn add(&mut self, text: String, position: usize) {
        self.texts.push(text);
        self.expected.push(Expected {
            position,
            ..Expected::default()
        });
    }

    async fn run_on_sqlite(self, c: &mut SqliteConnection, changed: &mut [u64]) -> Result<()> {
        let Values::Sqlite(values) = self.values else {
            return Err(wrong_database());
        };
        let text = AssertSqlSafe(self.texts.join("; "));
        let query = sqlx::query_with(text, values).persistent(self.prepared);
        let mut results = c.fetch_many(query);
        let mut expected = self.expected.iter();
        loop {
            match results.try_next().await {
                Ok(Some(Either::Left(done))) => {
                    let statement = expected.next().ok_or_else(wrong_database)?;
                    statement.check(done.rows_affected(), changed)?;
                }
                Ok(Some(Either::Right(_))) => {}
                Ok(None) => return Ok(()),
                Err(error) if expected.next().is_some_and(|e| e.once) => {
                    return Err(failure::submission(error));
                }
                Err(error) => return Err(database(error)),
            }
        }
    }

    async fn run_on_postgres(self, c: &mut PgConnection, changed: &mut [u64]) -> Result<()> {
        let Values::Postgres(values) = self.values else {
            return Err(wrong_database());
        };
        if let ([text], [expected]) = (self.texts.as_slice(), self.expected.as_slice()) {
            let query = sqlx::query_with(AssertSqlSafe(text.clone()), values).persistent(self.prepared);
            let done = query.execute(c).await.map_err(database)?;
            return expected.check(done.rows_affected(), changed);
        }
        let text = AssertSqlSafe(with_ctes(&self.texts));
        let query = sqlx::query_with(text, values).persistent(self.prepared);
        let counts = query.fetch_one(c).await.map_err(database)?;
        for (index, expected) in self.expected.iter().enumerate() {
            let count: i64 = counts.try_get(index).map_err(database)?;
            expected.check(u64::try_from(count).unwrap_or(0), changed)?;
        }
        Ok(())
    }
}

impl Expected {
    fn check(&self, rows: u64, changed: &mut [u64]) -> Result<()> {
        if let Some(sum) = changed.get_mut(self.position) {
            *sum += rows;
        }
        match self.change {
            Some(conflict) if rows == 0 => Err(Error::conflict(conflict)),
            _ => Ok(()),
        }
    }
}

async fn run_in_transaction(tx: &mut Tx, groups: Vec<Group>, changed: &mut [u64]) -> Result<()> {
    let Connection::Postgres(c) = tx.connection() else {
        return Err(wrong_database());
    };
    let mut open = c.begin().await.map_err(database)?;
    for group in groups {
        group.run_on_postgres(&mut open, changed).await?;
    }
    open.commit().await.map_err(database)
}

/// `WITH s0 AS (INSERT … RETURNING 1), s1 AS (…) SELECT` and the number of rows of each.
fn with_ctes(texts: &[String]) -> String {
    let mut sql = String::new();
    for (n, text) in texts.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(
            sql,
            "{} s{n} AS ({text} RETURNING 1)",
            if n == 0 { "WITH" } else { "," }
        );
    }
    for n in 0..texts.len() {
        let _ = write!(
            sql,
            "{} (SELECT COUNT(*) FROM s{n})",
            if n == 0 { " SELECT" } else { "," }
        );
    }
    sql
}

/// The text with each parameter `$n` raised by `by`.
fn shifted(sql: &str, by: usize) -> String {
    if by == 0 {
        return sql.to_owned();
    }
    let mut parts = sql.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (digits, rest) = part.split_at(end);
        match digits.parse::<usize>() {
            Ok(number) => {
                let _ = write!(text, "${}{rest}", number + by);
            }
            Err(_) => {
                let _ = write!(text, "${part}");
            }
        }
    }
    text
}

/// `count` parameters from `$first` on, separated by commas.
pub(crate) fn numbered(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for n in first..first + count {
        let _ = write!(text, "{}${n}", if n == first { "" } else { ", " });
    }
    text
}

/// The values of an IN list, the last one repeated until their number is a power of two, so that few texts are prepared.
pub(crate) fn padded<T: Clone>(values: &[T]) -> Vec<T> {
    let mut all = values.to_vec();
    if let Some(last) = values.last() {
        all.resize(values.len().next_power_of_two(), last.clone());
    }
    all
}

fn wrong_database() -> Error {
    Error::internal("a batch was run in another way than it was built")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_raised_by_the_number_of_earlier_values() {
        let sql = "UPDATE a SET b = $1, c = '$' WHERE d = $12";
        assert_eq!(shifted(sql, 0), sql);
        assert_eq!(shifted(sql, 3), "UPDATE a SET b = $4, c = '$' WHERE d = $15");
    }

    #[test]
    fn a_list_is_padded_to_a_power_of_two() {
        assert_eq!(padded(&[1, 2, 3]), [1, 2, 3, 3]);
        assert_eq!(padded::<u8>(&[]), Vec::<u8>::new());
        assert_eq!(numbered(2, 3), "$2, $3, $4");
    }

    #[test]
    fn postgres_runs_several_statements_as_one() {
        let texts = ["INSERT INTO a VALUES ($1)".to_owned(), "DELETE FROM b".to_owned()];
        assert_eq!(
            with_ctes(&texts),
            "WITH s0 AS (INSERT INTO a VALUES ($1) RETURNING 1), s1 AS (DELETE FROM b RETURNING 1) \
             SELECT (SELECT COUNT(*) FROM s0), (SELECT COUNT(*) FROM s1)"
        );
    }
}
