//! Reads from the EHR's FHIR server with the access token of the hook call (CRD section "Fetching extra data from the
//! EHR"). Only a server that is registered for the client is called, only for what the token's scope allows, and within
//! one deadline for all reads. The token is sent nowhere else and is not stored.

use super::request::FhirAccess;
use crate::auth::Client;
use crate::fhir::reference::unversioned;
use crate::fhir::{list, resource_type, text};
use crate::net::{AllowedHosts, FetchResult, HttpClient};
use crate::state::State;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// The largest number of pages read from one search; the links of a server may form a loop.
const MAX_PAGES: usize = 20;

/// Access to the EHR's FHIR server during one hook call.
pub(super) struct EhrClient<'a> {
    net: &'a HttpClient,
    base: Url,
    token: &'a str,
    scope: Option<&'a str>,
    allowed: AllowedHosts<'a>,
    deadline: Instant,
}

impl<'a> EhrClient<'a> {
    /// Access as the call describes it. `None` if the call has no token or the server is not registered for the client.
    pub(super) fn new(state: &'a State, client: &'a Client, access: FhirAccess<'a>) -> Option<Self> {
        let allowed = AllowedHosts {
            hosts: &client.doc.fhir_hosts,
            loopback_http: client.doc.loopback_http,
        };
        Some(Self {
            net: &state.net,
            base: registered_base(access.server?, allowed)?,
            token: access.token?,
            scope: access.scope,
            allowed,
            deadline: Instant::now() + Duration::from_millis(state.config.limits.fetch_ms),
        })
    }

    /// Reads one resource by its id.
    pub(super) async fn read(&self, kind: &str, id: &str) -> FetchResult {
        if !is_id(id) || !scope_allows(self.scope, kind, 'r') {
            return FetchResult::NotFound;
        }
        match self.get(kind, self.address(&[kind, id], &[])).await {
            FetchResult::Found(resource) if is_resource(&resource, kind, id) => FetchResult::Found(resource),
            FetchResult::Found(_) => {
                FetchResult::Failed(format!("the read of a {kind} returned another resource"))
            }
            other => other,
        }
    }

    /// Reads the resource of a reference that is relative or on this server. A reference to another server counts as
    /// not found, because the token must not be sent there.
    pub(super) async fn read_reference(&self, reference: &str, kind: &str) -> FetchResult {
        let reference = unversioned(reference);
        let relative = if reference.contains(':') {
            reference.strip_prefix(self.base.as_str())
        } else {
            Some(reference)
        };
        match relative.and_then(|r| r.split_once('/')) {
            Some((reference_type, id)) if reference_type == kind => self.read(kind, id).await,
            _ => FetchResult::NotFound,
        }
    }

    /// Searches and reads every page. An empty result is "not found". If a page cannot be read the whole search has
    /// failed, because a partial result proves nothing.
    pub(super) async fn search(&self, kind: &str, query: &[(&str, &str)]) -> FetchResult {
        if !scope_allows(self.scope, kind, 's') {
            return FetchResult::NotFound;
        }
        let mut page = match self.page(kind, self.address(&[kind], query)).await {
            Ok(page) => page,
            Err(other) => return other,
        };
        let mut entries: Vec<Value> = Vec::new();
        for _ in 0..MAX_PAGES {
            entries.extend(list(&page, "entry").cloned());
            let Some(next) = next_link(&page) else {
                if entries.is_empty() {
                    return FetchResult::NotFound;
                }
                return FetchResult::Found(
                    json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }),
                );
            };
            let Some(next) = self.on_this_server(next) else {
                return FetchResult::Failed("the next page is on another server".to_owned());
            };
            page = match self.page(kind, next).await {
                Ok(page) => page,
                Err(FetchResult::NotFound) => {
                    return FetchResult::Failed("the next page was not found".to_owned());
                }
                Err(other) => return other,
            };
        }
        FetchResult::Failed(format!("the search for {kind} has too many pages"))
    }

    /// One page of a search.
    async fn page(&self, kind: &str, url: Url) -> Result<Value, FetchResult> {
        match self.get(kind, url).await {
            FetchResult::Found(bundle) if resource_type(&bundle) == Some("Bundle") => Ok(bundle),
            FetchResult::Found(_) => Err(FetchResult::Failed(format!(
                "the search for {kind} did not return a Bundle"
            ))),
            other => Err(other),
        }
    }

    /// The URL of a link, if it is on the server that the token is for.
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

    async fn get(&self, kind: &str, url: Url) -> FetchResult {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return FetchResult::Failed("no time was left to read from the EHR".to_owned());
        }
        let result = self
            .net
            .get_fhir(url.as_str(), self.token, self.allowed, left)
            .await;
        if matches!(result, FetchResult::Failed(_)) {
            // The URL contains the patient's id, so only the resource type is logged.
            tracing::warn!(resource = kind, "a read from an EHR failed");
        }
        result
    }
}

