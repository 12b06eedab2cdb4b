//! What came with a request, laid out for the eye: clinical entries, the answers of forms with their origin, the
//! order. Each row knows its place in the case document, so that a criterion can point at what it was judged by.
//!
//! Reads the request as it was received; judges nothing.

use super::words;
use crate::fhir::bundle::Index;
use crate::fhir::{self, extension, list, reference, resource_type, text};
use crate::forms::{Form, Forms};
use chrono::NaiveDate;
use serde_json::Value;
use std::collections::HashMap;

const ORIGIN: &str = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin";

/// Everything that a reviewer weighs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Measurements, conditions, procedures, reports.
    pub entries: Vec<Entry>,
    /// The answers of forms.
    pub answers: Vec<Answered>,
    /// The orders.
    pub order: Vec<Ordered>,
}

/// A clinical entry.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place: `$['res']['Observation'][0]`.
    pub place: String,
    /// `Observation 1`: the kind and its number among its kind.
    pub name: String,
    /// What it is about.
    pub what: String,
    /// The value with its unit.
    pub value: String,
    /// A FHIR date.
    pub date: Option<String>,
    /// `final`, `active`.
    pub status: Option<String>,
}

/// An answered question of a form.
#[derive(Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its place: `$['answers']['oxygen.spo2']`.
    pub place: String,
    /// The question's text, or its link id.
    pub question: String,
    /// The answer; several with commas between.
    pub value: String,
    /// Where the answer came from, if the form says so.
    pub origin: Option<Origin>,
}

/// Where an answer came from (DTR 2.2.0, `information-origin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The plan's server filled it in from the stored order.
    Server,
    /// The practice's software filled it in from the record.
    Record,
    /// It was filled in and a person changed it.
    Changed,
    /// A person typed it.
    Typed,
}

impl Origin {
    fn read(answer: &Value) -> Option<Self> {
        let source = extension(extension(answer, ORIGIN)?, "source")?;
        Some(match text(source, &["valueCode"])? {
            "auto-server" => Self::Server,
            "auto-client" | "auto" => Self::Record,
            "override" => Self::Changed,
            "manual" => Self::Typed,
            _ => return None,
        })
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Server => "filled in by the plan from the order",
            Self::Record => "filled in from the practice's record",
            Self::Changed => "filled in, then changed by a person",
            Self::Typed => "typed by a person",
        }
    }
}

/// One line of an order.
#[derive(Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The order's place: `$['res']['ServiceRequest'][0]`.
    pub place: String,
    /// The label.
    pub label: String,
    /// The value.
    pub value: String,
}

/// What a place of the case document is on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// A clinical entry, by its index.
    Entry(usize),
    /// An answer, by its index.
    Answer(usize),
    /// A line of an order, by its index.
    Order(usize),
    /// The requested line itself.
    Line,
    /// What the plan knows of the member.
    Member,
}

impl Evidence {
    /// Lays out a request as it was received. `forms` know the questions that a response does not repeat; `day` is the
    /// day of receipt.
    pub fn of(request: &Value, forms: &Forms, day: NaiveDate) -> Self {
        let bundle = bundle_of(request);
        let index = Index::of(bundle);
        let mut evidence = Self::default();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut resources = Vec::new();
        open(bundle, &mut resources);
        for resource in resources {
            let kind = resource_type(resource).unwrap_or("");
            let count = seen.entry(kind).or_default();
            let place = format!("$['res']['{kind}'][{count}]");
            *count += 1;
            match kind {
                "Observation"
                | "Condition"
                | "Procedure"
                | "DiagnosticReport"
                | "AllergyIntolerance"
                | "MedicationStatement"
                | "DocumentReference" => {
                    evidence.entries.push(entry(resource, kind, *count, place));
                }
                "QuestionnaireResponse" if text(resource, &["status"]) != Some("entered-in-error") => {
                    let form =
                        text(resource, &["questionnaire"]).and_then(|form| forms.find(form, day).form());
                    answers(resource, form, &mut evidence.answers);
                }
                "ServiceRequest"
                | "DeviceRequest"
                | "MedicationRequest"
                | "NutritionOrder"
                | "VisionPrescription"
                | "CommunicationRequest" => ordered(resource, &index, &place, &mut evidence.order),
                _ => {}
            }
        }
        evidence
    }

    /// The row that a normalised path of the case document points into. Of several responses the last one counts.
    pub fn find(&self, path: &str) -> Option<Spot> {
        if path.starts_with("$['item']") {
            return Some(Spot::Line);
        }
        if path.starts_with("$['member']") {
            return Some(Spot::Member);
        }
        let within = |place: &str| path.starts_with(place);
        let entry = self
            .entries
            .iter()
            .position(|e| within(&e.place))
            .map(Spot::Entry);
        let answer = || {
            self.answers
                .iter()
                .rposition(|a| within(&a.place))
                .map(Spot::Answer)
        };
        let order = || self.order.iter().position(|o| within(&o.place)).map(Spot::Order);
        entry.or_else(answer).or_else(order)
    }
}

