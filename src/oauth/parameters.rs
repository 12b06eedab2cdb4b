//! The parameters of an OAuth request, from a form or a query: each at most once, an empty one counts as missing
//! (RFC 6749, sections 3.1 and 3.2). No value ever stands in a message.

use super::invalid_request;
use crate::error::Result;
use crate::wire::OAuthFailure;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use std::collections::HashMap;
use url::form_urlencoded;

/// Names and values of one request.
#[derive(Debug, Clone, Default)]
pub struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Reads `a=b&c=d`.
    pub fn read(text: &str) -> Result<Self> {
        let mut all = HashMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if all.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(invalid_request("A parameter is sent twice"));
            }
        }
        Ok(Self(all))
    }

    /// One value that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// One value, or the error that names what is missing.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.get(name)
            .ok_or_else(|| invalid_request(format!("The parameter {name} is missing")))
    }
}

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = OAuthFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let given = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let media = given.split(';').next().unwrap_or("").trim();
        if !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(
                invalid_request("Send a form: Content-Type application/x-www-form-urlencoded").into(),
            );
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| invalid_request("The body could not be read to its end"))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| invalid_request("The body is not UTF-8 text"))?;
        Ok(Self::read(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_counts_as_missing() {
        let parameters = Parameters::read("a=1&b=&c=x%20y+z").unwrap();
        assert_eq!(parameters.get("a"), Some("1"));
        assert_eq!(parameters.get("b"), None);
        assert_eq!(parameters.get("c"), Some("x y z"));
        assert_eq!(
            parameters.require("d").unwrap_err().oauth_code(),
            Some("invalid_request")
        );
    }

    #[test]
    fn a_parameter_that_comes_twice_is_refused() {
        assert_eq!(
            Parameters::read("a=1&a=1").unwrap_err().oauth_code(),
            Some("invalid_request")
        );
    }
}
