//! The guide version of the address that was called.

use super::failure::FhirFailure;
use crate::error::{Error, ErrorKind};
use crate::ig::ServedAtAddress;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// The version of the guide `G` under whose base path the request came.
#[derive(Debug)]
pub struct Guide<G: 'static>(pub &'static G);

impl<S: Send + Sync, G: ServedAtAddress> FromRequestParts<S> for Guide<G> {
    type Rejection = FhirFailure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let guide = G::at_address(parts.uri.path());
        let missing = || Error::new(ErrorKind::NotFound, "No guide version is served at this address");
        Ok(Self(guide.ok_or_else(missing)?))
    }
}
