//! Who may decide, and when a command is refused.

use super::*;
use crate::deadlines::DueTime;
use crate::prior_auth::{Credential, CredentialKind, Role};
use crate::rules::{CoverageAnswer, Pend, VerdictSource};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn pended() -> PriorAuth {
    let now = at("2026-10-01T14:05:00Z");
    let verdict = Verdict {
        source: VerdictSource::NoBillingCode,
        coverage: CoverageAnswer::indeterminate("test"),
        decision: Decision::Pend(Pend {
            queue: "dme-nurse".to_owned(),
            reason: "clinical-review".to_owned(),
            documents_needed: Vec::new(),
        }),
        criteria: std::collections::BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: String::new(),
        error: None,
    };
    let received = Received {
        client: Uuid::nil(),
        member: Uuid::nil(),
        coverage: Uuid::nil(),
        line_of_business: "MA".to_owned(),
        zone: chrono_tz::America::New_York,
        channel: "pas-2.2".to_owned(),
        urgent: false,
        due: DueTime {
            internal: now,
            legal: now,
            clock: "test".to_owned(),
            source: "test".to_owned(),
        },
        request: Uuid::nil(),
        policy_set: String::new(),
        requester_npi: None,
        requester_name: String::new(),
        senders: Vec::new(),
        assertion: None,
        member_facts: None,
    };
    let item = NewItem {
        sequence: 1,
        system: String::new(),
        code: "E1390".to_owned(),
        quantity: None,
        serviced: None,
        reference_number: "RF-1".to_owned(),
        authorization_number: "PA-1".to_owned(),
        verdict,
        gold_card: Vec::new(),
        shadow: Vec::new(),
    };
    let events = PriorAuth::open(NewCase {
        id: Uuid::nil(),
        at: now,
        received,
        items: vec![item],
    });
    PriorAuth::replay(Uuid::nil(), &events).unwrap()
}

fn reviewer(role: Role, kind: Option<CredentialKind>, expires: Option<&str>) -> Reviewer {
    let credential = kind.map(|kind| Credential {
        kind,
        license: "35-1".to_owned(),
        state: "OH".to_owned(),
        npi: None,
        specialty: None,
        expires: expires.map(|day| day.parse().unwrap()),
    });
    Reviewer {
        id: Uuid::from_u128(1),
        username: "x".into(),
        name: "X".into(),
        roles: vec![role],
        credential,
    }
}

fn deny<'a>(by: &'a Reviewer, seen: u32, reason: &str) -> Deny<'a> {
    Deny {
        by,
        version_seen: seen,
        sequence: 1,
        reason_code: "0F".to_owned(),
        reason: reason.to_owned(),
    }
}

const REASON: &str = "A resting saturation of 91 percent does not meet the criterion.";

#[test]
fn only_a_physician_with_a_valid_license_denies() {
    let (case, now) = (pended(), at("2026-10-02T10:00:00Z"));
    let refused = [
        reviewer(Role::Intake, None, None),
        reviewer(Role::Nurse, Some(CredentialKind::Nurse), None),
        reviewer(Role::Nurse, Some(CredentialKind::Physician), None),
        reviewer(Role::Supervisor, Some(CredentialKind::Physician), None),
        reviewer(Role::Physician, None, None),
        reviewer(Role::Physician, Some(CredentialKind::Nurse), None),
        reviewer(
            Role::Physician,
            Some(CredentialKind::Physician),
            Some("2026-10-01"),
        ),
    ];
    for by in refused {
        let answer = case.deny(&deny(&by, case.version, REASON), now);
        assert!(matches!(answer, Err(CommandError::NotPermitted(_))), "{by:?}");
    }
    let physician = reviewer(
        Role::Physician,
        Some(CredentialKind::Physician),
        Some("2026-10-02"),
    );
    let events = case.deny(&deny(&physician, case.version, REASON), now).unwrap();
    let mut after = case.clone();
    for event in &events {
        after.apply(event);
    }
    assert_eq!(
        (after.status(), after.items[0].status),
        ("decided", ItemStatus::Denied)
    );
    assert_eq!(after.denials().next().unwrap().1.attested_by(), &physician);
}

#[test]
fn a_denial_needs_a_code_and_a_reason() {
    let (case, now) = (pended(), at("2026-10-02T10:00:00Z"));
    let physician = reviewer(Role::Physician, Some(CredentialKind::Physician), None);
    let too_short = case.deny(&deny(&physician, case.version, "  too short  "), now);
    assert!(matches!(too_short, Err(CommandError::Incomplete("reason", _))));
    let uncoded = Deny {
        reason_code: String::new(),
        ..deny(&physician, case.version, REASON)
    };
    assert!(matches!(
        case.deny(&uncoded, now),
        Err(CommandError::Incomplete("reason_code", _))
    ));
}

#[test]
fn a_command_on_an_old_version_is_refused_and_the_same_decision_twice_changes_nothing() {
    let (mut case, now) = (pended(), at("2026-10-02T10:00:00Z"));
    let physician = reviewer(Role::Physician, Some(CredentialKind::Physician), None);
    let seen = case.version;
    assert!(matches!(
        case.deny(&deny(&physician, seen - 1, REASON), now),
        Err(CommandError::OutOfDate)
    ));
    let events = case.deny(&deny(&physician, seen, REASON), now).unwrap();
    for event in &events {
        case.apply(event);
    }
    assert_eq!(case.deny(&deny(&physician, seen, REASON), now), Ok(Vec::new()));
    let other = case.deny(
        &deny(&physician, seen, "Another reason that is long enough to count."),
        now,
    );
    assert_eq!(other, Err(CommandError::AlreadyDecided));
}

#[test]
fn a_nurse_approves_as_requested_and_refers_to_a_physician() {
    let (mut case, now) = (pended(), at("2026-10-02T10:00:00Z"));
    let nurse = reviewer(Role::Nurse, Some(CredentialKind::Nurse), None);
    let question = "Is the test recent enough?".to_owned();
    let referred = case
        .refer(
            Refer {
                by: &nurse,
                version_seen: case.version,
                sequence: 1,
                question,
            },
            now,
        )
        .unwrap();
    for event in &referred {
        case.apply(event);
    }
    assert_eq!(case.status(), "physician-review");
    let approve = Approve {
        by: &nurse,
        version_seen: case.version,
        sequence: 1,
        number: "PA-2".to_owned(),
        end: None,
        reason: "Meets the criteria".to_owned(),
    };
    let events = case.approve(approve, now).unwrap();
    for event in &events {
        case.apply(event);
    }
    assert_eq!(case.items[0].status.review_action(), "A1");
}

#[test]
fn a_changed_event_has_another_hash() {
    let case = pended();
    let physician = reviewer(Role::Physician, Some(CredentialKind::Physician), None);
    let event = case
        .deny(
            &deny(&physician, case.version, REASON),
            at("2026-10-02T10:00:00Z"),
        )
        .unwrap()
        .remove(0);
    let first = crate::prior_auth::chain_hash("before", &event, "body");
    assert_ne!(
        first,
        crate::prior_auth::chain_hash("before", &event, "changed body")
    );
    assert_ne!(first, crate::prior_auth::chain_hash("other", &event, "body"));
}
