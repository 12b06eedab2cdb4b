//! The resources for a determination: those sent in context and prefetch, and those read from the EHR because they are
//! required and were not sent: the Patient, the Coverage, the payer's Organization, and the Medication or Device that
//! an order names. A read has three distinct results: found, not found, failed.

use super::call_resources::CallResources;
use super::ehr::EhrClient;
use super::request::{HookRequest, Order};
use crate::fhir::reference::{literal, type_and_id};
use crate::fhir::{list, resource_type};
use crate::net::FetchResult;
use crate::rules::ordered_references;
use futures_util::future::join_all;
use serde_json::Value;

/// The largest number of references of one kind that are read for one call. Further ones count as failed reads.
const MAX_READS: usize = 50;

/// The types of resources that say what is ordered.
const ORDERED_TYPES: [&str; 3] = ["Medication", "Device", "Substance"];

/// The results of reads from the EHR.
#[derive(Debug, Default)]
pub(super) struct FetchedResources {
    patient: Option<FetchResult>,
    /// The Coverages that orders name and that were not sent, by reference.
    named_coverages: Vec<(String, FetchResult)>,
    /// The search for the patient's Coverages.
    coverage_search: Option<FetchResult>,
    /// Organizations of payors, by reference.
    organizations: Vec<(String, FetchResult)>,
    /// What is ordered, by reference.
    ordered: Vec<(String, FetchResult)>,
}

/// The resources that were sent and those that were read from the EHR.
#[derive(Debug)]
pub(super) struct AvailableResources<'a> {
    /// Every resource with its place.
    pub resources: CallResources<'a>,
    /// The patient.
    pub patient: ResourceLookup<'a>,
    /// The search for Coverages failed.
    pub coverage_search_failed: bool,
    fetched: &'a FetchedResources,
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

/// Reads missing resources from the EHR, in parallel where possible.
/// `has_coverage` says whether a Coverage that can be used was sent.
pub(super) async fn fetch_missing(
    request: &HookRequest<'_>,
    sent: &CallResources<'_>,
    has_coverage: bool,
    ehr: &EhrClient<'_>,
) -> FetchedResources {
    let patient = async {
        if sent.with_id("Patient", request.patient_id).is_some() || was_queried(request.body, "patient") {
            return None;
        }
        Some(ehr.read("Patient", request.patient_id).await)
    };
    let coverages = fetch_coverages(request, sent, has_coverage, ehr);
    let ordered = async {
        let references = request.orders.iter().flat_map(|o| ordered_references(o.resource));
        read_all(missing(references, sent), &ORDERED_TYPES, ehr).await
    };
    let (patient, (named_coverages, coverage_search), ordered) = tokio::join!(patient, coverages, ordered);
    let read = named_coverages
        .iter()
        .map(|(_, result)| result)
        .chain(&coverage_search);
    let read = read.filter_map(|result| ResourceLookup::from_fetch(Some(result)).found());
    let sent_coverages = sent.of_type("Coverage").map(|located| located.resource);
    let payors = sent_coverages.chain(read.flat_map(coverages_in)).flat_map(payors);
    let organizations = read_all(missing(payors, sent), &["Organization"], ehr).await;
    FetchedResources {
        patient,
        named_coverages,
        coverage_search,
        organizations,
        ordered,
    }
}

/// Reads the Coverages that orders name and that were not sent. If then there is none, searches for the patient's
/// Coverages, unless the client has done so for the prefetch.
async fn fetch_coverages(
    request: &HookRequest<'_>,
    sent: &CallResources<'_>,
    has_coverage: bool,
    ehr: &EhrClient<'_>,
) -> (Vec<(String, FetchResult)>, Option<FetchResult>) {
    let references = request.orders.iter().flat_map(insurance);
    let named = read_all(missing(references, sent), &["Coverage"], ehr).await;
    let was_read = named
        .iter()
        .any(|(_, result)| matches!(result, FetchResult::Found(_)));
    if has_coverage || was_read || was_queried(request.body, "coverage") {
        return (named, None);
    }
    let query = [("patient", request.patient_id), ("status", "active")];
    (named, Some(ehr.search("Coverage", &query).await))
}

/// Reads references to resources of these types. A reference to another type is not found.
async fn read_all(
    references: Vec<String>,
    types: &[&str],
    ehr: &EhrClient<'_>,
) -> Vec<(String, FetchResult)> {
    let reads = references
        .into_iter()
        .enumerate()
        .map(|(n, reference)| async move {
            let kind = type_and_id(&reference).and_then(|(kind, _)| types.iter().find(|t| **t == kind));
            let result = match kind {
                None => FetchResult::NotFound,
                Some(_) if n >= MAX_READS => {
                    FetchResult::Failed("the call has too many references".to_owned())
                }
                Some(kind) => ehr.read_reference(&reference, kind).await,
            };
            (reference, result)
        });
    join_all(reads).await
}

/// The references, each once, that lead to nothing that was sent. What is contained is not read.
fn missing<'r>(references: impl Iterator<Item = &'r str>, sent: &CallResources<'_>) -> Vec<String> {
    let is_missing = |reference: &&str| !reference.starts_with('#') && sent.find_located(reference).is_none();
    let mut missing: Vec<String> = references.filter(is_missing).map(str::to_owned).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// The references of an order to the Coverages that pay for it.
pub(super) fn insurance<'a>(order: &Order<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    list(order.resource, "insurance")
        .filter_map(literal)
        .filter(|r| matches!(type_and_id(r), Some(("Coverage", _))))
}

fn payors(coverage: &Value) -> impl Iterator<Item = &str> {
    list(coverage, "payor").filter_map(literal)
}

