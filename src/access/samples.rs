//! Sample cases and a sample request for the tests of this module.

use super::explanation_of_benefit::ResponseContext;
use crate::config::{Config, Payer};
use crate::deadlines::DueTime;
use crate::plan::{Coverage, Member};
use crate::prior_auth::{
    Approve, Confirmation, Credential, CredentialKind, Deny, Event, NewCase, NewItem, PriorAuth, Received,
    Refer, Reviewer, Role,
};
use crate::rules::{
    ApprovalTerms, CoverageAnswer, Decision, DenialReason, EmbeddedTests, LoadOptions, Pend, Verdict,
    VerdictSource,
};
use crate::state::{PolicySet, PolicySetFiles};
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

pub fn denial_reasons() -> Vec<DenialReason> {
    vec![DenialReason {
        code: "0F".into(),
        text: "Not medically necessary".into(),
        carc: "50".into(),
    }]
}

/// A policy set without policies. It has a plain name for E1390 only.
pub fn policy_set() -> PolicySet {
    let services = format!(
        "system,code,name\n{},E1390,\"Oxygen concentrator, home\"\n",
        crate::fhir::coding::HCPCS
    );
    let options = LoadOptions {
        embedded_tests: EmbeddedTests::Skip,
        ..LoadOptions::default()
    };
    let files = PolicySetFiles::new(&[("codes/services.csv".to_owned(), services)], &[]);
    PolicySet::from_files(files, &options).unwrap()
}

pub fn context<'a>(payer: &'a Payer, denial_reasons: &'a [DenialReason]) -> ResponseContext<'a> {
    ResponseContext {
        public_url: "https://plan.example",
        payer,
        denial_reasons,
        now: now(),
    }
}

pub fn pend(queue: &str) -> Decision {
    Decision::Pend(Pend {
        queue: queue.into(),
        reason: "clinical-review".into(),
        documents_needed: Vec::new(),
    })
}

