//! Who may decide, and when a command is refused.

use super::*;
use crate::deadlines::DueTime;
use crate::prior_auth::{Credential, CredentialKind, NewCase, NewItem, Received, Role};
use crate::rules::{
    CoverageAnswer, Decision, Outcome as CriterionOutcome, Pend, TraceNode, Verdict, VerdictSource,
};
use uuid::Uuid;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A policy's verdict whose condition for an approval has this outcome, with the criteria `met`, `not-met`, `unknown`.
fn policy_verdict(outcome: CriterionOutcome) -> Verdict {
    let criterion = |name: &str, outcome| (name.to_owned(), outcome);
    Verdict {
        source: VerdictSource::Policy {
            policy: "dme.home-oxygen".to_owned(),
            version: "2026.2".to_owned(),
            hash: String::new(),
            title: "Home oxygen".to_owned(),
        },
        criteria: [
            criterion("met", CriterionOutcome::Met),
            criterion("not-met", CriterionOutcome::NotMet),
            criterion("unknown", CriterionOutcome::Unknown),
        ]
        .into(),
        trace: vec![TraceNode {
            outcome,
            criterion: None,
            text: None,
            cite: None,
            combine: Some("all".to_owned()),
            of: Vec::new(),
            leaf: None,
        }],
        ..no_policy_verdict()
    }
}

fn no_policy_verdict() -> Verdict {
    Verdict {
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
    }
}

fn pended() -> PriorAuth {
    pended_with(vec![policy_verdict(CriterionOutcome::NotMet)])
}

/// A case with one pended item for each verdict.
fn pended_with(verdicts: Vec<Verdict>) -> PriorAuth {
    let now = at("2026-10-01T14:05:00Z");
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
        admission: None,
        app_access: crate::prior_auth::AppAccess::All,
    };
    let item = |(sequence, verdict)| NewItem {
        sequence,
        system: String::new(),
        code: "E1390".to_owned(),
        quantity: None,
        serviced: None,
        serviced_until: None,
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
        items: (1..).zip(verdicts).map(item).collect(),
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

fn physician() -> Reviewer {
    reviewer(Role::Physician, Some(CredentialKind::Physician), None)
}

fn nurse() -> Reviewer {
    reviewer(Role::Nurse, Some(CredentialKind::Nurse), None)
}

/// A denial of item 1 that is not confirmed.
fn denial<'a>(by: &'a Reviewer, version_seen: u32, reason: &'a str) -> Deny<'a> {
    Deny {
        by,
        version_seen,
        items: &[1],
        reason_code: "0F",
        criterion: None,
        reason,
        note: "",
        grade_limit: 8,
        confirmation: Confirmation::default(),
    }
}

/// Carries out a denial after confirming it.
fn deny(case: &PriorAuth, denial: &Deny<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, CommandError> {
    let digest = denial.digest(case);
    let confirmation = Confirmation {
        digest: &digest,
        accepts_hard_text: false,
    };
    case.deny(
        &Deny {
            confirmation,
            ..*denial
        },
        now,
    )
}

fn approval<'a>(by: &'a Reviewer, case: &PriorAuth, note: &str, end: Option<&str>) -> Approve<'a> {
    Approve {
        by,
        version_seen: case.version,
        sequence: 1,
        number: "PA-2".to_owned(),
        end: end.map(|day| day.parse().unwrap()),
        reason: "As requested".to_owned(),
        note: note.to_owned(),
    }
}

