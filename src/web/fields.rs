//! What people send: the fields of a form, and the pairs of a query. Names may repeat, unknown ones are passed over.

use crate::error::{Error, Kind, Result};
use crate::web::reply::problem;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use axum::response::Response;
use url::form_urlencoded;

/// Names and values in the order they came.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `a=b&c=d`.
    pub(in crate::web) fn read(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a name; an empty text when it was not sent.
    pub(in crate::web) fn get<'a>(&'a self, name: &'a str) -> &'a str {
        self.all(name).next().unwrap_or("")
    }

    /// The first value that is not blank.
    pub(in crate::web) fn filled<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).map(str::trim).find(|value| !value.is_empty())
    }

    /// Every value of a name.
    pub(in crate::web) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let given = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let media = given.split(';').next().unwrap_or("").trim();
        if !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let error = Error::new(
                Kind::UnsupportedMedia,
                "This address takes the form of its page and nothing else",
            );
            return Err(problem(&error, "/"));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| problem(&Error::new(Kind::TooLarge, "The form is too large"), "/"))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| problem(&Error::malformed("The form is no text"), "/"))?;
        Ok(Self::read(text))
    }
}

/// `path?a=b&c=d`; the path alone without pairs.
pub(in crate::web) fn address<'a>(path: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// Where to go after sign-in, if the wish is a page of ours below one of `roots`. Anything else could lead away.
pub(in crate::web) fn next_page<'a>(wish: &'a str, roots: &[&str]) -> Option<&'a str> {
    let plain = !wish.contains(['\\', '\r', '\n', '\t']) && !wish.starts_with("//");
    let (path, _) = wish.split_once('?').unwrap_or((wish, ""));
    let below = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    (plain && !path.split('/').any(|part| part == "..") && roots.iter().any(|root| below(root)))
        .then_some(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_keep_their_order() {
        let fields = Fields::read("line=1&line=2&note=+a+&x=");
        assert_eq!(fields.all("line").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(
            (fields.get("note"), fields.filled("note"), fields.filled("x")),
            (" a ", Some("a"), None)
        );
    }

    #[test]
    fn after_sign_in_nobody_is_led_out_of_the_house() {
        let roots = ["/staff"];
        for good in ["/staff", "/staff/cases/1", "/staff?state=intake"] {
            assert_eq!(next_page(good, &roots), Some(good));
        }
        for bad in [
            "//evil.example/staff",
            "https://evil.example/staff",
            "/staffroom",
            "/me",
            "/staff/../me",
            "/staff\\@evil.example",
            "/staff\r\nx: y",
            "",
        ] {
            assert_eq!(next_page(bad, &roots), None, "{bad}");
        }
    }

    #[test]
    fn an_address_escapes_its_values() {
        assert_eq!(
            address("/staff", [("line", "a&b=c")].into_iter()),
            "/staff?line=a%26b%3Dc"
        );
        assert_eq!(address("/staff", std::iter::empty()), "/staff");
    }
}
