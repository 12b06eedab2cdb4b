//! Review: what clinicians look at and decide. A queue in one order, a case with its criteria beside the evidence,
//! and the three things that a person can do: approve as asked, refer to a physician, deny.
//!
//! Who may decide is judged by `prior_auth`; a decision and the work that it causes are written in one unit. Pages and
//! their words are in `web`; nothing here knows HTTP.

mod case_view;
mod criteria;
mod decide;
mod evidence;
mod queue;
#[cfg(test)]
pub(crate) mod samples;
mod words;

pub use case_view::{CaseView, RequestedLine, case_view};
pub use criteria::{Counts, Named, conditions, counts, named, unsettled};
pub use decide::{Decision, What, decide};
pub use evidence::{Answered, Entry, Evidence, Ordered, Origin, Spot};
pub use queue::{Filters, Queue, Waiting, queue, queue_mark};
