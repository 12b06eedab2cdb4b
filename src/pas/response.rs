//! The answer: a bundle with one `ClaimResponse` first, what we made, then what is echoed (PAS 2.2.1, spec-30 to
//! spec-37). Built from the case's events and the stored request, so that the synchronous answer, an inquiry and a
//! notification are the same truth.

use super::asking::{communication_requests, questionnaire_trace};
use super::echo::Echo;
use super::request::Request;
use crate::fhir::dates::instant_text;
use crate::fhir::{self, put};
use crate::ig::pas::{ADJUDICATION, DATA_ABSENT, Pas, X12_886, sd, x12};
use crate::prior_auth::{Item, Outcome, PriorAuth};
use crate::rules::Decision;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

const RESPONSE_BUNDLE: &str = "profile-pas-response-bundle";

/// Everything that an answer is made of.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The guide's version.
    pub guide: &'static Pas,
    /// Our public address.
    pub public_url: &'a str,
    /// The case as it stands.
    pub case: &'a PriorAuth,
    /// The request that opened it.
    pub request: &'a Request<'a>,
    /// A new id for the bundle.
    pub bundle_id: Uuid,
    /// When the answer is made.
    pub now: DateTime<Utc>,
    /// `profile-claimresponse` or `profile-claiminquiryresponse`.
    pub profile: &'a str,
}

/// The response bundle.
pub fn bundle(answer: &Answer<'_>) -> Value {
    let mut echo = Echo::new(&answer.request.index);
    let mut claim_response = claim_response(answer, &mut echo);
    let mut entries = Vec::new();
    if answer.profile == "profile-claimresponse" {
        let asked = communication_requests(answer, &mut echo);
        let references: Vec<Value> = asked.iter().map(|(url, _)| json!({ "reference": url })).collect();
        if !references.is_empty() {
            put(&mut claim_response, "communicationRequest", json!(references));
        }
        entries.extend(
            asked
                .into_iter()
                .map(|(url, made)| json!({ "fullUrl": url, "resource": made })),
        );
    }
    entries.insert(
        0,
        json!({ "fullUrl": claim_response_url(answer), "resource": claim_response }),
    );
    entries.extend(echo.entries());
    let profile = if answer.profile == "profile-claiminquiryresponse" {
        "profile-pas-inquiry-response-bundle"
    } else {
        RESPONSE_BUNDLE
    };
    collection(
        (answer.public_url, answer.guide, profile),
        answer.bundle_id,
        answer.now,
        &entries,
    )
}

/// The answer to a request that was understood and cannot be taken up: nothing is decided and nothing is stored
/// (`ClaimResponse.error`, PAS spec-38).
pub fn refusal(
    guide: &'static Pas,
    public_url: &str,
    request: &Request<'_>,
    errors: &[BusinessError],
    bundle_id: Uuid,
    now: DateTime<Utc>,
) -> Value {
    let mut echo = Echo::new(&request.index);
    let mut response = frame(guide, request, &mut echo, now, "profile-claimresponse");
    put(&mut response, "id", json!(bundle_id));
    put(&mut response, "outcome", json!("error"));
    add_extension(&mut response, reviewed(vec![flag(false)]));
    let numbered = || (1_u32..).zip(errors);
    put(
        &mut response,
        "error",
        numbered().map(|(n, e)| e.to_json(n)).collect(),
    );
    let notes = numbered().map(|(n, e)| json!({ "number": n, "text": e.text }));
    put(&mut response, "processNote", notes.collect());
    let url = format!("{public_url}{}/ClaimResponse/{bundle_id}", guide.base);
    let mut entries = vec![json!({ "fullUrl": url, "resource": response })];
    entries.extend(echo.entries());
    collection((public_url, guide, RESPONSE_BUNDLE), bundle_id, now, &entries)
}

/// One business error: X12 901 code, X12 889 follow-up, the place, our words.
#[derive(Debug)]
pub struct BusinessError {
    /// X12 901.
    pub code: &'static str,
    /// X12 889.
    pub follow_up: &'static str,
    /// The X12 element, such as `2010BA-NM109`.
    pub element: &'static str,
    /// FHIRPath from `Bundle`.
    pub path: String,
    /// In words; without content of the message.
    pub text: &'static str,
}

impl BusinessError {
    fn to_json(&self, note: u32) -> Value {
        json!({
            "extension": [
                { "url": sd("extension-errorFollowupAction"), "valueCodeableConcept": concept(&x12("889"), self.follow_up) },
                { "url": sd("extension-errorElement"), "extension": [
                    { "url": "error", "valueString": self.element },
                    { "url": "processNote", "valuePositiveInt": note },
                ] },
                { "url": sd("extension-errorPath"), "valueString": self.path },
            ],
            "code": concept(&x12("901"), self.code),
        })
    }
}

