//! The words of every combination of the policy format on the case page, plain and below a `not`. The words of single
//! tests are tested in `case_criteria`.

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

/// A policy with each combination, and with a criterion that is nothing but a negation.
fn policy() -> String {
    r#"format: pa-policy/1
policy: dme.oxygen
version: "1"
status: active
effective: { basis: received, from: 2026-07-01, to: null }
title: Home oxygen
owner: um-policy
approved: { by: UM committee, on: 2026-05-19, record: UMC-5 }
sources:
  - { id: ncd, cite: "CMS NCD 240.2", url: "https://www.cms.gov/ncd", checked: 2026-06-01 }
scope:
  codes:
    - { system: "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", any: ["E1390"] }
    - { system: "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", file: sets/scope.txt }
  lines_of_business: [MA]
  states: [any]
sets:
  spo2: { system: "http://loinc.org", any: ["59408-5"] }
facts:
  spo2:
    label: Saturation
    from: { type: Observation, code_in: spo2, status: [final] }
    read: { path: "$.valueQuantity", as: quantity, unit: "%" }
    dated: "$.effectiveDateTime"
    pick: newest
  edema: { label: Edema, answer: "oxygen.edema", as: boolean }
  flow: { label: Flow, answer: "oxygen.flow", as: number }
criteria:
  plain:
    text: "One test"
    cite: "ncd"
    all: [ { fact: spo2, at_most: "88 %" } ]
  combined:
    text: "Every combination"
    cite: "ncd"
    all:
      - { not: { criterion: plain } }
      - { not: { any: [ { fact: flow, at_least: 3 }, { fact: edema, equals: false } ] } }
      - { not: { all: [ { fact: flow, at_least: 3 }, { fact: edema, equals: true } ] } }
      - { at_least: { n: 2, of: [ { fact: flow, at_least: 3 }, { fact: edema, equals: true } ] } }
      - { first_known: [ { fact: flow, at_least: 3 }, { fact: edema, equals: true } ] }
  nothing-but-a-negation:
    text: "No swelling"
    cite: "ncd"
    not: { fact: edema, equals: true }
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
    when: { all: [ { criterion: plain }, { criterion: combined }, { criterion: nothing-but-a-negation } ] }
    grant: { units: as-asked, period: "12 months", reason: "Meets NCD 240.2" }
  otherwise:
    pend: { queue: nurse, reason: clinical-review }
    ask_for:
      plain: { loinc: "59408-5", text: "Oximetry result" }
      combined: { loinc: "59408-5", text: "Oximetry result" }
      nothing-but-a-negation: { loinc: "59408-5", text: "Swelling" }
tests: []
"#
    .to_owned()
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
    change(&mut document);
    let mut view: CaseView = case_view();
    let document = CaseDocument::from_json(document).unwrap();
    view.case.items[0].verdict = rules.evaluate(&document).into();
    let page = CasePage {
        criteria: criteria_tree(&view, &rules),
        ..samples::case_for_physician()
    };
    let html = Templates::load().unwrap().render(&page).unwrap();
    html.replace("<strong>", "").replace("</strong>", "")
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
