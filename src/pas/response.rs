//! The response Bundle: one `ClaimResponse` first, then resources of the server, then entries of the request (PAS
//! 2.2.1, spec-30 to spec-37). It is made from the case's events and the stored request, so that the response to
//! `$submit`, the response to an inquiry and a notification agree.

use super::business_error::BusinessError;
use super::communication_request::{communication_requests, questionnaire_trace_number};
use super::echo::EchoedEntries;
use super::request::Request;
use super::response_context::ResponseContext;
use super::submit_call::SubmitCall;
use crate::clock::new_id;
use crate::error::{Error, Result};
use crate::fhir::bundle::parse_stored_request;
use crate::fhir::coding::concept;
use crate::fhir::dates::instant_text;
use crate::fhir::{self, decimals, object, put};
use crate::ig::pas::{
    ADJUDICATION_CATEGORIES, DATA_ABSENT_REASON, DECISION_REASONS, PasGuide, Profile, extension_url,
    x12_system,
};
use crate::prior_auth::{Item, Outcome, PriorAuth};
use crate::rules::Decision;
use crate::state::State;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use std::borrow::Cow;
use uuid::Uuid;

/// The response for a case as it is now, from stored data. `guide` is the version in which the response is written,
/// `profile` is `ClaimResponse` or `ClaimInquiryResponse`. Its decimals are marked: `fhir::decimals::write` writes it.
pub fn current_response(
    state: &State,
    guide: &'static PasGuide,
    case: &PriorAuth,
    request_text: &str,
    profile: Profile,
    now: DateTime<Utc>,
) -> Result<Value> {
    let envelope = Envelope {
        bundle_id: new_id(now),
        now,
        profile,
    };
    response_of(&state.config.public_url, guide, case, request_text, envelope)
}

/// What distinguishes two responses for the same case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope {
    /// The id of the response Bundle.
    pub bundle_id: Uuid,
    /// The time of the response.
    pub now: DateTime<Utc>,
    /// `ClaimResponse` or `ClaimInquiryResponse`.
    pub profile: Profile,
}

/// The response for a case, from stored data. The same data and envelope give the same response.
pub(super) fn response_of(
    public_url: &str,
    guide: &'static PasGuide,
    case: &PriorAuth,
    request_text: &str,
    envelope: Envelope,
) -> Result<Value> {
    let stored = parse_stored_request(&decimals::mark(request_text), case.id)?;
    let request = Request::read_stored(case, &stored)?;
    Ok(bundle(&ResponseContext {
        guide,
        public_url,
        case,
        request: &request,
        bundle_id: envelope.bundle_id,
        now: envelope.now,
        profile: envelope.profile,
    }))
}

