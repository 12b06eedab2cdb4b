//! The input of `$questionnaire-package` (DTR 2.2.0, profile `dtr-qpackage-input-parameters`). Every structural problem
//! is reported at once, each with its FHIRPath. An unknown parameter is ignored with an issue and does not stop the
//! request. Forms and members are looked up elsewhere.

use crate::config::Limits;
use crate::error::{Error, Issue, IssueCode, Result};
use crate::evidence::missing_status;
use crate::fhir::date_checks::impossible_dates;
use crate::fhir::outcome::Checks;
use crate::fhir::parameters::{Parameter, read_parameters};
use crate::fhir::{dates, list, resource_type};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The resource types of an order (`dtr-qpackage-input-parameters`, slice `order`).
const ORDER_TYPES: [&str; 9] = [
    "Appointment",
    "CommunicationRequest",
    "DeviceRequest",
    "Encounter",
    "MedicationRequest",
    "NutritionOrder",
    "ServiceRequest",
    "SupplyRequest",
    "VisionPrescription",
];

/// A part of the request with its FHIRPath.
#[derive(Debug, Clone)]
pub(super) struct Located<'a, T: ?Sized> {
    /// FHIRPath of the value.
    pub path: String,
    /// The value.
    pub value: &'a T,
}

/// A request for forms.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// The patient's Coverage on the client.
    pub coverage: Located<'a, Value>,
    /// The orders for which forms are requested.
    pub orders: Vec<Located<'a, Value>>,
    /// The canonicals of the requested forms.
    pub questionnaires: Vec<Located<'a, str>>,
    /// The coverage-assertion-id of a hook, or the identifier in a request for additional information.
    pub context: Option<Located<'a, str>>,
    /// Only forms that changed after this instant are requested.
    pub changed_since: Option<DateTime<Utc>>,
    /// Resources that the orders reference.
    pub referenced: Vec<Located<'a, Value>>,
    /// Warnings and information for the sender.
    pub issues: Vec<Issue>,
}

impl<'a> Request<'a> {
    /// Reads the body. The error holds every structural problem.
    pub(super) fn read(body: &'a Value) -> Result<Self> {
        let mut reader = RequestReader::default();
        for parameter in read_parameters(body)? {
            reader.read_parameter(parameter);
        }
        reader.finish()
    }

    /// The request, unless it has more orders or resources than the server accepts.
    pub(super) fn within(self, limits: &Limits) -> Result<Self> {
        let mut checks = Checks::default();
        let mut require = |what: &str, count: usize, most: usize| {
            let message = format!(
                "The request has {count} {what}, and this server accepts at most {most}. Send the orders in several requests."
            );
            checks.require(
                count <= most,
                IssueCode::TooCostly,
                "Parameters.parameter",
                &message,
            );
        };
        require("orders", self.orders.len(), limits.orders);
        let all = self.orders.iter().chain(&self.referenced);
        let contained = all.map(|located| list(located.value, "contained").count());
        let count = self.orders.len() + self.referenced.len() + contained.sum::<usize>();
        require("resources", count, limits.entries);
        checks.finish()?;
        Ok(self)
    }

    /// Resources that the orders reference.
    pub(super) fn referenced_resources(&self) -> Vec<&'a Value> {
        self.referenced.iter().map(|located| located.value).collect()
    }
}

/// The parts of a request that were read so far.
#[derive(Debug, Default)]
struct RequestReader<'a> {
    coverages: Vec<Located<'a, Value>>,
    orders: Vec<Located<'a, Value>>,
    questionnaires: Vec<Located<'a, str>>,
    contexts: Vec<Located<'a, str>>,
    changed_since: Vec<DateTime<Utc>>,
    referenced: Vec<Located<'a, Value>>,
    /// Warnings and information.
    issues: Vec<Issue>,
    /// Errors.
    checks: Checks,
    /// Whether there was a parameter `order`, valid or not.
    has_order: bool,
}

impl<'a> RequestReader<'a> {
    fn read_parameter(&mut self, parameter: Parameter<'a>) {
        match parameter.name() {
            Some("coverage") => self.read_coverage(parameter),
            Some("order") => self.read_order(parameter),
            Some("questionnaire") => {
                let names = ["valueCanonical", "valueUri", "valueUrl"];
                let canonical = self.value(parameter, &names);
                self.questionnaires.extend(canonical);
            }
            Some("context") => {
                let context = self.value(parameter, &["valueString"]);
                self.contexts.extend(context);
            }
            Some("changedsince") => self.read_changed_since(parameter),
            Some("referenced") => {
                let resource = self.resource(parameter);
                self.referenced.extend(resource);
            }
            Some(_) => self.issues.push(Issue {
                expression: parameter.path(),
                ..Issue::information("This parameter is not supported and was ignored")
            }),
            None => self.checks.error(
                IssueCode::Required,
                format!("{}.name", parameter.path()),
                "The parameter has no name",
            ),
        }
    }

