//! Builds the PDex prior authorization of a case (`ExplanationOfBenefit`, PDex 2.2.0, also valid for 2.0.0) from the case
//! and the stored request. Steps inside the review are
//! never visible: an item with a proposed denial is "In review" (ground rules, section 6).

use super::adjudication;
use super::item;
use super::json::{copy_fields, put_nonempty, put_optional};
use super::member_status::{MemberStatus, disposition};
use super::related;
use super::stored_request::StoredRequest;
use crate::config::Payer;
use crate::fhir::dates::instant_text;
use crate::fhir::{self, put};
use crate::ig::pas::{self, extension_url};
use crate::ig::pdex::{self, PdexVersion};
use crate::prior_auth::app_access::is_drug;
use crate::prior_auth::{Item, Outcome, PriorAuth};
use crate::rules::DenialReason;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a response needs in addition to the member's records.
#[derive(Debug, Clone, Copy)]
pub struct ResponseContext<'a> {
    /// The server's public URL, used for identifier systems and full URLs.
    pub public_url: &'a str,
    /// The plan.
    pub payer: &'a Payer,
    /// The table of denial reasons.
    pub denial_reasons: &'a [DenialReason],
    /// The current time.
    pub now: DateTime<Utc>,
}

/// Builds the resource. `None` if no item of the case may be shown.
pub fn explanation_of_benefit(request: &StoredRequest<'_>, context: ResponseContext<'_>) -> Option<Value> {
    let case = request.case;
    let items: Vec<&Item> = case
        .items
        .iter()
        .filter(|item| !is_drug(&item.system, request.item(item.sequence)))
        .collect();
    if items.is_empty() {
        return None;
    }
    let today = context.now.with_timezone(&case.received.zone).date_naive();
    let statuses: Vec<MemberStatus> = items
        .iter()
        .map(|item| MemberStatus::from_item(item, today))
        .collect();
    let mut eob = json!({
        "resourceType": "ExplanationOfBenefit",
        "id": case.id.to_string(),
        "meta": {
            "lastUpdated": instant_text(last_updated(case, context.now)),
            "profile": PdexVersion::NEWEST.guide().prior_authorization_profiles,
        },
        "identifier": identifiers(request, &items, context),
        "status": "active",
        "use": "preauthorization",
        "patient": { "reference": format!("Patient/{}", case.received.member) },
        "created": instant_text(case.received_at),
        "insurer": related::insurer(context.payer),
        "outcome": outcome(&statuses),
        "disposition": disposition(&statuses),
        "insurance": [{
            "focal": true,
            "coverage": { "reference": format!("Coverage/{}", case.received.coverage) },
        }],
    });
    put_requested(&mut eob, request);
    put_decided(&mut eob, request, &items, context);
    Some(eob)
}

/// When the resource last changed: at the last event, or when an approval ended.
fn last_updated(case: &PriorAuth, now: DateTime<Utc>) -> DateTime<Utc> {
    case.approval_ends()
        .filter(|end| *end <= now)
        .fold(case.changed, DateTime::max)
}

/// The case id, the plan's reference numbers, and the identifiers of the claim.
fn identifiers(request: &StoredRequest<'_>, items: &[&Item], context: ResponseContext<'_>) -> Vec<Value> {
    let system = format!("{}{}/reference-number", context.public_url, super::BASE);
    let case = json!({ "system": "urn:ietf:rfc:3986", "value": request.case.id.urn().to_string() });
    let reference_numbers = items
        .iter()
        .map(|item| json!({ "system": system, "value": item.reference_number }));
    let claim_identifiers = fhir::list(request.claim, "identifier")
        .filter(|identifier| identifier.get("value").is_some())
        .map(|sent| {
            let mut identifier = json!({});
            copy_fields(&mut identifier, sent, &["type", "system", "value"]);
            identifier
        });
    std::iter::once(case)
        .chain(reference_numbers)
        .chain(claim_identifiers)
        .collect()
}

fn outcome(statuses: &[MemberStatus]) -> &'static str {
    let open = statuses.iter().filter(|status| status.is_open()).count();
    match open {
        0 => "complete",
        all if all == statuses.len() => "queued",
        _ => "partial",
    }
}

