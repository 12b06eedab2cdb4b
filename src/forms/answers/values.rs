//! Whether a question allows a value: its type, its options and its units.

use super::{AnswerProblemKind, Problem};
use crate::fhir::{dates, extensions, list, quantity, text};
use serde_json::Value;

/// The extension of a quantity question that names a unit.
const UNIT_OPTION: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption";
/// The longest part of a value that a reason repeats, in characters.
const SHOWN: usize = 40;

/// An error if `question` does not allow the value of `answer`. `form` holds the value sets.
pub(super) fn problem(question: &Value, answer: &Value, form: &Value) -> Result<(), Problem> {
    let kind = text(question, &["type"]).unwrap_or("");
    let wrong_type = |reason: String| Err((AnswerProblemKind::WrongType, reason));
    let values = answer.as_object().into_iter().flatten();
    let mut values = values.filter(|(name, value)| name.starts_with("value") && !value.is_null());
    let (Some((name, value)), None) = (values.next(), values.next()) else {
        return wrong_type("The answer has several values".to_owned());
    };
    if !is_of_type(kind, name, value) {
        return wrong_type(format!(
            "The answer is not a possible value for a question of the type {kind}"
        ));
    }
    let is_option = match name.as_str() {
        "valueCoding" => is_coding_option(question, value, form),
        "valueReference" => is_reference_option(question, value),
        "valueQuantity" => is_in_an_offered_unit(question, value),
        _ => true,
    };
    if is_option {
        return Ok(());
    }
    let reason = match name.as_str() {
        "valueQuantity" => "The unit of the answer is not a unit of the question".to_owned(),
        _ => match text(value, &["code"]).or_else(|| text(value, &["display"])) {
            Some(shown) => {
                let shown: String = shown.chars().take(SHOWN).collect();
                format!("The answer '{shown}' is not an option of the question")
            }
            None => "The answer is not an option of the question".to_owned(),
        },
    };
    Err((AnswerProblemKind::NotAnOption, reason))
}

/// Whether `name` and `value` are a value of this type of question.
fn is_of_type(kind: &str, name: &str, value: &Value) -> bool {
    let is_text = || value.as_str().is_some_and(|t| !t.trim().is_empty());
    let is_date = |length: fn(usize) -> bool| {
        value
            .as_str()
            .is_some_and(|t| length(t.len()) && dates::DateRange::read(t, chrono_tz::UTC).is_some())
    };
    match (kind, name) {
        ("boolean", "valueBoolean") => value.is_boolean(),
        ("decimal", "valueDecimal") => value.is_number(),
        ("integer", "valueInteger") => value.is_i64() || value.is_u64(),
        ("date", "valueDate") => is_date(|length| length <= 10),
        ("dateTime", "valueDateTime") => is_date(|_| true),
        ("time", "valueTime") => value
            .as_str()
            .is_some_and(|t| t.parse::<chrono::NaiveTime>().is_ok()),
        ("string" | "text" | "open-choice", "valueString") | ("url", "valueUri") => is_text(),
        ("choice" | "open-choice", "valueCoding")
        | ("attachment", "valueAttachment")
        | ("reference", "valueReference") => value.is_object(),
        ("quantity", "valueQuantity") => quantity::Quantity::read(value).is_some(),
        _ => false,
    }
}

fn is_coding_option(question: &Value, value: &Value, form: &Value) -> bool {
    if question.get("answerOption").is_some() {
        return list(question, "answerOption")
            .filter_map(|option| option.get("valueCoding"))
            .any(|option| is_same_coding(option, value));
    }
    let set = text(question, &["answerValueSet"]).and_then(|set| set.strip_prefix('#'));
    let set = set.and_then(|id| list(form, "contained").find(|r| text(r, &["id"]) == Some(id)));
    set.is_some_and(|set| is_in_value_set(set, value))
}

/// Whether a contained value set lists the coding. A set that does not list its codes contains none that can be
/// checked.
fn is_in_value_set(set: &Value, value: &Value) -> bool {
    let expansion = set.get("expansion").into_iter().flat_map(|e| list(e, "contains"));
    let included = set.get("compose").into_iter().flat_map(|c| list(c, "include"));
    let code = text(value, &["code"]);
    let listed = included
        .filter(|include| same_system(text(include, &["system"]), text(value, &["system"])))
        .flat_map(|include| list(include, "concept"))
        .any(|concept| code.is_some() && text(concept, &["code"]) == code);
    listed || { expansion }.any(|option| is_same_coding(option, value))
}

/// Whether a value is an option of the form: the same code and, where the value has a system, the same system. An
/// option without a code is compared by its display.
pub(super) fn is_same_coding(option: &Value, value: &Value) -> bool {
    match text(option, &["code"]) {
        Some(code) => {
            text(value, &["code"]) == Some(code)
                && same_system(text(option, &["system"]), text(value, &["system"]))
        }
        None => {
            let display = text(option, &["display"]);
            display.is_some() && text(value, &["code"]).is_none() && text(value, &["display"]) == display
        }
    }
}

/// Files of forms name the plan's own code systems without the address of the server, which the form gets when it is
/// served.
fn same_system(of_form: Option<&str>, sent: Option<&str>) -> bool {
    match (of_form, sent) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(own), Some(sent)) if own.contains(':') => own == sent,
        (Some(own), Some(sent)) => sent
            .strip_suffix(own)
            .is_some_and(|base| base.is_empty() || base.ends_with('/')),
    }
}

fn is_reference_option(question: &Value, value: &Value) -> bool {
    let mut options = list(question, "answerOption").peekable();
    let reference = text(value, &["reference"]);
    options.peek().is_none()
        || reference.is_some() && options.any(|o| text(o, &["valueReference", "reference"]) == reference)
}

fn is_in_an_offered_unit(question: &Value, value: &Value) -> bool {
    let mut units = extensions(question, UNIT_OPTION)
        .filter_map(|e| e.get("valueCoding"))
        .peekable();
    if units.peek().is_none() {
        return true;
    }
    let unit = quantity::Quantity::read(value).and_then(|q| q.unit);
    let unit = unit.map(|unit| quantity::ucum_of_x12(unit).unwrap_or(unit));
    unit.is_some()
        && units.any(|option| [text(option, &["code"]), text(option, &["display"])].contains(&unit))
}