const REASON: &str = "Your oxygen level at rest was 91 percent. The rule asks for 88 percent or less.";

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
        let answer = deny(&case, &denial(&by, case.version, REASON), now);
        assert!(matches!(answer, Err(CommandError::NotPermitted(_))), "{by:?}");
    }
    let physician = reviewer(
        Role::Physician,
        Some(CredentialKind::Physician),
        Some("2026-10-02"),
    );
    let events = deny(&case, &denial(&physician, case.version, REASON), now).unwrap();
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
fn a_denial_needs_a_code_and_a_reason_in_words() {
    let (case, now, physician) = (pended(), at("2026-10-02T10:00:00Z"), physician());
    let too_long = "word ".repeat(500);
    for reason in [
        "  too short  ",
        &too_long,
        "0F E1390 J44.9 59408-5 NCD 240.2, not-met, unknown, met",
    ] {
        let refused = deny(&case, &denial(&physician, case.version, reason), now);
        assert!(
            matches!(refused, Err(CommandError::Incomplete("reason", _))),
            "{reason}"
        );
    }
    let uncoded = Deny {
        reason_code: "",
        ..denial(&physician, case.version, REASON)
    };
    assert!(matches!(
        deny(&case, &uncoded, now),
        Err(CommandError::Incomplete("reason_code", _))
    ));
}

#[test]
fn a_denial_cites_only_a_criterion_of_the_applied_policy_that_is_not_met() {
    let (case, now, physician) = (pended(), at("2026-10-02T10:00:00Z"), physician());
    for (criterion, accepted) in [
        ("met", false),
        ("mood", false),
        ("not-met", true),
        ("unknown", true),
    ] {
        let denial = Deny {
            criterion: Some(criterion),
            ..denial(&physician, case.version, REASON)
        };
        match deny(&case, &denial, now) {
            Ok(events) => assert!(accepted && events.len() == 1, "{criterion}"),
            Err(error) => assert!(
                !accepted && matches!(error, CommandError::Incomplete("criterion", _)),
                "{criterion}: {error:?}"
            ),
        }
    }
}

#[test]
fn only_the_denial_that_was_shown_is_recorded() {
    let (case, now, physician) = (pended(), at("2026-10-02T10:00:00Z"), physician());
    let shown = denial(&physician, case.version, REASON);
    assert_eq!(case.deny(&shown, now), Err(CommandError::NotConfirmed));
    let digest = shown.digest(&case);
    let confirmation = Confirmation {
        digest: &digest,
        accepts_hard_text: false,
    };
    let other_reason = Deny {
        reason: "Your oxygen level at rest was 92 percent. The rule asks for 88 percent or less.",
        confirmation,
        ..shown
    };
    let other_code = Deny {
        reason_code: "44",
        confirmation,
        ..shown
    };
    for changed in [other_reason, other_code] {
        assert_eq!(case.deny(&changed, now), Err(CommandError::NotConfirmed));
    }
    assert_eq!(
        case.deny(
            &Deny {
                confirmation,
                ..shown
            },
            now
        )
        .unwrap()
        .len(),
        1
    );
}

#[test]
fn a_reason_that_is_hard_to_read_is_recorded_only_when_the_physician_accepts_it() {
    let (case, now, physician) = (pended(), at("2026-10-02T10:00:00Z"), physician());
    let hard =
        "The documentation submitted insufficiently substantiates the necessity of supplemental oxygen.";
    let shown = denial(&physician, case.version, hard);
    let preview = case.preview_denial(&shown, now).unwrap();
    assert_eq!(preview.hard_text.unwrap().sentences[0].text, hard);
    assert_eq!(deny(&case, &shown, now), Err(CommandError::HardToRead));
    let accepted = Confirmation {
        digest: &preview.digest,
        accepts_hard_text: true,
    };
    let events = case.deny(
        &Deny {
            confirmation: accepted,
            ..shown
        },
        now,
    );
    assert_eq!(events.unwrap().len(), 1);
    let generous = Deny {
        grade_limit: 40,
        ..shown
    };
    assert!(deny(&case, &generous, now).is_ok(), "the limit is a setting");
}

