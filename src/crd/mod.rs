//! The CRD API: Coverage Requirements Discovery 2.2.1 over CDS Hooks. Before orders are signed, an EHR asks what the
//! plan covers and whether authorization and documents are needed. Each order gets its answer as an extension, and the
//! answer is stored before it is sent.
//!
//! `order_sign` handles a call: `request` reads it, with `order_checks`; `prefetch`, `call_resources` and `ehr` provide
//! the resources; `admission` says what of them may decide; `payer`, `member` and `coverage_choice` find the member and
//! the coverage (section "Coverage and member resolution"); `determination` evaluates the policies, unless
//! `order_problems` finds a reason not to;
//! `hook_response`, `coverage_information` and `cards` build the response; `invariants` checks it against the guide;
//! `echo` adds the extension to the order's text; `record` stores the whole call for disputes.
//!
//! This module changes nothing in an order except its coverage information, gives no case number, and does not store
//! the EHR's access token.

mod admission;
mod call_resources;
mod cards;
mod coverage_choice;
mod coverage_information;
mod determination;
mod discovery;
mod echo;
mod ehr;
mod feedback;
mod hook_response;
mod invariants;
mod limits;
mod member;
mod order_checks;
mod order_problems;
mod order_sign;
mod payer;
mod prefetch;
mod record;
mod request;
#[cfg(test)]
mod samples;
mod service;

use crate::state::State;
use axum::Router;
use axum::routing::{get, post};

/// The routes of this API.
pub fn routes() -> Router<State> {
    Router::new()
        .route("/cds-services", get(discovery::get))
        .route("/cds-services/{id}", post(order_sign::post))
        .route("/cds-services/{id}/feedback", post(feedback::post))
}