/// The Bundle itself, or the one that a `Parameters` carries.
pub(super) fn bundle_of(request: &Value) -> &Value {
    let carried = list(request, "parameter").filter_map(|p| p.get("resource"));
    carried
        .filter(|r| resource_type(r) == Some("Bundle"))
        .last()
        .unwrap_or(request)
}

/// Every resource in the order of the case document: a Bundle among them is opened.
fn open<'a>(resource: &'a Value, into: &mut Vec<&'a Value>) {
    if resource_type(resource) == Some("Bundle") {
        list(resource, "entry")
            .filter_map(|e| e.get("resource"))
            .for_each(|one| open(one, into));
    } else {
        into.push(resource);
    }
}

fn entry(resource: &Value, kind: &str, count: usize, place: String) -> Entry {
    let concept = ["code", "medicationCodeableConcept", "type"]
        .iter()
        .find_map(|name| resource.get(*name).and_then(words::concept));
    let measured = measured(resource).or_else(|| text(resource, &["conclusion"]).map(str::to_owned));
    let (what, value) = match (kind, concept, measured) {
        ("Observation" | "DiagnosticReport" | "DocumentReference", Some(code), value) => (code, value),
        (_, code, value) => (kind_words(kind).to_owned(), code.or(value)),
    };
    let dates = [
        &["effectiveDateTime"][..],
        &["effectiveInstant"],
        &["effectivePeriod", "start"],
        &["onsetDateTime"],
        &["performedDateTime"],
        &["performedPeriod", "start"],
        &["recordedDate"],
        &["date"],
        &["issued"],
    ];
    let status = text(resource, &["status"])
        .map(str::to_owned)
        .or_else(|| text(resource, &["clinicalStatus", "coding", "code"]).map(str::to_owned));
    Entry {
        place,
        name: format!("{} {count}", kind_words(kind)),
        what,
        value: value.unwrap_or_else(|| "no value given".to_owned()),
        date: dates
            .iter()
            .find_map(|path| text(resource, path).and_then(words::date)),
        status,
    }
}

/// The value of an observation, or those of its components.
fn measured(resource: &Value) -> Option<String> {
    let parts: Vec<String> = list(resource, "component")
        .filter_map(|part| {
            Some(format!(
                "{}: {}",
                words::concept(part.get("code")?)?,
                words::value(part)?
            ))
        })
        .collect();
    let absent = || {
        Some(format!(
            "absent: {}",
            words::concept(resource.get("dataAbsentReason")?)?
        ))
    };
    words::value(resource)
        .or_else(|| (!parts.is_empty()).then(|| parts.join("; ")))
        .or_else(absent)
}

fn kind_words(kind: &str) -> &str {
    match kind {
        "DiagnosticReport" => "Report",
        "AllergyIntolerance" => "Allergy",
        "MedicationStatement" => "Medication",
        "DocumentReference" => "Document",
        other => other,
    }
}

fn answers(at: &Value, form: Option<&Form>, into: &mut Vec<Answered>) {
    for item in list(at, "item") {
        let given: Vec<&Value> = list(item, "answer").collect();
        let values: Vec<String> = given.iter().filter_map(|answer| words::value(answer)).collect();
        if let (Some(link_id), false) = (text(item, &["linkId"]), values.is_empty()) {
            into.push(Answered {
                place: format!("$['answers']['{}']", link_id.replace('\'', "\\'")),
                question: text(item, &["text"])
                    .or_else(|| form?.question(link_id))
                    .unwrap_or(link_id)
                    .to_owned(),
                value: values.join(", "),
                origin: given.iter().find_map(|answer| Origin::read(answer)),
            });
        }
        for answer in given {
            answers(answer, form, into);
        }
        answers(item, form, into);
    }
}

fn ordered(order: &Value, index: &Index<'_>, place: &str, into: &mut Vec<Ordered>) {
    let mut add = |label: &str, value: Option<String>| {
        into.extend(value.map(|value| Ordered {
            place: place.to_owned(),
            label: label.to_owned(),
            value,
        }));
    };
    let code = ["code", "codeCodeableConcept", "medicationCodeableConcept"]
        .iter()
        .find_map(|name| order.get(*name));
    let item = crate::rules::item_of_order(order);
    add("Asked for", code.and_then(words::concept));
    add("Quantity", item.get("quantity").and_then(words::quantity));
    add("When", item.get("period").and_then(words::period));
    add(
        "Ordered by",
        order.get("requester").and_then(|who| party(who, index)),
    );
    let reasons: Vec<String> = list(order, "reasonCode").filter_map(words::concept).collect();
    add("Reason", (!reasons.is_empty()).then(|| reasons.join("; ")));
    add("Written", text(order, &["authoredOn"]).map(str::to_owned));
    add("Status", text(order, &["status"]).map(str::to_owned));
    for note in words::notes(order) {
        add("Note", Some(note));
    }
}

