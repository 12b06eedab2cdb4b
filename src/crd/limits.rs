//! The limits of a call that keep its work bounded: how many resources it has, and how many of them are Coverages. The
//! number of orders is checked when the call is read.

use super::call_resources::CallResources;
use crate::error::{Error, Issue, IssueCode, Result};
use crate::fhir::list;

/// The largest number of Coverages of one call. A patient has a few.
const MAX_COVERAGES: usize = 64;

/// Refuses a call with more than `most` resources, contained ones included, or with too many Coverages.
pub(super) fn check_resources(resources: &CallResources<'_>, most: usize) -> Result<()> {
    let all = resources.resources().all();
    let contained = all
        .iter()
        .map(|located| list(located.resource, "contained").count());
    let count = all.len() + contained.sum::<usize>();
    if count > most {
        return Err(too_many("prefetch", "resources", count, most));
    }
    let coverages = resources.of_type("Coverage").count();
    if coverages > MAX_COVERAGES {
        return Err(too_many(
            "prefetch.coverage",
            "Coverages",
            coverages,
            MAX_COVERAGES,
        ));
    }
    Ok(())
}

fn too_many(place: &str, what: &str, count: usize, most: usize) -> Error {
    let message = format!("The call has {count} {what}, and this server accepts at most {most} in one call");
    Error::with_issues(vec![Issue::error(IssueCode::TooCostly, place, message)])
}
