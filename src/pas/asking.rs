//! What a pended answer asks for: one `CommunicationRequest` per document, and the context of a questionnaire package
//! (PAS 2.2.1, section "Request for additional information", ainfo-1 to ainfo-6). It asks for what the policies lack;
//! what a reviewer thinks of the case never gets here.

use super::echo::Echo;
use super::requester;
use super::response::{Answer, concept};
use crate::fhir::bundle::Entry;
use crate::fhir::{self, put};
use crate::ig::pas::{QUESTIONNAIRE_PACKAGE, sd};
use crate::prior_auth::{Item, PriorAuth};
use crate::rules::Decision;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One `CommunicationRequest` per document that the open lines lack (PAS section "Request for additional
/// information"): a LOINC code, or the questionnaire package where a form is asked for and the DTR context is known.
pub(super) fn communication_requests<'a>(
    answer: &Answer<'a>,
    echo: &mut Echo<'a, '_>,
) -> Vec<(String, Value)> {
    let mut made = Vec::new();
    for item in &answer.case.items {
        for code in asked_codes(answer.case, item) {
            let number = format!("{}-{code}", item.reference_number);
            let url = format!(
                "{}{}/CommunicationRequest/{number}",
                answer.public_url, answer.guide.base
            );
            made.push((url, communication_request(answer, echo, item, &number, code)));
        }
    }
    made
}

/// What an open line lacks, as LOINC codes, each once.
fn asked_codes<'c>(case: &PriorAuth, item: &'c Item) -> BTreeSet<&'c str> {
    let Decision::Pend(pend) = &item.verdict.decision else {
        return BTreeSet::new();
    };
    if !item.status.is_open() {
        return BTreeSet::new();
    }
    let asks = pend.ask.iter();
    asks.filter_map(|ask| match (&ask.loinc, &ask.questionnaire) {
        (Some(loinc), _) => Some(loinc.as_str()),
        (None, Some(_)) if case.received.assertion.is_some() => Some(QUESTIONNAIRE_PACKAGE),
        _ => None,
    })
    .collect()
}

fn communication_request<'a>(
    answer: &Answer<'a>,
    echo: &mut Echo<'a, '_>,
    item: &Item,
    number: &str,
    code: &str,
) -> Value {
    let control = match (&answer.case.received.assertion, code) {
        (Some(context), QUESTIONNAIRE_PACKAGE) => context.as_str(),
        _ => number,
    };
    let mut request = json!({
        "resourceType": "CommunicationRequest",
        "id": number,
        "meta": { "profile": [sd("profile-communicationrequest")] },
        "extension": [{ "url": sd("extension-serviceLineNumber"), "valuePositiveInt": item.sequence }],
        "identifier": [{ "system": format!("{}{}/attachment", answer.public_url, answer.guide.base), "value": control }],
        "status": "active",
        "medium": [concept("http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes", "CDEX")],
        "subject": echo.take(answer.request.patient),
        "payload": [{ "contentString": code }],
        "requester": echo.take(answer.request.insurer),
    });
    // Recipient and sender are people or organizations, never a role.
    let parties = requester::parties(answer.request);
    if let Some(party) = parties.first() {
        put(&mut request, "recipient", json!([echo.take(*party)]));
    }
    let is_organization = |e: &&Entry<'_>| fhir::resource_type(e.resource) == Some("Organization");
    if let Some(organization) = parties.iter().find(is_organization) {
        put(&mut request, "sender", echo.take(*organization));
    }
    request
}

/// Where a questionnaire package is asked for, the line carries the context to ask for it with (PAS ainfo-3).
pub(super) fn questionnaire_trace(answer: &Answer<'_>, item: &Item) -> Option<Value> {
    let context = answer.case.received.assertion.as_ref()?;
    asked_codes(answer.case, item)
        .contains(QUESTIONNAIRE_PACKAGE)
        .then(|| {
            let system = format!("{}{}/context", answer.public_url, answer.guide.base);
            json!({
                "url": sd("extension-itemTraceNumber"),
                "valueIdentifier": { "system": system, "value": context },
            })
        })
}