/// Adds what the provider requested.
fn put_requested(eob: &mut Value, request: &StoredRequest<'_>) {
    let (claim, received) = (request.claim, &request.case.received);
    let unknown = || json!({ "coding": [{ "system": pdex::DATA_ABSENT, "code": "unknown" }] });
    put(eob, "type", claim.get("type").cloned().unwrap_or_else(unknown));
    let requester_by_npi = || {
        let mut provider = json!({ "display": received.requester_name });
        let identifier = received
            .requester_npi
            .as_ref()
            .map(|npi| json!({ "system": fhir::NPI, "value": npi }));
        put_optional(&mut provider, "identifier", identifier);
        provider
    };
    let reference_to = |name: &str| {
        claim
            .get(name)
            .and_then(|element| request.named_reference(element))
    };
    put(
        eob,
        "provider",
        reference_to("provider").unwrap_or_else(requester_by_npi),
    );
    put_optional(eob, "enterer", reference_to("enterer"));
    put_optional(eob, "facility", reference_to("facility"));
    let priority = if received.urgent { "stat" } else { "normal" };
    let priority = json!({ "coding": [
        { "system": "http://terminology.hl7.org/CodeSystem/processpriority", "code": priority },
    ] });
    put(
        eob,
        "priority",
        claim.get("priority").cloned().unwrap_or(priority),
    );
    copy_fields(eob, claim, &["billablePeriod"]);
    let level = fhir::extension(claim, &extension_url("levelOfServiceCode"))
        .and_then(|extension| extension.get("valueCodeableConcept"))
        .map(|level| json!({ "url": pdex::LEVEL_OF_SERVICE, "valueCodeableConcept": level }));
    put_nonempty(eob, "extension", level.into_iter().collect());
    put_nonempty(eob, "careTeam", care_team(request));
    put_nonempty(eob, "diagnosis", diagnoses(claim));
    put_nonempty(eob, "supportingInfo", supporting_info(request));
}

fn care_team(request: &StoredRequest<'_>) -> Vec<Value> {
    fhir::list(request.claim, "careTeam")
        .filter_map(|sent| {
            let mut care_team_member = json!({ "provider": request.named_reference(sent.get("provider")?)? });
            copy_fields(
                &mut care_team_member,
                sent,
                &["sequence", "responsible", "role", "qualification"],
            );
            Some(care_team_member)
        })
        .collect()
}

fn diagnoses(claim: &Value) -> Vec<Value> {
    fhir::list(claim, "diagnosis")
        .filter(|sent| sent.get("diagnosisCodeableConcept").is_some())
        .map(|sent| {
            let mut diagnosis = json!({});
            copy_fields(
                &mut diagnosis,
                sent,
                &["sequence", "diagnosisCodeableConcept", "type", "onAdmission"],
            );
            diagnosis
        })
        .collect()
}

/// The completed questionnaires that came with the request. The guide's text names a code system that is not in its
/// package, so the category has a second coding from the system that PAS publishes.
fn supporting_info(request: &StoredRequest<'_>) -> Vec<Value> {
    let category = json!({ "coding": [
        {
            "system": "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASSupportingInfoType",
            "code": "additionalInformation",
        },
        { "system": pas::TEMPORARY_CODES, "code": "additionalInformation" },
    ] });
    (1..)
        .zip(request.questionnaire_responses())
        .map(|(sequence, reference)| {
            json!({ "sequence": sequence, "category": category, "valueReference": { "reference": reference } })
        })
        .collect()
}

