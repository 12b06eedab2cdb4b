//! What of a request may decide. An order of somebody else than the beneficiary of the coverage is an error of the
//! request. An order that cannot be understood or does not count gets no form, and an issue says why.

use super::orders::{StoredAssertion, orders};
use super::request::{Located, Request};
use crate::error::{Issue, IssueCode, Result};
use crate::evidence::{Admission, AdmissionInput, Patient, Resources, SetAsideCode, admit, first_modifier};
use crate::fhir::outcome::Checks;
use crate::fhir::reference::{base_of, literal, type_and_id, unversioned};
use crate::fhir::{get, resource_type, text};
use crate::forms::Forms;
use serde_json::Value;
use std::collections::HashMap;

/// The admission of the resources of a request, together with what the hook set aside.
#[derive(Debug)]
pub(super) struct RequestAdmission {
    /// What was set aside.
    pub admission: Admission,
    codes: HashMap<String, SetAsideCode>,
}

impl RequestAdmission {
    /// Says of the orders and the resources of a request whether they may decide. What the hook of the assertion set
    /// aside stays set aside.
    pub(super) fn admit(
        request: &Request<'_>,
        assertion: Option<&StoredAssertion>,
        forms: &Forms,
    ) -> Result<Self> {
        check_modifiers(request)?;
        let mut resources = Resources::default();
        for located in orders(request, assertion).iter().chain(&request.referenced) {
            resources.add_from_server(&located.path, located.value);
        }
        let patient = patient_of(request, assertion);
        let mut admission = admit(AdmissionInput {
            resources: &resources,
            patient: &patient,
            forms,
        });
        let whole = admission.set_aside.iter().filter(|one| one.link_id.is_none());
        let codes = whole.map(|one| (one.path.clone(), one.code)).collect();
        let of_hook = assertion.and_then(|a| a.admission.as_ref());
        admission
            .set_aside
            .extend(of_hook.into_iter().flat_map(|a| a.set_aside.iter().cloned()));
        let admitted = Self { admission, codes };
        admitted.check_subjects(request)?;
        Ok(admitted)
    }

    /// Refuses orders of another patient than the beneficiary.
    fn check_subjects(&self, request: &Request<'_>) -> Result<()> {
        let mut checks = Checks::default();
        for order in &request.orders {
            let Some(element) = subject_element(order.value) else {
                continue;
            };
            let subject = order.value.get(element).filter(|s| !s.is_null());
            let is_beneficiary = subject.is_some_and(|s| is_same_reference(s, request.coverage.value));
            let place = || format!("{}.{element}", order.path);
            match self.codes.get(&order.path) {
                Some(SetAsideCode::UncertainSubject) if subject.is_none() => {
                    let message = format!("The order has no {element}, so it is not certain whom it is for");
                    checks.error(IssueCode::Required, place(), message);
                }
                Some(SetAsideCode::AnotherSubject | SetAsideCode::UncertainSubject) if !is_beneficiary => {
                    let message =
                        format!("The {element} of the order is not the beneficiary of the coverage");
                    checks.error(IssueCode::BusinessRule, place(), message);
                }
                _ => {}
            }
        }
        checks.finish()
    }

    /// Why an order gets no form although a policy may name one. `item` has the facts of the order.
    pub(super) fn problem(&self, order: &Located<'_, Value>, item: &Value) -> Option<Issue> {
        let warning = |message: &str| {
            Some(Issue::warning(
                IssueCode::BusinessRule,
                order.path.clone(),
                message,
            ))
        };
        let not_performed = order.value.get("doNotPerform").and_then(Value::as_bool) == Some(true);
        match self.codes.get(&order.path) {
            Some(SetAsideCode::Modifier) => warning(
                "The order has an element that changes its meaning in a way that this plan does not understand, so no form \
                 was selected",
            ),
            Some(SetAsideCode::AnotherSubject | SetAsideCode::UncertainSubject) | None => {
                let value = get(item, &["quantity", "value"]).and_then(Value::as_f64);
                let asks_for_nothing = value.is_some_and(|value| value <= 0.0);
                let message = "The quantity of the order must be greater than zero, so no form was selected";
                warning(message).filter(|_| asks_for_nothing)
            }
            Some(_) if not_performed => Some(Issue {
                expression: order.path.clone(),
                ..Issue::information(
                    "The order says that the service must not be performed, so no form is needed",
                )
            }),
            Some(_) => warning("The order has a status for which no form is selected"),
        }
    }

    /// Why the resource at a place may not decide.
    pub(super) fn code_at(&self, path: &str) -> Option<SetAsideCode> {
        self.codes.get(path).copied()
    }
}

/// Refuses a Coverage or a Patient with an element that changes its meaning: nobody could be identified by it.
fn check_modifiers(request: &Request<'_>) -> Result<()> {
    let mut checks = Checks::default();
    let patients = request
        .referenced
        .iter()
        .filter(|r| resource_type(r.value) == Some("Patient"));
    for located in std::iter::once(&request.coverage).chain(patients) {
        if let Some(place) = first_modifier(located.value) {
            let message = "This element changes the meaning of the resource in a way that this plan does not understand";
            checks.error(
                IssueCode::NotSupported,
                format!("{}.{place}", located.path),
                message,
            );
        }
    }
    checks.finish()
}

/// The patient on the client's server: the beneficiary of the coverage, otherwise the patient of the hook.
fn patient_of<'a>(request: &Request<'a>, assertion: Option<&StoredAssertion>) -> Patient<'a> {
    let beneficiary = text(request.coverage.value, &["beneficiary", "reference"]);
    let reference = beneficiary.or_else(|| assertion.map(|a| a.patient_ref.as_str()));
    let id = reference
        .and_then(type_and_id)
        .map_or("", |(kind, id)| if kind == "Patient" { id } else { "" });
    let is_patient = |r: &&Located<'a, Value>| {
        resource_type(r.value) == Some("Patient") && text(r.value, &["id"]) == Some(id)
    };
    let resource = request.referenced.iter().find(is_patient).map(|r| r.value);
    let base = reference.and_then(base_of).filter(|base| base.contains("://"));
    Patient::on_server(id, resource, base)
}

/// Whether a reference is written like the one to the beneficiary.
fn is_same_reference(subject: &Value, coverage: &Value) -> bool {
    let beneficiary = text(coverage, &["beneficiary", "reference"]).map(unversioned);
    let subject = literal(subject).map(unversioned).filter(|r| !r.starts_with('#'));
    subject.is_some() && subject == beneficiary
}

/// The element of an order that names the patient; none for an Appointment or a SupplyRequest, which may be for nobody.
fn subject_element(order: &Value) -> Option<&'static str> {
    match resource_type(order)? {
        "NutritionOrder" | "VisionPrescription" => Some("patient"),
        "Appointment" | "SupplyRequest" => None,
        _ => Some("subject"),
    }
}
