//! The set in force: every file of `rules/` and `questionnaires/`, what they make together, and the entry of the log
//! that put them in force. Immutable; swapped whole.

use crate::deadlines::Clocks;
use crate::error::{Error, Result};
use crate::forms::Forms;
use crate::rules::verdict::sha256;
use crate::rules::{Finding, Loading, PublicList, RuleSet, Tests};
use crate::store::policy_sets::Publication;
use chrono::{DateTime, NaiveDate, Utc};
use std::sync::{Arc, OnceLock};

const RULES: &str = "rules/";
const FORMS: &str = "questionnaires/";

/// The files of a set as (path, text), paths beginning with `rules/` or `questionnaires/`, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetFiles(Vec<(String, String)>);

impl SetFiles {
    /// From (path, text) pairs below each of the two folders.
    pub fn new(rules: &[(String, String)], forms: &[(String, String)]) -> Self {
        let below = |folder: &'static str, files: &[(String, String)]| {
            let files = files.iter();
            files
                .map(|(path, text)| (format!("{folder}{path}"), text.clone()))
                .collect::<Vec<_>>()
        };
        let mut all = below(RULES, rules);
        all.append(&mut below(FORMS, forms));
        all.sort();
        Self(all)
    }

    /// From the JSON that the store keeps.
    pub fn read(json: &str) -> Result<Self> {
        serde_json::from_str(json)
            .map(Self)
            .map_err(|e| Error::internal(format!("a stored policy set cannot be read: {e}")))
    }

    /// Every file.
    pub fn all(&self) -> &[(String, String)] {
        &self.0
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(own, _)| own.as_str().cmp(path)).ok()?;
        self.0.get(at).map(|(_, text)| text.as_str())
    }

    /// `sha256:…` over every path and text: the name of the set.
    pub fn hash(&self) -> String {
        let lines = self.0.iter();
        let lines: Vec<String> = lines
            .map(|(path, text)| format!("{path} {}", sha256(text.as_bytes())))
            .collect();
        sha256(lines.join("\n").as_bytes())
    }

    /// The files of one folder, by their paths below it.
    fn below(&self, folder: &str) -> Vec<(String, String)> {
        let files = self.0.iter();
        files
            .filter_map(|(path, text)| Some((path.strip_prefix(folder)?.to_owned(), text.clone())))
            .collect()
    }
}

/// Policies, clocks and forms, read and checked as one.
#[derive(Debug)]
pub struct Published {
    /// The name of the set: its hash over every file.
    pub hash: String,
    /// Policies, lists, plans.
    pub rules: RuleSet,
    /// Decision clocks.
    pub clocks: Clocks,
    /// Questionnaires.
    pub forms: Forms,
    files: SetFiles,
    publication: Option<Publication>,
    list: OnceLock<Arc<PublicList>>,
}

impl Published {
    /// Loads all three from (path, text) pairs; every finding at once.
    pub fn load(rules: &[(String, String)], forms: &[(String, String)]) -> Result<Self> {
        Self::check(SetFiles::new(rules, forms), &Loading::default())
            .map_err(|findings| Error::malformed(told(&findings)))
    }

    /// Reads and checks a set, and tests it as far as `loading` says. A set that was published is not asked whether it is whole.
    pub fn check(files: SetFiles, loading: &Loading) -> Result<Self, Vec<Finding>> {
        let (rule_files, form_files) = (files.below(RULES), files.below(FORMS));
        let mut findings = Vec::new();
        let forms = Forms::load(&form_files)
            .map_err(|found| findings.extend(found.iter().map(|text| of_a_form(text))));
        let clocks =
            Clocks::load(&rule_files).map_err(|found| findings.extend(found.into_iter().map(of_a_rule)));
        // Without its forms every policy that names one would be a finding.
        let forms = forms.unwrap_or_default();
        if !findings.is_empty() {
            return Err(findings);
        }
        let rules = RuleSet::load_with(&rule_files, &|form| forms.link_ids(form), loading);
        match (rules, clocks) {
            (Ok(rules), Ok(clocks)) => {
                let gaps = gaps(&rules, &clocks);
                if !gaps.is_empty() && loading.tests != Tests::Leave {
                    return Err(gaps);
                }
                Ok(Self {
                    hash: files.hash(),
                    rules,
                    clocks,
                    forms,
                    files,
                    publication: None,
                    list: OnceLock::new(),
                })
            }
            (Err(found), _) => Err(found.into_iter().map(of_a_rule).collect()),
            (_, Err(())) => Err(findings),
        }
    }

    /// The set with the log's entry that put it in force, and the public list of that day.
    #[must_use]
    pub fn recorded(self, publication: Publication, list: Arc<PublicList>) -> Self {
        Self {
            publication: Some(publication),
            list: OnceLock::from(list),
            ..self
        }
    }

