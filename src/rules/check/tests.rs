//! Each load-time check refuses what it is there for: the shipped home-oxygen policy with one thing broken.

use crate::rules::tests::{forms, shipped_files};
use crate::rules::{Finding, RuleSet};

const OXYGEN: &str = "policies/dme/home-oxygen/2026.2.yaml";

/// Loads the shipped files with one replacement in the home-oxygen policy.
fn broken(old: &str, new: &str) -> Vec<Finding> {
    broken_file(OXYGEN, old, new)
}

fn broken_file(file: &str, old: &str, new: &str) -> Vec<Finding> {
    let mut files = shipped_files();
    let (_, text) = files.iter_mut().find(|(f, _)| f == file).unwrap();
    assert!(text.contains(old), "{old}");
    *text = text.replacen(old, new, 1);
    RuleSet::load(&files, &forms).err().unwrap_or_default()
}

fn line_of(file: &str, needle: &str) -> usize {
    let files = shipped_files();
    let (_, text) = files.iter().find(|(f, _)| f == file).unwrap();
    text.lines().position(|l| l.contains(needle)).unwrap() + 1
}

#[test]
fn each_mistake_is_found_and_told() {
    for (old, new, words) in [
        ("owner: um-policy", "owner: um-policy\nowners: x", "owners"),
        (
            "    pend: { queue: dme-nurse",
            "    deny: {}\n    pend: { queue: dme-nurse",
            "cannot deny",
        ),
        ("any: [\"2703-7\"]", "any: [2703]", "2703"),
        (
            "version: \"2026.2\"",
            "version: \"2026.3\"",
            "named '2026.2.yaml'",
        ),
        (
            "{ fact: edema, equals: true",
            "{ fact: oedema, equals: true",
            "There is no fact 'oedema'",
        ),
        (
            "{ fact: edema, equals: true",
            "{ fact: oedema, equals: true",
            "Nothing uses the fact 'edema'",
        ),
        (
            "code_in: loinc.hct",
            "code_in: loinc.hgb",
            "There is no set 'loinc.hgb'",
        ),
        (
            "{ criterion: group-2 }",
            "{ criterion: group-3 }",
            "There is no criterion 'group-3'",
        ),
        (
            "{ criterion: group-2 }",
            "{ criterion: group-3 }",
            "Nothing uses the criterion 'group-2'",
        ),
        (
            "any: [ { criterion: group-1-rest }, { criterion: group-2 } ]",
            "any: [ { criterion: group-1-rest }, { criterion: group-2 }, { criterion: qualifying } ]",
            "leads back to itself",
        ),
        (
            "read: { path: \"$.quantity\"",
            "read: { path: \"$..quantity\"",
            "'..'",
        ),
        (
            "from: \"$.member\"",
            "from: \"$.member[?match(@.a,'b')]\"",
            "function",
        ),
        ("from: \"$.member\"", "from: \"member\"", "no JSONPath"),
        ("at_most: \"55 mm[Hg]\"", "at_most: 55", "needs a unit"),
        (
            "at_most: \"55 mm[Hg]\"",
            "at_most: \"55 kPa\"",
            "is not the fact's",
        ),
        (
            "at_most: \"55 mm[Hg]\"",
            "at_most: \"55 mm Hg\"",
            "no number with a unit",
        ),
        ("unit: \"mm[Hg]\" }", "unit: \"mm[Hg\" }", "UCUM"),
        (
            "exists: true, if_missing: not-met",
            "exists: true",
            "'exists' needs 'if_missing'",
        ),
        (
            "equals: true, if_missing: not-met",
            "equals: true, if_missing: met",
            "never counts as met",
        ),
        (
            "{ fact: edema, equals: true",
            "{ fact: edema, equals: \"yes\"",
            "a boolean never equals yes",
        ),
        (
            "{ fact: in-transition, on_or_after: received }",
            "{ fact: edema, on_or_after: received }",
            "no 'dated'",
        ),
        (
            "{ fact: in-transition, on_or_after: received }",
            "{ fact: in-transition, on_or_after: sometime }",
            "'sometime'",
        ),
        (
            "{ fact: test.by-supplier, equals: false }",
            "{ fact: test.by-supplier, equals: false, at_most: 4 }",
            "only one of",
        ),
        (
            "{ fact: test.by-supplier, equals: false }",
            "{ fact: test.by-supplier }",
            "is missing",
        ),
        (
            "{ fact: test.by-supplier, equals: false }",
            "{ equals: false }",
            "needs the 'fact'",
        ),
        (
            "      within-units: {",
            "      within-use: {",
            "what to ask for 'within-units'",
        ),
        (
            "      within-units: {",
            "      within-use: {",
            "does not name 'within-use'",
        ),
        ("approved: {", "# approved: {", "record of its approval"),
        (
            "cite: \"ncd, section B\"",
            "cite: \"lcd, section B\"",
            "none of the sources",
        ),
        ("pa: auth-needed", "pa: satisfied", "satisfied"),
        ("      doc: [clinical]\n", "", "'questionnaires' needs 'doc'"),
        (
            "pa: no-auth,",
            "pa: no-auth, doc: [clinical], doc_purpose: [withpa],",
            "'withpa'",
        ),
        (
            "  - answer:\n      covered: covered",
            "  - when: { criterion: qualifying }\n    answer:\n      covered: covered",
            "has no 'when'",
        ),
        ("expires: \"90 days\"", "expires: \"soon\"", "no length of time"),
        (
            "questionnaires: [\"home-oxygen|1.0.0\"]",
            "questionnaires: [\"home-oxygen|9.0.0\"]",
            "no form 'home-oxygen|9.0.0'",
        ),
        (
            "answer: \"oxygen.dependent-edema\"",
            "answer: \"oxygen.edema\"",
            "asks 'oxygen.edema'",
        ),
        ("pick: newest", "", "carries its tests"),
        ("units: as-asked", "units: half", "half"),
        (
            "base: fixtures/oxygen.json",
            "base: fixtures/none.json",
            "There is no fixtures/none.json",
        ),
        (
            "criteria: { group-1-rest: met,",
            "criteria: { group-9: met,",
            "'group-9', which is no criterion",
        ),
        (
            "expect: { coverage: auth-needed, decision: approve",
            "expect: { coverage: no-auth, decision: approve",
            "coverage should be no-auth and is auth-needed",
        ),
        (
            "expect: { coverage: auth-needed, decision: approve",
            "expect: { coverage: auth-needed, decision: pend",
            "decision should be pend and is approve",
        ),
        (
            "effective: { basis: received, from: 2026-07-01, to: null }",
            "effective: { basis: received, from: 2026-07-01, to: 2026-06-01 }",
            "before the first",
        ),
    ] {
        // One row of the table cannot be broken by replacing: tests that are absent.
        let findings = if words == "carries its tests" {
            without_tests()
        } else {
            broken(old, new)
        };
        let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(
            all.iter().any(|f| f.contains(words)),
            "{new}: {words}\n{}",
            all.join("\n")
        );
        assert!(
            all.iter()
                .all(|f| f.starts_with(OXYGEN) || f.starts_with("lists/")),
            "{}",
            all.join("\n")
        );
    }
}

