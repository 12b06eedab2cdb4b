//! The CRD API: Coverage Requirements Discovery 2.2.1 over CDS Hooks. Before orders are signed, an EHR asks what the
//! plan covers and whether authorization and documents are needed. Each order gets its answer as an extension, and the
//! answer is stored before it is sent.
//!
//! `order_sign` handles a call: `request` reads it; `prefetch` and `ehr` provide the resources; `payer` and `member`
//! find the member and the coverage (section "Coverage and member resolution"); `determination` evaluates the policies;
//! `hook_response`, `coverage_information` and `cards` build the response; `invariants` checks it against the guide;
//! `echo` adds the extension to the order's text; `record` stores the whole call for disputes.
//!
//! This module changes nothing in an order except its coverage information, gives no case number, and does not store
//! the EHR's access token.

mod cards;
mod coverage_information;
mod determination;
mod discovery;
mod echo;
mod ehr;
mod feedback;
mod hook_response;
mod invariants;
mod member;
mod order_sign;
mod payer;
mod prefetch;
mod record;
mod request;
#[cfg(test)]
mod samples;
mod service;

use crate::state::State;
use crate::wire::method_not_allowed;
use axum::Router;
use axum::http::{Method, header};
use axum::routing::{get, post};
use tower_http::cors::{Any, CorsLayer};

/// The routes of this API. EHRs may be browser apps, so any origin may call; no request relies on a cookie.
pub fn routes() -> Router<State> {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE]);
    Router::new()
        .route("/cds-services", get(discovery::get))
        .route("/cds-services/{id}", post(order_sign::post))
        .route("/cds-services/{id}/feedback", post(feedback::post))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(cors)
}
