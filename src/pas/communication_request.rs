//! Requests for additional information in the response to a pended request: one `CommunicationRequest` per document,
//! and the DTR context of a questionnaire package (PAS 2.2.1, section "Request for additional information", ainfo-1
//! to ainfo-6). They ask for what the policies need. They never contain comments of reviewers.

use super::echo::EchoedEntries;
use super::requester;
use super::response_context::ResponseContext;
use crate::fhir::coding::concept;
use crate::fhir::put;
use crate::ig::pas::{Profile, QUESTIONNAIRE_PACKAGE_LOINC, TEMPORARY_CODES, extension_url};
use crate::prior_auth::{Item, PriorAuth};
use crate::rules::Decision;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One entry (full URL and resource) per document that is needed for an open item. The payload is the LOINC code of the
/// document, or the code of the questionnaire package where a questionnaire is needed and the DTR context is known.
pub(super) fn communication_requests<'a>(
    context: &ResponseContext<'a>,
    echoed: &mut EchoedEntries<'a, '_>,
) -> Vec<(String, Value)> {
    let mut requests = Vec::new();
    for item in &context.case.items {
        for loinc in needed_documents(context.case, item) {
            let id = format!("{}-{loinc}", item.reference_number);
            let url = context.url(&format!("CommunicationRequest/{id}"));
            requests.push((url, communication_request(context, echoed, item, &id, loinc)));
        }
    }
    requests
}

/// The LOINC codes of the documents that an open item needs, without repetition.
fn needed_documents<'c>(case: &PriorAuth, item: &'c Item) -> BTreeSet<&'c str> {
    let Decision::Pend(pend) = &item.verdict.decision else {
        return BTreeSet::new();
    };
    if !item.status.is_open() {
        return BTreeSet::new();
    }
    let needs = pend.documents_needed.iter();
    needs
        .filter_map(|need| match (&need.loinc, &need.questionnaire) {
            (Some(loinc), _) => Some(loinc.as_str()),
            (None, Some(_)) if case.received.assertion.is_some() => Some(QUESTIONNAIRE_PACKAGE_LOINC),
            _ => None,
        })
        .collect()
}

fn communication_request<'a>(
    context: &ResponseContext<'a>,
    echoed: &mut EchoedEntries<'a, '_>,
    item: &Item,
    id: &str,
    loinc: &str,
) -> Value {
    // The control number of an attachment; for a questionnaire package it is the DTR context.
    let control_number = match (&context.case.received.assertion, loinc) {
        (Some(assertion), QUESTIONNAIRE_PACKAGE_LOINC) => assertion.as_str(),
        _ => id,
    };
    let mut request = json!({
        "resourceType": "CommunicationRequest",
        "id": id,
        "meta": { "profile": [Profile::CommunicationRequest.url()] },
        "extension": [{ "url": extension_url("serviceLineNumber"), "valuePositiveInt": item.sequence }],
        "identifier": [{ "system": context.url("attachment"), "value": control_number }],
        "status": "active",
        "medium": [concept(TEMPORARY_CODES, "CDEX")],
        "subject": echoed.add(context.request.patient),
        "payload": [{ "contentString": loinc }],
        "requester": echoed.add(context.request.insurer),
    });
    // Recipient and sender must not be a PractitionerRole.
    let parties = requester::practitioner_and_organization(context.request);
    if let Some(recipient) = parties.first() {
        put(&mut request, "recipient", json!([echoed.add(*recipient)]));
    }
    if let Some(organization) = parties.iter().find(|e| e.is_type("Organization")) {
        put(&mut request, "sender", echoed.add(*organization));
    }
    request
}

/// The trace number of an item that needs a questionnaire package: its value is the DTR context with which the client
/// requests the package (PAS ainfo-3).
pub(super) fn questionnaire_trace_number(context: &ResponseContext<'_>, item: &Item) -> Option<Value> {
    let assertion = context.case.received.assertion.as_ref()?;
    needed_documents(context.case, item)
        .contains(QUESTIONNAIRE_PACKAGE_LOINC)
        .then(|| {
            json!({
                "url": extension_url("itemTraceNumber"),
                "valueIdentifier": { "system": context.url("context"), "value": assertion },
            })
        })
}
