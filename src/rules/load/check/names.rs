//! Names: what is asked for each criterion, what is defined and used, which forms ask which questions, what tests expect.

use crate::rules::evaluate::facts::BUILT_IN;
use crate::rules::format::policy_file::{PolicyKeys, Status};
use crate::rules::load::check::{Sheet, Used};
use crate::rules::load::files::Parts;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked for, for each criterion of `approve.when` and for no other.
pub(in crate::rules) fn asks(keys: &PolicyKeys, asked: &[String], sheet: &mut Sheet<'_>) {
    let ask_for = &keys.decision.otherwise.ask_for;
    if asked.is_empty() {
        sheet.find(
            "decision/approve/when",
            "'approve.when' names no criterion",
            "Write all: [ { criterion: … } ]; conditions belong into criteria, where people read them",
        );
    }
    for name in asked.iter().filter(|n| !ask_for.contains_key(*n)) {
        sheet.find(
            "decision/otherwise/ask_for",
            format!("'ask_for' does not say what to ask for '{name}'"),
            "Add a line for the criterion: what the provider sends when it is unknown",
        );
    }
    for (name, ask) in ask_for {
        let at = format!("decision/otherwise/ask_for/{name}");
        if !asked.contains(name) {
            sheet.find(
                &at,
                format!("'approve.when' does not name '{name}'"),
                "Take the line out, or name the criterion in 'approve.when'",
            );
        }
        if let Some(code) = ask.loinc.as_ref().filter(|code| !is_loinc(code)) {
            sheet.find(
                &at,
                format!("'{code}' is no LOINC code"),
                "Write digits, a hyphen and the check digit: 59408-5",
            );
        }
        if ask.loinc.is_none() && ask.questionnaire.is_none() {
            sheet.find(
                &at,
                format!("Nothing says how '{name}' is asked for"),
                "Add 'loinc' for a document or 'questionnaire' for a form",
            );
        }
    }
}

/// Whether a code has the shape of one of LOINC's: up to seven digits, a hyphen, a check digit.
fn is_loinc(code: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    code.split_once('-').is_some_and(|(number, check)| {
        digits(number) && number.len() <= 7 && digits(check) && check.len() == 1
    })
}

/// Unknown and unused names.
pub(in crate::rules) fn used(keys: &PolicyKeys, used: &Used, sheet: &mut Sheet<'_>) {
    let named = |all: Vec<&String>| all.into_iter().cloned().collect::<BTreeSet<String>>();
    for (folder, what, known, used) in [
        ("facts", "fact", named(keys.facts.keys().collect()), &used.facts),
        ("sets", "set", named(keys.sets.keys().collect()), &used.sets),
        (
            "criteria",
            "criterion",
            named(keys.criteria.keys().collect()),
            &used.criteria,
        ),
    ] {
        let built_in = |name: &&String| what == "fact" && BUILT_IN.iter().any(|b| b.name == name.as_str());
        let unknown = used.iter().filter(|(name, _)| !known.contains(*name));
        for (name, at) in unknown.filter(|(name, _)| !built_in(name)) {
            sheet.find(
                at,
                format!("There is no {what} '{name}'"),
                &format!("Mend the name, or define it under '{folder}'"),
            );
        }
        for name in known.iter().filter(|name| !used.contains_key(*name)) {
            sheet.find(
                &format!("{folder}/{name}"),
                format!("Nothing uses the {what} '{name}'"),
                "Take it out, or use it",
            );
        }
    }
}

/// Every form exists, and every `answer:` is a question of one of them.
pub(in crate::rules) fn form_questions(
    keys: &PolicyKeys,
    forms: &dyn Fn(&str) -> Option<Vec<String>>,
    sheet: &mut Sheet<'_>,
) {
    let in_coverage = keys.coverage.iter().enumerate().flat_map(|(n, rule)| {
        let forms = rule.answer.questionnaires().iter();
        forms.map(move |form| (form, format!("coverage/{n}/answer/questionnaires")))
    });
    let in_asks = keys.decision.otherwise.ask_for.iter().filter_map(|(name, ask)| {
        Some((
            ask.questionnaire.as_ref()?,
            format!("decision/otherwise/ask_for/{name}"),
        ))
    });
    let mut known: BTreeMap<&str, Option<Vec<String>>> = BTreeMap::new();
    for (form, at) in in_coverage.chain(in_asks) {
        if known.entry(form).or_insert_with(|| forms(form)).is_none() {
            sheet.find(
                &at,
                format!("There is no form '{form}'"),
                "Name a folder of questionnaires/ as name|version",
            );
        }
    }
    let questions: BTreeSet<&String> = known.values().flatten().flatten().collect();
    for (name, fact) in &keys.facts {
        if let Some(link_id) = fact.answer.as_ref().filter(|l| !questions.contains(l)) {
            sheet.find(
                &format!("facts/{name}"),
                format!("No form of this policy asks '{link_id}'"),
                "Name a linkId of a form that this policy names in 'questionnaires' or 'ask_for'",
            );
        }
    }
}

pub(in crate::rules) fn tests(keys: &PolicyKeys, parts: &Parts<'_>, sheet: &mut Sheet<'_>) {
    if keys.tests.is_empty() && keys.status != Status::Retired {
        sheet.find(
            "tests",
            "A policy carries its tests",
            "Add 'tests': each criterion must be seen met, not met and unknown",
        );
    }
    let mut seen = BTreeSet::new();
    for (n, test) in keys.tests.iter().enumerate() {
        let at = format!("tests/{n}/name");
        if !seen.insert(&test.name) {
            sheet.find(
                &at,
                format!("Two tests are named '{}'", test.name),
                "Say in each name what it shows",
            );
        }
        if !parts.fixtures.contains_key(&test.given.base) {
            sheet.find(
                &at,
                format!("There is no {}", test.given.base),
                "Put the case document into fixtures/ as JSON",
            );
        }
        let named = test
            .expect
            .criteria
            .keys()
            .chain(test.expect.ask.iter().flatten());
        for name in named.filter(|name| !keys.criteria.contains_key(*name)) {
            sheet.find(
                &at,
                format!(
                    "The test '{}' expects something of '{name}', which is no criterion",
                    test.name
                ),
                "Mend the name in 'expect'",
            );
        }
    }
}
