//! What comes in with `$questionnaire-package` (DTR 2.2.0, profile `dtr-qpackage-input-parameters`): every problem of
//! the shape at once, each at its place. A parameter that nobody knows is a remark, never a refusal. Knows no form
//! and no member.

use crate::error::{Error, Result};
use crate::fhir::outcome::{Checks, Code, Issue};
use crate::fhir::{dates, list, resource_type, text};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// What may be ordered (`dtr-qpackage-input-parameters`, slice `order`).
const ORDERS: [&str; 9] = [
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

/// A part of the call, with the FHIRPath of where it stood.
#[derive(Debug, Clone)]
pub(super) struct Placed<'a, T: ?Sized> {
    /// Where it stood.
    pub path: String,
    /// What stood there.
    pub what: &'a T,
}

/// A call, read.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// The coverage that the forms are for.
    pub coverage: Placed<'a, Value>,
    /// The orders that the forms are for.
    pub orders: Vec<Placed<'a, Value>>,
    /// The canonicals of forms that are asked for by name.
    pub questionnaires: Vec<Placed<'a, str>>,
    /// The assertion of the hook, or what a request for papers named.
    pub context: Option<Placed<'a, str>>,
    /// Only what changed after this instant is wanted.
    pub changed_since: Option<DateTime<Utc>>,
    /// Resources behind the orders.
    pub referenced: Vec<&'a Value>,
    /// What the sender should know, though nothing stops.
    pub remarks: Vec<Issue>,
}

impl<'a> Request<'a> {
    /// Reads the body of a call.
    pub(super) fn read(body: &'a Value) -> Result<Self> {
        if resource_type(body) != Some("Parameters") {
            return Err(Error::malformed("Send a Parameters resource").at("Parameters"));
        }
        let mut parts = Parts::default();
        for (n, parameter) in list(body, "parameter").enumerate() {
            parts.take(&format!("Parameters.parameter[{n}]"), parameter);
        }
        parts.finish()
    }
}

/// What was gathered so far.
#[derive(Debug, Default)]
struct Parts<'a> {
    coverages: Vec<Placed<'a, Value>>,
    orders: Vec<Placed<'a, Value>>,
    questionnaires: Vec<Placed<'a, str>>,
    contexts: Vec<Placed<'a, str>>,
    since: Vec<DateTime<Utc>>,
    referenced: Vec<&'a Value>,
    remarks: Vec<Issue>,
    checks: Checks,
    saw_order: bool,
}

impl<'a> Parts<'a> {
    fn take(&mut self, at: &str, parameter: &'a Value) {
        match text(parameter, &["name"]) {
            Some("coverage") => self.coverage(at, parameter),
            Some("order") => self.order(at, parameter),
            Some("questionnaire") => {
                let names = ["valueCanonical", "valueUri", "valueUrl"];
                let found = self.value(at, parameter, &names);
                self.questionnaires.extend(found);
            }
            Some("context") => {
                let found = self.value(at, parameter, &["valueString"]);
                self.contexts.extend(found);
            }
            Some("changedsince") => self.since(at, parameter),
            Some("referenced") => {
                let found = self.resource(at, parameter);
                self.referenced.extend(found.map(|r| r.what));
            }
            Some(_) => self.remarks.push(Issue {
                expression: at.to_owned(),
                ..Issue::information("This parameter is not known here and was passed over")
            }),
            None => self
                .checks
                .error(Code::Required, format!("{at}.name"), "The parameter has no name"),
        }
    }

