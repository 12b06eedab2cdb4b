//! A case as PDex's prior authorization (`ExplanationOfBenefit`, PDex 2.2.0, readable as 2.0.0 too). Computed from the
//! case and the stored request at every read; there is no copy that could fall behind. What review does inside never
//! shows: a proposed denial is "in review" (ground rules, section 6).

use super::adjudication;
use super::build::{copy, put_list, put_some};
use super::line;
use super::names;
use super::parties;
use super::request::Request;
use super::words::{Standing, disposition};
use crate::config::Payer;
use crate::fhir::dates::instant_text;
use crate::fhir::{self, put};
use crate::prior_auth::{Item, Outcome, PriorAuth};
use crate::rules::DenialReason;
use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What an answer is computed with, beside the cases.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The server's public address; makes identifier systems and full URLs.
    pub public_url: &'a str,
    /// Who the plan is.
    pub payer: &'a Payer,
    /// The table of denial reasons.
    pub reasons: &'a [DenialReason],
    /// Now.
    pub now: DateTime<Utc>,
}

/// The resource; `None` when nothing of the case may be shown.
pub fn explanation_of_benefit(request: &Request<'_>, setting: Setting<'_>) -> Option<Value> {
    let case = request.case;
    let items: Vec<&Item> = case
        .items
        .iter()
        .filter(|item| line::is_shown(item, request.line(item.sequence)))
        .collect();
    if items.is_empty() {
        return None;
    }
    let today = setting.now.with_timezone(&case.received.zone).date_naive();
    let standings: Vec<Standing> = items.iter().map(|item| Standing::of(item, today)).collect();
    let mut eob = json!({
        "resourceType": "ExplanationOfBenefit",
        "id": case.id.to_string(),
        "meta": {
            "lastUpdated": instant_text(last_updated(case, &standings, setting.now)),
            "profile": [names::PROFILE, format!("{}|2.0.0", names::PROFILE)],
        },
        "identifier": identifiers(request, &items, setting),
        "status": "active",
        "use": "preauthorization",
        "patient": { "reference": format!("Patient/{}", case.received.member) },
        "created": instant_text(case.received_at),
        "insurer": parties::insurer(setting.payer),
        "outcome": outcome(&standings),
        "disposition": disposition(&standings),
        "insurance": [{
            "focal": true,
            "coverage": { "reference": format!("Coverage/{}", case.received.coverage) },
        }],
    });
    put_asked(&mut eob, request);
    put_decided(&mut eob, request, &items, setting);
    Some(eob)
}

/// When the answer last changed: with the last event, or with the day after an approval ended.
fn last_updated(case: &PriorAuth, standings: &[Standing], now: DateTime<Utc>) -> DateTime<Utc> {
    let ended = standings.iter().filter_map(|standing| match standing {
        Standing::Ended { on } => {
            let next = on.succ_opt()?.and_hms_opt(0, 0, 0)?;
            Some(
                case.received
                    .zone
                    .from_local_datetime(&next)
                    .earliest()?
                    .with_timezone(&Utc),
            )
        }
        _ => None,
    });
    ended.filter(|at| *at <= now).fold(case.changed, DateTime::max)
}

/// The case itself, the plan's tracking numbers, and the trace numbers of the request.
fn identifiers(request: &Request<'_>, items: &[&Item], setting: Setting<'_>) -> Vec<Value> {
    let system = format!("{}/fhir/pdex/reference-number", setting.public_url);
    let case = json!({ "system": "urn:ietf:rfc:3986", "value": request.case.id.urn().to_string() });
    let numbers = items
        .iter()
        .map(|item| json!({ "system": system, "value": item.reference_number }));
    let traces = fhir::list(request.claim, "identifier")
        .filter(|i| i.get("value").is_some())
        .map(|sent| {
            let mut trace = json!({});
            copy(&mut trace, sent, &["type", "system", "value"]);
            trace
        });
    std::iter::once(case).chain(numbers).chain(traces).collect()
}

fn outcome(standings: &[Standing]) -> &'static str {
    let open = standings.iter().filter(|standing| standing.is_open()).count();
    match open {
        0 => "complete",
        all if all == standings.len() => "queued",
        _ => "partial",
    }
}

/// What the request said.
fn put_asked(eob: &mut Value, request: &Request<'_>) {
    let (claim, received) = (request.claim, &request.case.received);
    let unknown = || json!({ "coding": [{ "system": names::DATA_ABSENT, "code": "unknown" }] });
    put(eob, "type", claim.get("type").cloned().unwrap_or_else(unknown));
    let by_npi = || {
        let mut provider = json!({ "display": received.requester });
        let identifier = received
            .requester_npi
            .as_ref()
            .map(|npi| json!({ "system": fhir::NPI, "value": npi }));
        put_some(&mut provider, "identifier", identifier);
        provider
    };
    let actor = |name: &str| claim.get(name).and_then(|element| request.actor(element));
    put(eob, "provider", actor("provider").unwrap_or_else(by_npi));
    put_some(eob, "enterer", actor("enterer"));
    put_some(eob, "facility", actor("facility"));
    let priority = if received.urgent { "stat" } else { "normal" };
    let priority = json!({ "coding": [
        { "system": "http://terminology.hl7.org/CodeSystem/processpriority", "code": priority },
    ] });
    put(
        eob,
        "priority",
        claim.get("priority").cloned().unwrap_or(priority),
    );
    copy(eob, claim, &["billablePeriod"]);
    let level = fhir::extension(claim, names::PAS_LEVEL_OF_SERVICE)
        .and_then(|extension| extension.get("valueCodeableConcept"))
        .map(|level| json!({ "url": names::LEVEL_OF_SERVICE, "valueCodeableConcept": level }));
    put_list(eob, "extension", level.into_iter().collect());
    put_list(eob, "careTeam", care_team(request));
    put_list(eob, "diagnosis", diagnoses(claim));
    put_list(eob, "supportingInfo", papers(request));
}

