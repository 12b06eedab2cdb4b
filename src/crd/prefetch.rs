//! The resources for a determination: those sent in context and prefetch, and those read from the EHR because they are
//! required and were not sent (Patient, Coverage, the payer's Organization). A read has three distinct results: found,
//! not found, failed.

use super::ehr::EhrClient;
use super::request::HookRequest;
use crate::fhir::reference::{literal, type_and_id};
use crate::fhir::{get, list, resource_type, text};
use crate::net::FetchResult;
use futures_util::future::join_all;
use serde_json::Value;

/// Every resource that was sent in the call.
#[derive(Debug, Default)]
pub(super) struct SentResources<'a> {
    resources: Vec<&'a Value>,
}

/// The results of reads from the EHR.
#[derive(Debug, Default)]
pub(super) struct FetchedResources {
    patient: Option<FetchResult>,
    coverage: Option<FetchResult>,
    organizations: Vec<(String, FetchResult)>,
}

/// The resources that were sent and those that were read from the EHR.
#[derive(Debug)]
pub(super) struct AvailableResources<'a> {
    /// Every resource once.
    pub resources: Vec<&'a Value>,
    /// The patient.
    pub patient: ResourceLookup<'a>,
    /// The coverages in the order in which they were sent or read.
    pub coverages: Vec<&'a Value>,
    /// No coverage was sent and the read failed.
    pub coverage_failed: bool,
    organizations: &'a [(String, FetchResult)],
}

/// The result of looking for one resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ResourceLookup<'a> {
    /// The resource.
    Found(&'a Value),
    /// It does not exist, or the call does not allow to read it.
    NotFound,
    /// The read failed, so it is unknown whether the resource exists.
    Failed,
}

impl<'a> ResourceLookup<'a> {
    /// The resource, if it was found.
    pub(super) fn found(self) -> Option<&'a Value> {
        match self {
            Self::Found(resource) => Some(resource),
            Self::NotFound | Self::Failed => None,
        }
    }

    fn from_fetch(result: Option<&'a FetchResult>) -> Self {
        match result {
            Some(FetchResult::Found(resource)) => Self::Found(resource),
            Some(FetchResult::Failed(_)) => Self::Failed,
            Some(FetchResult::NotFound) | None => Self::NotFound,
        }
    }
}

impl<'a> SentResources<'a> {
    /// Collects the resources of `context.draftOrders` and of every prefetch key, whatever its name and structure.
    pub(super) fn collect(body: &'a Value) -> Self {
        let mut sent = Self::default();
        if let Some(orders) = get(body, &["context", "draftOrders"]) {
            sent.add(orders);
        }
        let prefetch = body.get("prefetch").and_then(Value::as_object);
        prefetch
            .into_iter()
            .flat_map(|keys| keys.values())
            .for_each(|value| sent.add(value));
        sent
    }

    fn add(&mut self, value: &'a Value) {
        match resource_type(value) {
            Some("Bundle") => list(value, "entry")
                .filter_map(|e| e.get("resource"))
                .for_each(|r| self.add(r)),
            Some("OperationOutcome") | None => {}
            Some(kind) => {
                let id = text(value, &["id"]);
                if id.is_none() || find_resource(&self.resources, kind, id.unwrap_or("")).is_none() {
                    self.resources.push(value);
                }
            }
        }
    }

    fn of_type<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'a Value> + 's {
        self.resources
            .iter()
            .copied()
            .filter(move |r| resource_type(r) == Some(kind))
    }

