//! Tables of the three values, of units, dates and picks. Each case is a small policy over a small document.

use super::*;
use crate::rules::Loading;
use crate::rules::load::{check, files};
use crate::rules::tests::{fixture, shipped};
use Outcome::{Met, NotMet, Unknown};
use serde_json::{Value, json};

fn leaves(outcomes: &[Outcome]) -> Vec<TraceNode> {
    outcomes.iter().map(|o| bare(*o)).collect()
}

const ALL: [Outcome; 3] = [Met, NotMet, Unknown];

#[test]
fn the_tables_of_the_three_values() {
    // Rows: met, not met, unknown; columns the same.
    let table = |combine: &str| ALL.map(|a| ALL.map(|b| combined(combine, leaves(&[a, b])).outcome));
    assert_eq!(
        table("all"),
        [
            [Met, NotMet, Unknown],
            [NotMet, NotMet, NotMet],
            [Unknown, NotMet, Unknown]
        ]
    );
    assert_eq!(
        table("any"),
        [[Met, Met, Met], [Met, NotMet, Unknown], [Met, Unknown, Unknown]]
    );
    assert_eq!(
        table("first_known"),
        [[Met, Met, Met], [NotMet, NotMet, NotMet], [Met, NotMet, Unknown]]
    );
    assert_eq!(
        ALL.map(|a| combined("not", leaves(&[a])).outcome),
        [NotMet, Met, Unknown]
    );
}

#[test]
fn a_count_is_unknown_as_long_as_it_could_tip() {
    let two_of = |outcomes: &[Outcome]| counted(2, leaves(outcomes)).outcome;
    assert_eq!(two_of(&[Met, Met, Unknown]), Met);
    assert_eq!(two_of(&[Met, Unknown, NotMet]), Unknown);
    assert_eq!(two_of(&[Met, NotMet, NotMet]), NotMet);
    assert_eq!(two_of(&[Unknown, Unknown, NotMet]), Unknown);
    assert_eq!(two_of(&[NotMet, NotMet, Unknown]), NotMet);
}

/// The outcome of one test of one fact over `answers` and `res`, and its note.
fn ask(fact: &str, test: &str, answers: Value, res: Value) -> (Outcome, Option<String>) {
    let text = format!(
        "format: pa-policy/1\npolicy: p\nversion: \"1\"\nstatus: draft\neffective: {{ basis: received, from: 2026-01-01 }}\n\
         title: t\nowner: o\nsources: [ {{ id: s, cite: c, url: \"https://x\", checked: 2026-01-01 }} ]\n\
         scope: {{ codes: [ {{ system: s, any: [\"c\"] }} ], lines: [any], states: [any] }}\n\
         sets: {{ icd: {{ system: \"http://hl7.org/fhir/sid/icd-10-cm\", any: [\"J44.9\"] }}, hcpcs: {{ system: \"http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets\", any: [\"33510\"] }} }}\n\
         facts: {{ f: {fact} }}\n\
         criteria: {{ c: {{ text: t, cite: s, all: [ {{ fact: f, {test} }} ] }} }}\n\
         coverage: [ {{ answer: {{ covered: covered, pa: auth-needed }} }} ]\n\
         decision: {{ approve: {{ when: {{ criterion: c }}, grant: {{ units: as-asked, reason: r }} }}, \
         otherwise: {{ pend: {{ queue: q, reason: r }}, ask_for: {{ c: {{ loinc: \"1-8\", text: t }} }} }} }}\n"
    );
    let (mut findings, mut warnings, mut paths) = (Vec::new(), Vec::new(), check::Paths::new());
    let loading = Loading::default();
    let mut parts = files::Parts::read(&[("policies/p/1.yaml", &text)], &loading);
    assert_eq!(parts.findings, []);
    let read = parts.policies.remove(0);
    let mut sheet = check::Sheet::new(read.file, read.text, &mut findings, &mut warnings, &mut paths);
    let policy = check::policy(read, &parts, &|_| None, &loading, &mut sheet);
    let ignored = [
        "Nothing uses the set",
        "carries its tests",
        "No form of this policy",
    ];
    findings.retain(|f| !ignored.iter().any(|i| f.message.contains(i)));
    assert!(findings.is_empty(), "{findings:?}");
    let document = CaseDocument::from_json(
        json!({ "received": "2026-10-01T03:30:00Z", "zone": "America/New_York",
        "item": { "period": { "start": "2026-10-20" } }, "answers": answers, "res": res }),
    )
    .unwrap();
    let verdict = verdict(&policy, &document, Budget(Budget::WHOLE));
    assert_eq!(verdict.error, None);
    let leaf = verdict.trace[0].of[0].leaf.clone().unwrap();
    (verdict.criteria["c"], leaf.note)
}

