//! Tests of the load-time checks: a small valid rule set (`mistakes/base`) with one mistake at a time
//! (`mistakes/mistakes.yaml`), and the exact findings for each.

use crate::rules::tests::small_form;
use crate::rules::{Finding, FormQuestion, LoadOptions, RuleSet, read_yaml};
use serde::Deserialize;
use std::path::Path;

const POLICY: &str = "policies/dme/oxygen/1.yaml";

/// One intentional mistake.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    mistake: String,
    #[serde(flatten)]
    change: Change,
    /// The file to which the changed text is written instead.
    #[serde(rename = "as")]
    copy_to: Option<String>,
    /// If present, the text after the change is removed.
    rest: Option<String>,
    /// Whether the mistake gives a warning instead of a finding.
    #[serde(default)]
    warning: bool,
    /// More changes.
    #[serde(default)]
    also: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "in")]
    file: Option<String>,
    replace: String,
    with: String,
}

impl Change {
    fn file(&self) -> &str {
        self.file.as_deref().unwrap_or(POLICY)
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/rules/load/check/mistakes"
    ))
}

fn base() -> Vec<(String, String)> {
    crate::rules::tests::files_below(&folder().join("base"))
}

fn forms(name: &str) -> Option<Vec<FormQuestion>> {
    (name == "oxygen|1").then(small_form)
}

fn load(files: &[(String, String)]) -> Result<RuleSet, Vec<Finding>> {
    let today = "2026-10-01".parse().ok();
    RuleSet::load_with(
        files,
        &forms,
        &LoadOptions {
            today,
            ..LoadOptions::default()
        },
    )
}

/// The text of a change's file, with the first match replaced.
fn changed(files: &[(String, String)], change: &Change) -> String {
    let (_, text) = files.iter().find(|(file, _)| file == change.file()).unwrap();
    assert!(
        text.contains(&change.replace),
        "{} has no {:?}",
        change.file(),
        change.replace
    );
    text.replacen(&change.replace, &change.with, 1)
}

fn put(files: &mut Vec<(String, String)>, name: &str, text: String) {
    match files.iter_mut().find(|(file, _)| file == name) {
        Some((_, old)) => *old = text,
        None => files.push((name.to_owned(), text)),
    }
}

impl Mistake {
    fn files(&self) -> Vec<(String, String)> {
        let mut files = base();
        let mut text = changed(&files, &self.change);
        if self.rest.is_some() {
            let end = text.find(&self.change.with).unwrap() + self.change.with.len();
            text.truncate(end);
        }
        let name = self.copy_to.as_deref().unwrap_or(self.change.file());
        put(&mut files, name, text);
        for change in &self.also {
            let text = changed(&files, change);
            put(&mut files, change.file(), text);
        }
        files
    }

    /// The findings or warnings, one per paragraph.
    fn report(&self) -> String {
        let (findings, word) = match load(&self.files()) {
            Err(findings) => (findings, "error"),
            Ok(set) => (set.warnings().to_vec(), "warning"),
        };
        assert_eq!(word == "warning", self.warning, "{}: {findings:?}", self.mistake);
        assert!(!findings.is_empty(), "no finding for: {}", self.mistake);
        let lines: Vec<String> = findings
            .iter()
            .map(|f| {
                let line = f.line.map(|l| format!(":{l}")).unwrap_or_default();
                format!("{}{line}: {word}: {}\n    {}", f.file, f.message, f.fix)
            })
            .collect();
        format!("# {}\n{}\n", self.mistake, lines.join("\n"))
    }
}

fn mistakes() -> Vec<Mistake> {
    let text = std::fs::read_to_string(folder().join("mistakes.yaml")).unwrap();
    read_yaml("mistakes.yaml", &text).unwrap()
}

#[test]
fn the_small_set_without_mistakes_is_valid() {
    let set = load(&base()).unwrap();
    assert_eq!(set.warnings(), []);
}

#[test]
fn each_mistake_has_these_findings() {
    let all: Vec<String> = mistakes().iter().map(Mistake::report).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn each_finding_says_how_to_fix_it() {
    let all = mistakes();
    let findings = all.iter().filter_map(|m| load(&m.files()).err()).flatten();
    let without_fix: Vec<String> = findings
        .filter(|f| f.fix.is_empty())
        .map(|f| f.to_string())
        .collect();
    assert_eq!(without_fix, Vec::<String>::new());
}

#[test]
fn several_mistakes_are_reported_together() {
    let mut files = base();
    for (file, old, new) in [
        (
            POLICY,
            "{ fact: edema, equals: true }",
            "{ fact: oedema, equals: true }",
        ),
        (POLICY, "to: null", "to: 2026-06-01"),
        ("lists/2026.csv", "2026-01-01,,free,", "2026-01-01,,gratis,"),
        ("plans.csv", "America/New_York", "Eastern"),
    ] {
        let change = Change {
            file: Some(file.into()),
            replace: old.into(),
            with: new.into(),
        };
        let text = changed(&files, &change);
        put(&mut files, file, text);
    }
    let findings = load(&files).unwrap_err();
    let files: std::collections::BTreeSet<&str> = findings.iter().map(|f| f.file.as_str()).collect();
    assert_eq!(files.len(), 4, "{findings:?}");
    assert!(
        findings.iter().filter(|f| f.file == POLICY).count() >= 3,
        "{findings:?}"
    );
}

#[test]
fn an_older_version_that_has_ended_or_is_not_active_does_not_conflict() {
    let with_older = |from: &str, to: &str| {
        let mut files = base();
        let older = changed(
            &files,
            &Change {
                file: None,
                replace: "version: \"1\"".into(),
                with: "version: \"0\"".into(),
            },
        );
        put(&mut files, "policies/dme/oxygen/0.yaml", older.replace(from, to));
        let rows = files
            .iter()
            .find(|(f, _)| f == "lists/2026.csv")
            .unwrap()
            .1
            .replace("2026-07-01", "2026-01-01");
        put(&mut files, "lists/2026.csv", rows);
        load(&files)
    };
    assert!(with_older("from: 2026-07-01, to: null", "from: 2026-01-01, to: 2026-06-30").is_ok());
    assert!(with_older("status: active", "status: retired").is_ok());
    assert!(with_older("status: active", "status: draft").is_ok());
    assert!(with_older("status: active", "status: shadow").is_ok());
}

#[test]
fn tests_that_passed_do_not_run_again_unless_something_they_read_changes() {
    let files = base();
    let first = load(&files).unwrap();
    assert_eq!(first.passed_tests().len(), 1);
    let again = |files: &[(String, String)]| {
        let options = LoadOptions {
            passed_tests: first.passed_tests().clone(),
            ..LoadOptions::default()
        };
        RuleSet::load_with(files, &forms, &options)
    };
    assert_eq!(again(&files).unwrap().passed_tests(), first.passed_tests());
    // The fixture is changed so that a test fails: the tests run again, and the set is refused.
    let broken = Change {
        file: Some("fixtures/case.json".into()),
        replace: "\"value\": 87".into(),
        with: "\"value\": 99".into(),
    };
    let mut files = files;
    let text = changed(&files, &broken);
    put(&mut files, "fixtures/case.json", text);
    assert!(
        again(&files)
            .unwrap_err()
            .iter()
            .any(|f| f.message.contains("fails"))
    );
}
