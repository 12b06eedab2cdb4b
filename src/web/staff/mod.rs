//! The pages of staff: sign-in, the reviewers' queue and cases, the policies, the access log. `prior_auth` and `publication` check what
//! a person may do; the pages only select which buttons are shown.

pub mod access_log;
pub mod case_actions;
pub mod case_criteria;
pub mod case_page;
pub mod cases;
#[cfg(test)]
mod combination_tests;
pub mod confirm_denial;
pub mod decision_notices;
pub mod history;
pub mod labels;
pub mod policies;
pub mod policies_page;
pub mod queue;
pub mod queue_events;
pub mod queue_page;
#[cfg(test)]
mod samples;
pub mod sign_in;
pub mod views;