fn outcome(fact: &str, test: &str, answer: Value) -> Outcome {
    ask(fact, test, json!({ "a": [answer] }), json!({})).0
}

#[test]
fn limits_include_or_exclude_their_edge() {
    let number = "{ answer: a, as: number }";
    for (test, at, below, above) in [
        ("at_most: 4", Met, Met, NotMet),
        ("at_least: 4", Met, NotMet, Met),
        ("less_than: 4", NotMet, Met, NotMet),
        ("more_than: 4", NotMet, NotMet, Met),
        ("between: [4, 4]", Met, NotMet, NotMet),
        ("equals: 4", Met, NotMet, NotMet),
    ] {
        let came = [json!(4), json!(3.9), json!(5)].map(|n| outcome(number, test, n));
        assert_eq!(came, [at, below, above], "{test}");
    }
}

#[test]
fn missing_is_unknown_and_another_type_is_unknown() {
    let boolean = "{ answer: a, as: boolean }";
    let none = |test: &str| ask(boolean, test, json!({}), json!({}));
    assert_eq!(none("equals: true"), (Unknown, Some("nothing found".into())));
    assert_eq!(none("equals: true, if_missing: not-met").0, NotMet);
    assert_eq!(none("exists: false, if_missing: met").0, Met);
    assert_eq!(
        outcome(boolean, "exists: true, if_missing: not-met", json!(false)),
        Met
    );
    assert_eq!(outcome(boolean, "equals: true", Value::Null), Unknown);
    // What is there and cannot be read is not missing.
    let (outcome, note) = ask(
        boolean,
        "equals: true, if_missing: not-met",
        json!({ "a": ["yes"] }),
        json!({}),
    );
    assert_eq!(
        (outcome, note.as_deref()),
        (Unknown, Some("found, but it is no boolean"))
    );
}

#[test]
fn a_quantity_counts_only_in_its_unit_or_a_named_conversion() {
    let fact = "{ from: \"$.answers.a[0]\", read: { path: \"$\", as: quantity, unit: \"mm[Hg]\", convert: { kPa: 7.50062 } } }";
    let came = |quantity: Value| {
        ask(
            fact,
            "at_most: \"55 mm[Hg]\"",
            json!({ "a": [quantity] }),
            json!({}),
        )
    };
    assert_eq!(
        came(json!({ "value": 55, "code": "mm[Hg]", "unit": "mmHg" })).0,
        Met
    );
    assert_eq!(came(json!({ "value": 7.3, "code": "kPa" })).0, Met);
    assert_eq!(came(json!({ "value": 8, "code": "kPa" })).0, NotMet);
    assert_eq!(
        came(json!({ "value": 5, "code": "cm[H2O]" })),
        (Unknown, Some("another unit: cm[H2O]".into()))
    );
    assert_eq!(
        came(json!({ "value": 5 })),
        (Unknown, Some("a quantity without a unit".into()))
    );
    assert_eq!(
        came(json!({ "value": 55, "code": "mm[Hg]", "comparator": "<" })).0,
        Unknown
    );
    assert_eq!(came(json!(5)).0, Unknown);
}

#[test]
fn days_are_counted_in_the_plans_zone_and_partial_dates_are_ranges() {
    // Received on 30 September in New York. Thirty days before that is 31 August.
    let within = |date: &str| {
        outcome(
            "{ answer: a, as: date }",
            "dated_within: { of: received, at_most: \"30 days\" }",
            json!(date),
        )
    };
    for (date, wanted) in [
        ("2026-09-30", Met),
        ("2026-08-31", Met),
        ("2026-08-30", NotMet),
        ("2026-08-31T03:59:00Z", NotMet),
        ("2026-08-31T04:00:00Z", Met),
        ("2026-09", Met),
        ("2026-08", Unknown),
        ("2026-07", NotMet),
        ("2026", Unknown),
        ("2025", NotMet),
        ("2026-10-01", Unknown),
        ("soon", Unknown),
    ] {
        assert_eq!(within(date), wanted, "{date}");
    }
}

#[test]
fn a_date_before_or_after_a_day() {
    let came = |test: &str, date: &str| outcome("{ answer: a, as: date }", test, json!(date));
    assert_eq!(came("on_or_after: received", "2026-09-30"), Met);
    assert_eq!(came("on_or_after: received", "2026-09-29"), NotMet);
    assert_eq!(came("on_or_after: received", "2026-09"), Unknown);
    assert_eq!(came("on_or_before: service-start", "2026-10-20"), Met);
    assert_eq!(came("on_or_before: service-start", "2026-10-21"), NotMet);
    assert_eq!(came("on_or_before: service-start", "2026-10"), Unknown);
    assert_eq!(came("on_or_before: 2026-01-31", "2026-01"), Met);
}

