//! What a call brings along and what is fetched to it: every resource of context and prefetch by type and id, and the
//! few that a determination cannot do without (Patient, Coverage, the payer's Organization), read from the EHR when
//! they were not sent. Three outcomes of a read stay apart: found, not there, failed.

use super::ehr::Ehr;
use super::request::HookRequest;
use crate::fhir::reference::{literal, type_and_id};
use crate::fhir::{get, list, resource_type, text};
use crate::net::Fetched;
use futures_util::future::join_all;
use serde_json::Value;

/// Every resource that was sent.
#[derive(Debug, Default)]
pub(super) struct Sent<'a> {
    resources: Vec<&'a Value>,
}

/// What had to be read from the EHR.
#[derive(Debug)]
pub(super) struct Reads {
    patient: Option<Fetched>,
    coverage: Option<Fetched>,
    organizations: Vec<(String, Fetched)>,
}

/// What was sent and what was read, together.
#[derive(Debug)]
pub(super) struct Material<'a> {
    /// Every resource, each once.
    pub resources: Vec<&'a Value>,
    /// The patient.
    pub patient: Known<'a>,
    /// The coverages, in the order in which they came.
    pub coverages: Vec<&'a Value>,
    /// Why the coverages could not be read, if they could not.
    pub coverage_failed: bool,
    organizations: &'a [(String, Fetched)],
}

/// What is known of a resource that was looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Known<'a> {
    /// Here it is.
    Found(&'a Value),
    /// There is none, or it cannot be asked for.
    NotThere,
    /// The read failed; nothing follows from that.
    Failed,
}

impl<'a> Known<'a> {
    /// The resource, where there is one.
    pub(super) fn found(self) -> Option<&'a Value> {
        match self {
            Self::Found(resource) => Some(resource),
            Self::NotThere | Self::Failed => None,
        }
    }

    fn of(read: Option<&'a Fetched>) -> Self {
        match read {
            Some(Fetched::Found(resource)) => Self::Found(resource),
            Some(Fetched::Failed(_)) => Self::Failed,
            Some(Fetched::NotThere) | None => Self::NotThere,
        }
    }
}

impl<'a> Sent<'a> {
    /// Collects the resources of `context.draftOrders` and of every prefetch key, whatever its name and shape.
    pub(super) fn of(body: &'a Value) -> Self {
        let mut sent = Self::default();
        if let Some(orders) = get(body, &["context", "draftOrders"]) {
            sent.open(orders);
        }
        let prefetch = body.get("prefetch").and_then(Value::as_object);
        prefetch
            .into_iter()
            .flat_map(|keys| keys.values())
            .for_each(|value| sent.open(value));
        sent
    }

