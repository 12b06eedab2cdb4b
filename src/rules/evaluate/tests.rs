//! Tests of limits, units, dates, sets and `pick`. Each case is a small policy evaluated over a small case document.

use crate::fhir::coding::HCPCS;
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::facts::StepBudget;
use crate::rules::evaluate::policy::{decision_by_coverage, evaluate_policy};
use crate::rules::load::check::collector::{FindingCollector, Paths};
use crate::rules::load::files::ParsedFiles;
use crate::rules::load::{check, options::LoadOptions};
use crate::rules::policy::Policy;
use crate::rules::tests::{fixture, shipped};
use crate::rules::verdict::{CoverageAnswer, Decision, Leaf, Outcome, Verdict};
use Outcome::{Met, NotMet, Unknown};
use serde_json::{Value, json};

/// The outcome and the note of one test of one fact, over `answers` and `res` of the case document.
fn evaluate_test(fact: &str, test: &str, answers: Value, res: Value) -> (Outcome, Option<String>) {
    let (outcome, leaf) = evaluate_leaf(fact, test, answers, res);
    (outcome, leaf.note)
}

/// The outcome of one test of one fact, and the test in the trace.
pub(in crate::rules) fn evaluate_leaf(fact: &str, test: &str, answers: Value, res: Value) -> (Outcome, Leaf) {
    let condition = format!("{{ fact: f, {test} }}");
    let verdict = evaluate_condition(fact, &condition, answers, res);
    let leaf = verdict.trace[0].of[0].leaf.clone().unwrap();
    (verdict.criteria["c"], leaf)
}

/// The verdict of a policy with one fact and one condition, over `answers` and `res` of the case document. Its item has
/// the modifiers RR and KX.
pub(in crate::rules) fn evaluate_condition(
    fact: &str,
    condition: &str,
    answers: Value,
    res: Value,
) -> Verdict {
    let policy = one_policy(fact, condition);
    let document = CaseDocument::from_json(
        json!({ "received": "2026-10-01T03:30:00Z", "zone": "America/New_York", "member": { "age": 71 },
        "item": { "period": { "start": "2026-10-20" }, "modifiers": [{ "system": HCPCS, "code": "RR" }, { "system": HCPCS, "code": "KX" }] },
        "answers": answers, "res": res }),
    )
    .unwrap();
    let verdict = evaluate_policy(&policy, &document, StepBudget(StepBudget::DEFAULT));
    assert_eq!(verdict.error, None);
    verdict
}

pub(in crate::rules) fn one_policy(fact: &str, condition: &str) -> Policy {
    let text = format!(
        "format: pa-policy/1\npolicy: p\nversion: \"1\"\nstatus: draft\neffective: {{ basis: received, from: 2026-01-01 }}\n\
         title: t\nowner: o\nsources: [ {{ id: s, cite: c, url: \"https://x\", checked: 2026-01-01 }} ]\n\
         scope: {{ codes: [ {{ system: \"{HCPCS}\", any: [\"E1390\"] }} ], lines_of_business: [any], states: [any] }}\n\
         sets: {{ icd: {{ label: \"Some diseases\", system: \"http://hl7.org/fhir/sid/icd-10-cm\", any: [\"J44.9\", \"E08-E13\", \"I27.2*\"] }}, \
         hcpcs: {{ system: \"{HCPCS}\", any: [\"33510\", \"K0813-K0816\"] }}, rental: {{ system: \"{HCPCS}\", any: [\"RR\"] }} }}\n\
         facts: {{ f: {fact} }}\n\
         criteria: {{ c: {{ text: t, cite: s, all: [ {condition} ] }} }}\n\
         coverage: [ {{ answer: {{ covered: covered, pa: auth-needed }} }} ]\n\
         decision: {{ approve: {{ when: {{ criterion: c }}, grant: {{ units: as-asked, reason: r }} }}, \
         otherwise: {{ pend: {{ queue: q, reason: r }}, ask_for: {{ c: {{ loinc: \"1-8\", text: t }} }} }} }}\n"
    );
    let (mut findings, mut warnings, mut paths) = (Vec::new(), Vec::new(), Paths::new());
    let options = LoadOptions::default();
    let mut parsed = ParsedFiles::read(&[("policies/p/1.yaml", &text)], &options);
    assert_eq!(parsed.findings, []);
    let parsed_policy = parsed.policies.remove(0);
    let mut collector = FindingCollector::new(
        parsed_policy.file,
        parsed_policy.text,
        &mut findings,
        &mut warnings,
        &mut paths,
    );
    let policy = check::policy(parsed_policy, &parsed, &|_| None, &options, &mut collector);
    let ignored = ["is not used", "A policy needs tests", "No form of this policy"];
    findings.retain(|f| !ignored.iter().any(|i| f.message.contains(i)));
    assert!(findings.is_empty(), "{findings:?}");
    policy
}

