//! Cases and a request for the tests of this door, built by hand.

use super::explanation_of_benefit::Setting;
use crate::config::{Config, Payer};
use crate::deadlines::Due;
use crate::plan::{Coverage, Member};
use crate::prior_auth::{
    Approve, Credential, CredentialKind, Deny, Event, ItemOpening, Opening, PriorAuth, Received, Refer,
    Reviewer, Role,
};
use crate::rules::{CoverageAnswer, Decision, DenialReason, Grant, Pend, Source, Verdict};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

pub const MEMBER: Uuid = Uuid::from_u128(0x51);
pub const COVERAGE: Uuid = Uuid::from_u128(0xc0);
pub const CASE: Uuid = Uuid::from_u128(0xa1);

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn now() -> DateTime<Utc> {
    at("2026-10-06T12:00:00Z")
}

pub fn payer() -> Payer {
    Config::defaults().unwrap().payer
}

pub fn reasons() -> Vec<DenialReason> {
    vec![DenialReason {
        code: "0F".into(),
        text: "Not medically necessary".into(),
        carc: "50".into(),
    }]
}

pub fn setting<'a>(payer: &'a Payer, reasons: &'a [DenialReason]) -> Setting<'a> {
    Setting {
        public_url: "https://plan.example",
        payer,
        reasons,
        now: now(),
    }
}

pub fn pend(queue: &str) -> Decision {
    Decision::Pend(Pend {
        queue: queue.into(),
        reason: "clinical-review".into(),
        ask: Vec::new(),
    })
}

pub fn approve() -> Decision {
    Decision::Approve(Grant {
        reason: "All criteria are met".into(),
        period: Some("12 months".into()),
    })
}

pub fn not_required() -> Decision {
    Decision::NotRequired {
        reason: "This service needs no authorization".into(),
    }
}

fn verdict(decision: Decision) -> Verdict {
    Verdict {
        source: Source::Policy {
            policy: "dme.home-oxygen".into(),
            version: "1.0.0".into(),
            hash: "sha256:0".into(),
            title: "Home oxygen".into(),
        },
        coverage: CoverageAnswer::default(),
        decision,
        criteria: std::collections::BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: "sha256:0".into(),
        error: None,
    }
}

fn received() -> Received {
    Received {
        client: Uuid::from_u128(1),
        member: MEMBER,
        coverage: COVERAGE,
        line: "MA".into(),
        zone: chrono_tz::America::New_York,
        channel: "pas-2.2".into(),
        urgent: false,
        due: Due {
            work: at("2026-10-12T15:00:00Z"),
            legal: at("2026-10-13T03:59:59Z"),
            rule: "ma.standard".into(),
            source: "42 CFR 422.568(b)(1)".into(),
        },
        request: Uuid::from_u128(2),
        rules: "sha256:0".into(),
        requester_npi: Some("8189991234".into()),
        requester: "Dr. Smith Corporation".into(),
        senders: Vec::new(),
        assertion: None,
        facts: None,
    }
}

/// The events of a case whose first line is home oxygen, the second a code of its own; one decision for each.
pub fn events(id: Uuid, decisions: Vec<Decision>) -> Vec<Event> {
    let codes = ["E1390", "E0431"];
    let items = (1..).zip(codes).zip(decisions).map(|((sequence, code), decision)| ItemOpening {
        sequence,
        system: crate::fhir::coding::HCPCS.into(),
        code: code.into(),
        quantity: Some(json!({ "value": 12, "unit": "MO", "system": "https://codesystem.x12.org/005010/673", "code": "MO" })),
        serviced: Some("2026-10-10".parse().unwrap()),
        reference_number: format!("RF{sequence}"),
        authorization_number: format!("PA{sequence}"),
        verdict: verdict(decision),
        gold_card: Vec::new(),
        shadow: Vec::new(),
    });
    let opening = Opening {
        id,
        at: at("2026-10-05T15:00:00.123456Z"),
        received: received(),
        items: items.collect(),
    };
    PriorAuth::open(opening)
}

