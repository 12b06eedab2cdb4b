//! A policy set: every file of the folders `rules/` and `questionnaires/`, the rules, clocks and forms loaded from
//! them, and the publication that made the set current. A set never changes; `State` replaces it as a whole.

use crate::deadlines::Clocks;
use crate::error::{Error, Result};
use crate::forms::Forms;
use crate::rules::sha256;
use crate::rules::{EmbeddedTests, Finding, LoadOptions, PublicList, RuleSet};
use crate::store::policy_sets::Publication;
use chrono::{DateTime, NaiveDate, Utc};
use std::sync::{Arc, OnceLock};

const RULES_FOLDER: &str = "rules/";
const FORMS_FOLDER: &str = "questionnaires/";

/// The files of a policy set as (path, text) pairs, sorted by path. Paths begin with `rules/` or `questionnaires/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicySetFiles(Vec<(String, String)>);

impl PolicySetFiles {
    /// From (path, text) pairs with paths relative to each of the two folders.
    pub fn new(rules: &[(String, String)], forms: &[(String, String)]) -> Self {
        let with_folder = |folder: &'static str, files: &[(String, String)]| {
            let files = files.iter();
            files
                .map(|(path, text)| (format!("{folder}{path}"), text.clone()))
                .collect::<Vec<_>>()
        };
        let mut all = with_folder(RULES_FOLDER, rules);
        all.append(&mut with_folder(FORMS_FOLDER, forms));
        all.sort();
        Self(all)
    }

    /// From the JSON in the column `policy_set.files`.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json)
            .map(Self)
            .map_err(|e| Error::internal(format!("a stored policy set cannot be read: {e}")))
    }

    /// Every file as (path, text).
    pub fn all(&self) -> &[(String, String)] {
        &self.0
    }

    /// The text of the file at `path`, which begins with the folder.
    pub fn text(&self, path: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|(own, _)| own.as_str().cmp(path)).ok()?;
        self.0.get(index).map(|(_, text)| text.as_str())
    }

    /// The hash over every path and text, `sha256:…`. It identifies the policy set.
    pub fn hash(&self) -> String {
        let files = self.0.iter();
        let lines: Vec<String> = files
            .map(|(path, text)| format!("{path} {}", sha256(text.as_bytes())))
            .collect();
        sha256(lines.join("\n").as_bytes())
    }

    /// The files of one folder, with paths relative to it.
    fn in_folder(&self, folder: &str) -> Vec<(String, String)> {
        let files = self.0.iter();
        files
            .filter_map(|(path, text)| Some((path.strip_prefix(folder)?.to_owned(), text.clone())))
            .collect()
    }
}

/// Rules, decision clocks and forms that were loaded and checked together.
#[derive(Debug)]
pub struct PolicySet {
    /// The hash over every file, `sha256:…`. It identifies the set.
    pub hash: String,
    /// Policies, lists, plans, denial reasons.
    pub rules: RuleSet,
    /// Decision clocks.
    pub clocks: Clocks,
    /// Questionnaires.
    pub forms: Forms,
    files: PolicySetFiles,
    publication: Option<Publication>,
    public_list: OnceLock<Arc<PublicList>>,
}

impl PolicySet {
    /// Loads a policy set from (path, text) pairs of the two folders and runs its tests. The error's message lists
    /// every finding, one in each line.
    pub fn load(rules: &[(String, String)], forms: &[(String, String)]) -> Result<Self> {
        Self::from_files(PolicySetFiles::new(rules, forms), &LoadOptions::default())
            .map_err(|findings| Error::malformed(findings_text(&findings)))
    }

    /// Loads and checks a policy set and runs its tests as `loading` says. A set that was published before
    /// (`EmbeddedTests::Skip`) is not checked for completeness.
    pub fn from_files(files: PolicySetFiles, loading: &LoadOptions) -> Result<Self, Vec<Finding>> {
        let (rule_files, form_files) = (files.in_folder(RULES_FOLDER), files.in_folder(FORMS_FOLDER));
        let mut findings = Vec::new();
        let forms = Forms::load(&form_files)
            .map_err(|found| findings.extend(found.iter().map(|text| form_finding(text))));
        let clocks =
            Clocks::load(&rule_files).map_err(|found| findings.extend(found.into_iter().map(rule_finding)));
        // Without the forms, every policy that names one would be reported as well.
        let forms = forms.unwrap_or_default();
        if !findings.is_empty() {
            return Err(findings);
        }
        let rules = RuleSet::load_with(&rule_files, &|form| forms.questions(form), loading);
        match (rules, clocks) {
            (Ok(rules), Ok(clocks)) => {
                let missing = missing_parts(&rules, &clocks);
                if !missing.is_empty() && loading.embedded_tests != EmbeddedTests::Skip {
                    return Err(missing);
                }
                Ok(Self {
                    hash: files.hash(),
                    rules,
                    clocks,
                    forms,
                    files,
                    publication: None,
                    public_list: OnceLock::new(),
                })
            }
            (Err(found), _) => Err(found.into_iter().map(rule_finding).collect()),
            (_, Err(())) => Err(findings),
        }
    }

    /// The set with the publication that made it current and the public list of that day.
    #[must_use]
    pub fn with_publication(self, publication: Publication, public_list: Arc<PublicList>) -> Self {
        Self {
            publication: Some(publication),
            public_list: OnceLock::from(public_list),
            ..self
        }
    }

