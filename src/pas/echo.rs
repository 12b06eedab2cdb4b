//! Entries of a request that a response returns: with the same `fullUrl`, the same id and all identifiers, and with
//! absolute references so that every client can resolve them (PAS spec-31 to spec-33).

use crate::fhir::bundle::{BundleEntry, BundleIndex};
use crate::fhir::{object, put, reference};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The entries to return, collected by following the references of the response.
#[derive(Debug)]
pub(super) struct EchoedEntries<'a, 'i> {
    index: &'i BundleIndex<'a>,
    selected: BTreeSet<usize>,
}

impl<'a, 'i> EchoedEntries<'a, 'i> {
    /// No entries of the request yet.
    pub(super) fn new(index: &'i BundleIndex<'a>) -> Self {
        Self {
            index,
            selected: BTreeSet::new(),
        }
    }

    /// Adds an entry and everything that it references, and returns a `Reference` to it. Claims are not added, and
    /// references inside of a Bundle are not followed.
    pub(super) fn add(&mut self, entry: BundleEntry<'a>) -> Value {
        let mut pending = vec![entry];
        while let Some(entry) = pending.pop() {
            if entry.is_type("Claim") || !self.selected.insert(entry.index) || entry.is_type("Bundle") {
                continue;
            }
            reference::walk(entry.resource, "", &mut |literal, _| {
                pending.extend(self.index.resolve(literal, entry.full_url));
            });
        }
        json!({ "reference": entry.full_url })
    }

    /// The entries for the response Bundle, in the order of the request.
    pub(super) fn entries(&self) -> impl Iterator<Item = Value> + '_ {
        self.index
            .entries()
            .filter(|e| self.selected.contains(&e.index))
            .map(|entry| {
                let mut resource = entry.resource.clone();
                self.make_absolute(&mut resource, entry.full_url);
                object([("fullUrl", entry.full_url.into()), ("resource", resource)])
            })
    }

    /// Makes the references below `value` absolute; `from` is the full URL of the resource.
    fn make_absolute(&self, value: &mut Value, from: &str) {
        match value {
            Value::Object(members) => {
                let target = members
                    .get("reference")
                    .and_then(Value::as_str)
                    .and_then(|literal| self.index.resolve(literal, from))
                    .map(|entry| entry.full_url.to_owned());
                members
                    .values_mut()
                    .for_each(|member| self.make_absolute(member, from));
                if let Some(target) = target {
                    put(value, "reference", json!(target));
                }
            }
            Value::Array(list) => list
                .iter_mut()
                .for_each(|member| self.make_absolute(member, from)),
            _ => {}
        }
    }
}
