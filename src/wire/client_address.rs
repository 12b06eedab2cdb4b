//! The network address that a request came from, for the access log and for limits. Behind a proxy, it is in the header
//! that the setting `forwarded_header` names, which counts only when the proxy is one of the setting `trusted_proxies`.

use crate::config::{Config, ForwardedHeader};
use crate::state::State;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::{HeaderMap, header, request::Parts};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

/// The header of proxies that do not write `Forwarded`.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Extractor: the address of the client; `None` when the server does not know the address of the connection.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// The address of the client that sent a request with these headers over a connection from `peer`.
    pub fn of(peer: SocketAddr, headers: &HeaderMap, config: &Config) -> IpAddr {
        let peer = peer.ip().to_canonical();
        if config.trusted_proxies.is_empty() {
            return peer;
        }
        client_address(
            peer,
            &forwarded(headers, config.forwarded_header),
            &config.trusted_proxies,
        )
    }
}

impl FromRequestParts<State> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map(|ConnectInfo(peer)| {
            Self::of(*peer, &parts.headers, &state.config)
        })))
    }
}

/// The addresses in the header, in the order of the proxies; `None` for one that is hidden.
fn forwarded(headers: &HeaderMap, header: ForwardedHeader) -> Vec<Option<IpAddr>> {
    let (name, read): (_, fn(&str) -> Option<IpAddr>) = match header {
        ForwardedHeader::Forwarded => (header::FORWARDED, forwarded_for),
        ForwardedHeader::XForwardedFor => (header::HeaderName::from_static(X_FORWARDED_FOR), node),
    };
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(read)
        .collect()
}

/// The nearest address that is not a trusted proxy. Each proxy adds the address that it saw to the end of the list.
fn client_address(peer: IpAddr, forwarded: &[Option<IpAddr>], trusted: &[IpAddr]) -> IpAddr {
    let mut nearest = peer;
    for address in forwarded.iter().rev() {
        if !trusted.contains(&nearest) {
            break;
        }
        // A proxy may hide the address behind a name such as "unknown". The proxy is then the nearest known address.
        let Some(address) = address else { break };
        nearest = *address;
    }
    nearest
}

/// The address in the parameter `for` of one element of `Forwarded`: `for=192.0.2.1`, `for="[2001:db8::1]:4711"`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let node = element.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    })?;
    self::node(node)
}

/// An address with or without quotation marks, brackets and port.
fn node(text: &str) -> Option<IpAddr> {
    let node = text.trim().trim_matches('"');
    let address = match node.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?.parse().ok(),
        None => node
            .parse()
            .ok()
            .or_else(|| node.rsplit_once(':')?.0.parse().ok()),
    };
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, forwarded: &[&'static str]) -> String {
        let headers = forwarded
            .iter()
            .map(|value| (header::FORWARDED, header::HeaderValue::from_static(value)))
            .collect();
        let trusted = ["10.0.0.1", "10.0.0.2"].map(|proxy| proxy.parse().unwrap());
        let forwarded = super::forwarded(&headers, ForwardedHeader::Forwarded);
        client_address(peer.parse().unwrap(), &forwarded, &trusted).to_string()
    }

    #[test]
    fn only_the_header_of_the_setting_counts() {
        let mut config = Config::defaults().unwrap();
        config.trusted_proxies = vec!["10.0.0.1".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert(header::FORWARDED, "for=198.51.100.1".parse().unwrap());
        headers.insert(X_FORWARDED_FOR, "203.0.113.7, 198.51.100.2".parse().unwrap());
        let of = |config: &Config| ClientAddress::of("10.0.0.1:4711".parse().unwrap(), &headers, config);
        assert_eq!(of(&config).to_string(), "198.51.100.1");
        config.forwarded_header = ForwardedHeader::XForwardedFor;
        assert_eq!(of(&config).to_string(), "198.51.100.2");
        config.trusted_proxies.clear();
        assert_eq!(of(&config).to_string(), "10.0.0.1");
    }

    #[test]
    fn the_header_counts_only_when_a_trusted_proxy_sends_it() {
        assert_eq!(address("192.0.2.9", &["for=198.51.100.1"]), "192.0.2.9");
        assert_eq!(address("10.0.0.1", &["for=198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn an_address_that_the_client_wrote_itself_does_not_count() {
        let forged = "for=203.0.113.7, for=198.51.100.1;proto=https";
        assert_eq!(address("10.0.0.1", &[forged]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &[forged, "For=10.0.0.2"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["for=unknown"]), "10.0.0.1");
    }

    #[test]
    fn addresses_may_have_quotes_brackets_and_ports() {
        assert_eq!(
            address("10.0.0.1", &["by=x; for=\"[2001:db8::1]:4711\""]),
            "2001:db8::1"
        );
        assert_eq!(address("10.0.0.1", &["for=\"198.51.100.1:80\""]), "198.51.100.1");
    }
}
