//! The trace as people read it: the outcome and the words at each place. A negated test becomes one test that requires the
//! opposite, so that its words fit its outcome. The text of a trace and the pages both show these nodes.

use crate::rules::trace_text::combine_text;
use crate::rules::units::{name_text, quantity_text};
use crate::rules::verdict::{Leaf, Outcome, StatedValue, TraceNode};
use serde_json::Value;

/// One node of a trace as people read it.
#[derive(Debug)]
pub struct ShownNode<'a> {
    /// The outcome.
    pub outcome: Outcome,
    /// The name, if this node is a criterion.
    pub criterion: Option<&'a str>,
    /// The criterion's text, or the number of a coverage rule.
    pub text: Option<&'a str>,
    /// The criterion's citation.
    pub cite: Option<&'a str>,
    /// How the parts are combined, in words: `all of`. `None` for a test.
    pub combine: Option<String>,
    /// Whether the part is negated. A node that negates a single test is itself a test.
    pub is_negation: bool,
    /// The test, if this node is one.
    pub test: Option<ShownTest<'a>>,
    /// The parts.
    pub of: Vec<ShownNode<'a>>,
}

/// One test of one fact as people read it.
#[derive(Debug)]
pub struct ShownTest<'a> {
    /// The test.
    pub leaf: &'a Leaf,
    /// What is required, in words: `88% or less`; below a `not` the opposite, `more than 88%`.
    pub required: String,
}

impl TraceNode {
    /// The node as people read it.
    pub fn shown(&self) -> ShownNode<'_> {
        let negated = self.negated_test();
        let is_named = self.criterion.is_some() || self.text.is_some();
        let node = ShownNode {
            outcome: self.outcome,
            criterion: self.criterion.as_deref(),
            text: self.text.as_deref(),
            cite: self.cite.as_deref(),
            combine: None,
            is_negation: false,
            test: None,
            of: Vec::new(),
        };
        match (negated, &self.leaf) {
            (Some(leaf), _) => {
                let test = Some(ShownTest {
                    leaf,
                    required: leaf
                        .negated
                        .clone()
                        .unwrap_or_else(|| format!("not {}", leaf.required)),
                });
                if !is_named {
                    return ShownNode { test, ..node };
                }
                let part = ShownNode {
                    test,
                    ..unnamed(self.outcome)
                };
                ShownNode {
                    of: vec![part],
                    ..node
                }
            }
            (None, Some(leaf)) => ShownNode {
                test: Some(ShownTest {
                    leaf,
                    required: leaf.required.clone(),
                }),
                ..node
            },
            (None, None) => ShownNode {
                combine: self.combine.as_deref().map(combine_text),
                is_negation: self.combine.as_deref() == Some("not"),
                of: self.of.iter().map(TraceNode::shown).collect(),
                ..node
            },
        }
    }

    /// The test that this node negates.
    fn negated_test(&self) -> Option<&Leaf> {
        match self.of.as_slice() {
            [only] if self.combine.as_deref() == Some("not") => only.leaf.as_ref(),
            _ => None,
        }
    }
}

fn unnamed<'a>(outcome: Outcome) -> ShownNode<'a> {
    ShownNode {
        outcome,
        criterion: None,
        text: None,
        cite: None,
        combine: None,
        is_negation: false,
        test: None,
        of: Vec::new(),
    }
}

impl Leaf {
    /// What people read as the fact's name: its label, or its name in the policy.
    pub fn title(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.fact)
    }

    /// The value that was found, with its unit as people write it: `91%`, `yes`. None: no usable value was found, and
    /// `note` says why.
    pub fn found(&self) -> Option<String> {
        Some(value_text(self.value.as_ref()?, self.unit.as_deref()))
    }
}

impl StatedValue {
    /// The value with its unit as people write it.
    pub fn text(&self) -> String {
        value_text(&self.value, self.unit.as_deref())
    }
}

fn value_text(value: &Value, unit: Option<&str>) -> String {
    match value {
        Value::String(text) => name_text(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => quantity_text(&other.to_string(), unit),
    }
}

impl ShownTest<'_> {
    /// The test in one line: `SpO2 at rest (required: 88% or less, found: 91% dated 2026-09-24) at $['res']…`.
    pub fn text(&self) -> String {
        let leaf = self.leaf;
        let mut text = format!("{} (required: {}", leaf.title(), self.required);
        // The date of a value that is a date itself says nothing more.
        let date = leaf
            .date
            .as_deref()
            .filter(|date| leaf.value.as_ref().and_then(Value::as_str) != Some(date));
        let found = leaf
            .found()
            .map(|found| format!(", found: {found}{}", dated(date)));
        let note = leaf.note.as_ref().map(|note| format!("; {note}"));
        text.extend([found, note].into_iter().flatten());
        if !leaf.stated.is_empty() {
            let stated = leaf.stated.iter();
            let all: Vec<String> = stated
                .map(|one| format!("{}{} at {}", one.text(), dated(one.date.as_deref()), one.path))
                .collect();
            text.push_str(": ");
            text.push_str(&all.join(", "));
        }
        text.push(')');
        let has_place = leaf.value.is_some() || leaf.stated.is_empty();
        text.extend(
            leaf.path
                .as_ref()
                .filter(|_| has_place)
                .map(|path| format!(" at {path}")),
        );
        text
    }
}

