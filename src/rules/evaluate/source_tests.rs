//! Tests of facts with several sources: whether they agree, which one goes first, what `means` and `plausible` do, and
//! the pattern for a diagnosis.

use crate::rules::evaluate::tests::evaluate_leaf;
use crate::rules::verdict::{Leaf, Outcome};
use Outcome::{Met, NotMet, Unknown};
use serde_json::{Value, json};

const LOW: &str = "at_most: \"88 %\"";

/// A saturation that the chart and the form state.
fn saturation(more: &str) -> String {
    format!(
        "{{ from: {{ type: Observation, status: [final] }}, read: {{ path: \"$.valueQuantity\", as: quantity, unit: \"%\", \
         convert: {{ \"1\": 100 }} }}, dated: \"$.effectiveDateTime\", pick: newest, \
         also: [ {{ answer: spo2, dated_by: day }} ]{more} }}"
    )
}

fn observed(value: f64, unit: &str, date: &str) -> Value {
    json!({ "Observation": [{ "resourceType": "Observation", "status": "final", "effectiveDateTime": date,
        "valueQuantity": { "value": value, "code": unit } }] })
}

fn answered(value: f64, date: &str) -> Value {
    json!({ "spo2": [{ "value": value, "code": "%" }], "day": [date] })
}

fn stated(leaf: &Leaf) -> Vec<String> {
    let text = |one: &crate::rules::StatedValue| {
        format!(
            "{} {} {}",
            one.text(),
            one.date.as_deref().unwrap_or("-"),
            one.path
        )
    };
    leaf.stated.iter().map(text).collect()
}

#[test]
fn two_sources_that_state_different_values_leave_the_fact_unknown_and_both_are_shown() {
    let (outcome, leaf) = evaluate_leaf(
        &saturation(""),
        LOW,
        answered(97.0, "2026-09-20"),
        observed(87.0, "%", "2026-09-24T10:00:00Z"),
    );
    assert_eq!(outcome, Unknown);
    assert_eq!(leaf.value, None);
    assert_eq!(leaf.note.as_deref(), Some("the sources state different values"));
    assert_eq!(
        stated(&leaf),
        [
            "87% 2026-09-24T10:00:00Z $['res']['Observation'][0]['valueQuantity']",
            "97% 2026-09-20 $['answers']['spo2'][0]"
        ]
    );
}

#[test]
fn two_sources_that_state_one_value_on_different_days_leave_the_fact_unknown() {
    let (outcome, leaf) = evaluate_leaf(
        &saturation(""),
        LOW,
        answered(87.0, "2026-09-20"),
        observed(87.0, "%", "2026-09-24"),
    );
    assert_eq!(
        (outcome, leaf.note.as_deref()),
        (Unknown, Some("the sources state different days"))
    );
    assert_eq!(leaf.stated.len(), 2);
}

#[test]
fn two_sources_that_state_the_same_decide() {
    for (answers, res) in [
        (
            answered(87.0, "2026-09-24"),
            observed(87.0, "%", "2026-09-24T10:00:00Z"),
        ),
        // A value of another unit that the fact converts.
        (answered(57.0, "2026-09-24"), observed(0.57, "1", "2026-09-24")),
        // Only one of them has a day.
        (
            json!({ "spo2": [{ "value": 87, "code": "%" }] }),
            observed(87.0, "%", "2026-09-24"),
        ),
        // A month that contains the day.
        (answered(87.0, "2026-09"), observed(87.0, "%", "2026-09-24")),
    ] {
        let (outcome, leaf) = evaluate_leaf(&saturation(""), LOW, answers, res);
        assert_eq!(outcome, Met, "{leaf:?}");
        assert_eq!((leaf.note, leaf.stated.len()), (None, 0));
    }
}

