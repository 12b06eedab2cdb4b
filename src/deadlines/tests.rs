//! The shipped clocks at the limits of days, time zones and escalation steps.

use super::*;
use chrono_tz::America::New_York;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn shipped() -> Clocks {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/clocks");
    let files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (
                format!("clocks/{name}"),
                std::fs::read_to_string(entry.path()).unwrap(),
            )
        })
        .collect();
    Clocks::load(&files).unwrap()
}

#[test]
fn seven_calendar_days_are_168_hours_internally_and_legally_end_with_the_seventh_day() {
    let due = shipped()
        .due("MA", false, at("2026-10-01T14:05:00Z"), New_York)
        .unwrap();
    assert_eq!(due.internal, at("2026-10-08T14:05:00Z"));
    assert_eq!(due.legal, at("2026-10-09T03:59:59Z"));
    assert!(due.source.contains("422.568(b)(1)"));
}

#[test]
fn a_clock_in_hours_has_the_same_internal_and_legal_due_time() {
    let due = shipped()
        .due("MA", true, at("2026-10-01T14:05:00Z"), New_York)
        .unwrap();
    assert_eq!(due.internal, at("2026-10-04T14:05:00Z"));
    assert_eq!(due.legal, due.internal);
    assert!(due.source.contains("422.572(a)(1)"));
}

#[test]
fn the_legal_due_time_follows_the_end_of_daylight_saving_time() {
    let due = shipped()
        .due("MA", false, at("2026-10-28T14:00:00Z"), New_York)
        .unwrap();
    assert_eq!(due.legal, at("2026-11-05T04:59:59Z"));
}

#[test]
fn every_line_of_business_of_the_demo_has_both_clocks() {
    let clocks = shipped();
    for lob in ["MA", "MEDICAID-MC", "CHIP", "QHP", "ERISA"] {
        for urgent in [false, true] {
            assert!(
                clocks
                    .due(lob, urgent, at("2026-10-01T14:05:00Z"), New_York)
                    .is_some(),
                "{lob} {urgent}"
            );
        }
    }
    assert_eq!(
        clocks.due("VISION", false, at("2026-10-01T14:05:00Z"), New_York),
        None
    );
}

#[test]
fn the_earliest_due_time_of_all_matching_clocks_applies() {
    let rule = |name: &str, length: &str| {
        format!(
            "  - {{ name: {name}, lines_of_business: [MA], urgent: false, length: {length}, from: 2026-01-01, to: null, source: s, escalation_hours: {{ watch: 3, due_soon: 2, due_now: 1 }} }}\n"
        )
    };
    let text = format!(
        "format: pa-clock/1\nclocks:\n{}{}",
        rule("long", "7 calendar days"),
        rule("short", "100 hours")
    );
    let clocks = Clocks::load(&[("clocks/a.yaml".into(), text)]).unwrap();
    assert_eq!(
        clocks
            .due("MA", false, at("2026-10-01T00:00:00Z"), Tz::UTC)
            .unwrap()
            .clock,
        "short"
    );
}

#[test]
fn escalation_steps_follow_the_hours_left() {
    let clocks = shipped();
    let standard = clocks
        .due("MA", false, at("2026-10-01T00:00:00Z"), Tz::UTC)
        .unwrap();
    let expedited = clocks
        .due("MA", true, at("2026-10-01T00:00:00Z"), Tz::UTC)
        .unwrap();
    let step = |due: &DueTime, left: i64| {
        let now = due.internal - Duration::hours(left);
        clocks.escalation_step(due, now).as_str()
    };
    assert_eq!(
        [73, 72, 25, 23, 9, 7, 0, -1].map(|left| step(&standard, left)),
        [
            "on-track", "watch", "watch", "due-soon", "due-soon", "due-now", "due-now", "overdue"
        ]
    );
    assert_eq!(
        [37, 35, 13, 11, 5, 3, -1].map(|left| step(&expedited, left)),
        [
            "on-track", "watch", "watch", "due-soon", "due-soon", "due-now", "overdue"
        ]
    );
}

#[test]
fn every_due_time_is_in_the_window_of_its_escalation_step_and_in_no_other() {
    let clocks = shipped();
    let now = at("2026-10-01T00:00:00Z");
    let steps = [
        EscalationStep::Overdue,
        EscalationStep::DueNow,
        EscalationStep::DueSoon,
        EscalationStep::Watch,
        EscalationStep::OnTrack,
    ];
    for clock in ["ma-standard", "ma-expedited", "of another policy set"] {
        for hours in [-1, 0, 4, 8, 12, 24, 36, 72, 100] {
            for micros in [-1, 0, 1] {
                let due = now + Duration::hours(hours) + Duration::microseconds(micros);
                let contains = |window: DueWindow| {
                    window.from.is_none_or(|from| from <= due)
                        && window.before.is_none_or(|before| due < before)
                };
                let found: Vec<_> = steps
                    .into_iter()
                    .filter(|step| contains(clocks.due_window(clock, *step, now)))
                    .collect();
                assert_eq!(found, [clocks.step_at(clock, due, now)], "{clock} {due}");
            }
        }
    }
}

#[test]
fn a_finding_in_a_clock_names_file_and_line() {
    let text = "format: pa-clock/1\nclocks:\n  - name: a\n    lines_of_business: [MA]\n    urgent: false\n    length: 7 days\n    from: 2026-01-01\n    to: null\n    source: s\n    escalation_hours: { watch: 3, due_soon: 2, due_now: 1 }\n";
    let findings = Clocks::load(&[("clocks/a.yaml".into(), text.into())]).unwrap_err();
    let message = findings[0].to_string();
    assert!(message.starts_with("clocks/a.yaml:"), "{message}");
    assert!(message.contains("7 calendar days"), "{message}");
}
