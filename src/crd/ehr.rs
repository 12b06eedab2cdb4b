//! Reads from the EHR with the token of the call (CRD section "Fetching extra data from the EHR"). Only a server that
//! is registered for the client is asked, only for what the token's scope allows, within one deadline for all reads.
//! The token goes nowhere else and is not kept.

use super::request::Chart;
use crate::auth::Client;
use crate::fhir::reference::unversioned;
use crate::fhir::{list, resource_type, text};
use crate::net::{Allowed, Fetched, Net};
use crate::state::State;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// How many pages of one search are turned at most; a server may link in a circle.
const PAGES: usize = 20;

/// The chart server of one call.
pub(super) struct Ehr<'a> {
    net: &'a Net,
    base: Url,
    token: &'a str,
    scope: Option<&'a str>,
    allowed: Allowed<'a>,
    deadline: Instant,
}

impl<'a> Ehr<'a> {
    /// The chart of a call, if it may be read at all: a token is there and the server is one of the client's.
    pub(super) fn reach(state: &'a State, client: &'a Client, chart: Chart<'a>) -> Option<Self> {
        let allowed = Allowed {
            hosts: &client.doc.fhir_hosts,
            loopback_http: client.doc.loopback_http,
        };
        Some(Self {
            net: &state.net,
            base: registered(chart.server?, allowed)?,
            token: chart.token?,
            scope: chart.scope,
            allowed,
            deadline: Instant::now() + Duration::from_millis(state.config.limits.fetch_ms),
        })
    }

    /// Reads one resource by its id.
    pub(super) async fn read(&self, kind: &str, id: &str) -> Fetched {
        if !is_id(id) || !allows(self.scope, kind, 'r') {
            return Fetched::NotThere;
        }
        match self.get(kind, self.address(&[kind, id], &[])).await {
            Fetched::Found(resource) if resource_type(&resource) == Some(kind) => Fetched::Found(resource),
            Fetched::Found(_) => Fetched::Failed(format!("the read of a {kind} gave another resource")),
            other => other,
        }
    }

    /// Reads what a reference names: relative, or on this very server. A reference to anywhere else is not there,
    /// since the token must not go there.
    pub(super) async fn follow(&self, reference: &str, kind: &str) -> Fetched {
        let reference = unversioned(reference);
        let relative = if reference.contains(':') {
            reference.strip_prefix(self.base.as_str())
        } else {
            Some(reference)
        };
        match relative.and_then(|r| r.split_once('/')) {
            Some((named, id)) if named == kind => self.read(kind, id).await,
            _ => Fetched::NotThere,
        }
    }

    /// Searches and turns every page. An empty result is "not there"; where a page cannot be had the search failed,
    /// since nothing follows from a part of the chart.
    pub(super) async fn search(&self, kind: &str, query: &[(&str, &str)]) -> Fetched {
        if !allows(self.scope, kind, 's') {
            return Fetched::NotThere;
        }
        let mut page = match self.page(kind, self.address(&[kind], query)).await {
            Ok(page) => page,
            Err(other) => return other,
        };
        let mut entries: Vec<Value> = Vec::new();
        for _ in 0..PAGES {
            entries.extend(list(&page, "entry").cloned());
            let Some(next) = next_link(&page) else {
                if entries.is_empty() {
                    return Fetched::NotThere;
                }
                return Fetched::Found(
                    json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }),
                );
            };
            let Some(next) = self.on_this_server(next) else {
                return Fetched::Failed("the next page is on another server".to_owned());
            };
            page = match self.page(kind, next).await {
                Ok(page) => page,
                Err(Fetched::NotThere) => return Fetched::Failed("the next page is not there".to_owned()),
                Err(other) => return other,
            };
        }
        Fetched::Failed(format!("the search for {kind} has no end"))
    }

    /// One page of a search.
    async fn page(&self, kind: &str, url: Url) -> Result<Value, Fetched> {
        match self.get(kind, url).await {
            Fetched::Found(bundle) if resource_type(&bundle) == Some("Bundle") => Ok(bundle),
            Fetched::Found(_) => Err(Fetched::Failed(format!("the search for {kind} gave no bundle"))),
            other => Err(other),
        }
    }

    /// Where a link leads, if it stays on the server that the token is for.
    fn on_this_server(&self, link: &str) -> Option<Url> {
        let url = self.base.join(link).ok()?;
        (url.origin() == self.base.origin() && self.allowed.check(url.as_str()).is_ok()).then_some(url)
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn get(&self, kind: &str, url: Url) -> Fetched {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Fetched::Failed("no time was left for the chart server".to_owned());
        }
        let answer = self
            .net
            .get_json_as(url.as_str(), self.token, self.allowed, left)
            .await;
        if matches!(answer, Fetched::Failed(_)) {
            // The address holds the patient's id, so only the type is told.
            tracing::warn!(resource = kind, "a read from a chart server failed");
        }
        answer
    }
}