#[test]
fn one_source_is_enough() {
    let within = "dated_within: { of: received, at_most: \"30 days\" }";
    let answers = || answered(87.0, "2026-09-24");
    let (outcome, leaf) = evaluate_leaf(&saturation(""), LOW, answers(), json!({}));
    assert_eq!(
        (outcome, leaf.path.as_deref()),
        (Met, Some("$['answers']['spo2'][0]"))
    );
    assert_eq!(leaf.date.as_deref(), Some("2026-09-24"));
    assert_eq!(
        evaluate_leaf(&saturation(""), within, answers(), json!({})).0,
        Met
    );
    assert_eq!(
        evaluate_leaf(&saturation(""), within, answered(87.0, "2026-08-01"), json!({})).0,
        NotMet
    );
    let undated = json!({ "spo2": [{ "value": 87, "code": "%" }] });
    assert_eq!(
        evaluate_leaf(&saturation(""), within, undated.clone(), json!({})).0,
        Unknown
    );
    // The value of one source, dated by the other.
    let chart = observed(87.0, "%", "2026-09-24");
    assert_eq!(
        evaluate_leaf(&saturation(""), within, undated, chart.clone()).0,
        Met
    );
    assert_eq!(evaluate_leaf(&saturation(""), LOW, json!({}), chart).0, Met);
    assert_eq!(
        evaluate_leaf(&saturation(""), LOW, json!({}), json!({})).0,
        Unknown
    );
}

#[test]
fn a_source_that_cannot_be_used_leaves_the_fact_unknown_beside_one_that_can() {
    let (outcome, leaf) = evaluate_leaf(
        &saturation(""),
        LOW,
        answered(87.0, "2026-09-24"),
        observed(55.0, "mm[Hg]", "2026-09-24"),
    );
    assert_eq!(
        (outcome, leaf.note.as_deref()),
        (Unknown, Some("the value has another unit: mm[Hg]"))
    );
    assert_eq!(stated(&leaf), ["87% 2026-09-24 $['answers']['spo2'][0]"]);
}

#[test]
fn a_policy_can_let_the_first_source_go_before_the_others() {
    let ranked = saturation(", if_different: first");
    let (outcome, leaf) = evaluate_leaf(
        &ranked,
        LOW,
        answered(97.0, "2026-09-20"),
        observed(87.0, "%", "2026-09-24"),
    );
    assert_eq!(outcome, Met);
    assert_eq!(leaf.value, Some(json!(87)));
    assert_eq!(leaf.note.as_deref(), Some("a later source differs"));
    assert_eq!(stated(&leaf), ["97% 2026-09-20 $['answers']['spo2'][0]"]);
    // The first source that states the fact.
    assert_eq!(
        evaluate_leaf(&ranked, LOW, answered(97.0, "2026-09-20"), json!({})).0,
        NotMet
    );
    // A first source that cannot be used is not passed over.
    let unusable = observed(55.0, "mm[Hg]", "2026-09-24");
    assert_eq!(
        evaluate_leaf(&ranked, LOW, answered(87.0, "2026-09-24"), unusable).0,
        Unknown
    );
}

#[test]
fn two_results_of_one_day_are_both_shown() {
    let mut chart = observed(87.0, "%", "2026-09-24T10:00:00Z");
    let other = observed(92.0, "%", "2026-09-24T11:00:00Z");
    chart["Observation"]
        .as_array_mut()
        .unwrap()
        .push(other["Observation"][0].clone());
    let (outcome, leaf) = evaluate_leaf(&saturation(""), LOW, json!({}), chart);
    assert_eq!(outcome, Unknown);
    assert_eq!(
        leaf.note.as_deref(),
        Some("several found with the same date and different values")
    );
    assert_eq!(
        stated(&leaf),
        [
            "92% 2026-09-24T11:00:00Z $['res']['Observation'][1]['valueQuantity']",
            "87% 2026-09-24T10:00:00Z $['res']['Observation'][0]['valueQuantity']"
        ]
    );
}

#[test]
fn a_value_outside_the_plausible_range_is_unknown_and_shown() {
    let fact = saturation(", plausible: [\"50 %\", \"100 %\"]");
    let result = |value: f64| evaluate_leaf(&fact, LOW, json!({}), observed(value, "%", "2026-09-24"));
    for (value, outcome) in [
        (49.9, Unknown),
        (50.0, Met),
        (88.0, Met),
        (100.0, NotMet),
        (100.1, Unknown),
        (870.0, Unknown),
        (-5.0, Unknown),
    ] {
        assert_eq!(result(value).0, outcome, "{value}");
    }
    let (_, leaf) = result(8.7);
    assert_eq!(
        leaf.note.as_deref(),
        Some("the value is outside the plausible range, 50% to 100%")
    );
    assert_eq!(
        stated(&leaf),
        ["8.7% 2026-09-24 $['res']['Observation'][0]['valueQuantity']"]
    );
    // It leaves the fact unknown also where another source states a plausible value, and where only existence counts.
    let chart = observed(8.7, "%", "2026-09-24");
    assert_eq!(
        evaluate_leaf(&fact, LOW, answered(87.0, "2026-09-24"), chart.clone()).0,
        Unknown
    );
    let exists = "exists: true, if_missing: not-met";
    assert_eq!(evaluate_leaf(&fact, exists, json!({}), chart).0, Unknown);
}

