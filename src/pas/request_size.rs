//! The size of a request: how many items and entries it may have. Anything within the limits is answered in a time that
//! grows with its size only.

use crate::config::Limits;
use crate::error::{Error, Issue, IssueCode, Result};
use crate::fhir::{self, list};
use serde_json::Value;

/// The number of items of the Claim that is the Bundle's first entry. An error names every limit that the Bundle
/// exceeds, with the place.
pub(super) fn check_size(limits: &Limits, bundle: &Value) -> Result<usize> {
    let claim = list(bundle, "entry")
        .next()
        .and_then(|entry| entry.get("resource"));
    let items = claim.map_or(0, |claim| list(claim, "item").count());
    let mut issues = Vec::new();
    let mut limit = |place: &str, what: &str, number: usize, most: usize| {
        if number > most {
            let message =
                format!("This server accepts at most {most} {what} in one request. Send several requests.");
            issues.push(Issue::error(IssueCode::TooCostly, place, message));
        }
    };
    limit("Bundle.entry", "entries", count_entries(bundle), limits.entries);
    limit("Bundle.entry[0].resource.item", "items", items, limits.items);
    if issues.is_empty() {
        Ok(items)
    } else {
        Err(Error::with_issues(issues))
    }
}

/// The entries of a Bundle and of the Bundles in it, with the resources that they contain.
fn count_entries(bundle: &Value) -> usize {
    let resources = list(bundle, "entry").filter_map(|entry| entry.get("resource"));
    let below = resources.map(|resource| match fhir::resource_type(resource) {
        Some("Bundle") => count_entries(resource),
        _ => list(resource, "contained").count(),
    });
    list(bundle, "entry").count() + below.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use serde_json::json;

    #[test]
    fn entries_of_inner_bundles_count_too() {
        let inner = json!({ "resourceType": "Bundle", "entry": [{}, { "resource": { "contained": [{}] } }] });
        let bundle = json!({ "entry": [{ "resource": { "item": [{}, {}] } }, { "resource": inner }] });
        assert_eq!(count_entries(&bundle), 5);
        let mut limits = Config::defaults().unwrap().limits;
        assert_eq!(check_size(&limits, &bundle).unwrap(), 2);
        limits.entries = 4;
        limits.items = 1;
        let error = check_size(&limits, &bundle).unwrap_err();
        let places: Vec<&str> = error.issues().iter().map(|i| i.expression.as_str()).collect();
        assert_eq!(places, ["Bundle.entry", "Bundle.entry[0].resource.item"]);
    }
}
