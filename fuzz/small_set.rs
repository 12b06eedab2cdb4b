//! The small sound set that the targets start from: the one that the loader's own tests break in every way.

use assent::rules::{Finding, RuleSet};

macro_rules! set {
    ($($path:literal),+ $(,)?) => {
        [$(($path, include_str!(concat!("../src/rules/load/check/mistakes/base/", $path)))),+]
    };
}

/// The files: path below the rules' folder, text.
pub const FILES: [(&str, &str); 9] = set![
    "policies/dme/oxygen/1.yaml",
    "answers/base.yaml",
    "codes/denial.csv",
    "fixtures/case.json",
    "lists/2026.csv",
    "plans.csv",
    "sets/pulmonary.txt",
    "sets/scope.txt",
    "sets/ulcers.json",
];

/// The files as the loader takes them.
pub fn files() -> Vec<(String, String)> {
    FILES
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .to_vec()
}

/// Loads a set beside the one form that the small set names.
pub fn load(files: &[(String, String)]) -> Result<RuleSet, Vec<Finding>> {
    RuleSet::load(files, &|form| {
        (form == "oxygen|1").then(|| vec!["oxygen.edema".to_owned(), "oxygen.flow".to_owned()])
    })
}
