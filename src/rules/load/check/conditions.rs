//! Checks of conditions: whether each test fits its fact, which names are used, and whether criteria depend on
//! themselves.

use crate::rules::evaluate::facts::Fact;
use crate::rules::format::conditions::{Condition, FactTest, IfMissing, Limit, Literal, Requirement};
use crate::rules::format::policy_file::{FactType, PolicyKeys};
use crate::rules::load::check::collector::{FindingCollector, UsedNames, add_name};
use std::collections::{BTreeMap, BTreeSet};

/// Checks a condition and adds the names that it uses.
pub(in crate::rules) fn check_condition(
    condition: &Condition,
    key: &str,
    facts: &BTreeMap<String, Fact>,
    used: &mut UsedNames,
    collector: &mut FindingCollector<'_>,
) {
    match condition {
        Condition::All(of) | Condition::Any(of) | Condition::FirstKnown(of) | Condition::AtLeast(_, of) => {
            check_size(condition, of, key, collector);
            let list = match condition {
                Condition::Any(_) => "any",
                Condition::FirstKnown(_) => "first_known",
                Condition::AtLeast(..) => "at_least/of",
                _ => "all",
            };
            for (n, one) in of.iter().enumerate() {
                check_condition(one, &format!("{key}/{list}/{n}"), facts, used, collector);
            }
        }
        Condition::Not(one) => check_condition(one, &format!("{key}/not"), facts, used, collector),
        Condition::Criterion(name) => add_name(&mut used.criteria, name, key),
        Condition::Test(test) => {
            add_name(&mut used.facts, &test.fact, key);
            if let Requirement::InSet(set) = &test.requirement {
                add_name(&mut used.sets, set, key);
            }
            // A fact that does not exist is reported by name later.
            if let Some(fact) = facts.get(&test.fact)
                && let Err((message, fix)) = check_test(test, fact)
            {
                collector.error(key, format!("In the test of '{}': {message}", test.fact), fix);
            }
        }
    }
}

/// A list is not empty, and the number of `at_least` is possible.
fn check_size(condition: &Condition, of: &[Condition], key: &str, collector: &mut FindingCollector<'_>) {
    if of.is_empty() {
        collector.error(
            key,
            "The list of conditions is empty",
            "Write at least one condition",
        );
    }
    if let Condition::AtLeast(n, of) = condition
        && (*n == 0 || *n > of.len())
    {
        collector.error(
            key,
            format!(
                "'at_least {n}' of {} conditions always has the same result",
                of.len()
            ),
            "Set 'n' to at least 1 and at most the number of conditions under 'of'",
        );
    }
}

