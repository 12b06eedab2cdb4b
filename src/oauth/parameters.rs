//! The parameters of an OAuth request, from a form or a query. A parameter may be sent once; an empty one counts as
//! missing (RFC 6749, sections 3.1 and 3.2). Error texts never contain values.

use super::invalid_request;
use crate::error::{Error, Result};
use crate::wire::{OAuthFailure, refuse_compressed};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use std::collections::HashMap;
use url::form_urlencoded;

/// The parameters of one request, by name.
#[derive(Debug, Clone, Default)]
pub struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Parses `a=b&c=d`.
    ///
    /// # Errors
    ///
    /// `invalid_request` if a parameter is repeated.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
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

/// The error for a repeated parameter. The name is shown only if it looks like the name of an OAuth parameter, so that
/// a caller cannot put other text on the error page.
fn repeated_parameter(name: &str) -> Error {
    let is_plain = name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_plain {
        invalid_request(format!("The parameter {name} is repeated"))
    } else {
        invalid_request("A parameter is repeated")
    }
}

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = OAuthFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        refuse_compressed(request.headers())?;
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(invalid_request("The Content-Type must be application/x-www-form-urlencoded").into());
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| invalid_request("The body could not be read"))?;
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
    fn a_repeated_parameter_is_refused() {
        let error = Parameters::parse("a=1&a=1").unwrap_err();
        assert_eq!(error.oauth_code(), Some("invalid_request"));
        assert_eq!(error.message(), "The parameter a is repeated");
        let error = Parameters::parse("Call+us=1&Call+us=1").unwrap_err();
        assert_eq!(error.message(), "A parameter is repeated");
    }
}
