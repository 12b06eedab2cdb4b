//! The trace as text, for a person at a terminal or on the case screen. It reads the verdict only; nothing is
//! evaluated here.

use crate::rules::evaluate::verdict::{Decision, Leaf, TraceNode, Verdict};
use serde_json::Value;
use std::fmt::Write;

/// The whole trace with the coverage answer and the decision, one node a line, two spaces a level.
pub fn readable(verdict: &Verdict) -> String {
    let mut text = String::new();
    let is_coverage = |n: &&TraceNode| n.criterion.is_none() && n.text.is_some();
    for node in verdict.trace.iter().filter(is_coverage) {
        write_node(&mut text, node, 1);
    }
    line(&mut text, 0, &format!("coverage: {}", verdict.coverage.word()));
    for node in verdict.trace.iter().filter(|n| !is_coverage(n)) {
        write_node(&mut text, node, 0);
    }
    line(
        &mut text,
        0,
        &format!("decision: {}", decision(&verdict.decision)),
    );
    if let Some(error) = &verdict.error {
        line(&mut text, 0, &format!("error: {error}"));
    }
    text
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Approve(_) => "approve".into(),
        Decision::NotRequired { .. } => "not-required".into(),
        Decision::Pend(pend) => format!("pend to {} ({})", pend.queue, pend.reason),
    }
}

fn line(text: &mut String, depth: usize, words: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:width$}{words}", "", width = depth * 2);
}

fn write_node(text: &mut String, node: &TraceNode, depth: usize) {
    let outcome = node.outcome.word();
    if let Some(leaf) = &node.leaf {
        line(text, depth, &format!("[{outcome}] {}", leaf_text(leaf)));
        return;
    }
    let mut inner = depth;
    if let Some(name) = &node.criterion {
        let words = node.text.as_deref().unwrap_or("");
        let cite = node.cite.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
        line(text, depth, &format!("[{outcome}] {name}: {words}{cite}"));
        inner += 1;
    }
    if let Some(combine) = &node.combine {
        line(text, inner, &format!("{combine} of:"));
        inner += 1;
    }
    for below in &node.of {
        write_node(text, below, inner);
    }
}

fn leaf_text(leaf: &Leaf) -> String {
    let mut words = format!("{} = ", leaf.fact);
    words += &match &leaf.value {
        None => "none".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    for (before, part, after) in [
        (" ", &leaf.unit, ""),
        (" on ", &leaf.date, ""),
        (" (", &leaf.note, ")"),
        ("; wants ", &Some(leaf.wants.clone()), ""),
        ("  <- ", &leaf.path, ""),
    ] {
        if let Some(part) = part {
            words.extend([before, part, after]);
        }
    }
    words
}
