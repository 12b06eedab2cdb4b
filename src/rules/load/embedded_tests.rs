//! The tests inside policy files: a fixture, changes to it, what must come out. They run when the set is loaded, and
//! again whenever somebody asks. Every criterion must be seen met, not met and unknown.

use crate::rules::evaluate;
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::facts::Budget;
use crate::rules::evaluate::verdict::{Decision, Outcome, Verdict};
use crate::rules::format::policy_file::{DecisionWord, Status, TestKeys};
use crate::rules::load::files::on_every_core;
use crate::rules::policy::Policy;
use crate::rules::{Finding, RuleSet};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The outcome of one embedded test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestReport {
    /// The policy's name.
    pub policy: String,
    /// Its version.
    pub version: String,
    /// The file, relative to `rules/`.
    pub file: String,
    /// The line of the test's name.
    pub line: Option<usize>,
    /// The test's name.
    pub name: String,
    /// What did not come out as expected; empty when the test passed.
    pub differences: Vec<Difference>,
    /// What came out; none when the fixture could not be changed as the test says.
    pub verdict: Option<Verdict>,
}

/// One expectation that was not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What was compared: `coverage`, `decision`, `ask`, or the name of a criterion.
    pub of: String,
    /// What the test wants.
    pub wanted: String,
    /// What came out.
    pub came: String,
}

impl TestReport {
    /// Whether everything came out as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// How often the tests of a policy show one criterion in each outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Times met.
    pub met: usize,
    /// Times not met.
    pub not_met: usize,
    /// Times unknown.
    pub unknown: usize,
}

impl Seen {
    /// The outcomes that no test shows.
    pub fn missing(self) -> Vec<Outcome> {
        [
            (self.met, Outcome::Met),
            (self.not_met, Outcome::NotMet),
            (self.unknown, Outcome::Unknown),
        ]
        .into_iter()
        .filter(|(times, _)| *times == 0)
        .map(|(_, outcome)| outcome)
        .collect()
    }
}

/// Runs the tests of every policy.
pub(in crate::rules) fn run(set: &RuleSet) -> Vec<TestReport> {
    set.policies
        .iter()
        .flat_map(|policy| run_policy(set, policy))
        .collect()
}

/// How often the tests show each criterion of a policy in each outcome.
pub(in crate::rules) fn seen<'a>(policy: &'a Policy, reports: &[TestReport]) -> BTreeMap<&'a str, Seen> {
    let mut seen: BTreeMap<&str, Seen> = policy
        .criteria()
        .map(|(name, ..)| (name, Seen::default()))
        .collect();
    let own = reports.iter().filter(|r| r.file == policy.file());
    for (name, outcome) in own.filter_map(|r| r.verdict.as_ref()).flat_map(|v| &v.criteria) {
        if let Some(seen) = seen.get_mut(name.as_str()) {
            match outcome {
                Outcome::Met => seen.met += 1,
                Outcome::NotMet => seen.not_met += 1,
                Outcome::Unknown => seen.unknown += 1,
            }
        }
    }
    seen
}

/// Failed tests, and criteria that the tests do not show in all three outcomes, each with the path of its key; and the
/// policies that are sound, by the hash of all that their tests read. Retired policies keep theirs in peace; those in
/// `before` are not run again.
pub(in crate::rules) fn findings(
    set: &RuleSet,
    before: &HashSet<String>,
) -> (Vec<(Finding, String)>, HashSet<String>) {
    let waiting: Vec<&Policy> = set
        .policies
        .iter()
        .filter(|p| p.status() != Status::Retired)
        .collect();
    let check = |policy: &&Policy| {
        if before.contains(&policy.tests_key) {
            Vec::new()
        } else {
            findings_of(set, policy)
        }
    };
    let found = on_every_core(&waiting, check);
    let sound = waiting.iter().zip(&found).filter(|(_, found)| found.is_empty());
    let passed = sound.map(|(policy, _)| policy.tests_key.clone()).collect();
    (found.into_iter().flatten().collect(), passed)
}

