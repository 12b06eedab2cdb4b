//! Request and response bodies: JSON parsed with its text kept, and FHIR responses.

use super::failure::Failure;
use crate::auth::fingerprint;
use crate::error::{Error, ErrorKind};
use crate::fhir;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A JSON body, parsed once, with the text as received. `FORM` is the form of the errors (see `Failure`).
#[derive(Debug)]
pub struct JsonBody<const FORM: u8> {
    /// The text as received, without a byte order mark.
    pub text: String,
    /// The text, parsed.
    pub value: Value,
}

/// The body of a FHIR operation.
pub type FhirJson = JsonBody<0>;

/// Some senders put it in front of UTF-8 text, where it means nothing.
const BYTE_ORDER_MARK: char = '\u{feff}';

impl<S: Send + Sync, const FORM: u8> FromRequest<S> for JsonBody<FORM> {
    type Rejection = Failure<FORM>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        refuse_compressed(request.headers())?;
        check_type(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Error::new(ErrorKind::TooLarge, "The body is larger than this server accepts")
            } else {
                Error::malformed("The body could not be read completely")
            }
        })?;
        let mut text = String::from_utf8(bytes.into())
            .map_err(|_| Error::malformed("The body is not valid JSON: it is not UTF-8 text"))?;
        if text.starts_with(BYTE_ORDER_MARK) {
            text.remove(0);
        }
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

/// Refuses a compressed body.
///
/// # Errors
///
/// `UnsupportedMediaType` if `Content-Encoding` names a compression.
pub fn refuse_compressed(headers: &HeaderMap) -> Result<(), Error> {
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_plain =
        |value: &HeaderValue| value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity");
    if encodings.into_iter().all(is_plain) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMediaType,
        "Send the body without compression: Content-Encoding is not supported",
    ))
}

/// A FHIR resource as a response.
#[derive(Debug)]
pub struct FhirResponse {
    status: StatusCode,
    text: String,
    location: Option<String>,
    /// `ETag` and, if the resource has `meta.lastUpdated`, `Last-Modified`.
    validators: Option<(String, Option<String>)>,
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
            validators: None,
        }
    }

    /// 200 with one resource at its own URL. `ETag` is a fingerprint of its text and `Last-Modified` is its
    /// `meta.lastUpdated`, so that a caller can ask whether its copy is current.
    pub fn read(resource: &Value) -> Self {
        Self::read_text(resource.to_string(), resource)
    }

    /// Like `read`, with a resource that is already text.
    pub fn read_text(text: String, resource: &Value) -> Self {
        Self {
            validators: Some((format!("W/\"{}\"", fingerprint(&text)), last_modified(resource))),
            ..Self::text(text)
        }
    }

    /// 201 with the new resource and its URL for `Location`.
    pub fn created(resource: &Value, location: String) -> Self {
        Self {
            status: StatusCode::CREATED,
            location: Some(location),
            ..Self::read(resource)
        }
    }
}

/// `meta.lastUpdated` as HTTP writes a time (RFC 9110, section 5.6.7).
fn last_modified(resource: &Value) -> Option<String> {
    let updated = fhir::dates::instant(fhir::text(resource, &["meta", "lastUpdated"])?)?;
    Some(updated.to_utc().format("%a, %d %b %Y %H:%M:%S GMT").to_string())
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
        if let Some((tag, last_modified)) = &self.validators {
            response = response.header(header::ETAG, tag);
            if let Some(time) = last_modified {
                response = response.header(header::LAST_MODIFIED, time);
            }
        }
        response.body(Body::from(self.text)).unwrap_or_else(|e| {
            Failure::<0>(Error::internal(format!("a response could not be built: {e}"))).into_response()
        })
    }
}
