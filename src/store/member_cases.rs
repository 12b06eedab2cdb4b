//! Reading the cases of one member: columns first, so that only what is shown is read as a history. Every query is
//! bounded and finds its rows by the index on member and id; ids are in order of time.

use super::cases::{EventRow, read_events, replay};
use super::{Tx, bad_row, database, numbered, on, padded};
use crate::error::Result;
use crate::prior_auth::PriorAuth;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use std::collections::HashMap;
use uuid::Uuid;

/// A member, and which of the cases are read.
#[derive(Debug, Clone, Copy)]
pub struct MemberCases {
    /// The member's row.
    pub member: Uuid,
    /// Whether sensitive cases are read too.
    pub sensitive: bool,
}

/// The columns of a case that searches by member apps use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberCase {
    /// The case.
    pub id: Uuid,
    /// The number of its last event.
    pub version: u32,
    /// The time of its last event.
    pub changed: DateTime<Utc>,
    /// When its approvals end.
    pub approval_ends: Vec<DateTime<Utc>>,
}

impl MemberCase {
    /// When what a member sees of the case last changed: at its last event, or when an approval ended.
    pub fn last_updated(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let ended = self.approval_ends.iter().copied().filter(|end| *end <= now);
        ended.fold(self.changed, DateTime::max)
    }
}

/// The cases of one page.
#[derive(Debug, Clone, Default)]
pub struct MemberCasePage {
    /// Newest first.
    pub cases: Vec<MemberCase>,
    /// How many cases there are on all pages. None if this page has no case.
    pub total: Option<usize>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    version: i64,
    changed: DateTime<Utc>,
    approval_ends: String,
    total: i64,
}

impl Row {
    fn into_case(self) -> Result<MemberCase> {
        let (id, ends) = (self.id, self.approval_ends);
        let ends = ends
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<DateTime<Utc>>, _>>();
        Ok(MemberCase {
            id,
            version: u32::try_from(self.version).map_err(|e| bad_row("prior_auth", "version", id, e))?,
            changed: self.changed,
            approval_ends: ends.map_err(|e| bad_row("prior_auth", "approval_ends", id, e))?,
        })
    }
}

#[derive(FromRow)]
struct CaseEventRow {
    case_id: Uuid,
    #[sqlx(flatten)]
    event: EventRow,
}

/// How many cases are read with one statement.
const AT_ONCE: usize = 64;

/// A case that a client inquires about.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// The member's row.
    pub member: Uuid,
    /// The client that asks. It sees the cases that it submitted.
    pub client: Uuid,
    /// The registered requesters whose cases it sees too. At most [`MOST_NPIS`] count.
    pub npis: Vec<String>,
}

/// How many requesters one inquiry can name.
pub const MOST_NPIS: usize = 4;

impl Tx {
    /// The cases that member apps may read, newest first: at most `limit`, after the case `after`. One statement.
    pub async fn member_case_page(
        &mut self,
        of: MemberCases,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<MemberCasePage> {
        let rows: Vec<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, version, changed, approval_ends, \
             (SELECT COUNT(*) FROM prior_auth WHERE member = $1 AND (app_access = 'all' OR ($2 AND app_access = 'sensitive'))) \
             AS total FROM prior_auth \
             WHERE member = $1 AND id < $3 AND (app_access = 'all' OR ($2 AND app_access = 'sensitive')) \
             ORDER BY id DESC LIMIT $4")
            .bind(of.member).bind(of.sensitive).bind(after.unwrap_or(Uuid::max())).bind(limit)
            .fetch_all(c).await)
        .map_err(database)?;
        let total = rows.first().map(|row| usize::try_from(row.total).unwrap_or(0));
        let cases = rows.into_iter().map(Row::into_case).collect::<Result<Vec<_>>>()?;
        Ok(MemberCasePage { cases, total })
    }

    /// The number of cases that member apps may read.
    pub async fn count_member_cases(&mut self, of: MemberCases) -> Result<usize> {
        let count: i64 = on!(self, c => sqlx::query_scalar(
            "SELECT COUNT(*) FROM prior_auth \
             WHERE member = $1 AND (app_access = 'all' OR ($2 AND app_access = 'sensitive'))")
            .bind(of.member).bind(of.sensitive).fetch_one(c).await)
        .map_err(database)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The columns of one case, if member apps may read it.
    pub async fn member_case(&mut self, of: MemberCases, case: Uuid) -> Result<Option<MemberCase>> {
        let row: Option<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, version, changed, approval_ends, CAST(1 AS BIGINT) AS total FROM prior_auth \
             WHERE id = $3 AND member = $1 AND (app_access = 'all' OR ($2 AND app_access = 'sensitive'))")
            .bind(of.member).bind(of.sensitive).bind(case).fetch_optional(c).await)
        .map_err(database)?;
        row.map(Row::into_case).transpose()
    }