/// The text that `build` makes of the request of a call, with the numbers of the request as they were sent. Only a request
/// with a number that memory does not hold as it was spelled is read a second time.
pub(super) fn write_response(
    call: &SubmitCall<'_>,
    build: impl FnOnce(&Request<'_>) -> Value,
) -> Result<String> {
    let Cow::Owned(marked) = decimals::mark(call.text) else {
        return Ok(build(call.request).to_string());
    };
    let bundle = serde_json::from_str(&marked).map_err(Error::internal)?;
    Ok(decimals::write(&build(&Request::read_again(
        call.guide, &bundle,
    )?)))
}

/// The response Bundle for a case.
pub(super) fn bundle(context: &ResponseContext<'_>) -> Value {
    let mut echoed = EchoedEntries::new(&context.request.index);
    let mut claim_response = claim_response(context, &mut echoed);
    let mut made = Vec::new();
    if context.profile == Profile::ClaimResponse {
        made = communication_requests(context, &mut echoed);
        let references: Vec<Value> = made.iter().map(|(url, _)| json!({ "reference": url })).collect();
        if !references.is_empty() {
            put(
                &mut claim_response,
                "communicationRequest",
                Value::Array(references),
            );
        }
    }
    let url = context.url(&format!("ClaimResponse/{}", context.case.id));
    let mut entries = vec![bundle_entry(url, claim_response)];
    entries.extend(
        made.into_iter()
            .map(|(url, resource)| bundle_entry(url, resource)),
    );
    entries.extend(echoed.entries());
    let bundle_profile = match context.profile {
        Profile::ClaimInquiryResponse => Profile::InquiryResponseBundle,
        _ => Profile::ResponseBundle,
    };
    let system = context.url("bundle");
    collection(bundle_profile, &system, context.bundle_id, context.now, entries)
}

/// The response to a request that was understood but cannot be processed: nothing is decided and nothing is stored
/// (`ClaimResponse.error`, PAS spec-38).
pub(super) fn refusal(call: &SubmitCall<'_>, request: &Request<'_>, error: &BusinessError) -> Value {
    let SubmitCall { guide, now, .. } = *call;
    let id = new_id(now);
    let mut echoed = EchoedEntries::new(&request.index);
    let mut response = claim_response_base(guide, request, &mut echoed, now, Profile::ClaimResponse);
    put(&mut response, "id", json!(id));
    put(&mut response, "outcome", json!("error"));
    add_extension(&mut response, reviewer_extension(vec![human_review_flag(false)]));
    put(&mut response, "error", json!([error.to_json(1)]));
    put(
        &mut response,
        "processNote",
        json!([{ "number": 1, "text": error.text }]),
    );
    let base = format!("{}{}", call.state.config.public_url, guide.base_path);
    let mut entries = vec![bundle_entry(format!("{base}/ClaimResponse/{id}"), response)];
    entries.extend(echoed.entries());
    collection(
        Profile::ResponseBundle,
        &format!("{base}/bundle"),
        id,
        now,
        entries,
    )
}

fn bundle_entry(full_url: String, resource: Value) -> Value {
    object([("fullUrl", full_url.into()), ("resource", resource)])
}

/// A Bundle of type `collection`; `system` is the system of its identifier.
fn collection(profile: Profile, system: &str, id: Uuid, now: DateTime<Utc>, entries: Vec<Value>) -> Value {
    let mut bundle = json!({
        "resourceType": "Bundle",
        "id": id,
        "meta": { "profile": [profile.url()] },
        "identifier": { "system": system, "value": id },
        "type": "collection",
        "timestamp": instant_text(now),
    });
    put(&mut bundle, "entry", Value::Array(entries));
    bundle
}

/// The elements of every `ClaimResponse`, whatever the outcome.
fn claim_response_base<'a>(
    guide: &PasGuide,
    request: &Request<'a>,
    echoed: &mut EchoedEntries<'a, '_>,
    created: DateTime<Utc>,
    profile: Profile,
) -> Value {
    let claim = request.claim.resource;
    let mut response = json!({
        "resourceType": "ClaimResponse",
        "meta": { "profile": [profile.url()] },
        "status": "active",
        "use": "preauthorization",
        "type": claim.get("type"),
        "patient": echoed.add(request.patient),
        "created": instant_text(created),
        "insurer": echoed.add(request.insurer),
        "requestor": echoed.add(request.provider),
        "outcome": "complete",
    });
    if let Some(identifiers) = claim.get("identifier") {
        put(&mut response, "identifier", identifiers.clone());
    }
    if guide.requires_claim_reference {
        put(&mut response, "request", claim_reference(request));
    }
    if let Some(swapped) = swapped_transmission_identifiers(claim) {
        put(&mut response, "extension", json!([swapped]));
    }
    response
}

/// `ClaimResponse.request`. The response does not contain the Claim, so a `urn:` would reference nothing; in that case
/// there is a data-absent-reason instead.
fn claim_reference(request: &Request<'_>) -> Value {
    let url = request.claim.full_url;
    let mut reference = if url.starts_with("urn:") {
        json!({ "extension": [{ "url": DATA_ABSENT_REASON, "valueCode": "not-applicable" }] })
    } else {
        json!({ "reference": url })
    };
    if let Some(identifier) = fhir::list(request.claim.resource, "identifier").next() {
        put(&mut reference, "identifier", identifier.clone());
    }
    reference
}