/// Adds the decisions: of each item and of the whole request.
fn put_decided(eob: &mut Value, request: &StoredRequest<'_>, items: &[&Item], context: ResponseContext<'_>) {
    let notes = Notes::new(items, context.payer);
    let built = items
        .iter()
        .map(|item| item::item_json(item, request, &notes.numbers(item), context.denial_reasons));
    put_nonempty(eob, "item", built.collect());
    let requested: Vec<Value> = amounts(request, items);
    let shows_all_items = items.len() == request.case.items.len();
    let claimed_total = request
        .claim
        .get("total")
        .filter(|total| shows_all_items && total.get("value").is_some())
        .cloned();
    let submitted =
        claimed_total.or_else(|| adjudication::sum(&requested).filter(|_| requested.len() == items.len()));
    let header = adjudication::header_adjudications(items, submitted.as_ref(), context.denial_reasons);
    put_nonempty(eob, "adjudication", header);
    put_nonempty(eob, "total", totals(request, items, submitted));
    put_nonempty(eob, "processNote", notes.json());
    let approvals: Vec<_> = items.iter().filter_map(|item| approval(item)).collect();
    let authorization_numbers: BTreeSet<&str> = approvals
        .iter()
        .map(|approval| approval.number.as_str())
        .collect();
    put_nonempty(
        eob,
        "preAuthRef",
        authorization_numbers.iter().map(|number| json!(number)).collect(),
    );
    if let Some(start) = approvals.iter().map(|approval| approval.start).min() {
        let ends: Option<Vec<NaiveDate>> = approvals.iter().map(|approval| approval.end).collect();
        let mut period = json!({ "start": start });
        put_optional(
            &mut period,
            "end",
            ends.and_then(|ends| ends.into_iter().max()).map(|end| json!(end)),
        );
        put(eob, "preAuthRefPeriod", json!([period]));
    }
}

fn approval(item: &Item) -> Option<&crate::prior_auth::Approval> {
    match &item.decision.as_ref()?.outcome {
        Outcome::Approved(approval) => Some(approval),
        _ => None,
    }
}

fn amounts(request: &StoredRequest<'_>, items: &[&Item]) -> Vec<Value> {
    items
        .iter()
        .filter_map(|item| adjudication::amount(request.item(item.sequence)?))
        .collect()
}

/// The requested amount, and the approved amount if every approved item has a price.
fn totals(request: &StoredRequest<'_>, items: &[&Item], submitted: Option<Value>) -> Vec<Value> {
    let total = |code: &str, amount: Value| json!({ "category": { "coding": [{ "system": pdex::VALUE_CODES, "code": code }] }, "amount": amount });
    let approved: Vec<&Item> = items
        .iter()
        .copied()
        .filter(|item| approval(item).is_some())
        .collect();
    let priced = amounts(request, &approved);
    let eligible = adjudication::sum(&priced).filter(|_| priced.len() == approved.len());
    let submitted = submitted.map(|amount| total("submitted", amount));
    submitted
        .into_iter()
        .chain(eligible.map(|amount| total("eligible", amount)))
        .collect()
}

/// The process notes: why an item was denied or needs no authorization, and how to appeal.
struct Notes {
    /// The sequence of the item that a note belongs to (`None` for how to appeal), and the text.
    notes: Vec<(Option<u32>, String)>,
}

impl Notes {
    fn new(items: &[&Item], payer: &Payer) -> Self {
        let mut notes: Vec<(Option<u32>, String)> = items
            .iter()
            .filter_map(|item| match &item.decision.as_ref()?.outcome {
                Outcome::Denied(denial) => {
                    Some((Some(item.sequence), format!("Not approved: {}", denial.reason())))
                }
                Outcome::NotRequired { reason } => Some((Some(item.sequence), reason.clone())),
                Outcome::Approved(_) => None,
            })
            .collect();
        let denied = items
            .iter()
            .any(|item| item.status == crate::prior_auth::ItemStatus::Denied);
        if denied {
            notes.push((None, format!("You can appeal. {}", payer.appeal)));
        }
        Self { notes }
    }

    /// The numbers of an item's notes. How to appeal belongs to every denied item.
    fn numbers(&self, item: &Item) -> Vec<usize> {
        let denied = item.status == crate::prior_auth::ItemStatus::Denied;
        let belongs = |sequence: Option<u32>| sequence.map_or(denied, |sequence| sequence == item.sequence);
        (1..)
            .zip(&self.notes)
            .filter(|(_, (sequence, _))| belongs(*sequence))
            .map(|(number, _)| number)
            .collect()
    }

    fn json(&self) -> Vec<Value> {
        let note = |(number, (_, text)): (usize, &(Option<u32>, String))| json!({ "number": number, "type": "display", "text": text });
        (1..).zip(&self.notes).map(note).collect()
    }
}
