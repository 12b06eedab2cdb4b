//! The table `gold_card`: entered and ended by the plan, read for every hook, form and request of a provider. Rows are
//! never deleted.

use super::{Tx, database, numbered, on, padded};
use crate::error::Result;
use crate::plan::{GoldCard, GoldCardEnd};
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// The NPIs in one query; a requester has one to three.
const MAX_NPIS: usize = 64;

#[derive(FromRow)]
struct Row {
    id: Uuid,
    npi: String,
    system: String,
    code: String,
    line_of_business: String,
    starts: NaiveDate,
    ends: Option<NaiveDate>,
    evidence: String,
    added_by: String,
    added_at: DateTime<Utc>,
    ended_by: Option<String>,
    ended_at: Option<DateTime<Utc>>,
    end_reason: Option<String>,
}

impl From<Row> for GoldCard {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            npi: row.npi,
            system: row.system,
            code: row.code,
            line_of_business: row.line_of_business,
            starts: row.starts,
            ends: row.ends,
            evidence: row.evidence,
            added_by: row.added_by,
            added_at: row.added_at,
            ended: row.ended_by.zip(row.ended_at).map(|(by, at)| GoldCardEnd {
                by,
                at,
                why: row.end_reason.unwrap_or_default(),
            }),
        }
    }
}

impl Tx {
    /// Stores a new gold card.
    pub async fn add_gold_card(&mut self, card: &GoldCard) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO gold_card (id, npi, system, code, line_of_business, starts, ends, evidence, added_by, \
             added_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(card.id).bind(&card.npi).bind(&card.system).bind(&card.code).bind(&card.line_of_business)
            .bind(card.starts).bind(card.ends).bind(&card.evidence).bind(&card.added_by).bind(card.added_at)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// Ends a gold card on its last day. Returns false when there is no such card or it was ended before.
    pub async fn end_gold_card(
        &mut self,
        id: Uuid,
        last_day: NaiveDate,
        ended: &GoldCardEnd,
    ) -> Result<bool> {
        on!(self, c => sqlx::query(
            "UPDATE gold_card SET ends = $1, ended_by = $2, ended_at = $3, end_reason = $4 \
             WHERE id = $5 AND ended_at IS NULL")
            .bind(last_day).bind(&ended.by).bind(ended.at).bind(&ended.why).bind(id)
            .execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// A gold card by row.
    pub async fn gold_card(&mut self, id: Uuid) -> Result<Option<GoldCard>> {
        let row: Option<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, npi, system, code, line_of_business, starts, ends, evidence, added_by, added_at, ended_by, \
             ended_at, end_reason FROM gold_card WHERE id = $1")
            .bind(id).fetch_optional(c).await)
        .map_err(database)?;
        Ok(row.map(GoldCard::from))
    }

    /// Every gold card of these providers, including ended ones.
    pub async fn gold_cards_of(&mut self, npis: &[String]) -> Result<Vec<GoldCard>> {
        let mut cards = Vec::new();
        for some in npis.chunks(MAX_NPIS) {
            let npis = padded(some);
            let sql = format!(
                "SELECT id, npi, system, code, line_of_business, starts, ends, evidence, added_by, added_at, ended_by, \
                 ended_at, end_reason FROM gold_card WHERE npi IN ({}) ORDER BY npi, starts, id",
                numbered(1, npis.len())
            );
            let rows: Vec<Row> = on!(self, c => {
                let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
                for npi in &npis {
                    query = query.bind(npi);
                }
                query.fetch_all(c).await
            })
            .map_err(database)?;
            cards.extend(rows.into_iter().map(GoldCard::from));
        }
        Ok(cards)
    }

    /// Every gold card, including ended ones.
    pub async fn gold_cards(&mut self) -> Result<Vec<GoldCard>> {
        let rows: Vec<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, npi, system, code, line_of_business, starts, ends, evidence, added_by, added_at, ended_by, \
             ended_at, end_reason FROM gold_card ORDER BY npi, starts, id")
            .fetch_all(c).await)
        .map_err(database)?;
        Ok(rows.into_iter().map(GoldCard::from).collect())
    }
}
