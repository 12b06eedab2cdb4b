//! The tables `member`, `coverage` and `provider`: written by the import, read by every API that has to find a member
//! or provider.

use super::{Tx, bad_row, database, numbered, on, padded};
use crate::error::Result;
use crate::plan::{Coverage, Member, Provider, fold_number};
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// The member ids in one query; a message names one to three.
const MAX_NUMBERS: usize = 64;

#[derive(FromRow)]
struct MemberRow {
    id: Uuid,
    member_id: String,
    family: String,
    given: String,
    birth_date: Option<NaiveDate>,
    gender: Option<String>,
    doc: String,
}

impl MemberRow {
    fn into_member(self) -> Result<Member> {
        let doc = serde_json::from_str(&self.doc).map_err(|e| bad_row("member", "doc", self.id, e))?;
        Ok(Member {
            id: self.id,
            member_id: self.member_id,
            family: self.family,
            given: self.given,
            birth_date: self.birth_date,
            gender: self.gender,
            doc,
        })
    }
}

#[derive(FromRow)]
struct CoverageRow {
    id: Uuid,
    coverage_key: String,
    member: Uuid,
    plan: String,
    line_of_business: String,
    state: Option<String>,
    zone: String,
    subscriber_id: Option<String>,
    status: String,
    starts: Option<NaiveDate>,
    ends: Option<NaiveDate>,
    doc: String,
}

impl CoverageRow {
    fn into_coverage(self) -> Result<Coverage> {
        let doc = serde_json::from_str(&self.doc).map_err(|e| bad_row("coverage", "doc", self.id, e))?;
        let zone = self
            .zone
            .parse()
            .map_err(|e| bad_row("coverage", "zone", self.id, e))?;
        Ok(Coverage {
            id: self.id,
            key: self.coverage_key,
            member: self.member,
            plan: self.plan,
            line_of_business: self.line_of_business,
            state: self.state,
            zone,
            subscriber_id: self.subscriber_id,
            status: self.status,
            starts: self.starts,
            ends: self.ends,
            doc,
        })
    }
}

/// A member with one of its coverages, or without any.
#[derive(FromRow)]
struct FoundRow {
    by_member_id: bool,
    #[sqlx(flatten)]
    member: MemberRow,
    #[sqlx(flatten)]
    coverage: JoinedCoverageRow,
}

/// The columns of a coverage beside those of its member.
#[derive(FromRow)]
struct JoinedCoverageRow {
    #[sqlx(rename = "id")]
    member: Uuid,
    c_id: Option<Uuid>,
    coverage_key: Option<String>,
    plan: Option<String>,
    line_of_business: Option<String>,
    state: Option<String>,
    zone: Option<String>,
    subscriber_id: Option<String>,
    status: Option<String>,
    starts: Option<NaiveDate>,
    ends: Option<NaiveDate>,
    c_doc: Option<String>,
}

impl JoinedCoverageRow {
    /// The coverage; none when the member has none.
    fn into_coverage(self) -> Result<Option<Coverage>> {
        let (
            Some(id),
            Some(coverage_key),
            Some(plan),
            Some(line_of_business),
            Some(zone),
            Some(status),
            Some(doc),
        ) = (
            self.c_id,
            self.coverage_key,
            self.plan,
            self.line_of_business,
            self.zone,
            self.status,
            self.c_doc,
        )
        else {
            return Ok(None);
        };
        let row = CoverageRow {
            id,
            coverage_key,
            member: self.member,
            plan,
            line_of_business,
            state: self.state,
            zone,
            subscriber_id: self.subscriber_id,
            status,
            starts: self.starts,
            ends: self.ends,
            doc,
        };
        row.into_coverage().map(Some)
    }
}

#[derive(FromRow)]
struct ProviderRow {
    id: Uuid,
    provider_key: String,
    kind: String,
    npi: Option<String>,
    name: String,
    email: Option<String>,
    doc: String,
}

impl ProviderRow {
    fn into_provider(self) -> Result<Provider> {
        let doc = serde_json::from_str(&self.doc).map_err(|e| bad_row("provider", "doc", self.id, e))?;
        Ok(Provider {
            id: self.id,
            key: self.provider_key,
            kind: self.kind,
            npi: self.npi,
            name: self.name,
            email: self.email,
            doc,
        })
    }
}

