//! The tests inside policy files: a fixture, changes to it, and what the verdict must be. They run when a rule set is
//! loaded, and when a command asks for it. The tests of a policy must show each criterion met, not met and unknown.

use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::facts::StepBudget;
use crate::rules::evaluate::policy::evaluate_policy;
use crate::rules::finding::Finding;
use crate::rules::format::policy_file::{ExpectedDecision, PolicyStatus, TestKeys};
use crate::rules::load::files::parallel_map;
use crate::rules::policy::Policy;
use crate::rules::rule_set::RuleSet;
use crate::rules::verdict::{Decision, Outcome, Verdict};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The result of one embedded test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestReport {
    /// The policy's name.
    pub policy: String,
    /// The policy's version.
    pub version: String,
    /// The policy's file, relative to `rules/`.
    pub file: String,
    /// The line of the test's name. `None` unless the set was loaded with `EmbeddedTests::CheckOnly`.
    pub line: Option<usize>,
    /// The test's name.
    pub name: String,
    /// Where the verdict differs from what the test expects. Empty if the test passed.
    pub differences: Vec<Difference>,
    /// The verdict. `None` if the test's changes could not be made to its fixture.
    pub verdict: Option<Verdict>,
}

/// One expectation that the verdict does not fulfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What was compared: `coverage`, `decision`, `ask`, or the name of a criterion.
    pub subject: String,
    /// What the test expects.
    pub expected: String,
    /// What the verdict has.
    pub actual: String,
}

impl TestReport {
    /// Whether the verdict is as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// How often the tests of a policy show one criterion in each outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutcomeCounts {
    /// How often it was met.
    pub met: usize,
    /// How often it was not met.
    pub not_met: usize,
    /// How often it was unknown.
    pub unknown: usize,
}

impl OutcomeCounts {
    /// The outcomes that no test shows.
    pub fn missing_outcomes(self) -> Vec<Outcome> {
        [
            (self.met, Outcome::Met),
            (self.not_met, Outcome::NotMet),
            (self.unknown, Outcome::Unknown),
        ]
        .into_iter()
        .filter(|(count, _)| *count == 0)
        .map(|(_, outcome)| outcome)
        .collect()
    }
}

impl RuleSet {
    /// Runs the embedded tests of all policies.
    pub fn run_tests(&self) -> Vec<TestReport> {
        self.policies
            .iter()
            .flat_map(|policy| self.run_policy_tests(policy))
            .collect()
    }

    /// Runs the embedded tests of one policy.
    pub fn run_policy_tests(&self, policy: &Policy) -> Vec<TestReport> {
        let run = |(n, test): (usize, &TestKeys)| {
            let (differences, verdict) = match case_document(&self.fixtures, test) {
                Err(error) => {
                    let unusable = Difference {
                        subject: "the case".into(),
                        expected: "usable".into(),
                        actual: error,
                    };
                    (vec![unusable], None)
                }
                Ok(document) => {
                    let verdict = evaluate_policy(policy, &document, StepBudget(StepBudget::DEFAULT));
                    (differences(test, &verdict), Some(verdict))
                }
            };
            TestReport {
                policy: policy.name().to_owned(),
                version: policy.version().to_owned(),
                file: policy.file.clone(),
                line: policy.key_lines.tests.get(n).copied(),
                name: test.name.clone(),
                differences,
                verdict,
            }
        };
        policy.keys.tests.iter().enumerate().map(run).collect()
    }

    /// How often `reports` show each criterion of a policy met, not met and unknown, by the criterion's name.
    pub fn outcome_counts<'a>(
        &self,
        policy: &'a Policy,
        reports: &[TestReport],
    ) -> BTreeMap<&'a str, OutcomeCounts> {
        outcome_counts(policy, reports)
    }
}

fn outcome_counts<'a>(policy: &'a Policy, reports: &[TestReport]) -> BTreeMap<&'a str, OutcomeCounts> {
    let mut counts: BTreeMap<&str, OutcomeCounts> = policy
        .criteria()
        .map(|(name, ..)| (name, OutcomeCounts::default()))
        .collect();
    let own = reports.iter().filter(|report| report.file == policy.file());
    let outcomes = own
        .filter_map(|report| report.verdict.as_ref())
        .flat_map(|verdict| &verdict.criteria);
    for (name, outcome) in outcomes {
        if let Some(counts) = counts.get_mut(name.as_str()) {
            match outcome {
                Outcome::Met => counts.met += 1,
                Outcome::NotMet => counts.not_met += 1,
                Outcome::Unknown => counts.unknown += 1,
            }
        }
    }
    counts
}