/// The case that those events add up to.
pub fn case(id: Uuid, decisions: Vec<Decision>) -> PriorAuth {
    PriorAuth::replay(id, &events(id, decisions)).unwrap()
}

pub fn physician() -> Reviewer {
    Reviewer {
        id: Uuid::from_u128(9),
        username: "reyes".into(),
        name: "Dana Reyes".into(),
        roles: vec![Role::Physician],
        credential: Some(Credential {
            kind: CredentialKind::Physician,
            license: "35.1".into(),
            state: "OH".into(),
            npi: Some("1999999984".into()),
            specialty: None,
            expires: None,
        }),
    }
}

/// The case after a physician denied a line.
pub fn denied(mut case: PriorAuth, sequence: u32) -> PriorAuth {
    let by = physician();
    let reason = "The saturation on room air was 93 percent; coverage needs 88 percent or less.";
    let command = Deny {
        by: &by,
        seen: case.version,
        sequence,
        reason_code: "0F".into(),
        reason: reason.into(),
    };
    let events = case.deny(&command, at("2026-10-06T10:30:00Z")).unwrap();
    for event in &events {
        case.apply(event);
    }
    case
}

/// The case after a reviewer sent a line up to a physician.
pub fn referred(mut case: PriorAuth) -> PriorAuth {
    let by = physician();
    let command = Refer {
        by: &by,
        seen: case.version,
        sequence: 1,
        question: "I would deny this".into(),
    };
    let events = case.refer(command, at("2026-10-06T09:00:00Z")).unwrap();
    for event in &events {
        case.apply(event);
    }
    case
}

/// The case after a reviewer approved a line until a day.
pub fn approved_until(mut case: PriorAuth, end: &str) -> PriorAuth {
    let by = physician();
    let command = Approve {
        by: &by,
        seen: case.version,
        sequence: 1,
        number: "PA9".into(),
        end: Some(end.parse().unwrap()),
        reason: "Criteria are met".into(),
    };
    let events = case.approve(command, at("2026-10-05T16:00:00Z")).unwrap();
    for event in &events {
        case.apply(event);
    }
    case
}

pub fn member() -> Member {
    Member {
        id: MEMBER,
        member_id: "12345678901".into(),
        family: "smith".into(),
        given: "joe".into(),
        birth_date: Some("1950-03-04".parse().unwrap()),
        gender: Some("male".into()),
        doc: json!({
            "resourceType": "Patient",
            "id": "imported",
            "text": { "status": "generated", "div": "<div/>" },
            "identifier": [{ "system": "http://example.org/MIN", "value": "12345678901" }],
            "name": [{ "family": "Smith", "given": ["Joe"] }],
            "gender": "male",
            "birthDate": "1950-03-04",
            "generalPractitioner": [{ "reference": "Practitioner/elsewhere" }],
        }),
    }
}

pub fn coverage() -> Coverage {
    Coverage {
        id: COVERAGE,
        key: "http://example.org/cov|1".into(),
        member: MEMBER,
        plan: "MA-OH-1".into(),
        line: "MA".into(),
        state: Some("OH".into()),
        zone: chrono_tz::America::New_York,
        subscriber_id: Some("1122334455".into()),
        status: "active".into(),
        starts: None,
        ends: None,
        doc: json!({
            "resourceType": "Coverage",
            "identifier": [{ "system": "http://example.org/cov", "value": "1" }],
            "status": "active",
            "subscriberId": "1122334455",
            "beneficiary": { "reference": "Patient/imported" },
            "payor": [{ "reference": "Organization/elsewhere" }],
        }),
    }
}

