//! All routes of the server, with what applies to every request: spellings of a path, cross-origin requests, conditional
//! reads, compression, body limits, forms of other sites, request id, metrics, and panics. `server` accepts the connections.

mod addresses;
mod audience;
mod bodies;
mod compression;
mod conditional;
mod connection;
mod cors;
mod guards;
mod not_offered;
mod operations;
mod readiness;
mod server;
mod slots;

pub use server::serve;

use crate::error::Error;
use crate::state::State;
use crate::wire::FhirFailure;
use crate::{access, crd, dtr, oauth, pas, telemetry, web};
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;

/// The router of the whole server. A layer runs before those above it.
pub fn router(state: State) -> Router {
    let limit = state.config.limits.body_bytes;
    let connections = state.config.connections.clone();
    let routes = Router::new()
        // CRD: hook calls while a clinician signs orders
        .merge(crd::routes())
        // DTR: forms with a draft of the answers
        .merge(dtr::routes())
        // PAS: requests, inquiries, subscriptions
        .merge(pas::routes())
        // the member's FHIR API
        .merge(access::routes())
        // OAuth: tokens and discovery
        .merge(oauth::routes())
        // pages for staff, members and the public
        .merge(web::routes())
        // health, readiness and metrics for the operator
        .merge(operations::routes())
        .fallback(not_offered::unknown_url)
        .method_not_allowed_fallback(not_offered::unknown_method)
        .layer(middleware::from_fn_with_state(
            state.clone(),
            not_offered::refuse_history,
        ))
        .layer(DefaultBodyLimit::max(limit))
        .layer(middleware::from_fn_with_state(
            bodies::Bodies::new(connections.clone()),
            bodies::limit,
        ))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            guards::refuse_forms_of_others,
        ))
        .layer(middleware::from_fn(guards::refuse_unusable_address))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(conditional::answer_not_modified))
        .layer(compression::layer())
        .layer(middleware::from_fn_with_state(
            state.clone(),
            cors::answer_origins,
        ))
        .layer(middleware::from_fn_with_state(
            (state.clone(), slots::Slots::new(connections.per_address)),
            guards::limit_clients_of_proxies,
        ))
        .layer(middleware::from_fn(telemetry::observe))
        .with_state(state);
    // The path must have its final spelling before a route is chosen.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn(addresses::normalize))
}

/// Responds to a panic with 500. The panic's message is dropped because it may contain content of the request.
fn panicked(cause: Box<dyn Any + Send>) -> Response {
    drop(cause);
    FhirFailure::from(Error::internal("a handler panicked")).into_response()
}
