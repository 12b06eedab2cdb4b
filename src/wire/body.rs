//! Request and response bodies: JSON parsed with its text kept, and FHIR responses.

use super::failure::Failure;
use crate::error::{Error, ErrorKind};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A JSON body, parsed once, with the text as received. `FORM` is the form of the errors (see `Failure`).
#[derive(Debug)]
pub struct JsonBody<const FORM: u8> {
    /// The text as received.
    pub text: String,
    /// The text, parsed.
    pub value: Value,
}

/// The body of a FHIR operation.
pub type FhirJson = JsonBody<0>;

impl<S: Send + Sync, const FORM: u8> FromRequest<S> for JsonBody<FORM> {
    type Rejection = Failure<FORM>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        check_type(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Error::new(ErrorKind::TooLarge, "The body is larger than this server accepts")
            } else {
                Error::malformed("The body could not be read completely")
            }
        })?;
        let text = String::from_utf8(bytes.into())
            .map_err(|_| Error::malformed("The body is not valid JSON: it is not UTF-8 text"))?;
        let value = serde_json::from_str(&text).map_err(|e| {
            let message = format!(
                "The body is not valid JSON: error at line {}, column {}",
                e.line(),
                e.column()
            );
            Error::malformed(message)
        })?;
        Ok(Self { text, value })
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Error> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("");
    let media = content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    if matches!(
        media.as_str(),
        "application/fhir+json" | "application/json" | "text/json"
    ) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMediaType,
        "Send JSON: Content-Type application/fhir+json or application/json",
    ))
}

/// A FHIR resource as a response.
#[derive(Debug)]
pub struct FhirResponse {
    status: StatusCode,
    text: String,
    location: Option<String>,
}

impl FhirResponse {
    /// 200 with a resource.
    pub fn ok(resource: &Value) -> Self {
        Self::text(resource.to_string())
    }

    /// 200 with a resource that is already text.
    pub fn text(text: String) -> Self {
        Self {
            status: StatusCode::OK,
            text,
            location: None,
        }
    }

    /// 201 with the new resource and its URL for `Location`.
    pub fn created(resource: &Value, location: String) -> Self {
        Self {
            status: StatusCode::CREATED,
            location: Some(location),
            ..Self::ok(resource)
        }
    }
}

impl IntoResponse for FhirResponse {
    fn into_response(self) -> Response {
        let mut response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, "application/fhir+json")
            .header(header::CACHE_CONTROL, "no-store");
        if let Some(location) = &self.location {
            response = response.header(header::LOCATION, location);
        }
        response.body(Body::from(self.text)).unwrap_or_else(|e| {
            Failure::<0>(Error::internal(format!("a response could not be built: {e}"))).into_response()
        })
    }
}
