//! Loading: from the files to a rule set. Each file is read according to its folder, the findings of all files are
//! collected, and a set with a finding is not kept.

pub mod check;
pub mod embedded_tests;
pub mod files;
#[cfg(test)]
mod hostile_input;
mod line_finder;
mod list_checks;
pub mod mutants;
pub mod options;
pub mod tables;
mod version_checks;

use crate::rules::evaluate::index::Index;
use crate::rules::finding::Finding;
use crate::rules::form_question::FormQuestion;
use crate::rules::load::check::collector::{FindingCollector, Paths};
use crate::rules::load::files::ParsedFiles;
use crate::rules::load::line_finder::LineFinder;
use crate::rules::load::options::{EmbeddedTests, LoadOptions};
use crate::rules::policy::Policy;
use crate::rules::rule_set::RuleSet;
use crate::rules::services::ServiceNames;
use std::collections::HashSet;

/// The questions of the form `name|version`. `None` if there is no such form.
pub type QuestionsOfForm<'a> = dyn Fn(&str) -> Option<Vec<FormQuestion>> + 'a;

impl RuleSet {
    /// Loads a rule set and runs every embedded test. `files`: path relative to `rules/`, and text. The error holds all
    /// findings of all files.
    pub fn load(files: &[(String, String)], forms: &QuestionsOfForm<'_>) -> Result<Self, Vec<Finding>> {
        Self::load_with(files, forms, &LoadOptions::default())
    }

    /// Like `load`, with options.
    pub fn load_with(
        files: &[(String, String)],
        forms: &QuestionsOfForm<'_>,
        options: &LoadOptions,
    ) -> Result<Self, Vec<Finding>> {
        let mut files: Vec<(&str, &str)> = files
            .iter()
            .map(|(file, text)| (file.as_str(), text.as_str()))
            .collect();
        files.sort_unstable();
        let mut parsed = ParsedFiles::read(&files, options);
        let mut findings = std::mem::take(&mut parsed.findings);
        let mut warnings = Vec::new();
        let mut paths = Paths::new();
        let mut policies: Vec<Policy> = Vec::new();
        let parsed_policies = std::mem::take(&mut parsed.policies);
        let mut line_finder =
            LineFinder::new(parsed_policies.iter().map(|policy| (policy.file, policy.text)));
        for policy in parsed_policies {
            let mut collector =
                FindingCollector::new(policy.file, policy.text, &mut findings, &mut warnings, &mut paths);
            policies.push(check::policy(policy, &parsed, forms, options, &mut collector));
        }
        list_checks::check(&parsed, &policies, forms, &mut findings);
        list_checks::warn_without_active_version(&parsed, &policies, &mut warnings);
        version_checks::overlapping_versions(&policies, &mut line_finder, &mut findings);
        version_checks::warn_days_without_version(&policies, &mut line_finder, &mut warnings);
        let mut set = Self {
            index: Index::build(&policies, &parsed.rows),
            policies,
            rows: parsed.rows,
            answers: parsed.answers,
            plans: parsed.plans,
            denial_reasons: parsed.denial_reasons,
            services: ServiceNames::build(parsed.services),
            fixtures: parsed.fixtures,
            warnings,
            passed_tests: HashSet::new(),
        };
        // Tests run only if there is no other finding: one broken file could fail all of them with the same message.
        if findings.is_empty() && options.embedded_tests == EmbeddedTests::Run {
            let (failed, passed) = embedded_tests::findings(&set, &options.passed_tests);
            findings.extend(
                failed
                    .into_iter()
                    .map(|(finding, key)| line_finder.with_line(finding, &key)),
            );
            set.passed_tests = passed;
        }
        findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        if findings.is_empty() {
            Ok(set)
        } else {
            Err(findings)
        }
    }
}
