//! The tests inside policy files: a fixture, changes to it, what must come out. They run when the set is loaded, and
//! again whenever somebody asks. Every criterion must be seen met, not met and unknown.

use super::case_document::CaseDocument;
use super::evaluate;
use super::facts::Budget;
use super::model::{DecisionWord, Status, TestKeys};
use super::policy::Policy;
use super::verdict::{Decision, Outcome, Verdict};
use super::{Finding, RuleSet};
use std::collections::HashSet;

/// The outcome of one embedded test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestReport {
    /// The policy's name.
    pub policy: String,
    /// Its version.
    pub version: String,
    /// The test's name.
    pub name: String,
    /// What did not come out as expected, one sentence each; empty when the test passed.
    pub failures: Vec<String>,
}

impl TestReport {
    /// Whether everything came out as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Runs the tests of every policy.
pub(super) fn run(set: &RuleSet) -> Vec<TestReport> {
    set.policies
        .iter()
        .flat_map(|policy| run_policy(set, policy))
        .map(|(report, _)| report)
        .collect()
}

/// Failed tests, and criteria that the tests do not show in all three outcomes. Retired policies keep theirs in peace.
pub(super) fn findings(set: &RuleSet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for policy in set.policies.iter().filter(|p| p.status() != Status::Retired) {
        let mut seen: HashSet<(String, &str)> = HashSet::new();
        for (report, verdict) in run_policy(set, policy) {
            for failure in report.failures {
                findings.push(Finding::new(
                    &policy.file,
                    None,
                    format!("The test '{}' fails: {failure}", report.name),
                ));
            }
            for (name, outcome) in verdict.into_iter().flat_map(|v| v.criteria) {
                seen.insert((name, outcome.word()));
            }
        }
        for (name, _, _) in policy.criteria() {
            for outcome in [Outcome::Met, Outcome::NotMet, Outcome::Unknown].map(Outcome::word) {
                if !seen.contains(&(name.to_owned(), outcome)) {
                    let message = format!("No test shows the criterion '{name}' {outcome}");
                    findings.push(Finding::new(&policy.file, None, message));
                }
            }
        }
    }
    findings
}

fn run_policy<'a>(
    set: &'a RuleSet,
    policy: &'a Policy,
) -> impl Iterator<Item = (TestReport, Option<Verdict>)> + 'a {
    policy.keys.tests.iter().map(|test| {
        let (failures, verdict) = match given(set, test) {
            Err(why) => (vec![why], None),
            Ok(document) => {
                let verdict = evaluate::verdict(policy, &document, Budget(Budget::WHOLE));
                (differences(test, &verdict), Some(verdict))
            }
        };
        let report = TestReport {
            policy: policy.name().to_owned(),
            version: policy.version().to_owned(),
            name: test.name.clone(),
            failures,
        };
        (report, verdict)
    })
}

fn given(set: &RuleSet, test: &TestKeys) -> Result<CaseDocument, String> {
    let base = &test.given.base;
    let mut json = set
        .fixtures
        .get(base)
        .ok_or_else(|| format!("there is no {base}"))?
        .clone();
    json_patch::patch(&mut json, &test.given.change)
        .map_err(|e| format!("the change cannot be made: {e}"))?;
    CaseDocument::from_json(json)
}

fn differences(test: &TestKeys, verdict: &Verdict) -> Vec<String> {
    let mut failures: Vec<String> = verdict
        .error
        .iter()
        .map(|e| format!("the evaluation failed: {e}"))
        .collect();
    let mut compare = |what: &str, wanted: &str, came: &str| {
        if wanted != came {
            failures.push(format!("{what} should be {wanted} and is {came}"));
        }
    };
    if let Some(wanted) = &test.expect.coverage {
        compare("coverage", wanted, verdict.coverage.word());
    }
    if let Some(wanted) = test.expect.decision {
        compare(
            "the decision",
            wanted.word(),
            DecisionWord::of(&verdict.decision).word(),
        );
    }
    for (name, wanted) in &test.expect.criteria {
        let came = verdict.criteria.get(name).map_or("not evaluated", |o| o.word());
        compare(&format!("'{name}'"), wanted.word(), came);
    }
    if let Some(wanted) = &test.expect.ask {
        let came: Vec<&str> = match &verdict.decision {
            Decision::Pend(pend) => pend.ask.iter().map(|a| a.criterion.as_str()).collect(),
            Decision::Approve(_) | Decision::NotRequired { .. } => Vec::new(),
        };
        compare("what is asked", &wanted.join(", "), &came.join(", "));
    }
    failures
}

impl DecisionWord {
    fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Approve(_) => Self::Approve,
            Decision::Pend(_) => Self::Pend,
            Decision::NotRequired { .. } => Self::NotRequired,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Pend => "pend",
            Self::NotRequired => "not-required",
        }
    }
}
