//! Compiles the facts of a policy: where they are found, as which type they are read, and whether the keys fit
//! together.

use crate::rules::evaluate::facts::{BUILT_IN_FACTS, BuiltInFact, Fact};
use crate::rules::evaluate::source::{FactSource, FoundIn};
use crate::rules::evaluate::values::TypedValue;
use crate::rules::format::conditions::Literal;
use crate::rules::format::policy_file::{FactKeys, FactType, FromKeys, IfDifferent, PolicyKeys, SourceKeys};
use crate::rules::load::check::collector::{FindingCollector, UsedNames, add_name};
use crate::rules::load::check::fact_mistakes::{mistakes, source_mistakes};
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
        let source = FactSource {
            found_in: FoundIn::Path(collector.path("facts", built_in.path)?),
            keep: Vec::new(),
            read: None,
            means: None,
            dated: None,
            dated_by: None,
            pick: built_in.pick,
            convert: BTreeMap::new(),
        };
        let fact = Fact {
            label: Some(built_in.label.to_owned()),
            kind: built_in.kind,
            unit: None,
            sources: vec![source],
            if_different: IfDifferent::Unknown,
            plausible: None,
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
    let of_read = keys.read.as_ref().filter(|_| keys.from.is_some());
    let (kind, unit) = match (of_read, keys.kind) {
        (Some(read), None) => (read.kind, read.unit.clone().or(keys.unit.clone())),
        (None, Some(kind)) if keys.answer.is_some() || keys.means.is_some() => (kind, keys.unit.clone()),
        (Some(_), Some(_)) => {
            collector.error(
                &key,
                format!("The fact '{name}' has two types"),
                "Remove 'as', which is for 'answer' and 'means', or remove 'read'",
            );
            return None;
        }
        _ => {
            collector.error(
                &key,
                format!("The fact '{name}' has no type"),
                "Add 'read' next to 'from', or 'as' next to 'answer' or 'means'",
            );
            return None;
        }
    };
    let first = keys.first_source();
    let all: Vec<(String, &SourceKeys)> = std::iter::once((key.clone(), &first))
        .chain(
            keys.also
                .iter()
                .enumerate()
                .map(|(n, also)| (format!("{key}/also/{n}"), also)),
        )
        .collect();
    let sources = all
        .iter()
        .map(|(key, source)| self::source(key, source, kind, used, collector))
        .collect::<Vec<Option<FactSource>>>();
    for (source_key, source) in &all {
        for (mistake, fix) in source_mistakes(source, kind, unit.as_deref()) {
            collector.error(source_key, format!("The fact '{name}': {mistake}"), fix);
        }
    }
    for (mistake, fix) in mistakes(keys, kind, unit.as_deref()) {
        collector.error(&key, format!("The fact '{name}': {mistake}"), fix);
    }
    Some(Fact {
        label: keys.label.clone(),
        kind,
        unit,
        sources: sources.into_iter().collect::<Option<Vec<FactSource>>>()?,
        if_different: keys.if_different.unwrap_or(IfDifferent::Unknown),
        plausible: keys.plausible.as_ref().map(|(low, high)| (low.value, high.value)),
    })
}

fn source(
    key: &str,
    keys: &SourceKeys,
    kind: FactType,
    used: &mut UsedNames,
    collector: &mut FindingCollector<'_>,
) -> Option<FactSource> {
    let found_in = found_in(key, keys, used, collector);
    let read = keys.read.as_ref().map(|read| collector.path(key, &read.path));
    let dated = keys.dated.as_ref().map(|dated| collector.path(key, dated));
    let mut keep = Vec::new();
    for one in &keys.keep {
        add_name(&mut used.sets, &one.in_set, key);
        let path = collector.path(key, &one.path);
        keep.extend(path.map(|path| (path, one.in_set.clone())));
    }
    Some(FactSource {
        found_in: found_in?,
        keep,
        read: read.flatten(),
        means: keys.means.as_ref().map(|literal| meaning(literal, kind)),
        dated: dated.flatten(),
        dated_by: keys.dated_by.clone(),
        pick: keys.pick,
        convert: keys
            .read
            .as_ref()
            .map(|read| read.convert.clone())
            .unwrap_or_default(),
    })
}

fn found_in(
    key: &str,
    keys: &SourceKeys,
    used: &mut UsedNames,
    collector: &mut FindingCollector<'_>,
) -> Option<FoundIn> {
    match (&keys.from, &keys.answer) {
        (Some(FromKeys::Search(search)), None) => {
            if let Some(set) = &search.code_in {
                add_name(&mut used.sets, set, key);
            }
            Some(FoundIn::Search(search.clone()))
        }
        (Some(FromKeys::Path(path)), None) => collector.path(key, path).map(FoundIn::Path),
        (None, Some(link_id)) => Some(FoundIn::Answer(link_id.clone())),
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

/// The value that a node stands for. A value that does not have the fact's type is a finding.
fn meaning(literal: &Literal, kind: FactType) -> TypedValue {
    match literal {
        Literal::Bool(value) => TypedValue::Boolean(*value),
        Literal::Number(value) => TypedValue::Number(*value),
        Literal::Text(value) if kind == FactType::Code => TypedValue::Code(String::new(), value.clone()),
        Literal::Text(value) => TypedValue::Text(value.clone()),
    }
}