impl Tx {
    /// Adds a member or replaces the one with the same member id. Returns the row, which keeps its id.
    pub async fn put_member(&mut self, member: &Member, now: DateTime<Utc>) -> Result<Uuid> {
        on!(self, c => sqlx::query_scalar(
            "INSERT INTO member (id, member_id, family, given, birth_date, gender, doc, changed, folded_member_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (member_id) DO UPDATE SET family = excluded.family, given = excluded.given, \
             birth_date = excluded.birth_date, gender = excluded.gender, doc = excluded.doc, \
             changed = excluded.changed, folded_member_id = excluded.folded_member_id RETURNING id")
            .bind(member.id).bind(&member.member_id).bind(&member.family).bind(&member.given)
            .bind(member.birth_date).bind(&member.gender).bind(member.doc.to_string()).bind(now)
            .bind(fold_number(&member.member_id))
            .fetch_one(c).await)
        .map_err(database)
    }

    /// Adds a coverage or replaces the one with the same key. Returns the row, which keeps its id.
    pub async fn put_coverage(&mut self, coverage: &Coverage, now: DateTime<Utc>) -> Result<Uuid> {
        on!(self, c => sqlx::query_scalar(
            "INSERT INTO coverage (id, coverage_key, member, plan, line_of_business, state, zone, subscriber_id, \
             status, starts, ends, doc, changed, folded_subscriber_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (coverage_key) DO UPDATE SET member = excluded.member, plan = excluded.plan, \
             line_of_business = excluded.line_of_business, state = excluded.state, zone = excluded.zone, \
             subscriber_id = excluded.subscriber_id, status = excluded.status, starts = excluded.starts, \
             ends = excluded.ends, doc = excluded.doc, changed = excluded.changed, \
             folded_subscriber_id = excluded.folded_subscriber_id RETURNING id")
            .bind(coverage.id).bind(&coverage.key).bind(coverage.member).bind(&coverage.plan)
            .bind(&coverage.line_of_business).bind(&coverage.state).bind(coverage.zone.name())
            .bind(&coverage.subscriber_id).bind(&coverage.status).bind(coverage.starts).bind(coverage.ends)
            .bind(coverage.doc.to_string()).bind(now)
            .bind(coverage.subscriber_id.as_deref().map(fold_number))
            .fetch_one(c).await)
        .map_err(database)
    }

    /// Adds a provider or replaces the one with the same key. Returns the row, which keeps its id.
    pub async fn put_provider(&mut self, provider: &Provider, now: DateTime<Utc>) -> Result<Uuid> {
        on!(self, c => sqlx::query_scalar(
            "INSERT INTO provider (id, provider_key, kind, npi, name, email, doc, changed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (provider_key) DO UPDATE SET \
             kind = excluded.kind, npi = excluded.npi, name = excluded.name, email = excluded.email, \
             doc = excluded.doc, changed = excluded.changed RETURNING id")
            .bind(provider.id).bind(&provider.key).bind(&provider.kind).bind(&provider.npi)
            .bind(&provider.name).bind(&provider.email).bind(provider.doc.to_string()).bind(now)
            .fetch_one(c).await)
        .map_err(database)
    }

    /// A member by row.
    pub async fn member(&mut self, id: Uuid) -> Result<Option<Member>> {
        let row: Option<MemberRow> = on!(self, c => sqlx::query_as(
            "SELECT id, member_id, family, given, birth_date, gender, doc FROM member WHERE id = $1")
            .bind(id).fetch_optional(c).await)
        .map_err(database)?;
        row.map(MemberRow::into_member).transpose()
    }

    /// A member by the plan's member id.
    pub async fn member_by_member_id(&mut self, member_id: &str) -> Result<Option<Member>> {
        let row: Option<MemberRow> = on!(self, c => sqlx::query_as(
            "SELECT id, member_id, family, given, birth_date, gender, doc FROM member WHERE member_id = $1")
            .bind(member_id).fetch_optional(c).await)
        .map_err(database)?;
        row.map(MemberRow::into_member).transpose()
    }

    /// The members with one of these member ids; if there are none, those with this subscriber id. The numbers are folded
    /// with [`fold_number`].
    pub async fn members_by_numbers(
        &mut self,
        numbers: &[String],
        subscriber: Option<&str>,
    ) -> Result<Vec<Member>> {
        let found = self.members_and_coverages(numbers, subscriber).await?;
        Ok(found.into_iter().map(|(member, _)| member).collect())
    }