    fn resource(&mut self, at: &str, parameter: &'a Value) -> Option<Placed<'a, Value>> {
        let path = format!("{at}.resource");
        let found = parameter.get("resource").filter(|r| resource_type(r).is_some());
        if found.is_none() {
            self.checks
                .error(Code::Required, path.clone(), "A resource is expected here");
        }
        Some(Placed { path, what: found? })
    }

    fn value(&mut self, at: &str, parameter: &'a Value, names: &[&str]) -> Option<Placed<'a, str>> {
        let path = format!("{at}.value");
        let found = names
            .iter()
            .find_map(|name| text(parameter, &[name]))
            .filter(|t| !t.trim().is_empty());
        if found.is_none() {
            let message = format!("{} is expected here", names.first().unwrap_or(&"A value"));
            self.checks.error(Code::Required, path.clone(), message);
        }
        Some(Placed { path, what: found? })
    }

    fn coverage(&mut self, at: &str, parameter: &'a Value) {
        let Some(found) = self.resource(at, parameter) else {
            return;
        };
        if resource_type(found.what) == Some("Coverage") {
            self.coverages.push(found);
        } else {
            self.checks
                .error(Code::Structure, found.path, "This parameter holds a Coverage");
        }
    }

    fn order(&mut self, at: &str, parameter: &'a Value) {
        self.saw_order = true;
        let Some(found) = self.resource(at, parameter) else {
            return;
        };
        if resource_type(found.what).is_some_and(|kind| ORDERS.contains(&kind)) {
            self.orders.push(found);
        } else {
            let message = "A resource of this type is no order here; it was passed over";
            self.remarks
                .push(Issue::warning(Code::NotSupported, found.path, message));
        }
    }

    fn since(&mut self, at: &str, parameter: &'a Value) {
        let Some(found) = self.value(at, parameter, &["valueInstant", "valueDateTime"]) else {
            return;
        };
        match instant(found.what) {
            Some(instant) => self.since.push(instant),
            None => self.checks.error(Code::Value, found.path, "This is no instant"),
        }
    }

    fn finish(mut self) -> Result<Request<'a>> {
        let names_something = self.saw_order || !self.questionnaires.is_empty() || !self.contexts.is_empty();
        self.checks.require(
            names_something || !self.checks.issues().is_empty(),
            Code::Invariant,
            "Parameters.parameter",
            "At least one order, questionnaire or context is needed (dtr-1)",
        );
        for second in self.contexts.iter().skip(1) {
            let message = "Only one context can be looked up in one call";
            self.checks.error(Code::Structure, second.path.clone(), message);
        }
        for further in self.coverages.iter().skip(1) {
            let message = "Only the first coverage was looked at";
            self.remarks
                .push(Issue::warning(Code::NotSupported, further.path.clone(), message));
        }
        let coverage = self.coverages.into_iter().next();
        if coverage.is_none() && self.checks.issues().is_empty() {
            self.checks
                .error(Code::Required, "Parameters.parameter", "The coverage is missing");
        }
        self.checks.finish()?;
        Ok(Request {
            coverage: coverage
                .ok_or_else(|| Error::invalid("Parameters.parameter", "The coverage is missing"))?,
            orders: self.orders,
            questionnaires: self.questionnaires,
            context: self.contexts.into_iter().next(),
            changed_since: self.since.into_iter().max(),
            referenced: self.referenced,
            remarks: self.remarks,
        })
    }
}

/// An instant, or the first moment of a day: older clients send a `dateTime`.
fn instant(text: &str) -> Option<DateTime<Utc>> {
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

    fn places(parameters: &Value) -> Vec<String> {
        let body = samples::parameters(parameters);
        let error = Request::read(&body).unwrap_err();
        error.issues().iter().map(|i| i.expression.clone()).collect()
    }

    #[test]
    fn a_whole_call_is_read() {
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
        assert_eq!(request.context.unwrap().what, "A-1");
        assert_eq!(
            request.changed_since.unwrap().to_rfc3339(),
            "2026-10-01T00:00:00+00:00"
        );
        assert_eq!(request.referenced.len(), 1);
        assert!(request.remarks.is_empty());
    }

    #[test]
    fn an_unknown_parameter_is_a_remark_and_stops_nothing() {
        let body = samples::parameters(&json!([
            { "name": "coverage", "resource": samples::coverage() },
            { "name": "context", "valueString": "A-1" },
            { "name": "performer", "valueString": "somebody" },
        ]));
        let request = Request::read(&body).unwrap();
        assert_eq!(request.remarks.len(), 1);
        assert_eq!(request.remarks[0].expression, "Parameters.parameter[2]");
        assert_eq!(request.remarks[0].code, Code::Informational);
    }

    #[test]
    fn a_resource_that_is_no_order_is_a_warning() {
        let body = samples::parameters(&json!([
            { "name": "coverage", "resource": samples::coverage() },
            { "name": "order", "resource": { "resourceType": "ImmunizationRecommendation" } },
        ]));
        let request = Request::read(&body).unwrap();
        assert!(request.orders.is_empty());
        assert_eq!(request.remarks[0].code, Code::NotSupported);
    }

    #[test]
    fn every_fault_of_the_shape_is_told_with_its_place() {
        let coverage = json!({ "name": "coverage", "resource": samples::coverage() });
        assert_eq!(places(&json!([coverage])), ["Parameters.parameter"]);
        assert_eq!(
            places(&json!([{ "name": "context", "valueString": "A-1" }])),
            ["Parameters.parameter"]
        );
        assert_eq!(
            places(&json!([
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
        let twice = json!([coverage, { "name": "context", "valueString": "A" }, { "name": "context", "valueString": "B" }]);
        assert_eq!(places(&twice), ["Parameters.parameter[2].value"]);
    }

    #[test]
    fn another_resource_is_refused() {
        assert!(Request::read(&json!({ "resourceType": "Bundle" })).is_err());
        assert!(Request::read(&json!([])).is_err());
    }

    #[test]
    fn a_day_stands_for_its_first_moment() {
        assert_eq!(
            instant("2026-10-01").unwrap().to_rfc3339(),
            "2026-10-01T00:00:00+00:00"
        );
        assert_eq!(instant("soon"), None);
    }
}
