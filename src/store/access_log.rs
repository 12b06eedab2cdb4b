//! The table `access_log`: who opened which case, when and from where. Rows are added and, after six years, deleted.

use super::{Tx, database, on};
use crate::error::Result;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// One opening of a case, to be stored.
#[derive(Debug, Clone)]
pub struct NewAccess {
    /// The row.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// The staff member's row.
    pub staff: Uuid,
    /// The role in which the staff member opened the case.
    pub role: &'static str,
    /// The case.
    pub case: Uuid,
    /// The number by which staff know the case.
    pub case_number: String,
    /// The member's row.
    pub member: Uuid,
    /// The network address that the request came from, if it is known.
    pub address: Option<String>,
}

/// One opening of a case, as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Access {
    /// The row.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// The staff member's sign-in name.
    pub username: String,
    /// The staff member's full name.
    pub name: String,
    /// The role in which the staff member opened the case.
    pub role: String,
    /// The number by which staff know the case.
    pub case_number: String,
    /// The member id on the card.
    pub member_id: String,
    /// The network address that the request came from, if it is known.
    pub address: Option<String>,
}

/// Which entries to read. Entries are read newest first, beginning with the newest one before `before`.
#[derive(Debug, Clone)]
pub struct AccessQuery {
    /// Only this case.
    pub case: Option<Uuid>,
    /// Only cases of this member.
    pub member: Option<Uuid>,
    /// Only this staff member.
    pub staff: Option<Uuid>,
    /// The earliest time, included.
    pub from: DateTime<Utc>,
    /// The time and row before which entries are read. With the nil id, the time itself is not included.
    pub before: (DateTime<Utc>, Uuid),
    /// The largest number of entries.
    pub limit: i64,
}

/// Selects entries with names. It is a macro because `sqlx` only accepts literals. The parameters 1 to 4 are the earliest
/// time, the time and row before which entries are read, and the number of entries.
macro_rules! select_access {
    ($filter:literal) => {
        concat!(
            "SELECT l.id, l.at, s.username, s.name, l.role, l.case_number, m.member_id, l.address \
             FROM access_log l JOIN staff_member s ON s.id = l.staff JOIN member m ON m.id = l.member WHERE ",
            $filter,
            " l.at >= $1 AND l.at <= $2 AND (l.at < $2 OR l.id < $3) ORDER BY l.at DESC, l.id DESC LIMIT $4"
        )
    };
}

impl Tx {
    /// Stores that a case was opened.
    pub async fn add_access(&mut self, access: &NewAccess) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO access_log (id, at, staff, role, case_id, case_number, member, address) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(access.id).bind(access.at).bind(access.staff).bind(access.role).bind(access.case)
            .bind(&access.case_number).bind(access.member).bind(&access.address).execute(c).await.map(drop))
        .map_err(database)
    }

    /// The entries that match a query, newest first. Each filter that comes first has an index; the others are applied
    /// to what it finds.
    pub async fn accesses(&mut self, query: &AccessQuery) -> Result<Vec<Access>> {
        let (to, before) = query.before;
        let rows = match query {
            AccessQuery { case: Some(case), .. } => {
                on!(self, c => sqlx::query_as::<_, Access>(select_access!(
                "l.case_id = $5 AND ($6 IS NULL OR l.member = $6) AND ($7 IS NULL OR l.staff = $7) AND"))
                .bind(query.from).bind(to).bind(before).bind(query.limit)
                .bind(case).bind(query.member).bind(query.staff).fetch_all(c).await)
            }
            AccessQuery {
                member: Some(member), ..
            } => on!(self, c => sqlx::query_as::<_, Access>(select_access!(
                "l.member = $5 AND ($6 IS NULL OR l.staff = $6) AND"))
                .bind(query.from).bind(to).bind(before).bind(query.limit)
                .bind(member).bind(query.staff).fetch_all(c).await),
            AccessQuery {
                staff: Some(staff), ..
            } => on!(self, c => sqlx::query_as::<_, Access>(select_access!(
                "l.staff = $5 AND"))
                .bind(query.from).bind(to).bind(before).bind(query.limit).bind(staff).fetch_all(c).await),
            _ => on!(self, c => sqlx::query_as::<_, Access>(select_access!(""))
                .bind(query.from).bind(to).bind(before).bind(query.limit).fetch_all(c).await),
        };
        rows.map_err(database)
    }
}