#[test]
fn several_items_are_denied_together_or_not_at_all() {
    let now = at("2026-10-02T10:00:00Z");
    let case = pended_with(vec![
        policy_verdict(CriterionOutcome::NotMet),
        no_policy_verdict(),
    ]);
    let physician = physician();
    let both = Deny {
        items: &[1, 2],
        ..denial(&physician, case.version, REASON)
    };
    let events = deny(&case, &both, now).unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [4, 5]);
    let cited = Deny {
        criterion: Some("not-met"),
        ..both
    };
    let refused = deny(&case, &cited, now);
    assert!(
        matches!(refused, Err(CommandError::Incomplete("criterion", _))),
        "item 2 has no such criterion: {refused:?}"
    );
    let unknown = Deny {
        items: &[1, 9],
        ..both
    };
    assert_eq!(deny(&case, &unknown, now), Err(CommandError::ItemNotFound(9)));
}

#[test]
fn a_command_on_an_old_version_is_refused_and_the_same_decision_twice_changes_nothing() {
    let (mut case, now, physician) = (pended(), at("2026-10-02T10:00:00Z"), physician());
    let seen = case.version;
    assert_eq!(
        deny(&case, &denial(&physician, seen - 1, REASON), now),
        Err(CommandError::OutOfDate)
    );
    let events = deny(&case, &denial(&physician, seen, REASON), now).unwrap();
    for event in &events {
        case.apply(event);
    }
    let again = case.deny(&denial(&physician, seen, REASON), now);
    assert_eq!(again, Ok(Vec::new()), "nothing is left to confirm");
    let other = "Your oxygen level at rest was 92 percent. The rule asks for 88 percent or less.";
    assert_eq!(
        deny(&case, &denial(&physician, seen, other), now),
        Err(CommandError::AlreadyDecided)
    );
}

#[test]
fn a_nurse_approves_as_requested_and_refers_to_a_physician() {
    let (mut case, now, nurse) = (pended(), at("2026-10-02T10:00:00Z"), nurse());
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
    let command = approval(&nurse, &case, "Discussed with the practice", Some("2027-10-01"));
    let events = case.approve(command, now).unwrap();
    for event in &events {
        case.apply(event);
    }
    assert_eq!(case.items[0].status.review_action(), "A1");
}

#[test]
fn an_approval_beyond_the_policy_needs_a_note_and_a_last_day_from_nurse_and_physician() {
    let now = at("2026-10-02T10:00:00Z");
    let failed = Verdict {
        error: Some("the evaluation failed".to_owned()),
        ..policy_verdict(CriterionOutcome::Met)
    };
    let beyond = [
        policy_verdict(CriterionOutcome::NotMet),
        policy_verdict(CriterionOutcome::Unknown),
        no_policy_verdict(),
        failed,
    ];
    for verdict in beyond {
        let case = pended_with(vec![verdict]);
        for by in [nurse(), physician()] {
            let result = |note, end| case.approve(approval(&by, &case, note, end), now);
            let without_note = result(" ", Some("2027-10-01"));
            assert!(
                matches!(without_note, Err(CommandError::Incomplete("note", _))),
                "{without_note:?}"
            );
            let without_end = result("Called the practice", None);
            assert!(
                matches!(without_end, Err(CommandError::Incomplete("end", _))),
                "{without_end:?}"
            );
            assert_eq!(
                result("Called the practice", Some("2027-10-01")).unwrap().len(),
                1
            );
        }
    }
    let case = pended_with(vec![policy_verdict(CriterionOutcome::Met)]);
    assert!(case.approve(approval(&nurse(), &case, "", None), now).is_ok());
}

#[test]
fn a_changed_event_has_another_hash() {
    let (case, physician) = (pended(), physician());
    let denial = denial(&physician, case.version, REASON);
    let event = deny(&case, &denial, at("2026-10-02T10:00:00Z"))
        .unwrap()
        .remove(0);
    let first = crate::prior_auth::chain_hash("before", &event, "body");
    assert_ne!(
        first,
        crate::prior_auth::chain_hash("before", &event, "changed body")
    );
    assert_ne!(first, crate::prior_auth::chain_hash("other", &event, "body"));
}
