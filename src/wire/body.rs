//! Request and response bodies: JSON parsed with its text kept, and FHIR responses.

use super::failure::Failure;
use crate::auth::fingerprint;
use crate::error::{Error, ErrorKind};
use crate::fhir;
use crate::state::{State, WorkSize};
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
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

impl<const FORM: u8> FromRequest<State> for JsonBody<FORM> {
    type Rejection = Failure<FORM>;

    async fn from_request(request: Request, state: &State) -> Result<Self, Self::Rejection> {
        check_type(request.headers())?;
        let bytes = read_body(request, state.config.limits.body_bytes).await?;
        let mut text = String::from_utf8(bytes)
            .map_err(|_| Error::malformed("The body is not valid JSON: it is not UTF-8 text"))?;
        if text.starts_with(BYTE_ORDER_MARK) {
            text.remove(0);
        }
        let size = WorkSize::new(text.len(), 0);
        let value = state
            .compute(size, || fhir::json::parse(&text, "The body"))
            .await?;
        Ok(Self { text, value })
    }
}

/// The largest form of a request without a credential, in bytes.
pub const FORM_BYTES: usize = 16 * 1024;
/// How much memory is set aside for a body before it arrives. A larger body gets more as it arrives.
const FIRST_BYTES: u64 = 64 * 1024;

/// Why a body was not received to its end. `http` limits every body and reports this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// It did not arrive in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The bodies that are being received take all the memory for bodies.
    #[error("too many bodies are being received")]
    NoMemory,
}

/// Reads a body of at most `limit` bytes. Extractors of credentials come before those of bodies, so that nothing is read
/// for a caller who is refused.
///
/// # Errors
///
/// `UnsupportedMediaType` for a compressed body, `TooLarge`, `TooSlow`, `Unavailable` when the memory for bodies is used
/// up, `Malformed` when the connection broke.
pub async fn read_body(request: Request, limit: usize) -> Result<Vec<u8>, Error> {
    refuse_compressed(request.headers())?;
    let too_large = || {
        Error::new(
            ErrorKind::TooLarge,
            format!("The body is larger than this address accepts, which is {limit} bytes"),
        )
    };
    let mut body = request.into_body();
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced.min(FIRST_BYTES)).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| interrupted(&error))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}

fn interrupted(error: &axum::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        match one.downcast_ref::<BodyFault>() {
            Some(BodyFault::TooSlow) => {
                return Error::new(ErrorKind::TooSlow, "The body did not arrive in time");
            }
            Some(BodyFault::NoMemory) => {
                let message = "The server is receiving too many large requests. Send the request again later";
                return Error::new(ErrorKind::Unavailable, message);
            }
            None => cause = one.source(),
        }
    }
    Error::malformed("The body could not be read completely")
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
fn refuse_compressed(headers: &HeaderMap) -> Result<(), Error> {
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
