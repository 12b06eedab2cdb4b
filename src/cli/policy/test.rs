//! `assent policy test [NAME]`: runs the tests inside the policies, counts the outcomes of each criterion, and prints
//! the trace of each failed test. With `--mutate` it also reports changes of the policy that no test detects. Exit code
//! 1 when a test fails, a criterion lacks an outcome, or a mutant is not detected.

use super::check::counted;
use super::{Folders, is_selected};
use crate::cli::print;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::{EmbeddedTests, Mutant, OutcomeCounts, Policy, RuleSet, TestReport, trace_text};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Options of `policy test`.
#[derive(Debug, Args)]
pub struct Test {
    /// Policy name, a part of it, or name@version; by default every policy
    name: Option<String>,
    /// Change every threshold, unit, code and `if_missing` by one step, and report the changes that no test detects
    #[arg(long)]
    mutate: bool,
    /// Also list the tests that pass
    #[arg(long, short)]
    verbose: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

/// The results for one policy.
struct PolicyResult<'a> {
    policy: &'a Policy,
    reports: Vec<TestReport>,
    mutants: Vec<Mutant>,
}

impl PolicyResult<'_> {
    fn passed(&self, rules: &RuleSet) -> bool {
        self.reports.iter().all(TestReport::passed)
            && self.mutants.iter().all(|m| m.killed_by.is_some())
            && rules
                .outcome_counts(self.policy, &self.reports)
                .values()
                .all(|counts| counts.missing_outcomes().is_empty())
    }
}

/// Runs the tests and prints the results. `Malformed` when no policy has the name.
pub fn run(command: &Test, config: &Config) -> Result<ExitCode> {
    let rules = command
        .folders
        .load_valid(config, EmbeddedTests::CheckOnly)?
        .rules;
    let results: Vec<PolicyResult<'_>> = rules
        .policies()
        .filter(|policy| is_selected(command.name.as_deref(), policy))
        .map(|policy| PolicyResult {
            policy,
            reports: rules.run_policy_tests(policy),
            mutants: if command.mutate {
                rules.mutants(policy)
            } else {
                Vec::new()
            },
        })
        .collect();
    if results.is_empty() {
        return Err(Error::malformed(
            "No policy has that name. To list the policies, run 'assent policy list'",
        ));
    }
    if command.json {
        let policies: Vec<Value> = results.iter().map(|result| json_of(&rules, result)).collect();
        let output = json!({ "policies": policies });
        print(&serde_json::to_string_pretty(&output).map_err(Error::internal)?);
    } else {
        for result in &results {
            print(&result_text(&rules, result, command.verbose));
        }
        print(&summary(&results, command.mutate));
    }
    let passed = results.iter().all(|result| result.passed(&rules));
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn summary(results: &[PolicyResult<'_>], mutate: bool) -> String {
    let reports = || results.iter().flat_map(|result| &result.reports);
    let failed = reports().filter(|report| !report.passed()).count();
    let mut text = format!(
        "{} of {}: {failed} failed",
        counted(reports().count(), "test", "tests"),
        counted(results.len(), "policy", "policies")
    );
    if mutate {
        let mutants = || results.iter().flat_map(|result| &result.mutants);
        let undetected = mutants().filter(|m| m.killed_by.is_none()).count();
        text += &format!(
            "; {}: {undetected} not detected by any test",
            counted(mutants().count(), "mutant", "mutants")
        );
    }
    text
}

fn result_text(rules: &RuleSet, result: &PolicyResult<'_>, verbose: bool) -> String {
    let policy = result.policy;
    let mut text = format!(
        "{} {}: {}\n",
        policy.name(),
        policy.version(),
        counted(result.reports.len(), "test", "tests")
    );
    for report in &result.reports {
        if !report.passed() {
            text += &failure_text(report);
        } else if verbose {
            text += &format!("  passed  {}\n", report.name);
        }
    }
    let outcomes = rules.outcome_counts(policy, &result.reports);
    let width = outcomes
        .keys()
        .map(|criterion| criterion.len())
        .max()
        .unwrap_or(0)
        .max("criterion".len());
    text += &format!("  {:width$}  met  not-met  unknown\n", "criterion");
    for (criterion, counts) in &outcomes {
        text += &outcome_row(criterion, *counts, width);
    }
    for mutant in result.mutants.iter().filter(|m| m.killed_by.is_none()) {
        let line = mutant.line.map(|l| format!(":{l}")).unwrap_or_default();
        text += &format!(
            "  not detected  rules/{}{line}: {}\n",
            policy.file(),
            mutant.change
        );
    }
    text
}

fn outcome_row(criterion: &str, counts: OutcomeCounts, width: usize) -> String {
    let note = if counts.missing_outcomes().is_empty() {
        ""
    } else {
        "  <- the tests do not show every outcome"
    };
    format!(
        "  {criterion:width$}  {:3}  {:7}  {:7}{note}\n",
        counts.met, counts.not_met, counts.unknown
    )
}

/// A failed test: each difference between expected and actual result, then the trace.
fn failure_text(report: &TestReport) -> String {
    let place = report.line.map_or_else(
        || format!("rules/{}", report.file),
        |l| format!("rules/{}:{l}", report.file),
    );
    let mut text = format!("  FAILED  {} ({place})\n", report.name);
    for difference in &report.differences {
        text += &format!(
            "    {}: expected {}\n    {}: actual   {}\n",
            difference.subject, difference.expected, difference.subject, difference.actual
        );
    }
    if let Some(verdict) = &report.verdict {
        for line in trace_text(verdict).lines() {
            text += &format!("      {line}\n");
        }
    }
    text
}

fn json_of(rules: &RuleSet, result: &PolicyResult<'_>) -> Value {
    let test = |report: &TestReport| {
        let differences: Vec<Value> = report
            .differences
            .iter()
            .map(|d| json!({ "subject": d.subject, "expected": d.expected, "actual": d.actual }))
            .collect();
        json!({
            "name": report.name,
            "line": report.line,
            "passed": report.passed(),
            "differences": differences,
        })
    };
    let criteria: serde_json::Map<_, _> = rules
        .outcome_counts(result.policy, &result.reports)
        .into_iter()
        .map(|(criterion, counts)| {
            let counts = json!({ "met": counts.met, "not-met": counts.not_met, "unknown": counts.unknown });
            (criterion.to_owned(), counts)
        })
        .collect();
    let mutants: Vec<Value> = result
        .mutants
        .iter()
        .map(|m| json!({ "change": m.change, "line": m.line, "killed_by": m.killed_by }))
        .collect();
    json!({
        "policy": result.policy.name(),
        "version": result.policy.version(),
        "file": result.policy.file(),
        "tests": result.reports.iter().map(test).collect::<Vec<Value>>(),
        "criteria": criteria,
        "mutants": mutants,
    })
}
