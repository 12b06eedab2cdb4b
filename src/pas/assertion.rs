//! The CRD assertion that a request refers to: the coverage-assertion-id in the coverage information of an order that
//! was sent with the request.

use super::request::Request;
use crate::error::{Error, Result};
use crate::fhir;
use crate::fhir::bundle::BundleEntry;
use crate::ig::crd::COVERAGE_INFORMATION;
use crate::plan::Member;
use crate::store::assertions::Assertion;

/// The coverage-assertion-id that the request names, and the entry that names it.
pub(super) fn named<'a>(request: &Request<'a>) -> Option<(&'a str, BundleEntry<'a>)> {
    request.index.entries().find_map(|entry| {
        let information = fhir::extension(entry.resource, COVERAGE_INFORMATION)?;
        let id = fhir::extension(information, "coverage-assertion-id")?;
        Some((fhir::text(id, &["valueString"])?, entry))
    })
}

/// The coverage-assertion-id that the request names. An id that this server did not issue to this client for this
/// member is an error. `found` is the client's assertion with this id.
pub(super) fn check(
    request: &Request<'_>,
    found: Option<&Assertion>,
    member: &Member,
) -> Result<Option<String>> {
    let Some((id, entry)) = named(request) else {
        return Ok(None);
    };
    if found.is_some_and(|assertion| assertion.member == Some(member.id)) {
        return Ok(Some(id.to_owned()));
    }
    Err(Error::invalid(
        format!("{}.extension('{COVERAGE_INFORMATION}')", entry.path()),
        "This server did not issue this coverage-assertion-id to this client for this member",
    ))
}
