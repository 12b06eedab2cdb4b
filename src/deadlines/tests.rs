//! The clocks that are shipped, at the edges of days, zones and bands.

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
fn seven_calendar_days_are_168_hours_of_work_and_end_with_the_seventh_day() {
    let due = shipped()
        .due("MA", false, at("2026-10-01T14:05:00Z"), New_York)
        .unwrap();
    assert_eq!(due.work, at("2026-10-08T14:05:00Z"));
    assert_eq!(due.legal, at("2026-10-09T03:59:59Z"));
    assert!(due.source.contains("422.568(b)(1)"));
}

#[test]
fn seventy_two_hours_are_the_same_in_both_readings() {
    let due = shipped()
        .due("MA", true, at("2026-10-01T14:05:00Z"), New_York)
        .unwrap();
    assert_eq!(due.work, at("2026-10-04T14:05:00Z"));
    assert_eq!(due.legal, due.work);
    assert!(due.source.contains("422.572(a)(1)"));
}

#[test]
fn the_legal_end_follows_the_change_to_winter_time() {
    let due = shipped()
        .due("MA", false, at("2026-10-28T14:00:00Z"), New_York)
        .unwrap();
    assert_eq!(due.legal, at("2026-11-05T04:59:59Z"));
}

#[test]
fn every_line_of_the_demo_has_both_clocks() {
    let clocks = shipped();
    for line in ["MA", "MEDICAID-MC", "CHIP", "QHP", "ERISA"] {
        for urgent in [false, true] {
            assert!(
                clocks
                    .due(line, urgent, at("2026-10-01T14:05:00Z"), New_York)
                    .is_some(),
                "{line} {urgent}"
            );
        }
    }
    assert_eq!(
        clocks.due("VISION", false, at("2026-10-01T14:05:00Z"), New_York),
        None
    );
}

#[test]
fn the_earliest_due_of_all_matching_rules_wins() {
    let rule = |name: &str, length: &str| {
        format!(
            "  - {{ name: {name}, lines: [MA], urgent: false, length: {length}, from: 2026-01-01, to: null, source: s, bands: {{ watch: 3, soon: 2, now: 1 }} }}\n"
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
            .rule,
        "short"
    );
}

#[test]
fn bands_follow_the_hours_that_are_left() {
    let clocks = shipped();
    let standard = clocks
        .due("MA", false, at("2026-10-01T00:00:00Z"), Tz::UTC)
        .unwrap();
    let expedited = clocks
        .due("MA", true, at("2026-10-01T00:00:00Z"), Tz::UTC)
        .unwrap();
    let band = |due: &Due, left: i64| clocks.band(due, due.work - Duration::hours(left)).word();
    assert_eq!(
        [73, 72, 25, 23, 9, 7, 0, -1].map(|left| band(&standard, left)),
        ["calm", "watch", "watch", "soon", "soon", "now", "now", "late"]
    );
    assert_eq!(
        [37, 35, 13, 11, 5, 3, -1].map(|left| band(&expedited, left)),
        ["calm", "watch", "watch", "soon", "soon", "now", "late"]
    );
}

#[test]
fn a_mistake_in_a_clock_names_file_and_line() {
    let text = "format: pa-clock/1\nclocks:\n  - name: a\n    lines: [MA]\n    urgent: false\n    length: 7 days\n    from: 2026-01-01\n    to: null\n    source: s\n    bands: { watch: 3, soon: 2, now: 1 }\n";
    let findings = Clocks::load(&[("clocks/a.yaml".into(), text.into())]).unwrap_err();
    let said = findings[0].to_string();
    assert!(said.starts_with("clocks/a.yaml:"), "{said}");
    assert!(said.contains("7 calendar days"), "{said}");
}
