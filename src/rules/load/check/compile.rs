//! Compiles the facts of a policy: where they are found, as which type they are read, and whether the keys fit
//! together.

use crate::rules::evaluate::facts::{BUILT_IN_FACTS, BuiltInFact, Fact, FactSource};
use crate::rules::format::conditions::is_unit;
use crate::rules::format::policy_file::{FactKeys, FactType, FromKeys, PickRule, PolicyKeys};
use crate::rules::load::check::collector::{FindingCollector, UsedNames, add_name};
use std::collections::BTreeMap;

/// Compiles every fact of the policy and the built-in ones. A fact with a finding may be left out; the policy is then
/// refused anyway.
pub(in crate::rules) fn facts(
    keys: &PolicyKeys,
    used: &mut UsedNames,
    collector: &mut FindingCollector<'_>,
) -> BTreeMap<String, Fact> {
    let mut facts = built_in_facts(collector);
    for (name, keys) in &keys.facts {
        if BUILT_IN_FACTS.iter().any(|built_in| built_in.name == name) {
            collector.error(
                &format!("facts/{name}"),
                format!("The fact '{name}' is built in and cannot be defined"),
                "Remove the definition and use the built-in fact, or give yours another name",
            );
        } else if let Some(fact) = fact(name, keys, used, collector) {
            facts.insert(name.clone(), fact);
        }
    }
    facts
}

fn built_in_facts(collector: &mut FindingCollector<'_>) -> BTreeMap<String, Fact> {
    let compile = |built_in: &BuiltInFact| {
        let fact = Fact {
            label: Some(built_in.label.to_owned()),
            source: FactSource::Path(collector.path("facts", built_in.path)?),
            keep: Vec::new(),
            read: None,
            dated: None,
            pick: built_in.pick,
            kind: built_in.kind,
            unit: None,
            convert: BTreeMap::new(),
        };
        Some((built_in.name.to_owned(), fact))
    };
    BUILT_IN_FACTS.iter().filter_map(compile).collect()
}

fn fact(
    name: &str,
    keys: &FactKeys,
    used: &mut UsedNames,
    collector: &mut FindingCollector<'_>,
) -> Option<Fact> {
    let key = format!("facts/{name}");
    let source = source(&key, keys, used, collector);
    let read = keys.read.as_ref();
    let (kind, unit) = match (read, keys.kind) {
        (Some(read), None) if keys.from.is_some() => (read.kind, read.unit.clone().or(keys.unit.clone())),
        (None, Some(kind)) if keys.answer.is_some() => (kind, keys.unit.clone()),
        _ => {
            collector.error(
                &key,
                format!("The fact '{name}' has no type"),
                "Add 'read' next to 'from', or 'as' next to 'answer'",
            );
            return None;
        }
    };
    let read_path = read.map(|read| collector.path(&key, &read.path));
    let dated = keys.dated.as_ref().map(|dated| collector.path(&key, dated));
    let mut keep = Vec::new();
    for one in &keys.keep {
        add_name(&mut used.sets, &one.in_set, &key);
        let path = collector.path(&key, &one.path);
        keep.extend(path.map(|path| (path, one.in_set.clone())));
    }
    let fact = Fact {
        label: keys.label.clone(),
        source: source?,
        keep,
        read: read_path.flatten(),
        dated: dated.flatten(),
        pick: keys.pick,
        kind,
        unit,
        convert: read.map(|read| read.convert.clone()).unwrap_or_default(),
    };
    for (mistake, fix) in mistakes(&fact) {
        collector.error(&key, format!("The fact '{name}': {mistake}"), fix);
    }
    Some(fact)
}

fn source(
    key: &str,
    keys: &FactKeys,
    used: &mut UsedNames,
    collector: &mut FindingCollector<'_>,
) -> Option<FactSource> {
    match (&keys.from, &keys.answer) {
        (Some(FromKeys::Search(search)), None) => {
            if let Some(set) = &search.code_in {
                add_name(&mut used.sets, set, key);
            }
            Some(FactSource::Search(search.clone()))
        }
        (Some(FromKeys::Path(path)), None) => collector.path(key, path).map(FactSource::Path),
        (None, Some(link_id)) => Some(FactSource::Answer(link_id.clone())),
        _ => {
            collector.error(
                key,
                "A fact needs either 'from' or 'answer'",
                "Keep one of the two",
            );
            None
        }
    }
}

/// What does not fit together in a fact: message and fix.
fn mistakes(fact: &Fact) -> Vec<(String, &'static str)> {
    let is_number = matches!(fact.kind, FactType::Number | FactType::Quantity);
    let factors = || fact.convert.values();
    let mut mistakes: Vec<(String, &str)> = [
        (
            fact.label.as_ref().is_some_and(|label| label.trim().is_empty()),
            "the label is empty",
            "Write what people read instead of the fact's name, or remove 'label'",
        ),
        (
            fact.kind == FactType::Quantity && fact.unit.is_none(),
            "a quantity needs a 'unit'",
            "Add the UCUM unit that values must have: unit: \"mm[Hg]\"",
        ),
        (
            fact.kind != FactType::Quantity && fact.unit.is_some(),
            "only a quantity can have a 'unit'",
            "Remove 'unit', or read the fact as: quantity",
        ),
        (
            factors().any(|factor| !factor.is_finite() || *factor <= 0.0),
            "a conversion factor must be a number above zero",
            "Write the factor by which a value in the other unit is multiplied: convert: { kPa: 7.50062 }",
        ),
        (
            fact.unit
                .as_ref()
                .is_some_and(|unit| fact.convert.contains_key(unit)),
            "'convert' has the fact's own unit",
            "Remove that unit from 'convert'",
        ),
        (
            matches!(fact.pick, Some(PickRule::Newest | PickRule::Oldest)) && fact.dated.is_none(),
            "'pick' by date needs 'dated'",
            "Add 'dated' with the path of the date",
        ),
        (
            matches!(fact.pick, Some(PickRule::Lowest | PickRule::Highest)) && !is_number,
            "'pick' by value needs a number or a quantity",
            "Read the fact as number or quantity, or pick newest, oldest or first",
        ),
    ]
    .into_iter()
    .filter(|(is_broken, ..)| *is_broken)
    .map(|(_, message, fix)| (message.to_owned(), fix))
    .collect();
    let units = fact.unit.iter().chain(fact.convert.keys());
    mistakes.extend(units.filter(|unit| !is_unit(unit)).map(|unit| {
        (
            format!("'{unit}' is not a valid UCUM unit"),
            "Write the UCUM code: %, mm[Hg], mo, 1",
        )
    }));
    mistakes
}
