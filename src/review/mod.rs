//! Review: what clinical staff see and decide. This module owns the queue (every open case in the order of due time),
//! the case view (one case with its criteria and its evidence) and the three decisions that a reviewer can make:
//! approve as requested, refer to a physician, deny.
//!
//! `prior_auth` checks who may decide. A decision and the work that follows from it are written in one unit of work.
//! The pages and their text are in `web`; this module does not know HTTP.

mod case_view;
mod criteria;
mod decide;
mod evidence;
mod fhir_text;
mod queue;
#[cfg(test)]
pub(crate) mod samples;

pub use case_view::{CaseView, RequestedItem, read_case_view};
pub use criteria::{
    CriteriaCounts, NamedCriterion, conditions, count_conditions, named_criteria, needs_explanation,
};
pub use decide::{ReviewAction, ReviewDecision, decide};
pub use evidence::{AnswerOrigin, CaseEvidence, ClinicalEntry, EvidenceLocation, FormAnswer, OrderDetail};
pub use queue::{Queue, QueueEntry, QueueFilters, queue_version, read_queue};