/// The pattern of docs/policies.md for a diagnosis: the chart first, then the question of the form.
fn diabetes(more: &str) -> String {
    format!(
        "{{ from: {{ type: Condition, code_in: icd, status: [active] }}, means: true, as: boolean, \
         also: [ {{ answer: diabetes }} ]{more} }}"
    )
}

fn condition(status: &str, code: &str) -> Value {
    json!({ "Condition": [{ "resourceType": "Condition",
        "clinicalStatus": { "coding": [{ "code": "plan-own" }, { "code": status }] },
        "code": { "coding": [
            { "system": "http://snomed.info/sct", "code": "44054006" },
            { "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code }
        ] } }] })
}

#[test]
fn a_diagnosis_is_met_not_met_or_unknown() {
    let yes = || json!({ "diabetes": [true] });
    let no = || json!({ "diabetes": [false] });
    let result = |answers: Value, res: Value| evaluate_leaf(&diabetes(""), "equals: true", answers, res).0;
    // In the chart, or the form says so, or both.
    assert_eq!(result(json!({}), condition("active", "E11.65")), Met);
    assert_eq!(result(yes(), json!({})), Met);
    assert_eq!(result(yes(), condition("active", "E11.65")), Met);
    // Not in the chart, and the form says no.
    assert_eq!(result(no(), json!({})), NotMet);
    assert_eq!(result(no(), condition("active", "I10")), NotMet);
    assert_eq!(result(no(), condition("resolved", "E11.65")), NotMet);
    // Nobody says, or the two contradict each other.
    assert_eq!(result(json!({}), json!({})), Unknown);
    assert_eq!(result(json!({}), condition("active", "I10")), Unknown);
    assert_eq!(result(no(), condition("active", "E11.65")), Unknown);
    let (_, leaf) = evaluate_leaf(&diabetes(""), "equals: true", no(), condition("active", "E11.65"));
    assert_eq!(
        stated(&leaf),
        [
            "yes - $['res']['Condition'][0]",
            "no - $['answers']['diabetes'][0]"
        ]
    );
    // A policy for which the chart goes before the form.
    let ranked = diabetes(", if_different: first");
    let (outcome, leaf) = evaluate_leaf(&ranked, "equals: true", no(), condition("active", "E11.65"));
    assert_eq!((outcome, leaf.stated.len()), (Met, 1));
}

/// The pattern of docs/policies.md for a modifier.
#[test]
fn a_policy_reads_the_modifiers_of_the_item() {
    let exists = "exists: true, if_missing: not-met";
    let with = |code: &str| {
        format!(
            "{{ from: \"$.item.modifiers[?@.code=='{code}']\", read: {{ path: \"$.code\", as: text }}, pick: first }}"
        )
    };
    let (outcome, leaf) = evaluate_leaf(&with("RR"), exists, json!({}), json!({}));
    assert_eq!((outcome, leaf.value), (Met, Some(json!("RR"))));
    // The page shows this place as the requested item.
    assert_eq!(leaf.path.as_deref(), Some("$['item']['modifiers'][0]['code']"));
    assert_eq!(evaluate_leaf(&with("NU"), exists, json!({}), json!({})).0, NotMet);
    let in_set = "{ from: \"$.item.modifiers[*]\", keep: [ { path: \"$\", in_set: rental } ], read: { path: \"$.code\", as: text } }";
    let (outcome, leaf) = evaluate_leaf(in_set, exists, json!({}), json!({}));
    assert_eq!((outcome, leaf.value), (Met, Some(json!("RR"))));
}
