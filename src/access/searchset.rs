//! The response to a search: which matches are on the page, the Bundle with them, newest first or in the requested order,
//! and the included resources.

use super::explanation_of_benefit::ResponseContext;
use super::records::MemberRecords;
use super::search::{Search, SearchableType};
use super::sort::sort;
use super::subset::Subset;
use crate::fhir::dates::instant_text;
use crate::fhir::{self, decimals};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The matches of one page.
#[derive(Debug)]
pub struct Page<T> {
    /// The number of matches on all pages.
    pub total: usize,
    /// The id of the last match of the page if another page follows.
    pub next_after: Option<String>,
    /// The matches.
    pub matches: Vec<T>,
}

impl<T> Page<T> {
    /// A page without matches.
    pub fn empty(total: usize) -> Self {
        Self {
            total,
            next_after: None,
            matches: Vec::new(),
        }
    }
}

/// Selects the page from candidates, each a resource with what is returned for it. They are in the order in which they
/// are returned without `_sort`.
pub fn select<T>(candidates: Vec<(Value, T)>, search: &Search, now: DateTime<Utc>) -> Page<T> {
    let mut matches = candidates;
    matches.retain(|(resource, _)| search.matches(resource, now));
    sort(&mut matches, &search.sort_keys);
    let total = matches.len();
    let count = search.page_size();
    let remaining = after_earlier_pages(matches, search);
    let last = remaining.get(..count).and_then(<[_]>::last);
    let next_after = last
        .filter(|_| remaining.len() > count)
        .map(|(resource, _)| id(resource).to_owned());
    Page {
        total,
        next_after,
        matches: remaining
            .into_iter()
            .take(count)
            .map(|(_, returned)| returned)
            .collect(),
    }
}

/// A resource as text, ready to be put into a Bundle.
#[derive(Debug)]
pub struct Entry {
    /// `Type/id`.
    pub reference: String,
    /// The JSON.
    pub text: String,
}

impl Entry {
    /// The part of a resource that the search asks for.
    pub fn new(resource: Value, subset: &Subset) -> Self {
        let resource_type = fhir::resource_type(&resource).unwrap_or("");
        Self {
            reference: format!("{resource_type}/{}", id(&resource)),
            text: decimals::write(&subset.of(resource)),
        }
    }
}

/// Finds the matches among the records and writes the Bundle. `may_read` tells which resource types the token's scopes
/// allow; resources of other types are not included.
pub fn searchset(
    records: &MemberRecords,
    searchable: &SearchableType,
    search: &Search,
    context: ResponseContext<'_>,
    may_read: &dyn Fn(&str) -> bool,
) -> String {
    let candidates = records.resources_of_type(searchable.name, context);
    let candidates = candidates
        .into_iter()
        .map(|resource| (resource.clone(), resource));
    let page = select(candidates.collect(), search, context.now);
    let included = included_resources(records, search, &page.matches, context, may_read);
    let entries = page
        .matches
        .into_iter()
        .map(|resource| Entry::new(resource, &search.subset));
    let page = Page {
        total: page.total,
        next_after: page.next_after,
        matches: entries.collect(),
    };
    write_bundle(searchable, search, context, &page, included)
}

/// Writes the Bundle by joining the texts of its resources.
pub fn write_bundle(
    searchable: &SearchableType,
    search: &Search,
    context: ResponseContext<'_>,
    page: &Page<Entry>,
    included: Vec<Value>,
) -> String {
    let base = format!("{}{}", context.public_url, super::BASE);
    let link = |relation: &str, query: String| {
        let separator = if query.is_empty() { "" } else { "?" };
        json!({ "relation": relation, "url": format!("{base}/{}{separator}{query}", searchable.name) })
    };
    let next = page
        .next_after
        .as_deref()
        .map(|last| link("next", search.to_query(Some(last))));
    let links: Vec<Value> = std::iter::once(link("self", search.to_query(None)))
        .chain(next)
        .collect();
    // `_elements` is about the matches alone.
    let of_included = match &search.subset {
        Subset::Elements(_) => &Subset::Whole,
        other => other,
    };
    let included: Vec<Entry> = included
        .into_iter()
        .map(|resource| Entry::new(resource, of_included))
        .collect();
    let matches = page.matches.iter().map(|entry| (entry, "match"));
    let entries = || {
        matches
            .clone()
            .chain(included.iter().map(|entry| (entry, "include")))
    };
    let size: usize = entries()
        .map(|(entry, _)| entry.text.len() + base.len() + 160)
        .sum();
    let mut text = String::with_capacity(size + 1024);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"timestamp\":{},\"total\":{},\"link\":{}",
        json!(instant_text(context.now)),
        page.total,
        json!(links),
    );
    let mut opening = ",\"entry\":[";
    for (entry, mode) in entries() {
        let url = json!(format!("{base}/{}", entry.reference));
        let _ = write!(
            text,
            "{opening}{{\"fullUrl\":{url},\"resource\":{},\"search\":{{\"mode\":\"{mode}\"}}}}",
            entry.text
        );
        opening = ",";
    }
    // FHIR does not allow an empty list.
    text.push_str(if opening == "," { "]}" } else { "}" });
    text
}

fn id(resource: &Value) -> &str {
    fhir::text(resource, &["id"]).unwrap_or("")
}

/// The matches that were on no earlier page: those behind the last match of the previous page. A page stays the same if
/// a new case arrives while the caller reads page by page.
fn after_earlier_pages<T>(matches: Vec<(Value, T)>, search: &Search) -> Vec<(Value, T)> {
    let Some(last) = search.after.as_deref() else {
        return matches;
    };
    match matches.iter().position(|(resource, _)| id(resource) == last) {
        Some(at) => matches.into_iter().skip(at + 1).collect(),
        // It does not match any more. Ids are in order of time, and pages start with the newest.
        None => matches
            .into_iter()
            .filter(|(resource, _)| id(resource) < last)
            .collect(),
    }
}

/// The resources that the matches of a page refer to, as far as the search asks for them.
pub fn included_resources(
    records: &MemberRecords,
    search: &Search,
    page: &[Value],
    context: ResponseContext<'_>,
    may_read: &dyn Fn(&str) -> bool,
) -> Vec<Value> {
    let mut included: BTreeSet<String> = BTreeSet::new();
    for path in &search.include_paths {
        included.extend(page.iter().flat_map(|resource| references(resource, path)));
    }
    if search.include_payor
        && included
            .iter()
            .any(|reference| reference.starts_with("Coverage/"))
    {
        included.insert(super::stored_request::PAYER_REFERENCE.to_owned());
    }
    let is_match = |reference: &str| {
        page.iter()
            .any(|resource| reference.rsplit('/').next() == Some(id(resource)))
    };
    included
        .iter()
        .filter(|reference| !is_match(reference) && reference.split('/').next().is_some_and(may_read))
        .filter_map(|reference| records.resource_at(reference, context))
        .collect()
}

/// The literal references at a path. `*` stands for every element of a list.
fn references(resource: &Value, path: &str) -> Vec<String> {
    let mut values = vec![resource];
    for step in path.split('/').skip(1) {
        values = values
            .into_iter()
            .flat_map(|value| match (step, value) {
                ("*", Value::Array(list)) => list.iter().collect(),
                _ => value.get(step).into_iter().collect::<Vec<_>>(),
            })
            .collect();
    }
    values
        .into_iter()
        .filter_map(|value| fhir::text(value, &["reference"]))
        .map(str::to_owned)
        .collect()
}