fn care_team(request: &Request<'_>) -> Vec<Value> {
    fhir::list(request.claim, "careTeam")
        .filter_map(|sent| {
            let mut one = json!({ "provider": request.actor(sent.get("provider")?)? });
            copy(
                &mut one,
                sent,
                &["sequence", "responsible", "role", "qualification"],
            );
            Some(one)
        })
        .collect()
}

fn diagnoses(claim: &Value) -> Vec<Value> {
    fhir::list(claim, "diagnosis")
        .filter(|sent| sent.get("diagnosisCodeableConcept").is_some())
        .map(|sent| {
            let mut diagnosis = json!({});
            copy(
                &mut diagnosis,
                sent,
                &["sequence", "diagnosisCodeableConcept", "type", "onAdmission"],
            );
            diagnosis
        })
        .collect()
}

/// The structured papers that came with the request. The guide's text names a code system that no package holds; the
/// second coding is the one that PAS ships.
fn papers(request: &Request<'_>) -> Vec<Value> {
    let category = json!({ "coding": [
        {
            "system": "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASSupportingInfoType",
            "code": "additionalInformation",
        },
        { "system": "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes", "code": "additionalInformation" },
    ] });
    (1..)
        .zip(request.forms())
        .map(|(sequence, address)| {
            json!({ "sequence": sequence, "category": category, "valueReference": { "reference": address } })
        })
        .collect()
}

/// What was decided, line by line and over all.
fn put_decided(eob: &mut Value, request: &Request<'_>, items: &[&Item], setting: Setting<'_>) {
    let notes = Notes::of(items, setting.payer);
    let lines = items
        .iter()
        .map(|item| line::line(item, request, &notes.numbers(item), setting.reasons));
    put_list(eob, "item", lines.collect());
    let asked: Vec<Value> = amounts(request, items);
    let whole = items.len() == request.case.items.len();
    let claimed = request
        .claim
        .get("total")
        .filter(|total| whole && total.get("value").is_some())
        .cloned();
    let submitted = claimed.or_else(|| adjudication::sum(&asked).filter(|_| asked.len() == items.len()));
    let header = adjudication::of_header(items, submitted.as_ref(), setting.reasons);
    put_list(eob, "adjudication", header);
    put_list(eob, "total", totals(request, items, submitted));
    put_list(eob, "processNote", notes.json());
    let approvals: Vec<_> = items.iter().filter_map(|item| approval(item)).collect();
    let numbers: BTreeSet<&str> = approvals.iter().map(|a| a.number.as_str()).collect();
    put_list(
        eob,
        "preAuthRef",
        numbers.iter().map(|number| json!(number)).collect(),
    );
    if let Some(start) = approvals.iter().map(|a| a.start).min() {
        let ends: Option<Vec<NaiveDate>> = approvals.iter().map(|a| a.end).collect();
        let mut period = json!({ "start": start });
        put_some(
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

fn amounts(request: &Request<'_>, items: &[&Item]) -> Vec<Value> {
    items
        .iter()
        .filter_map(|item| adjudication::amount(request.line(item.sequence)?))
        .collect()
}

/// The amount asked, and the part of it that is approved where every approved line has a price.
fn totals(request: &Request<'_>, items: &[&Item], submitted: Option<Value>) -> Vec<Value> {
    let total = |code: &str, amount: Value| json!({ "category": { "coding": [{ "system": names::VALUE_CODES, "code": code }] }, "amount": amount });
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

/// The notes in words: why a line was not approved or needs no authorization, and how to appeal.
struct Notes {
    /// The line that a note speaks of; none for the way to appeal.
    notes: Vec<(Option<u32>, String)>,
}

impl Notes {
    fn of(items: &[&Item], payer: &Payer) -> Self {
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

    /// The numbers of a line's notes; the way to appeal belongs to every denied line.
    fn numbers(&self, item: &Item) -> Vec<usize> {
        let denied = item.status == crate::prior_auth::ItemStatus::Denied;
        let speaks = |line: Option<u32>| line.map_or(denied, |line| line == item.sequence);
        (1..)
            .zip(&self.notes)
            .filter(|(_, (line, _))| speaks(*line))
            .map(|(number, _)| number)
            .collect()
    }

    fn json(&self) -> Vec<Value> {
        let note = |(number, (_, text)): (usize, &(Option<u32>, String))| json!({ "number": number, "type": "display", "text": text });
        (1..).zip(&self.notes).map(note).collect()
    }
}
