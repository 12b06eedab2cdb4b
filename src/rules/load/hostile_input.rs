//! Tests with malicious files and case documents: loading always ends with findings or a rule set, and evaluation with
//! a verdict, quickly and without a panic. `fuzz/` has the same tests for longer runs.

use crate::rules::tests::{files_below, forms, small_form};
use crate::rules::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

const POLICY: &str = "policies/dme/oxygen/1.yaml";

/// The files of the small valid rule set of the load-time checks.
fn base() -> Vec<(String, String)> {
    files_below(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/rules/load/check/mistakes/base"
    )))
}

fn load(files: &[(String, String)]) -> Result<RuleSet, Vec<Finding>> {
    RuleSet::load(files, &|form| (form == "oxygen|1").then(small_form))
}

fn load_with_policy(text: String) -> Result<RuleSet, Vec<Finding>> {
    let mut files = base();
    files.iter_mut().find(|(file, _)| file == POLICY).unwrap().1 = text;
    load(&files)
}

fn policy_text() -> String {
    base().into_iter().find(|(file, _)| file == POLICY).unwrap().1
}

/// One change of a text. proptest selects places and pieces.
#[derive(Debug, Clone)]
enum Edit {
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, String),
    RepeatLine(prop::sample::Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let pieces = prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\"",
        "'",
        "&a ",
        "*a",
        "<<: *a",
        "!!str ",
        "|",
        ">",
        "#",
        "null",
        "~",
        "0",
        "-1",
        "1e999",
        "99999999999999999999",
        "2026-02-30",
        "9999-12-31",
        "4294967295 years",
        "\u{0}",
        "\u{feff}",
        "$..a",
        "$[?@.a",
        "$.a[?@.b == 'c']",
        "all: []",
        "not: { not: ",
        "criterion: low",
        "fact: spo2",
        "deny: 1",
        "any: [\"A0000-Z9999\"]",
        "in_set: spo2",
        "{ op: copy, from: \"\", path: /a }",
        "convert: { a: 1 }",
        "means: true",
        "also: [ { answer: oxygen.edema } ]",
        "dated_by: oxygen.test-date",
        "if_different: first",
        "plausible: [\"-1 %\", \"1e300 %\"]",
        "any: [\"A00-Z99\", \"E11*\", \"*\"]",
        "not_read: { oxygen.flow: x }",
        "tests:",
    ]);
    let index = || any::<prop::sample::Index>();
    let edit = prop_oneof![
        (index(), 1usize..40).prop_map(|(at, length)| Edit::Remove(at, length)),
        (index(), pieces).prop_map(|(at, piece)| Edit::Insert(at, piece.to_owned())),
        (index(), "\\PC{0,12}").prop_map(|(at, piece)| Edit::Insert(at, piece)),
        index().prop_map(Edit::RepeatLine),
    ];
    prop::collection::vec(edit, 1..5)
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut all: Vec<char> = text.chars().collect();
    for edit in edits {
        if all.is_empty() {
            break;
        }
        match edit {
            Edit::Remove(at, length) => {
                let from = at.index(all.len());
                all.drain(from..(from + length).min(all.len()));
            }
            Edit::Insert(at, piece) => {
                let from = at.index(all.len());
                all.splice(from..from, piece.chars());
            }
            Edit::RepeatLine(at) => {
                let lines: Vec<String> = all
                    .iter()
                    .collect::<String>()
                    .lines()
                    .map(str::to_owned)
                    .collect();
                let n = at.index(lines.len().max(1));
                let mut repeated = lines.clone();
                repeated.insert(n, lines.get(n).cloned().unwrap_or_default());
                all = repeated.join("\n").chars().collect();
            }
        }
    }
    all.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_file_is_loaded_or_refused(
        file in any::<prop::sample::Index>(), edits in edits()
    ) {
        let mut files = base();
        let n = file.index(files.len());
        files[n].1 = edited(&files[n].1, &edits);
        if let Err(findings) = load(&files) {
            prop_assert!(!findings.is_empty());
        }
    }

    #[test]
    fn a_changed_policy_that_loads_can_evaluate_any_case(
        edits in edits(), value in crate::rules::tests::any_json()
    ) {
        if let Ok(set) = load_with_policy(edited(&policy_text(), &edits)) {
            let document = json!({ "received": "2026-10-01T12:00:00Z", "member": { "line_of_business": "MA" },
                "item": { "codes": [{ "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
                "res": value, "answers": value });
            let document = CaseDocument::from_json(document).unwrap();
            prop_assert_eq!(set.evaluate(&document), set.evaluate(&document));
        }
    }
}

#[test]
fn deep_nesting_and_aliases_are_refused_quickly() {
    let deep =
        |open: &str, close: &str, times: usize| format!("{}{}", open.repeat(times), close.repeat(times));
    let billion_laughs: String = (0..30).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let aliases = vec![format!("*a{n}"); 8].join(", ");
        format!("{text}a{}: &a{} [{aliases}]\n", n + 1, n + 1)
    });
    for (name, text) in [
        ("brackets", deep("[", "]", 100_000)),
        ("braces", deep("{a: ", "}", 100_000)),
        ("aliases", billion_laughs),
        ("an alias of itself", "a: &a [*a]\n".to_owned()),
        ("keys", (0..200_000).map(|n| format!("k{n}: 1\n")).collect()),
    ] {
        let findings = load_with_policy(text).err().unwrap_or_default();
        assert!(!findings.is_empty(), "{name}");
    }
}

