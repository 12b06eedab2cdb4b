//! The resources of one call with their places, and how references lead to them: by the full URL of an entry, contained,
//! or by type and id on the client's server.

use crate::evidence::{DRAFT_ORDERS, LocatedResource, Resources};
use crate::fhir::reference::{base_of, contained, is_same_origin, type_and_id, unversioned};
use crate::fhir::{resource_type, text};
use serde_json::Value;
use std::collections::HashMap;

/// The resources of a call: in `context.draftOrders`, in every prefetch key, whatever its name and structure, and read
/// from the EHR.
#[derive(Debug)]
pub(super) struct CallResources<'a> {
    resources: Resources<'a>,
    /// The addresses of the client's FHIR server, as far as the call tells them.
    bases: Vec<&'a str>,
    /// Places in `resources` by full URL.
    by_url: HashMap<&'a str, usize>,
    /// Places in `resources` by type and id.
    by_type_and_id: HashMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> CallResources<'a> {
    /// The resources that were sent in the body, and `more` with their places.
    pub(super) fn collect(body: &'a Value, more: impl Iterator<Item = (&'a str, &'a Value)>) -> Self {
        let resources = Resources::of_hook_call(body, more);
        Self::indexed(body, resources)
    }

    fn indexed(body: &'a Value, resources: Resources<'a>) -> Self {
        let patient_id =
            text(body, &["context", "patientId"]).map(|id| id.strip_prefix("Patient/").unwrap_or(id));
        let names_the_server = |located: &LocatedResource<'_>| {
            located.path.starts_with(DRAFT_ORDERS)
                || located.resource_type() == "Patient" && text(located.resource, &["id"]) == patient_id
        };
        let mut bases: Vec<&str> = text(body, &["fhirServer"]).into_iter().collect();
        let mut by_url = HashMap::new();
        let mut by_type_and_id: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
        for (n, located) in resources.all().iter().enumerate() {
            if names_the_server(located) {
                bases.extend(base_of(located.full_url).filter(|base| base.contains("://")));
            }
            if !located.full_url.is_empty() {
                by_url.entry(unversioned(located.full_url)).or_insert(n);
            }
            if let Some(key) = resource_type(located.resource).zip(text(located.resource, &["id"])) {
                by_type_and_id.entry(key).or_default().push(n);
            }
        }
        Self {
            resources,
            bases,
            by_url,
            by_type_and_id,
        }
    }

    /// The resources for their admission.
    pub(super) fn resources(&self) -> &Resources<'a> {
        &self.resources
    }

    /// The addresses of the client's FHIR server; empty if the call tells none.
    pub(super) fn bases(&self) -> &[&'a str] {
        &self.bases
    }

    /// The resources of one type, in the order in which they were sent.
    pub(super) fn of_type<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s LocatedResource<'a>> {
        self.resources
            .all()
            .iter()
            .filter(move |r| r.resource_type() == kind)
    }

    /// The first resource with this type and id.
    pub(super) fn with_id(&self, kind: &str, id: &str) -> Option<&LocatedResource<'a>> {
        let first = self.by_type_and_id.get(&(kind, id))?.first()?;
        self.resources.all().get(*first)
    }

    /// The context's Patient: the one with this id, otherwise one without an id under the prefetch key `patient`, for
    /// which the discovery document asks for exactly this Patient.
    pub(super) fn patient(&self, id: &str) -> Option<&LocatedResource<'a>> {
        let has_no_id = |located: &&LocatedResource<'_>| {
            located.path == "prefetch.patient" && text(located.resource, &["id"]).is_none()
        };
        self.with_id("Patient", id)
            .or_else(|| self.of_type("Patient").find(has_no_id))
    }

    /// The resource that a literal reference in `holder` names.
    pub(super) fn find(&self, reference: &str, holder: &'a Value) -> Option<&'a Value> {
        if reference.starts_with('#') {
            return contained(holder, reference);
        }
        self.find_located(reference).map(|located| located.resource)
    }

    /// The resource that a literal reference names, if it is not contained. An absolute reference to another server
    /// names no resource with the same type and id on the client's server.
    pub(super) fn find_located(&self, reference: &str) -> Option<&LocatedResource<'a>> {
        let reference = unversioned(reference);
        let all = self.resources.all();
        if let Some(located) = self.by_url.get(reference).and_then(|n| all.get(*n)) {
            return Some(located);
        }
        let key = type_and_id(reference)?;
        let base = base_of(reference).filter(|base| !base.is_empty());
        if base.is_some_and(|base| !self.is_known(base)) {
            return None;
        }
        let same_base = |located: &&LocatedResource<'_>| match (base, base_of(located.full_url)) {
            (Some(wanted), Some(own)) if own.contains("://") => is_same_origin(wanted, own),
            _ => true,
        };
        let named = self.by_type_and_id.get(&key)?.iter();
        named.filter_map(|n| all.get(*n)).find(same_base)
    }

    /// Whether the base of an absolute reference may be the client's server. Without any known address it may.
    fn is_known(&self, base: &str) -> bool {
        self.bases.is_empty() || self.bases.iter().any(|known| is_same_origin(known, base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::samples;
    use serde_json::json;

    fn collected(body: &Value) -> CallResources<'_> {
        CallResources::collect(body, std::iter::empty())
    }

    #[test]
    fn resources_are_collected_from_any_structure_of_prefetch() {
        let body = samples::call();
        let sent = collected(&body);
        assert_eq!(sent.of_type("ServiceRequest").count(), 2);
        let coverage = sent.of_type("Coverage").next().unwrap();
        assert_eq!(coverage.path, "prefetch.coverage.entry[0].resource");
        assert!(sent.with_id("Patient", "p1").is_some());
        assert!(sent.with_id("Patient", "p2").is_none());
    }

    #[test]
    fn null_and_operation_outcomes_hold_no_resources() {
        let body =
            json!({ "prefetch": { "patient": null, "coverage": { "resourceType": "OperationOutcome" } } });
        let sent = collected(&body);
        assert_eq!(sent.of_type("Patient").chain(sent.of_type("Coverage")).count(), 0);
    }

    #[test]
    fn a_resource_that_is_sent_twice_counts_once() {
        let patient = json!({ "resourceType": "Patient", "id": "p1" });
        let body = json!({ "prefetch": { "patient": patient, "again": { "resourceType": "Bundle", "entry": [{ "resource": patient }] } } });
        assert_eq!(collected(&body).of_type("Patient").count(), 1);
    }

    #[test]
    fn every_spelling_of_a_reference_leads_to_the_resource() {
        let body = json!({ "fhirServer": "https://ehr.example/fhir", "prefetch": {
            "read": { "resourceType": "Medication", "id": "read" },
            "search": { "resourceType": "Bundle", "entry": [
                { "resource": { "resourceType": "MedicationRequest", "id": "x" } },
                { "fullUrl": "https://ehr.example/fhir/Medication/found", "resource": { "resourceType": "Medication", "id": "found" } },
                { "fullUrl": "urn:uuid:1", "resource": { "resourceType": "Medication" } },
            ] },
        } });
        let order = json!({ "contained": [{ "resourceType": "Medication", "id": "in" }] });
        let resources = collected(&body);
        for reference in [
            "#in",
            "urn:uuid:1",
            "Medication/read",
            "Medication/read/_history/3",
            "https://ehr.example/fhir/Medication/read",
            "https://ehr.example/fhir/Medication/found/_history/1",
            "Medication/found",
            "https://ehr.example/other/path/Medication/read",
        ] {
            assert!(resources.find(reference, &order).is_some(), "{reference}");
        }
        for reference in [
            "#out",
            "urn:uuid:2",
            "Medication/other",
            "Device/read",
            "https://other.example/fhir/Medication/read",
            "https://other.example/fhir/Medication/found",
        ] {
            assert!(resources.find(reference, &order).is_none(), "{reference}");
        }
    }

    #[test]
    fn without_a_known_server_an_absolute_reference_leads_to_what_was_sent() {
        let body = json!({ "prefetch": { "o": { "resourceType": "Organization", "id": "out" } } });
        let found = collected(&body).find("https://ehr.example.org/fhir/Organization/out", &Value::Null);
        assert_eq!(found, Some(&body["prefetch"]["o"]));
    }
}