pub fn approve() -> Decision {
    Decision::Approve(ApprovalTerms {
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
        source: VerdictSource::Policy {
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
        line_of_business: "MA".into(),
        zone: chrono_tz::America::New_York,
        channel: "pas-2.2".into(),
        urgent: false,
        due: DueTime {
            internal: at("2026-10-12T15:00:00Z"),
            legal: at("2026-10-13T03:59:59Z"),
            clock: "ma.standard".into(),
            source: "42 CFR 422.568(b)(1)".into(),
        },
        request: Uuid::from_u128(2),
        policy_set: "sha256:0".into(),
        requester_npi: Some("8189991234".into()),
        requester_name: "Dr. Smith Corporation".into(),
        senders: Vec::new(),
        assertion: None,
        member_facts: None,
        admission: None,
        app_access: crate::prior_auth::AppAccess::All,
    }
}

/// The events of a case with one item for each decision: E1390 (home oxygen), then E0431.
pub fn events(id: Uuid, decisions: Vec<Decision>) -> Vec<Event> {
    let codes = ["E1390", "E0431"];
    let items = (1..).zip(codes).zip(decisions).map(|((sequence, code), decision)| NewItem {
        sequence,
        system: crate::fhir::coding::HCPCS.into(),
        code: code.into(),
        quantity: Some(json!({ "value": 12, "unit": "MO", "system": "https://codesystem.x12.org/005010/673", "code": "MO" })),
        serviced: Some("2026-10-10".parse().unwrap()),
        serviced_until: None,
        reference_number: format!("RF{sequence}"),
        authorization_number: format!("PA{sequence}"),
        verdict: verdict(decision),
        gold_card: Vec::new(),
        shadow: Vec::new(),
    });
    let opening = NewCase {
        id,
        at: at("2026-10-05T15:00:00.123456Z"),
        received: received(),
        items: items.collect(),
    };
    PriorAuth::open(opening)
}

/// The case with these events.
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

/// The case after a physician denied an item.
pub fn denied(mut case: PriorAuth, sequence: u32) -> PriorAuth {
    let by = physician();
    let reason = "The saturation on room air was 93 percent; coverage needs 88 percent or less.";
    let command = Deny {
        by: &by,
        version_seen: case.version,
        items: &[sequence],
        reason_code: "0F",
        criterion: None,
        reason,
        note: "",
        grade_limit: 8,
        confirmation: Confirmation::default(),
    };
    let digest = command.digest(&case);
    let confirmation = Confirmation {
        digest: &digest,
        accepts_hard_text: true,
    };
    let confirmed = Deny {
        confirmation,
        ..command
    };
    let events = case.deny(&confirmed, at("2026-10-06T10:30:00Z")).unwrap();
    for event in &events {
        case.apply(event);
    }
    case
}

/// The case after a reviewer referred an item to a physician.
pub fn referred(mut case: PriorAuth) -> PriorAuth {
    let by = physician();
    let command = Refer {
        by: &by,
        version_seen: case.version,
        sequence: 1,
        question: "Proposed: deny this item".into(),
    };
    let events = case.refer(command, at("2026-10-06T09:00:00Z")).unwrap();
    for event in &events {
        case.apply(event);
    }
    case
}

/// The case after a reviewer approved an item through a day.
pub fn approved_until(mut case: PriorAuth, end: &str) -> PriorAuth {
    let by = physician();
    let command = Approve {
        by: &by,
        version_seen: case.version,
        sequence: 1,
        number: "PA9".into(),
        end: Some(end.parse().unwrap()),
        reason: "Criteria are met".into(),
        note: "Discussed with the practice".into(),
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
        line_of_business: "MA".into(),
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

/// A PAS request with two items, the second with a price.
pub fn request() -> Value {
    let entries: Vec<Value> = std::iter::once(claim())
        .chain(related_resources())
        .map(|resource| {
            let resource_type = resource.get("resourceType").and_then(Value::as_str).unwrap();
            let id = resource.get("id").and_then(Value::as_str).unwrap();
            json!({ "fullUrl": format!("https://ehr.example/fhir/{resource_type}/{id}"), "resource": resource })
        })
        .collect();
    json!({ "resourceType": "Bundle", "type": "collection", "entry": entries })
}

fn claim() -> Value {
    json!({
        "resourceType": "Claim",
        "id": "1",
        "extension": [{
            "url": pas_extension("levelOfServiceCode"),
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
        "item": claim_items(),
    })
}

fn claim_items() -> Vec<Value> {
    let hcpcs = |code: &str| json!({ "coding": [{ "system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": code }] });
    let category =
        json!({ "coding": [{ "system": "https://codesystem.x12.org/005010/1365", "code": "12" }] });
    let quantity =
        json!({ "value": 12, "unit": "MO", "system": "https://codesystem.x12.org/005010/673", "code": "MO" });
    let first = json!({
        "extension": [
            { "url": pas_extension("itemTraceNumber"), "valueIdentifier": { "system": "http://example.org/item", "value": "I-1" } },
            { "url": pas_extension("authorizationNumber"), "valueString": "OLD-1" },
            { "url": pas_extension("certificationType"), "valueCodeableConcept": { "text": "not shown to members" } },
        ],
        "sequence": 1,
        "careTeamSequence": [1],
        "diagnosisSequence": [1],
        "category": category,
        "productOrService": hcpcs("E1390"),
        "servicedPeriod": { "start": "2026-10-10", "end": "2027-10-09" },
        "quantity": quantity,
    });
    let second = json!({
        "sequence": 2,
        "category": category,
        "productOrService": hcpcs("E0431"),
        "servicedDate": "2026-10-12",
        "quantity": quantity,
        "unitPrice": { "value": 35.1, "currency": "USD" },
    });
    vec![first, second]
}

fn pas_extension(name: &str) -> String {
    crate::ig::pas::extension_url(name)
}

/// The other resources of the request.
fn related_resources() -> Vec<Value> {
    vec![
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
    ]
}
