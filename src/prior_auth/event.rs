//! Events: what happened to a case, when, by whom, why. They are only ever added; each carries the hash of the one
//! before it, so that a change of the past shows.

use super::{Actor, Item, Outcome, Received};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The hash before the first event of a case.
pub const GENESIS: &str = "genesis";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the case, from 1 without gaps.
    pub seq: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// What and why.
    pub body: Body,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Body {
    /// The request arrived; the clock runs from this event.
    Received(Box<Received>),
    /// The policies were asked about one line; the line as they left it.
    Evaluated(Box<Item>),
    /// One line was decided.
    Decided {
        /// The line.
        sequence: u32,
        /// What was decided.
        #[serde(flatten)]
        outcome: Box<Outcome>,
    },
    /// A reviewer sent one line up to a physician.
    Referred {
        /// The line.
        sequence: u32,
        /// What the physician should look at.
        question: String,
    },
}

impl Body {
    /// The word in the event's column.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Received(_) => "received",
            Self::Evaluated(item) if item.status.is_open() => "pended",
            Self::Evaluated(_) => "evaluated",
            Self::Decided { .. } => "decided",
            Self::Referred { .. } => "referred",
        }
    }
}

/// The hash of an event: over the one before it and every stored field of this one.
pub fn chain_hash(previous: &str, event: &Event, body: &str) -> String {
    let mut hash = Sha256::new();
    for part in [
        previous,
        &event.seq.to_string(),
        &crate::fhir::dates::instant_text(event.at),
        event.body.kind(),
        event.actor.name(),
        event.actor.role(),
        body,
    ] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            use std::fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        })
}