    /// The entry of the log; none for a set that was never put in force.
    pub fn publication(&self) -> Option<&Publication> {
        self.publication.as_ref()
    }

    /// The number of that entry.
    pub fn number(&self) -> Option<i64> {
        self.publication.as_ref().map(|entry| entry.number)
    }

    /// Every file that the set is made of.
    pub fn files(&self) -> &SetFiles {
        &self.files
    }

    /// The public list of the day on which the set came into force; of a set that never did, every row.
    pub fn list(&self) -> &Arc<PublicList> {
        self.list
            .get_or_init(|| Arc::new(self.rules.public_list(NaiveDate::MIN)))
    }

    /// The public list as it is at an instant.
    pub fn list_on(&self, at: DateTime<Utc>) -> PublicList {
        let day = at.with_timezone(&self.rules.zone()).date_naive();
        self.rules.public_list(day)
    }
}

/// Findings one a line.
pub fn told(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What a set lacks so that a plan could work with it: a folder half copied is no set. Without plans nobody has a line,
/// without clocks no request is ever due, without reasons no physician can decide.
fn gaps(rules: &RuleSet, clocks: &Clocks) -> Vec<Finding> {
    let mut gaps = Vec::new();
    let mut lack = |file: &str, what: String, mend: &str| {
        gaps.push(of_a_rule(Finding::new(file, None, what).mend(mend)));
    };
    let lines = rules.lines();
    if lines.is_empty() {
        lack(
            "plans.csv",
            "There is no plan".to_owned(),
            "Add plans.csv with a row for each plan",
        );
    }
    for line in lines {
        for (urgent, word) in [(false, "a standard"), (true, "an expedited")] {
            if !clocks.answer_for(line, urgent) {
                let what = format!("No clock says how long {word} request of the line '{line}' may take");
                lack("clocks/", what, "Add a clock for the line to a file of clocks/");
            }
        }
    }
    if rules.denial_reasons().is_empty() {
        let mend = "Add codes/denial.csv with the reasons that a reviewer may give";
        lack(
            "codes/denial.csv",
            "There is no reason for a denial".to_owned(),
            mend,
        );
    }
    gaps
}

fn of_a_rule(finding: Finding) -> Finding {
    Finding {
        file: format!("{RULES}{}", finding.file),
        ..finding
    }
}

/// Forms tell file and sentence in one text.
fn of_a_form(text: &str) -> Finding {
    let (file, message) = text.split_once(": ").unwrap_or((text, ""));
    Finding::new(&format!("{FORMS}{file}"), None, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(forms: &str) -> SetFiles {
        let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        SetFiles::new(
            &[pair("plans.csv", "a"), pair("README.md", "b")],
            &[pair("home/1.0.0/questionnaire.json", forms)],
        )
    }

    #[test]
    fn the_name_of_a_set_covers_rules_and_forms() {
        assert_eq!(files("x").hash(), files("x").hash());
        assert_ne!(files("x").hash(), files("y").hash());
        assert_eq!(files("x").text("rules/plans.csv"), Some("a"));
        assert_eq!(files("x").text("plans.csv"), None);
        let json = serde_json::to_string(files("x").all()).unwrap();
        assert_eq!(SetFiles::read(&json).unwrap(), files("x"));
    }

    #[test]
    fn half_a_folder_is_no_set() {
        let nothing = || SetFiles::new(&[], &[]);
        let said = |files| told(&Published::check(files, &Loading::default()).unwrap_err());
        assert_eq!(
            said(nothing()),
            "rules/plans.csv: There is no plan. Add plans.csv with a row for each plan\n\
             rules/codes/denial.csv: There is no reason for a denial. Add codes/denial.csv with the reasons that a reviewer may give"
        );
        let shipped = crate::publication::files(std::path::Path::new("rules")).unwrap();
        let forms = crate::publication::files(std::path::Path::new("questionnaires")).unwrap();
        let without = |gone: &str| {
            let mut rules = shipped.clone();
            rules.retain(|(path, _)| path != gone);
            SetFiles::new(&rules, &forms)
        };
        let clocks = said(without("clocks/medicare-advantage.yaml"));
        assert!(
            clocks.contains("No clock says how long a standard request of the line 'MA' may take"),
            "{clocks}"
        );
        assert!(
            clocks.contains("an expedited request of the line 'MA'") && !clocks.contains("QHP"),
            "{clocks}"
        );
        // One that was in force can still be read.
        let leave = Loading {
            tests: Tests::Leave,
            ..Loading::default()
        };
        assert!(Published::check(nothing(), &leave).is_ok());
    }

    #[test]
    fn a_mistake_is_told_with_its_folder_and_file() {
        let findings = Published::check(files("{"), &Loading::default()).unwrap_err();
        assert!(
            findings
                .iter()
                .any(|f| f.file == "questionnaires/home/1.0.0/questionnaire.json"),
            "{findings:?}"
        );
    }
}
