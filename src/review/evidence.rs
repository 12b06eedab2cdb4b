//! The evidence of a request as rows for the case page: clinical entries, form answers with their origin, and the
//! order. Each row knows its path in the case document, so that a criterion can link to the evidence it was judged by.
//!
//! This module reads the request as received. It evaluates nothing.

use super::fhir_text;
use super::set_aside::{SetAsideEvidence, set_aside_evidence};
use crate::evidence::{Admission, Evidence, Resources};
use crate::fhir::bundle::BundleIndex;
use crate::fhir::{self, coding, extension, list, reference, resource_type, text};
use crate::forms::{Form, Forms};
use crate::ig::dtr::INFORMATION_ORIGIN;
use crate::rules::{order_item_facts, ordered_references};
use chrono::NaiveDate;
use serde_json::Value;
use std::collections::HashMap;

/// The evidence of one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CaseEvidence {
    /// Observations, conditions, procedures, reports and other clinical resources.
    pub clinical_entries: Vec<ClinicalEntry>,
    /// The answers of completed forms.
    pub form_answers: Vec<FormAnswer>,
    /// Details of the orders.
    pub order_details: Vec<OrderDetail>,
    /// What of the request may not decide.
    pub set_aside: Vec<SetAsideEvidence>,
}

/// A clinical resource of the request.
#[derive(Debug, PartialEq, Eq)]
pub struct ClinicalEntry {
    /// Its path in the case document: `$['res']['Observation'][0]`.
    pub path: String,
    /// Its kind and its number among resources of the kind: `Observation 1`.
    pub name: String,
    /// The code's text for an observation, report or document; the kind for other resources.
    pub subject: String,
    /// The value with its unit, or the code's text.
    pub value: String,
    /// A FHIR date.
    pub date: Option<String>,
    /// The resource's status: `final`, `active`.
    pub status: Option<String>,
}

/// An answered question of a form.
#[derive(Debug, PartialEq, Eq)]
pub struct FormAnswer {
    /// Its path in the case document: `$['answers']['oxygen.spo2']`.
    pub path: String,
    /// The question's text, or its link id when neither response nor form has a text.
    pub question: String,
    /// The answer; several answers are separated by commas.
    pub value: String,
    /// Where the answer came from, if the response states it.
    pub origin: Option<AnswerOrigin>,
}

/// Where an answer came from (DTR 2.2.0, `information-origin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerOrigin {
    /// The plan's server filled it in from the stored order (`auto-server`).
    PlanServer,
    /// The provider's software filled it in from the health record (`auto-client`, `auto`).
    HealthRecord,
    /// It was filled in automatically and then changed by a person (`override`).
    Changed,
    /// A person entered it (`manual`).
    EnteredByPerson,
}

impl AnswerOrigin {
    fn read(answer: &Value) -> Option<Self> {
        let source = extension(extension(answer, INFORMATION_ORIGIN)?, "source")?;
        Some(match text(source, &["valueCode"])? {
            "auto-server" => Self::PlanServer,
            "auto-client" | "auto" => Self::HealthRecord,
            "override" => Self::Changed,
            "manual" => Self::EnteredByPerson,
            _ => return None,
        })
    }

    /// The origin as the case page shows it.
    pub fn label(self) -> &'static str {
        match self {
            Self::PlanServer => "filled in by the plan from the order",
            Self::HealthRecord => "filled in from the provider's record",
            Self::Changed => "filled in automatically, then changed by a person",
            Self::EnteredByPerson => "entered by a person",
        }
    }
}

/// One detail of an order, such as its quantity.
#[derive(Debug, PartialEq, Eq)]
pub struct OrderDetail {
    /// The order's path in the case document: `$['res']['ServiceRequest'][0]`.
    pub path: String,
    /// What the detail is: `Quantity`.
    pub label: String,
    /// Its value as text.
    pub value: String,
}

/// Where the case page shows what a path of the case document points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvidenceLocation {
    /// A clinical entry, by its index in [`CaseEvidence::clinical_entries`].
    ClinicalEntry(usize),
    /// A form answer, by its index in [`CaseEvidence::form_answers`].
    FormAnswer(usize),
    /// An order detail, by its index in [`CaseEvidence::order_details`].
    OrderDetail(usize),
    /// The requested item.
    RequestedItem,
    /// The plan's record of the member.
    Member,
}

