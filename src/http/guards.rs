//! What every request must meet before a handler sees it: an address that can be stored, a form of this server's own
//! pages, and not too many requests of one client behind a proxy at a time.

use super::slots::Slots;
use super::{audience, cors};
use crate::error::{Error, ErrorKind};
use crate::state::State;
use crate::wire::ClientAddress;
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use std::net::SocketAddr;
use std::sync::Arc;

/// U+0000 as a path or a query spells it.
const NUL: &str = "%00";
/// How a browser tells where a request comes from (Fetch Metadata).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Refuses a path or a query that contains U+0000, and a path that is not text.
pub(super) async fn refuse_unusable_address(request: Request, next: Next) -> Response {
    match unusable(request.uri()) {
        Some(message) => {
            let error = Error::malformed(message);
            audience::respond(error, request.uri().path(), request.headers())
        }
        None => next.run(request).await,
    }
}

fn unusable(uri: &Uri) -> Option<String> {
    let path = uri.path();
    if path.contains(NUL) {
        return Some("The path contains the character U+0000".to_owned());
    }
    if path.contains('%') && String::from_utf8(decoded(path)).is_err() {
        return Some("The path is not UTF-8 text".to_owned());
    }
    let query = uri.query().filter(|query| query.contains(NUL))?;
    let pair = query.split('&').find(|pair| pair.contains(NUL))?;
    let name = pair.split('=').next().unwrap_or("");
    let is_plain = name.len() <= 64
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':'));
    Some(if is_plain {
        format!("The parameter {name} contains the character U+0000")
    } else {
        "A parameter contains the character U+0000".to_owned()
    })
}

/// The bytes of a path without percent-encoding. An incomplete sequence stands for itself.
fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// Refuses a form that a page of another origin sent. A browser says where a form comes from; what says nothing is no
/// browser, or an old one, and is left to the form's token.
pub(super) async fn refuse_forms_of_others(
    Shared(state): Shared<State>,
    request: Request,
    next: Next,
) -> Response {
    let is_form = !request.method().is_safe() && cors::is_page(request.uri().path());
    if !is_form || is_from_own_origin(request.headers(), &state.config.public_url) {
        return next.run(request).await;
    }
    let error = Error::forbidden(
        "This form was sent from a page of another site. Open the page here and send it again",
    );
    crate::web::error_page_for(&error, request.headers())
}

fn is_from_own_origin(headers: &HeaderMap, public_url: &str) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let own = url::Url::parse(public_url).map(|url| url.origin().ascii_serialization());
    own.is_ok_and(|own| own.as_bytes() == origin.as_bytes())
}

/// Limits the requests at a time of one client behind a trusted proxy. The connections of other clients are limited when
/// they are accepted.
pub(super) async fn limit_clients_of_proxies(
    Shared((state, slots)): Shared<(State, Arc<Slots>)>,
    request: Request,
    next: Next,
) -> Response {
    let config = &state.config;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let client = peer
        .filter(|ConnectInfo(peer)| config.trusted_proxies.contains(&peer.ip().to_canonical()))
        .map(|ConnectInfo(peer)| ClientAddress::of(*peer, request.headers(), config))
        .filter(|client| !config.trusted_proxies.contains(client));
    let Some(client) = client else {
        return next.run(request).await;
    };
    match slots.take(client) {
        Some(slot) => {
            let response = next.run(request).await;
            drop(slot);
            response
        }
        None => {
            metrics::counter!("assent_connections_refused_total", "reason" => "proxied address").increment(1);
            let message = "Too many requests from this address are in progress. Send the request again later";
            let error = Error::new(ErrorKind::TooManyRequests, message);
            audience::respond(error, request.uri().path(), request.headers())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    #[test]
    fn an_address_with_a_character_that_cannot_be_stored_is_refused() {
        let problem = |text: &str| unusable(&Uri::try_from(text).unwrap());
        assert_eq!(
            problem("/fhir/pdex/Patient?family=a%00b").unwrap(),
            "The parameter family contains the character U+0000"
        );
        assert!(problem("/a?b%00=1").unwrap().starts_with("A parameter"));
        assert!(problem("/fhir/pdex/Patient/%00").is_some());
        assert!(problem("/fhir/pdex/Patient/%ff").is_some());
        for usable in [
            "/a%2500?b=%2500",
            "/Claim/%24submit",
            "/%c3%a9",
            "/%",
            "/%0",
            "/a?b=c",
        ] {
            assert_eq!(problem(usable), None, "{usable}");
        }
    }

    #[test]
    fn a_form_comes_from_this_origin_if_the_browser_says_so_or_says_nothing() {
        let own = "https://pa.plan.example/base";
        for (pairs, expected) in [
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (
                vec![
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://pa.plan.example"),
                ],
                false,
            ),
            (vec![("origin", "https://pa.plan.example")], true),
            (vec![("origin", "http://pa.plan.example")], false),
            (vec![("origin", "null")], false),
            (vec![], true),
        ] {
            let headers = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(is_from_own_origin(&headers, own), expected, "{pairs:?}");
        }
    }
}
