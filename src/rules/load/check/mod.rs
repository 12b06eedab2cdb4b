//! Load-time checks of one policy: every name exists and is used, paths compile, tests fit the types of their facts,
//! the invariants of CRD's coverage-information hold, forms and their questions exist. All findings are reported
//! together, each with its line and how to fix it.

pub mod collector;
mod compile;
mod conditions;
mod fact_mistakes;
mod forms;
mod names;
mod scope;
mod sets;

use crate::rules::evaluate::facts::Fact;
use crate::rules::format::policy_file::{PolicyKeys, PolicyStatus};
use crate::rules::format::yaml::KeyLineIndex;
use crate::rules::load::QuestionsOfForm;
use crate::rules::load::check::collector::{FindingCollector, UsedNames};
use crate::rules::load::check::conditions::check_condition;
use crate::rules::load::files::{ParsedFiles, ParsedPolicy};
use crate::rules::load::options::{EmbeddedTests, LoadOptions};
use crate::rules::policy::{KeyLines, Policy};
use chrono::{Months, NaiveDate};
use std::collections::BTreeMap;

/// Checks a policy and compiles it. A policy with findings does not become part of a rule set.
pub(in crate::rules) fn policy(
    parsed_policy: ParsedPolicy<'_>,
    parsed: &ParsedFiles<'_>,
    questions_of_form: &QuestionsOfForm<'_>,
    options: &LoadOptions,
    collector: &mut FindingCollector<'_>,
) -> Policy {
    let keys = parsed_policy.keys;
    check_header(&keys, collector);
    check_sources(&keys, options.today, collector);
    let codes = scope::codes(&keys, parsed, collector);
    scope::check_rows_of_codes(&keys, &codes, parsed, collector);
    scope::check_lines_of_business(&keys, parsed, collector);
    let mut used = UsedNames::default();
    let sets = sets::sets(&keys, parsed, collector);
    let facts = compile::facts(&keys, &mut used, collector);
    check_criteria(&keys, &facts, &mut used, collector);
    check_coverage(&keys, &facts, &mut used, collector);
    let approval_criteria = check_decision(&keys, &facts, &mut used, collector);
    names::check_used(&keys, &used, collector);
    conditions::check_cycles(&keys, collector);
    forms::check_forms(&keys, questions_of_form, collector);
    if !parsed_policy.tests_skipped {
        names::check_tests(&keys, parsed, collector);
    }
    // Lines are kept for callers that run the tests later and report them.
    let key_lines = match options.embedded_tests {
        EmbeddedTests::CheckOnly => key_lines(&keys, collector.lines()),
        EmbeddedTests::Run | EmbeddedTests::Skip => KeyLines::default(),
    };
    Policy {
        file: collector.file().to_owned(),
        keys,
        hash: parsed_policy.hash,
        tests_hash: parsed_policy.tests_hash,
        codes,
        facts,
        sets,
        approval_criteria,
        key_lines,
    }
}

fn key_lines(keys: &PolicyKeys, lines: &KeyLineIndex) -> KeyLines {
    let criteria = keys.criteria.keys().map(|name| format!("criteria/{name}"));
    let facts = keys.facts.keys().map(|name| format!("facts/{name}"));
    let sets = keys.sets.keys().map(|name| format!("sets/{name}"));
    let coverage_rules = (0..keys.coverage.len()).map(|n| format!("coverage/{n}"));
    let approve = ["decision/approve/when".to_owned()];
    let all = criteria
        .chain(facts)
        .chain(sets)
        .chain(coverage_rules)
        .chain(approve);
    KeyLines {
        tests: (0..keys.tests.len())
            .map(|n| lines.line_of(&format!("tests/{n}/name")))
            .collect(),
        by_key: all.map(|key| (key.clone(), lines.line_of(&key))).collect(),
    }
}

fn check_header(keys: &PolicyKeys, collector: &mut FindingCollector<'_>) {
    let expected = format!("{}.", keys.version);
    let name = collector.file().rsplit('/').next().unwrap_or("").to_owned();
    if !name.starts_with(&expected) {
        collector.error(
            "version",
            format!("The file of version '{}' is named '{name}'", keys.version),
            "Name the file after its version, such as 2026.2.yaml",
        );
    }
    let runs = matches!(keys.status, PolicyStatus::Active | PolicyStatus::Shadow);
    if runs && keys.approved.is_none() {
        collector.error(
            "approved",
            "An active or shadow policy needs the record of its approval",
            "Add approved: { by: …, on: …, record: … }, or set the status to draft",
        );
    }
    if keys.effective.to.is_some_and(|to| to < keys.effective.from) {
        collector.error(
            "effective",
            "The last day is before the first day",
            "Swap 'from' and 'to', or correct the year",
        );
    }
    let scope = &keys.scope;
    if scope.lines_of_business.is_empty() || scope.states.is_empty() {
        collector.error(
            "scope",
            "A policy needs its lines of business and its states",
            "Write them, or [any] for all of them",
        );
    }
}

