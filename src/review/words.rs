//! FHIR values as a reviewer reads them: a code with its system, a quantity with its unit, a date that can be shown.
//! The sender's own display texts are shown as they came; none of ours is added to a code.

use crate::fhir::coding::{self, Coding};
use crate::fhir::dates::DateRange;
use crate::fhir::{human_name, list, text};
use serde_json::Value;

/// `Oxygen saturation (LOINC 59408-5)`, or what there is of it.
pub(super) fn concept(concept: &Value) -> Option<String> {
    let codes: Vec<Coding<'_>> = coding::codings(concept).collect();
    let words = text(concept, &["text"]).or_else(|| codes.iter().find_map(|c| c.display));
    let code = codes.first().map(code_text);
    match (words, code) {
        (Some(words), Some(code)) => Some(format!("{words} ({code})")),
        (Some(one), None) => Some(one.to_owned()),
        (None, code) => code,
    }
}

/// `LOINC 59408-5`.
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

/// The `value[x]` of an observation, an answer or anything else that has one.
pub(super) fn value(element: &Value) -> Option<String> {
    let (name, value) = element.as_object()?.iter().find(|(name, _)| is_value(name))?;
    match name.as_str() {
        "valueQuantity" | "valueSimpleQuantity" => quantity(value),
        "valueCodeableConcept" => concept(value),
        "valueCoding" => Coding::read(value).map(|c| c.display.map_or_else(|| code_text(&c), str::to_owned)),
        "valueRange" => Some(format!("{} to {}", end(value, "low"), end(value, "high"))),
        "valueRatio" => Some(format!(
            "{} / {}",
            end(value, "numerator"),
            end(value, "denominator")
        )),
        "valuePeriod" => period(value),
        "valueReference" => text(value, &["display"])
            .or_else(|| text(value, &["reference"]))
            .map(str::to_owned),
        "valueAttachment" => Some(
            text(value, &["title"])
                .unwrap_or("an attached document")
                .to_owned(),
        ),
        _ => scalar(value),
    }
}

fn is_value(name: &str) -> bool {
    name.strip_prefix("value")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// Text, number or truth value in words.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("yes".to_owned()),
        Value::Bool(false) => Some("no".to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `87 %`; the number as it was sent.
pub(super) fn quantity(quantity: &Value) -> Option<String> {
    let number = quantity.get("value").and_then(scalar)?;
    let comparator = text(quantity, &["comparator"]).unwrap_or("");
    let unit = text(quantity, &["unit"])
        .or_else(|| text(quantity, &["code"]))
        .map(unit_word);
    Some(match unit {
        Some(unit) => format!("{comparator}{number} {unit}"),
        None => format!("{comparator}{number}"),
    })
}

/// The time units of UCUM and X12 in full; everything else stands for itself.
pub(super) fn unit_word(unit: &str) -> &str {
    match unit {
        "mo" | "MO" => "months",
        "wk" | "WK" => "weeks",
        "d" | "DA" => "days",
        "a" | "YR" => "years",
        "h" | "HR" | "HS" => "hours",
        "UN" => "units",
        "VS" => "visits",
        other => other,
    }
}

fn end(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(quantity)
        .unwrap_or_else(|| "?".to_owned())
}

/// `2026-10-06 to 2027-10-05`, or the end that there is.
pub(super) fn period(period: &Value) -> Option<String> {
    match (text(period, &["start"]), text(period, &["end"])) {
        (Some(start), Some(end)) if start == end => Some(start.to_owned()),
        (Some(start), Some(end)) => Some(format!("{start} to {end}")),
        (Some(start), None) => Some(format!("from {start}")),
        (None, Some(end)) => Some(format!("until {end}")),
        (None, None) => None,
    }
}

/// A date that a page can show; one that is no FHIR date is left out.
pub(super) fn date(text: &str) -> Option<String> {
    DateRange::read(text, chrono_tz::UTC).map(|_| text.to_owned())
}

/// The name of a person or an organization.
pub(super) fn name(resource: &Value) -> Option<String> {
    human_name(resource).or_else(|| text(resource, &["name"]).map(str::to_owned))
}

/// The texts of a repeating annotation.
pub(super) fn notes(resource: &Value) -> Vec<String> {
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
    fn a_value_reads_as_it_was_sent() {
        for (element, words) in [
            (json!({ "valueQuantity": { "value": 87, "unit": "%" } }), "87 %"),
            (
                json!({ "valueQuantity": { "value": 5, "comparator": "<", "code": "mm[Hg]" } }),
                "<5 mm[Hg]",
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
            assert_eq!(value(&element).as_deref(), Some(words), "{element}");
        }
        assert_eq!(value(&json!({ "valueset": "x" })), None);
    }

    #[test]
    fn a_date_that_is_none_is_left_out() {
        assert_eq!(date("2026-10"), Some("2026-10".to_owned()));
        assert_eq!(date("2026-10-1"), None);
        assert_eq!(date("yesterday"), None);
    }
}
