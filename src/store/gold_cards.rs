//! Gold cards: entered and ended by the plan, read with every hook, form and request of a provider. Never deleted.

use super::{Tx, database, on};
use crate::error::Result;
use crate::plan::{Ended, GoldCard};
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// How many NPIs one query takes; a requester has one to three.
const AT_ONCE: usize = 8;

#[derive(FromRow)]
struct Row {
    id: Uuid,
    npi: String,
    system: String,
    code: String,
    line: String,
    starts: NaiveDate,
    ends: Option<NaiveDate>,
    evidence: String,
    added_by: String,
    added_at: DateTime<Utc>,
    ended_by: Option<String>,
    ended_at: Option<DateTime<Utc>>,
    ended_why: Option<String>,
}

impl From<Row> for GoldCard {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            npi: row.npi,
            system: row.system,
            code: row.code,
            line: row.line,
            starts: row.starts,
            ends: row.ends,
            evidence: row.evidence,
            added_by: row.added_by,
            added_at: row.added_at,
            ended: row.ended_by.zip(row.ended_at).map(|(by, at)| Ended {
                by,
                at,
                why: row.ended_why.unwrap_or_default(),
            }),
        }
    }
}

impl Tx {
    /// Stores a card.
    pub async fn add_gold_card(&mut self, card: &GoldCard) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO gold_card (id, npi, system, code, line, starts, ends, evidence, added_by, added_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(card.id).bind(&card.npi).bind(&card.system).bind(&card.code).bind(&card.line)
            .bind(card.starts).bind(card.ends).bind(&card.evidence).bind(&card.added_by).bind(card.added_at)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// Writes down a card's end: its last day, who, when and why. Whether it was there and not ended before.
    pub async fn end_gold_card(&mut self, id: Uuid, last_day: NaiveDate, ended: &Ended) -> Result<bool> {
        on!(self, c => sqlx::query(
            "UPDATE gold_card SET ends = $1, ended_by = $2, ended_at = $3, ended_why = $4 \
             WHERE id = $5 AND ended_at IS NULL")
            .bind(last_day).bind(&ended.by).bind(ended.at).bind(&ended.why).bind(id)
            .execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// A card by row.
    pub async fn gold_card(&mut self, id: Uuid) -> Result<Option<GoldCard>> {
        let row: Option<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, npi, system, code, line, starts, ends, evidence, added_by, added_at, ended_by, ended_at, \
             ended_why FROM gold_card WHERE id = $1")
            .bind(id).fetch_optional(c).await)
        .map_err(database)?;
        Ok(row.map(GoldCard::from))
    }

    /// Every card of these providers, also those that ended: one query for a whole request.
    pub async fn gold_cards_of(&mut self, npis: &[String]) -> Result<Vec<GoldCard>> {
        let mut cards = Vec::new();
        for some in npis.chunks(AT_ONCE) {
            let slot = |n: usize| some.get(n).map(String::as_str);
            let rows: Vec<Row> = on!(self, c => sqlx::query_as(
                "SELECT id, npi, system, code, line, starts, ends, evidence, added_by, added_at, ended_by, ended_at, \
                 ended_why FROM gold_card WHERE npi IN ($1, $2, $3, $4, $5, $6, $7, $8) ORDER BY npi, starts, id")
                .bind(slot(0)).bind(slot(1)).bind(slot(2)).bind(slot(3)).bind(slot(4)).bind(slot(5))
                .bind(slot(6)).bind(slot(7)).fetch_all(c).await)
            .map_err(database)?;
            cards.extend(rows.into_iter().map(GoldCard::from));
        }
        Ok(cards)
    }

    /// Every card.
    pub async fn gold_cards(&mut self) -> Result<Vec<GoldCard>> {
        let rows: Vec<Row> = on!(self, c => sqlx::query_as(
            "SELECT id, npi, system, code, line, starts, ends, evidence, added_by, added_at, ended_by, ended_at, \
             ended_why FROM gold_card ORDER BY npi, starts, id")
            .fetch_all(c).await)
        .map_err(database)?;
        Ok(rows.into_iter().map(GoldCard::from).collect())
    }
}