#[test]
fn a_condition_of_the_greatest_depth_is_evaluated() {
    // Some of these depths are below the limit for files, and some are above it.
    for depth in [10, 20, 24, 60, 5_000] {
        let not = format!(
            "{}{{ fact: edema, equals: true }}{}",
            "{ not: ".repeat(depth),
            " }".repeat(depth)
        );
        let text = policy_text().replacen("{ fact: edema, equals: true }", &not, 1);
        match load_with_policy(text) {
            Ok(set) => assert_eq!(set.run_tests().len(), 3, "{depth}"),
            Err(findings) => assert!(!findings.is_empty(), "{depth}"),
        }
    }
}

#[test]
fn malicious_paths_are_refused_or_stay_within_the_step_budget() {
    let observations: Vec<Value> = (0..2_000)
        .map(|n| json!({ "resourceType": "Condition", "id": n, "code": [n] }))
        .collect();
    for path in [
        "$.res[*][*][*][*][*][*][*][*]",
        "$[?@[?@[?@[?@[?@[?@]]]]]]",
        "$.res.Condition[?@.id == 1999 || @.id == 1998 || @.code[?@ == 7]]",
        "$.res.Condition[::-1]",
        "$.res.Condition[-9007199254740991:9007199254740991:1]",
        "$[*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*]",
        "$.res.Condition[?$.res.Condition[?$.res.Condition]]",
        "$.res.Condition[?((((((((((((((((@.id))))))))))))))))]",
        "$.res.Condition[?!!!!!!!!@.id]",
    ] {
        let text = policy_text().replacen("\"$.res.Condition[*]\"", &format!("\"{path}\""), 1);
        let Ok(set) = load_with_policy(text) else { continue };
        let document = CaseDocument::from_json(json!({ "received": "2026-10-01T12:00:00Z", "member": { "line_of_business": "MA" },
            "item": { "codes": [{ "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
            "res": { "Condition": observations } }))
        .unwrap();
        assert!(
            matches!(set.evaluate(&document).decision, Decision::Pend(_)),
            "{path}"
        );
    }
}

#[test]
fn a_case_that_is_too_large_is_pended_with_an_error() {
    let document = fixture_with(100_000);
    let path = format!("\"$.res{}\"", "[*]".repeat(120));
    let set = load_with_policy(policy_text().replacen("\"$.res.Condition[*]\"", &path, 1));
    let verdict = set.unwrap().evaluate(&CaseDocument::from_json(document).unwrap());
    assert!(verdict.error.unwrap().contains("more steps"));
    assert!(matches!(verdict.decision, Decision::Pend(p) if p.reason == "evaluation-error"));
}

/// The small fixture with many numbers added.
fn fixture_with(numbers: usize) -> Value {
    let (_, text) = base()
        .into_iter()
        .find(|(file, _)| file == "fixtures/case.json")
        .unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    json["res"]["Basic"] = json!([{ "x": vec![1; numbers], "y": vec![1; numbers] }]);
    json
}

#[test]
fn a_mistake_in_any_shipped_file_refuses_the_whole_set() {
    let files = crate::rules::tests::shipped_files();
    for (n, (file, text)) in files
        .iter()
        .enumerate()
        .filter(|(_, (file, _))| !file.ends_with(".md"))
    {
        if file.starts_with("schema/") || file.starts_with("clocks/") {
            continue;
        }
        let mut broken = files.clone();
        broken[n].1 = format!("{text}\n\u{1}]{{,,\"");
        assert!(RuleSet::load(&broken, &forms).is_err(), "{file}");
    }
}
