//! The draft `QuestionnaireResponse` that is returned with a questionnaire (DTR 2.2.0, profile
//! `dtr-questionnaireresponse`): its intended use, patient, coverage and orders, and the answers that the plan can
//! prefill, each marked as answered by the server. References are copied from the client's request; they never contain
//! an address of this server.

use super::Form;
use super::prefill::PrefillSources;
use crate::fhir;
use crate::ig::dtr::{DtrGuide, INFORMATION_ORIGIN, Profile, extension_url};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

const DISPLAY: &str = "http://hl7.org/fhir/StructureDefinition/display";

/// The data from which a draft is made.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// The DTR version of the draft.
    pub guide: &'static DtrGuide,
    /// The questionnaire that the draft answers.
    pub form: &'a Form,
    /// The public address of this server.
    pub public_url: &'a str,
    /// `QuestionnaireResponse.authored`.
    pub authored: DateTime<Utc>,
    /// The patient, as the client references it.
    pub subject: &'a str,
    /// The coverage, as the client references it.
    pub coverage: &'a str,
    /// The orders, as the client references them; may be empty.
    pub orders: &'a [String],
    /// What the answers are for, as CRD `DocReason` codes; an empty list stands for `withpa`.
    pub intended_use: &'a [String],
    /// The order, if the draft concerns exactly one.
    pub order: Option<&'a Value>,
    /// The facts of that order.
    pub item: Option<&'a Value>,
    /// The evidence of the case document, with its resources by type in `res`.
    pub evidence: Option<&'a Value>,
    /// The time zone in which days begin and end.
    pub zone: Option<Tz>,
}

impl Draft<'_> {
    /// The response with status `in-progress` and every answer that can be prefilled.
    pub fn response(&self) -> Value {
        let sources = PrefillSources {
            order: self.order,
            item: self.item,
            evidence: self.evidence,
            zone: self.zone,
        };
        let answers = self.form.prefill.answers(sources);
        let mut response = json!({
            "resourceType": "QuestionnaireResponse",
            "meta": { "profile": [self.guide.profile(Profile::QuestionnaireResponse)] },
            "extension": self.extensions(),
            "questionnaire": self.form.canonical(self.public_url),
            "_questionnaire": { "extension": [{ "url": DISPLAY, "valueString": self.form.title() }] },
            "status": "in-progress",
            "subject": { "reference": self.subject },
            "authored": fhir::dates::instant_text(self.authored),
        });
        let items = self.answered_items(&self.form.json, &answers);
        if let (false, Value::Object(members)) = (items.is_empty(), &mut response) {
            members.insert("item".into(), Value::Array(items));
        }
        response
    }

    fn extensions(&self) -> Vec<Value> {
        let reference = |name: &str, to: &str| json!({ "url": extension_url(name), "valueReference": { "reference": to } });
        let default = ["withpa".to_owned()];
        let uses = if self.intended_use.is_empty() {
            &default
        } else {
            self.intended_use
        };
        let coverage = std::iter::once(reference("qr-coverage", self.coverage));
        let orders = self.orders.iter().map(|order| reference("qr-context", order));
        let uses = uses.iter().map(|code| {
            let concept = json!({ "coding": [{ "system": self.guide.intended_uses, "code": code }] });
            json!({ "url": extension_url("intendedUse"), "valueCodeableConcept": concept })
        });
        coverage.chain(orders).chain(uses).collect()
    }

    /// The answered items below `parent` with the groups that contain them, in the form's order. `answers` maps a link
    /// id to the name of the `value[x]` element and its value.
    fn answered_items(&self, parent: &Value, answers: &HashMap<&str, (&'static str, Value)>) -> Vec<Value> {
        fhir::list(parent, "item")
            .filter_map(|item| {
                let id = fhir::text(item, &["linkId"])?;
                let mut response = Map::new();
                response.insert("linkId".into(), json!(id));
                response.insert("text".into(), item.get("text")?.clone());
                if let Some((element, value)) = answers.get(id) {
                    response.insert(
                        "answer".into(),
                        json!([{ "extension": [self.origin()], *element: value }]),
                    );
                } else {
                    let children = self.answered_items(item, answers);
                    if children.is_empty() {
                        return None;
                    }
                    response.insert("item".into(), Value::Array(children));
                }
                Some(Value::Object(response))
            })
            .collect()
    }

    /// The extension `information-origin` for an answer of the server; such an answer has no author (`dtrx-1`).
    fn origin(&self) -> Value {
        let source = json!({ "url": "source", "valueCode": self.guide.prefilled_by_server });
        json!({ "url": INFORMATION_ORIGIN, "extension": [source] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::tests::{PUBLIC, shipped};
    use crate::ig::dtr::DtrVersion;

    fn draft(order: Option<&Value>, case_document: Option<&Value>, orders: &[String]) -> Value {
        let forms = shipped();
        let day = chrono::NaiveDate::from_ymd_opt(2026, 10, 1).unwrap();
        Draft {
            guide: DtrVersion::NEWEST.guide(),
            form: forms.find("home-oxygen", day).form().unwrap(),
            public_url: PUBLIC,
            authored: "2026-10-01T14:05:00Z".parse().unwrap(),
            subject: "Patient/p1",
            coverage: "Coverage/cov1",
            orders,
            intended_use: &[],
            order,
            item: case_document.and_then(|document| document.get("item")),
            evidence: case_document,
            zone: None,
        }
        .response()
    }

    #[test]
    fn a_draft_contains_the_answers_that_the_plan_can_prefill_and_their_origin() {
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
            "meta": { "profile": [
                "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-questionnaireresponse|2.2.0"] },
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
                "valueString": "Home oxygen: qualifying test and order" }] },
            "status": "in-progress",
            "subject": { "reference": "Patient/p1" },
            "authored": "2026-10-01T14:05:00Z",
            "item": [
                { "linkId": "oxygen.test", "text": "Qualifying test", "item": [
                    { "linkId": "oxygen.spo2",
                      "text": "Oxygen saturation (leave empty if only a blood gas was measured)",
                      "answer": [{ "extension": origin,
                          "valueQuantity": { "value": 87, "unit": "%", "system": ucum, "code": "%" } }] },
                    { "linkId": "oxygen.test-date", "text": "Date of the test",
                      "answer": [{ "extension": origin, "valueDate": "2026-09-24" }] },
                ] },
                { "linkId": "oxygen.order", "text": "Order", "item": [
                    { "linkId": "oxygen.months", "text": "For how many months is oxygen ordered?",
                      "answer": [{ "extension": origin,
                          "valueQuantity": { "value": 12, "unit": "mo", "system": ucum, "code": "mo" } }] },
                    { "linkId": "oxygen.prescriber", "text": "Name of the ordering practitioner",
                      "answer": [{ "extension": origin, "valueString": "Dr. Ada Lung" }] },
                ] },
            ],
        });
        assert_eq!(response, expected);
    }

    #[test]
    fn a_draft_without_sources_has_no_items_and_no_order() {
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