/// Runs the tests of all policies that are not retired. Returns failed tests and outcomes that no test shows, each with
/// the key to point at, and the policies that passed, by the hash of everything their tests read. Policies in
/// `passed_before` do not run again.
pub(in crate::rules) fn findings(
    set: &RuleSet,
    passed_before: &HashSet<String>,
) -> (Vec<(Finding, String)>, HashSet<String>) {
    let policies: Vec<&Policy> = set
        .policies
        .iter()
        .filter(|policy| policy.status() != PolicyStatus::Retired)
        .collect();
    let check = |policy: &&Policy| {
        if passed_before.contains(&policy.tests_hash) {
            Vec::new()
        } else {
            policy_findings(set, policy)
        }
    };
    let findings = parallel_map(&policies, check);
    let passed = policies
        .iter()
        .zip(&findings)
        .filter(|(_, findings)| findings.is_empty())
        .map(|(policy, _)| policy.tests_hash.clone())
        .collect();
    (findings.into_iter().flatten().collect(), passed)
}

fn policy_findings(set: &RuleSet, policy: &Policy) -> Vec<(Finding, String)> {
    let reports = set.run_policy_tests(policy);
    let mut findings = Vec::new();
    for (n, report) in reports.iter().enumerate().filter(|(_, report)| !report.passed()) {
        let differences: Vec<String> = report.differences.iter().map(Difference::text).collect();
        let message = format!("The test '{}' fails: {}", report.name, differences.join("; "));
        let fix = "Correct the policy or the expectation; 'assent policy test' shows the trace";
        findings.push((
            Finding::new(&policy.file, None, message).fix(fix),
            format!("tests/{n}/name"),
        ));
    }
    for (name, counts) in outcome_counts(policy, &reports) {
        for outcome in counts.missing_outcomes() {
            let message = format!("No test shows the criterion '{name}' {}", outcome.text());
            let fix = "Add a test with a case in which the criterion has that outcome";
            findings.push((
                Finding::new(&policy.file, None, message).fix(fix),
                format!("criteria/{name}"),
            ));
        }
    }
    findings
}

impl Difference {
    fn text(&self) -> String {
        let or_nothing = |value: &str| if value.is_empty() { "nothing" } else { value }.to_owned();
        format!(
            "{} should be {} but is {}",
            self.subject,
            or_nothing(&self.expected),
            or_nothing(&self.actual)
        )
    }
}

/// The case document of a test: its fixture with its changes.
pub(in crate::rules) fn case_document(
    fixtures: &HashMap<String, Value>,
    test: &TestKeys,
) -> Result<CaseDocument, String> {
    let base = &test.given.base;
    let mut json = fixtures
        .get(base)
        .ok_or_else(|| format!("the file {base} does not exist"))?
        .clone();
    json_patch::patch(&mut json, &test.given.change)
        .map_err(|e| format!("the change cannot be made: {e}"))?;
    CaseDocument::from_json(json)
}

/// The expectations that a verdict does not fulfill.
pub(in crate::rules) fn differences(test: &TestKeys, verdict: &Verdict) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |subject: &str, expected: &str, actual: &str| {
        if expected != actual {
            differences.push(Difference {
                subject: subject.to_owned(),
                expected: expected.to_owned(),
                actual: actual.to_owned(),
            });
        }
    };
    compare(
        "the evaluation",
        "without error",
        verdict.error.as_deref().unwrap_or("without error"),
    );
    if let Some(expected) = &test.expect.coverage {
        compare("coverage", expected, verdict.coverage.summary_code());
    }
    if let Some(expected) = test.expect.decision {
        let actual = ExpectedDecision::of(&verdict.decision);
        compare("decision", expected.code(), actual.code());
    }
    for (name, expected) in &test.expect.criteria {
        let actual = verdict
            .criteria
            .get(name)
            .map_or("not evaluated", |outcome| outcome.code());
        compare(name, expected.code(), actual);
    }
    if let Some(expected) = &test.expect.ask {
        let actual: Vec<&str> = match &verdict.decision {
            Decision::Pend(pend) => pend
                .documents_needed
                .iter()
                .map(|document| document.criterion.as_str())
                .collect(),
            Decision::Approve(_) | Decision::NotRequired { .. } => Vec::new(),
        };
        compare("ask", &expected.join(", "), &actual.join(", "));
    }
    differences
}

impl ExpectedDecision {
    fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Approve(_) => Self::Approve,
            Decision::Pend(_) => Self::Pend,
            Decision::NotRequired { .. } => Self::NotRequired,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Pend => "pend",
            Self::NotRequired => "not-required",
        }
    }
}