impl CaseEvidence {
    /// Collects the evidence of a request as received. `admission` says what of it may not decide. `forms` supplies the text of questions that a response does not
    /// repeat; `day` is the day of receipt and selects the form version.
    pub fn collect(request: &Value, admission: Option<&Admission>, forms: &Forms, day: NaiveDate) -> Self {
        let index = BundleIndex::new(request);
        let resources = Resources::of_bundle(request);
        let mut evidence = Self {
            set_aside: set_aside_evidence(admission, &resources, forms, day),
            ..Self::default()
        };
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let admitted = Evidence::new(&resources, admission);
        for resource in admitted.resources() {
            let kind = resource_type(resource).unwrap_or("");
            let count = counts.entry(kind).or_default();
            let path = format!("$['res']['{kind}'][{count}]");
            *count += 1;
            match kind {
                _ if CLINICAL_TYPES.contains(&kind) => {
                    evidence
                        .clinical_entries
                        .push(clinical_entry(resource, kind, *count, path));
                }
                "QuestionnaireResponse" if text(resource, &["status"]) != Some("entered-in-error") => {
                    let form =
                        text(resource, &["questionnaire"]).and_then(|form| forms.find(form, day).form());
                    collect_answers(resource, form, &mut evidence.form_answers);
                }
                "ServiceRequest"
                | "DeviceRequest"
                | "MedicationRequest"
                | "NutritionOrder"
                | "VisionPrescription"
                | "CommunicationRequest" => {
                    collect_order_details(resource, &index, &path, &mut evidence.order_details);
                }
                _ => {}
            }
        }
        evidence
    }

    /// Where the page shows what a normalized path of the case document points to. When several responses answer a
    /// question, the last one counts.
    pub fn locate(&self, path: &str) -> Option<EvidenceLocation> {
        if path.starts_with("$['item']") {
            return Some(EvidenceLocation::RequestedItem);
        }
        if path.starts_with("$['member']") {
            return Some(EvidenceLocation::Member);
        }
        let is_within = |row_path: &str| path.starts_with(row_path);
        let clinical_entry = self
            .clinical_entries
            .iter()
            .position(|entry| is_within(&entry.path))
            .map(EvidenceLocation::ClinicalEntry);
        let form_answer = || {
            self.form_answers
                .iter()
                .rposition(|answer| is_within(&answer.path))
                .map(EvidenceLocation::FormAnswer)
        };
        let order_detail = || {
            self.order_details
                .iter()
                .position(|detail| is_within(&detail.path))
                .map(EvidenceLocation::OrderDetail)
        };
        clinical_entry.or_else(form_answer).or_else(order_detail)
    }
}

/// The resources that the page shows as clinical entries.
const CLINICAL_TYPES: [&str; 7] = [
    "Observation",
    "Condition",
    "Procedure",
    "DiagnosticReport",
    "AllergyIntolerance",
    "MedicationStatement",
    "DocumentReference",
];

/// HL7's code system for `Condition.clinicalStatus`.
const CLINICAL_STATUS: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";

/// Where a clinical resource may state its date, the most specific element first.
const DATE_ELEMENTS: [&[&str]; 9] = [
    &["effectiveDateTime"],
    &["effectiveInstant"],
    &["effectivePeriod", "start"],
    &["onsetDateTime"],
    &["performedDateTime"],
    &["performedPeriod", "start"],
    &["recordedDate"],
    &["date"],
    &["issued"],
];

fn clinical_entry(resource: &Value, kind: &str, count: usize, path: String) -> ClinicalEntry {
    let code = ["code", "medicationCodeableConcept", "type"]
        .iter()
        .find_map(|name| resource.get(*name).and_then(fhir_text::concept_text));
    let measured = measured_value(resource).or_else(|| text(resource, &["conclusion"]).map(str::to_owned));
    let (subject, value) = match (kind, code, measured) {
        ("Observation" | "DiagnosticReport" | "DocumentReference", Some(code), value) => (code, value),
        (_, code, value) => (kind_label(kind).to_owned(), code.or(value)),
    };
    let status = text(resource, &["status"]).map(str::to_owned).or_else(|| {
        let status = resource.get("clinicalStatus")?;
        let known = coding::codings(status).find(|c| c.system == CLINICAL_STATUS);
        let code = known.or_else(|| coding::codings(status).next())?.code;
        Some(code.to_owned())
    });
    ClinicalEntry {
        path,
        name: format!("{} {count}", kind_label(kind)),
        subject,
        value: value.unwrap_or_else(|| "no value given".to_owned()),
        date: DATE_ELEMENTS
            .iter()
            .find_map(|element| text(resource, element).and_then(fhir_text::valid_date)),
        status,
    }
}

/// What a clinical resource says, in one line: its code, its value and its date. `None` for other resources.
pub(super) fn describe(resource: &Value) -> Option<String> {
    let kind = resource_type(resource)?;
    if !CLINICAL_TYPES.contains(&kind) {
        return None;
    }
    let entry = clinical_entry(resource, kind, 0, String::new());
    let date = entry.date.map(|date| format!(", {date}")).unwrap_or_default();
    Some(format!("{}: {}{date}", entry.subject, entry.value))
}

