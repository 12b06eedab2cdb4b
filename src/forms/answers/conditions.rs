//! `enableWhen`: whether the form asks a question, given the answers to other questions (FHIR R4, value set
//! `questionnaire-enable-operator`).

use super::Questions;
use super::values::is_same_coding;
use crate::fhir::{dates::DateRange, list, quantity::Quantity, text};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Finds out which questions are asked; each question once.
pub(super) struct EnabledQuestions<'q, 'a> {
    questions: &'q Questions<'a>,
    /// The answers by link id, except those that cannot count.
    answers: &'q HashMap<&'q str, Vec<&'q Value>>,
    /// `None` while a question is examined, so that conditions that lead back to it find no answer.
    known: HashMap<String, Option<bool>>,
}

impl<'q, 'a> EnabledQuestions<'q, 'a> {
    pub(super) fn new(questions: &'q Questions<'a>, answers: &'q HashMap<&'q str, Vec<&'q Value>>) -> Self {
        Self {
            questions,
            answers,
            known: HashMap::new(),
        }
    }

    /// Whether the question and every group around it are asked.
    pub(super) fn is_enabled(&mut self, link_id: &str) -> bool {
        if let Some(known) = self.known.get(link_id) {
            return known.unwrap_or(false);
        }
        let Some(question) = self.questions.get(link_id) else {
            return false;
        };
        self.known.insert(link_id.to_owned(), None);
        let around = question.parent.is_none_or(|parent| self.is_enabled(parent));
        let enabled = around && self.conditions_hold(question.item);
        self.known.insert(link_id.to_owned(), Some(enabled));
        enabled
    }

    fn conditions_hold(&mut self, item: &Value) -> bool {
        let any = text(item, &["enableBehavior"]) == Some("any");
        let mut conditions = list(item, "enableWhen").peekable();
        if conditions.peek().is_none() {
            return true;
        }
        if any {
            conditions.any(|condition| self.holds(condition))
        } else {
            conditions.all(|condition| self.holds(condition))
        }
    }

    fn holds(&mut self, condition: &Value) -> bool {
        let question = text(condition, &["question"]).unwrap_or("");
        let is_asked = self.is_enabled(question);
        let answers = self.answers.get(question).filter(|_| is_asked);
        let answers = answers.map_or(&[][..], Vec::as_slice);
        let expected = condition.as_object().into_iter().flatten();
        let expected = expected
            .filter(|(name, _)| name.starts_with("answer"))
            .map(|(_, value)| value)
            .next()
            .unwrap_or(&Value::Null);
        let compared = |holds: fn(Ordering) -> bool| {
            let values = answers.iter().filter_map(|answer| value_of(answer));
            { values }.any(|value| compare(value, expected).is_some_and(holds))
        };
        match text(condition, &["operator"]) {
            Some("exists") => expected
                .as_bool()
                .is_some_and(|exists| exists != answers.is_empty()),
            Some("=") => compared(Ordering::is_eq),
            Some("!=") => !compared(Ordering::is_eq),
            Some(">") => compared(Ordering::is_gt),
            Some("<") => compared(Ordering::is_lt),
            Some(">=") => compared(Ordering::is_ge),
            Some("<=") => compared(Ordering::is_le),
            _ => false,
        }
    }
}

fn value_of(answer: &Value) -> Option<&Value> {
    let mut members = answer.as_object()?.iter();
    members
        .find(|(name, value)| name.starts_with("value") && !value.is_null())
        .map(|(_, value)| value)
}

/// How an answer compares with the value of a condition; none if they cannot be compared.
fn compare(answer: &Value, expected: &Value) -> Option<Ordering> {
    match (answer, expected) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::Bool(a), Value::Bool(b)) => (a == b).then_some(Ordering::Equal),
        (Value::String(a), Value::String(b)) if a == b => Some(Ordering::Equal),
        (Value::String(a), Value::String(b)) => {
            let days = |text| DateRange::read(text, chrono_tz::UTC);
            let (a, b) = (days(a)?, days(b)?);
            (a.last < b.first)
                .then_some(Ordering::Less)
                .or((a.first > b.last).then_some(Ordering::Greater))
        }
        (Value::Object(_), Value::Object(_)) => {
            if let (Some(a), Some(b)) = (Quantity::read(answer), Quantity::read(expected)) {
                return a.value.partial_cmp(&b.value).filter(|_| a.unit == b.unit);
            }
            let same_reference =
                text(answer, &["reference"]).is_some_and(|r| text(expected, &["reference"]) == Some(r));
            (same_reference || is_same_coding(expected, answer)).then_some(Ordering::Equal)
        }
        _ => None,
    }
}
