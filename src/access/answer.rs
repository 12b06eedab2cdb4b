//! The answer to a search: matches newest first, a page at a time, with the resources that were asked to come along.

use super::build::{put_list, put_some};
use super::chart::Chart;
use super::explanation_of_benefit::Setting;
use super::search::{Kind, Search};
use crate::fhir;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The Bundle. `may` says which types the token may read: others do not come along.
pub fn searchset(
    chart: &Chart,
    kind: &Kind,
    search: &Search,
    setting: Setting<'_>,
    may: &dyn Fn(&str) -> bool,
) -> Value {
    let base = format!("{}{}", setting.public_url, super::BASE);
    let matches: Vec<Value> = chart
        .all(kind.name, setting)
        .into_iter()
        .filter(|r| search.matches(r, setting.now))
        .collect();
    let total = matches.len();
    let rest: Vec<Value> = matches.into_iter().skip_while(|r| is_before(r, search)).collect();
    let more = rest.len() > search.count && search.count > 0;
    let page: Vec<Value> = rest.into_iter().take(search.count).collect();
    let link = |relation: &str, query: String| {
        let mark = if query.is_empty() { "" } else { "?" };
        json!({ "relation": relation, "url": format!("{base}/{}{mark}{query}", kind.name) })
    };
    let next = page
        .last()
        .filter(|_| more)
        .map(|last| link("next", search.query(Some(id(last)))));
    let mut entries: Vec<Value> = page.iter().map(|r| entry(&base, r, "match")).collect();
    entries.extend(
        included(chart, search, &page, setting, may)
            .iter()
            .map(|r| entry(&base, r, "include")),
    );
    let mut bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total,
        "link": std::iter::once(link("self", search.query(None))).chain(next).collect::<Vec<_>>(),
    });
    put_list(&mut bundle, "entry", entries);
    put_some(
        &mut bundle,
        "timestamp",
        Some(json!(fhir::dates::instant_text(setting.now))),
    );
    bundle
}

fn id(resource: &Value) -> &str {
    fhir::text(resource, &["id"]).unwrap_or("")
}

/// Whether a match stood on an earlier page: ids sort by time, and pages run from the newest. The mark of a page thus
/// holds also when a newer case arrives in between.
fn is_before(resource: &Value, search: &Search) -> bool {
    search.after.as_deref().is_some_and(|after| id(resource) >= after)
}

fn entry(base: &str, resource: &Value, mode: &str) -> Value {
    let kind = fhir::resource_type(resource).unwrap_or("");
    json!({
        "fullUrl": format!("{base}/{kind}/{}", id(resource)),
        "resource": resource,
        "search": { "mode": mode },
    })
}

fn included(
    chart: &Chart,
    search: &Search,
    page: &[Value],
    setting: Setting<'_>,
    may: &dyn Fn(&str) -> bool,
) -> Vec<Value> {
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for path in &search.follow {
        wanted.extend(page.iter().flat_map(|r| references(r, path)));
    }
    if search.follow_payor && wanted.iter().any(|address| address.starts_with("Coverage/")) {
        wanted.insert(super::request::PAYER.to_owned());
    }
    let is_match = |address: &str| page.iter().any(|r| address.rsplit('/').next() == Some(id(r)));
    wanted
        .iter()
        .filter(|address| !is_match(address) && address.split('/').next().is_some_and(may))
        .filter_map(|address| chart.at(address, setting))
        .collect()
}

/// The literal references at a path; `*` stands for each element of a list.
fn references(resource: &Value, path: &str) -> Vec<String> {
    let mut at = vec![resource];
    for step in path.split('/').skip(1) {
        at = at
            .into_iter()
            .flat_map(|value| match (step, value) {
                ("*", Value::Array(list)) => list.iter().collect(),
                _ => value.get(step).into_iter().collect::<Vec<_>>(),
            })
            .collect();
    }
    at.into_iter()
        .filter_map(|value| fhir::text(value, &["reference"]))
        .map(str::to_owned)
        .collect()
}
