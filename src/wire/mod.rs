//! Axum extractors and responders: FHIR JSON in and out, errors in each protocol's own form. The one place that
//! knows which HTTP status an error becomes.

mod body;
mod caller;
mod failure;

pub use body::{FhirJson, FhirResponse, JsonBody};
pub use caller::{AppToken, BackendToken, HookCall};
pub use failure::{Failure, FhirFailure, HookFailure, OAuthFailure, not_allowed, status};
