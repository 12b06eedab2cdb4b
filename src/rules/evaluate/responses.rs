//! Answers from `QuestionnaireResponses`, by link id. Only responses to a form of the policy count, and of several
//! responses to one form only the one authored last.

use crate::evidence::SET_ASIDE;
use crate::fhir::{dates, list, resource_type, text};
use chrono::{DateTime, FixedOffset};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};

/// The answers of several responses.
#[derive(Debug)]
pub(in crate::rules) struct Answers {
    /// `{linkId: [value…]}`.
    pub answers: Value,
    /// `{linkId: reason}` of the answers that may not decide.
    pub set_aside: Map<String, Value>,
    /// Whether there is a response to one of the forms.
    pub has_response: bool,
}

/// The answers of the responses in `resources` to one of `forms` (`name|version`).
pub(in crate::rules) fn answers(resources: &[&Value], forms: &[&str]) -> Answers {
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
    let mut collected = Collected::default();
    let has_response = !latest.is_empty();
    for (_, response) in latest.into_values() {
        collected.add(response);
    }
    Answers {
        answers: Value::Object(collected.found),
        set_aside: collected.set_aside,
        has_response,
    }
}

/// The answers that were collected so far.
#[derive(Default)]
struct Collected {
    found: Map<String, Value>,
    set_aside: Map<String, Value>,
    /// Link id and value of each answer, because equal answers count once.
    known: HashSet<(String, String)>,
}

/// Which of `forms` a response answers. An adaptive response contains its questionnaire, whose `derivedFrom` names the
/// form.
fn form_of<'f>(response: &Value, forms: &[&'f str]) -> Option<&'f str> {
    let canonical = text(response, &["questionnaire"])?;
    let Some(id) = canonical.strip_prefix('#') else {
        return form_of_canonical(canonical, forms);
    };
    let contained = list(response, "contained").find(|c| text(c, &["id"]) == Some(id))?;
    list(contained, "derivedFrom")
        .filter_map(Value::as_str)
        .chain(text(contained, &["url"]))
        .find_map(|canonical| form_of_canonical(canonical, forms))
}

/// The form of a canonical URL: its last segment is the form's name, and the version is the same if it has one.
fn form_of_canonical<'f>(canonical: &str, forms: &[&'f str]) -> Option<&'f str> {
    let last = canonical.rsplit('/').next()?;
    let (name, version) = last.split_once('|').map_or((last, None), |(n, v)| (n, Some(v)));
    forms.iter().copied().find(|form| {
        let (own, own_version) = form.split_once('|').unwrap_or((form, ""));
        own == name && version.is_none_or(|v| v == own_version)
    })
}

impl Collected {
    /// Adds the answers of the items below a response, an item or an answer.
    fn add(&mut self, parent: &Value) {
        for item in list(parent, "item") {
            if let (Some(link_id), Some(reason)) = (text(item, &["linkId"]), text(item, &[SET_ASIDE])) {
                self.set_aside.insert(link_id.to_owned(), Value::from(reason));
            }
            for answer in list(item, "answer") {
                if let (Some(link_id), Some(value)) = (text(item, &["linkId"]), value_of(answer)) {
                    self.add_value(link_id, value);
                }
                self.add(answer);
            }
            self.add(item);
        }
    }

    fn add_value(&mut self, link_id: &str, value: Value) {
        let is_new = self.known.insert((link_id.to_owned(), value.to_string()));
        let empty = || Value::Array(Vec::new());
        if let Value::Array(all) = self.found.entry(link_id).or_insert_with(empty)
            && is_new
        {
            all.push(value);
        }
    }
}

/// The value of an answer: the code of a Coding, any other value unchanged.
fn value_of(answer: &Value) -> Option<Value> {
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
    fn answers_to_nested_questions_are_found() {
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
        let found = answers(&[&one], &["home-oxygen|1.0.0"]).answers;
        assert_eq!(found, json!({ "a": ["exercise"], "b": [true], "c": [4] }));
    }

    #[test]
    fn only_the_last_response_to_a_form_of_the_policy_counts() {
        let response_with = |form: &str, at: &str, value: bool| {
            response(
                form,
                at,
                json!([{ "linkId": "a", "answer": [{ "valueBoolean": value }] }]),
            )
        };
        let old = response_with("x/home-oxygen|1.0.0", "2026-09-01T10:00:00Z", false);
        let new = response_with("x/home-oxygen|1.0.0", "2026-10-01T10:00:00Z", true);
        let other = response_with("x/home-oxygen|2.0.0", "2026-10-02T10:00:00Z", false);
        let found = answers(&[&new, &old, &other], &["home-oxygen|1.0.0"]).answers;
        assert_eq!(found, json!({ "a": [true] }));
    }

    #[test]
    fn the_form_of_an_adaptive_response_is_in_its_contained_questionnaire() {
        let mut one = response(
            "#f",
            "2026-10-01T10:00:00Z",
            json!([{ "linkId": "a", "answer": [{ "valueDate": "2026-10-01" }] }]),
        );
        one["contained"] =
            json!([{ "resourceType": "Questionnaire", "id": "f", "derivedFrom": ["x/home-oxygen|1.0.0"] }]);
        assert_eq!(
            answers(&[&one], &["home-oxygen|1.0.0"]).answers,
            json!({ "a": ["2026-10-01"] })
        );
    }
}
