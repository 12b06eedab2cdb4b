//! One policy in memory: the keys of its file, with facts and sets compiled. Other modules read what they show: title,
//! sources, criteria, forms.

use crate::rules::evaluate::facts::{Fact, Sets};
use crate::rules::format::policy_file::{
    EffectivePeriod, PolicyApproval, PolicyKeys, PolicySource, PolicyStatus,
};
use std::collections::BTreeMap;

/// A version of a policy, read and checked.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(in crate::rules) keys: PolicyKeys,
    pub(in crate::rules) file: String,
    pub(in crate::rules) hash: String,
    /// The hash of everything that its tests read.
    pub(in crate::rules) tests_hash: String,
    /// The (system, code or range) of its scope, including those in files.
    pub(in crate::rules) codes: Vec<(String, String)>,
    pub(in crate::rules) facts: BTreeMap<String, Fact>,
    pub(in crate::rules) sets: Sets,
    /// The criteria that `approve.when` names, in order.
    pub(in crate::rules) approval_criteria: Vec<String>,
    pub(in crate::rules) key_lines: KeyLines,
}

/// Lines in the policy file, for reports about tests.
#[derive(Debug, Clone, Default)]
pub(in crate::rules) struct KeyLines {
    /// The lines of the tests' names.
    pub tests: Vec<usize>,
    /// By key: `criteria/test-age`, `facts/spo2`.
    pub by_key: BTreeMap<String, usize>,
}

impl Policy {
    /// The policy's name, such as `dme.home-oxygen`.
    pub fn name(&self) -> &str {
        &self.keys.policy
    }

    /// The version, such as `2026.2`.
    pub fn version(&self) -> &str {
        &self.keys.version
    }

    /// The title that people read.
    pub fn title(&self) -> &str {
        &self.keys.title
    }

    /// The group that maintains the policy.
    pub fn owner(&self) -> &str {
        &self.keys.owner
    }

    /// Draft, shadow, active or retired.
    pub fn status(&self) -> PolicyStatus {
        self.keys.status
    }

    /// On which days the version is effective.
    pub fn effective(&self) -> EffectivePeriod {
        self.keys.effective
    }

    /// The record of its approval.
    pub fn approval(&self) -> Option<&PolicyApproval> {
        self.keys.approved.as_ref()
    }

    /// The sources that its criteria cite.
    pub fn sources(&self) -> &[PolicySource] {
        &self.keys.sources
    }

    /// The file, relative to `rules/`.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// `sha256:…` of the file.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The (system, code) pairs of its scope. A code may be a range as `K0813-K0816`.
    pub fn codes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.codes
            .iter()
            .map(|(system, code)| (system.as_str(), code.as_str()))
    }

    /// Its lines of business. `None`: all.
    pub fn lines_of_business(&self) -> Option<&[String]> {
        scope_values(&self.keys.scope.lines_of_business)
    }

    /// Its states. `None`: all.
    pub fn states(&self) -> Option<&[String]> {
        scope_values(&self.keys.scope.states)
    }

    /// The forms (`name|version`) that it names, each once.
    pub fn forms(&self) -> Vec<&str> {
        let answers = self
            .keys
            .coverage
            .iter()
            .flat_map(|rule| rule.answer.questionnaires());
        let asks = self
            .keys
            .decision
            .otherwise
            .ask_for
            .values()
            .filter_map(|ask| ask.questionnaire.as_ref());
        let mut forms: Vec<&str> = answers.chain(asks).map(String::as_str).collect();
        forms.sort_unstable();
        forms.dedup();
        forms
    }

    /// Name, text and citation of each criterion.
    pub fn criteria(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let all = self.keys.criteria.iter();
        all.map(|(name, c)| (name.as_str(), c.text.as_str(), c.cite.as_str()))
    }

    /// The number of its tests.
    pub fn test_count(&self) -> usize {
        self.keys.tests.len()
    }

    /// The reviewers' queue for its pended items.
    pub fn queue(&self) -> &str {
        &self.keys.decision.otherwise.pend.queue
    }

    /// What people read instead of the name of a set of codes.
    pub(in crate::rules) fn set_label<'a>(&'a self, name: &'a str) -> &'a str {
        let keys = self.keys.sets.get(name);
        keys.and_then(|keys| keys.label.as_deref()).unwrap_or(name)
    }

    pub(in crate::rules) fn is_active(&self) -> bool {
        self.keys.status == PolicyStatus::Active
    }
}

/// The values of a scope key. `None`: the key has `any`.
fn scope_values(scope: &[String]) -> Option<&[String]> {
    (!scope.iter().any(|s| s == "any")).then_some(scope)
}
