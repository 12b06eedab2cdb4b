//! The policy analyst's commands with the real binary: a new policy that is sound from the first minute, exit codes, and
//! the JSON that scripts read.

use crate::support::{Folders, House};
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

/// A house with copies of the policies and forms.
fn house() -> (House, Folders) {
    let mut house = House::new();
    let folders = house.own_folders();
    (house, folders)
}

/// Every file below the folders, by path.
fn contents(folders: &Folders) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(folder: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else {
                into.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(&folders.rules, &mut all);
    walk(&folders.forms, &mut all);
    all
}

/// Runs a command that prints JSON.
fn json(house: &House, words: &[&str], expected: i32) -> Value {
    let (code, out, err) = house.run(words);
    assert_eq!(code, expected, "{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("no JSON ({e}): {out}{err}"))
}

#[test]
fn a_new_policy_is_sound_and_its_tests_notice_every_change() {
    let (house, folders) = house();
    let before = contents(&folders);
    let (code, out, err) = house.run(&NEW);
    assert_eq!(code, 0, "{err}");
    let named: Vec<PathBuf> = out
        .lines()
        .map_while(|l| l.starts_with('/').then(|| l.into()))
        .collect();
    let added: Vec<PathBuf> = contents(&folders)
        .into_keys()
        .filter(|path| !before.contains_key(path))
        .collect();
    assert_eq!(named.len(), 3, "{out}");
    assert!(
        added.iter().all(|path| named.contains(path)) && added.len() == 3,
        "{added:?} {out}"
    );

    let (code, out, err) = house.run(&["policy", "check"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("15 policies are sound. Set sha256:"), "{out}");
    let (code, out, err) = house.run(&["policy", "test", "walking-aid", "--mutate"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("5 tests of 1 policy, 0 failed"), "{out}");
    assert!(out.contains(" mutants, 0 noticed by no test"), "{out}");
    assert!(!out.contains("; 0 mutants"), "nothing was moved: {out}");

    let listed = json(&house, &["policy", "list", "walking-aid", "--json"], 0);
    let listed = &listed["policies"][0];
    assert_eq!(
        (&listed["status"], &listed["title"]),
        (&"draft".into(), &"Wheeled walkers: \"rollators\"".into())
    );
    assert_eq!(listed["codes"][0]["code"], "E0143");
    assert_eq!(listed["forms"][0], "walking-aid|1.0.0");
}

#[test]
fn a_second_run_overwrites_nothing() {
    let (house, folders) = house();
    assert_eq!(house.run(&NEW).0, 0);
    let first = contents(&folders);
    let mut other = NEW;
    other[6] = "Another title";
    let (code, _, err) = house.run(&other);
    assert_eq!(code, 1);
    assert!(err.contains("is there already; nothing was written"), "{err}");
    assert_eq!(contents(&folders), first);
    // Also when one of the files alone is there.
    std::fs::remove_dir_all(folders.rules.join("policies/dme/walking-aid")).unwrap();
    let half = contents(&folders);
    assert_eq!(house.run(&other).0, 1);
    assert_eq!(contents(&folders), half);
}

#[test]
fn a_policy_for_several_ranges_and_another_line_is_sound_too() {
    let (house, _) = house();
    let words = [
        "policy",
        "new",
        "dme.crutches",
        "--code",
        "E0110-E0114",
        "--code",
        "E0116",
        "--line",
        "QHP",
    ];
    assert_eq!(house.run(&words).0, 0);
    let (code, out, err) = house.run(&["policy", "check"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(house.run(&["policy", "test", "crutches", "--mutate"]).0, 0);
    let listed = json(&house, &["policy", "list", "crutches", "--json"], 0);
    assert_eq!(listed["policies"][0]["lines"], serde_json::json!(["QHP"]));
}

#[test]
fn names_and_codes_that_are_none_are_refused() {
    let (house, folders) = house();
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
        let (code, _, err) = house.run(&["policy", "new", name, "--code", "E0143"]);
        assert_eq!(code, 1, "{name}");
        assert!(err.contains("small letters"), "{name}: {err}");
    }
    for code in ["", "E0143 E0144", "E0146-E0143", "E0143-K0001", "E0143-E014"] {
        let (exit, _, err) = house.run(&["policy", "new", "dme.walking-aid", "--code", code]);
        assert_eq!(exit, 1, "{code}");
        assert!(err.starts_with("assent: "), "{code}: {err}");
    }
    let (code, ..) = house.run(&["policy", "new", "dme.walking-aid"]);
    assert_eq!(code, 2, "without a code");
    assert_eq!(contents(&folders), before);
}

/// Two mistakes in one file and one in another.
fn mistaken(folders: &Folders) {
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
fn check_answers_with_its_exit_code_and_tells_every_mistake_at_once() {
    let (house, folders) = house();
    let (code, out, _) = house.run(&["policy", "check"]);
    assert_eq!(code, 0, "{out}");
    mistaken(&folders);
    let (code, out, err) = house.run(&["policy", "check"]);
    assert_eq!(code, 1, "{out}{err}");
    for line in [
        "policies/dme/home-oxygen/2026.2.yaml:",
        "lists/2026.csv:",
        "  mend: ",
        " mistakes. Nothing is published while there is one",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let (code, _, err) = house.run(&["policy", "test"]);
    assert_eq!(code, 1, "an unsound set has no tests to run");
    assert!(err.contains("lists/2026.csv:"), "{err}");
    std::fs::remove_dir_all(&folders.rules).unwrap();
    assert_eq!(house.run(&["policy", "check"]).0, 1, "without a folder");
}

#[test]
fn a_failed_test_is_told_with_its_trace_and_an_exit_code() {
    let (house, folders) = house();
    let oxygen = "policies/dme/home-oxygen/2026.2.yaml";
    folders.edit(oxygen, "at_most: \"88 %\"", "at_most: \"86 %\"");
    let (code, out, _) = house.run(&["policy", "test", "home-oxygen"]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("FAILED") && out.contains("wants at_most \"86 %\""),
        "{out}"
    );
    assert_eq!(house.run(&["policy", "check"]).0, 1);
    assert_eq!(house.run(&["policy", "check", "--no-tests"]).0, 0);
    assert_eq!(
        house.run(&["policy", "test", "hospital-bed"]).0,
        0,
        "the others pass"
    );
    let (code, _, err) = house.run(&["policy", "test", "no-such-policy"]);
    assert_eq!(code, 1);
    assert!(err.contains("No policy has that name"), "{err}");
}

#[test]
fn check_prints_json_for_scripts() {
    let (house, folders) = house();
    let sound = json(&house, &["policy", "check", "--no-tests", "--json"], 0);
    assert_eq!(sound["findings"], serde_json::json!([]));
    assert!(sound["warnings"].is_array());
    mistaken(&folders);
    let found = json(&house, &["policy", "check", "--no-tests", "--json"], 1);
    assert!(
        found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|finding| finding["line"].is_u64())
    );
    insta::assert_json_snapshot!("check", found, { ".findings[].line" => "[a number]" });
}

#[test]
fn test_prints_json_for_scripts() {
    let (house, _) = house();
    assert_eq!(house.run(&NEW).0, 0);
    let tested = json(
        &house,
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
    let (house, _) = house();
    let listed = json(&house, &["policy", "list", "home-oxygen@2026.2", "--json"], 0);
    assert!(listed["policies"][0]["tests"].is_u64());
    insta::assert_json_snapshot!("list", listed, {
        ".hash" => "[of the set]", ".policies[].hash" => "[of the file]", ".policies[].tests" => "[a number]",
    });
    let (code, out, _) = house.run(&["policy", "list"]);
    assert_eq!(code, 0);
    assert_eq!(
        out.lines().count(),
        15,
        "a head and a line for each policy: {out}"
    );
}
