//! Builds the response to a search: the matches of one page, newest first or in the requested order, and the included
//! resources.

use super::explanation_of_benefit::ResponseContext;
use super::json::{put_nonempty, put_optional};
use super::records::MemberRecords;
use super::search::{Search, SearchableType};
use super::sort::sort;
use super::subset::Subset;
use crate::fhir;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Builds the searchset Bundle. `may_read` tells which resource types the token's scopes allow; resources of other
/// types are not included.
pub fn searchset(
    records: &MemberRecords,
    searchable: &SearchableType,
    search: &Search,
    context: ResponseContext<'_>,
    may_read: &dyn Fn(&str) -> bool,
) -> Value {
    let base = format!("{}{}", context.public_url, super::BASE);
    let mut matches: Vec<Value> = records
        .resources_of_type(searchable.name, context)
        .into_iter()
        .filter(|resource| search.matches(resource, context.now))
        .collect();
    sort(&mut matches, &search.sort_keys);
    let total = matches.len();
    let count = if search.subset == Subset::Count {
        0
    } else {
        search.count
    };
    let remaining = after_earlier_pages(matches, search);
    let has_more = remaining.len() > count && count > 0;
    let page: Vec<Value> = remaining.into_iter().take(count).collect();
    let link = |relation: &str, query: String| {
        let separator = if query.is_empty() { "" } else { "?" };
        json!({ "relation": relation, "url": format!("{base}/{}{separator}{query}", searchable.name) })
    };
    let next_link = page
        .last()
        .filter(|_| has_more)
        .map(|last| link("next", search.to_query(Some(id(last)))));
    let included = included_resources(records, search, &page, context, may_read);
    // `_elements` is about the matches alone.
    let of_included = match &search.subset {
        Subset::Elements(_) => &Subset::Whole,
        other => other,
    };
    let page_entries = page
        .into_iter()
        .map(|resource| entry(&base, &search.subset.of(resource), "match"));
    let included = included
        .into_iter()
        .map(|resource| entry(&base, &of_included.of(resource), "include"));
    let entries: Vec<Value> = page_entries.chain(included).collect();
    let mut bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total,
        "link": std::iter::once(link("self", search.to_query(None))).chain(next_link).collect::<Vec<_>>(),
    });
    put_nonempty(&mut bundle, "entry", entries);
    put_optional(
        &mut bundle,
        "timestamp",
        Some(json!(fhir::dates::instant_text(context.now))),
    );
    bundle
}

fn id(resource: &Value) -> &str {
    fhir::text(resource, &["id"]).unwrap_or("")
}

/// The matches that were on no earlier page: those behind the last match of the previous page. A page stays the same if
/// a new case arrives while the caller reads page by page.
fn after_earlier_pages(matches: Vec<Value>, search: &Search) -> Vec<Value> {
    let Some(last) = search.after.as_deref() else {
        return matches;
    };
    match matches.iter().position(|resource| id(resource) == last) {
        Some(at) => matches.into_iter().skip(at + 1).collect(),
        // It does not match any more. Ids are in order of time, and pages start with the newest.
        None => matches
            .into_iter()
            .filter(|resource| id(resource) < last)
            .collect(),
    }
}

fn entry(base: &str, resource: &Value, mode: &str) -> Value {
    let resource_type = fhir::resource_type(resource).unwrap_or("");
    json!({
        "fullUrl": format!("{base}/{resource_type}/{}", id(resource)),
        "resource": resource,
        "search": { "mode": mode },
    })
}

fn included_resources(
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
