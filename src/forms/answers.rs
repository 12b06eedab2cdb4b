//! Checks the answers of a response against the form: an answer can decide only if its question exists, is enabled,
//! and allows this value (FHIR R4, `QuestionnaireResponse` and `Questionnaire.item.enableWhen`). Questions are found by
//! their link ids, wherever the response has them, because many clients leave groups out.

mod conditions;
mod values;

use super::Form;
use crate::fhir::{list, text};
use conditions::EnabledQuestions;
use serde_json::Value;
use std::collections::HashMap;

/// An answered item that cannot count, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerProblem {
    /// The FHIRPath of the item below the response: `item[0].item[2]`.
    pub path: String,
    /// The item's link id; empty if it has none.
    pub link_id: String,
    /// What is wrong.
    pub kind: AnswerProblemKind,
    /// The same in one sentence.
    pub reason: String,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerProblemKind {
    /// The form has no question with this link id.
    UnknownQuestion,
    /// The value has another type than the question, or cannot be read.
    WrongType,
    /// The value is not an option of the question.
    NotAnOption,
    /// The question allows one answer and has several.
    TooManyAnswers,
    /// The question is not asked, because of the answers to other questions.
    DisabledQuestion,
}

/// A question of the form.
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    item: &'a Value,
    /// The link id of the item around it.
    parent: Option<&'a str>,
    /// Whether it may have several answers, because it or a group around it repeats.
    repeats: bool,
}

/// An item of the response that has answers.
#[derive(Debug)]
struct AnsweredItem<'a> {
    path: String,
    link_id: &'a str,
    answers: Vec<&'a Value>,
    /// The place of the item whose answer holds this one.
    below: Option<usize>,
}

/// A problem without its place.
type Problem = (AnswerProblemKind, String);

/// The questions of the form by link id.
struct Questions<'a>(HashMap<&'a str, Question<'a>>);

impl<'a> Questions<'a> {
    fn of(form: &'a Value) -> Self {
        let mut questions = Self(HashMap::new());
        questions.add(form, None, false);
        questions
    }

    fn add(&mut self, parent: &'a Value, parent_id: Option<&'a str>, parent_repeats: bool) {
        for item in list(parent, "item") {
            let id = text(item, &["linkId"]);
            let repeats = parent_repeats || item.get("repeats").and_then(Value::as_bool) == Some(true);
            if let Some(id) = id {
                let question = Question {
                    item,
                    parent: parent_id,
                    repeats,
                };
                self.0.insert(id, question);
            }
            self.add(item, id, repeats);
        }
    }

    fn get(&self, link_id: &str) -> Option<Question<'a>> {
        self.0.get(link_id).copied()
    }
}

impl Form {
    /// The answered items of a response that cannot count. If an answer to a question cannot count, no answer to it
    /// counts.
    pub fn answer_problems(&self, response: &Value) -> Vec<AnswerProblem> {
        let questions = Questions::of(&self.json);
        let mut items = Vec::new();
        collect(response, "", None, &mut items);
        let mut by_link_id: HashMap<&str, Vec<&Value>> = HashMap::new();
        for item in &items {
            by_link_id.entry(item.link_id).or_default().extend(&item.answers);
        }
        let mut problems: HashMap<&str, Problem> = HashMap::new();
        for (link_id, answers) in &by_link_id {
            if let Some(problem) = self.value_problem(questions.get(link_id), answers) {
                problems.insert(link_id, problem);
            }
        }
        by_link_id.retain(|link_id, _| !problems.contains_key(link_id));
        let mut enabled = EnabledQuestions::new(&questions, &by_link_id);
        for link_id in by_link_id.keys() {
            if !enabled.is_enabled(link_id) {
                let reason = "The form does not ask this question, given the other answers".to_owned();
                problems.insert(link_id, (AnswerProblemKind::DisabledQuestion, reason));
            }
        }
        for item in &items {
            let around = item.below.and_then(|n| items.get(n));
            if around.is_some_and(|around| problems.contains_key(around.link_id)) {
                let reason = "The answer to the question above it was set aside".to_owned();
                problems
                    .entry(item.link_id)
                    .or_insert((AnswerProblemKind::DisabledQuestion, reason));
            }
        }
        let located = |item: AnsweredItem<'_>| {
            let (kind, reason) = problems.get(item.link_id)?.clone();
            Some(AnswerProblem {
                path: item.path,
                link_id: item.link_id.to_owned(),
                kind,
                reason,
            })
        };
        items.into_iter().filter_map(located).collect()
    }

    /// The first problem of the answers to one question.
    fn value_problem(&self, question: Option<Question<'_>>, answers: &[&Value]) -> Option<Problem> {
        let Some(question) = question else {
            let reason = format!("The form {} has no question with this link id", self.title());
            return Some((AnswerProblemKind::UnknownQuestion, reason));
        };
        if answers.len() > 1 && !question.repeats {
            let reason = format!("The question allows one answer and has {}", answers.len());
            return Some((AnswerProblemKind::TooManyAnswers, reason));
        }
        answers
            .iter()
            .find_map(|answer| values::problem(question.item, answer, &self.json).err())
    }
}

/// Collects the items that have an answer with a value, at every depth.
fn collect<'a>(parent: &'a Value, path: &str, below: Option<usize>, into: &mut Vec<AnsweredItem<'a>>) {
    for (n, item) in list(parent, "item").enumerate() {
        let separator = if path.is_empty() { "" } else { "." };
        let own_path = format!("{path}{separator}item[{n}]");
        let answers: Vec<&Value> = list(item, "answer").filter(|a| has_value(a)).collect();
        let mut own = below;
        if !answers.is_empty() {
            own = Some(into.len());
            into.push(AnsweredItem {
                path: own_path.clone(),
                link_id: text(item, &["linkId"]).unwrap_or(""),
                answers,
                below,
            });
        }
        for (n, answer) in list(item, "answer").enumerate() {
            collect(answer, &format!("{own_path}.answer[{n}]"), own, into);
        }
        collect(item, &own_path, below, into);
    }
}

fn has_value(answer: &Value) -> bool {
    let members = answer.as_object();
    members.is_some_and(|members| {
        members
            .iter()
            .any(|(name, value)| name.starts_with("value") && !value.is_null())
    })
}

#[cfg(test)]
mod tests;