    fn open(&mut self, value: &'a Value) {
        match resource_type(value) {
            Some("Bundle") => list(value, "entry")
                .filter_map(|e| e.get("resource"))
                .for_each(|r| self.open(r)),
            Some("OperationOutcome") | None => {}
            Some(kind) => {
                let id = text(value, &["id"]);
                if id.is_none() || find(&self.resources, kind, id.unwrap_or("")).is_none() {
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

    /// Reads from the EHR what is missing, everything that can go at once at once. Without a way to the EHR
    /// nothing more is there.
    pub(super) async fn complete(&self, request: &HookRequest<'_>, ehr: Option<&Ehr<'_>>) -> Reads {
        let Some(ehr) = ehr else {
            return Reads {
                patient: None,
                coverage: None,
                organizations: Vec::new(),
            };
        };
        let patient = async {
            if self.patient(request.patient_id).is_some() || answered(request.body, "patient") {
                return None;
            }
            Some(ehr.read("Patient", request.patient_id).await)
        };
        let coverage = async {
            if self.of_type("Coverage").next().is_some() || answered(request.body, "coverage") {
                return None;
            }
            Some(self.read_coverage(request, ehr).await)
        };
        let (patient, coverage) = tokio::join!(patient, coverage);
        let mut missing: Vec<String> = Vec::new();
        for coverage in self.of_type("Coverage").chain(coverages_in(coverage.as_ref())) {
            missing.extend(payors_to_read(coverage, &self.resources));
        }
        missing.sort_unstable();
        missing.dedup();
        let organizations = join_all(missing.into_iter().map(|reference| async move {
            let read = ehr.follow(&reference, "Organization").await;
            (reference, read)
        }))
        .await;
        Reads {
            patient,
            coverage,
            organizations,
        }
    }

    /// The coverage that an order names is read by its id; where none is named the patient's are searched.
    async fn read_coverage(&self, request: &HookRequest<'_>, ehr: &Ehr<'_>) -> Fetched {
        let named = request
            .orders
            .iter()
            .flat_map(|o| list(o.resource, "insurance"))
            .filter_map(literal);
        if let Some(reference) = named
            .into_iter()
            .find(|r| matches!(type_and_id(r), Some(("Coverage", _))))
        {
            match ehr.follow(reference, "Coverage").await {
                Fetched::NotThere => {}
                read => return read,
            }
        }
        ehr.search(
            "Coverage",
            &[("patient", request.patient_id), ("status", "active")],
        )
        .await
    }

    fn patient(&self, id: &str) -> Option<&'a Value> {
        find(&self.resources, "Patient", id)
    }
}

#[cfg(test)]
impl Reads {
    /// One organization was read, with this outcome.
    pub(super) fn of_organization(reference: &str, read: Fetched) -> Self {
        Self {
            patient: None,
            coverage: None,
            organizations: vec![(reference.to_owned(), read)],
        }
    }
}

impl<'a> Material<'a> {
    /// Puts together what was sent and what was read.
    pub(super) fn of(sent: &Sent<'a>, reads: &'a Reads, patient_id: &str) -> Self {
        let mut resources = sent.resources.clone();
        let patient = sent
            .patient(patient_id)
            .map_or_else(|| Known::of(reads.patient.as_ref()), Known::Found);
        resources.extend(found(reads.patient.as_ref()));
        let read: Vec<&'a Value> = coverages_in(reads.coverage.as_ref()).collect();
        resources.extend(&read);
        resources.extend(
            reads
                .organizations
                .iter()
                .filter_map(|(_, read)| found(Some(read))),
        );
        let coverages: Vec<&'a Value> = sent.of_type("Coverage").chain(read).collect();
        Self {
            coverage_failed: coverages.is_empty() && matches!(reads.coverage, Some(Fetched::Failed(_))),
            resources,
            patient,
            coverages,
            organizations: &reads.organizations,
        }
    }

    /// The organization that a payor reference in `coverage` names.
    pub(super) fn organization(&self, coverage: &'a Value, reference: &str) -> Known<'a> {
        if let Some(inside) = contained(coverage, reference) {
            return Known::Found(inside);
        }
        if let Some(sent) = type_and_id(reference).and_then(|(kind, id)| find(&self.resources, kind, id)) {
            return Known::Found(sent);
        }
        Known::of(
            self.organizations
                .iter()
                .find(|(asked, _)| asked == reference)
                .map(|(_, read)| read),
        )
    }
}

fn find<'a>(resources: &[&'a Value], kind: &str, id: &str) -> Option<&'a Value> {
    resources
        .iter()
        .copied()
        .find(|r| resource_type(r) == Some(kind) && text(r, &["id"]) == Some(id))
}

fn found(read: Option<&Fetched>) -> Option<&Value> {
    Known::of(read).found()
}

/// Whether the client made this query of discovery and found nothing: the key is there and holds null or a bundle.
fn answered(body: &Value, key: &str) -> bool {
    let value = body.get("prefetch").and_then(|p| p.get(key));
    value.is_some_and(|v| v.is_null() || resource_type(v) == Some("Bundle"))
}

fn coverages_in(read: Option<&Fetched>) -> impl Iterator<Item = &Value> {
    let resource = found(read);
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

/// The payors of a coverage whose organization was not sent.
fn payors_to_read<'c>(coverage: &'c Value, sent: &[&Value]) -> impl Iterator<Item = String> + use<'c> {
    let mut missing = Vec::new();
    for reference in list(coverage, "payor").filter_map(literal) {
        if let Some(("Organization", id)) = type_and_id(reference)
            && find(sent, "Organization", id).is_none()
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

    fn nothing_read() -> Reads {
        Reads {
            patient: None,
            coverage: None,
            organizations: Vec::new(),
        }
    }

    #[test]
    fn resources_are_found_in_any_shape_of_prefetch() {
        let body = samples::call();
        let sent = Sent::of(&body);
        assert_eq!(sent.of_type("ServiceRequest").count(), 2);
        assert_eq!(sent.of_type("Coverage").count(), 1);
        assert!(sent.patient("p1").is_some());
        assert!(sent.patient("p2").is_none());
    }

    #[test]
    fn null_and_outcomes_hold_nothing() {
        let body =
            json!({ "prefetch": { "patient": null, "coverage": { "resourceType": "OperationOutcome" } } });
        assert!(Sent::of(&body).resources.is_empty());
        assert!(answered(&body, "patient"));
        assert!(
            !answered(&body, "coverage"),
            "an outcome is no answer, so the query is made again"
        );
        assert!(!answered(&body, "encounter"));
    }

    #[test]
    fn a_failed_read_is_never_taken_for_not_there() {
        let body = json!({});
        let reads = Reads {
            patient: Some(Fetched::Failed("503".into())),
            coverage: Some(Fetched::Failed("time".into())),
            organizations: vec![("Organization/o".into(), Fetched::Failed("401".into()))],
        };
        let material = Material::of(&Sent::of(&body), &reads, "p1");
        assert_eq!(material.patient, Known::Failed);
        assert!(material.coverage_failed);
        assert_eq!(
            material.organization(&Value::Null, "Organization/o"),
            Known::Failed
        );
        assert_eq!(
            material.organization(&Value::Null, "Organization/x"),
            Known::NotThere
        );
    }

    #[test]
    fn a_payor_is_found_inside_the_coverage_and_beside_it() {
        let coverage = json!({ "resourceType": "Coverage", "contained": [{ "resourceType": "Organization", "id": "in" }] });
        let body = json!({ "prefetch": { "o": { "resourceType": "Organization", "id": "out" } } });
        let reads = nothing_read();
        let material = Material::of(&Sent::of(&body), &reads, "p1");
        assert_eq!(
            material.organization(&coverage, "#in"),
            Known::Found(&coverage["contained"][0])
        );
        let absolute = "https://ehr.example.org/fhir/Organization/out";
        assert_eq!(
            material.organization(&coverage, absolute),
            Known::Found(&body["prefetch"]["o"])
        );
    }

    #[test]
    fn a_resource_that_came_twice_counts_once() {
        let patient = json!({ "resourceType": "Patient", "id": "p1" });
        let body = json!({ "prefetch": { "patient": patient, "again": { "resourceType": "Bundle", "entry": [{ "resource": patient }] } } });
        assert_eq!(Sent::of(&body).of_type("Patient").count(), 1);
    }
}
