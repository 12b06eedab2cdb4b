//! The trace as text, for a terminal, and the words that every page uses for a test and its value. It reads the verdict
//! and evaluates nothing.

use crate::rules::units::{name_text, quantity_text};
use crate::rules::verdict::{Decision, Leaf, TraceNode, Verdict};
use serde_json::Value;
use std::fmt::Write;

/// The whole trace with the coverage answer and the decision: one node per line, two spaces per level.
pub fn trace_text(verdict: &Verdict) -> String {
    let mut text = String::new();
    let is_coverage = |node: &&TraceNode| node.criterion.is_none() && node.text.is_some();
    for node in verdict.trace.iter().filter(is_coverage) {
        write_node(&mut text, node, 1);
    }
    write_line(
        &mut text,
        0,
        &format!("coverage: {}", verdict.coverage.summary_code()),
    );
    for node in verdict.trace.iter().filter(|node| !is_coverage(node)) {
        write_node(&mut text, node, 0);
    }
    write_line(
        &mut text,
        0,
        &format!("decision: {}", decision_text(&verdict.decision)),
    );
    if let Some(error) = &verdict.error {
        write_line(&mut text, 0, &format!("error: {error}"));
    }
    text
}

fn decision_text(decision: &Decision) -> String {
    match decision {
        Decision::Approve(_) => "approve".into(),
        Decision::NotRequired { .. } => "not-required".into(),
        Decision::Pend(pend) => format!("pend to {} ({})", pend.queue, pend.reason),
    }
}

fn write_line(text: &mut String, depth: usize, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:width$}{line}", "", width = depth * 2);
}

fn write_node(text: &mut String, node: &TraceNode, depth: usize) {
    let outcome = node.outcome.text();
    if let Some(leaf) = &node.leaf {
        write_line(text, depth, &format!("[{outcome}] {}", leaf.text()));
        return;
    }
    let mut inner = depth;
    if let Some(name) = &node.criterion {
        let words = node.text.as_deref().unwrap_or("");
        let cite = node
            .cite
            .as_ref()
            .map(|cite| format!(" ({cite})"))
            .unwrap_or_default();
        write_line(text, depth, &format!("[{outcome}] {name}: {words}{cite}"));
        inner += 1;
    }
    if let Some(combine) = &node.combine {
        write_line(text, inner, &format!("{}:", combine_text(combine)));
        inner += 1;
    }
    for below in &node.of {
        write_node(text, below, inner);
    }
}

/// The words for `TraceNode::combine`: `all of`, `at least 2 of`.
pub fn combine_text(combine: &str) -> String {
    match combine {
        "all" => "all of".to_owned(),
        "any" => "any of".to_owned(),
        "first_known" => "first available value of".to_owned(),
        "not" => "not".to_owned(),
        other => format!("{} of", other.replace('_', " ")),
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
        let value = match self.value.as_ref()? {
            Value::String(text) => name_text(text),
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            other => quantity_text(&other.to_string(), self.unit.as_deref()),
        };
        Some(value)
    }

    /// The test in one line: `SpO2 at rest (required: 88% or less, found: 91% dated 2026-09-24) at $['res']…`.
    fn text(&self) -> String {
        let mut text = format!("{} (required: {}", self.title(), self.required);
        let found = self.found().map(|found| format!(", found: {found}"));
        let date = self.date.as_ref().map(|date| format!(" dated {date}"));
        let note = self.note.as_ref().map(|note| format!("; {note}"));
        text.extend([found, date, note].into_iter().flatten());
        text.push(')');
        text.extend(self.path.as_ref().map(|path| format!(" at {path}")));
        text
    }
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
            note: None,
        }
    }

    #[test]
    fn a_test_names_the_label_the_requirement_and_the_value_found() {
        let found = Leaf {
            date: Some("2026-09-24".into()),
            path: Some("$['res']".into()),
            ..leaf(Some(json!(91)), Some("%"))
        };
        assert_eq!(
            found.text(),
            "SpO2 at rest (required: 88% or less, found: 91% dated 2026-09-24) at $['res']"
        );
        let missing = Leaf {
            note: Some("nothing found".into()),
            label: None,
            ..leaf(None, None)
        };
        assert_eq!(missing.text(), "spo2.rest (required: 88% or less; nothing found)");
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
    fn combinations_are_named_in_words() {
        assert_eq!(combine_text("all"), "all of");
        assert_eq!(combine_text("first_known"), "first available value of");
        assert_eq!(combine_text("at_least 2"), "at least 2 of");
    }
}
