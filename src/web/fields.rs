//! The fields of forms and query strings. A name may occur more than once; unknown names are ignored.

use crate::error::{Error, ErrorKind, Result};
use crate::fhir::json::is_storable;
use crate::state::State;
use crate::web::reply::error_page;
use crate::wire::{FORM_BYTES, read_body};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use axum::response::Response;
use url::form_urlencoded;

/// Names and values in the order received.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct FormFields(Vec<(String, String)>);

impl FormFields {
    /// Parses `a=b&c=d`.
    pub(in crate::web) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a name; empty when the name is missing.
    pub(in crate::web) fn get<'a>(&'a self, name: &'a str) -> &'a str {
        self.all(name).next().unwrap_or("")
    }

    /// The first value of a name that is not blank, without surrounding white space.
    pub(in crate::web) fn non_blank<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).map(str::trim).find(|value| !value.is_empty())
    }

    /// Every value of a name.
    pub(in crate::web) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The largest form of a signed-in person, in bytes.
const SIGNED_IN_FORM_BYTES: usize = 256 * 1024;
/// The longest name that is typed into a form, in characters.
const LONGEST_NAME: usize = 200;

/// In the extensions of a request whose sender is signed in. The extractors of sessions add it.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct IsSignedIn;

impl FromRequest<State> for FormFields {
    type Rejection = Response;

    async fn from_request(request: Request, _: &State) -> Result<Self, Response> {
        let page = |error: Error| error_page(&error, "/");
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let media = content_type.split(';').next().unwrap_or("").trim();
        if !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(page(Error::new(
                ErrorKind::UnsupportedMediaType,
                "The request must be a submitted form",
            )));
        }
        let limit = match request.extensions().get::<IsSignedIn>() {
            Some(IsSignedIn) => SIGNED_IN_FORM_BYTES,
            None => FORM_BYTES,
        };
        let bytes = read_body(request, limit).await.map_err(page)?;
        let text =
            std::str::from_utf8(&bytes).map_err(|_| page(Error::malformed("The form is not valid text")))?;
        let fields = Self::parse(text);
        fields.check().map_err(page)?;
        Ok(fields)
    }
}

impl FormFields {
    /// Refuses a text that cannot be stored, and a typed name that is too long to be one.
    fn check(&self) -> Result<()> {
        for (name, value) in &self.0 {
            if !is_storable(name) || !is_storable(value) {
                let field = if is_plain(name) { name } else { "of this form" };
                let message =
                    format!("The field {field} contains a character that cannot be stored (U+0000)");
                return Err(Error::malformed(message));
            }
            if name == "login" && value.chars().count() > LONGEST_NAME {
                let message = format!("A user name has at most {LONGEST_NAME} characters");
                return Err(Error::malformed(message));
            }
        }
        Ok(())
    }
}

/// Whether a name is one that a form of this server could have.
fn is_plain(name: &str) -> bool {
    name.len() <= 32
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// `path?a=b&c=d`; only the path when there are no pairs.
pub(in crate::web) fn url_with_query<'a>(
    path: &str,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// The page to open after sign-in, if `requested` is a path of this server below one of `roots`. Anything else could
/// redirect the browser to another site.
pub(in crate::web) fn allowed_next_page<'a>(requested: &'a str, roots: &[&str]) -> Option<&'a str> {
    let is_plain_path = !requested.contains(['\\', '\r', '\n', '\t']) && !requested.starts_with("//");
    let (path, _) = requested.split_once('?').unwrap_or((requested, ""));
    let is_below = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    (is_plain_path && !path.split('/').any(|part| part == "..") && roots.iter().any(|root| is_below(root)))
        .then_some(requested)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_keep_their_order() {
        let fields = FormFields::parse("item=1&item=2&note=+a+&x=");
        assert_eq!(fields.all("item").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(
            (
                fields.get("note"),
                fields.non_blank("note"),
                fields.non_blank("x")
            ),
            (" a ", Some("a"), None)
        );
    }

    #[test]
    fn the_next_page_after_sign_in_is_on_this_server() {
        let roots = ["/staff"];
        for allowed in ["/staff", "/staff/cases/1", "/staff?state=intake"] {
            assert_eq!(allowed_next_page(allowed, &roots), Some(allowed));
        }
        for refused in [
            "//evil.example/staff",
            "https://evil.example/staff",
            "/staffroom",
            "/me",
            "/staff/../me",
            "/staff\\@evil.example",
            "/staff\r\nx: y",
            "",
        ] {
            assert_eq!(allowed_next_page(refused, &roots), None, "{refused}");
        }
    }

    #[test]
    fn a_character_that_cannot_be_stored_and_a_name_that_is_too_long_are_refused() {
        let problem = |text: &str| FormFields::parse(text).check().unwrap_err().message().to_owned();
        assert!(problem("a=1&note=x%00y").starts_with("The field note contains a character"));
        assert!(problem("a%00=1").starts_with("The field of this form contains"));
        assert!(problem(&format!("login={}", "x".repeat(201))).contains("at most 200 characters"));
        let longest = format!("login={}&note={}", "%C3%A9".repeat(200), "x".repeat(5000));
        assert!(FormFields::parse(&longest).check().is_ok());
    }

    #[test]
    fn query_values_are_escaped() {
        assert_eq!(
            url_with_query("/staff", [("queue", "a&b=c")].into_iter()),
            "/staff?queue=a%26b%3Dc"
        );
        assert_eq!(url_with_query("/staff", std::iter::empty()), "/staff");
    }
}
