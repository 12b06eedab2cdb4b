//! What of a call may decide. Orders of another patient, and a Patient who is another one than the context's, are an
//! error of the call: nothing can be answered about them (400). What cannot be understood or does not count is set aside
//! and gets an answer of its own.

use super::call_resources::CallResources;
use super::prefetch::{AvailableResources, ResourceLookup};
use super::request::{HookRequest, Order};
use crate::error::{IssueCode, Result};
use crate::evidence::{
    Admission, AdmissionInput, LocatedResource, Patient, SetAside, SetAsideCode, admit, subject_problem,
};
use crate::fhir::date_checks::impossible_dates;
use crate::fhir::outcome::Checks;
use crate::fhir::reference::literal;
use crate::fhir::{resource_type, text};
use crate::forms::Forms;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// The admission of the resources of a call.
#[derive(Debug)]
pub(super) struct CallAdmission {
    /// What was set aside. It is stored with the call.
    pub admission: Admission,
    /// The codes of what was set aside, by path.
    codes: HashMap<String, SetAsideCode>,
}

impl CallAdmission {
    /// Says of each resource whether it may decide.
    pub(super) fn admit(
        available: &AvailableResources<'_>,
        request: &HookRequest<'_>,
        forms: &Forms,
    ) -> Self {
        let resources = &available.resources;
        let patient = Patient::on_server(request.patient_id, available.patient.found(), resources.bases());
        let mut admission = admit(AdmissionInput {
            resources: resources.resources(),
            patient: &patient,
            forms,
        });
        let whole = admission.set_aside.iter().filter(|one| one.link_id.is_none());
        let mut codes: HashMap<String, SetAsideCode> =
            whole.map(|one| (one.path.clone(), one.code)).collect();
        let orders = DraftOrders::of(&request.orders);
        for located in resources.resources().all() {
            if !codes.contains_key(&located.path) && orders.replace(located) {
                let copy = older_copy(located);
                codes.insert(copy.path.clone(), copy.code);
                admission.set_aside.push(copy);
            }
        }
        Self { codes, admission }
    }

    /// Why a resource may not decide.
    pub(super) fn code(&self, located: &LocatedResource<'_>) -> Option<SetAsideCode> {
        self.code_at(&located.path)
    }

    /// Why the resource at a place may not decide.
    pub(super) fn code_at(&self, path: &str) -> Option<SetAsideCode> {
        self.codes.get(path).copied()
    }

    /// Why the Patient cannot be used to find the member.
    pub(super) fn patient_problem(
        &self,
        available: &AvailableResources<'_>,
        patient_id: &str,
    ) -> Option<&'static str> {
        let located = available.resources.patient(patient_id)?;
        if self.code(located) == Some(SetAsideCode::Modifier) {
            return Some(
                "The Patient has an element that changes its meaning in a way that this plan does not understand",
            );
        }
        let has_birth_date = impossible_birth_dates(located).next().is_none();
        (!has_birth_date).then_some("The birth date of the Patient is not a date")
    }
}

/// The draft orders of a call, by their places and by type and id.
struct DraftOrders<'a> {
    paths: HashSet<&'a str>,
    types_and_ids: HashSet<(&'a str, &'a str)>,
}

impl<'a> DraftOrders<'a> {
    fn of(orders: &'a [Order<'_>]) -> Self {
        Self {
            paths: orders.iter().map(|order| order.path.as_str()).collect(),
            types_and_ids: orders
                .iter()
                .filter_map(|order| type_and_id_of(order.resource))
                .collect(),
        }
    }

    /// Whether a resource is a copy of a draft order, as the EHR had stored it before the draft.
    fn replace(&self, located: &LocatedResource<'_>) -> bool {
        let is_copy = type_and_id_of(located.resource).is_some_and(|own| self.types_and_ids.contains(&own));
        is_copy && !self.paths.contains(located.path.as_str())
    }
}

fn type_and_id_of(resource: &Value) -> Option<(&str, &str)> {
    resource_type(resource).zip(text(resource, &["id"]))
}

fn older_copy(located: &LocatedResource<'_>) -> SetAside {
    SetAside {
        path: located.path.clone(),
        reference: located.reference(),
        resource_type: located.resource_type().to_owned(),
        link_id: None,
        code: SetAsideCode::Void,
        reason: "A draft order of the call replaces it".to_owned(),
        codes: Vec::new(),
    }
}