/// The address of a case's answer.
fn claim_response_url(answer: &Answer<'_>) -> String {
    format!(
        "{}{}/ClaimResponse/{}",
        answer.public_url, answer.guide.base, answer.case.id
    )
}

fn collection(
    (public_url, guide, profile): (&str, &Pas, &str),
    id: Uuid,
    now: DateTime<Utc>,
    entries: &[Value],
) -> Value {
    json!({
        "resourceType": "Bundle",
        "id": id,
        "meta": { "profile": [sd(profile)] },
        "identifier": { "system": format!("{public_url}{}/bundle", guide.base), "value": id },
        "type": "collection",
        "timestamp": instant_text(now),
        "entry": entries,
    })
}

/// What every `ClaimResponse` says, whatever was decided.
fn frame<'a>(
    guide: &Pas,
    request: &Request<'a>,
    echo: &mut Echo<'a, '_>,
    created: DateTime<Utc>,
    profile: &str,
) -> Value {
    let claim = request.claim.resource;
    let mut response = json!({
        "resourceType": "ClaimResponse",
        "meta": { "profile": [sd(profile)] },
        "status": "active",
        "use": "preauthorization",
        "type": claim.get("type"),
        "patient": echo.take(request.patient),
        "created": instant_text(created),
        "insurer": echo.take(request.insurer),
        "requestor": echo.take(request.provider),
        "outcome": "complete",
    });
    if let Some(identifiers) = claim.get("identifier") {
        put(&mut response, "identifier", identifiers.clone());
    }
    if guide.request_is_mandatory {
        put(&mut response, "request", request_reference(request));
    }
    if let Some(swapped) = swapped_transmission(claim) {
        put(&mut response, "extension", json!([swapped]));
    }
    response
}

/// A `urn:` outside of its bundle points nowhere, and the Claim is not in ours: then the reason stands instead.
fn request_reference(request: &Request<'_>) -> Value {
    let url = request.claim.full_url;
    let mut reference = if url.starts_with("urn:") {
        json!({ "extension": [{ "url": DATA_ABSENT, "valueCode": "not-applicable" }] })
    } else {
        json!({ "reference": url })
    };
    if let Some(identifier) = fhir::list(request.claim.resource, "identifier").next() {
        put(&mut reference, "identifier", identifier.clone());
    }
    reference
}

/// The request's transmission identifiers with sender and receiver exchanged.
fn swapped_transmission(claim: &Value) -> Option<Value> {
    let url = sd("extension-TransmissionIdentifiers");
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

fn claim_response<'a>(answer: &Answer<'a>, echo: &mut Echo<'a, '_>) -> Value {
    let case = answer.case;
    let mut response = frame(answer.guide, answer.request, echo, told(case), answer.profile);
    put(&mut response, "id", json!(case.id));
    add_extension(&mut response, reviewer(case));
    let mut notes = Vec::new();
    let items: Vec<Value> = case
        .items
        .iter()
        .map(|item| response_item(answer, item, &mut notes))
        .collect();
    put(&mut response, "item", json!(items));
    if let Some((_, first)) = case.approvals().next() {
        put(&mut response, "preAuthRef", json!(first.number));
        put(&mut response, "preAuthPeriod", period(first.start, first.end));
        let action = json!({ "url": sd("extension-reviewAction"), "extension": [
            { "url": "number", "valueString": first.number },
        ] });
        put(&mut response, "adjudication", json!([adjudication(&action)]));
    }
    if !notes.is_empty() {
        put(&mut response, "processNote", json!(notes));
    }
    response
}

/// When the answer last changed for its reader: at receipt, then with each decision. What happens inside the house
/// in between, such as a proposal to deny, shows in nothing that is sent.
fn told(case: &PriorAuth) -> DateTime<Utc> {
    let decided = case.items.iter().filter_map(|i| Some(i.decision.as_ref()?.at));
    decided.fold(case.received_at, DateTime::max)
}

/// Whether a person looked, and who it was where a physician denied.
fn reviewer(case: &PriorAuth) -> Value {
    let deciders = case.items.iter().filter_map(|i| i.decision.as_ref());
    let human: Vec<_> = deciders
        .filter_map(|d| d.by.reviewer().map(|r| (r, &d.outcome)))
        .collect();
    let mut parts = vec![flag(!human.is_empty())];
    let denier = human
        .iter()
        .find(|(_, outcome)| matches!(outcome, Outcome::Denied(_)));
    let named = denier
        .or(human.first())
        .and_then(|(reviewer, _)| reviewer.credential.as_ref());
    if let Some(npi) = named.and_then(|c| c.npi.as_deref()) {
        parts.push(json!({ "url": "reviewerNPI", "valueIdentifier": { "system": fhir::NPI, "value": npi } }));
    }
    if let Some(specialty) = named.and_then(|c| c.specialty.as_deref()) {
        let specialty = concept("http://nucc.org/provider-taxonomy", specialty);
        parts.push(json!({ "url": "reviewerSpecialty", "valueCodeableConcept": specialty }));
    }
    reviewed(parts)
}