#[test]
fn a_set_holds_codes_in_any_spelling_of_their_system() {
    let came = |system: &str, code: &str| {
        outcome(
            "{ answer: a, as: code }",
            "in_set: icd",
            json!({ "system": system, "code": code }),
        )
    };
    assert_eq!(came("http://hl7.org/fhir/sid/icd-10-cm", "J44.9"), Met);
    assert_eq!(came("urn:oid:2.16.840.1.113883.6.90", "J44.9"), Met);
    assert_eq!(came("http://hl7.org/fhir/sid/icd-10-cm", "J44.8"), NotMet);
    assert_eq!(came("http://snomed.info/sct", "J44.9"), NotMet);
    assert_eq!(
        outcome("{ answer: a, as: code }", "in_set: icd", json!("J44.9")),
        Unknown
    );
    let cpt = json!({ "system": "http://www.ama-assn.org/go/cpt", "code": "33510" });
    assert_eq!(outcome("{ answer: a, as: code }", "in_set: hcpcs", cpt), Met);
}

fn observations(of: &[(&str, f64)]) -> Value {
    let all: Vec<Value> = of
        .iter()
        .map(|(date, value)| {
            let mut one = json!({ "resourceType": "Observation", "status": "final", "valueQuantity": { "value": value, "code": "%" } });
            if !date.is_empty() {
                one["effectiveDateTime"] = json!(date);
            }
            one
        })
        .collect();
    json!({ "Observation": all })
}

#[test]
fn the_newest_the_lowest_and_what_cannot_be_told() {
    let came = |pick: &str, of: &[(&str, f64)]| {
        let fact = format!(
            "{{ from: {{ type: Observation, status: [final] }}, read: {{ path: \"$.valueQuantity\", as: quantity, unit: \"%\" }}, \
             dated: \"$.effectiveDateTime\", pick: {pick} }}"
        );
        ask(&fact, "at_most: \"88 %\"", json!({}), observations(of)).0
    };
    let two = [("2026-09-01", 87.0), ("2026-09-02T08:00:00Z", 91.0)];
    assert_eq!(came("newest", &two), NotMet);
    assert_eq!(came("oldest", &two), Met);
    assert_eq!(came("first", &two), Met);
    assert_eq!(came("lowest", &two), Met);
    assert_eq!(came("highest", &two), NotMet);
    // Two results of one day, one of which names no hour: which is newer nobody knows.
    assert_eq!(
        came(
            "newest",
            &[("2026-09-02", 87.0), ("2026-09-02T08:00:00-04:00", 91.0)]
        ),
        Unknown
    );
    assert_eq!(
        came(
            "newest",
            &[("2026-09-02", 87.0), ("2026-09-02T08:00:00-04:00", 87.0)]
        ),
        Met
    );
    assert_eq!(
        came(
            "newest",
            &[("2026-09", 91.0), ("2026-09-10", 87.0), ("2026-09-12", 87.0)]
        ),
        Unknown
    );
    assert_eq!(came("newest", &[("", 87.0), ("2026-09-02", 87.0)]), Unknown);
    assert_eq!(came("newest", &[("", 87.0)]), Met);
}

#[test]
fn several_answers_without_a_pick_must_agree() {
    let came = |answers: Value| {
        ask(
            "{ answer: a, as: code }",
            "equals: x",
            json!({ "a": answers }),
            json!({}),
        )
        .0
    };
    assert_eq!(came(json!(["x", "x"])), Met);
    assert_eq!(came(json!(["x", "y"])), Unknown);
}

#[test]
fn an_overrun_of_the_budget_pends_with_an_error() {
    let rules = shipped();
    let policy = rules.policies().find(|p| p.name() == "dme.home-oxygen").unwrap();
    let document = fixture("oxygen", |_| ());
    for steps in [0, 1, 20, 60] {
        let verdict = verdict(policy, &document, Budget(steps));
        assert!(verdict.error.is_some(), "{steps}");
        assert_eq!(verdict.coverage.covered, "indeterminate");
        assert!(
            matches!(&verdict.decision, Decision::Pend(p) if p.queue == "dme-nurse" && p.reason == "evaluation-error")
        );
    }
    assert_eq!(verdict(policy, &document, Budget(10_000)).error, None);
}

#[test]
fn coverage_that_settles_the_matter_runs_no_criterion() {
    let rules = shipped();
    let verdict = rules.evaluate(&fixture("oxygen", |j| {
        j["member"]["transition_until"] = json!("2026-11-30")
    }));
    assert!(verdict.criteria.is_empty());
    assert!(matches!(verdict.decision, Decision::NotRequired { .. }));
    assert_eq!(verdict.trace.len(), 1);
    let not_covered = CoverageAnswer::not_covered("no-active-coverage", "ended");
    assert!(
        matches!(settled_by_coverage(&not_covered), Some(Decision::Pend(p)) if p.queue == "administrative")
    );
}
