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
        /// What the reviewer adds for the file.
        #[serde(default, skip_serializing_if = "FileNote::is_empty")]
        note: FileNote,
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

/// What a reviewer adds to a decision for the file alone: no member, provider or app ever gets it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileNote {
    /// The criterion that the decision rests on, by its name in the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criterion: Option<String>,
    /// In the reviewer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl FileNote {
    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Event {
    /// Adds a reviewer's note to a decision; other events carry none.
    pub fn annotate(&mut self, words: FileNote) {
        if let Body::Decided { note, .. } = &mut self.body {
            *note = words;
        }
    }
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