fn dated(date: Option<&str>) -> String {
    date.map(|date| format!(" dated {date}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn leaf(value: Option<Value>, unit: Option<&str>) -> Leaf {
        Leaf {
            fact: "spo2.rest".into(),
            label: Some("SpO2 at rest".into()),
            value,
            unit: unit.map(str::to_owned),
            date: None,
            path: None,
            test: "at_most \"88 %\"".into(),
            required: "88% or less".into(),
            negated: None,
            note: None,
            stated: Vec::new(),
        }
    }

    fn text(leaf: &Leaf) -> String {
        let required = leaf.required.clone();
        ShownTest { leaf, required }.text()
    }

    #[test]
    fn a_test_names_the_label_the_requirement_and_the_value_found() {
        let found = Leaf {
            date: Some("2026-09-24".into()),
            path: Some("$['res']".into()),
            ..leaf(Some(json!(91)), Some("%"))
        };
        assert_eq!(
            text(&found),
            "SpO2 at rest (required: 88% or less, found: 91% dated 2026-09-24) at $['res']"
        );
        let missing = Leaf {
            note: Some("nothing found".into()),
            label: None,
            ..leaf(None, None)
        };
        assert_eq!(text(&missing), "spo2.rest (required: 88% or less; nothing found)");
    }

    #[test]
    fn values_that_contradict_each_other_are_all_named() {
        let stated = |value: i32, date: Option<&str>, path: &str| StatedValue {
            value: json!(value),
            unit: Some("%".into()),
            date: date.map(str::to_owned),
            path: path.into(),
        };
        let contradicted = Leaf {
            path: Some("$['res']".into()),
            note: Some("the sources state different values".into()),
            stated: vec![
                stated(87, Some("2026-09-24"), "$['res']"),
                stated(97, None, "$['answers']"),
            ],
            ..leaf(None, None)
        };
        assert_eq!(
            text(&contradicted),
            "SpO2 at rest (required: 88% or less; the sources state different values: 87% dated 2026-09-24 at $['res'], \
             97% at $['answers'])"
        );
        let ranked = Leaf {
            path: Some("$['res']".into()),
            note: Some("a later source differs".into()),
            stated: vec![stated(97, None, "$['answers']")],
            ..leaf(Some(json!(87)), Some("%"))
        };
        assert_eq!(
            text(&ranked),
            "SpO2 at rest (required: 88% or less, found: 87%; a later source differs: 97% at $['answers']) at $['res']"
        );
    }

    #[test]
    fn a_value_is_shown_in_words() {
        for (value, unit, text) in [
            (json!(true), None, "yes"),
            (json!(false), None, "no"),
            (json!(87), Some("%"), "87%"),
            (json!(12), Some("mo"), "12 months"),
            (json!("rest-awake-room-air"), None, "rest awake room air"),
            (json!("2026-09-24"), None, "2026-09-24"),
        ] {
            assert_eq!(leaf(Some(value), unit).found().as_deref(), Some(text));
        }
        assert_eq!(leaf(None, None).found(), None);
    }

    #[test]
    fn a_negated_test_is_one_test_with_the_outcome_and_the_words_of_the_negation() {
        let test = TraceNode {
            outcome: Outcome::NotMet,
            criterion: None,
            text: None,
            cite: None,
            combine: None,
            of: Vec::new(),
            leaf: Some(Leaf {
                negated: Some("more than 88%".into()),
                ..leaf(Some(json!(91)), Some("%"))
            }),
        };
        let negation = |name: Option<&str>, part: &TraceNode| TraceNode {
            outcome: Outcome::Met,
            criterion: name.map(str::to_owned),
            combine: Some("not".into()),
            of: vec![part.clone()],
            leaf: None,
            ..test.clone()
        };
        let plain = negation(None, &test);
        let shown = plain.shown();
        assert_eq!(shown.outcome, Outcome::Met);
        assert_eq!(
            shown.test.unwrap().text(),
            "SpO2 at rest (required: more than 88%, found: 91%)"
        );
        // A criterion keeps its own line.
        let criterion = negation(Some("low"), &test);
        let shown = criterion.shown();
        assert!(shown.test.is_none() && shown.combine.is_none());
        assert_eq!(shown.of[0].outcome, Outcome::Met);
        assert_eq!(shown.of[0].test.as_ref().unwrap().required, "more than 88%");
        // The negation of anything else is named.
        let outer = negation(None, &criterion);
        let shown = outer.shown();
        assert!(shown.is_negation);
        assert_eq!(
            (shown.combine.as_deref(), shown.of[0].criterion),
            (Some("not"), Some("low"))
        );
        // A trace that was stored without the words of the negation.
        let mut stored = test.clone();
        stored.leaf.as_mut().unwrap().negated = None;
        assert_eq!(
            negation(None, &stored).shown().test.unwrap().required,
            "not 88% or less"
        );
    }
}
