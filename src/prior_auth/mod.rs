//! Cases: one request for prior authorization with its items, the decision on each item, and who made it.
//!
//! A case is stored as append-only events; [`PriorAuth`] is the state computed from them. A command takes a case and
//! returns the events that follow, or the reason why the command is not allowed. This module does not read the clock or
//! the store; callers pass numbers and times.
//!
//! Software either approves an item as requested or pends it for staff. A denial is always a [`Denial`], and the only
//! way to make one is [`Denial::attest`], which requires a named physician with a valid credential (42 CFR 422.566(d),
//! 438.210(b)(3)).

pub mod app_access;
mod case;
mod command_error;
mod commands;
pub mod comparison;
mod decisions;
mod denial;
mod event;
mod item;
mod item_verdict;
mod reviewer;
mod wording;

pub use app_access::AppAccess;
pub use case::PriorAuth;
pub use command_error::CommandError;
pub use commands::{NewCase, NewItem};
pub use decisions::{Approve, Confirmation, DenialPreview, Deny, Refer};
pub use denial::Denial;
pub use event::{Event, EventBody, GENESIS, InternalNote, Received, chain_hash};
pub use item::{Approval, Item, ItemDecision, ItemStatus, Outcome};
pub use item_verdict::{ItemVerdict, read_shared_verdicts};
pub use reviewer::{Actor, Credential, CredentialKind, Reviewer, Role};
pub use wording::{HardSentence, HardText, LONGEST_REASON, SHORTEST_REASON, reading_grade};