/// Whether a Coverage that was sent is not certainly the patient's, before anything is read from the EHR.
pub(super) fn subject_before_reads(
    sent: &CallResources<'_>,
    request: &HookRequest<'_>,
    located: &LocatedResource<'_>,
) -> Option<SetAsideCode> {
    let resource = sent.patient(request.patient_id).map(|located| located.resource);
    let patient = Patient::on_server(request.patient_id, resource, sent.bases());
    subject_problem(sent.resources(), &patient, located).map(|(code, _)| code)
}

/// Refuses a call with an order or a Patient of somebody else than the context's patient.
pub(super) fn check_patient(
    request: &HookRequest<'_>,
    available: &AvailableResources<'_>,
    admitted: &CallAdmission,
) -> Result<()> {
    let mut checks = Checks::default();
    check_prefetched_patient(request, available, &mut checks);
    let of_token = text(request.body, &["fhirAuthorization", "patient"]);
    checks.require(
        of_token.is_none_or(|p| p.strip_prefix("Patient/").unwrap_or(p) == request.patient_id),
        IssueCode::BusinessRule,
        "fhirAuthorization.patient",
        "The access token is for another patient than context.patientId",
    );
    for order in &request.orders {
        if !is_uncertain_because_of_a_failed_read(order, available) {
            check_subject(order, admitted.code_at(&order.path), &mut checks);
        }
    }
    checks.finish()
}

/// The prefetch key `patient` holds the context's patient, whose birth date is a date.
fn check_prefetched_patient(
    request: &HookRequest<'_>,
    available: &AvailableResources<'_>,
    checks: &mut Checks,
) {
    const AT: &str = "prefetch.patient";
    let of_key = |located: &&LocatedResource<'_>| {
        located.path == AT
            || located
                .path
                .strip_prefix(AT)
                .is_some_and(|rest| rest.starts_with(".entry["))
    };
    let ids: Vec<Option<&str>> = available
        .resources
        .of_type("Patient")
        .filter(of_key)
        .map(|located| text(located.resource, &["id"]))
        .collect();
    let is_other = |id: &Option<&str>| id.is_some_and(|id| id != request.patient_id);
    checks.require(
        ids.is_empty() || !ids.iter().all(is_other),
        IssueCode::BusinessRule,
        AT,
        "The Patient is another one than context.patientId",
    );
    let sent = available
        .resources
        .patient(request.patient_id)
        .filter(|located| located.path.starts_with("prefetch.") || located.path.starts_with("context."));
    for (path, message) in sent.into_iter().flat_map(impossible_birth_dates) {
        checks.error(IssueCode::Value, path, message);
    }
}

fn impossible_birth_dates<'a>(
    located: &'a LocatedResource<'_>,
) -> impl Iterator<Item = (String, &'static str)> + use<'a> {
    let birth_date = located.resource.get("birthDate").unwrap_or(&Value::Null);
    let dates = impossible_dates(&json!({ "birthDate": birth_date }), &located.path);
    dates.into_iter().map(|date| (date.path, date.message))
}

/// Whether the subject is named by an identifier, and the Patient with whom it would be compared could not be read.
fn is_uncertain_because_of_a_failed_read(order: &Order<'_>, available: &AvailableResources<'_>) -> bool {
    let by_identifier = |subject: &Value| literal(subject).is_none() && subject.get("identifier").is_some();
    available.patient == ResourceLookup::Failed
        && order
            .resource
            .get(subject_element(order.resource))
            .is_some_and(by_identifier)
}

fn check_subject(order: &Order<'_>, set_aside: Option<SetAsideCode>, checks: &mut Checks) {
    let element = subject_element(order.resource);
    let place = || format!("{}.{element}", order.path);
    let has_subject = order.resource.get(element).is_some_and(|s| !s.is_null());
    match set_aside {
        Some(SetAsideCode::UncertainSubject) if !has_subject => {
            let message = format!("The order has no {element}, so it is not certain whom it is for");
            checks.error(IssueCode::Required, place(), message);
        }
        Some(SetAsideCode::AnotherSubject | SetAsideCode::UncertainSubject) => {
            let message = format!("The {element} of the order is not the patient of context.patientId");
            checks.error(IssueCode::BusinessRule, place(), message);
        }
        _ => {}
    }
}

/// The element of an order that names the patient.
fn subject_element(order: &Value) -> &'static str {
    match resource_type(order) {
        Some("NutritionOrder" | "VisionPrescription") => "patient",
        _ => "subject",
    }
}
