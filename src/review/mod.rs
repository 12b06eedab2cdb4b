//! Review: what clinical staff see and decide. This module owns the queue (every open case in the order of due time),
//! the case view (one case with its criteria and its evidence) and the three decisions that a reviewer can make:
//! approve as requested, refer to a physician, deny.
//!
//! `prior_auth` checks who may decide. A decision and the work that follows from it are written in one unit of work.
//! The pages and their text are in `web`; this module does not know HTTP.

mod access_log;
mod case_view;
mod criteria;
mod decide;
mod evidence;
mod fhir_text;
mod queue;
#[cfg(test)]
pub(crate) mod samples;
mod set_aside;

pub use crate::rules::{CriteriaCounts, conditions, count_conditions};
pub use access_log::{
    AccessFilters, AccessPage, Opener, check_may_see_access_log, open_case, read_access_log,
};
pub use case_view::{CaseView, Deliveries, RequestedItem};
pub use criteria::{NamedCriterion, named_criteria};
pub use decide::{DenialToConfirm, ReviewAction, ReviewDecision, ReviewDenial, ReviewResult, decide};
pub use evidence::{AnswerOrigin, CaseEvidence, ClinicalEntry, EvidenceLocation, FormAnswer, OrderDetail};
pub use queue::{Queue, QueueFilters, QueuePosition, queue_version, read_queue};
pub use set_aside::SetAsideEvidence;
