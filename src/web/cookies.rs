//! The cookies of this server. Where the public URL is https, their names have the prefix `__Host-`.

use crate::error::{Error, Result};
use crate::state::State;
use crate::store::sessions::SessionKind;
use axum::http::{HeaderMap, HeaderValue, header};

/// The cookie of a staff session.
pub(in crate::web) const STAFF_COOKIE: Cookie = Cookie {
    secure: "__Host-assent_session",
    plain: "assent_session",
};
/// The cookie of a member session. It is a separate cookie, so that one browser can hold both sessions.
pub(in crate::web) const MEMBER_COOKIE: Cookie = Cookie {
    secure: "__Host-assent_member",
    plain: "assent_member",
};
/// The cookie that ties a sign-in form to the browser that opened it.
pub(in crate::web) const FORM_COOKIE: Cookie = Cookie {
    secure: "__Host-assent_form",
    plain: "assent_form",
};

/// The cookie of a kind of session.
pub(in crate::web) fn session_cookie(kind: SessionKind) -> Cookie {
    match kind {
        SessionKind::Staff => STAFF_COOKIE,
        SessionKind::Member => MEMBER_COOKIE,
    }
}

/// The two names of a cookie. The prefix `__Host-` makes the browser refuse the cookie unless this server set it, for this
/// server alone, over TLS.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct Cookie {
    /// The name where the public URL is https.
    secure: &'static str,
    /// The name where it is http, as in the demo.
    plain: &'static str,
}

impl Cookie {
    fn name(self, state: &State) -> &'static str {
        if is_https(state) { self.secure } else { self.plain }
    }

    /// The value that a request carries; `None` when it is missing or empty.
    pub(in crate::web) fn value<'h>(self, state: &State, headers: &'h HeaderMap) -> Option<&'h str> {
        cookie(headers, self.name(state))
    }

    /// The header that sets a value, or that removes the cookie if the value is empty.
    pub(in crate::web) fn header(self, state: &State, value: &str) -> Result<HeaderValue> {
        let name = self.name(state);
        let secure = if is_https(state) { "; Secure" } else { "" };
        let age = if value.is_empty() { "; Max-Age=0" } else { "" };
        HeaderValue::from_str(&format!(
            "{name}={value}; HttpOnly; SameSite=Lax; Path=/{age}{secure}"
        ))
        .map_err(Error::internal)
    }
}

fn is_https(state: &State) -> bool {
    state.config.public_url.starts_with("https://")
}

/// The value of a cookie; `None` when it is missing or empty.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(cookie, value)| *cookie == name && !value.is_empty())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&'static str]) -> HeaderMap {
        cookies
            .iter()
            .map(|cookies| (header::COOKIE, HeaderValue::from_static(cookies)))
            .collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = headers(&["xassent_session=a; assent_session=b; assent_member=", "other=1"]);
        assert_eq!(cookie(&headers, STAFF_COOKIE.plain), Some("b"));
        assert_eq!(cookie(&headers, MEMBER_COOKIE.plain), None);
        assert_eq!(cookie(&headers, STAFF_COOKIE.secure), None);
    }
}
