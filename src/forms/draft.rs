//! The draft `QuestionnaireResponse` that goes out beside a form (DTR 2.2.0, profile `dtr-questionnaireresponse`):
//! what it is for, whom and which orders it concerns, and the answers that the plan knows, each marked as the
//! server's. References are the client's own strings; an address of this server never stands in one.

use super::Form;
use super::prefill::Known;
use crate::fhir;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

const PROFILE: &str =
    "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-questionnaireresponse|2.2.0";
const DTR: &str = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/";
const INTENDED_USE: &str = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/coverage-information-codes";
const DISPLAY: &str = "http://hl7.org/fhir/StructureDefinition/display";

/// What a draft is made of.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// The form that it answers.
    pub form: &'a Form,
    /// The public address of this server.
    pub public_url: &'a str,
    /// When it is made.
    pub authored: DateTime<Utc>,
    /// The patient, as the client references it.
    pub subject: &'a str,
    /// The coverage, as the client references it.
    pub coverage: &'a str,
    /// The orders, as the client references them; may be empty.
    pub orders: &'a [String],
    /// CRD `DocReason` codes of what the answers are for; empty means `withpa`.
    pub intended_use: &'a [String],
    /// The order that the hook stored.
    pub order: Option<&'a Value>,
    /// The case document of that order.
    pub case_document: Option<&'a Value>,
}

impl Draft<'_> {
    /// The response: in progress, with every answer that is known.
    pub fn response(&self) -> Value {
        let known = Known {
            order: self.order,
            case_document: self.case_document,
        };
        let answers = self.form.prefill.answers(known);
        let mut response = json!({
            "resourceType": "QuestionnaireResponse",
            "meta": { "profile": [PROFILE] },
            "extension": self.extensions(),
            "questionnaire": self.form.canonical(self.public_url),
            "_questionnaire": { "extension": [{ "url": DISPLAY, "valueString": self.form.title() }] },
            "status": "in-progress",
            "subject": { "reference": self.subject },
            "authored": fhir::dates::instant_text(self.authored),
        });
        let items = answered(&self.form.json, &answers);
        if let (false, Value::Object(members)) = (items.is_empty(), &mut response) {
            members.insert("item".into(), Value::Array(items));
        }
        response
    }

    fn extensions(&self) -> Vec<Value> {
        let reference = |name: &str, to: &str| json!({ "url": format!("{DTR}{name}"), "valueReference": { "reference": to } });
        let default = ["withpa".to_owned()];
        let uses = if self.intended_use.is_empty() {
            &default
        } else {
            self.intended_use
        };
        let coverage = std::iter::once(reference("qr-coverage", self.coverage));
        let orders = self.orders.iter().map(|order| reference("qr-context", order));
        let uses = uses.iter().map(|code| {
            let concept = json!({ "coding": [{ "system": INTENDED_USE, "code": code }] });
            json!({ "url": format!("{DTR}intendedUse"), "valueCodeableConcept": concept })
        });
        coverage.chain(orders).chain(uses).collect()
    }
}

