//! One policy in memory: its file as read, with facts and sets compiled. Other rooms read from it what they show:
//! title, sources, criteria, forms.

use crate::rules::evaluate::facts::{Fact, Sets};
use crate::rules::format::policy_file::{Approval, Effective, PolicyKeys, SourceKeys, Status};
use std::collections::BTreeMap;

/// A policy file, read and checked.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(in crate::rules) keys: PolicyKeys,
    pub(in crate::rules) file: String,
    pub(in crate::rules) hash: String,
    /// The hash of all that its tests read.
    pub(in crate::rules) tests_key: String,
    /// The (system, code or range) of its scope, files read.
    pub(in crate::rules) codes: Vec<(String, String)>,
    pub(in crate::rules) facts: BTreeMap<String, Fact>,
    pub(in crate::rules) sets: Sets,
    /// The criteria of `approve.when`, in the order of the file.
    pub(in crate::rules) asked: Vec<String>,
    pub(in crate::rules) places: Places,
}

/// The lines of what reports name.
#[derive(Debug, Clone, Default)]
pub(in crate::rules) struct Places {
    pub tests: Vec<usize>,
    /// By path: `criteria/test-age`, `facts/spo2`.
    pub named: BTreeMap<String, usize>,
}

impl Policy {
    /// Its name, such as `dme.home-oxygen`.
    pub fn name(&self) -> &str {
        &self.keys.policy
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.keys.version
    }

    /// Its title.
    pub fn title(&self) -> &str {
        &self.keys.title
    }

    /// Who keeps it.
    pub fn owner(&self) -> &str {
        &self.keys.owner
    }

    /// Where it stands in its life.
    pub fn status(&self) -> Status {
        self.keys.status
    }

    /// From when to when it answers.
    pub fn effective(&self) -> Effective {
        self.keys.effective
    }

    /// Who approved it.
    pub fn approval(&self) -> Option<&Approval> {
        self.keys.approved.as_ref()
    }

    /// What its criteria cite.
    pub fn sources(&self) -> &[SourceKeys] {
        &self.keys.sources
    }

    /// The file, relative to `rules/`.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// `sha256:…` over the file.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Every (system, code) of its scope; a code may be a range as `K0813-K0816`.
    pub fn codes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.codes
            .iter()
            .map(|(system, code)| (system.as_str(), code.as_str()))
    }

    /// Its lines of business; none stands for every line.
    pub fn lines(&self) -> Option<&[String]> {
        named(&self.keys.scope.lines)
    }

    /// Its states; none stands for every state.
    pub fn states(&self) -> Option<&[String]> {
        named(&self.keys.scope.states)
    }

    /// Every form (`name|version`) that it names, each once.
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

    /// Every criterion: name, text, citation.
    pub fn criteria(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let all = self.keys.criteria.iter();
        all.map(|(name, c)| (name.as_str(), c.text.as_str(), c.cite.as_str()))
    }

    /// How many tests it carries.
    pub fn test_count(&self) -> usize {
        self.keys.tests.len()
    }

    /// The queue where its pended items wait.
    pub fn queue(&self) -> &str {
        &self.keys.decision.otherwise.pend.queue
    }

    pub(in crate::rules) fn is_active(&self) -> bool {
        self.keys.status == Status::Active
    }
}

fn named(scope: &[String]) -> Option<&[String]> {
    (!scope.iter().any(|s| s == "any")).then_some(scope)
}
