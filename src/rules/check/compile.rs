//! The facts of a policy, compiled: where they are found, as what they are read, and whether that fits together.

use super::{Sheet, Used};
use crate::rules::criteria::is_unit;
use crate::rules::facts::{Fact, Source};
use crate::rules::model::{FactKeys, From, Kind, Pick, PolicyKeys};
use std::collections::BTreeMap;

/// Compiles every fact; one with a finding is left out, and the policy with it.
pub(super) fn facts(keys: &PolicyKeys, used: &mut Used, sheet: &mut Sheet<'_>) -> BTreeMap<String, Fact> {
    let all = keys.facts.iter();
    all.filter_map(|(name, keys)| Some((name.clone(), fact(name, keys, used, sheet)?)))
        .collect()
}

fn fact(name: &str, keys: &FactKeys, used: &mut Used, sheet: &mut Sheet<'_>) -> Option<Fact> {
    let at = format!("facts/{name}");
    let source = source(&at, keys, used, sheet);
    let read = keys.read.as_ref();
    let (kind, unit) = match (read, keys.kind) {
        (Some(read), None) if keys.from.is_some() => (read.kind, read.unit.clone().or(keys.unit.clone())),
        (None, Some(kind)) if keys.answer.is_some() => (kind, keys.unit.clone()),
        _ => {
            sheet.find(
                &at,
                format!("The fact '{name}' needs 'read' beside 'from', or 'as' beside 'answer'"),
            );
            return None;
        }
    };
    let read_path = read.map(|r| sheet.path(&at, &r.path));
    let dated = keys.dated.as_ref().map(|d| sheet.path(&at, d));
    let mut keep = Vec::new();
    for one in &keys.keep {
        used.sets.insert(one.in_set.clone());
        keep.extend(sheet.path(&at, &one.path).map(|path| (path, one.in_set.clone())));
    }
    let fact = Fact {
        source: source?,
        keep,
        read: read_path.flatten(),
        dated: dated.flatten(),
        pick: keys.pick,
        kind,
        unit,
        convert: read.map(|r| r.convert.clone()).unwrap_or_default(),
    };
    for mistake in mistakes(&fact) {
        sheet.find(&at, format!("The fact '{name}': {mistake}"));
    }
    Some(fact)
}

fn source(at: &str, keys: &FactKeys, used: &mut Used, sheet: &mut Sheet<'_>) -> Option<Source> {
    match (&keys.from, &keys.answer) {
        (Some(From::Search(search)), None) => {
            used.sets.extend(search.code_in.clone());
            Some(Source::Search(search.clone()))
        }
        (Some(From::Path(path)), None) => sheet.path(at, path).map(Source::Path),
        (None, Some(link_id)) => Some(Source::Answer(link_id.clone())),
        _ => {
            sheet.find(at, "A fact has either 'from' or 'answer'");
            None
        }
    }
}

fn mistakes(fact: &Fact) -> Vec<String> {
    let is_number = matches!(fact.kind, Kind::Number | Kind::Quantity);
    let mut mistakes: Vec<String> = [
        (
            (fact.kind == Kind::Quantity) != fact.unit.is_some(),
            "a quantity has a 'unit', and nothing else has one",
        ),
        (
            fact.convert
                .values()
                .any(|factor| !factor.is_finite() || *factor <= 0.0),
            "a conversion factor is a number above zero",
        ),
        (
            matches!(fact.pick, Some(Pick::Newest | Pick::Oldest)) && fact.dated.is_none(),
            "it picks by date and has no 'dated'",
        ),
        (
            matches!(fact.pick, Some(Pick::Lowest | Pick::Highest)) && !is_number,
            "it picks by value and is no number",
        ),
    ]
    .into_iter()
    .filter(|(broken, _)| *broken)
    .map(|(_, sentence)| sentence.to_owned())
    .collect();
    let units = fact.unit.iter().chain(fact.convert.keys());
    mistakes.extend(
        units
            .filter(|u| !is_unit(u))
            .map(|u| format!("'{u}' has not the shape of a UCUM unit")),
    );
    mistakes
}
