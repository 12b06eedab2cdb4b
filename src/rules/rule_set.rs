//! The rule set: policies, lists and tables in memory, and plain lookups in them. Loading is in `load`, evaluation in
//! `evaluate`, the public list in `publish`.

use crate::rules::evaluate::index::Index;
use crate::rules::finding::Finding;
use crate::rules::load::files::NamedAnswer;
use crate::rules::load::tables::{DenialReason, ListRow, Plan, contains_day};
use crate::rules::policy::Policy;
use crate::rules::services::{ServiceNames, code_text};
use chrono::NaiveDate;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// All rules, checked and tested together. Immutable.
#[derive(Debug)]
pub struct RuleSet {
    pub(in crate::rules) index: Index,
    pub(in crate::rules) policies: Vec<Policy>,
    pub(in crate::rules) rows: Vec<ListRow>,
    /// The coverage answers of `answers/`, by name.
    pub(in crate::rules) answers: BTreeMap<String, NamedAnswer>,
    pub(in crate::rules) plans: Vec<Plan>,
    pub(in crate::rules) denial_reasons: Vec<DenialReason>,
    pub(in crate::rules) services: ServiceNames,
    /// The case documents of `fixtures/`, by file.
    pub(in crate::rules) fixtures: HashMap<String, Value>,
    pub(in crate::rules) warnings: Vec<Finding>,
    pub(in crate::rules) passed_tests: HashSet<String>,
}

impl RuleSet {
    /// What is not wrong but should be looked at, such as a source that nobody has checked for a year or days without
    /// an active version.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// The policies whose embedded tests passed, by the hash of everything the tests read; for
    /// `LoadOptions::passed_tests` of the next load.
    pub fn passed_tests(&self) -> &HashSet<String> {
        &self.passed_tests
    }

    /// The plan with a code of `Coverage.class[plan]`, as it is on a day.
    pub fn plan(&self, code: &str, on: NaiveDate) -> Option<&Plan> {
        self.plans
            .iter()
            .find(|plan| plan.code == code && contains_day(plan.from, plan.to, on))
    }

    /// The lines of business of the plans.
    pub fn lines_of_business(&self) -> BTreeSet<&str> {
        self.plans
            .iter()
            .map(|plan| plan.line_of_business.as_str())
            .collect()
    }

    /// The reasons that a reviewer may give for a denial.
    pub fn denial_reasons(&self) -> &[DenialReason] {
        &self.denial_reasons
    }

    /// The plain name of a service in `codes/services.csv`, such as `Oxygen concentrator, home`. `code` may be a range.
    pub fn service_name(&self, system: &str, code: &str) -> Option<&str> {
        self.services.find(system, code)
    }

    /// The plain name of a service, or the word for the code system and the code: `HCPCS E1390`.
    pub fn service_text(&self, system: &str, code: &str) -> String {
        self.service_name(system, code)
            .map_or_else(|| code_text(system, code), str::to_owned)
    }

    /// All policies, including drafts, shadow versions and retired ones.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }
}
