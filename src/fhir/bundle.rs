//! A bundle's entries, found by `fullUrl`, by `Type/id` and by type. Built once per message.

use super::reference::{base_of, type_and_id, unversioned};
use serde_json::Value;
use std::collections::HashMap;

/// One entry with its place in the bundle.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its index in `Bundle.entry`.
    pub index: usize,
    /// Its `fullUrl`; empty when the message has none.
    pub full_url: &'a str,
    /// The resource.
    pub resource: &'a Value,
}

impl Entry<'_> {
    /// The FHIRPath of its resource.
    pub fn path(&self) -> String {
        format!("Bundle.entry[{}].resource", self.index)
    }
}

/// The entries of one bundle, indexed.
#[derive(Debug, Default)]
pub struct Index<'a> {
    entries: Vec<Entry<'a>>,
    by_url: HashMap<&'a str, usize>,
}

impl<'a> Index<'a> {
    /// Indexes `Bundle.entry`; entries without a resource are left out.
    pub fn of(bundle: &'a Value) -> Self {
        let entries = super::list(bundle, "entry")
            .enumerate()
            .filter_map(|(index, entry)| {
                let full_url = entry.get("fullUrl").and_then(Value::as_str).unwrap_or("");
                Some(Entry {
                    index,
                    full_url,
                    resource: entry.get("resource")?,
                })
            });
        let mut index = Self::default();
        for entry in entries {
            if !entry.full_url.is_empty() {
                index
                    .by_url
                    .entry(unversioned(entry.full_url))
                    .or_insert(index.entries.len());
            }
            index.entries.push(entry);
        }
        index
    }

    /// Every entry in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + '_ {
        self.entries.iter().copied()
    }

    /// The entries of one resource type.
    pub fn of_type<'s>(&'s self, resource_type: &'s str) -> impl Iterator<Item = Entry<'a>> + 's {
        self.entries()
            .filter(move |e| super::resource_type(e.resource) == Some(resource_type))
    }

    /// The entry that `reference` names when it stands in a resource with the full URL `from`.
    pub fn resolve(&self, reference: &str, from: &str) -> Option<Entry<'a>> {
        let reference = unversioned(reference);
        let exact = |url: &str| self.by_url.get(url).and_then(|n| self.entries.get(*n)).copied();
        if let Some(entry) = exact(reference) {
            return Some(entry);
        }
        if reference.contains(':') {
            return None;
        }
        if let Some(entry) = base_of(from).and_then(|base| exact(&format!("{base}{reference}"))) {
            return Some(entry);
        }
        let (resource_type, id) = type_and_id(reference)?;
        let mut same = self
            .of_type(resource_type)
            .filter(|e| super::text(e.resource, &["id"]) == Some(id));
        match (same.next(), same.next()) {
            (Some(only), None) if base_of(from).is_none() => Some(only),
            _ => None,
        }
    }
}
