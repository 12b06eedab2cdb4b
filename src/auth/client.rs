//! A registered client: an EHR, a clearinghouse or a member's app. The column `client.doc` holds its keys and
//! permissions. This module uses neither the network nor the store.

use chrono::Duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use url::{Host, Url};
use uuid::Uuid;

/// A registered client (RFC 6749, section 2).
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// The row.
    pub id: Uuid,
    /// The OAuth `client_id`; unique.
    pub client_id: String,
    /// The name that staff and members see.
    pub name: String,
    /// Whether the client is disabled. A disabled client has no access.
    pub disabled: bool,
    /// Keys and permissions.
    pub doc: ClientDoc,
}

impl Client {
    /// The NPIs of those providers that the client is registered for. The others are left out: the client may not use
    /// their gold cards.
    pub fn acts_for(&self, npis: impl IntoIterator<Item = String>) -> Vec<String> {
        npis.into_iter()
            .filter(|npi| self.doc.npis.contains(npi))
            .collect()
    }
}

/// The keys and permissions of a client, stored as JSON.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate option of the registration"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientDoc {
    /// The `iss` of its CDS Hooks JWTs; unique.
    pub issuer: Option<String>,
    /// The public keys as a JWK set.
    pub jwks: Option<Value>,
    /// The URL of the public keys, instead of `jwks`.
    pub jwks_uri: Option<String>,
    /// The registered scopes: `system/…` for partner systems, `patient/…` for apps.
    pub scopes: Vec<String>,
    /// The FHIR base URLs that are accepted as `fhirServer` of a hook call.
    pub fhir_hosts: Vec<String>,
    /// The ids of the sending systems for which it may submit requests and subscribe.
    pub senders: Vec<String>,
    /// The NPIs of the providers for which it acts.
    pub npis: Vec<String>,
    /// The hosts that its rest-hook endpoints may use.
    pub callback_hosts: Vec<String>,
    /// An app's redirect URIs, compared as exact strings.
    pub redirect_uris: Vec<String>,
    /// The origins from which its browser apps call, in addition to those of its redirect URIs.
    pub origins: Vec<String>,
    /// The app's developer, for the consent page.
    pub company: Option<String>,
    /// The URL of the app's website.
    pub client_uri: Option<String>,
    /// The URL of the app's privacy policy.
    pub policy_uri: Option<String>,
    /// Whether the app is a public client, which cannot keep a secret.
    pub public: bool,
    /// The fingerprint of a confidential app's client secret.
    pub secret_hash: Option<String>,
    /// The guide versions that it supports, such as `crd-2.2`.
    pub versions: Vec<String>,
    /// Whether http URLs on a loopback host are allowed, for tests on one machine.
    pub loopback_http: bool,
    /// Whether coverage information may use the code `withpa` for this client.
    pub emit_withpa: bool,
    /// Whether the payer of a Coverage must have one of the plan's identifiers.
    pub payer_identifier_strict: bool,
    /// What to do when the `jti` of a hook call repeats.
    pub jti_replay: JtiReplay,
    /// The longest lifetime of its hook JWTs, in seconds.
    pub max_token_lifetime_s: u32,
}

/// What to do when the `jti` of a hook call repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JtiReplay {
    /// A JWT may be used once.
    #[default]
    Strict,
    /// A JWT may be used again at the same endpoint within a minute of its first use.
    #[serde(rename = "same-endpoint-60s")]
    SameEndpoint60s,
    /// A JWT may be used until it expires.
    Off,
}

impl Default for ClientDoc {
    fn default() -> Self {
        Self {
            issuer: None,
            jwks: None,
            jwks_uri: None,
            scopes: Vec::new(),
            fhir_hosts: Vec::new(),
            senders: Vec::new(),
            npis: Vec::new(),
            callback_hosts: Vec::new(),
            redirect_uris: Vec::new(),
            origins: Vec::new(),
            company: None,
            client_uri: None,
            policy_uri: None,
            public: false,
            secret_hash: None,
            versions: Vec::new(),
            loopback_http: false,
            emit_withpa: true,
            payer_identifier_strict: true,
            jti_replay: JtiReplay::Strict,
            max_token_lifetime_s: 300,
        }
    }
}

impl ClientDoc {
    /// Whether a URL of this client may be used: https, or http on a loopback host if the registration allows it,
    /// without user name, password or fragment.
    pub fn allows_url(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else {
            return false;
        };
        let is_allowed_scheme =
            url.scheme() == "https" || (url.scheme() == "http" && self.loopback_http && is_loopback(&url));
        is_allowed_scheme
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    }

    /// The origins from which its browser apps may call.
    pub fn browser_origins(&self) -> BTreeSet<String> {
        let of_redirects = self.redirect_uris.iter().filter_map(|uri| origin(uri));
        self.origins.iter().cloned().chain(of_redirects).collect()
    }

    /// The longest lifetime of its hook JWTs.
    pub fn max_token_lifetime(&self) -> Duration {
        Duration::seconds(self.max_token_lifetime_s.into())
    }
}

/// The origin of a URL as browsers send it. `None` for a URL without one, such as that of a native app.
pub fn origin(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_document_has_the_safe_defaults() {
        let doc: ClientDoc = serde_json::from_str("{}").unwrap();
        assert_eq!(doc, ClientDoc::default());
        assert_eq!(doc.jti_replay, JtiReplay::Strict);
        assert!(doc.emit_withpa && doc.payer_identifier_strict && !doc.loopback_http);
    }

    #[test]
    fn a_document_is_read_back_unchanged() {
        let doc = ClientDoc {
            jti_replay: JtiReplay::SameEndpoint60s,
            ..ClientDoc::default()
        };
        let text = serde_json::to_string(&doc).unwrap();
        assert!(text.contains("\"same-endpoint-60s\""));
        assert_eq!(serde_json::from_str::<ClientDoc>(&text).unwrap(), doc);
    }

    #[test]
    fn http_is_allowed_on_loopback_if_registered() {
        let strict = ClientDoc::default();
        let local = ClientDoc {
            loopback_http: true,
            ..ClientDoc::default()
        };
        assert!(strict.allows_url("https://app.example/cb"));
        assert!(!strict.allows_url("http://127.0.0.1:3000/cb"));
        assert!(local.allows_url("http://127.0.0.1:3000/cb"));
        assert!(local.allows_url("http://[::1]:3000/cb"));
        assert!(local.allows_url("http://localhost/cb"));
        assert!(!local.allows_url("http://app.example/cb"));
        assert!(!local.allows_url("http://localhost.evil.example/cb"));
    }

    #[test]
    fn redirect_uris_and_registered_origins_are_the_browser_origins() {
        let doc = ClientDoc {
            origins: vec!["https://forms.example".to_owned()],
            redirect_uris: [
                "https://app.example:8443/cb",
                "https://app.example/cb",
                "com.app:/cb",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..ClientDoc::default()
        };
        assert_eq!(
            doc.browser_origins().into_iter().collect::<Vec<_>>(),
            [
                "https://app.example",
                "https://app.example:8443",
                "https://forms.example"
            ]
        );
    }

    #[test]
    fn a_url_with_a_fragment_or_a_user_is_rejected() {
        let doc = ClientDoc::default();
        assert!(!doc.allows_url("https://app.example/cb#x"));
        assert!(!doc.allows_url("https://user@app.example/cb"));
        assert!(!doc.allows_url("javascript:alert(1)"));
        assert!(!doc.allows_url("/cb"));
    }
}