/// The items below `parent` that are answered, with the groups that hold them, in the form's order.
fn answered(parent: &Value, answers: &HashMap<&str, (&'static str, Value)>) -> Vec<Value> {
    fhir::list(parent, "item")
        .filter_map(|item| {
            let id = fhir::text(item, &["linkId"])?;
            let mut response = Map::new();
            response.insert("linkId".into(), json!(id));
            response.insert("text".into(), item.get("text")?.clone());
            if let Some((member, value)) = answers.get(id) {
                response.insert(
                    "answer".into(),
                    json!([{ "extension": [origin()], *member: value }]),
                );
            } else {
                let children = answered(item, answers);
                if children.is_empty() {
                    return None;
                }
                response.insert("item".into(), Value::Array(children));
            }
            Some(Value::Object(response))
        })
        .collect()
}

/// `information-origin`: filled in by this server; such an answer has no author (`dtrx-1`).
fn origin() -> Value {
    json!({ "url": format!("{DTR}information-origin"), "extension": [{ "url": "source", "valueCode": "auto-server" }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::tests::{PUBLIC, shipped};

    fn draft(order: Option<&Value>, case_document: Option<&Value>, orders: &[String]) -> Value {
        let forms = shipped();
        let day = chrono::NaiveDate::from_ymd_opt(2026, 10, 1).unwrap();
        Draft {
            form: forms.find("home-oxygen", day).form().unwrap(),
            public_url: PUBLIC,
            authored: "2026-10-01T14:05:00Z".parse().unwrap(),
            subject: "Patient/p1",
            coverage: "Coverage/cov1",
            orders,
            intended_use: &[],
            order,
            case_document,
        }
        .response()
    }

    #[test]
    fn a_draft_carries_what_the_plan_knows_and_where_it_came_from() {
        let order = json!({ "resourceType": "ServiceRequest",
            "quantityQuantity": { "value": 12, "code": "mo" }, "requester": { "display": "Dr. Ada Lung" } });
        let document = json!({ "res": { "Observation": [{
            "resourceType": "Observation", "status": "final", "effectiveDateTime": "2026-09-24T09:30:00-04:00",
            "code": { "coding": [{ "system": "http://loinc.org", "code": "59408-5" }] },
            "valueQuantity": { "value": 87, "code": "%" } }] } });
        let response = draft(Some(&order), Some(&document), &["ServiceRequest/o1".into()]);
        let origin = json!([{
            "url": "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin",
            "extension": [{ "url": "source", "valueCode": "auto-server" }]
        }]);
        let ucum = "http://unitsofmeasure.org";
        let expected = json!({
            "resourceType": "QuestionnaireResponse",
            "meta": { "profile": [PROFILE] },
            "extension": [
                { "url": "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/qr-coverage",
                  "valueReference": { "reference": "Coverage/cov1" } },
                { "url": "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/qr-context",
                  "valueReference": { "reference": "ServiceRequest/o1" } },
                { "url": "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/intendedUse",
                  "valueCodeableConcept": { "coding": [{
                    "system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/coverage-information-codes",
                    "code": "withpa" }] } },
            ],
            "questionnaire": "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0",
            "_questionnaire": { "extension": [{ "url": "http://hl7.org/fhir/StructureDefinition/display",
                "valueString": "Home oxygen: the qualifying test and the order" }] },
            "status": "in-progress",
            "subject": { "reference": "Patient/p1" },
            "authored": "2026-10-01T14:05:00Z",
            "item": [
                { "linkId": "oxygen.test", "text": "The qualifying test", "item": [
                    { "linkId": "oxygen.spo2",
                      "text": "Oxygen saturation (leave empty when only a blood gas was taken)",
                      "answer": [{ "extension": origin,
                          "valueQuantity": { "value": 87, "unit": "%", "system": ucum, "code": "%" } }] },
                    { "linkId": "oxygen.test-date", "text": "Date of the test",
                      "answer": [{ "extension": origin, "valueDate": "2026-09-24" }] },
                ] },
                { "linkId": "oxygen.order", "text": "The order", "item": [
                    { "linkId": "oxygen.months", "text": "For how many months is oxygen ordered?",
                      "answer": [{ "extension": origin,
                          "valueQuantity": { "value": 12, "unit": "mo", "system": ucum, "code": "mo" } }] },
                    { "linkId": "oxygen.prescriber", "text": "Name of the practitioner who orders the oxygen",
                      "answer": [{ "extension": origin, "valueString": "Dr. Ada Lung" }] },
                ] },
            ],
        });
        assert_eq!(response, expected);
    }

    #[test]
    fn a_draft_without_knowledge_has_no_items_and_no_context() {
        let response = draft(None, None, &[]);
        assert_eq!(response.get("item"), None);
        let text = response["extension"].to_string();
        assert!(text.contains("qr-coverage") && text.contains("withpa") && !text.contains("qr-context"));
        assert_eq!(
            response["questionnaire"],
            "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0"
        );
    }
}
