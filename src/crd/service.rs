//! The CDS service of this API: its id, the check of the id in a path, and the form of JSON responses.

use crate::error::{Error, ErrorKind};
use crate::state::State;
use crate::wire::HookFailure;
use axum::extract::{FromRequestParts, Path};
use axum::http::{header, request::Parts};
use axum::response::{IntoResponse, Response};

/// The id of the only service.
pub(super) const ORDER_SIGN: &str = "order-sign-crd";

/// Extracts a service id that exists; any other id is 404 before anything else is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownService;

impl FromRequestParts<State> for KnownService {
    type Rejection = HookFailure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        let id = Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(id)| id)
            .unwrap_or_default();
        if id == ORDER_SIGN {
            return Ok(Self);
        }
        Err(HookFailure::from(Error::new(
            ErrorKind::NotFound,
            "No CDS service has this id",
        )))
    }
}

/// A 200 response with JSON text.
pub(super) fn json_response(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}
