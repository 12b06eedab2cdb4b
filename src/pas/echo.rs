//! What came with a request goes back with it: the same `fullUrl`, the same id, the whole identifier list, and every
//! reference made absolute so that each client resolves it (PAS spec-31 to spec-33).

use crate::fhir::bundle::{Entry, Index};
use crate::fhir::{put, reference};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The entries to echo, collected by following references from the parties of an answer.
#[derive(Debug)]
pub struct Echo<'a, 'i> {
    index: &'i Index<'a>,
    wanted: BTreeSet<usize>,
}

impl<'a, 'i> Echo<'a, 'i> {
    /// Nothing yet.
    pub fn new(index: &'i Index<'a>) -> Self {
        Self {
            index,
            wanted: BTreeSet::new(),
        }
    }

    /// Takes an entry and everything that can be reached from it; answers with the reference to it. A Claim is never
    /// taken.
    pub fn take(&mut self, entry: Entry<'a>) -> Value {
        let mut waiting = vec![entry];
        while let Some(entry) = waiting.pop() {
            if crate::fhir::resource_type(entry.resource) == Some("Claim") || !self.wanted.insert(entry.index)
            {
                continue;
            }
            if crate::fhir::resource_type(entry.resource) == Some("Bundle") {
                continue;
            }
            reference::walk(entry.resource, "", &mut |found, _| {
                waiting.extend(self.index.resolve(found, entry.full_url));
            });
        }
        json!({ "reference": entry.full_url })
    }

    /// The entries of the answer's bundle, in the order of the request.
    pub fn entries(&self) -> impl Iterator<Item = Value> + '_ {
        self.index
            .entries()
            .filter(|e| self.wanted.contains(&e.index))
            .map(|entry| {
                let mut resource = entry.resource.clone();
                self.make_absolute(&mut resource, entry.full_url);
                json!({ "fullUrl": entry.full_url, "resource": resource })
            })
    }

    fn make_absolute(&self, value: &mut Value, from: &str) {
        match value {
            Value::Object(members) => {
                let target = members
                    .get("reference")
                    .and_then(Value::as_str)
                    .and_then(|found| self.index.resolve(found, from))
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