fn without_tests() -> Vec<Finding> {
    let mut files = shipped_files();
    let (_, text) = files.iter_mut().find(|(f, _)| f == OXYGEN).unwrap();
    text.truncate(text.find("\ntests:").unwrap() + 1);
    RuleSet::load(&files, &forms).unwrap_err()
}

#[test]
fn a_criterion_must_be_seen_in_all_three_outcomes() {
    let findings = broken(
        "{ op: remove, path: /item/quantity }",
        "{ op: replace, path: /item/quantity/value, value: 13 }",
    );
    assert!(
        findings.iter().any(|f| f
            .message
            .contains("No test shows the criterion 'within-units' unknown")),
        "{findings:?}"
    );
}

#[test]
fn findings_name_the_line() {
    let at = |old: &str, new: &str, words: &str| {
        let findings = broken(old, new);
        findings
            .iter()
            .find(|f| f.message.contains(words))
            .and_then(|f| f.line)
    };
    assert_eq!(
        at("answer: \"oxygen.dependent-edema\"", "answer: \"x\"", "asks 'x'"),
        Some(line_of(OXYGEN, "  edema: "))
    );
    assert_eq!(
        at("owner: um-policy", "owned: x", "owned"),
        Some(line_of(OXYGEN, "owner: "))
    );
    assert_eq!(
        at("any: [\"2703-7\"]", "any: [2703]", "2703"),
        Some(line_of(OXYGEN, "loinc.pao2: "))
    );
}

#[test]
fn two_active_versions_of_one_day_are_refused_and_a_closed_one_is_not() {
    let with_second = |window: &str| {
        let mut files = shipped_files();
        let text = files.iter().find(|(f, _)| f == OXYGEN).unwrap().1.clone();
        let second = text
            .replacen("version: \"2026.2\"", "version: \"2026.3\"", 1)
            .replacen("from: 2026-07-01, to: null", window, 1);
        files.push(("policies/dme/home-oxygen/2026.3.yaml".into(), second));
        RuleSet::load(&files, &forms)
    };
    let findings = with_second("from: 2027-01-01, to: null").unwrap_err();
    assert!(
        findings[0].message.contains("same code, line, state and day"),
        "{findings:?}"
    );
    assert!(
        with_second("from: 2026-01-01, to: 2026-06-30").unwrap_err()[0]
            .message
            .contains("is retired")
    );
}

#[test]
fn lists_are_checked_against_answers_policies_and_plans() {
    let list = "lists/2026.csv";
    for (old, new, words) in [
        (
            "auth-needed-home-care",
            "auth-needed-visits",
            "no answer 'auth-needed-visits'",
        ),
        (
            "auth-needed-home-care",
            "auth-needed-visits",
            "No list row uses the answer 'auth-needed-home-care'",
        ),
        ("dme.home-oxygen", "dme.oxygen", "no policy 'dme.oxygen'"),
        ("G0154,", "33510,", "the same code and day"),
        ("*,,CHIP,", "*,,DENTAL,", "the line 'CHIP'"),
        ("*,,CHIP,", "*,x,CHIP,", "'*' has none"),
    ] {
        let findings = broken_file(list, old, new);
        let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(
            all.iter().any(|f| f.contains(words)),
            "{words}\n{}",
            all.join("\n")
        );
    }
}

#[test]
fn a_file_that_nothing_reads_is_told() {
    let mut files = shipped_files();
    files.push(("polices/dme/x/1.yaml".into(), String::new()));
    let findings = RuleSet::load(&files, &forms).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0]
            .to_string()
            .starts_with("polices/dme/x/1.yaml: Nothing reads")
    );
}
