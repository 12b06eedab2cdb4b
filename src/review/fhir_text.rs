//! FHIR values as text for reviewers: a code with its system, a quantity with its unit, a valid date. The sender's
//! display texts are shown as received; this module adds no display text of its own to a code.

use crate::fhir::coding::{self, Coding};
use crate::fhir::dates::DateRange;
use crate::fhir::{human_name, list, text};
use crate::rules;
use serde_json::Value;

/// A `CodeableConcept` as `Oxygen saturation (LOINC 59408-5)`; only the text or only the code when the other is missing.
pub(super) fn concept_text(concept: &Value) -> Option<String> {
    let codes: Vec<Coding<'_>> = coding::codings(concept).collect();
    let display = text(concept, &["text"]).or_else(|| codes.iter().find_map(|c| c.display));
    let code = codes.first().map(code_text);
    match (display, code) {
        (Some(display), Some(code)) => Some(format!("{display} ({code})")),
        (Some(display), None) => Some(display.to_owned()),
        (None, code) => code,
    }
}

/// A coding as `LOINC 59408-5`. A system without a short name is shown by the last part of its URL.
fn code_text(coding: &Coding<'_>) -> String {
    let system = match coding.system.as_ref() {
        coding::HCPCS => "HCPCS",
        coding::CPT => "CPT",
        coding::LOINC => "LOINC",
        coding::ICD10CM => "ICD-10",
        coding::SERVICE_TYPE => "X12 service type",
        "http://snomed.info/sct" => "SNOMED CT",
        "http://www.nlm.nih.gov/research/umls/rxnorm" => "RxNorm",
        "http://hl7.org/fhir/sid/ndc" => "NDC",
        other => other.rsplit(['/', ':']).next().unwrap_or(""),
    };
    format!("{system} {}", coding.code).trim().to_owned()
}

/// The `value[x]` of an observation, an answer or any other element.
pub(super) fn value_text(element: &Value) -> Option<String> {
    let (name, value) = element.as_object()?.iter().find(|(name, _)| is_value_x(name))?;
    match name.as_str() {
        "valueQuantity" | "valueSimpleQuantity" => quantity_text(value),
        "valueCodeableConcept" => concept_text(value),
        "valueCoding" => Coding::read(value).map(|c| c.display.map_or_else(|| code_text(&c), str::to_owned)),
        "valueRange" => Some(format!(
            "{} to {}",
            bound_text(value, "low"),
            bound_text(value, "high")
        )),
        "valueRatio" => Some(format!(
            "{} / {}",
            bound_text(value, "numerator"),
            bound_text(value, "denominator")
        )),
        "valuePeriod" => period_text(value),
        "valueReference" => text(value, &["display"])
            .or_else(|| text(value, &["reference"]))
            .map(str::to_owned),
        "valueAttachment" => Some(
            text(value, &["title"])
                .unwrap_or("an attached document")
                .to_owned(),
        ),
        _ => scalar_text(value),
    }
}

fn is_value_x(name: &str) -> bool {
    name.strip_prefix("value")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// A string, number or boolean (`yes`, `no`).
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("yes".to_owned()),
        Value::Bool(false) => Some("no".to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A Quantity as `87%` or `12 months`. The number is shown as received.
pub(super) fn quantity_text(quantity: &Value) -> Option<String> {
    let number = quantity.get("value").and_then(scalar_text)?;
    let comparator = text(quantity, &["comparator"]).unwrap_or("");
    let unit = text(quantity, &["unit"]).or_else(|| text(quantity, &["code"]));
    Some(format!("{comparator}{}", rules::quantity_text(&number, unit)))
}

/// One end of a Range or one part of a Ratio; `?` when it is missing.
fn bound_text(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(quantity_text)
        .unwrap_or_else(|| "?".to_owned())
}

/// A Period as `2026-10-06 to 2027-10-05`; `from …` or `until …` when one end is missing.
pub(super) fn period_text(period: &Value) -> Option<String> {
    match (text(period, &["start"]), text(period, &["end"])) {
        (Some(start), Some(end)) if start == end => Some(start.to_owned()),
        (Some(start), Some(end)) => Some(format!("{start} to {end}")),
        (Some(start), None) => Some(format!("from {start}")),
        (None, Some(end)) => Some(format!("until {end}")),
        (None, None) => None,
    }
}

/// The date as received; `None` when it is not a valid FHIR date.
pub(super) fn valid_date(text: &str) -> Option<String> {
    DateRange::read(text, chrono_tz::UTC).map(|_| text.to_owned())
}

/// The name of a person or an organization.
pub(super) fn resource_name(resource: &Value) -> Option<String> {
    human_name(resource).or_else(|| text(resource, &["name"]).map(str::to_owned))
}

/// The texts of a resource's notes.
pub(super) fn note_texts(resource: &Value) -> Vec<String> {
    list(resource, "note")
        .filter_map(|n| text(n, &["text"]))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_shown_with_its_unit_as_people_write_it() {
        for (element, expected) in [
            (json!({ "valueQuantity": { "value": 87, "unit": "%" } }), "87%"),
            (
                json!({ "valueQuantity": { "value": 5, "comparator": "<", "code": "mm[Hg]" } }),
                "<5 mm Hg",
            ),
            (
                json!({ "valueQuantity": { "value": 12, "code": "mo" } }),
                "12 months",
            ),
            (json!({ "valueBoolean": false }), "no"),
            (
                json!({ "valueCoding": { "code": "a", "display": "At rest" } }),
                "At rest",
            ),
            (
                json!({ "valueCodeableConcept": { "coding": [{ "system": "http://loinc.org", "code": "LA1" }] } }),
                "LOINC LA1",
            ),
            (json!({ "valueRange": { "low": { "value": 1 } } }), "1 to ?"),
        ] {
            assert_eq!(value_text(&element).as_deref(), Some(expected), "{element}");
        }
        assert_eq!(value_text(&json!({ "valueset": "x" })), None);
    }

    #[test]
    fn a_text_that_is_not_a_date_is_left_out() {
        assert_eq!(valid_date("2026-10"), Some("2026-10".to_owned()));
        assert_eq!(valid_date("2026-10-1"), None);
        assert_eq!(valid_date("yesterday"), None);
    }
}
