//! How a rule set is loaded.

use chrono::NaiveDate;
use std::collections::HashSet;

/// How a rule set is loaded. The default runs every embedded test.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Today. A policy source that nobody has checked in the year before this day gives a warning; without a day
    /// there is no such check.
    pub today: Option<NaiveDate>,
    /// Policies whose embedded tests passed before, by the hash of everything the tests read. Their tests do not run
    /// again.
    pub passed_tests: HashSet<String>,
    /// What happens with the embedded tests.
    pub embedded_tests: EmbeddedTests,
}

/// What loading does with the tests inside policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmbeddedTests {
    /// Run those that have not passed before. A failure is a finding.
    #[default]
    Run,
    /// Check them without running them; the caller runs them later.
    CheckOnly,
    /// Do not read them: the set was published, so they have passed.
    Skip,
}