fn outcome(fact: &str, test: &str, answer: Value) -> Outcome {
    evaluate_test(fact, test, json!({ "a": [answer] }), json!({})).0
}

#[test]
fn limits_include_or_exclude_the_limit_itself() {
    let number = "{ answer: a, as: number }";
    for (test, at, below, above) in [
        ("at_most: 4", Met, Met, NotMet),
        ("at_least: 4", Met, NotMet, Met),
        ("less_than: 4", NotMet, Met, NotMet),
        ("more_than: 4", NotMet, NotMet, Met),
        ("between: [4, 4]", Met, NotMet, NotMet),
        ("equals: 4", Met, NotMet, NotMet),
    ] {
        let result = [json!(4), json!(3.9), json!(5)].map(|n| outcome(number, test, n));
        assert_eq!(result, [at, below, above], "{test}");
    }
}

#[test]
fn missing_data_and_values_of_another_type_are_unknown() {
    let boolean = "{ answer: a, as: boolean }";
    let missing = |test: &str| evaluate_test(boolean, test, json!({}), json!({}));
    assert_eq!(missing("equals: true"), (Unknown, Some("nothing found".into())));
    assert_eq!(missing("equals: true, if_missing: not-met").0, NotMet);
    assert_eq!(missing("exists: false, if_missing: met").0, Met);
    assert_eq!(
        outcome(boolean, "exists: true, if_missing: not-met", json!(false)),
        Met
    );
    assert_eq!(outcome(boolean, "equals: true", Value::Null), Unknown);
    // A value that cannot be read is not missing.
    let (outcome, note) = evaluate_test(
        boolean,
        "equals: true, if_missing: not-met",
        json!({ "a": ["yes"] }),
        json!({}),
    );
    assert_eq!(
        (outcome, note.as_deref()),
        (Unknown, Some("the value found is not yes or no"))
    );
}

#[test]
fn a_quantity_is_read_only_in_its_unit_or_a_unit_of_convert() {
    let fact = "{ from: \"$.answers.a[0]\", read: { path: \"$\", as: quantity, unit: \"mm[Hg]\", convert: { kPa: 7.50062 } } }";
    let result = |quantity: Value| {
        evaluate_test(
            fact,
            "at_most: \"55 mm[Hg]\"",
            json!({ "a": [quantity] }),
            json!({}),
        )
    };
    assert_eq!(
        result(json!({ "value": 55, "code": "mm[Hg]", "unit": "mmHg" })).0,
        Met
    );
    assert_eq!(result(json!({ "value": 7.3, "code": "kPa" })).0, Met);
    assert_eq!(result(json!({ "value": 8, "code": "kPa" })).0, NotMet);
    assert_eq!(
        result(json!({ "value": 5, "code": "cm[H2O]" })),
        (Unknown, Some("the value has another unit: cm[H2O]".into()))
    );
    assert_eq!(
        result(json!({ "value": 5 })),
        (Unknown, Some("the value has no unit".into()))
    );
    assert_eq!(
        result(json!({ "value": 55, "code": "mm[Hg]", "comparator": "<" })).0,
        Unknown
    );
    assert_eq!(result(json!(5)).0, Unknown);
}