    /// Reads missing resources from the EHR, in parallel where possible. Without access to the EHR nothing is read.
    pub(super) async fn fetch_missing(
        &self,
        request: &HookRequest<'_>,
        ehr: Option<&EhrClient<'_>>,
    ) -> FetchedResources {
        let Some(ehr) = ehr else {
            return FetchedResources::default();
        };
        let patient = async {
            if self.patient(request.patient_id).is_some() || was_queried(request.body, "patient") {
                return None;
            }
            Some(ehr.read("Patient", request.patient_id).await)
        };
        let coverage = async {
            if self.of_type("Coverage").next().is_some() || was_queried(request.body, "coverage") {
                return None;
            }
            Some(self.fetch_coverage(request, ehr).await)
        };
        let (patient, coverage) = tokio::join!(patient, coverage);
        let mut missing: Vec<String> = Vec::new();
        for coverage in self.of_type("Coverage").chain(coverages_in(coverage.as_ref())) {
            missing.extend(missing_payors(coverage, &self.resources));
        }
        missing.sort_unstable();
        missing.dedup();
        let organizations = join_all(missing.into_iter().map(|reference| async move {
            let result = ehr.read_reference(&reference, "Organization").await;
            (reference, result)
        }))
        .await;
        FetchedResources {
            patient,
            coverage,
            organizations,
        }
    }

    /// Reads the coverage that an order references; if no order references one, searches for the patient's coverages.
    async fn fetch_coverage(&self, request: &HookRequest<'_>, ehr: &EhrClient<'_>) -> FetchResult {
        let references = request
            .orders
            .iter()
            .flat_map(|o| list(o.resource, "insurance"))
            .filter_map(literal);
        if let Some(reference) = references
            .into_iter()
            .find(|r| matches!(type_and_id(r), Some(("Coverage", _))))
        {
            match ehr.read_reference(reference, "Coverage").await {
                FetchResult::NotFound => {}
                result => return result,
            }
        }
        ehr.search(
            "Coverage",
            &[("patient", request.patient_id), ("status", "active")],
        )
        .await
    }

    fn patient(&self, id: &str) -> Option<&'a Value> {
        find_resource(&self.resources, "Patient", id)
    }
}

#[cfg(test)]
impl FetchedResources {
    /// Only one organization was read, with this result.
    pub(super) fn one_organization(reference: &str, result: FetchResult) -> Self {
        Self {
            organizations: vec![(reference.to_owned(), result)],
            ..Self::default()
        }
    }
}

impl<'a> AvailableResources<'a> {
    /// Combines the resources that were sent and read.
    pub(super) fn new(sent: &SentResources<'a>, fetched: &'a FetchedResources, patient_id: &str) -> Self {
        let mut resources = sent.resources.clone();
        let patient = sent.patient(patient_id).map_or_else(
            || ResourceLookup::from_fetch(fetched.patient.as_ref()),
            ResourceLookup::Found,
        );
        resources.extend(found(fetched.patient.as_ref()));
        let read: Vec<&'a Value> = coverages_in(fetched.coverage.as_ref()).collect();
        resources.extend(&read);
        resources.extend(
            fetched
                .organizations
                .iter()
                .filter_map(|(_, result)| found(Some(result))),
        );
        let coverages: Vec<&'a Value> = sent.of_type("Coverage").chain(read).collect();
        Self {
            coverage_failed: coverages.is_empty() && matches!(fetched.coverage, Some(FetchResult::Failed(_))),
            resources,
            patient,
            coverages,
            organizations: &fetched.organizations,
        }
    }

    /// The organization that a payor of `coverage` references.
    pub(super) fn organization(&self, coverage: &'a Value, reference: &str) -> ResourceLookup<'a> {
        if let Some(inside) = contained(coverage, reference) {
            return ResourceLookup::Found(inside);
        }
        let sent = type_and_id(reference).and_then(|(kind, id)| find_resource(&self.resources, kind, id));
        if let Some(sent) = sent {
            return ResourceLookup::Found(sent);
        }
        ResourceLookup::from_fetch(
            self.organizations
                .iter()
                .find(|(fetched, _)| fetched == reference)
                .map(|(_, result)| result),
        )
    }
}

fn find_resource<'a>(resources: &[&'a Value], kind: &str, id: &str) -> Option<&'a Value> {
    resources
        .iter()
        .copied()
        .find(|r| resource_type(r) == Some(kind) && text(r, &["id"]) == Some(id))
}

fn found(result: Option<&FetchResult>) -> Option<&Value> {
    ResourceLookup::from_fetch(result).found()
}

/// Whether the client ran this query of the discovery document: the prefetch key holds null or a bundle, even an empty
/// one.
fn was_queried(body: &Value, key: &str) -> bool {
    let value = body.get("prefetch").and_then(|p| p.get(key));
    value.is_some_and(|v| v.is_null() || resource_type(v) == Some("Bundle"))
}

