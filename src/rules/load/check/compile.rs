//! The facts of a policy, compiled: where they are found, as what they are read, and whether that fits together.

use crate::rules::evaluate::facts::{BUILT_IN, Fact, Source};
use crate::rules::format::conditions::is_unit;
use crate::rules::format::policy_file::{FactKeys, From, Kind, Pick, PolicyKeys};
use crate::rules::load::check::{Sheet, Used, note};
use std::collections::BTreeMap;

/// Compiles every fact, and those that every policy has; one with a finding is left out, and the policy with it.
pub(in crate::rules) fn facts(
    keys: &PolicyKeys,
    used: &mut Used,
    sheet: &mut Sheet<'_>,
) -> BTreeMap<String, Fact> {
    let built_in = BUILT_IN.iter().filter_map(|b| {
        let source = Source::Path(sheet.path("facts", b.path)?);
        let read = None;
        let fact = Fact {
            source,
            keep: Vec::new(),
            read,
            dated: None,
            pick: b.pick,
            kind: b.kind,
            unit: None,
            convert: BTreeMap::new(),
        };
        Some((b.name.to_owned(), fact))
    });
    let mut facts: BTreeMap<String, Fact> = built_in.collect();
    for (name, keys) in &keys.facts {
        if facts.contains_key(name) && BUILT_IN.iter().any(|b| b.name == name) {
            sheet.find(
                &format!("facts/{name}"),
                format!("Every policy has the fact '{name}'"),
                "Take the definition out and use the fact, or give yours another name",
            );
        } else if let Some(fact) = fact(name, keys, used, sheet) {
            facts.insert(name.clone(), fact);
        }
    }
    facts
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
                format!("The fact '{name}' has no type"),
                "Add 'read' beside 'from', or 'as' beside 'answer'",
            );
            return None;
        }
    };
    let read_path = read.map(|r| sheet.path(&at, &r.path));
    let dated = keys.dated.as_ref().map(|d| sheet.path(&at, d));
    let mut keep = Vec::new();
    for one in &keys.keep {
        note(&mut used.sets, &one.in_set, &at);
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
    for (mistake, mend) in mistakes(&fact) {
        sheet.find(&at, format!("The fact '{name}': {mistake}"), mend);
    }
    Some(fact)
}

fn source(at: &str, keys: &FactKeys, used: &mut Used, sheet: &mut Sheet<'_>) -> Option<Source> {
    match (&keys.from, &keys.answer) {
        (Some(From::Search(search)), None) => {
            if let Some(set) = &search.code_in {
                note(&mut used.sets, set, at);
            }
            Some(Source::Search(search.clone()))
        }
        (Some(From::Path(path)), None) => sheet.path(at, path).map(Source::Path),
        (None, Some(link_id)) => Some(Source::Answer(link_id.clone())),
        _ => {
            sheet.find(at, "A fact has either 'from' or 'answer'", "Keep one of the two");
            None
        }
    }
}

fn mistakes(fact: &Fact) -> Vec<(String, &'static str)> {
    let is_number = matches!(fact.kind, Kind::Number | Kind::Quantity);
    let mut mistakes: Vec<(String, &str)> = [
        (
            fact.kind == Kind::Quantity && fact.unit.is_none(),
            "a quantity without a 'unit'",
            "Add the UCUM unit that values must have: unit: \"mm[Hg]\"",
        ),
        (
            fact.kind != Kind::Quantity && fact.unit.is_some(),
            "only a quantity has a 'unit'",
            "Take 'unit' out, or read the fact as: quantity",
        ),
        (
            fact.convert
                .values()
                .any(|factor| !factor.is_finite() || *factor <= 0.0),
            "a conversion factor is a number above zero",
            "Write what the other unit's number is multiplied with: convert: { kPa: 7.50062 }",
        ),
        (
            fact.unit
                .as_ref()
                .is_some_and(|unit| fact.convert.contains_key(unit)),
            "'convert' names the fact's own unit",
            "Take the own unit out of 'convert'",
        ),
        (
            matches!(fact.pick, Some(Pick::Newest | Pick::Oldest)) && fact.dated.is_none(),
            "it picks by date and has no 'dated'",
            "Add 'dated' with the path of the date",
        ),
        (
            matches!(fact.pick, Some(Pick::Lowest | Pick::Highest)) && !is_number,
            "it picks by value and is no number",
            "Read it as number or quantity, or pick newest, oldest or first",
        ),
    ]
    .into_iter()
    .filter(|(broken, ..)| *broken)
    .map(|(_, what, mend)| (what.to_owned(), mend))
    .collect();
    let units = fact.unit.iter().chain(fact.convert.keys());
    mistakes.extend(units.filter(|u| !is_unit(u)).map(|u| {
        (
            format!("'{u}' has not the shape of a UCUM unit"),
            "Write the UCUM code: %, mm[Hg], mo, 1",
        )
    }));
    mistakes
}