/// The value of an observation, the values of its components, or the reason why there is none.
fn measured_value(resource: &Value) -> Option<String> {
    let components: Vec<String> = list(resource, "component")
        .filter_map(|component| {
            Some(format!(
                "{}: {}",
                fhir_text::concept_text(component.get("code")?)?,
                fhir_text::value_text(component)?
            ))
        })
        .collect();
    let absent = || {
        Some(format!(
            "absent: {}",
            fhir_text::concept_text(resource.get("dataAbsentReason")?)?
        ))
    };
    fhir_text::value_text(resource)
        .or_else(|| (!components.is_empty()).then(|| components.join("; ")))
        .or_else(absent)
}

fn kind_label(kind: &str) -> &str {
    match kind {
        "DiagnosticReport" => "Report",
        "AllergyIntolerance" => "Allergy",
        "MedicationStatement" => "Medication",
        "DocumentReference" => "Document",
        other => other,
    }
}

/// An answer as text. A code without a display is shown as the form's option, if the form and link id have one.
pub(super) fn answer_text(answer: &Value, question: Option<(&Form, &str)>) -> Option<String> {
    let coding = answer.get("valueCoding").and_then(coding::Coding::read);
    let option = coding
        .filter(|coding| coding.display.is_none())
        .and_then(|coding| {
            let (form, link_id) = question?;
            form.option_display(link_id, coding.code)
        });
    option
        .map(str::to_owned)
        .or_else(|| fhir_text::value_text(answer))
}

fn collect_answers(parent: &Value, form: Option<&Form>, into: &mut Vec<FormAnswer>) {
    for item in list(parent, "item") {
        let answers: Vec<&Value> = list(item, "answer").collect();
        let link_id = text(item, &["linkId"]);
        let values: Vec<String> = answers
            .iter()
            .filter_map(|answer| answer_text(answer, form.zip(link_id)))
            .collect();
        if let (Some(link_id), false) = (link_id, values.is_empty()) {
            into.push(FormAnswer {
                path: format!("$['answers']['{}']", link_id.replace('\'', "\\'")),
                question: text(item, &["text"])
                    .or_else(|| form?.question(link_id))
                    .unwrap_or(link_id)
                    .to_owned(),
                value: values.join(", "),
                origin: answers.iter().find_map(|answer| AnswerOrigin::read(answer)),
            });
        }
        for answer in answers {
            collect_answers(answer, form, into);
        }
        collect_answers(item, form, into);
    }
}

/// The resource that a literal reference of an order names: contained in the order, or an entry of the request.
fn find_in_request<'a>(named: &str, order: &'a Value, index: &BundleIndex<'a>) -> Option<&'a Value> {
    reference::contained(order, named).or_else(|| index.resolve(named, "").map(|entry| entry.resource))
}

fn collect_order_details(order: &Value, index: &BundleIndex<'_>, path: &str, into: &mut Vec<OrderDetail>) {
    let mut add = |label: &str, value: Option<String>| {
        into.extend(value.map(|value| OrderDetail {
            path: path.to_owned(),
            label: label.to_owned(),
            value,
        }));
    };
    let find = |named: &str| find_in_request(named, order, index);
    let code = ["code", "codeCodeableConcept", "medicationCodeableConcept"]
        .iter()
        .find_map(|name| order.get(*name))
        .or_else(|| {
            ordered_references(order)
                .filter_map(find)
                .find_map(|r| r.get("code").or(r.get("type")))
        });
    let item = order_item_facts(order, &find);
    add("Ordered service", code.and_then(fhir_text::concept_text));
    add(
        "Quantity",
        item.get("quantity").and_then(fhir_text::quantity_text),
    );
    add(
        "Service dates",
        item.get("period").and_then(fhir_text::period_text),
    );
    add(
        "Ordered by",
        order
            .get("requester")
            .and_then(|requester| party_name(requester, index)),
    );
    let reasons: Vec<String> = list(order, "reasonCode")
        .filter_map(fhir_text::concept_text)
        .collect();
    add("Reason", (!reasons.is_empty()).then(|| reasons.join("; ")));
    add("Ordered on", text(order, &["authoredOn"]).map(str::to_owned));
    add("Status", text(order, &["status"]).map(str::to_owned));
    for note in fhir_text::note_texts(order) {
        add("Note", Some(note));
    }
}