fn findings_of(set: &RuleSet, policy: &Policy) -> Vec<(Finding, String)> {
    let reports = run_policy(set, policy);
    let mut findings = Vec::new();
    for (n, report) in reports.iter().enumerate().filter(|(_, r)| !r.passed()) {
        let differences: Vec<String> = report
            .differences
            .iter()
            .map(|d| {
                format!(
                    "{} should be {} and is {}",
                    d.of,
                    shown(&d.wanted),
                    shown(&d.came)
                )
            })
            .collect();
        let message = format!("The test '{}' fails: {}", report.name, differences.join("; "));
        let mend = "Mend the policy, or the expectation; 'assent policy test' shows the trace";
        findings.push((
            Finding::new(&policy.file, None, message).mend(mend),
            format!("tests/{n}/name"),
        ));
    }
    for (name, seen) in seen(policy, &reports) {
        for outcome in seen.missing() {
            let message = format!("No test shows the criterion '{name}' {}", outcome.word());
            let mend = "Add a test whose case brings that outcome about";
            findings.push((
                Finding::new(&policy.file, None, message).mend(mend),
                format!("criteria/{name}"),
            ));
        }
    }
    findings
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "nothing" } else { value }
}

/// Runs the tests of one policy.
pub(in crate::rules) fn run_policy(set: &RuleSet, policy: &Policy) -> Vec<TestReport> {
    let run = |(n, test): (usize, &TestKeys)| {
        let (differences, verdict) = match given(&set.fixtures, test) {
            Err(why) => {
                let broken = Difference {
                    of: "the case".into(),
                    wanted: "usable".into(),
                    came: why,
                };
                (vec![broken], None)
            }
            Ok(document) => {
                let verdict = evaluate::verdict(policy, &document, Budget(Budget::WHOLE));
                (differences(test, &verdict), Some(verdict))
            }
        };
        TestReport {
            policy: policy.name().to_owned(),
            version: policy.version().to_owned(),
            file: policy.file.clone(),
            line: policy.places.tests.get(n).copied(),
            name: test.name.clone(),
            differences,
            verdict,
        }
    };
    policy.keys.tests.iter().enumerate().map(run).collect()
}

/// The case document of a test.
pub(in crate::rules) fn given(
    fixtures: &HashMap<String, Value>,
    test: &TestKeys,
) -> Result<CaseDocument, String> {
    let base = &test.given.base;
    let mut json = fixtures
        .get(base)
        .ok_or_else(|| format!("there is no {base}"))?
        .clone();
    json_patch::patch(&mut json, &test.given.change)
        .map_err(|e| format!("the change cannot be made: {e}"))?;
    CaseDocument::from_json(json)
}

/// The expectations that a verdict does not meet.
pub(in crate::rules) fn differences(test: &TestKeys, verdict: &Verdict) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |of: &str, wanted: &str, came: &str| {
        if wanted != came {
            differences.push(Difference {
                of: of.to_owned(),
                wanted: wanted.to_owned(),
                came: came.to_owned(),
            });
        }
    };
    compare(
        "the evaluation",
        "without error",
        verdict.error.as_deref().unwrap_or("without error"),
    );
    if let Some(wanted) = &test.expect.coverage {
        compare("coverage", wanted, verdict.coverage.word());
    }
    if let Some(wanted) = test.expect.decision {
        compare(
            "decision",
            wanted.word(),
            DecisionWord::of(&verdict.decision).word(),
        );
    }
    for (name, wanted) in &test.expect.criteria {
        let came = verdict.criteria.get(name).map_or("not evaluated", |o| o.word());
        compare(name, wanted.word(), came);
    }
    if let Some(wanted) = &test.expect.ask {
        let came: Vec<&str> = match &verdict.decision {
            Decision::Pend(pend) => pend.ask.iter().map(|a| a.criterion.as_str()).collect(),
            Decision::Approve(_) | Decision::NotRequired { .. } => Vec::new(),
        };
        compare("ask", &wanted.join(", "), &came.join(", "));
    }
    differences
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