/// What is wrong, and how to fix it.
type Mistake = (String, &'static str);

fn mistake(message: impl Into<String>, fix: &'static str) -> Result<(), Mistake> {
    Err((message.into(), fix))
}

/// Whether a test fits the type of its fact.
fn check_test(test: &FactTest, fact: &Fact) -> Result<(), Mistake> {
    let name = fact.kind.code();
    match &test.requirement {
        Requirement::AtMost(limit)
        | Requirement::AtLeast(limit)
        | Requirement::LessThan(limit)
        | Requirement::MoreThan(limit) => check_limit(limit, fact)?,
        Requirement::Between(low, high) => {
            check_limit(low, fact)?;
            check_limit(high, fact)?;
            if low.value > high.value {
                return mistake("the lower limit is above the upper limit", "Swap the two limits");
            }
        }
        Requirement::Equals(literal) if !has_type(literal, fact.kind) => {
            return mistake(
                format!("a {name} never equals {literal}"),
                "Write the value in the fact's type: true, 4, or a text in quotes",
            );
        }
        Requirement::InSet(_) if fact.kind != FactType::Code => {
            return mistake(
                format!("'in_set' needs a code, and the fact is a {name}"),
                "Read the fact as: code, or use 'equals'",
            );
        }
        Requirement::DatedWithin(_) | Requirement::OnOrAfter(_) | Requirement::OnOrBefore(_)
            if !fact.is_dated() =>
        {
            return mistake(
                format!("a {name} has no date, and the fact has no 'dated'"),
                "Add 'dated' with the path of the date (for an answer, 'dated_by' with its question), or read the fact as: date",
            );
        }
        Requirement::Exists(required) => check_exists(*required, test.if_missing)?,
        Requirement::Equals(_)
        | Requirement::InSet(_)
        | Requirement::DatedWithin(_)
        | Requirement::OnOrAfter(_)
        | Requirement::OnOrBefore(_) => {}
    }
    if test.if_missing == Some(IfMissing::Met) && !matches!(test.requirement, Requirement::Exists(false)) {
        return mistake(
            "missing data cannot count as met",
            "Remove 'if_missing', so that missing data is unknown, or write not-met",
        );
    }
    Ok(())
}

fn has_type(literal: &Literal, kind: FactType) -> bool {
    matches!(
        (kind, literal),
        (FactType::Boolean, Literal::Bool(_))
            | (FactType::Number, Literal::Number(_))
            | (FactType::Text | FactType::Code, Literal::Text(_))
    )
}

/// `exists` states what missing data counts as, and only the one thing that makes sense.
fn check_exists(required: bool, if_missing: Option<IfMissing>) -> Result<(), Mistake> {
    let expected = if required {
        IfMissing::NotMet
    } else {
        IfMissing::Met
    };
    match if_missing {
        None => mistake(
            "'exists' needs 'if_missing'",
            "Write what missing data counts as: exists: true, if_missing: not-met",
        ),
        Some(given) if given != expected => mistake(
            "'if_missing' contradicts 'exists'",
            "Missing data is not-met for exists: true, and met for exists: false",
        ),
        Some(_) => Ok(()),
    }
}

fn check_limit(limit: &Limit, fact: &Fact) -> Result<(), Mistake> {
    match (fact.kind, &limit.unit) {
        (FactType::Number, None) => Ok(()),
        (FactType::Number, Some(_)) => mistake(
            "the fact is a number without a unit",
            "Remove the unit from the limit, or read the fact as: quantity",
        ),
        (FactType::Quantity, None) => mistake(
            "the limit for a quantity needs a unit",
            "Write the limit with its UCUM unit: \"55 mm[Hg]\"",
        ),
        (FactType::Quantity, Some(unit)) if Some(unit) == fact.unit.as_ref() => Ok(()),
        (FactType::Quantity, Some(unit)) => mistake(
            format!("the limit's unit '{unit}' is not the fact's unit"),
            "Write the limit in the fact's unit; values in other units are converted by 'convert' of the fact",
        ),
        (kind, _) => mistake(
            format!("a {} cannot have a limit", kind.code()),
            "Limits are for numbers and quantities; for dates use dated_within, on_or_after or on_or_before",
        ),
    }
}

/// The criteria that a condition names itself, each once, in order.
pub(in crate::rules) fn criteria_named(condition: &Condition) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![condition];
    while let Some(condition) = open.pop() {
        match condition {
            Condition::All(of)
            | Condition::Any(of)
            | Condition::FirstKnown(of)
            | Condition::AtLeast(_, of) => open.extend(of.iter().rev()),
            Condition::Not(one) => open.push(one),
            Condition::Criterion(name) if !names.contains(name) => names.push(name.clone()),
            Condition::Criterion(_) | Condition::Test(_) => {}
        }
    }
    names
}

/// Criteria that depend on themselves.
pub(in crate::rules) fn check_cycles(keys: &PolicyKeys, collector: &mut FindingCollector<'_>) {
    let mut done = BTreeSet::new();
    for name in keys.criteria.keys() {
        if finds_cycle(keys, name, &mut Vec::new(), &mut done) {
            collector.error(
                &format!("criteria/{name}"),
                format!("The criterion '{name}' depends on itself"),
                "A criterion may not name one that, directly or through others, names it",
            );
        }
    }
}

/// Whether following the references from a criterion leads to one that is on the path already. Each criterion is
/// followed once.
fn finds_cycle<'k>(
    keys: &'k PolicyKeys,
    name: &'k str,
    path: &mut Vec<&'k str>,
    done: &mut BTreeSet<&'k str>,
) -> bool {
    if path.contains(&name) {
        return true;
    }
    if !done.insert(name) {
        return false;
    }
    path.push(name);
    let referenced = keys
        .criteria
        .get_key_value(name)
        .map(|(_, criterion)| references(&criterion.condition))
        .unwrap_or_default();
    let found = referenced
        .into_iter()
        .any(|next| finds_cycle(keys, next, path, done));
    path.pop();
    found
}

fn references(condition: &Condition) -> Vec<&str> {
    match condition {
        Condition::All(of) | Condition::Any(of) | Condition::FirstKnown(of) | Condition::AtLeast(_, of) => {
            of.iter().flat_map(references).collect()
        }
        Condition::Not(one) => references(one),
        Condition::Criterion(name) => vec![name],
        Condition::Test(_) => Vec::new(),
    }
}
