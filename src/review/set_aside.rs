//! What of a request may not decide, as rows for the case page: what it is, where it is in the request, and why it was
//! set aside. Data of somebody else is named and not shown.

use super::evidence::describe;
use super::fhir_text;
use crate::evidence::{Admission, Resources, SetAside, SetAsideCode};
use crate::fhir::{list, text};
use crate::forms::Forms;
use chrono::NaiveDate;
use serde_json::Value;
use std::collections::HashMap;

/// A resource or an answer that may not decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAsideEvidence {
    /// What it is: `Observation`, or the question of an answer.
    pub name: String,
    /// What it says, unless it is about somebody else.
    pub content: Option<String>,
    /// Its FHIRPath in the request.
    pub place: String,
    /// Why it may not decide, in one sentence.
    pub reason: String,
}

/// The rows of an admission. `day` is the day of receipt and selects the form version.
pub(super) fn set_aside_evidence(
    admission: Option<&Admission>,
    resources: &Resources<'_>,
    forms: &Forms,
    day: NaiveDate,
) -> Vec<SetAsideEvidence> {
    let by_path: HashMap<&str, &Value> = resources
        .all()
        .iter()
        .map(|located| (located.path.as_str(), located.resource))
        .collect();
    let row = |one: &SetAside| {
        let (name, content) = match &one.link_id {
            None => of_resource(one, by_path.get(one.path.as_str()).copied()),
            Some(link_id) => of_answer(one, link_id, &by_path, (forms, day)),
        };
        SetAsideEvidence {
            name,
            content,
            place: one.path.clone(),
            reason: one.reason.clone(),
        }
    };
    admission
        .into_iter()
        .flat_map(|a| &a.set_aside)
        .map(row)
        .collect()
}

fn of_resource(one: &SetAside, resource: Option<&Value>) -> (String, Option<String>) {
    let name = one.reference.clone().unwrap_or_else(|| one.resource_type.clone());
    let may_show = one.code != SetAsideCode::AnotherSubject;
    let content = resource.filter(|_| may_show).and_then(describe);
    (name, content)
}

fn of_answer(
    one: &SetAside,
    link_id: &str,
    by_path: &HashMap<&str, &Value>,
    (forms, day): (&Forms, NaiveDate),
) -> (String, Option<String>) {
    let found = one.path.match_indices(".item[").find_map(|(at, _)| {
        let response = by_path.get(one.path.get(..at)?)?;
        Some((*response, element_at(response, one.path.get(at + 1..)?)?))
    });
    let Some((response, item)) = found else {
        return (link_id.to_owned(), None);
    };
    let form = text(response, &["questionnaire"]).and_then(|form| forms.find(form, day).form());
    let question = text(item, &["text"])
        .or_else(|| form?.question(link_id))
        .unwrap_or(link_id);
    let values: Vec<String> = list(item, "answer").filter_map(fhir_text::value_text).collect();
    (
        question.to_owned(),
        (!values.is_empty()).then(|| values.join(", ")),
    )
}

/// The element at a path such as `item[0].answer[1].item[2]`.
fn element_at<'a>(from: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(from, |at, step| {
        let (name, index) = step.strip_suffix(']')?.split_once('[')?;
        at.get(name)?.get(index.parse::<usize>().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{evidence::CaseEvidence, samples};
    use super::*;
    use crate::evidence::{AdmissionInput, Patient, admit};
    use serde_json::json;

    #[test]
    fn the_reviewer_sees_what_was_set_aside_and_why_but_no_data_of_somebody_else() {
        let mut request = samples::request();
        let patient = json!({ "resourceType": "Patient", "id": "p" });
        let entries = request["entry"].as_array_mut().unwrap();
        entries.push(json!({ "fullUrl": "https://ehr.example/Patient/p", "resource": patient }));
        entries.push(json!({ "fullUrl": "https://ehr.example/Patient/q", "resource": { "resourceType": "Patient", "id": "q" } }));
        for entry in entries.iter_mut() {
            let subject = if entry["resource"]["id"] == "d" {
                "Patient/q"
            } else {
                "Patient/p"
            };
            entry["resource"]["subject"] = json!({ "reference": subject });
        }
        let response = entries
            .iter_mut()
            .find(|e| e["resource"]["id"] == "q" && e["resource"]["item"].is_array());
        let response = &mut response.unwrap()["resource"];
        response["questionnaire"] = json!("https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0");
        response["item"][0]["item"][0]["answer"][0]["valueQuantity"] =
            json!({ "value": 12, "unit": "boxes" });
        let observation = entries.iter_mut().find(|e| e["resource"]["id"] == "o").unwrap();
        observation["resource"]["status"] = json!("preliminary");
        let patient = request["entry"][7]["resource"].clone();
        let forms = crate::forms::tests::shipped();
        let resources = Resources::of_bundle(&request);
        let admission = admit(AdmissionInput {
            resources: &resources,
            patient: &Patient::of_bundle(&patient),
            forms: &forms,
        });
        let day = samples::now().date_naive();
        let evidence = CaseEvidence::collect(&request, Some(&admission), &forms, day);
        let shown = |name: &str| {
            let found = evidence.set_aside.iter().find(|row| row.name == name);
            found.map(|row| (row.content.as_deref(), row.reason.as_str()))
        };
        let (content, reason) = shown("Observation/o").unwrap();
        assert_eq!(
            content,
            Some("Oxygen saturation (LOINC 59408-5): 91%, 2026-08-15T09:30:00-04:00")
        );
        assert!(reason.contains("preliminary"), "{reason}");
        assert_eq!(
            shown("Condition/d"),
            Some((None, "Its subject is not the patient of the request"))
        );
        let (content, reason) = shown("Months ordered").unwrap();
        assert_eq!(content, Some("12 boxes"));
        assert!(reason.contains("unit"), "{reason}");
        assert!(evidence.clinical_entries.is_empty() && evidence.form_answers.is_empty());
    }
}
