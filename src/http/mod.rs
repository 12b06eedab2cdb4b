//! All routes of the server, with what applies to every request: body limit, request id, metrics, and panics.

mod operations;

use crate::error::{Error, ErrorKind};
use crate::state::State;
use crate::wire::{FhirFailure, method_not_allowed};
use crate::{access, crd, dtr, oauth, pas, telemetry, web};
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;

/// The router of the whole server.
pub fn router(state: State) -> Router {
    let limit = state.config.limits.body_bytes;
    Router::new()
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
        .fallback(|| async {
            FhirFailure::from(Error::new(
                ErrorKind::NotFound,
                "There is no resource at this URL",
            ))
        })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(telemetry::observe))
        .with_state(state)
}

/// Responds to a panic with 500. The panic's message is dropped because it may contain content of the request.
fn panicked(cause: Box<dyn Any + Send>) -> Response {
    drop(cause);
    FhirFailure::from(Error::internal("a handler panicked")).into_response()
}
