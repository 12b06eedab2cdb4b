//! The parameters of an OAuth request, from a form or a query. A parameter may be sent once; an empty one counts as
//! missing (RFC 6749, sections 3.1 and 3.2). Error texts never contain values.

use super::invalid_request;
use crate::error::{Error, Result};
use crate::fhir::json::is_storable;
use crate::wire::{FORM_BYTES, OAuthFailure, read_body};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use std::collections::HashMap;
use url::form_urlencoded;

/// The longest name of a parameter, and the longest `client_id` and secret in Basic authentication, in bytes.
pub(super) const LONGEST_NAME: usize = 200;
/// The longest value of any other parameter, such as a signed assertion, in bytes.
const LONGEST_VALUE: usize = 8192;

/// The parameters of one request, by name.
#[derive(Debug, Clone, Default)]
pub struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Parses `a=b&c=d`.
    ///
    /// # Errors
    ///
    /// `invalid_request` if a parameter is repeated, too long, or contains U+0000.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if !is_storable(&name) || !is_storable(&value) {
                return Err(unusable_parameter(&name));
            }
            let limit = match name.as_ref() {
                "client_id" => LONGEST_NAME,
                _ => LONGEST_VALUE,
            };
            if name.len() > LONGEST_NAME || value.len() > limit {
                return Err(unusable_parameter(&name));
            }
            if parameters.contains_key(name.as_ref()) {
                return Err(repeated_parameter(&name));
            }
            parameters.insert(name.into_owned(), value.into_owned());
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter, if it was sent and is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of a required parameter.
    ///
    /// # Errors
    ///
    /// `invalid_request` if it is missing or empty.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.get(name)
            .ok_or_else(|| invalid_request(format!("The parameter {name} is missing")))
    }
}

/// The error for a parameter that is too long or contains U+0000.
fn unusable_parameter(name: &str) -> Error {
    if is_plain(name) {
        invalid_request(format!(
            "The parameter {name} is too long or contains the character U+0000"
        ))
    } else {
        invalid_request("A parameter is too long or contains the character U+0000")
    }
}

/// The error for a repeated parameter. The name is shown only if it looks like the name of an OAuth parameter, so that
/// a caller cannot put other text on the error page.
fn repeated_parameter(name: &str) -> Error {
    if is_plain(name) {
        invalid_request(format!("The parameter {name} is repeated"))
    } else {
        invalid_request("A parameter is repeated")
    }
}

/// Whether a name looks like the name of an OAuth parameter.
fn is_plain(name: &str) -> bool {
    name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = OAuthFailure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(invalid_request("The Content-Type must be application/x-www-form-urlencoded").into());
        }
        let bytes = read_body(request, FORM_BYTES).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| invalid_request("The body is not UTF-8 text"))?;
        Ok(Self::parse(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_counts_as_missing() {
        let parameters = Parameters::parse("a=1&b=&c=x%20y+z").unwrap();
        assert_eq!(parameters.get("a"), Some("1"));
        assert_eq!(parameters.get("b"), None);
        assert_eq!(parameters.get("c"), Some("x y z"));
        assert_eq!(
            parameters.require("d").unwrap_err().oauth_code(),
            Some("invalid_request")
        );
    }

    #[test]
    fn a_parameter_that_is_too_long_or_cannot_be_stored_is_refused() {
        for text in [
            "state=a%00b".to_owned(),
            "a%00=b".to_owned(),
            format!("client_id={}", "x".repeat(201)),
            format!("state={}", "x".repeat(8193)),
            format!("{}=1", "x".repeat(201)),
        ] {
            let error = Parameters::parse(&text).unwrap_err();
            assert_eq!(error.oauth_code(), Some("invalid_request"), "{text}");
        }
        assert!(Parameters::parse(&format!("client_id={}", "x".repeat(200))).is_ok());
    }

    #[test]
    fn a_repeated_parameter_is_refused() {
        let error = Parameters::parse("a=1&a=1").unwrap_err();
        assert_eq!(error.oauth_code(), Some("invalid_request"));
        assert_eq!(error.message(), "The parameter a is repeated");
        let error = Parameters::parse("Call+us=1&Call+us=1").unwrap_err();
        assert_eq!(error.message(), "A parameter is repeated");
    }
}
