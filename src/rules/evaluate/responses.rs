//! The bare answers of questionnaire responses, by link id. Only responses to a form of the policy count, and of
//! several responses to one form only the last authored.

use crate::fhir::{dates, list, resource_type, text};
use chrono::{DateTime, FixedOffset};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `{linkId: [value…]}` of every response in `resources` whose form is one of `forms` (`name|version`).
pub(in crate::rules) fn answers(resources: &[&Value], forms: &[&str]) -> Value {
    let mut latest: BTreeMap<&str, (Option<DateTime<FixedOffset>>, &Value)> = BTreeMap::new();
    for response in resources {
        if resource_type(response) != Some("QuestionnaireResponse")
            || matches!(text(response, &["status"]), Some("entered-in-error" | "stopped"))
        {
            continue;
        }
        let Some(form) = form_of(response, forms) else {
            continue;
        };
        let authored = text(response, &["authored"]).and_then(dates::instant);
        let newer = latest.get(form).is_none_or(|(before, _)| authored >= *before);
        if newer {
            latest.insert(form, (authored, response));
        }
    }
    let mut found = Map::new();
    for (_, response) in latest.into_values() {
        collect(response, &mut found);
    }
    Value::Object(found)
}

/// Which of `forms` a response answers. An adaptive form is contained; its `derivedFrom` names the form.
fn form_of<'f>(response: &Value, forms: &[&'f str]) -> Option<&'f str> {
    let canonical = text(response, &["questionnaire"])?;
    let Some(id) = canonical.strip_prefix('#') else {
        return named(canonical, forms);
    };
    let contained = list(response, "contained").find(|c| text(c, &["id"]) == Some(id))?;
    list(contained, "derivedFrom")
        .filter_map(Value::as_str)
        .chain(text(contained, &["url"]))
        .find_map(|canonical| named(canonical, forms))
}

/// The form that a canonical names: its last segment, with the same version where it names one.
fn named<'f>(canonical: &str, forms: &[&'f str]) -> Option<&'f str> {
    let last = canonical.rsplit('/').next()?;
    let (name, version) = last.split_once('|').map_or((last, None), |(n, v)| (n, Some(v)));
    forms.iter().copied().find(|form| {
        let (own, own_version) = form.split_once('|').unwrap_or((form, ""));
        own == name && version.is_none_or(|v| v == own_version)
    })
}

fn collect(at: &Value, found: &mut Map<String, Value>) {
    for item in list(at, "item") {
        for answer in list(item, "answer") {
            if let (Some(link_id), Some(value)) = (text(item, &["linkId"]), bare(answer))
                && let Value::Array(all) = found.entry(link_id).or_insert_with(|| Value::Array(Vec::new()))
                && !all.contains(&value)
            {
                all.push(value);
            }
            collect(answer, found);
        }
        collect(item, found);
    }
}

/// The value of an answer: a coding as its code, everything else as it stands.
fn bare(answer: &Value) -> Option<Value> {
    let (name, value) = answer
        .as_object()?
        .iter()
        .find(|(name, _)| name.starts_with("value"))?;
    if name == "valueCoding" {
        return value.get("code").or_else(|| value.get("display")).cloned();
    }
    Some(value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn response(form: &str, authored: &str, item: Value) -> Value {
        json!({ "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": form,
            "authored": authored, "item": item })
    }

    #[test]
    fn answers_are_bare_values_also_of_nested_questions() {
        let item = json!([{ "linkId": "group", "item": [
            { "linkId": "a", "answer": [{ "valueCoding": { "code": "exercise", "display": "Exercise" } }] },
            { "linkId": "b", "answer": [{ "valueBoolean": true, "item": [{ "linkId": "c", "answer": [{ "valueInteger": 4 }] }] }] },
            { "linkId": "empty" }
        ]}]);
        let one = response(
            "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0",
            "2026-10-01T10:00:00Z",
            item,
        );
        let found = answers(&[&one], &["home-oxygen|1.0.0"]);
        assert_eq!(found, json!({ "a": ["exercise"], "b": [true], "c": [4] }));
    }

    #[test]
    fn only_forms_of_the_policy_count_and_only_their_last_response() {
        let says = |form: &str, at: &str, value: bool| {
            response(
                form,
                at,
                json!([{ "linkId": "a", "answer": [{ "valueBoolean": value }] }]),
            )
        };
        let old = says("x/home-oxygen|1.0.0", "2026-09-01T10:00:00Z", false);
        let new = says("x/home-oxygen|1.0.0", "2026-10-01T10:00:00Z", true);
        let other = says("x/home-oxygen|2.0.0", "2026-10-02T10:00:00Z", false);
        let found = answers(&[&new, &old, &other], &["home-oxygen|1.0.0"]);
        assert_eq!(found, json!({ "a": [true] }));
    }

    #[test]
    fn an_adaptive_response_names_its_form_in_the_contained_one() {
        let mut one = response(
            "#f",
            "2026-10-01T10:00:00Z",
            json!([{ "linkId": "a", "answer": [{ "valueDate": "2026-10-01" }] }]),
        );
        one["contained"] =
            json!([{ "resourceType": "Questionnaire", "id": "f", "derivedFrom": ["x/home-oxygen|1.0.0"] }]);
        assert_eq!(
            answers(&[&one], &["home-oxygen|1.0.0"]),
            json!({ "a": ["2026-10-01"] })
        );
    }
}