/// The person or organization that a reference points to, by the reference's display or by name and NPI of the
/// resource. `None` when the reference leads to no resource with a name.
pub(super) fn party_name(party: &Value, index: &BundleIndex<'_>) -> Option<String> {
    if let Some(display) = text(party, &["display"]) {
        return Some(display.to_owned());
    }
    let literal = reference::literal(party)?;
    let found = index
        .entries()
        .find(|entry| points_at(literal, entry.full_url, entry.resource))?;
    let npi = fhir::npi(found.resource)
        .map(|npi| format!(", NPI {npi}"))
        .unwrap_or_default();
    let role_holder = ["practitioner", "organization"]
        .iter()
        .find_map(|name| found.resource.get(*name));
    match fhir_text::resource_name(found.resource) {
        Some(name) => Some(format!("{name}{npi}")),
        // A PractitionerRole has no name; its practitioner or organization has.
        None if resource_type(found.resource) == Some("PractitionerRole") => party_name(role_holder?, index),
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

    fn collected(request: &Value) -> CaseEvidence {
        CaseEvidence::collect(request, None, &Forms::default(), samples::now().date_naive())
    }

    #[test]
    fn each_row_has_its_path_in_the_case_document() {
        let evidence = collected(&samples::request());
        let oxygen = &evidence.clinical_entries[0];
        assert_eq!(
            (
                oxygen.subject.as_str(),
                oxygen.value.as_str(),
                oxygen.name.as_str()
            ),
            ("Oxygen saturation (LOINC 59408-5)", "91%", "Observation 1")
        );
        assert_eq!(
            evidence.locate("$['res']['Observation'][0]['valueQuantity']"),
            Some(EvidenceLocation::ClinicalEntry(0))
        );
        assert_eq!(
            evidence.locate("$['res']['Condition'][0]"),
            Some(EvidenceLocation::ClinicalEntry(1))
        );
        assert_eq!(
            evidence.locate("$['answers']['oxygen.months'][0]"),
            Some(EvidenceLocation::FormAnswer(0))
        );
        assert_eq!(
            evidence.locate("$['item']['quantity']"),
            Some(EvidenceLocation::RequestedItem)
        );
        assert_eq!(evidence.locate("$['res']['Observation'][7]"), None);
    }

    #[test]
    fn an_answer_states_its_origin() {
        let evidence = collected(&samples::request());
        let [answer] = evidence.form_answers.as_slice() else {
            panic!("{:?}", evidence.form_answers)
        };
        assert_eq!(
            (answer.question.as_str(), answer.value.as_str()),
            ("Months ordered", "12 months")
        );
        assert_eq!(answer.origin, Some(AnswerOrigin::PlanServer));
    }

    #[test]
    fn an_order_names_the_practitioner_of_a_role() {
        let evidence = collected(&samples::request());
        let ordered_by = evidence
            .order_details
            .iter()
            .find(|detail| detail.label == "Ordered by")
            .unwrap();
        assert_eq!(ordered_by.value, "Ada Lung, NPI 1003000126");
    }

    #[test]
    fn a_question_text_missing_in_the_response_comes_from_the_form() {
        let response = json!({ "resourceType": "Bundle", "entry": [{ "resource": {
            "resourceType": "QuestionnaireResponse", "status": "completed",
            "questionnaire": "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0",
            "item": [{ "linkId": "oxygen.test-date", "answer": [{ "valueDate": "2026-09-24" }] }] } }] });
        let evidence = CaseEvidence::collect(
            &response,
            None,
            &crate::forms::tests::shipped(),
            samples::now().date_naive(),
        );
        assert_eq!(evidence.form_answers[0].question, "Date of the test");
    }

    #[test]
    fn a_code_without_a_display_is_shown_as_the_option_of_the_form() {
        let answer = |coding: &Value| {
            json!({ "resourceType": "Bundle", "entry": [{ "resource": {
                "resourceType": "QuestionnaireResponse", "status": "completed",
                "questionnaire": "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0",
                "item": [{ "linkId": "oxygen.test-condition", "answer": [{ "valueCoding": coding }] }] } }] })
        };
        let shown = |coding: Value| {
            let forms = crate::forms::tests::shipped();
            let day = samples::now().date_naive();
            CaseEvidence::collect(&answer(&coding), None, &forms, day).form_answers[0]
                .value
                .clone()
        };
        assert_eq!(
            shown(json!({ "code": "rest-awake-room-air" })),
            "At rest, awake, breathing room air"
        );
        assert_eq!(
            shown(json!({ "code": "rest-awake-room-air", "display": "As sent" })),
            "As sent"
        );
        assert_eq!(shown(json!({ "code": "unknown-code" })), "unknown-code");
    }

    #[test]
    fn malformed_resources_do_not_cause_an_error() {
        let malformed = json!({ "resourceType": "Bundle", "entry": [
            { "resource": { "resourceType": "Observation", "effectiveDateTime": "last week", "valueQuantity": 7 } },
            { "resource": 12 }, {}, { "resource": { "resourceType": "QuestionnaireResponse", "item": "x" } } ] });
        let evidence = collected(&malformed);
        assert_eq!(evidence.clinical_entries[0].date, None);
        assert_eq!(evidence.clinical_entries[0].value, "no value given");
    }
}