/// The resource, or the entries of a searchset.
fn coverages_in(resource: &Value) -> impl Iterator<Item = &Value> {
    let entries = list(resource, "entry").filter_map(|e| e.get("resource"));
    std::iter::once(resource)
        .chain(entries)
        .filter(|r| resource_type(r) == Some("Coverage"))
}

/// Whether the client ran this query of the discovery document: the prefetch key holds null or a bundle, even an empty
/// one.
fn was_queried(body: &Value, key: &str) -> bool {
    let value = body.get("prefetch").and_then(|p| p.get(key));
    value.is_some_and(|v| v.is_null() || resource_type(v) == Some("Bundle"))
}

impl FetchedResources {
    /// What was found, with a path for each: its reference, or the type of a search.
    fn found(&self) -> impl Iterator<Item = (&str, &Value)> {
        let by_reference = [&self.named_coverages, &self.organizations, &self.ordered];
        let by_reference = by_reference
            .into_iter()
            .flatten()
            .map(|(path, result)| (path.as_str(), result));
        let patient = self.patient.iter().map(|result| ("Patient", result));
        let search = self.coverage_search.iter().map(|result| ("Coverage", result));
        { patient.chain(search).chain(by_reference) }
            .filter_map(|(path, result)| Some((path, ResourceLookup::from_fetch(Some(result)).found()?)))
    }

    /// What was found, as a JSON array of `[path, resource]`.
    pub(super) fn as_text(&self) -> serde_json::Result<String> {
        let found: Vec<(&str, &Value)> = self.found().collect();
        serde_json::to_string(&found)
    }

    fn result(&self, reference: &str) -> Option<&FetchResult> {
        let mut all = [&self.named_coverages, &self.organizations, &self.ordered]
            .into_iter()
            .flatten();
        all.find(|(fetched, _)| fetched == reference)
            .map(|(_, result)| result)
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
    pub(super) fn new(body: &'a Value, fetched: &'a FetchedResources, patient_id: &str) -> Self {
        Self::of(CallResources::collect(body, fetched.found()), fetched, patient_id)
    }

    /// The same, if the resources that were sent are collected already and may be all.
    pub(super) fn with_sent(
        sent: Option<CallResources<'a>>,
        request: &HookRequest<'a>,
        fetched: &'a FetchedResources,
    ) -> Self {
        match sent.filter(|_| fetched.found().next().is_none()) {
            Some(sent) => Self::of(sent, fetched, request.patient_id),
            None => Self::new(request.body, fetched, request.patient_id),
        }
    }

    fn of(resources: CallResources<'a>, fetched: &'a FetchedResources, patient_id: &str) -> Self {
        let patient = resources.patient(patient_id).map_or_else(
            || ResourceLookup::from_fetch(fetched.patient.as_ref()),
            |located| ResourceLookup::Found(located.resource),
        );
        Self {
            coverage_search_failed: matches!(fetched.coverage_search, Some(FetchResult::Failed(_))),
            resources,
            patient,
            fetched,
        }
    }

    /// The resource that a literal reference in `holder` names.
    pub(super) fn look_up(&self, reference: &str, holder: &'a Value) -> ResourceLookup<'a> {
        self.resources.find(reference, holder).map_or_else(
            || ResourceLookup::from_fetch(self.fetched.result(reference)),
            ResourceLookup::Found,
        )
    }

    /// The first Coverage that an order names and that could not be read, as `Coverage/id`.
    pub(super) fn unread_coverage(&self) -> Option<String> {
        let failed = |(reference, result): &(String, FetchResult)| {
            let (kind, id) = type_and_id(reference)?;
            matches!(result, FetchResult::Failed(_)).then(|| format!("{kind}/{id}"))
        };
        self.fetched.named_coverages.iter().find_map(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_query_of_the_client_is_recognized_by_null_or_a_bundle() {
        let body =
            json!({ "prefetch": { "patient": null, "coverage": { "resourceType": "OperationOutcome" } } });
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
        let failed = |reference: &str| vec![(reference.to_owned(), FetchResult::Failed("401".into()))];
        let fetched = FetchedResources {
            patient: Some(FetchResult::Failed("503".into())),
            named_coverages: failed("Coverage/c"),
            coverage_search: Some(FetchResult::Failed("time".into())),
            organizations: failed("Organization/o"),
            ordered: failed("Medication/m"),
        };
        let available = AvailableResources::new(&body, &fetched, "p1");
        assert_eq!(available.patient, ResourceLookup::Failed);
        assert!(available.coverage_search_failed);
        assert_eq!(available.unread_coverage().as_deref(), Some("Coverage/c"));
        for reference in ["Organization/o", "Medication/m", "Coverage/c"] {
            assert_eq!(available.look_up(reference, &Value::Null), ResourceLookup::Failed);
        }
        assert_eq!(
            available.look_up("Organization/x", &Value::Null),
            ResourceLookup::NotFound
        );
    }

    #[test]
    fn what_was_read_is_found_by_its_reference() {
        let body = json!({});
        let medication = json!({ "resourceType": "Medication", "id": "m" });
        let fetched = FetchedResources {
            ordered: vec![("Medication/m".to_owned(), FetchResult::Found(medication.clone()))],
            ..FetchedResources::default()
        };
        let available = AvailableResources::new(&body, &fetched, "p1");
        assert_eq!(
            available.look_up("Medication/m", &Value::Null),
            ResourceLookup::Found(&medication)
        );
        assert_eq!(
            available.resources.of_type("Medication").next().unwrap().path,
            "Medication/m"
        );
    }
}
