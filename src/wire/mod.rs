//! Axum extractors and responders: callers with their scopes, FHIR JSON in and out, and errors in the form of each
//! protocol. This module alone knows which HTTP status an error becomes.

mod body;
mod caller;
mod client_address;
mod failure;
mod guide;
mod handling;
pub mod interaction;
pub mod resource;

pub use body::{BodyFault, FORM_BYTES, FhirJson, FhirResponse, JsonBody, read_body};
pub use caller::{AppToken, BackendToken, HookCall};
pub use client_address::ClientAddress;
pub use failure::{Failure, FhirFailure, HookFailure, OAuthFailure, status};
pub use guide::Guide;
pub use handling::Handling;
