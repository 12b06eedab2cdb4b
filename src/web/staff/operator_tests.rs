//! The words of every operator of the policy format on the case page, plain and below a `not`.

use crate::review::CaseView;
use crate::rules::{CaseDocument, EmbeddedTests, FormQuestion, LoadOptions, QuestionKind, RuleSet};
use crate::web::render::Templates;
use crate::web::staff::case_criteria::criteria_tree;
use crate::web::staff::samples::case_view;
use crate::web::staff::views::CasePage;
use crate::web::views::samples;
use serde_json::{Value, json};

macro_rules! base {
    ($($path:literal),+ $(,)?) => {
        [$(($path, include_str!(concat!("../../rules/load/check/mistakes/base/", $path)))),+]
    };
}

const FILES: [(&str, &str); 9] = base![
    "answers/base.yaml",
    "codes/denial.csv",
    "codes/services.csv",
    "fixtures/case.json",
    "lists/2026.csv",
    "plans.csv",
    "sets/pulmonary.txt",
    "sets/scope.txt",
    "sets/ulcers.json",
];

/// Each test with its words and those of its opposite. Every operator of the format is there.
const TESTS: [(&str, &str, &str); 13] = [
    (
        "fact: spo2, at_most: \"88 %\"",
        "Saturation: 91% on 2026-09-24; required: 88% or less",
        "more than 88%",
    ),
    (
        "fact: flow, at_least: 3",
        "Flow: 2; required: 3 or more",
        "less than 3",
    ),
    (
        "fact: flow, less_than: 2",
        "Flow: 2; required: less than 2",
        "2 or more",
    ),
    (
        "fact: flow, more_than: 1",
        "Flow: 2; required: more than 1",
        "1 or less",
    ),
    (
        "fact: flow, between: [1, 4]",
        "Flow: 2; required: 1 to 4",
        "less than 1 or more than 4",
    ),
    ("fact: edema, equals: true", "Edema: yes; required: yes", "no"),
    ("fact: edema, equals: false", "Edema: yes; required: no", "yes"),
    (
        "fact: condition, equals: rest",
        "Condition: rest; required: rest",
        "other than rest",
    ),
    (
        "fact: diagnosis, in_set: pulmonary",
        "Diagnosis: I10; required: a code from the set &quot;Lung disease&quot;",
        "no code from the set &quot;Lung disease&quot;",
    ),
    (
        "fact: flow, exists: true, if_missing: not-met",
        "Flow: 2; required: on record",
        "not on record",
    ),
    (
        "fact: spo2, dated_within: { of: received, at_most: \"3 days\" }",
        "Saturation: 91% on 2026-09-24; required: dated no more than 3 days before the day of receipt",
        "dated more than 3 days before the day of receipt",
    ),
    (
        "fact: test-date, on_or_after: \"2026-10-01\"",
        "Date of the test: 2026-09-24; required: on or after 2026-10-01",
        "before 2026-10-01",
    ),
    (
        "fact: test-date, on_or_before: received",
        "Date of the test: 2026-09-24; required: on or before the day of receipt",
        "after the day of receipt",
    ),
];

/// A policy whose criteria are all tests, all tests negated, and each combination.
fn policy() -> String {
    let list = |prefix: &str, suffix: &str| -> String {
        TESTS
            .iter()
            .map(|(test, _, _)| format!("      - {prefix}{{ {test} }}{suffix}\n"))
            .collect()
    };
    let (plain, negated) = (list("", ""), list("{ not: ", " }"));
    format!(
        r#"format: pa-policy/1
policy: dme.oxygen
version: "1"
status: active
effective: {{ basis: received, from: 2026-07-01, to: null }}
title: Home oxygen
owner: um-policy
approved: {{ by: UM committee, on: 2026-05-19, record: UMC-5 }}
sources:
  - {{ id: ncd, cite: "CMS NCD 240.2", url: "https://www.cms.gov/ncd", checked: 2026-06-01 }}
scope:
  codes:
    - {{ system: "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", any: ["E1390"] }}
    - {{ system: "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", file: sets/scope.txt }}
  lines_of_business: [MA]
  states: [any]
sets:
  spo2: {{ system: "http://loinc.org", any: ["59408-5"] }}
  pulmonary: {{ label: "Lung disease", system: "http://hl7.org/fhir/sid/icd-10-cm", file: sets/pulmonary.txt }}
facts:
  spo2:
    label: Saturation
    from: {{ type: Observation, code_in: spo2, status: [final] }}
    read: {{ path: "$.valueQuantity", as: quantity, unit: "%" }}
    dated: "$.effectiveDateTime"
    pick: newest
  diagnosis: {{ label: Diagnosis, from: "$.res.Condition[*]", read: {{ path: "$.code", as: code }}, pick: first }}
  edema: {{ label: Edema, answer: "oxygen.edema", as: boolean }}
  flow: {{ label: Flow, answer: "oxygen.flow", as: number }}
  condition: {{ label: Condition, answer: "oxygen.condition", as: code }}
  test-date: {{ label: Date of the test, answer: "oxygen.test-date", as: date }}
criteria:
  plain:
    text: "Every test"
    cite: "ncd"
    all:
{plain}  negated:
    text: "Every test negated"
    cite: "ncd"
    all:
{negated}  combined:
    text: "Every combination"
    cite: "ncd"
    all:
      - {{ not: {{ criterion: plain }} }}
      - {{ not: {{ any: [ {{ fact: flow, at_least: 3 }}, {{ fact: edema, equals: false }} ] }} }}
      - {{ not: {{ all: [ {{ fact: flow, at_least: 3 }}, {{ fact: edema, equals: true }} ] }} }}
      - {{ at_least: {{ n: 2, of: [ {{ fact: flow, at_least: 3 }}, {{ fact: edema, equals: true }} ] }} }}
      - {{ first_known: [ {{ fact: flow, at_least: 3 }}, {{ fact: edema, equals: true }} ] }}
  nothing-but-a-negation:
    text: "No swelling"
    cite: "ncd"
    not: {{ fact: edema, equals: true }}
coverage:
  - answer:
      covered: covered
      pa: auth-needed
      doc: [clinical]
      doc_purpose: [withpa]
      questionnaires: ["oxygen|1"]
      reason: "A test result must be sent"
decision:
  approve:
    when: {{ all: [ {{ criterion: plain }}, {{ criterion: negated }}, {{ criterion: combined }}, {{ criterion: nothing-but-a-negation }} ] }}
    grant: {{ units: as-asked, period: "12 months", reason: "Meets NCD 240.2" }}
  otherwise:
    pend: {{ queue: nurse, reason: clinical-review }}
    ask_for:
      plain: {{ loinc: "59408-5", text: "Oximetry result" }}
      negated: {{ loinc: "59408-5", text: "Oximetry result" }}
      combined: {{ loinc: "59408-5", text: "Oximetry result" }}
      nothing-but-a-negation: {{ loinc: "59408-5", text: "Swelling" }}
tests: []
"#
    )
}

