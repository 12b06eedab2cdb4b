//! Every route on one screen, and what goes around them: limits, request ids, metrics, panics.

mod operations;

use crate::error::{Error, Kind};
use crate::state::State;
use crate::wire::{FhirFailure, not_allowed};
use crate::{access, crd, dtr, oauth, pas, telemetry, web};
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;

/// The whole house behind one address.
pub fn router(state: State) -> Router {
    let limit = state.config.limits.body_bytes;
    Router::new()
        // an EHR's hook, while a clinician orders
        .merge(crd::routes())
        // a form's questions and draft answers
        .merge(dtr::routes())
        // requests, inquiries, subscriptions
        .merge(pas::routes())
        // the member's app
        .merge(access::routes())
        // tokens and their discovery
        .merge(oauth::routes())
        // pages of reviewers and members
        .merge(web::routes())
        // the operator
        .merge(operations::routes())
        .fallback(|| async {
            FhirFailure::from(Error::new(Kind::NotFound, "There is nothing at this address"))
        })
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(telemetry::observe))
        .with_state(state)
}

/// A panic becomes a 500 in the protocol's form; what it said goes to the log only if it is text of ours.
fn panicked(cause: Box<dyn Any + Send>) -> Response {
    drop(cause);
    FhirFailure::from(Error::internal("a handler panicked")).into_response()
}