    /// The members with one of these member ids and their coverages, newest first; if there are none, those with this
    /// subscriber id. The numbers are folded with [`fold_number`].
    pub async fn members_and_coverages(
        &mut self,
        numbers: &[String],
        subscriber: Option<&str>,
    ) -> Result<Vec<(Member, Vec<Coverage>)>> {
        let mut rows: Vec<FoundRow> = Vec::new();
        for some in numbers.chunks(MAX_NUMBERS) {
            rows.extend(self.found_rows(some, subscriber).await?);
        }
        if numbers.is_empty() && subscriber.is_some() {
            rows = self.found_rows(&[], subscriber).await?;
        }
        let by_member_id = rows.iter().any(|row| row.by_member_id);
        let mut found: Vec<(Member, Vec<Coverage>)> = Vec::new();
        for row in rows.into_iter().filter(|row| row.by_member_id == by_member_id) {
            let coverage = row.coverage.into_coverage()?;
            let known = found.iter_mut().find(|(member, _)| member.id == row.member.id);
            match (known, coverage) {
                (Some((_, coverages)), Some(new)) if !coverages.contains(&new) => coverages.push(new),
                (Some(_), _) => {}
                (None, coverage) => found.push((row.member.into_member()?, coverage.into_iter().collect())),
            }
        }
        Ok(found)
    }

    async fn found_rows(&mut self, numbers: &[String], subscriber: Option<&str>) -> Result<Vec<FoundRow>> {
        let numbers = padded(numbers);
        let own = if numbers.is_empty() {
            String::new()
        } else {
            format!(
                "SELECT id, 0 AS place FROM member WHERE folded_member_id IN ({}) UNION ALL ",
                numbered(2, numbers.len())
            )
        };
        let sql = format!(
            "WITH found AS ({own}SELECT member AS id, 1 AS place FROM coverage WHERE folded_subscriber_id = $1 \
             UNION ALL SELECT id, 1 AS place FROM member WHERE folded_member_id = $1) \
             SELECT f.place = 0 AS by_member_id, m.id, m.member_id, m.family, m.given, m.birth_date, m.gender, m.doc, \
             c.id AS c_id, c.coverage_key, c.plan, c.line_of_business, c.state, c.zone, c.subscriber_id, c.status, \
             c.starts, c.ends, c.doc AS c_doc \
             FROM found f JOIN member m ON m.id = f.id LEFT JOIN coverage c ON c.member = m.id \
             ORDER BY m.member_id, c.starts DESC, c.id"
        );
        on!(self, c => {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(subscriber);
            for number in &numbers {
                query = query.bind(number);
            }
            query.fetch_all(c).await
        })
        .map_err(database)
    }

    /// The members with this family name, folded with `fold_name`, and this birth date.
    pub async fn members_by_name(&mut self, family: &str, birth_date: NaiveDate) -> Result<Vec<Member>> {
        let rows: Vec<MemberRow> = on!(self, c => sqlx::query_as(
            "SELECT id, member_id, family, given, birth_date, gender, doc FROM member \
             WHERE family = $1 AND birth_date = $2 ORDER BY member_id")
            .bind(family).bind(birth_date).fetch_all(c).await)
        .map_err(database)?;
        rows.into_iter().map(MemberRow::into_member).collect()
    }

    /// All coverages of a member, newest first.
    pub async fn coverages_of(&mut self, member: Uuid) -> Result<Vec<Coverage>> {
        let rows: Vec<CoverageRow> = on!(self, c => sqlx::query_as(
            "SELECT id, coverage_key, member, plan, line_of_business, state, zone, subscriber_id, status, starts, \
             ends, doc FROM coverage WHERE member = $1 ORDER BY starts DESC, id")
            .bind(member).fetch_all(c).await)
        .map_err(database)?;
        rows.into_iter().map(CoverageRow::into_coverage).collect()
    }

    /// A coverage by row.
    pub async fn coverage(&mut self, id: Uuid) -> Result<Option<Coverage>> {
        let row: Option<CoverageRow> = on!(self, c => sqlx::query_as(
            "SELECT id, coverage_key, member, plan, line_of_business, state, zone, subscriber_id, status, starts, \
             ends, doc FROM coverage WHERE id = $1")
            .bind(id).fetch_optional(c).await)
        .map_err(database)?;
        row.map(CoverageRow::into_coverage).transpose()
    }

    /// A provider by NPI; an organization before an individual when both have it.
    pub async fn provider_by_npi(&mut self, npi: &str) -> Result<Option<Provider>> {
        let row: Option<ProviderRow> = on!(self, c => sqlx::query_as(
            "SELECT id, provider_key, kind, npi, name, email, doc FROM provider WHERE npi = $1 ORDER BY kind LIMIT 1")
            .bind(npi).fetch_optional(c).await)
        .map_err(database)?;
        row.map(ProviderRow::into_provider).transpose()
    }
}
