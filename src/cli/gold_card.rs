//! `assent gold-card`: exempts providers from prior authorization for certain services, lists and ends the exemptions.
//! The plan evaluates providers itself and records the result as text; this command computes nothing.

use crate::clock::new_id;
use crate::error::{Error, Result};
use crate::fhir::coding::{CPT, HCPCS, normal_system};
use crate::plan::{GoldCard, GoldCardEnd};
use crate::store::Store;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use uuid::Uuid;

/// Recorded as the person when `--by` is not given.
const UNNAMED: &str = "command line";

/// Subcommands of `gold-card`.
#[derive(Debug, Subcommand)]
pub enum GoldCardCommand {
    /// Exempt a provider from prior authorization for services
    Add(Box<AddGoldCard>),
    /// End an exemption; the gold card stays on record
    End(EndGoldCard),
    /// List the gold cards, including those that ended
    List {
        /// List only the gold cards of this provider
        #[arg(long, value_name = "NPI")]
        npi: Option<String>,
        /// Print a JSON array instead of text
        #[arg(long)]
        json: bool,
    },
}

/// Options of `gold-card add`.
#[derive(Debug, Args)]
pub struct AddGoldCard {
    /// NPI of the provider
    #[arg(long)]
    npi: String,
    /// Service code, range of codes (E0424-E1406), or * for every service
    #[arg(long)]
    code: String,
    /// Code system: hcpcs, cpt, or a URL
    #[arg(long, default_value = "hcpcs")]
    system: String,
    /// Line of business, such as MA
    #[arg(long, value_name = "LINE-OF-BUSINESS")]
    line_of_business: String,
    /// First day of the exemption
    #[arg(long, value_name = "DATE")]
    from: NaiveDate,
    /// Last day of the exemption; without it, the gold card is valid until it is ended
    #[arg(long, value_name = "DATE")]
    to: Option<NaiveDate>,
    /// The evaluation that it is based on: "approved 96 of 100, 2025-11 to 2026-10"
    #[arg(long, value_name = "TEXT")]
    evidence: String,
    /// Person who decided
    #[arg(long, default_value = UNNAMED, value_name = "NAME")]
    by: String,
}

/// Options of `gold-card end`.
#[derive(Debug, Args)]
pub struct EndGoldCard {
    /// Id of the gold card, as shown by 'assent gold-card list'
    id: Uuid,
    /// Last day of the exemption
    #[arg(long, value_name = "DATE")]
    on: NaiveDate,
    /// Reason for the end
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Person who decided
    #[arg(long, default_value = UNNAMED, value_name = "NAME")]
    by: String,
}

/// Runs a subcommand and returns the text to print.
pub async fn run(command: GoldCardCommand, store: &Store, now: DateTime<Utc>) -> Result<String> {
    match command {
        GoldCardCommand::Add(new) => add(*new, store, now).await,
        GoldCardCommand::End(end) => self::end(end, store, now).await,
        GoldCardCommand::List { npi, json } => list(npi, json, store).await,
    }
}

async fn add(new: AddGoldCard, store: &Store, now: DateTime<Utc>) -> Result<String> {
    let card = card(new, now);
    let problems = card.problems();
    if !problems.is_empty() {
        return Err(Error::malformed(problems.join("\n")));
    }
    let text = format!("Gold card {} is on record.\n", card.id);
    let unit = store.write(card, |tx, card| {
        Box::pin(async move {
            let cards = tx.gold_cards_of(std::slice::from_ref(&card.npi)).await?;
            if let Some(other) = cards.iter().find(|other| other.overlaps(card)) {
                return Err(Error::conflict(format!(
                    "Gold card {} already exempts this provider from some of these services on some of these \
                     days. End it first with 'assent gold-card end {}'",
                    other.id, other.id
                )));
            }
            tx.add_gold_card(card).await
        })
    });
    unit.await?;
    Ok(text)
}

fn card(new: AddGoldCard, now: DateTime<Utc>) -> GoldCard {
    let system = match new.system.as_str() {
        "hcpcs" => HCPCS.to_owned(),
        "cpt" => CPT.to_owned(),
        url => normal_system(url).into_owned(),
    };
    GoldCard {
        id: new_id(now),
        npi: new.npi,
        system,
        code: new.code.to_uppercase(),
        line_of_business: new.line_of_business.to_uppercase(),
        starts: new.from,
        ends: new.to,
        evidence: new.evidence.trim().to_owned(),
        added_by: new.by,
        added_at: now,
        ended: None,
    }
}

async fn end(end: EndGoldCard, store: &Store, now: DateTime<Utc>) -> Result<String> {
    let reason = end.why.trim().to_owned();
    if reason.is_empty() {
        return Err(Error::malformed("--why is empty. Give the reason for the end"));
    }
    let text = format!("Gold card {} ends on {}.\n", end.id, end.on);
    let ended = GoldCardEnd {
        by: end.by,
        at: now,
        why: reason,
    };
    let unit = store.write((end.id, end.on, ended), |tx, (id, on, ended)| {
        Box::pin(async move {
            let card = tx.gold_card(*id).await?;
            let card = card.ok_or_else(|| Error::not_found("gold card", id))?;
            if card.ended.is_some() {
                return Err(Error::conflict(
                    "This gold card was ended before. Its end cannot be changed",
                ));
            }
            if card.ends.is_some_and(|last| last < *on) {
                return Err(Error::malformed("This gold card ends before the day in --on"));
            }
            tx.end_gold_card(*id, *on, ended).await
        })
    });
    if unit.await? {
        Ok(text)
    } else {
        Err(Error::conflict(
            "Somebody else ended this gold card at the same time",
        ))
    }
}

async fn list(npi: Option<String>, json: bool, store: &Store) -> Result<String> {
    let cards = store
        .read(npi, |tx, npi| {
            Box::pin(async move {
                match npi {
                    Some(npi) => tx.gold_cards_of(std::slice::from_ref(npi)).await,
                    None => tx.gold_cards().await,
                }
            })
        })
        .await?;
    if json {
        return serde_json::to_string_pretty(&cards).map_err(Error::internal);
    }
    let mut lines = String::new();
    for card in &cards {
        let ends = card
            .ends
            .map_or_else(|| "no end".to_owned(), |day| day.to_string());
        let _ = write!(
            lines,
            "{}\t{}\t{}\t{}\t{} to {ends}\t{}",
            card.id, card.npi, card.code, card.line_of_business, card.starts, card.evidence
        );
        if let Some(ended) = &card.ended {
            let _ = write!(lines, "\tended by {}: {}", ended.by, ended.why);
        }
        lines.push('\n');
    }
    Ok(if lines.is_empty() {
        "No gold cards are on record.\n".to_owned()
    } else {
        lines
    })
}
