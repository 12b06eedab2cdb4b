//! The trace as text, for a terminal. It reads the verdict and evaluates nothing.

use crate::rules::shown_trace::ShownNode;
use crate::rules::verdict::{Decision, TraceNode, Verdict};
use std::fmt::Write;

/// The whole trace with the coverage answer and the decision: one node per line, two spaces per level.
pub fn trace_text(verdict: &Verdict) -> String {
    let mut text = String::new();
    let is_coverage = |node: &&TraceNode| node.criterion.is_none() && node.text.is_some();
    for node in verdict.trace.iter().filter(is_coverage) {
        write_node(&mut text, &node.shown(), 1);
    }
    write_line(
        &mut text,
        0,
        &format!("coverage: {}", verdict.coverage.summary_code()),
    );
    for node in verdict.trace.iter().filter(|node| !is_coverage(node)) {
        write_node(&mut text, &node.shown(), 0);
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

fn write_node(text: &mut String, node: &ShownNode<'_>, depth: usize) {
    let outcome = node.outcome.text();
    if let Some(test) = &node.test {
        write_line(text, depth, &format!("[{outcome}] {}", test.text()));
        return;
    }
    let mut inner = depth;
    if let Some(name) = node.criterion {
        let words = node.text.unwrap_or("");
        let cite = node.cite.map(|cite| format!(" ({cite})")).unwrap_or_default();
        write_line(text, depth, &format!("[{outcome}] {name}: {words}{cite}"));
        inner += 1;
    }
    if let Some(combine) = &node.combine {
        // Below a criterion the outcome is there already. A negation turns the outcomes below it around.
        let own = if node.is_negation && node.criterion.is_none() {
            format!("[{outcome}] ")
        } else {
            String::new()
        };
        write_line(text, inner, &format!("{own}{combine}:"));
        inner += 1;
    }
    for below in &node.of {
        write_node(text, below, inner);
    }
}

/// The words for `TraceNode::combine`: `all of`, `at least 2 of`.
pub(in crate::rules) fn combine_text(combine: &str) -> String {
    match combine {
        "all" => "all of".to_owned(),
        "any" => "any of".to_owned(),
        "first_known" => "first available value of".to_owned(),
        "not" => "not".to_owned(),
        other => format!("{} of", other.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_are_named_in_words() {
        assert_eq!(combine_text("all"), "all of");
        assert_eq!(combine_text("first_known"), "first available value of");
        assert_eq!(combine_text("at_least 2"), "at least 2 of");
    }
}
