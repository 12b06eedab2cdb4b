//! One table for tests: every operator of the format with each outcome, plain and negated, and the words that people must
//! read. The text of a trace, `explain` and the case page are tested with it.

use crate::rules::evaluate::tests::evaluate_condition;
use crate::rules::trace_text;
use crate::rules::verdict::{Outcome, TraceNode, Verdict};
use Outcome::{Met, NotMet, Unknown};
use serde_json::{Value, json};

/// One operator with one outcome.
pub(crate) struct OperatorCase {
    /// The condition in the policy.
    pub condition: String,
    /// The verdict of a policy with this condition alone.
    pub verdict: Verdict,
    /// The outcome of the condition as a whole.
    pub outcome: Outcome,
    /// The fact, what is required, and what was found, as people read them.
    pub words: [String; 3],
}

impl OperatorCase {
    /// The condition in the trace.
    pub(crate) fn node(&self) -> &TraceNode {
        &self.verdict.trace[0].of[0]
    }
}

/// Type and test of the fact; the words for the test and for its opposite; answers that meet it and that do not, and
/// the words for both.
type Row = (
    &'static str,
    &'static str,
    [&'static str; 2],
    [Value; 2],
    [&'static str; 2],
);

fn rows() -> Vec<Row> {
    let code = |code: &str| json!({ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code });
    let percent = |value: f64| json!({ "value": value, "code": "%" });
    let quantity = "quantity, unit: \"%\"";
    vec![
        (
            quantity,
            "at_most: \"88 %\"",
            ["88% or less", "more than 88%"],
            [percent(88.0), percent(91.0)],
            ["88%", "91%"],
        ),
        (
            quantity,
            "less_than: \"88 %\"",
            ["less than 88%", "88% or more"],
            [percent(87.5), percent(88.0)],
            ["87.5%", "88%"],
        ),
        (
            quantity,
            "more_than: \"56 %\"",
            ["more than 56%", "56% or less"],
            [percent(57.0), percent(56.0)],
            ["57%", "56%"],
        ),
        (
            "number",
            "at_least: 18",
            ["18 or more", "less than 18"],
            [json!(18), json!(17)],
            ["18", "17"],
        ),
        (
            "number",
            "between: [5, 14]",
            ["5 to 14", "less than 5 or more than 14"],
            [json!(5), json!(15)],
            ["5", "15"],
        ),
        (
            "number",
            "between: [4, 4]",
            ["4", "other than 4"],
            [json!(4), json!(5)],
            ["4", "5"],
        ),
        (
            "number",
            "equals: 4",
            ["4", "other than 4"],
            [json!(4), json!(5)],
            ["4", "5"],
        ),
        (
            "boolean",
            "equals: true",
            ["yes", "no"],
            [json!(true), json!(false)],
            ["yes", "no"],
        ),
        (
            "boolean",
            "equals: false",
            ["no", "yes"],
            [json!(false), json!(true)],
            ["no", "yes"],
        ),
        (
            "code",
            "equals: none",
            ["none", "other than none"],
            [json!("none"), json!("wound-care")],
            ["none", "wound care"],
        ),
        (
            "text",
            "equals: \"E0651\"",
            ["E0651", "other than E0651"],
            [json!("E0651"), json!("E0652")],
            ["E0651", "E0652"],
        ),
        (
            "code",
            "in_set: icd",
            [
                "a code from the set \"Some diseases\"",
                "no code from the set \"Some diseases\"",
            ],
            [code("J44.9"), code("I10")],
            ["J44.9", "I10"],
        ),
        (
            "date",
            "dated_within: { of: received, at_most: \"30 days\" }",
            [
                "dated no more than 30 days before the day of receipt",
                "dated more than 30 days before the day of receipt",
            ],
            [json!("2026-09-24"), json!("2026-08-01")],
            ["2026-09-24", "2026-08-01"],
        ),
        (
            "date",
            "on_or_after: service-start",
            [
                "on or after the first day of service",
                "before the first day of service",
            ],
            [json!("2026-10-20"), json!("2026-10-19")],
            ["2026-10-20", "2026-10-19"],
        ),
        (
            "date",
            "on_or_before: 2026-10-01",
            ["on or before 2026-10-01", "after 2026-10-01"],
            [json!("2026-10-01"), json!("2026-10-02")],
            ["2026-10-01", "2026-10-02"],
        ),
    ]
}

/// Every operator with each of its outcomes, plain and negated.
pub(crate) fn operator_cases() -> Vec<OperatorCase> {
    let mut cases = Vec::new();
    for (kind, test, required, answers, found) in rows() {
        let [met, not_met] = answers;
        add(
            &mut cases,
            kind,
            test,
            required,
            [Some(met), Some(not_met), None],
            found,
        );
    }
    // `exists` is never unknown without data.
    for (test, required, outcomes) in [
        (
            "exists: true, if_missing: not-met",
            ["on record", "not on record"],
            [Met, NotMet],
        ),
        (
            "exists: false, if_missing: met",
            ["not on record", "on record"],
            [NotMet, Met],
        ),
    ] {
        for (answer, outcome) in [Some(json!("x")), None].into_iter().zip(outcomes) {
            let found = if answer.is_some() { "x" } else { "" };
            add_case(&mut cases, ("text", test, required), answer, outcome, found);
        }
    }
    cases
}

fn add(
    cases: &mut Vec<OperatorCase>,
    kind: &str,
    test: &str,
    required: [&str; 2],
    answers: [Option<Value>; 3],
    found: [&str; 2],
) {
    let outcomes = [(Met, found[0]), (NotMet, found[1]), (Unknown, "")];
    for (answer, (outcome, found)) in answers.into_iter().zip(outcomes) {
        add_case(cases, (kind, test, required), answer, outcome, found);
    }
}

fn add_case(
    cases: &mut Vec<OperatorCase>,
    (kind, test, required): (&str, &str, [&str; 2]),
    answer: Option<Value>,
    outcome: Outcome,
    found: &str,
) {
    let opposite = match outcome {
        Met => NotMet,
        NotMet => Met,
        Unknown => Unknown,
    };
    let fact = format!("{{ label: \"Some fact\", answer: a, as: {kind} }}");
    let answers = answer.map_or_else(|| json!({}), |answer| json!({ "a": [answer] }));
    let plain = format!("{{ fact: f, {test} }}");
    for (condition, outcome, required) in [
        (plain.clone(), outcome, required[0]),
        (format!("{{ not: {plain} }}"), opposite, required[1]),
    ] {
        cases.push(OperatorCase {
            verdict: evaluate_condition(&fact, &condition, answers.clone(), json!({})),
            condition,
            outcome,
            words: ["Some fact", required, found].map(str::to_owned),
        });
    }
}

#[test]
fn the_trace_says_every_operator_with_each_outcome_plain_and_negated() {
    let cases = operator_cases();
    assert_eq!(cases.len(), 15 * 6 + 8);
    for case in cases {
        let [fact, required, found] = &case.words;
        let shown = case.node().shown();
        assert_eq!(shown.outcome, case.outcome, "{}", case.condition);
        let test = shown.test.expect("the condition is one test");
        assert_eq!(
            (test.leaf.title(), &test.required),
            (fact.as_str(), required),
            "{}",
            case.condition
        );
        assert_eq!(
            test.leaf.found().unwrap_or_default(),
            *found,
            "{}",
            case.condition
        );
        let line = format!("    [{}] {fact} (required: {required}", case.outcome.text());
        let text = trace_text(&case.verdict);
        assert!(text.contains(&line), "{}: {line}\n{text}", case.condition);
        assert_eq!(text.matches("(required: ").count(), 1, "{text}");
    }
}
