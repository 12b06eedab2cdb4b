//! The hash of a trace. It is over the trace's canonical JSON: members sorted, no white space, every member written. Words
//! for readers are left out, so that a change of words does not change the hash of a stored case.

use crate::rules::verdict::{Leaf, StatedValue, TraceNode, hex};
use aws_lc_rs::digest::{Context, SHA256};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::io;

/// `sha256:…` of the canonical JSON of a trace.
pub fn hash_trace(trace: &[TraceNode]) -> String {
    let nodes: Vec<Node<'_>> = trace.iter().map(Node).collect();
    let mut hash = HashWriter(Context::new(&SHA256));
    // Neither the types nor the writer can fail.
    let _ = serde_json::to_writer(&mut hash, &nodes);
    format!("sha256:{}", hex(hash.0.finish().as_ref()))
}

/// Hashes what is written to it.
struct HashWriter(Context);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A node with its members in the order of their names.
struct Node<'a>(&'a TraceNode);

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TraceNode {
            outcome,
            criterion,
            text,
            cite,
            combine,
            of,
            leaf,
        } = self.0;
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("cite", cite)?;
        map.serialize_entry("combine", combine)?;
        map.serialize_entry("criterion", criterion)?;
        map.serialize_entry("leaf", &leaf.as_ref().map(LeafWithoutWords))?;
        map.serialize_entry("of", &of.iter().map(Node).collect::<Vec<_>>())?;
        map.serialize_entry("outcome", outcome)?;
        map.serialize_entry("text", text)?;
        map.end()
    }
}

/// A leaf without `label`, `required` and `negated`.
struct LeafWithoutWords<'a>(&'a Leaf);

impl Serialize for LeafWithoutWords<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let leaf = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("date", &leaf.date)?;
        map.serialize_entry("fact", &leaf.fact)?;
        map.serialize_entry("note", &leaf.note)?;
        map.serialize_entry("path", &leaf.path)?;
        if !leaf.stated.is_empty() {
            map.serialize_entry("stated", &leaf.stated.iter().map(Stated).collect::<Vec<_>>())?;
        }
        map.serialize_entry("test", &leaf.test)?;
        map.serialize_entry("unit", &leaf.unit)?;
        map.serialize_entry("value", &leaf.value)?;
        map.end()
    }
}

struct Stated<'a>(&'a StatedValue);

impl Serialize for Stated<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("date", &self.0.date)?;
        map.serialize_entry("path", &self.0.path)?;
        map.serialize_entry("unit", &self.0.unit)?;
        map.serialize_entry("value", &self.0.value)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::verdict::Outcome;
    use serde_json::json;

    #[test]
    fn the_hash_is_over_sorted_members_and_without_words() {
        let leaf = Leaf {
            fact: "spo2".into(),
            label: Some("Oxygen saturation".into()),
            value: Some(json!({ "b": 1, "a": 2 })),
            unit: None,
            date: None,
            path: None,
            test: "at_most 88".into(),
            required: "88 or less".into(),
            negated: None,
            note: Some("contradicting values".into()),
            stated: vec![StatedValue {
                value: json!(87),
                unit: Some("%".into()),
                date: None,
                path: "$".into(),
            }],
        };
        let node = TraceNode {
            outcome: Outcome::Unknown,
            criterion: Some("c".into()),
            text: None,
            cite: None,
            combine: Some("all".into()),
            of: Vec::new(),
            leaf: Some(leaf),
        };
        let canonical = r#"[{"cite":null,"combine":"all","criterion":"c","leaf":{"date":null,"fact":"spo2","note":"contradicting values","path":null,"stated":[{"date":null,"path":"$","unit":"%","value":87}],"test":"at_most 88","unit":null,"value":{"a":2,"b":1}},"of":[],"outcome":"unknown","text":null}]"#;
        assert_eq!(hash_trace(&[node]), crate::rules::sha256(canonical.as_bytes()));
        assert_eq!(hash_trace(&[]), crate::rules::sha256(b"[]"));
    }
}