/// The transmission identifiers of the request with sender and receiver exchanged.
fn swapped_transmission_identifiers(claim: &Value) -> Option<Value> {
    let url = extension_url("TransmissionIdentifiers");
    let sent = fhir::extension(claim, &url)?;
    let parts: Vec<Value> = fhir::list(sent, "extension")
        .filter_map(|part| {
            let name = match fhir::text(part, &["url"])? {
                "applicationSenderCode" => "applicationReceiverCode",
                "applicationReceiverCode" => "applicationSenderCode",
                "interchangeSenderID" => "interchangeReceiverID",
                "interchangeReceiverID" => "interchangeSenderID",
                _ => return None,
            };
            Some(json!({ "url": name, "valueString": part.get("valueString")? }))
        })
        .collect();
    Some(json!({ "url": url, "extension": parts }))
}

fn claim_response<'a>(context: &ResponseContext<'a>, echoed: &mut EchoedEntries<'a, '_>) -> Value {
    let case = context.case;
    let created = last_visible_change(case);
    let mut response = claim_response_base(context.guide, context.request, echoed, created, context.profile);
    put(&mut response, "id", json!(case.id));
    add_extension(&mut response, reviewer(case));
    let mut notes = Vec::new();
    let items: Vec<Value> = case
        .items
        .iter()
        .map(|item| response_item(context, item, &mut notes))
        .collect();
    put(&mut response, "item", Value::Array(items));
    if let Some((_, first)) = case.approvals().next() {
        put(&mut response, "preAuthRef", json!(first.number));
        put(&mut response, "preAuthPeriod", period(first.start, first.end));
        let action = json!({ "url": extension_url("reviewAction"), "extension": [
            { "url": "number", "valueString": first.number },
        ] });
        put(
            &mut response,
            "adjudication",
            Value::Array(vec![adjudication(action)]),
        );
    }
    if !notes.is_empty() {
        put(&mut response, "processNote", Value::Array(notes));
    }
    response
}

/// The time of receipt or of the last decision. Other events of the case, such as a referral to a physician, are not
/// visible in any message.
fn last_visible_change(case: &PriorAuth) -> DateTime<Utc> {
    let decisions = case.items.iter().filter_map(|item| item.decision.as_ref());
    decisions
        .map(|decision| decision.at)
        .fold(case.received_at, DateTime::max)
}

/// The extension that says whether a person reviewed the request; with NPI and specialty of the physician who denied
/// an item, otherwise of the first reviewer who decided.
fn reviewer(case: &PriorAuth) -> Value {
    let decisions = case.items.iter().filter_map(|item| item.decision.as_ref());
    let by_reviewers: Vec<_> = decisions
        .filter_map(|d| d.by.reviewer().map(|reviewer| (reviewer, &d.outcome)))
        .collect();
    let mut parts = vec![human_review_flag(!by_reviewers.is_empty())];
    let denial = by_reviewers
        .iter()
        .find(|(_, outcome)| matches!(outcome, Outcome::Denied(_)));
    let credential = denial
        .or(by_reviewers.first())
        .and_then(|(reviewer, _)| reviewer.credential.as_ref());
    if let Some(npi) = credential.and_then(|c| c.npi.as_deref()) {
        parts.push(json!({ "url": "reviewerNPI", "valueIdentifier": { "system": fhir::NPI, "value": npi } }));
    }
    if let Some(specialty) = credential.and_then(|c| c.specialty.as_deref()) {
        let specialty = concept("http://nucc.org/provider-taxonomy", specialty);
        parts.push(json!({ "url": "reviewerSpecialty", "valueCodeableConcept": specialty }));
    }
    reviewer_extension(parts)
}

fn human_review_flag(reviewed: bool) -> Value {
    json!({ "url": "wasHumanReviewedFlag", "valueBoolean": reviewed })
}

fn reviewer_extension(parts: Vec<Value>) -> Value {
    let mut extension = json!({ "url": extension_url("claimResponseReviewer") });
    put(&mut extension, "extension", Value::Array(parts));
    extension
}

fn add_extension(element: &mut Value, extension: Value) {
    let mut extensions: Vec<Value> = fhir::list(element, "extension").cloned().collect();
    extensions.push(extension);
    put(element, "extension", Value::Array(extensions));
}