/// Whether a read returned the resource that was asked for.
fn is_resource(resource: &Value, kind: &str, id: &str) -> bool {
    resource_type(resource) == Some(kind) && text(resource, &["id"]).is_none_or(|own| own == id)
}

/// `Bundle.link` with the relation `next`.
fn next_link(page: &Value) -> Option<&str> {
    let next = list(page, "link").find(|l| text(l, &["relation"]) == Some("next"))?;
    text(next, &["url"])
}

/// The base URL of `server` with a trailing slash, if the client's registration includes it.
fn registered_base(server: &str, allowed: AllowedHosts<'_>) -> Option<Url> {
    let base = Url::parse(&format!("{}/", server.trim_end_matches('/'))).ok()?;
    let no_query = base.query().is_none() && base.fragment().is_none();
    (no_query && allowed.check(base.as_str()).is_ok()).then_some(base)
}

/// Whether a text is a FHIR `id`. An id of dots alone could leave the server's base path, so it is refused.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        && text.chars().any(|c| c != '.')
}

/// Whether a SMART scope, of version 1 or 2, allows to read (`r`) or search (`s`) this type. Without a scope in the
/// call the read is attempted.
fn scope_allows(scope: Option<&str>, kind: &str, permission: char) -> bool {
    let Some(scope) = scope.map(str::trim).filter(|s| !s.is_empty()) else {
        return true;
    };
    scope.split_whitespace().any(|scope| {
        let Some((_, rest)) = scope.split_once('/') else {
            return false;
        };
        let Some((scope_type, permissions)) = rest.split_once('.') else {
            return false;
        };
        let permissions = permissions.split('?').next().unwrap_or("");
        let granted = matches!(permissions, "*" | "read") || v2_grants(permissions, permission);
        (scope_type == "*" || scope_type == kind) && granted
    })
}

fn v2_grants(permissions: &str, permission: char) -> bool {
    permissions.chars().all(|c| "cruds".contains(c)) && permissions.contains(permission)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registered_server_is_called() {
        let hosts = ["https://ehr.example.org/fhir".to_owned()];
        let allowed = AllowedHosts {
            hosts: &hosts,
            loopback_http: false,
        };
        for good in [
            "https://ehr.example.org/fhir",
            "https://ehr.example.org/fhir/",
            "https://EHR.example.org/fhir/r4",
        ] {
            assert!(registered_base(good, allowed).is_some(), "{good}");
        }
        for bad in [
            "https://ehr.example.org/fhirx",
            "https://ehr.example.org/fhir/../admin",
            "https://ehr.example.org@evil.example/fhir",
            "http://ehr.example.org/fhir",
            "https://ehr.example.org/fhir?x=",
            "nonsense",
        ] {
            assert!(registered_base(bad, allowed).is_none(), "{bad}");
        }
    }

    #[test]
    fn scopes_of_both_versions_are_respected() {
        assert!(scope_allows(None, "Patient", 'r'));
        assert!(scope_allows(
            Some("user/Patient.read user/Observation.read"),
            "Patient",
            'r'
        ));
        assert!(!scope_allows(Some("user/Patient.read"), "Coverage", 'r'));
        assert!(scope_allows(Some("patient/Coverage.rs"), "Coverage", 's'));
        assert!(!scope_allows(Some("patient/Coverage.r"), "Coverage", 's'));
        assert!(scope_allows(Some("system/*.cruds"), "Organization", 'r'));
        assert!(!scope_allows(
            Some("patient/Coverage.write openid launch"),
            "Coverage",
            'r'
        ));
    }

    #[test]
    fn an_id_cannot_leave_the_base_path() {
        assert!(is_id("p1") && is_id("A.b-9"));
        assert!(!is_id("..") && !is_id("a/b") && !is_id("") && !is_id("a?b"));
    }
}
