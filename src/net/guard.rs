//! Which addresses an outbound call may reach.

use crate::error::{Error, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// The hosts that a call may reach.
#[derive(Debug, Clone, Copy)]
pub struct AllowedHosts<'a> {
    /// Entries are `host`, `host:port` or the beginning of a URL.
    pub hosts: &'a [String],
    /// Whether http to loopback is allowed, for test installations. Off by default.
    pub loopback_http: bool,
}

impl AllowedHosts<'_> {
    /// Refuses a URL that is not on the list, not https or not at a public address.
    pub fn check(&self, url: &str) -> Result<()> {
        let refused = || Error::forbidden("This address is not registered for the client");
        let parsed = Url::parse(url).map_err(|_| refused())?;
        let host = parsed.host().ok_or_else(refused)?;
        let loopback = is_loopback(&host);
        let allowed_scheme =
            parsed.scheme() == "https" || (parsed.scheme() == "http" && loopback && self.loopback_http);
        let no_credentials = parsed.username().is_empty() && parsed.password().is_none();
        if !allowed_scheme || !no_credentials || !self.hosts.iter().any(|entry| covers(entry, &parsed)) {
            return Err(refused());
        }
        let is_public = match host {
            Host::Ipv4(ip) => is_public_address(ip.into()),
            Host::Ipv6(ip) => is_public_address(ip.into()),
            Host::Domain(_) => true,
        };
        if is_public || (loopback && self.loopback_http) {
            Ok(())
        } else {
            Err(refused())
        }
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(name) => *name == "localhost",
    }
}

fn covers(entry: &str, url: &Url) -> bool {
    if let Ok(base) = Url::parse(entry)
        && base.has_host()
    {
        let same_origin = base.origin() == url.origin();
        let path = base.path().trim_end_matches('/');
        let under = url
            .path()
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        return same_origin && under;
    }
    let host = url.host_str().unwrap_or("");
    let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
    entry.eq_ignore_ascii_case(host) || with_port.is_some_and(|h| entry.eq_ignore_ascii_case(&h))
}

/// Whether an address is on the public internet.
fn is_public_address(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(ip) => ip
            .to_ipv4()
            .map_or_else(|| is_public_v6(ip), |v4| is_public_address(v4.into())),
    }
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, ..] = ip.segments();
    // 2000::/3 is global unicast; 2002::/16 (6to4) embeds IPv4 addresses.
    (0x2000..0x4000).contains(&first) && first != 0x2002
}

/// A DNS resolver that returns only public addresses, so that the checked address is the one connected to.
#[derive(Debug)]
pub(super) struct PublicAddressResolver;

impl Resolve for PublicAddressResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public_address(address.ip())).collect();
            if public.is_empty() {
                return Err("the host name has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(hosts: &[&str], loopback_http: bool, url: &str) -> bool {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        AllowedHosts {
            hosts: &hosts,
            loopback_http,
        }
        .check(url)
        .is_ok()
    }

    #[test]
    fn only_registered_https_hosts_are_allowed() {
        assert!(allows(&["ehr.example"], false, "https://ehr.example/hook"));
        assert!(allows(
            &["https://ehr.example/fhir"],
            false,
            "https://ehr.example/fhir/Patient/1"
        ));
        for foreign in [
            "http://ehr.example/hook",
            "https://ehr.example.evil.test/hook",
            "https://user:pw@ehr.example/hook",
            "https://other.example/hook",
            "ftp://ehr.example/hook",
        ] {
            assert!(!allows(&["ehr.example"], false, foreign), "{foreign}");
        }
        assert!(!allows(
            &["https://ehr.example/fhir"],
            false,
            "https://ehr.example/fhirx/Patient/1"
        ));
    }

    #[test]
    fn private_addresses_are_never_allowed() {
        for private in [
            "10.0.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "192.168.1.1",
            "100.64.0.1",
            "[::1]",
            "[fd00::1]",
        ] {
            assert!(
                !allows(&[private], false, &format!("https://{private}/x")),
                "{private}"
            );
        }
    }

    #[test]
    fn loopback_is_allowed_only_if_the_registration_says_so() {
        assert!(!allows(&["127.0.0.1:9999"], false, "http://127.0.0.1:9999/hook"));
        assert!(allows(&["127.0.0.1:9999"], true, "http://127.0.0.1:9999/hook"));
        assert!(!allows(&["10.0.0.1"], true, "http://10.0.0.1/hook"));
    }
}