fn coverages_in(result: Option<&FetchResult>) -> impl Iterator<Item = &Value> {
    let resource = found(result);
    let inside = resource
        .into_iter()
        .flat_map(|r| list(r, "entry"))
        .filter_map(|e| e.get("resource"));
    resource
        .into_iter()
        .chain(inside)
        .filter(|r| resource_type(r) == Some("Coverage"))
}

fn contained<'a>(resource: &'a Value, reference: &str) -> Option<&'a Value> {
    let id = reference.strip_prefix('#')?;
    list(resource, "contained").find(|c| text(c, &["id"]) == Some(id))
}

/// The references of a coverage's payors whose organization was not sent.
fn missing_payors<'c>(coverage: &'c Value, sent: &[&Value]) -> impl Iterator<Item = String> + use<'c> {
    let mut missing = Vec::new();
    for reference in list(coverage, "payor").filter_map(literal) {
        if let Some(("Organization", id)) = type_and_id(reference)
            && find_resource(sent, "Organization", id).is_none()
        {
            missing.push(reference.to_owned());
        }
    }
    missing.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::samples;
    use serde_json::json;

    #[test]
    fn resources_are_collected_from_any_structure_of_prefetch() {
        let body = samples::call();
        let sent = SentResources::collect(&body);
        assert_eq!(sent.of_type("ServiceRequest").count(), 2);
        assert_eq!(sent.of_type("Coverage").count(), 1);
        assert!(sent.patient("p1").is_some());
        assert!(sent.patient("p2").is_none());
    }

    #[test]
    fn null_and_operation_outcomes_hold_no_resources() {
        let body =
            json!({ "prefetch": { "patient": null, "coverage": { "resourceType": "OperationOutcome" } } });
        assert!(SentResources::collect(&body).resources.is_empty());
        assert!(was_queried(&body, "patient"));
        assert!(
            !was_queried(&body, "coverage"),
            "an OperationOutcome is not a result, so the query is repeated"
        );
        assert!(!was_queried(&body, "encounter"));
    }

    #[test]
    fn a_failed_read_is_never_treated_as_not_found() {
        let body = json!({});
        let fetched = FetchedResources {
            patient: Some(FetchResult::Failed("503".into())),
            coverage: Some(FetchResult::Failed("time".into())),
            organizations: vec![("Organization/o".into(), FetchResult::Failed("401".into()))],
        };
        let available = AvailableResources::new(&SentResources::collect(&body), &fetched, "p1");
        assert_eq!(available.patient, ResourceLookup::Failed);
        assert!(available.coverage_failed);
        assert_eq!(
            available.organization(&Value::Null, "Organization/o"),
            ResourceLookup::Failed
        );
        assert_eq!(
            available.organization(&Value::Null, "Organization/x"),
            ResourceLookup::NotFound
        );
    }

    #[test]
    fn a_payor_is_found_contained_in_the_coverage_and_in_the_prefetch() {
        let coverage = json!({ "resourceType": "Coverage", "contained": [{ "resourceType": "Organization", "id": "in" }] });
        let body = json!({ "prefetch": { "o": { "resourceType": "Organization", "id": "out" } } });
        let fetched = FetchedResources::default();
        let available = AvailableResources::new(&SentResources::collect(&body), &fetched, "p1");
        assert_eq!(
            available.organization(&coverage, "#in"),
            ResourceLookup::Found(&coverage["contained"][0])
        );
        let absolute = "https://ehr.example.org/fhir/Organization/out";
        assert_eq!(
            available.organization(&coverage, absolute),
            ResourceLookup::Found(&body["prefetch"]["o"])
        );
    }

    #[test]
    fn a_resource_that_is_sent_twice_counts_once() {
        let patient = json!({ "resourceType": "Patient", "id": "p1" });
        let body = json!({ "prefetch": { "patient": patient, "again": { "resourceType": "Bundle", "entry": [{ "resource": patient }] } } });
        assert_eq!(SentResources::collect(&body).of_type("Patient").count(), 1);
    }
}