    fn resource(&mut self, parameter: Parameter<'a>) -> Option<Located<'a, Value>> {
        let path = format!("{}.resource", parameter.path());
        let resource = parameter.resource();
        if resource.is_none() {
            let message = "The parameter must contain a resource";
            self.checks.error(IssueCode::Required, path.clone(), message);
        }
        Some(Located {
            path,
            value: resource?,
        })
    }

    /// The text of the first of these elements that the parameter has.
    fn value(&mut self, parameter: Parameter<'a>, elements: &[&str]) -> Option<Located<'a, str>> {
        let path = format!("{}.value", parameter.path());
        let value = elements
            .iter()
            .find_map(|element| parameter.text(element))
            .filter(|text| !text.trim().is_empty());
        if value.is_none() {
            let message = format!("{} is missing or empty", elements.first().unwrap_or(&"The value"));
            self.checks.error(IssueCode::Required, path.clone(), message);
        }
        Some(Located { path, value: value? })
    }

    fn read_coverage(&mut self, parameter: Parameter<'a>) {
        let Some(coverage) = self.resource(parameter) else {
            return;
        };
        if resource_type(coverage.value) == Some("Coverage") {
            self.coverages.push(coverage);
        } else {
            let message = "The parameter coverage must contain a Coverage";
            self.checks.error(IssueCode::Structure, coverage.path, message);
        }
    }

    fn read_order(&mut self, parameter: Parameter<'a>) {
        self.has_order = true;
        let Some(order) = self.resource(parameter) else {
            return;
        };
        if resource_type(order.value).is_some_and(|kind| ORDER_TYPES.contains(&kind)) {
            self.check_order(&order);
            self.orders.push(order);
        } else {
            let message = "A resource of this type is not supported as an order and was ignored";
            self.issues
                .push(Issue::warning(IssueCode::NotSupported, order.path, message));
        }
    }

    /// A status that FHIR requires must be there, and dates must exist.
    fn check_order(&mut self, order: &Located<'a, Value>) {
        if let Some(element) = missing_status(order.value) {
            let place = format!("{}.{element}", order.path);
            self.checks
                .error(IssueCode::Required, place, "The order has no status");
        }
        let dates = impossible_dates(order.value, &order.path).into_iter();
        for date in dates.filter(|date| !date.path.contains(".extension[")) {
            self.checks.error(IssueCode::Value, date.path, date.message);
        }
    }

    fn read_changed_since(&mut self, parameter: Parameter<'a>) {
        let Some(text) = self.value(parameter, &["valueInstant", "valueDateTime"]) else {
            return;
        };
        match parse_instant(text.value) {
            Some(instant) => self.changed_since.push(instant),
            None => self
                .checks
                .error(IssueCode::Value, text.path, "The value is not a valid instant"),
        }
    }

    fn finish(mut self) -> Result<Request<'a>> {
        let has_subject = self.has_order || !self.questionnaires.is_empty() || !self.contexts.is_empty();
        self.checks.require(
            has_subject || !self.checks.issues().is_empty(),
            IssueCode::Invariant,
            "Parameters.parameter",
            "At least one parameter order, questionnaire or context is required (dtr-1)",
        );
        for repeated in self.contexts.iter().skip(1) {
            let message = "The parameter context may be used only once";
            self.checks
                .error(IssueCode::Structure, repeated.path.clone(), message);
        }
        for further in self.coverages.iter().skip(1) {
            let message = "Only the first coverage was used; this one was ignored";
            self.issues.push(Issue::warning(
                IssueCode::NotSupported,
                further.path.clone(),
                message,
            ));
        }
        let coverage = self.coverages.into_iter().next();
        let coverage_missing = "The parameter coverage is missing";
        if coverage.is_none() && self.checks.issues().is_empty() {
            self.checks
                .error(IssueCode::Required, "Parameters.parameter", coverage_missing);
        }
        self.checks.finish()?;
        Ok(Request {
            coverage: coverage.ok_or_else(|| Error::invalid("Parameters.parameter", coverage_missing))?,
            orders: self.orders,
            questionnaires: self.questionnaires,
            context: self.contexts.into_iter().next(),
            changed_since: self.changed_since.into_iter().max(),
            referenced: self.referenced,
            issues: self.issues,
        })
    }
}

/// Parses an instant. Older clients send a `dateTime`: a day stands for its first moment in UTC.
fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    dates::instant(text).map(|at| at.to_utc()).or_else(|| {
        let first = dates::DateRange::read(text, chrono_tz::UTC)?.first;
        Some(first.and_hms_opt(0, 0, 0)?.and_utc())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtr::samples;
    use serde_json::json;

    fn error_paths(parameters: &Value) -> Vec<String> {
        let body = samples::parameters(parameters);
        let error = Request::read(&body).unwrap_err();
        error.issues().iter().map(|i| i.expression.clone()).collect()
    }

    #[test]
    fn a_complete_request_is_read() {
        let body = samples::parameters(&json!([
            { "name": "coverage", "resource": samples::coverage() },
            { "name": "order", "resource": samples::order() },
            { "name": "questionnaire", "valueCanonical": "https://plan.example/dtr/2.2/Questionnaire/home-oxygen" },
            { "name": "context", "valueString": "A-1" },
            { "name": "changedsince", "valueInstant": "2026-10-01T02:00:00+02:00" },
            { "name": "referenced", "resource": { "resourceType": "Patient", "id": "p1" } },
        ]));
        let request = Request::read(&body).unwrap();
        assert_eq!(request.coverage.path, "Parameters.parameter[0].resource");
        assert_eq!(request.orders[0].path, "Parameters.parameter[1].resource");
        assert_eq!(request.questionnaires[0].path, "Parameters.parameter[2].value");
        assert_eq!(request.context.unwrap().value, "A-1");
        assert_eq!(
            request.changed_since.unwrap().to_rfc3339(),
            "2026-10-01T00:00:00+00:00"
        );
        assert_eq!(request.referenced.len(), 1);
        assert!(request.issues.is_empty());
    }

    #[test]
    fn an_unknown_parameter_is_ignored_with_an_issue() {
        let body = samples::parameters(&json!([
            { "name": "coverage", "resource": samples::coverage() },
            { "name": "context", "valueString": "A-1" },
            { "name": "performer", "valueString": "somebody" },
        ]));
        let request = Request::read(&body).unwrap();
        assert_eq!(request.issues.len(), 1);
        assert_eq!(request.issues[0].expression, "Parameters.parameter[2]");
        assert_eq!(request.issues[0].code, IssueCode::Informational);
    }

    #[test]
    fn a_resource_type_that_is_not_an_order_is_a_warning() {
        let body = samples::parameters(&json!([
            { "name": "coverage", "resource": samples::coverage() },
            { "name": "order", "resource": { "resourceType": "ImmunizationRecommendation" } },
        ]));
        let request = Request::read(&body).unwrap();
        assert!(request.orders.is_empty());
        assert_eq!(request.issues[0].code, IssueCode::NotSupported);
    }

    #[test]
    fn every_structural_problem_is_reported_with_its_path() {
        let coverage = json!({ "name": "coverage", "resource": samples::coverage() });
        assert_eq!(error_paths(&json!([coverage])), ["Parameters.parameter"]);
        assert_eq!(
            error_paths(&json!([{ "name": "context", "valueString": "A-1" }])),
            ["Parameters.parameter"]
        );
        assert_eq!(
            error_paths(&json!([
                { "name": "coverage", "resource": samples::order() },
                { "name": "order" },
                { "name": "questionnaire", "valueInteger": 1 },
                { "name": "context", "valueString": " " },
                { "name": "changedsince", "valueInstant": "yesterday" },
                { "valueString": "x" },
            ])),
            [
                "Parameters.parameter[0].resource",
                "Parameters.parameter[1].resource",
                "Parameters.parameter[2].value",
                "Parameters.parameter[3].value",
                "Parameters.parameter[4].value",
                "Parameters.parameter[5].name",
            ]
        );
        let two_contexts = json!([coverage, { "name": "context", "valueString": "A" }, { "name": "context", "valueString": "B" }]);
        assert_eq!(error_paths(&two_contexts), ["Parameters.parameter[2].value"]);
    }

    #[test]
    fn a_body_that_is_not_parameters_is_rejected() {
        assert!(Request::read(&json!({ "resourceType": "Bundle" })).is_err());
        assert!(Request::read(&json!([])).is_err());
    }

    #[test]
    fn a_day_is_read_as_its_first_moment() {
        assert_eq!(
            parse_instant("2026-10-01").unwrap().to_rfc3339(),
            "2026-10-01T00:00:00+00:00"
        );
        assert_eq!(parse_instant("soon"), None);
    }
}
