//! Axum extractors and responders: callers with their scopes, FHIR JSON in and out, and errors in the form of each
//! protocol. This module alone knows which HTTP status an error becomes.

mod body;
mod caller;
mod failure;
mod guide;
mod handling;
pub mod interaction;
pub mod resource;

pub use body::{FhirJson, FhirResponse, JsonBody, refuse_compressed};
pub use caller::{AppToken, BackendToken, HookCall};
pub use failure::{Failure, FhirFailure, HookFailure, OAuthFailure, status};
pub use guide::Guide;
pub use handling::Handling;