/// A PAS request for two lines, the second with a price.
pub fn request() -> Value {
    let url = |rest: &str| format!("https://ehr.example/fhir/{rest}");
    let pas = |name: &str| super::names::pas_extension(name);
    let hcpcs = |code: &str| json!({ "coding": [{ "system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": code }] });
    let category =
        json!({ "coding": [{ "system": "https://codesystem.x12.org/005010/1365", "code": "12" }] });
    let quantity =
        json!({ "value": 12, "unit": "MO", "system": "https://codesystem.x12.org/005010/673", "code": "MO" });
    let claim = json!({
        "resourceType": "Claim",
        "id": "1",
        "extension": [{
            "url": pas("levelOfServiceCode"),
            "valueCodeableConcept": { "coding": [{ "system": "https://codesystem.x12.org/005010/1338", "code": "E" }] },
        }],
        "identifier": [{ "system": "http://example.org/trace", "value": "T-1", "assigner": { "display": "x" } }],
        "status": "active",
        "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional" }] },
        "use": "preauthorization",
        "patient": { "reference": "Patient/p" },
        "created": "2026-10-05",
        "insurer": { "reference": "Organization/ins" },
        "provider": { "reference": "Organization/req" },
        "priority": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/processpriority", "code": "normal" }] },
        "careTeam": [{ "sequence": 1, "provider": { "reference": "PractitionerRole/role" } }],
        "diagnosis": [{
            "sequence": 1,
            "diagnosisCodeableConcept": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J44.9" }] },
        }],
        "insurance": [{ "sequence": 1, "focal": true, "coverage": { "reference": "Coverage/c" } }],
        "item": [
            {
                "extension": [
                    { "url": pas("itemTraceNumber"), "valueIdentifier": { "system": "http://example.org/item", "value": "I-1" } },
                    { "url": pas("authorizationNumber"), "valueString": "OLD-1" },
                    { "url": pas("certificationType"), "valueCodeableConcept": { "text": "not for members" } },
                ],
                "sequence": 1,
                "careTeamSequence": [1],
                "diagnosisSequence": [1],
                "category": category,
                "productOrService": hcpcs("E1390"),
                "servicedPeriod": { "start": "2026-10-10", "end": "2027-10-09" },
                "quantity": quantity,
            },
            {
                "sequence": 2,
                "category": category,
                "productOrService": hcpcs("E0431"),
                "servicedDate": "2026-10-12",
                "quantity": quantity,
                "unitPrice": { "value": 35.1, "currency": "USD" },
            },
        ],
    });
    let others = [
        json!({ "resourceType": "Patient", "id": "p", "name": [{ "family": "Smith" }] }),
        json!({ "resourceType": "Organization", "id": "ins", "name": "The plan" }),
        json!({
            "resourceType": "Organization", "id": "req", "active": true, "name": "Dr. Smith Corporation",
            "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": "8189991234" }],
        }),
        json!({ "resourceType": "Coverage", "id": "c", "status": "active" }),
        json!({ "resourceType": "PractitionerRole", "id": "role", "practitioner": { "reference": "Practitioner/w" } }),
        json!({
            "resourceType": "Practitioner", "id": "w", "name": [{ "family": "Watson", "given": ["Susan"] }],
            "identifier": [{ "system": "http://example.org/local", "value": "w" }],
        }),
        json!({
            "resourceType": "QuestionnaireResponse", "id": "qr", "status": "completed",
            "questionnaire": "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0",
            "subject": { "reference": "Patient/p" },
            "author": { "reference": "Device/elsewhere" },
            "item": [{ "linkId": "oxygen.spo2", "answer": [{ "valueDecimal": 86 }] }],
        }),
    ];
    let entries: Vec<Value> = std::iter::once(claim)
        .chain(others)
        .map(|resource| {
            let kind = resource.get("resourceType").and_then(Value::as_str).unwrap();
            let id = resource.get("id").and_then(Value::as_str).unwrap();
            json!({ "fullUrl": url(&format!("{kind}/{id}")), "resource": resource })
        })
        .collect();
    json!({ "resourceType": "Bundle", "type": "collection", "entry": entries })
}
