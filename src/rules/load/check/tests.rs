//! Each load-time check refuses what it is there for: a small sound set (`mistakes/base`) with one thing broken at a
//! time (`mistakes/mistakes.yaml`), and exactly what is said of it.

use crate::rules::{Finding, Loading, RuleSet, read_yaml};
use serde::Deserialize;
use std::path::Path;

const POLICY: &str = "policies/dme/oxygen/1.yaml";

/// One deliberate mistake.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    mistake: String,
    #[serde(flatten)]
    change: Change,
    /// Where the changed text is put instead.
    #[serde(rename = "as")]
    copy: Option<String>,
    rest: Option<String>,
    #[serde(default)]
    warning: bool,
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

fn forms(name: &str) -> Option<Vec<String>> {
    (name == "oxygen|1").then(|| vec!["oxygen.edema".to_owned(), "oxygen.flow".to_owned()])
}

fn load(files: &[(String, String)]) -> Result<RuleSet, Vec<Finding>> {
    let today = "2026-10-01".parse().ok();
    RuleSet::load_with(
        files,
        &forms,
        &Loading {
            today,
            ..Loading::default()
        },
    )
}

/// The text of the file that a change names, with the first place changed.
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
        let name = self.copy.as_deref().unwrap_or(self.change.file());
        put(&mut files, name, text);
        for change in &self.also {
            let text = changed(&files, change);
            put(&mut files, change.file(), text);
        }
        files
    }

    /// What is said of it, a finding a paragraph.
    fn told(&self) -> String {
        let (findings, word) = match load(&self.files()) {
            Err(findings) => (findings, "error"),
            Ok(set) => (set.warnings().to_vec(), "warning"),
        };
        assert_eq!(word == "warning", self.warning, "{}: {findings:?}", self.mistake);
        assert!(!findings.is_empty(), "nothing is said of: {}", self.mistake);
        let lines: Vec<String> = findings
            .iter()
            .map(|f| {
                let line = f.line.map(|l| format!(":{l}")).unwrap_or_default();
                format!("{}{line}: {word}: {}\n    {}", f.file, f.message, f.mend)
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
fn the_set_that_the_mistakes_are_made_in_is_sound() {
    let set = load(&base()).unwrap();
    assert_eq!(set.warnings(), []);
}

#[test]
fn each_mistake_is_told_in_these_words() {
    let all: Vec<String> = mistakes().iter().map(Mistake::told).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn each_finding_says_how_to_mend_it() {
    let all = mistakes();
    let findings = all.iter().filter_map(|m| load(&m.files()).err()).flatten();
    let silent: Vec<String> = findings
        .filter(|f| f.mend.is_empty())
        .map(|f| f.to_string())
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn several_mistakes_are_told_at_once() {
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
fn an_older_version_that_is_closed_or_retired_may_stand_beside_the_new_one() {
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
fn tests_that_passed_are_not_run_again_unless_something_they_read_changes() {
    let files = base();
    let first = load(&files).unwrap();
    assert_eq!(first.tested().len(), 1);
    let again = |files: &[(String, String)]| {
        let loading = Loading {
            tested: first.tested().clone(),
            ..Loading::default()
        };
        RuleSet::load_with(files, &forms, &loading)
    };
    assert_eq!(again(&files).unwrap().tested(), first.tested());
    // A fixture that would fail the tests is another reading: they run, and the set is refused.
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
