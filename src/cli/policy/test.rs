//! `assent policy test [NAME]`: the tests inside the policies, what they show of each criterion, and the trace of each
//! that fails. `--mutate` asks what the tests would not notice. Exit code 1 when a test fails or a mutant lives.

use super::check::counted;
use super::{Folders, is_meant};
use crate::cli::say;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::{Mutant, Policy, RuleSet, Seen, TestReport, Tests, readable};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// What to test.
#[derive(Debug, Args)]
pub struct Test {
    /// A policy's name, a part of it, or name@version
    name: Option<String>,
    /// Moves every threshold, unit, code and if_missing by one step and reports what no test notices
    #[arg(long)]
    mutate: bool,
    /// Lists the tests that pass, too
    #[arg(long, short)]
    verbose: bool,
    /// Prints one JSON object instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

/// What came out for one policy.
struct Tested<'a> {
    policy: &'a Policy,
    reports: Vec<TestReport>,
    mutants: Vec<Mutant>,
}

impl Tested<'_> {
    fn is_sound(&self, set: &RuleSet) -> bool {
        self.reports.iter().all(TestReport::passed)
            && self.mutants.iter().all(|m| m.killed_by.is_some())
            && set
                .seen(self.policy, &self.reports)
                .values()
                .all(|s| s.missing().is_empty())
    }
}

/// Tests and prints.
pub fn run(command: &Test, config: &Config) -> Result<ExitCode> {
    let set = command.folders.sound(config, Tests::Read)?.rules;
    let tested: Vec<Tested<'_>> = set
        .policies()
        .filter(|policy| is_meant(command.name.as_deref(), policy))
        .map(|policy| Tested {
            policy,
            reports: set.run_tests_of(policy),
            mutants: if command.mutate {
                set.mutants(policy)
            } else {
                Vec::new()
            },
        })
        .collect();
    if tested.is_empty() {
        return Err(Error::malformed(
            "No policy has that name; 'assent policy list' names them",
        ));
    }
    if command.json {
        say(&json_of(&set, &tested)?);
    } else {
        for one in &tested {
            say(&text_of(&set, one, command));
        }
        say(&summary(&tested, command.mutate));
    }
    let sound = tested.iter().all(|t| t.is_sound(&set));
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn summary(tested: &[Tested<'_>], mutated: bool) -> String {
    let reports = || tested.iter().flat_map(|t| &t.reports);
    let failed = reports().filter(|r| !r.passed()).count();
    let mut text = format!(
        "{} of {}, {failed} failed",
        counted(reports().count(), "test", "tests"),
        counted(tested.len(), "policy", "policies")
    );
    if mutated {
        let mutants = || tested.iter().flat_map(|t| &t.mutants);
        let living = mutants().filter(|m| m.killed_by.is_none()).count();
        text += &format!(
            "; {}, {living} noticed by no test",
            counted(mutants().count(), "mutant", "mutants")
        );
    }
    text
}

fn text_of(set: &RuleSet, tested: &Tested<'_>, command: &Test) -> String {
    let policy = tested.policy;
    let mut text = format!(
        "{} {}: {} tests\n",
        policy.name(),
        policy.version(),
        tested.reports.len()
    );
    for report in &tested.reports {
        if !report.passed() {
            text += &failure(report);
        } else if command.verbose {
            text += &format!("  ok  {}\n", report.name);
        }
    }
    let seen = set.seen(policy, &tested.reports);
    let width = seen
        .keys()
        .map(|name| name.len())
        .max()
        .unwrap_or(0)
        .max("criterion".len());
    text += &format!("  {:width$}  met  not-met  unknown\n", "criterion");
    for (name, seen) in &seen {
        text += &coverage_line(name, *seen, width);
    }
    for mutant in tested.mutants.iter().filter(|m| m.killed_by.is_none()) {
        let line = mutant.line.map(|l| format!(":{l}")).unwrap_or_default();
        text += &format!("  lives  rules/{}{line}: {}\n", policy.file(), mutant.what);
    }
    text
}

fn coverage_line(name: &str, seen: Seen, width: usize) -> String {
    let gap = if seen.missing().is_empty() {
        ""
    } else {
        "  <- never seen in every outcome"
    };
    format!(
        "  {name:width$}  {:3}  {:7}  {:7}{gap}\n",
        seen.met, seen.not_met, seen.unknown
    )
}

/// What was wanted and what came, then the trace that led there.
fn failure(report: &TestReport) -> String {
    let place = report
        .line
        .map(|l| format!("rules/{}:{l}", report.file))
        .unwrap_or_else(|| format!("rules/{}", report.file));
    let mut text = format!("  FAILED  {} ({place})\n", report.name);
    for d in &report.differences {
        text += &format!("    - {}: {}\n    + {}: {}\n", d.of, d.wanted, d.of, d.came);
    }
    for line in report
        .verdict
        .iter()
        .flat_map(|v| readable(v).lines().map(str::to_owned).collect::<Vec<_>>())
    {
        text += &format!("      {line}\n");
    }
    text
}

fn json_of(set: &RuleSet, tested: &[Tested<'_>]) -> Result<String> {
    let policies: Vec<_> = tested
        .iter()
        .map(|t| {
            let tests: Vec<_> = t
                .reports
                .iter()
                .map(|r| {
                    let differences: Vec<_> = r
                        .differences
                        .iter()
                        .map(|d| json!({ "of": d.of, "wanted": d.wanted, "came": d.came }))
                        .collect();
                    json!({ "name": r.name, "line": r.line, "passed": r.passed(), "differences": differences })
                })
                .collect();
            let criteria: serde_json::Map<_, _> = set
                .seen(t.policy, &t.reports)
                .into_iter()
                .map(|(name, s)| {
                    (name.to_owned(), json!({ "met": s.met, "not-met": s.not_met, "unknown": s.unknown }))
                })
                .collect();
            let mutants: Vec<_> = t
                .mutants
                .iter()
                .map(|m| json!({ "what": m.what, "line": m.line, "killed_by": m.killed_by }))
                .collect();
            json!({ "policy": t.policy.name(), "version": t.policy.version(), "file": t.policy.file(),
                "tests": tests, "criteria": criteria, "mutants": mutants })
        })
        .collect();
    serde_json::to_string_pretty(&json!({ "policies": policies })).map_err(Error::internal)
}
