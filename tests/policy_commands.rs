//! Policy analysts' commands with the real binary: a new policy that passes every check, exit codes, and the JSON
//! output for scripts.

use crate::support::{Folders, Installation};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const NEW: [&str; 7] = [
    "policy",
    "new",
    "dme.walking-aid",
    "--code",
    "E0143",
    "--title",
    "Wheeled walkers: \"rollators\"",
];

/// An installation with its own copies of the policies and forms.
fn installation() -> (Installation, Folders) {
    let mut installation = Installation::new();
    let folders = installation.editable_folders();
    (installation, folders)
}

/// Every file below the folders, by path.
fn contents(folders: &Folders) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(folder: &Path, contents: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, contents);
            } else {
                contents.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    let mut contents = BTreeMap::new();
    add(&folders.rules, &mut contents);
    add(&folders.forms, &mut contents);
    contents
}

/// Runs a command that prints JSON.
fn json(installation: &Installation, arguments: &[&str], expected: i32) -> Value {
    let (code, out, err) = installation.run(arguments);
    assert_eq!(code, expected, "{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("the output is not JSON ({e}): {out}{err}"))
}

#[test]
fn a_new_policy_passes_every_check_and_its_tests_detect_every_mutant() {
    let (installation, folders) = installation();
    let before = contents(&folders);
    let (code, out, err) = installation.run(&NEW);
    assert_eq!(code, 0, "{err}");
    let printed: Vec<PathBuf> = out
        .lines()
        .map_while(|l| l.starts_with('/').then(|| l.into()))
        .collect();
    let added: Vec<PathBuf> = contents(&folders)
        .into_keys()
        .filter(|path| !before.contains_key(path))
        .collect();
    assert_eq!(printed.len(), 3, "{out}");
    assert!(
        added.iter().all(|path| printed.contains(path)) && added.len() == 3,
        "{added:?} {out}"
    );

    let (code, out, err) = installation.run(&["policy", "check"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("15 policies checked, no errors. Policy set sha256:"),
        "{out}"
    );
    let (code, out, err) = installation.run(&["policy", "test", "walking-aid", "--mutate"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("5 tests of 1 policy: 0 failed"), "{out}");
    assert!(out.contains(" mutants: 0 not detected by any test"), "{out}");
    assert!(!out.contains("; 0 mutants"), "there were no mutants: {out}");

    let listed = json(&installation, &["policy", "list", "walking-aid", "--json"], 0);
    let listed = &listed["policies"][0];
    assert_eq!(
        (&listed["status"], &listed["title"]),
        (&"draft".into(), &"Wheeled walkers: \"rollators\"".into())
    );
    assert_eq!(listed["codes"][0]["code"], "E0143");
    assert_eq!(listed["forms"][0], "walking-aid|1.0.0");
}

#[test]
fn running_new_again_overwrites_nothing() {
    let (installation, folders) = installation();
    assert_eq!(installation.run(&NEW).0, 0);
    let first = contents(&folders);
    let mut other = NEW;
    other[6] = "Another title";
    let (code, _, err) = installation.run(&other);
    assert_eq!(code, 1);
    assert!(err.contains("exists already. Nothing was written"), "{err}");
    assert_eq!(contents(&folders), first);
    // The same when only some of the files exist.
    std::fs::remove_dir_all(folders.rules.join("policies/dme/walking-aid")).unwrap();
    let remaining = contents(&folders);
    assert_eq!(installation.run(&other).0, 1);
    assert_eq!(contents(&folders), remaining);
}

#[test]
fn a_new_policy_for_a_range_of_codes_and_another_line_of_business_passes_every_check() {
    let (installation, _) = installation();
    let arguments = [
        "policy",
        "new",
        "dme.crutches",
        "--code",
        "E0110-E0114",
        "--code",
        "E0116",
        "--line-of-business",
        "QHP",
    ];
    assert_eq!(installation.run(&arguments).0, 0);
    let (code, out, err) = installation.run(&["policy", "check"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(installation.run(&["policy", "test", "crutches", "--mutate"]).0, 0);
    let listed = json(&installation, &["policy", "list", "crutches", "--json"], 0);
    assert_eq!(
        listed["policies"][0]["lines_of_business"],
        serde_json::json!(["QHP"])
    );
}

#[test]
fn invalid_names_and_codes_are_refused() {
    let (installation, folders) = installation();
    let before = contents(&folders);
    for name in [
        "walking-aid",
        "dme.",
        ".walking-aid",
        "Dme.aid",
        "dme.Aid",
        "dme.a/b",
        "dme.../x",
        "../x.y",
        "dme.a.b",
    ] {
        let (code, _, err) = installation.run(&["policy", "new", name, "--code", "E0143"]);
        assert_eq!(code, 1, "{name}");
        assert!(err.contains("lowercase letters"), "{name}: {err}");
    }
    for code in ["", "E0143 E0144", "E0146-E0143", "E0143-K0001", "E0143-E014"] {
        let (exit, _, err) = installation.run(&["policy", "new", "dme.walking-aid", "--code", code]);
        assert_eq!(exit, 1, "{code}");
        assert!(err.starts_with("assent: "), "{code}: {err}");
    }
    let (code, ..) = installation.run(&["policy", "new", "dme.walking-aid"]);
    assert_eq!(code, 2, "new without --code");
    assert_eq!(contents(&folders), before);
}

/// Introduces two errors in one file and one in another.
fn add_errors(folders: &Folders) {
    let oxygen = "policies/dme/home-oxygen/2026.2.yaml";
    folders.edit(
        oxygen,
        "{ fact: spo2.rest, at_most: \"88 %\" }",
        "{ fact: spo2.rest, at_most: \"88 mm[Hg]\" }",
    );
    folders.edit(
        oxygen,
        "cite: \"ncd, section B, group II\"",
        "cite: \"ncb, section B, group II\"",
    );
    folders.edit(
        "lists/2026.csv",
        "covered-nutrition-supply,",
        "covered-nutrition-suply,",
    );
}

#[test]
fn check_reports_every_error_at_once_and_exits_with_1() {
    let (installation, folders) = installation();
    let (code, out, _) = installation.run(&["policy", "check"]);
    assert_eq!(code, 0, "{out}");
    add_errors(&folders);
    let (code, out, err) = installation.run(&["policy", "check"]);
    assert_eq!(code, 1, "{out}{err}");
    for line in [
        "policies/dme/home-oxygen/2026.2.yaml:",
        "lists/2026.csv:",
        "  fix: ",
        " errors. The policy set cannot be published until every error is fixed",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let (code, _, err) = installation.run(&["policy", "test"]);
    assert_eq!(code, 1, "test with errors in the files");
    assert!(err.contains("lists/2026.csv:"), "{err}");
    std::fs::remove_dir_all(&folders.rules).unwrap();
    assert_eq!(
        installation.run(&["policy", "check"]).0,
        1,
        "check without the folder of rules"
    );
}

#[test]
fn a_failed_test_is_reported_with_its_trace_and_exit_code_1() {
    let (installation, folders) = installation();
    let oxygen = "policies/dme/home-oxygen/2026.2.yaml";
    folders.edit(oxygen, "at_most: \"88 %\"", "at_most: \"86 %\"");
    let (code, out, _) = installation.run(&["policy", "test", "home-oxygen"]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("FAILED") && out.contains("required: 86% or less"),
        "{out}"
    );
    assert_eq!(installation.run(&["policy", "check"]).0, 1);
    assert_eq!(installation.run(&["policy", "check", "--no-tests"]).0, 0);
    assert_eq!(
        installation.run(&["policy", "test", "hospital-bed"]).0,
        0,
        "the tests of another policy fail"
    );
    let (code, _, err) = installation.run(&["policy", "test", "no-such-policy"]);
    assert_eq!(code, 1);
    assert!(err.contains("No policy has that name"), "{err}");
}

#[test]
fn check_prints_json_for_scripts() {
    let (installation, folders) = installation();
    let valid = json(&installation, &["policy", "check", "--no-tests", "--json"], 0);
    assert_eq!(valid["findings"], serde_json::json!([]));
    assert!(valid["warnings"].is_array());
    add_errors(&folders);
    let invalid = json(&installation, &["policy", "check", "--no-tests", "--json"], 1);
    assert!(
        invalid["findings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|finding| finding["line"].is_u64())
    );
    insta::assert_json_snapshot!("check", invalid, { ".findings[].line" => "[a number]" });
}

#[test]
fn test_prints_json_for_scripts() {
    let (installation, _) = installation();
    assert_eq!(installation.run(&NEW).0, 0);
    let tested = json(
        &installation,
        &["policy", "test", "walking-aid", "--mutate", "--json"],
        0,
    );
    insta::assert_json_snapshot!("test", tested, {
        ".policies[].version" => "[this year's first]",
        ".policies[].file" => "[its file]",
    });
}

#[test]
fn list_prints_json_for_scripts() {
    let (installation, _) = installation();
    let listed = json(
        &installation,
        &["policy", "list", "home-oxygen@2026.2", "--json"],
        0,
    );
    assert!(listed["policies"][0]["tests"].is_u64());
    insta::assert_json_snapshot!("list", listed, {
        ".hash" => "[of the set]", ".policies[].hash" => "[of the file]", ".policies[].tests" => "[a number]",
    });
    let (code, out, _) = installation.run(&["policy", "list"]);
    assert_eq!(code, 0);
    assert_eq!(
        out.lines().count(),
        15,
        "one header and one row per policy: {out}"
    );
}