    /// The publication that made the set current; none for a set that was never published.
    pub fn publication(&self) -> Option<&Publication> {
        self.publication.as_ref()
    }

    /// The number of that publication.
    pub fn publication_number(&self) -> Option<i64> {
        self.publication.as_ref().map(|entry| entry.number)
    }

    /// The files that the set was loaded from.
    pub fn files(&self) -> &PolicySetFiles {
        &self.files
    }

    /// The public list on the day of the publication; for a set that was never published, the list with every row.
    pub fn public_list(&self) -> &Arc<PublicList> {
        self.public_list
            .get_or_init(|| Arc::new(self.rules.public_list(NaiveDate::MIN)))
    }

    /// The public list on the day of an instant, in the plan's time zone.
    pub fn public_list_at(&self, at: DateTime<Utc>) -> PublicList {
        let day = at.with_timezone(&self.rules.zone()).date_naive();
        self.rules.public_list(day)
    }
}

/// Findings as text, one in each line.
pub fn findings_text(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What a plan needs and the set does not contain, for example because a folder was copied only in part. Without plans
/// no member has a line of business, without clocks no request has a due time, and without denial reasons no physician
/// can deny.
fn missing_parts(rules: &RuleSet, clocks: &Clocks) -> Vec<Finding> {
    let mut missing = Vec::new();
    let mut report = |file: &str, message: String, fix: &str| {
        missing.push(rule_finding(Finding::new(file, None, message).fix(fix)));
    };
    let lines_of_business = rules.lines_of_business();
    if lines_of_business.is_empty() {
        report(
            "plans.csv",
            "The policy set contains no plan".to_owned(),
            "Add plans.csv with a row for each plan",
        );
    }
    for lob in lines_of_business {
        for (urgent, kind) in [(false, "standard"), (true, "expedited")] {
            if !clocks.has_clock_for(lob, urgent) {
                let message =
                    format!("No decision clock applies to {kind} requests of the line of business '{lob}'");
                report(
                    "clocks/",
                    message,
                    "Add a clock for this line of business to a file in clocks/",
                );
            }
        }
    }
    if rules.denial_reasons().is_empty() {
        report(
            "codes/denial.csv",
            "The policy set contains no denial reason".to_owned(),
            "Add codes/denial.csv with the reasons that a reviewer may give",
        );
    }
    missing
}

/// A finding of `rules` with the path of its file from the policy set's root.
fn rule_finding(finding: Finding) -> Finding {
    Finding {
        file: format!("{RULES_FOLDER}{}", finding.file),
        ..finding
    }
}

/// A finding of `forms`, which reports `file: message` as one text.
fn form_finding(text: &str) -> Finding {
    let (file, message) = text.split_once(": ").unwrap_or((text, ""));
    Finding::new(&format!("{FORMS_FOLDER}{file}"), None, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(forms: &str) -> PolicySetFiles {
        let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        PolicySetFiles::new(
            &[pair("plans.csv", "a"), pair("README.md", "b")],
            &[pair("home/1.0.0/questionnaire.json", forms)],
        )
    }

    #[test]
    fn the_hash_of_a_policy_set_covers_rules_and_forms() {
        assert_eq!(files("x").hash(), files("x").hash());
        assert_ne!(files("x").hash(), files("y").hash());
        assert_eq!(files("x").text("rules/plans.csv"), Some("a"));
        assert_eq!(files("x").text("plans.csv"), None);
        let json = serde_json::to_string(files("x").all()).unwrap();
        assert_eq!(PolicySetFiles::from_json(&json).unwrap(), files("x"));
    }

    #[test]
    fn an_incomplete_policy_set_is_rejected() {
        let empty = || PolicySetFiles::new(&[], &[]);
        let findings =
            |files| findings_text(&PolicySet::from_files(files, &LoadOptions::default()).unwrap_err());
        assert_eq!(
            findings(empty()),
            "rules/plans.csv: The policy set contains no plan. Add plans.csv with a row for each plan\n\
             rules/codes/denial.csv: The policy set contains no denial reason. Add codes/denial.csv with the reasons that a reviewer may give"
        );
        let shipped = crate::publication::read_folder(std::path::Path::new("rules")).unwrap();
        let forms = crate::publication::read_folder(std::path::Path::new("questionnaires")).unwrap();
        let without = |removed: &str| {
            let mut rules = shipped.clone();
            rules.retain(|(path, _)| path != removed);
            PolicySetFiles::new(&rules, &forms)
        };
        let clocks = findings(without("clocks/medicare-advantage.yaml"));
        assert!(
            clocks.contains("No decision clock applies to standard requests of the line of business 'MA'"),
            "{clocks}"
        );
        assert!(
            clocks.contains("expedited requests of the line of business 'MA'") && !clocks.contains("QHP"),
            "{clocks}"
        );
        // A set that was current before can still be loaded.
        let leave = LoadOptions {
            embedded_tests: EmbeddedTests::Skip,
            ..LoadOptions::default()
        };
        assert!(PolicySet::from_files(empty(), &leave).is_ok());
    }

    #[test]
    fn a_finding_names_its_folder_and_file() {
        let findings = PolicySet::from_files(files("{"), &LoadOptions::default()).unwrap_err();
        assert!(
            findings
                .iter()
                .any(|f| f.file == "questionnaires/home/1.0.0/questionnaire.json"),
            "{findings:?}"
        );
    }
}