/// Sources exist, and somebody checked each within a year (42 CFR 422.137 requires an annual review).
fn check_sources(keys: &PolicyKeys, today: Option<NaiveDate>, collector: &mut FindingCollector<'_>) {
    if keys.sources.is_empty() {
        collector.error(
            "sources",
            "A policy needs at least one source",
            "Add sources: [ { id, cite, url, checked } ]",
        );
    }
    for (n, source) in keys.sources.iter().enumerate() {
        if !["https://", "http://"]
            .iter()
            .any(|scheme| source.url.starts_with(scheme))
        {
            collector.error(
                &format!("sources/{n}/url"),
                format!("The address of the source '{}' is not a web address", source.id),
                "Write the address of a page that people can open: https://…",
            );
        }
    }
    let Some(oldest) = today.and_then(|day| day.checked_sub_months(Months::new(12))) else {
        return;
    };
    if keys.status == PolicyStatus::Retired {
        return;
    }
    let sources = keys.sources.iter().enumerate();
    for (n, source) in sources.filter(|(_, source)| source.checked < oldest) {
        collector.warning(
            &format!("sources/{n}"),
            format!(
                "The source '{}' was last checked on {}, more than a year ago",
                source.id, source.checked
            ),
            "Compare the policy with the source again and set 'checked' to that day",
        );
    }
}

fn check_criteria(
    keys: &PolicyKeys,
    facts: &BTreeMap<String, Fact>,
    used: &mut UsedNames,
    collector: &mut FindingCollector<'_>,
) {
    for (name, criterion) in &keys.criteria {
        let key = format!("criteria/{name}");
        check_condition(&criterion.condition, &key, facts, used, collector);
        if criterion.text.trim().is_empty() {
            collector.error(
                &key,
                format!("The criterion '{name}' has no text"),
                "Write in one sentence what must be true",
            );
        }
        let source = criterion.cite.split(',').next().unwrap_or("").trim();
        if !keys.sources.iter().any(|known| known.id == source) {
            collector.error(
                &format!("{key}/cite"),
                format!("'{source}' is not one of the policy's sources"),
                "Begin 'cite' with the id of a source, followed by a comma and the section",
            );
        }
    }
}

fn check_coverage(
    keys: &PolicyKeys,
    facts: &BTreeMap<String, Fact>,
    used: &mut UsedNames,
    collector: &mut FindingCollector<'_>,
) {
    let last = keys.coverage.len().saturating_sub(1);
    for (n, rule) in keys.coverage.iter().enumerate() {
        let key = format!("coverage/{n}");
        if let Some(when) = &rule.when {
            check_condition(when, &format!("{key}/when"), facts, used, collector);
        }
        if rule.when.is_some() == (n == last) {
            collector.error(
                &key,
                "The last coverage rule must have no 'when', and every other rule must have one",
                "Move the rule that always applies to the end",
            );
        }
        for violation in rule.answer.invariant_violations() {
            collector.error(
                &format!("{key}/answer"),
                format!("In coverage rule {}: {}", n + 1, violation.message),
                violation.fix,
            );
        }
    }
    if keys.coverage.is_empty() {
        collector.error(
            "coverage",
            "A policy needs a coverage answer",
            "Add a rule with an 'answer' under 'coverage'",
        );
    } else if !keys.coverage.iter().any(|rule| rule.answer.needs_authorization()) {
        collector.error(
            "coverage",
            "No coverage rule ever needs authorization",
            "Use a list row with an answer instead of a policy, or write pa: auth-needed in the last rule",
        );
    }
}

/// Checks the decision part. Returns the criteria that `approve.when` names itself, in order.
fn check_decision(
    keys: &PolicyKeys,
    facts: &BTreeMap<String, Fact>,
    used: &mut UsedNames,
    collector: &mut FindingCollector<'_>,
) -> Vec<String> {
    if keys.decision.otherwise.pend.queue.trim().is_empty() {
        collector.error(
            "decision/otherwise/pend",
            "The queue has no name",
            "Name the queue in which reviewers work on the request: queue: clinical-review",
        );
    }
    let approve = &keys.decision.approve.when;
    check_condition(approve, "decision/approve/when", facts, used, collector);
    let approval_criteria = conditions::criteria_named(approve);
    names::check_documents(keys, &approval_criteria, collector);
    approval_criteria
}

#[cfg(test)]
mod tests;
