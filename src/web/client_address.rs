//! The network address that a request came from, for the access log. Behind a proxy, it is in the header `Forwarded`
//! (RFC 7239), which counts only when the proxy is one of the setting `trusted_proxies`.

use crate::state::State;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::{HeaderMap, header, request::Parts};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

/// Extractor: the address of the client; `None` when the server does not know the address of the connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct ClientAddress(pub Option<IpAddr>);

impl FromRequestParts<State> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(peer)| peer.ip().to_canonical());
        let trusted = &state.config.trusted_proxies;
        Ok(Self(
            peer.map(|peer| client_address(peer, &parts.headers, trusted)),
        ))
    }
}

/// The nearest address that is not a trusted proxy. Each proxy adds the address that it saw to the end of the list.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let forwarded: Vec<Option<IpAddr>> = headers
        .get_all(header::FORWARDED)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(forwarded_for)
        .collect();
    let mut nearest = peer;
    for address in forwarded.into_iter().rev() {
        if !trusted.contains(&nearest) {
            break;
        }
        // A proxy may hide the address behind a name such as "unknown". The proxy is then the nearest known address.
        let Some(address) = address else { break };
        nearest = address;
    }
    nearest
}

/// The address in the parameter `for` of one element of `Forwarded`: `for=192.0.2.1`, `for="[2001:db8::1]:4711"`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let node = element.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    })?;
    let node = node.trim().trim_matches('"');
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
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
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