/// Who is meant by a reference: its display, the name of what it points at, or the reference itself.
pub(super) fn party(who: &Value, index: &Index<'_>) -> Option<String> {
    if let Some(display) = text(who, &["display"]) {
        return Some(display.to_owned());
    }
    let literal = reference::literal(who)?;
    let found = index
        .entries()
        .find(|entry| points_at(literal, entry.full_url, entry.resource))?;
    let npi = fhir::npi(found.resource)
        .map(|npi| format!(", NPI {npi}"))
        .unwrap_or_default();
    let behind = ["practitioner", "organization"]
        .iter()
        .find_map(|name| found.resource.get(*name));
    match words::name(found.resource) {
        Some(name) => Some(format!("{name}{npi}")),
        // A role has no name of its own.
        None if resource_type(found.resource) == Some("PractitionerRole") => party(behind?, index),
        None => None,
    }
}

fn points_at(literal: &str, full_url: &str, resource: &Value) -> bool {
    let own = resource_type(resource).zip(text(resource, &["id"]));
    literal == full_url || own.is_some_and(|(kind, id)| reference::type_and_id(literal) == Some((kind, id)))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use serde_json::json;

    fn laid_out(request: &Value) -> Evidence {
        Evidence::of(request, &Forms::default(), samples::now().date_naive())
    }

    #[test]
    fn a_request_is_laid_out_with_places_of_the_case_document() {
        let evidence = laid_out(&samples::request());
        let oxygen = &evidence.entries[0];
        assert_eq!(
            (oxygen.what.as_str(), oxygen.value.as_str(), oxygen.name.as_str()),
            ("Oxygen saturation (LOINC 59408-5)", "91 %", "Observation 1")
        );
        assert_eq!(
            evidence.find("$['res']['Observation'][0]['valueQuantity']"),
            Some(Spot::Entry(0))
        );
        assert_eq!(evidence.find("$['res']['Condition'][0]"), Some(Spot::Entry(1)));
        assert_eq!(
            evidence.find("$['answers']['oxygen.months'][0]"),
            Some(Spot::Answer(0))
        );
        assert_eq!(evidence.find("$['item']['quantity']"), Some(Spot::Line));
        assert_eq!(evidence.find("$['res']['Observation'][7]"), None);
    }

    #[test]
    fn an_answer_says_where_it_came_from() {
        let evidence = laid_out(&samples::request());
        let [answer] = evidence.answers.as_slice() else {
            panic!("{:?}", evidence.answers)
        };
        assert_eq!(
            (answer.question.as_str(), answer.value.as_str()),
            ("Months ordered", "12 months")
        );
        assert_eq!(answer.origin, Some(Origin::Server));
    }

    #[test]
    fn an_order_names_its_author_behind_a_role() {
        let evidence = laid_out(&samples::request());
        let by = evidence.order.iter().find(|o| o.label == "Ordered by").unwrap();
        assert_eq!(by.value, "Ada Lung, NPI 1003000126");
    }

    #[test]
    fn a_question_that_the_response_does_not_repeat_comes_from_the_form() {
        let response = json!({ "resourceType": "Bundle", "entry": [{ "resource": {
            "resourceType": "QuestionnaireResponse", "status": "completed",
            "questionnaire": "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0",
            "item": [{ "linkId": "oxygen.test-date", "answer": [{ "valueDate": "2026-09-24" }] }] } }] });
        let evidence = Evidence::of(
            &response,
            &crate::forms::tests::shipped(),
            samples::now().date_naive(),
        );
        assert_eq!(evidence.answers[0].question, "Date of the test");
    }

    #[test]
    fn a_bundle_inside_parameters_is_found() {
        let wrapped = json!({ "resourceType": "Parameters",
            "parameter": [{ "name": "resource", "resource": samples::request() }] });
        assert_eq!(laid_out(&wrapped), laid_out(&samples::request()));
    }

    #[test]
    fn values_that_nobody_can_read_break_nothing() {
        let odd = json!({ "resourceType": "Bundle", "entry": [
            { "resource": { "resourceType": "Observation", "effectiveDateTime": "last week", "valueQuantity": 7 } },
            { "resource": 12 }, {}, { "resource": { "resourceType": "QuestionnaireResponse", "item": "x" } } ] });
        let evidence = laid_out(&odd);
        assert_eq!(evidence.entries[0].date, None);
        assert_eq!(evidence.entries[0].value, "no value given");
    }
}