fn flag(human: bool) -> Value {
    json!({ "url": "wasHumanReviewedFlag", "valueBoolean": human })
}

fn reviewed(parts: Vec<Value>) -> Value {
    let mut extension = json!({ "url": sd("extension-claimResponseReviewer") });
    put(&mut extension, "extension", Value::Array(parts));
    extension
}

fn add_extension(element: &mut Value, extension: Value) {
    let mut all: Vec<Value> = fhir::list(element, "extension").cloned().collect();
    all.push(extension);
    put(element, "extension", Value::Array(all));
}

fn response_item(answer: &Answer<'_>, item: &Item, notes: &mut Vec<Value>) -> Value {
    let asked = fhir::list(answer.request.claim.resource, "item")
        .find(|i| i.get("sequence").and_then(Value::as_u64) == Some(u64::from(item.sequence)));
    let mut extensions = echoed_extensions(asked);
    extensions.extend(questionnaire_trace(answer, item));
    extensions.push(json!({
        "url": sd("extension-administrationReferenceNumber"), "valueString": item.reference_number,
    }));
    let mut parts = vec![json!({
        "url": sd("extension-reviewActionCode"),
        "valueCodeableConcept": concept(&x12("306"), item.status.review_action()),
    })];
    let mut words = None;
    match item.decision.as_ref().map(|d| (&d.outcome, d)) {
        Some((Outcome::Approved(approval), decided)) => {
            parts.push(json!({ "url": "number", "valueString": approval.number }));
            let issued = decided.at.with_timezone(&answer.case.received.zone).date_naive();
            extensions.push(json!({ "url": sd("extension-itemPreAuthIssueDate"), "valueDate": issued }));
            let valid = period(approval.start, approval.end);
            extensions.push(json!({ "url": sd("extension-itemPreAuthPeriod"), "valuePeriod": valid }));
        }
        Some((Outcome::Denied(denial), _)) => {
            parts.push(json!({
                "url": "reasonCode", "valueCodeableConcept": concept(X12_886, denial.reason_code()),
            }));
            words = Some(denial.reason().to_owned());
        }
        Some((Outcome::NotRequired { reason }, _)) => words = Some(reason.clone()),
        None => words = open_words(item),
    }
    let action = json!({ "url": sd("extension-reviewAction"), "extension": parts });
    let mut response = json!({
        "extension": extensions,
        "itemSequence": item.sequence,
        "adjudication": [adjudication(&action)],
    });
    if let Some(words) = words {
        let number = notes.len() + 1;
        put(&mut response, "noteNumber", json!([number]));
        notes.push(json!({ "number": number, "text": words }));
    }
    response
}

/// What a provider is told of a line that waits: what to send. Never what a reviewer thinks of it.
fn open_words(item: &Item) -> Option<String> {
    let Decision::Pend(pend) = &item.verdict.decision else {
        return None;
    };
    let asks: Vec<&str> = pend.ask.iter().map(|a| a.text.as_str()).collect();
    (!asks.is_empty()).then(|| format!("Please send: {}", asks.join("; ")))
}

/// Trace numbers, the earlier authorization number and the dates asked for, as they came.
fn echoed_extensions(asked: Option<&Value>) -> Vec<Value> {
    let Some(asked) = asked else { return Vec::new() };
    let mut extensions: Vec<Value> = Vec::new();
    for name in ["extension-itemTraceNumber", "extension-authorizationNumber"] {
        extensions.extend(fhir::extensions(asked, &sd(name)).cloned());
    }
    let url = sd("extension-itemRequestedServiceDate");
    if let Some(date) = asked.get("servicedDate") {
        extensions.push(json!({ "url": url, "valueDateTime": date }));
    } else if let Some(span) = asked.get("servicedPeriod") {
        extensions.push(json!({ "url": url, "valuePeriod": span }));
    }
    extensions
}

fn adjudication(action: &Value) -> Value {
    json!({ "extension": [action], "category": concept(ADJUDICATION, "submitted") })
}

fn period(start: chrono::NaiveDate, end: Option<chrono::NaiveDate>) -> Value {
    let mut period = json!({ "start": start });
    if let Some(end) = end {
        put(&mut period, "end", json!(end));
    }
    period
}

pub(super) fn concept(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}
