//! `assent legal-hold`: keeps cases beyond the time after which they would be deleted, for example because of litigation.

use crate::error::{Error, Result};
use crate::store::Store;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use uuid::Uuid;

/// Recorded as the person when `--by` is not given.
const UNNAMED: &str = "command line";

/// Subcommands of `legal-hold`.
#[derive(Debug, Subcommand)]
pub enum LegalHoldCommand {
    /// Keep a case until the hold is ended
    Add(AddLegalHold),
    /// End the hold of a case
    End {
        /// A tracking number or authorization number of the case
        number: String,
        /// Person who decided
        #[arg(long, default_value = UNNAMED, value_name = "NAME")]
        by: String,
    },
    /// List the holds that have not ended
    List,
}

/// Options of `legal-hold add`.
#[derive(Debug, Args)]
pub struct AddLegalHold {
    /// A tracking number or authorization number of the case
    number: String,
    /// Why the case must be kept
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Person who decided
    #[arg(long, default_value = UNNAMED, value_name = "NAME")]
    by: String,
}

/// Runs a subcommand and returns the text to print.
pub async fn run(command: LegalHoldCommand, store: &Store, now: DateTime<Utc>) -> Result<String> {
    match command {
        LegalHoldCommand::Add(new) => add(new, store, now).await,
        LegalHoldCommand::End { number, by } => end(number, by, store, now).await,
        LegalHoldCommand::List => list(store).await,
    }
}

async fn add(new: AddLegalHold, store: &Store, now: DateTime<Utc>) -> Result<String> {
    let reason = new.reason.trim().to_owned();
    if reason.is_empty() {
        return Err(Error::malformed(
            "--reason is empty. Say why the case must be kept",
        ));
    }
    let case = find(store, new.number).await?;
    let unit = store.write((case, reason, new.by, now), |tx, (case, reason, by, now)| {
        Box::pin(async move { tx.add_legal_hold(*case, reason, by, *now).await })
    });
    Ok(if unit.await? {
        format!("Case {case} is kept until the hold is ended.\n")
    } else {
        format!("Case {case} is held already.\n")
    })
}

async fn end(number: String, by: String, store: &Store, now: DateTime<Utc>) -> Result<String> {
    let case = find(store, number).await?;
    let unit = store.write((case, by, now), |tx, (case, by, now)| {
        Box::pin(async move { tx.end_legal_hold(*case, by, *now).await })
    });
    if unit.await? {
        Ok(format!("The hold of case {case} has ended.\n"))
    } else {
        Err(Error::conflict(format!("Case {case} is not held")))
    }
}

async fn find(store: &Store, number: String) -> Result<Uuid> {
    let found = store.read(number.clone(), |tx, number| {
        Box::pin(async move { tx.case_by_number(number).await })
    });
    found.await?.ok_or_else(|| Error::not_found("case", number))
}

async fn list(store: &Store) -> Result<String> {
    let holds = store
        .read((), |tx, ()| Box::pin(async move { tx.legal_holds().await }))
        .await?;
    let mut lines = String::new();
    for hold in &holds {
        let _ = writeln!(
            lines,
            "{}\t{}\tsince {} by {}: {}",
            hold.case_id,
            hold.number,
            hold.added_at.format("%Y-%m-%d"),
            hold.added_by,
            hold.reason
        );
    }
    Ok(if lines.is_empty() {
        "No case is held.\n".to_owned()
    } else {
        lines
    })
}
