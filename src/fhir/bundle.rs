//! A Bundle and its entries, found by `fullUrl`, by `Type/id` and by resource type. The index is built once per
//! message.

use super::reference::{base_of, type_and_id, unversioned};
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// One entry with its place in the Bundle.
#[derive(Debug, Clone, Copy)]
pub struct BundleEntry<'a> {
    /// Its index in `Bundle.entry`.
    pub index: usize,
    /// `entry.fullUrl`; empty when it is missing.
    pub full_url: &'a str,
    /// `entry.resource`.
    pub resource: &'a Value,
}

impl BundleEntry<'_> {
    /// The FHIRPath of the resource: `Bundle.entry[0].resource`.
    pub fn path(&self) -> String {
        format!("Bundle.entry[{}].resource", self.index)
    }

    /// Whether the resource is of this type.
    pub fn is_type(&self, resource_type: &str) -> bool {
        super::resource_type(self.resource) == Some(resource_type)
    }
}

/// The entries of one Bundle, indexed.
#[derive(Debug, Default)]
pub struct BundleIndex<'a> {
    entries: Vec<BundleEntry<'a>>,
    by_url: HashMap<&'a str, usize>,
    /// By type and id; `None` if several entries have them.
    by_type_and_id: HashMap<(&'a str, &'a str), Option<usize>>,
}

impl<'a> BundleIndex<'a> {
    /// Indexes `Bundle.entry` without the entries that have no resource.
    pub fn new(bundle: &'a Value) -> Self {
        let entries = super::list(bundle, "entry")
            .enumerate()
            .filter_map(|(index, entry)| {
                let full_url = entry.get("fullUrl").and_then(Value::as_str).unwrap_or("");
                Some(BundleEntry {
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
            if let Some(key) = super::resource_type(entry.resource).zip(super::text(entry.resource, &["id"]))
            {
                let at = index.entries.len();
                let known = index.by_type_and_id.entry(key);
                known.and_modify(|several| *several = None).or_insert(Some(at));
            }
            index.entries.push(entry);
        }
        index
    }

    /// Every entry, in the order of the Bundle.
    pub fn entries(&self) -> impl Iterator<Item = BundleEntry<'a>> + '_ {
        self.entries.iter().copied()
    }

    /// The entries of one resource type.
    pub fn of_type<'s>(&'s self, resource_type: &'s str) -> impl Iterator<Item = BundleEntry<'a>> + 's {
        self.entries().filter(move |e| e.is_type(resource_type))
    }

    /// The entry that a literal reference names; `from` is the full URL of the resource that holds the reference
    /// (FHIR R4, "Resolving references in Bundles").
    pub fn resolve(&self, reference: &str, from: &str) -> Option<BundleEntry<'a>> {
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
        if base_of(from).is_some() {
            return None;
        }
        let only = self
            .by_type_and_id
            .get(&type_and_id(reference)?)
            .copied()
            .flatten();
        only.and_then(|n| self.entries.get(n)).copied()
    }
}

/// An error at `resourceType` unless the resource is a Bundle.
pub fn require_bundle(resource: &Value) -> Result<()> {
    let message = match super::resource_type(resource) {
        Some("Bundle") => return Ok(()),
        Some(_) => "The body must be a Bundle; it is another resource",
        None => "The body must be a Bundle; it has no resourceType",
    };
    Err(Error::malformed(message).at_element("resourceType"))
}

/// Parses the stored request of a case: the Bundle's text as `parameters::BundleBody` cut it out of the body. The one
/// reader of stored requests; a text that cannot be parsed is a fault of the server.
pub fn parse_stored_request(text: &str, case: impl fmt::Display) -> Result<Value> {
    let unreadable =
        |cause: String| Error::internal(format!("the request of case {case} cannot be read: {cause}"));
    let bundle = serde_json::from_str(text).map_err(|e| unreadable(e.to_string()))?;
    require_bundle(&bundle).map_err(|e| unreadable(e.to_string()))?;
    Ok(bundle)
}