    /// The cases of a member as the member's own page shows them, newest first: at most `limit`, after the case `after`.
    pub async fn cases_of_member(
        &mut self,
        member: Uuid,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<PriorAuth>> {
        let ids: Vec<Uuid> = on!(self, c => sqlx::query_scalar(
            "SELECT id FROM prior_auth WHERE member = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
            .bind(member).bind(after.unwrap_or(Uuid::max())).bind(limit).fetch_all(c).await)
        .map_err(database)?;
        let mut cases = Vec::with_capacity(ids.len());
        for some in ids.chunks(AT_ONCE) {
            let mut rows = self.events_of(some).await?;
            for id in some {
                if let Some(rows) = rows.remove(id) {
                    cases.push(replay(*id, &read_events(*id, rows)?)?);
                }
            }
        }
        Ok(cases)
    }

    /// The ids of the member's cases that the client may see, newest first: at most `limit`, after the case `after`.
    pub async fn inquired_cases(
        &mut self,
        inquiry: &Inquiry,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Uuid>> {
        let npi = |n: usize| inquiry.npis.get(n);
        on!(self, c => sqlx::query_scalar(
            "SELECT id FROM prior_auth WHERE member = $1 AND id < $2 \
             AND (client = $3 OR requester_npi IN ($4, $5, $6, $7)) ORDER BY id DESC LIMIT $8")
            .bind(inquiry.member).bind(after.unwrap_or(Uuid::max())).bind(inquiry.client)
            .bind(npi(0)).bind(npi(1)).bind(npi(2)).bind(npi(3)).bind(limit)
            .fetch_all(c).await)
        .map_err(database)
    }

    /// Of the cases with these numbers, the ids of those of the member that the client may see.
    pub async fn inquired_cases_by_number(
        &mut self,
        inquiry: &Inquiry,
        numbers: &[String],
    ) -> Result<Vec<Uuid>> {
        let npi = |n: usize| inquiry.npis.get(n);
        let mut found = Vec::new();
        for number in numbers {
            let case: Option<Uuid> = on!(self, c => sqlx::query_scalar(
                "SELECT prior_auth.id FROM number_alias JOIN prior_auth ON prior_auth.id = number_alias.case_id \
                 WHERE number_alias.number = $1 AND prior_auth.member = $2 \
                 AND (prior_auth.client = $3 OR prior_auth.requester_npi IN ($4, $5, $6, $7))")
                .bind(number).bind(inquiry.member).bind(inquiry.client)
                .bind(npi(0)).bind(npi(1)).bind(npi(2)).bind(npi(3))
                .fetch_optional(c).await)
            .map_err(database)?;
            found.extend(case.filter(|case| !found.contains(case)));
        }
        Ok(found)
    }

    /// Those of these cases that belong to the member, each with the text of its request, in the order of the ids. Two
    /// statements for up to 64 cases.
    pub async fn cases_with_requests(
        &mut self,
        member: Uuid,
        ids: &[Uuid],
    ) -> Result<Vec<(PriorAuth, String)>> {
        let mut cases = Vec::with_capacity(ids.len());
        for some in ids.chunks(AT_ONCE) {
            let mut requests: HashMap<Uuid, String> =
                self.requests_of(member, some).await?.into_iter().collect();
            let mut rows = self.events_of(some).await?;
            for id in some {
                if let (Some(text), Some(rows)) = (requests.remove(id), rows.remove(id)) {
                    cases.push((replay(*id, &read_events(*id, rows)?)?, text));
                }
            }
        }
        Ok(cases)
    }

    async fn requests_of(&mut self, member: Uuid, cases: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
        let cases = padded(cases);
        let sql = format!(
            "SELECT prior_auth.id, blob.body FROM prior_auth JOIN blob ON blob.id = prior_auth.request \
             WHERE prior_auth.member = $1 AND prior_auth.id IN ({})",
            numbered(2, cases.len())
        );
        on!(self, c => {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(member);
            for case in &cases {
                query = query.bind(case);
            }
            query.fetch_all(c).await
        })
        .map_err(database)
    }

    /// The events of these cases, in their order.
    async fn events_of(&mut self, cases: &[Uuid]) -> Result<HashMap<Uuid, Vec<EventRow>>> {
        let cases = padded(cases);
        let sql = format!(
            "SELECT case_id, seq, at, kind, role, body, prev_hash, hash FROM event \
             WHERE case_id IN ({}) ORDER BY case_id, seq",
            numbered(1, cases.len())
        );
        let found: Vec<CaseEventRow> = on!(self, c => {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            for case in &cases {
                query = query.bind(case);
            }
            query.fetch_all(c).await
        })
        .map_err(database)?;
        let mut rows: HashMap<Uuid, Vec<EventRow>> = HashMap::new();
        for row in found {
            rows.entry(row.case_id).or_default().push(row.event);
        }
        Ok(rows)
    }
}
