//! The small valid rule set that the fuzz targets change. The load-time checks of `src/rules` use the same files.

use assent::rules::{Finding, FormQuestion, QuestionKind, RuleSet};

macro_rules! set {
    ($($path:literal),+ $(,)?) => {
        [$(($path, include_str!(concat!("../src/rules/load/check/mistakes/base/", $path)))),+]
    };
}

/// The files: path relative to `rules/`, and text.
pub const FILES: [(&str, &str); 10] = set![
    "policies/dme/oxygen/1.yaml",
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

/// The files as `RuleSet::load` takes them.
pub fn files() -> Vec<(String, String)> {
    FILES
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .to_vec()
}

/// The questions of the only form that the small set names.
const QUESTIONS: [(&str, QuestionKind); 7] = [
    ("oxygen.edema", QuestionKind::Boolean),
    ("oxygen.flow", QuestionKind::Number),
    ("oxygen.spo2", QuestionKind::Quantity),
    ("oxygen.test-date", QuestionKind::Date),
    ("oxygen.condition", QuestionKind::Choice),
    ("oxygen.lung-disease", QuestionKind::Boolean),
    ("oxygen.prescriber", QuestionKind::Text),
];

/// Loads a rule set, with the only form that the small set names.
pub fn load(files: &[(String, String)]) -> Result<RuleSet, Vec<Finding>> {
    RuleSet::load(files, &|form| {
        let question = |(link_id, kind): (&str, QuestionKind)| FormQuestion {
            link_id: link_id.to_owned(),
            kind,
            options: Vec::new(),
        };
        (form == "oxygen|1").then(|| QUESTIONS.map(question).to_vec())
    })
}