/// `Bundle.link` with the relation `next`.
fn next_link(page: &Value) -> Option<&str> {
    let next = list(page, "link").find(|l| text(l, &["relation"]) == Some("next"))?;
    text(next, &["url"])
}

/// The base of `server` with a slash at its end, if the client's registration covers it.
fn registered(server: &str, allowed: Allowed<'_>) -> Option<Url> {
    let base = Url::parse(&format!("{}/", server.trim_end_matches('/'))).ok()?;
    let plain = base.query().is_none() && base.fragment().is_none();
    (plain && allowed.check(base.as_str()).is_ok()).then_some(base)
}

/// FHIR's `id`. Dots alone would climb out of the server's base.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        && text.chars().any(|c| c != '.')
}

/// Whether a SMART scope allows to read (`r`) or search (`s`) this type, in the spelling of version 1 or 2. A call
/// without a scope says nothing, so it is tried.
fn allows(scope: Option<&str>, kind: &str, wanted: char) -> bool {
    let Some(scope) = scope.map(str::trim).filter(|s| !s.is_empty()) else {
        return true;
    };
    scope.split_whitespace().any(|one| {
        let Some((_, rest)) = one.split_once('/') else {
            return false;
        };
        let Some((named, verbs)) = rest.split_once('.') else {
            return false;
        };
        let verbs = verbs.split('?').next().unwrap_or("");
        (named == "*" || named == kind) && (verbs == "*" || verbs == "read" || is_v2(verbs, wanted))
    })
}

fn is_v2(verbs: &str, wanted: char) -> bool {
    verbs.chars().all(|c| "cruds".contains(c)) && verbs.contains(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registered_server_is_asked() {
        let hosts = ["https://ehr.example.org/fhir".to_owned()];
        let allowed = Allowed {
            hosts: &hosts,
            loopback_http: false,
        };
        for good in [
            "https://ehr.example.org/fhir",
            "https://ehr.example.org/fhir/",
            "https://EHR.example.org/fhir/r4",
        ] {
            assert!(registered(good, allowed).is_some(), "{good}");
        }
        for bad in [
            "https://ehr.example.org/fhirx",
            "https://ehr.example.org/fhir/../admin",
            "https://ehr.example.org@evil.example/fhir",
            "http://ehr.example.org/fhir",
            "https://ehr.example.org/fhir?x=",
            "nonsense",
        ] {
            assert!(registered(bad, allowed).is_none(), "{bad}");
        }
    }

    #[test]
    fn scopes_of_both_spellings_are_obeyed() {
        assert!(allows(None, "Patient", 'r'));
        assert!(allows(
            Some("user/Patient.read user/Observation.read"),
            "Patient",
            'r'
        ));
        assert!(!allows(Some("user/Patient.read"), "Coverage", 'r'));
        assert!(allows(Some("patient/Coverage.rs"), "Coverage", 's'));
        assert!(!allows(Some("patient/Coverage.r"), "Coverage", 's'));
        assert!(allows(Some("system/*.cruds"), "Organization", 'r'));
        assert!(!allows(
            Some("patient/Coverage.write openid launch"),
            "Coverage",
            'r'
        ));
    }

    #[test]
    fn an_id_cannot_climb_out() {
        assert!(is_id("p1") && is_id("A.b-9"));
        assert!(!is_id("..") && !is_id("a/b") && !is_id("") && !is_id("a?b"));
    }
}
