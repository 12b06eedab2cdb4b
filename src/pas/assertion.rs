//! The CRD assertion that a request refers to: the coverage-assertion-id in the coverage information of an order that
//! was sent with the request.

use super::submit_call::SubmitCall;
use crate::error::{Error, Result};
use crate::fhir;
use crate::ig::crd::COVERAGE_INFORMATION;
use crate::plan::Member;

/// The coverage-assertion-id that the request names. An id that this server did not issue to this client for this
/// member is an error.
pub(super) async fn find(call: &SubmitCall<'_>, member: &Member) -> Result<Option<String>> {
    let named = call.request.index.entries().find_map(|entry| {
        let information = fhir::extension(entry.resource, COVERAGE_INFORMATION)?;
        let id = fhir::extension(information, "coverage-assertion-id")?;
        Some((fhir::text(id, &["valueString"])?.to_owned(), entry.path()))
    });
    let Some((id, path)) = named else { return Ok(None) };
    let assertion = call
        .state
        .store
        .read((id.clone(), call.client.id), |tx, (id, client)| {
            Box::pin(async move { tx.assertion(id, *client).await })
        })
        .await?;
    if assertion.is_some_and(|a| a.member == Some(member.id)) {
        return Ok(Some(id));
    }
    Err(Error::invalid(
        format!("{path}.extension('{COVERAGE_INFORMATION}')"),
        "This server did not issue this coverage-assertion-id to this client for this member",
    ))
}
