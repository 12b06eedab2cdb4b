//! One partner system: the row `client`, whose `doc` says what it may do. An EHR, a clearinghouse or a member's app.
//! Nothing here asks the network or the store.

use chrono::Duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};
use uuid::Uuid;

/// A partner system as registered.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// The row.
    pub id: Uuid,
    /// The OAuth `client_id`; unique.
    pub client_id: String,
    /// The name that people see.
    pub name: String,
    /// A disabled client may do nothing.
    pub disabled: bool,
    /// What it holds and may do.
    pub doc: ClientDoc,
}

impl Client {
    /// Those of these NPIs that are providers whom the client acts for: what any other provider may do is no concern of
    /// its messages.
    pub fn acts_for(&self, npis: impl IntoIterator<Item = String>) -> Vec<String> {
        npis.into_iter()
            .filter(|npi| self.doc.npis.contains(npi))
            .collect()
    }
}

/// What a client holds and may do; stored as JSON.
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the operator")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientDoc {
    /// `iss` of its CDS Hooks calls; unique.
    pub issuer: Option<String>,
    /// Its public keys, as a JWK set.
    pub jwks: Option<Value>,
    /// Where its public keys are; instead of `jwks`.
    pub jwks_uri: Option<String>,
    /// Registered scopes: `system/…` for back ends, `patient/…` for apps.
    pub scopes: Vec<String>,
    /// FHIR base addresses that a hook's `fhirServer` may name.
    pub fhir_hosts: Vec<String>,
    /// Sending-system ids that it may submit and subscribe for.
    pub senders: Vec<String>,
    /// NPIs of the providers that it acts for.
    pub npis: Vec<String>,
    /// Hosts of its rest-hook endpoints.
    pub callback_hosts: Vec<String>,
    /// An app's redirect addresses, compared letter by letter.
    pub redirect_uris: Vec<String>,
    /// Who makes an app, for the consent page.
    pub company: Option<String>,
    /// An app's site.
    pub client_uri: Option<String>,
    /// An app's privacy policy.
    pub policy_uri: Option<String>,
    /// An app that can keep no secret.
    pub public: bool,
    /// The fingerprint of a confidential app's secret.
    pub secret_hash: Option<String>,
    /// Guide versions that it speaks, such as `crd-2.2`.
    pub versions: Vec<String>,
    /// Allows http to a loopback host, for tests on one machine.
    pub loopback_http: bool,
    /// Whether CRD answers `withpa` may be sent to it.
    pub emit_withpa: bool,
    /// Whether a coverage's payer must carry one of our identifiers.
    pub payer_identifier_strict: bool,
    /// What a repeated `jti` of a hook call means.
    pub jti_replay: JtiReplay,
    /// How long its hook tokens may live, in seconds.
    pub max_token_lifetime_s: u32,
}

/// What a repeated `jti` of a hook call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JtiReplay {
    /// A token is good for one call.
    #[default]
    Strict,
    /// A token may come again to the same endpoint within a minute of its first use.
    #[serde(rename = "same-endpoint-60s")]
    SameEndpoint60s,
    /// A token is good until it ends.
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
    /// Whether an address of this client may be used: https, or http to loopback where its registration says so;
    /// no user name, password or fragment.
    pub fn may_use(&self, address: &str) -> bool {
        let Ok(url) = Url::parse(address) else {
            return false;
        };
        let scheme =
            url.scheme() == "https" || (url.scheme() == "http" && self.loopback_http && on_loopback(&url));
        scheme
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    }

    /// The longest life of its hook tokens.
    pub fn max_token_lifetime(&self) -> Duration {
        Duration::seconds(self.max_token_lifetime_s.into())
    }
}

fn on_loopback(url: &Url) -> bool {
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
    fn a_document_comes_back_as_it_was_written() {
        let doc = ClientDoc {
            jti_replay: JtiReplay::SameEndpoint60s,
            ..ClientDoc::default()
        };
        let text = serde_json::to_string(&doc).unwrap();
        assert!(text.contains("\"same-endpoint-60s\""));
        assert_eq!(serde_json::from_str::<ClientDoc>(&text).unwrap(), doc);
    }

    #[test]
    fn http_is_for_loopback_and_only_where_registered() {
        let strict = ClientDoc::default();
        let near = ClientDoc {
            loopback_http: true,
            ..ClientDoc::default()
        };
        assert!(strict.may_use("https://app.example/cb"));
        assert!(!strict.may_use("http://127.0.0.1:3000/cb"));
        assert!(near.may_use("http://127.0.0.1:3000/cb"));
        assert!(near.may_use("http://[::1]:3000/cb"));
        assert!(near.may_use("http://localhost/cb"));
        assert!(!near.may_use("http://app.example/cb"));
        assert!(!near.may_use("http://localhost.evil.example/cb"));
    }

    #[test]
    fn an_address_with_a_fragment_or_a_user_is_refused() {
        let doc = ClientDoc::default();
        assert!(!doc.may_use("https://app.example/cb#x"));
        assert!(!doc.may_use("https://user@app.example/cb"));
        assert!(!doc.may_use("javascript:alert(1)"));
        assert!(!doc.may_use("/cb"));
    }
}
