//! The questions of forms, as far as policies need to know them: which there are, the type of their answers, and their
//! options.

use crate::fhir::{list, text};
use crate::rules::format::policy_file::FactType;
use serde_json::Value;

/// A question of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormQuestion {
    /// Its `linkId`.
    pub link_id: String,
    /// The type of its answers.
    pub kind: QuestionKind,
    /// The codes of its options. Empty if it allows other answers too, or has no options of its own.
    pub options: Vec<String>,
}

/// The type of the answers to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionKind {
    /// Yes or no.
    Boolean,
    /// A number without a unit.
    Number,
    /// A number with a unit.
    Quantity,
    /// A day.
    Date,
    /// An option.
    Choice,
    /// Free text, also next to options.
    Text,
    /// An attachment, a reference or a time, which no fact reads.
    Other,
}

impl FormQuestion {
    /// The questions of a `Questionnaire` at every depth. Groups and displayed texts have no answers.
    pub fn all(questionnaire: &Value) -> Vec<Self> {
        let mut questions = Vec::new();
        let mut open: Vec<&Value> = list(questionnaire, "item").collect();
        open.reverse();
        while let Some(item) = open.pop() {
            questions.extend(Self::read(item));
            let mut below: Vec<&Value> = list(item, "item").collect();
            below.reverse();
            open.extend(below);
        }
        questions
    }

    fn read(item: &Value) -> Option<Self> {
        let kind = match text(item, &["type"])? {
            "group" | "display" => return None,
            "boolean" => QuestionKind::Boolean,
            "decimal" | "integer" => QuestionKind::Number,
            "quantity" => QuestionKind::Quantity,
            "date" | "dateTime" => QuestionKind::Date,
            "choice" => QuestionKind::Choice,
            "open-choice" | "string" | "text" | "url" => QuestionKind::Text,
            _ => QuestionKind::Other,
        };
        let option = |option: &Value| {
            let code = text(option, &["valueCoding", "code"]).or_else(|| text(option, &["valueString"]));
            code.map(str::to_owned)
        };
        let options = match kind {
            QuestionKind::Choice => list(item, "answerOption").filter_map(option).collect(),
            _ => Vec::new(),
        };
        Some(Self {
            link_id: text(item, &["linkId"])?.to_owned(),
            kind,
            options,
        })
    }

    /// Whether a fact of this type can read the answers.
    pub(in crate::rules) fn can_be_read_as(&self, fact: FactType) -> bool {
        match self.kind {
            QuestionKind::Boolean => fact == FactType::Boolean,
            QuestionKind::Number => fact == FactType::Number,
            QuestionKind::Quantity => fact == FactType::Quantity,
            QuestionKind::Date => fact == FactType::Date,
            QuestionKind::Choice => matches!(fact, FactType::Code | FactType::Text),
            QuestionKind::Text => fact == FactType::Text,
            QuestionKind::Other => false,
        }
    }
}

impl QuestionKind {
    /// The answers in words.
    pub(in crate::rules) fn answers_text(self) -> &'static str {
        match self {
            Self::Boolean => "yes or no",
            Self::Number => "numbers",
            Self::Quantity => "quantities",
            Self::Date => "dates",
            Self::Choice => "options",
            Self::Text => "texts",
            Self::Other => "of a type that no fact reads",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_questions_of_a_form_are_read_in_its_order() {
        let form = json!({ "item": [
            { "linkId": "g", "type": "group", "item": [
                { "linkId": "a", "type": "choice", "answerOption": [
                    { "valueCoding": { "code": "x" } }, { "valueString": "y" }
                ] },
                { "linkId": "d", "type": "display" },
                { "linkId": "b", "type": "integer", "item": [{ "linkId": "c", "type": "date" }] }
            ] },
            { "linkId": "e", "type": "open-choice", "answerOption": [{ "valueCoding": { "code": "z" } }] },
            { "linkId": "f", "type": "attachment" }
        ] });
        let questions = FormQuestion::all(&form);
        let read: Vec<(&str, QuestionKind, usize)> = questions
            .iter()
            .map(|question| (question.link_id.as_str(), question.kind, question.options.len()))
            .collect();
        assert_eq!(
            read,
            [
                ("a", QuestionKind::Choice, 2),
                ("b", QuestionKind::Number, 0),
                ("c", QuestionKind::Date, 0),
                ("e", QuestionKind::Text, 0),
                ("f", QuestionKind::Other, 0),
            ]
        );
        assert!(
            questions[0].can_be_read_as(FactType::Code) && !questions[0].can_be_read_as(FactType::Boolean)
        );
    }
}
