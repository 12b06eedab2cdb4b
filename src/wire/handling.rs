//! The preference `handling` of the header `Prefer`: what a search does with a parameter that the server does not
//! support (FHIR R4, "Search"; RFC 7240).

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::convert::Infallible;

/// What a search does with a parameter that is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Refuse the search. Also without the preference: an ignored filter would return more than was asked for.
    Strict,
    /// Ignore the parameter. The search's self link does not contain it.
    Lenient,
}

impl<S: Send + Sync> FromRequestParts<S> for Handling {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::read(&parts.headers))
    }
}

impl Handling {
    fn read(headers: &HeaderMap) -> Self {
        let preferences = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok());
        let handling = preferences
            .flat_map(|value| value.split([',', ';']))
            .filter_map(|preference| preference.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("handling"));
        match handling {
            Some((_, value)) if value.trim().trim_matches('"').eq_ignore_ascii_case("lenient") => {
                Self::Lenient
            }
            _ => Self::Strict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_lenient_handling_ignores_parameters() {
        for (sent, expected) in [
            ("handling=lenient", Handling::Lenient),
            ("return=minimal, Handling=\"lenient\"", Handling::Lenient),
            ("handling=strict", Handling::Strict),
            ("return=representation", Handling::Strict),
            ("handling", Handling::Strict),
        ] {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static("prefer"),
                HeaderValue::from_static(sent),
            )]);
            assert_eq!(Handling::read(&headers), expected, "{sent}");
        }
        assert_eq!(Handling::read(&HeaderMap::new()), Handling::Strict);
    }
}