/// One `ClaimResponse.item`. Its note, if it has one, is added to `notes`.
fn response_item(context: &ResponseContext<'_>, item: &Item, notes: &mut Vec<Value>) -> Value {
    let claim_item = context.request.item(item.sequence);
    let mut extensions = echoed_extensions(claim_item);
    extensions.extend(questionnaire_trace_number(context, item));
    extensions.push(json!({
        "url": extension_url("administrationReferenceNumber"), "valueString": item.reference_number,
    }));
    let mut action_parts = vec![json!({
        "url": extension_url("reviewActionCode"),
        "valueCodeableConcept": concept(&x12_system("306"), item.status.review_action()),
    })];
    let mut note = None;
    match item.decision.as_ref().map(|d| (&d.outcome, d)) {
        Some((Outcome::Approved(approval), decision)) => {
            action_parts.push(json!({ "url": "number", "valueString": approval.number }));
            let issued = decision
                .at
                .with_timezone(&context.case.received.zone)
                .date_naive();
            extensions.push(json!({ "url": extension_url("itemPreAuthIssueDate"), "valueDate": issued }));
            let valid = period(approval.start, approval.end);
            extensions.push(json!({ "url": extension_url("itemPreAuthPeriod"), "valuePeriod": valid }));
        }
        Some((Outcome::Denied(denial), _)) => {
            action_parts.push(json!({
                "url": "reasonCode", "valueCodeableConcept": concept(DECISION_REASONS, denial.reason_code()),
            }));
            note = Some(denial.reason().to_owned());
        }
        Some((Outcome::NotRequired { reason }, _)) => note = Some(reason.clone()),
        None => note = pend_note(item),
    }
    let action = object([
        ("url", extension_url("reviewAction").into()),
        ("extension", Value::Array(action_parts)),
    ]);
    let mut response = object([
        ("extension", Value::Array(extensions)),
        ("itemSequence", item.sequence.into()),
        ("adjudication", Value::Array(vec![adjudication(action)])),
    ]);
    if let Some(text) = note {
        let number = notes.len() + 1;
        put(&mut response, "noteNumber", json!([number]));
        notes.push(json!({ "number": number, "text": text }));
    }
    response
}

/// Why an item is pended if that does not lie in the policy, or what the provider should send. Comments of reviewers are
/// never part of it.
fn pend_note(item: &Item) -> Option<String> {
    let Decision::Pend(pend) = &item.verdict.decision else {
        return None;
    };
    let needs: Vec<&str> = pend
        .documents_needed
        .iter()
        .map(|need| need.text.as_str())
        .collect();
    let reason = pend.limit_text().map(|reason| format!("{reason}."));
    let wanted = (!needs.is_empty()).then(|| format!("Please send: {}", needs.join("; ")));
    let sentences: Vec<String> = reason.into_iter().chain(wanted).collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// Trace numbers, an earlier authorization number and the requested dates, as sent.
fn echoed_extensions(claim_item: Option<&Value>) -> Vec<Value> {
    let Some(claim_item) = claim_item else {
        return Vec::new();
    };
    let mut extensions: Vec<Value> = Vec::new();
    for name in ["itemTraceNumber", "authorizationNumber"] {
        extensions.extend(fhir::extensions(claim_item, &extension_url(name)).cloned());
    }
    let url = extension_url("itemRequestedServiceDate");
    if let Some(date) = claim_item.get("servicedDate") {
        extensions.push(json!({ "url": url, "valueDateTime": date }));
    } else if let Some(period) = claim_item.get("servicedPeriod") {
        extensions.push(json!({ "url": url, "valuePeriod": period }));
    }
    extensions
}

fn adjudication(action: Value) -> Value {
    object([
        ("extension", Value::Array(vec![action])),
        ("category", concept(ADJUDICATION_CATEGORIES, "submitted")),
    ])
}

fn period(start: NaiveDate, end: Option<NaiveDate>) -> Value {
    let mut period = json!({ "start": start });
    if let Some(end) = end {
        put(&mut period, "end", json!(end));
    }
    period
}
