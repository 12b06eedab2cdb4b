//! Errors on the wire: `OperationOutcome` for FHIR doors, the same with CDS Hooks' statuses for the hook, RFC 6749's
//! JSON for OAuth. Each is logged once, here, without content of the message.

use crate::error::{Error, Kind};
use crate::fhir::outcome::{Issue, operation_outcome};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The HTTP status of each kind of error.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Precondition => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A failure with the form that its door speaks.
#[derive(Debug)]
pub struct Failure<const FORM: u8>(pub Error);

/// FHIR doors: an `OperationOutcome` with FHIRPath expressions.
pub type FhirFailure = Failure<0>;
/// The hook: as FHIR, but rules of the hook itself that are broken are 400 (CRD hook-14).
pub type HookFailure = Failure<1>;
/// The OAuth door: `{"error", "error_description"}` (RFC 6749, section 5.2).
pub type OAuthFailure = Failure<2>;

impl<const FORM: u8> From<Error> for Failure<FORM> {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl<const FORM: u8> IntoResponse for Failure<FORM> {
    fn into_response(self) -> Response {
        let error = self.0;
        let mut status = status(error.kind());
        if FORM != 0 && status == StatusCode::UNPROCESSABLE_ENTITY {
            status = StatusCode::BAD_REQUEST;
        }
        note(&error, status);
        let mut response = match FORM {
            2 => {
                let body = json!({
                    "error": error.oauth_code().unwrap_or(oauth_code(error.kind())),
                    "error_description": error.message(),
                });
                (
                    status,
                    [(header::CONTENT_TYPE, "application/json")],
                    body.to_string(),
                )
                    .into_response()
            }
            _ => {
                let own = [Issue::error(error.issue_code(), "", error.message())];
                let issues = if error.issues().is_empty() {
                    &own[..]
                } else {
                    error.issues()
                };
                let body = operation_outcome(issues).to_string();
                (status, [(header::CONTENT_TYPE, "application/fhir+json")], body).into_response()
            }
        };
        add_headers(&mut response, status);
        response
    }
}

/// What an address answers to a method that it does not take. A door that answers browsers' preflights sets this before
/// its CORS layer, or the layer would never see them.
pub async fn not_allowed() -> FhirFailure {
    FhirFailure::from(Error::new(
        Kind::NotAllowed,
        "This address does not take this method",
    ))
}

fn add_headers(response: &mut Response, status: StatusCode) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer error=\"invalid_token\""),
        );
    }
    if matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
    ) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
}

fn oauth_code(kind: Kind) -> &'static str {
    match kind {
        Kind::Unauthorized => "invalid_client",
        Kind::Forbidden => "unauthorized_client",
        Kind::Unavailable => "temporarily_unavailable",
        Kind::Internal => "server_error",
        _ => "invalid_request",
    }
}

/// Writes the one line of the log: faults of ours as errors, everything else as information.
fn note(error: &Error, status: StatusCode) {
    if status.is_server_error() {
        tracing::error!(
            status = status.as_u16(),
            cause = error.log_line().unwrap_or("-"),
            "request failed"
        );
    } else {
        tracing::info!(
            status = status.as_u16(),
            cause = error.log_line().unwrap_or("-"),
            "request refused"
        );
    }
}
