//! Errors as HTTP responses: an `OperationOutcome` for the FHIR APIs, the same with the statuses of CDS Hooks for the
//! hook, and the JSON of RFC 6749 for OAuth. Each error is logged once, here, without the content of any message.

use crate::error::{Error, ErrorKind, Issue};
use crate::fhir::outcome::operation_outcome;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The HTTP status of each kind of error.
pub fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Malformed => StatusCode::BAD_REQUEST,
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::TooSlow => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error in the form of one protocol. `FORM` is 0 for FHIR, 1 for CDS Hooks, 2 for OAuth; use the aliases below.
#[derive(Debug)]
pub struct Failure<const FORM: u8>(pub Error);

/// The FHIR APIs: an `OperationOutcome` with FHIRPath expressions.
pub type FhirFailure = Failure<0>;
/// The hook: as FHIR, but a broken rule is 400 instead of 422 (CRD hook-14).
pub type HookFailure = Failure<1>;
/// OAuth: `{"error", "error_description"}` (RFC 6749, section 5.2).
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
        log(&error, status);
        let mut response = if FORM == 2 {
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
        } else {
            let whole = [Issue::error(error.issue_code(), "", error.message())];
            let issues = if error.issues().is_empty() {
                &whole[..]
            } else {
                error.issues()
            };
            let body = operation_outcome(issues).to_string();
            (status, [(header::CONTENT_TYPE, "application/fhir+json")], body).into_response()
        };
        add_headers(&mut response, status);
        response
    }
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

fn oauth_code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthorized => "invalid_client",
        ErrorKind::Forbidden => "unauthorized_client",
        ErrorKind::Unavailable => "temporarily_unavailable",
        ErrorKind::Internal => "server_error",
        _ => "invalid_request",
    }
}

/// Writes one log entry: a failure of the server at level error, everything else at level info.
fn log(error: &Error, status: StatusCode) {
    if status.is_server_error() {
        tracing::error!(
            status = status.as_u16(),
            cause = error.log_detail().unwrap_or("-"),
            "request failed"
        );
    } else {
        tracing::info!(
            status = status.as_u16(),
            cause = error.log_detail().unwrap_or("-"),
            "request rejected"
        );
    }
}
