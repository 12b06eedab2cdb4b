//! `assent gold-card`: providers who need not ask for certain services come in, are listed, and lose it again. What the
//! exemption rests on is the plan's own evaluation, written down as text; nothing is computed here.

use crate::clock::new_id;
use crate::error::{Error, Result};
use crate::fhir::coding::{CPT, HCPCS, normal_system};
use crate::plan::{Ended, GoldCard};
use crate::store::Store;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use uuid::Uuid;

/// Who did it, where `--by` does not say.
const NOBODY_NAMED: &str = "command line";

/// What can be done with gold cards.
#[derive(Debug, Subcommand)]
pub enum GoldCardCommand {
    /// Exempts a provider from asking for a service
    Add(Box<AddGoldCard>),
    /// Brings an exemption to its end; the card stays on record
    End(EndGoldCard),
    /// Lists the cards, those that ended too
    List {
        /// Of this provider alone
        #[arg(long, value_name = "NPI")]
        npi: Option<String>,
        /// As JSON, one array
        #[arg(long)]
        json: bool,
    },
}

/// A card on the command line.
#[derive(Debug, Args)]
pub struct AddGoldCard {
    /// The provider's NPI
    #[arg(long)]
    npi: String,
    /// A code, a range of codes (E0424-E1406), or * for every service
    #[arg(long)]
    code: String,
    /// hcpcs, cpt, or the system's URL
    #[arg(long, default_value = "hcpcs")]
    system: String,
    /// The line of business, such as MA
    #[arg(long)]
    line: String,
    /// The first day
    #[arg(long, value_name = "DATE")]
    from: NaiveDate,
    /// The last day; without it the card holds until it is ended
    #[arg(long, value_name = "DATE")]
    to: Option<NaiveDate>,
    /// What it rests on: "approved 96 of 100, 2025-11 to 2026-10"
    #[arg(long, value_name = "TEXT")]
    evidence: String,
    /// Who decided it
    #[arg(long, default_value = NOBODY_NAMED, value_name = "NAME")]
    by: String,
}

/// An end on the command line.
#[derive(Debug, Args)]
pub struct EndGoldCard {
    /// The card, as `list` shows it
    id: Uuid,
    /// The last day on which it holds
    #[arg(long, value_name = "DATE")]
    on: NaiveDate,
    /// Why
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Who decided it
    #[arg(long, default_value = NOBODY_NAMED, value_name = "NAME")]
    by: String,
}

/// Does it and gives what to print.
pub async fn run(command: GoldCardCommand, store: &Store, now: DateTime<Utc>) -> Result<String> {
    match command {
        GoldCardCommand::Add(new) => add(*new, store, now).await,
        GoldCardCommand::End(end) => self::end(end, store, now).await,
        GoldCardCommand::List { npi, json } => list(npi, json, store).await,
    }
}

async fn add(new: AddGoldCard, store: &Store, now: DateTime<Utc>) -> Result<String> {
    let card = card(new, now);
    let faults = card.faults();
    if !faults.is_empty() {
        return Err(Error::malformed(faults.join("\n")));
    }
    let told = format!("Gold card {} is on record.\n", card.id);
    let unit = store.write(card, |tx, card| {
        Box::pin(async move {
            let known = tx.gold_cards_of(std::slice::from_ref(&card.npi)).await?;
            if let Some(other) = known.iter().find(|other| other.overlaps(card)) {
                return Err(Error::conflict(format!(
                    "Card {} says the same already for some of these services and days; end it first",
                    other.id
                )));
            }
            tx.add_gold_card(card).await
        })
    });
    unit.await?;
    Ok(told)
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
        line: new.line.to_uppercase(),
        starts: new.from,
        ends: new.to,
        evidence: new.evidence.trim().to_owned(),
        added_by: new.by,
        added_at: now,
        ended: None,
    }
}

async fn end(end: EndGoldCard, store: &Store, now: DateTime<Utc>) -> Result<String> {
    let why = end.why.trim().to_owned();
    if why.is_empty() {
        return Err(Error::malformed("Say why the card ends"));
    }
    let told = format!("Gold card {} ends on {}.\n", end.id, end.on);
    let ended = Ended {
        by: end.by,
        at: now,
        why,
    };
    let unit = store.write((end.id, end.on, ended), |tx, (id, on, ended)| {
        Box::pin(async move {
            let card = tx.gold_card(*id).await?;
            let card = card.ok_or_else(|| Error::not_found("gold card", id))?;
            if card.ended.is_some() {
                return Err(Error::conflict(
                    "This card was ended before; an end is not written twice",
                ));
            }
            if card.ends.is_some_and(|last| last < *on) {
                return Err(Error::malformed(
                    "The card's last day is earlier than that already",
                ));
            }
            tx.end_gold_card(*id, *on, ended).await
        })
    });
    if unit.await? {
        Ok(told)
    } else {
        Err(Error::conflict("Somebody else ended this card just now"))
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
        let ends = card.ends.map_or_else(|| "open".to_owned(), |day| day.to_string());
        let _ = write!(
            lines,
            "{}\t{}\t{}\t{}\t{} to {ends}\t{}",
            card.id, card.npi, card.code, card.line, card.starts, card.evidence
        );
        if let Some(ended) = &card.ended {
            let _ = write!(lines, "\tended by {}: {}", ended.by, ended.why);
        }
        lines.push('\n');
    }
    Ok(if lines.is_empty() {
        "No gold card is on record.\n".to_owned()
    } else {
        lines
    })
}
