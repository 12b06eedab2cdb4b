//! Checks of names: documents to request for each criterion, definitions and their use, and what tests expect.

use crate::fhir::code_shape::{CodeShape, shape};
use crate::fhir::coding::LOINC;
use crate::rules::evaluate::facts::BUILT_IN_FACTS;
use crate::rules::format::policy_file::{PolicyKeys, PolicyStatus};
use crate::rules::load::check::collector::{FindingCollector, UsedNames};
use crate::rules::load::files::ParsedFiles;
use std::collections::BTreeSet;

/// `ask_for` has one entry for each criterion of `approve.when`, and for no other.
pub(in crate::rules) fn check_documents(
    keys: &PolicyKeys,
    approval_criteria: &[String],
    collector: &mut FindingCollector<'_>,
) {
    let ask_for = &keys.decision.otherwise.ask_for;
    if approval_criteria.is_empty() {
        collector.error(
            "decision/approve/when",
            "'approve.when' names no criterion",
            "Write all: [ { criterion: … } ]; put conditions into criteria, where people can read them",
        );
    }
    for name in approval_criteria
        .iter()
        .filter(|name| !ask_for.contains_key(*name))
    {
        collector.error(
            "decision/otherwise/ask_for",
            format!("'ask_for' has no entry for '{name}'"),
            "Add what the provider should send when the criterion is unknown",
        );
    }
    for (name, ask) in ask_for {
        let key = format!("decision/otherwise/ask_for/{name}");
        if !approval_criteria.contains(name) {
            collector.error(
                &key,
                format!("'approve.when' does not name '{name}'"),
                "Remove this entry, or name the criterion in 'approve.when'",
            );
        }
        if let Some(code) = ask
            .loinc
            .as_ref()
            .filter(|code| shape(LOINC, code) != CodeShape::WellFormed)
        {
            collector.error(
                &key,
                format!("'{code}' is not a valid LOINC code"),
                "Write digits, a hyphen and the check digit: 59408-5",
            );
        }
        if ask.loinc.is_none() && ask.questionnaire.is_none() {
            collector.error(
                &key,
                format!("The entry for '{name}' has neither 'loinc' nor 'questionnaire'"),
                "Add 'loinc' to request a document or 'questionnaire' to request a form",
            );
        }
    }
}

/// Every name that is used is defined, and every name that is defined is used.
pub(in crate::rules) fn check_used(
    keys: &PolicyKeys,
    used: &UsedNames,
    collector: &mut FindingCollector<'_>,
) {
    let names = |all: Vec<&String>| all.into_iter().cloned().collect::<BTreeSet<String>>();
    for (section, noun, defined, used) in [
        ("facts", "fact", names(keys.facts.keys().collect()), &used.facts),
        ("sets", "set", names(keys.sets.keys().collect()), &used.sets),
        (
            "criteria",
            "criterion",
            names(keys.criteria.keys().collect()),
            &used.criteria,
        ),
    ] {
        let is_built_in = |name: &&String| {
            noun == "fact"
                && BUILT_IN_FACTS
                    .iter()
                    .any(|built_in| built_in.name == name.as_str())
        };
        let undefined = used.iter().filter(|(name, _)| !defined.contains(*name));
        for (name, key) in undefined.filter(|(name, _)| !is_built_in(name)) {
            collector.error(
                key,
                format!("The {noun} '{name}' is not defined"),
                &format!("Correct the name, or define it under '{section}'"),
            );
        }
        for name in defined.iter().filter(|name| !used.contains_key(*name)) {
            collector.error(
                &format!("{section}/{name}"),
                format!("The {noun} '{name}' is not used"),
                "Remove it, or use it",
            );
        }
    }
}

/// Tests exist, have different names and existing fixtures, and expect outcomes of existing criteria.
pub(in crate::rules) fn check_tests(
    keys: &PolicyKeys,
    parsed: &ParsedFiles<'_>,
    collector: &mut FindingCollector<'_>,
) {
    if keys.tests.is_empty() && keys.status != PolicyStatus::Retired {
        collector.error(
            "tests",
            "A policy needs tests",
            "Add 'tests' that show each criterion met, not met and unknown",
        );
    }
    let mut names = BTreeSet::new();
    for (n, test) in keys.tests.iter().enumerate() {
        let key = format!("tests/{n}/name");
        if !names.insert(&test.name) {
            collector.error(
                &key,
                format!("Two tests are named '{}'", test.name),
                "Give each test a name that says what it shows",
            );
        }
        if !parsed.fixtures.contains_key(&test.given.base) {
            collector.error(
                &key,
                format!("The file {} does not exist", test.given.base),
                "Add the case document to fixtures/ as JSON",
            );
        }
        let expected = test
            .expect
            .criteria
            .keys()
            .chain(test.expect.ask.iter().flatten());
        for name in expected.filter(|name| !keys.criteria.contains_key(*name)) {
            collector.error(
                &key,
                format!(
                    "The test '{}' expects an outcome of '{name}', which is not a criterion of this policy",
                    test.name
                ),
                "Correct the name in 'expect'",
            );
        }
    }
}
