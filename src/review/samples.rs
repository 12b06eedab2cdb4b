//! A sample case with its request, member and reviewers, for tests.

use crate::deadlines::DueTime;
use crate::plan::{Coverage, Member};
use crate::prior_auth::{
    Credential, CredentialKind, Event, NewCase, NewItem, PriorAuth, Received, Reviewer, Role,
};
use crate::rules::{
    CoverageAnswer, Decision, Leaf, NeededDocument, Outcome, Pend, TraceNode, Verdict, VerdictSource,
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

pub const CLIENT: Uuid = Uuid::from_u128(0xc1);
const MEMBER: Uuid = Uuid::from_u128(0x51);

pub fn now() -> DateTime<Utc> {
    "2026-10-06T12:00:00Z".parse().unwrap()
}

fn reviewer(name: &str, role: Role, kind: CredentialKind) -> Reviewer {
    Reviewer {
        id: Uuid::from_u128(7),
        username: name.to_lowercase(),
        name: name.to_owned(),
        roles: vec![role],
        credential: Some(Credential {
            kind,
            license: "35.123456".to_owned(),
            state: "OH".to_owned(),
            npi: None,
            specialty: None,
            expires: None,
        }),
    }
}

pub fn nurse() -> Reviewer {
    reviewer("Maya Okafor", Role::Nurse, CredentialKind::Nurse)
}

pub fn physician() -> Reviewer {
    reviewer("Ruth Lindqvist", Role::Physician, CredentialKind::Physician)
}

pub fn supervisor() -> Reviewer {
    Reviewer {
        roles: vec![Role::Supervisor],
        credential: None,
        ..nurse()
    }
}

fn node(outcome: Outcome, criterion: &str, text: &str, of: Vec<TraceNode>) -> TraceNode {
    TraceNode {
        outcome,
        criterion: Some(criterion.to_owned()),
        text: Some(text.to_owned()),
        cite: Some("CMS NCD 240.2, section B".to_owned()),
        combine: Some("any".to_owned()),
        of,
        leaf: None,
    }
}

fn leaf(outcome: Outcome, path: Option<&str>) -> TraceNode {
    TraceNode {
        outcome,
        criterion: None,
        text: None,
        cite: None,
        combine: None,
        of: Vec::new(),
        leaf: Some(Leaf {
            fact: "spo2.rest".to_owned(),
            label: Some("SpO2 at rest".to_owned()),
            value: path.map(|_| json!(91)),
            unit: path.map(|_| "%".to_owned()),
            date: path.map(|_| "2026-08-15T09:30:00-04:00".to_owned()),
            path: path.map(str::to_owned),
            test: "at_most \"88 %\"".to_owned(),
            required: "88% or less".to_owned(),
            negated: None,
            note: path.is_none().then(|| "nothing found".to_owned()),
            stated: Vec::new(),
        }),
    }
}

/// A verdict with one condition met, one not met and one unknown.
pub fn verdict() -> Verdict {
    let found = leaf(Outcome::Met, Some("$['res']['Observation'][0]['valueQuantity']"));
    let group = node(Outcome::Met, "group-1-rest", "Group I", vec![found]);
    let conditions = vec![
        node(Outcome::Met, "qualifying", "Qualifying", vec![group]),
        node(
            Outcome::NotMet,
            "test-age",
            "Test age",
            vec![leaf(Outcome::NotMet, Some("$['item']['quantity']"))],
        ),
        node(
            Outcome::Unknown,
            "test-source",
            "Test source",
            vec![leaf(Outcome::Unknown, None)],
        ),
    ];
    let trace = vec![TraceNode {
        criterion: None,
        text: None,
        cite: None,
        combine: Some("all".to_owned()),
        ..node(Outcome::NotMet, "", "", conditions)
    }];
    Verdict {
        source: VerdictSource::Policy {
            policy: "dme.home-oxygen".to_owned(),
            version: "2026.2".to_owned(),
            hash: "sha256:1".to_owned(),
            title: "Home oxygen".to_owned(),
        },
        coverage: CoverageAnswer::default(),
        decision: Decision::Pend(Pend {
            queue: "dme-nurse".to_owned(),
            reason: "clinical-review".to_owned(),
            documents_needed: vec![NeededDocument {
                criterion: "test-source".to_owned(),
                loinc: None,
                questionnaire: Some("home-oxygen|1.0.0".to_owned()),
                text: "Who performed the test".to_owned(),
            }],
        }),
        criteria: BTreeMap::from(
            [
                ("qualifying", Outcome::Met),
                ("group-1-rest", Outcome::Met),
                ("test-age", Outcome::NotMet),
                ("test-source", Outcome::Unknown),
            ]
            .map(|(name, outcome)| (name.to_owned(), outcome)),
        ),
        trace,
        trace_hash: String::new(),
        error: None,
    }
}

pub fn events() -> Vec<Event> {
    let due = "2026-10-12T12:00:00Z".parse().unwrap();
    PriorAuth::open(NewCase {
        id: Uuid::from_u128(1),
        at: "2026-10-05T12:00:00Z".parse().unwrap(),
        received: Received {
            client: CLIENT,
            member: MEMBER,
            coverage: Uuid::from_u128(0xc0),
            line_of_business: "MA".to_owned(),
            zone: chrono_tz::America::New_York,
            channel: "pas-2.2".to_owned(),
            urgent: false,
            due: DueTime {
                internal: due,
                legal: due,
                clock: "ma-standard".to_owned(),
                source: "42 CFR 422.568".to_owned(),
            },
            request: Uuid::from_u128(2),
            policy_set: "sha256:0".to_owned(),
            requester_npi: Some("1003000126".to_owned()),
            requester_name: "Ada Lung".to_owned(),
            senders: Vec::new(),
            assertion: None,
            member_facts: None,
            admission: None,
            app_access: crate::prior_auth::AppAccess::All,
        },
        items: vec![NewItem {
            sequence: 1,
            system: crate::fhir::coding::HCPCS.to_owned(),
            code: "E1390".to_owned(),
            quantity: Some(json!({ "value": 12, "code": "MO" })),
            serviced: "2026-10-06".parse().ok(),
            serviced_until: "2026-10-06".parse().ok(),
            reference_number: "RF-0000000001".to_owned(),
            authorization_number: "PA-0000000001".to_owned(),
            verdict: verdict(),
            gold_card: Vec::new(),
            shadow: Vec::new(),
        }],
    })
}

pub fn case() -> PriorAuth {
    PriorAuth::replay(Uuid::from_u128(1), &events()).unwrap()
}

pub fn member() -> Member {
    Member {
        id: MEMBER,
        member_id: "12345678901".to_owned(),
        family: "smith".to_owned(),
        given: "joe".to_owned(),
        birth_date: "1951-01-18".parse().ok(),
        gender: None,
        doc: json!({ "resourceType": "Patient", "name": [{ "family": "Smith", "given": ["Joe"] }] }),
    }
}

pub fn coverage() -> Coverage {
    Coverage {
        id: Uuid::from_u128(0xc0),
        key: "x|1".to_owned(),
        member: MEMBER,
        plan: "H1234-001".to_owned(),
        line_of_business: "MA".to_owned(),
        state: None,
        zone: chrono_tz::America::New_York,
        subscriber_id: Some("1122334455".to_owned()),
        status: "active".to_owned(),
        starts: None,
        ends: None,
        doc: json!({}),
    }
}

/// A request with an order by a PractitionerRole, an observation, a condition and a form with one answer.
pub fn request() -> Value {
    let entry = |id: &str, resource: Value| json!({ "fullUrl": format!("https://ehr.example/{id}"), "resource": resource });
    json!({ "resourceType": "Bundle", "type": "collection", "entry": [
        entry("Claim/c", json!({ "resourceType": "Claim", "id": "c",
            "careTeam": [{ "sequence": 1, "provider": { "reference": "PractitionerRole/r" } }],
            "item": [{ "sequence": 1, "careTeamSequence": [1],
                "quantity": { "value": 12, "code": "MO", "system": "https://codesystem.x12.org/005010/673" },
                "servicedPeriod": { "start": "2026-10-06", "end": "2027-10-05" } }] })),
        entry("PractitionerRole/r", json!({ "resourceType": "PractitionerRole", "id": "r",
            "practitioner": { "reference": "Practitioner/p" } })),
        entry("Practitioner/p", json!({ "resourceType": "Practitioner", "id": "p",
            "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": "1003000126" }],
            "name": [{ "family": "Lung", "given": ["Ada"] }] })),
        entry("ServiceRequest/s", json!({ "resourceType": "ServiceRequest", "id": "s", "status": "active",
            "code": { "coding": [{ "system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
            "requester": { "reference": "PractitionerRole/r" }, "authoredOn": "2026-10-05" })),
        entry("Observation/o", json!({ "resourceType": "Observation", "id": "o", "status": "final",
            "code": { "coding": [{ "system": "http://loinc.org", "code": "59408-5", "display": "Oxygen saturation" }] },
            "effectiveDateTime": "2026-08-15T09:30:00-04:00", "valueQuantity": { "value": 91, "unit": "%", "code": "%" } })),
        entry("Condition/d", json!({ "resourceType": "Condition", "id": "d",
            "clinicalStatus": { "coding": [{ "code": "active" }] },
            "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J44.9" }] } })),
        entry("QuestionnaireResponse/q", json!({ "resourceType": "QuestionnaireResponse", "id": "q", "status": "completed",
            "item": [{ "linkId": "oxygen.order", "item": [{ "linkId": "oxygen.months", "text": "Months ordered",
                "answer": [{ "valueQuantity": { "value": 12, "code": "mo" },
                    "extension": [{ "url": "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin",
                        "extension": [{ "url": "source", "valueCode": "auto-server" }] }] }] }] }] })),
    ] })
}