#[test]
fn days_are_counted_in_the_plans_time_zone_and_incomplete_dates_are_ranges() {
    // Received on September 30 in New York; 30 days before that is August 31.
    let within = |date: &str| {
        outcome(
            "{ answer: a, as: date }",
            "dated_within: { of: received, at_most: \"30 days\" }",
            json!(date),
        )
    };
    for (date, expected) in [
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
        assert_eq!(within(date), expected, "{date}");
    }
}

#[test]
fn a_date_is_compared_with_a_day() {
    let result = |test: &str, date: &str| outcome("{ answer: a, as: date }", test, json!(date));
    assert_eq!(result("on_or_after: received", "2026-09-30"), Met);
    assert_eq!(result("on_or_after: received", "2026-09-29"), NotMet);
    assert_eq!(result("on_or_after: received", "2026-09"), Unknown);
    assert_eq!(result("on_or_before: service-start", "2026-10-20"), Met);
    assert_eq!(result("on_or_before: service-start", "2026-10-21"), NotMet);
    assert_eq!(result("on_or_before: service-start", "2026-10"), Unknown);
    assert_eq!(result("on_or_before: 2026-01-31", "2026-01"), Met);
}

#[test]
fn a_set_has_codes_in_any_spelling_of_their_system() {
    let result = |system: &str, code: &str| {
        outcome(
            "{ answer: a, as: code }",
            "in_set: icd",
            json!({ "system": system, "code": code }),
        )
    };
    assert_eq!(result("http://hl7.org/fhir/sid/icd-10-cm", "J44.9"), Met);
    assert_eq!(result("urn:oid:2.16.840.1.113883.6.90", "J44.9"), Met);
    assert_eq!(result("http://hl7.org/fhir/sid/icd-10-cm", "J44.8"), NotMet);
    // Ranges and prefixes.
    for code in ["E08.00", "E11.65", "E13.9", "I27.2", "I27.21"] {
        assert_eq!(result("http://hl7.org/fhir/sid/icd-10-cm", code), Met, "{code}");
        assert_eq!(result("http://hl7.org/fhir/sid/icd-10", code), NotMet, "{code}");
    }
    for code in ["E07.9", "E14.0", "I27.1", "E1165", "e11.65", "E11.65 "] {
        assert_eq!(
            result("http://hl7.org/fhir/sid/icd-10-cm", code),
            NotMet,
            "{code}"
        );
    }
    assert_eq!(result("http://snomed.info/sct", "J44.9"), NotMet);
    assert_eq!(
        outcome("{ answer: a, as: code }", "in_set: icd", json!("J44.9")),
        Unknown
    );
    let cpt = json!({ "system": "http://www.ama-assn.org/go/cpt", "code": "33510" });
    assert_eq!(outcome("{ answer: a, as: code }", "in_set: hcpcs", cpt), Met);
    for (code, expected) in [
        ("K0814", Met),
        ("K0817", NotMet),
        ("K0814-RR", NotMet),
        ("k0814", NotMet),
    ] {
        let code = json!({ "system": HCPCS, "code": code });
        assert_eq!(
            outcome("{ answer: a, as: code }", "in_set: hcpcs", code.clone()),
            expected,
            "{code}"
        );
    }
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
fn pick_takes_one_of_several_values_unless_it_is_unclear_which() {
    let result = |pick: &str, of: &[(&str, f64)]| {
        let fact = format!(
            "{{ from: {{ type: Observation, status: [final] }}, read: {{ path: \"$.valueQuantity\", as: quantity, unit: \"%\" }}, \
             dated: \"$.effectiveDateTime\", pick: {pick} }}"
        );
        evaluate_test(&fact, "at_most: \"88 %\"", json!({}), observations(of)).0
    };
    let two = [("2026-09-01", 87.0), ("2026-09-02T08:00:00Z", 91.0)];
    assert_eq!(result("newest", &two), NotMet);
    assert_eq!(result("oldest", &two), Met);
    assert_eq!(result("first", &two), Met);
    assert_eq!(result("lowest", &two), Met);
    assert_eq!(result("highest", &two), NotMet);
    // Two results of one day, one of them without a time: it is unclear which is newer.
    assert_eq!(
        result(
            "newest",
            &[("2026-09-02", 87.0), ("2026-09-02T08:00:00-04:00", 91.0)]
        ),
        Unknown
    );
    assert_eq!(
        result(
            "newest",
            &[("2026-09-02", 87.0), ("2026-09-02T08:00:00-04:00", 87.0)]
        ),
        Met
    );
    assert_eq!(
        result(
            "newest",
            &[("2026-09", 91.0), ("2026-09-10", 87.0), ("2026-09-12", 87.0)]
        ),
        Unknown
    );
    // Two results of one day with different values contradict each other, also if one is later than the other.
    let one_day = [
        ("2026-09-02T08:00:00-04:00", 87.0),
        ("2026-09-02T09:00:00-04:00", 91.0),
    ];
    assert_eq!(result("newest", &one_day), Unknown);
    assert_eq!(result("oldest", &one_day), Unknown);
    let two_days = [("2026-09-02T03:59:00Z", 87.0), ("2026-09-02T04:01:00Z", 91.0)];
    assert_eq!(
        result("newest", &two_days),
        NotMet,
        "the days are those of the plan's time zone"
    );
    assert_eq!(result("newest", &[("", 87.0), ("2026-09-02", 87.0)]), Unknown);
    assert_eq!(result("newest", &[("", 87.0)]), Met);
}

#[test]
fn several_answers_without_pick_must_agree() {
    let result = |answers: Value| {
        evaluate_test(
            "{ answer: a, as: code }",
            "equals: x",
            json!({ "a": answers }),
            json!({}),
        )
        .0
    };
    assert_eq!(result(json!(["x", "x"])), Met);
    assert_eq!(result(json!(["x", "y"])), Unknown);
}

#[test]
fn only_data_that_are_missing_are_passed_over_by_first_known() {
    let result = |answers: Value| {
        let fact = "{ answer: a, as: number, plausible: [0, 100] }";
        let condition = "{ first_known: [ { fact: f, at_most: 4 }, { fact: member.age, at_least: 18 } ] }";
        evaluate_condition(fact, condition, answers, json!({})).criteria["c"]
    };
    assert_eq!(result(json!({})), Met, "the second condition decides");
    assert_eq!(result(json!({ "a": [4] })), Met);
    assert_eq!(result(json!({ "a": [5] })), NotMet);
    // A value of another type, a value that is not plausible, and two values.
    for unusable in [json!(["four"]), json!([400]), json!([4, 5])] {
        assert_eq!(result(json!({ "a": unusable })), Unknown, "{unusable}");
    }
}

#[test]
fn an_evaluation_that_exceeds_its_step_budget_pends_with_an_error() {
    let rules = shipped();
    let policy = rules.policies().find(|p| p.name() == "dme.home-oxygen").unwrap();
    let document = fixture("oxygen", |_| ());
    for steps in [0, 1, 20, 60] {
        let verdict = evaluate_policy(policy, &document, StepBudget(steps));
        assert!(verdict.error.is_some(), "{steps}");
        assert_eq!(verdict.coverage.covered, "indeterminate");
        assert!(
            matches!(&verdict.decision, Decision::Pend(p) if p.queue == "dme-nurse" && p.reason == "evaluation-error")
        );
    }
    assert_eq!(evaluate_policy(policy, &document, StepBudget(10_000)).error, None);
}

#[test]
fn no_criterion_is_evaluated_when_the_coverage_answer_decides() {
    let rules = shipped();
    let verdict = rules.evaluate(&fixture("oxygen", |j| {
        j["member"]["transition_until"] = json!("2026-11-30")
    }));
    assert!(verdict.criteria.is_empty());
    assert!(matches!(verdict.decision, Decision::NotRequired { .. }));
    assert_eq!(verdict.trace.len(), 1);
    let not_covered = CoverageAnswer::not_covered("no-active-coverage", "ended");
    assert!(
        matches!(decision_by_coverage(&not_covered), Some(Decision::Pend(p)) if p.queue == "administrative")
    );
}