/// The rendered case page with the criteria of [`policy`] for the document.
fn page(change: impl FnOnce(&mut Value)) -> String {
    let mut files: Vec<(String, String)> = FILES
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .to_vec();
    files.push(("policies/dme/oxygen/1.yaml".to_owned(), policy()));
    let questions = [
        ("oxygen.edema", QuestionKind::Boolean),
        ("oxygen.flow", QuestionKind::Number),
        ("oxygen.condition", QuestionKind::Choice),
        ("oxygen.test-date", QuestionKind::Date),
    ];
    let form_questions = |form: &str| {
        let question = |(link_id, kind): (&str, QuestionKind)| FormQuestion {
            link_id: link_id.to_owned(),
            kind,
            options: Vec::new(),
        };
        (form == "oxygen|1").then(|| questions.map(question).to_vec())
    };
    // The policy has no tests of its own.
    let options = LoadOptions {
        embedded_tests: EmbeddedTests::Skip,
        ..LoadOptions::default()
    };
    let rules = RuleSet::load_with(&files, &form_questions, &options).unwrap();
    let mut document: Value = serde_json::from_str(include_str!(
        "../../rules/load/check/mistakes/base/fixtures/case.json"
    ))
    .unwrap();
    document["res"]["Observation"][0]["valueQuantity"]["value"] = json!(91);
    document["answers"]["oxygen.test-date"] = json!(["2026-09-24"]);
    change(&mut document);
    let mut view: CaseView = case_view();
    view.case.items[0].verdict = rules.evaluate(&CaseDocument::from_json(document).unwrap());
    let page = CasePage {
        criteria: criteria_tree(&view, &rules),
        ..samples::case_for_physician()
    };
    let html = Templates::load().unwrap().render(&page).unwrap();
    html.replace("<strong>", "").replace("</strong>", "")
}

#[test]
fn every_operator_has_its_words_on_the_page_and_no_negation_is_dropped() {
    let html = page(|_| ());
    for (test, words, opposite) in TESTS {
        assert!(html.contains(words), "{test}: {words}\n{html}");
        let found = words.split("required:").next().unwrap();
        let negated = format!("{found}required: {opposite}");
        assert!(html.contains(&negated), "not {test}: {negated}\n{html}");
    }
}

#[test]
fn combinations_and_their_negations_are_named_on_the_page() {
    let html = page(|_| ());
    for words in [
        "All of:",
        "Any of:",
        "At least 2 of:",
        "First available value of:",
        "Not:",
    ] {
        assert!(html.contains(words), "{words}: {html}");
    }
    let (_, combined) = html.split_once("<p>Every combination</p>").unwrap();
    assert_eq!(
        combined.matches("Not:").count(),
        3,
        "each negated combination is named: {combined}"
    );
}

#[test]
fn a_negated_test_has_the_outcome_of_the_negation() {
    let html = page(|_| ());
    let (_, negation) = html.split_once("<p>No swelling</p>").unwrap();
    let (_, test) = negation.split_once("<span class=\"badge ").unwrap();
    assert!(test.starts_with("not-met"), "{test}");
    assert!(test.contains("Edema: yes; required: no"), "{test}");
    let unknown = page(|document| document["answers"]["oxygen.edema"] = json!([]));
    let (_, negation) = unknown.split_once("<p>No swelling</p>").unwrap();
    assert!(
        negation.contains("Edema: required: no") || negation.contains("required: no <span class=\"note\">"),
        "{negation}"
    );
}
