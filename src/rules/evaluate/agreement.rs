//! Whether several statements of one fact agree: results of one day, and the sources that a fact names. If they do not
//! agree, the fact is unknown and every statement is shown, unless the policy says which source goes first.

use crate::rules::evaluate::values::{FactLookup, FoundValue, Unusable};
use crate::rules::format::policy_file::IfDifferent;

/// What several nodes of one source state together. Nodes without a value state nothing.
pub(in crate::rules) fn within_source(lookups: Vec<FactLookup>, if_they_differ: &str) -> FactLookup {
    let found = match found_values(lookups) {
        Ok(found) => found,
        Err(unusable) => return FactLookup::Unusable(unusable),
    };
    let mut distinct: Vec<FoundValue> = Vec::new();
    for value in found {
        if !distinct.iter().any(|known| known.value.same_as(&value.value)) {
            distinct.push(value);
        }
    }
    if distinct.len() > 1 {
        return FactLookup::unusable_values(if_they_differ, distinct);
    }
    distinct.pop().map_or(FactLookup::NotFound, FactLookup::Found)
}

/// What the sources of a fact state together.
pub(in crate::rules) fn across_sources(
    mut lookups: Vec<FactLookup>,
    if_different: IfDifferent,
) -> FactLookup {
    lookups.retain(|lookup| *lookup != FactLookup::NotFound);
    if lookups.len() < 2 {
        return lookups.pop().unwrap_or(FactLookup::NotFound);
    }
    match if_different {
        IfDifferent::Unknown => all_must_agree(lookups),
        IfDifferent::First => first_goes_before(lookups),
    }
}

fn all_must_agree(lookups: Vec<FactLookup>) -> FactLookup {
    let found = match found_values(lookups) {
        Ok(found) => found,
        Err(unusable) => return FactLookup::Unusable(unusable),
    };
    let differs = |is_same: &dyn Fn(&FoundValue, &FoundValue) -> bool| {
        let mut pairs = found
            .iter()
            .enumerate()
            .flat_map(|(n, a)| found.iter().skip(n + 1).map(move |b| (a, b)));
        pairs.any(|(a, b)| !is_same(a, b))
    };
    if differs(&|a, b| a.value.same_as(&b.value)) {
        return FactLookup::unusable_values("the sources state different values", found);
    }
    if differs(&same_day) {
        return FactLookup::unusable_values("the sources state different days", found);
    }
    // The value of the first source, with the first date that a source states.
    let date = found.iter().find_map(|value| value.date.clone());
    let first = found.into_iter().next();
    first.map_or(FactLookup::NotFound, |first| {
        FactLookup::Found(FoundValue { date, ..first })
    })
}

/// The first source that states something decides, also if it is unusable. Differing statements are kept beside it.
fn first_goes_before(lookups: Vec<FactLookup>) -> FactLookup {
    let mut lookups = lookups.into_iter();
    let first = lookups.next().unwrap_or(FactLookup::NotFound);
    let FactLookup::Found(mut first) = first else {
        return first;
    };
    first.others = lookups
        .filter_map(|lookup| match lookup {
            FactLookup::Found(other) => Some(other),
            FactLookup::NotFound | FactLookup::Unusable(_) => None,
        })
        .filter(|other| !first.value.same_as(&other.value) || !same_day(&first, other))
        .collect();
    FactLookup::Found(first)
}

/// The values, or, if one cannot be used, why; the others are shown beside it.
fn found_values(lookups: Vec<FactLookup>) -> Result<Vec<FoundValue>, Unusable> {
    let mut found = Vec::new();
    let mut unusable: Option<Unusable> = None;
    for lookup in lookups {
        match lookup {
            FactLookup::NotFound => {}
            FactLookup::Found(value) => found.push(value),
            FactLookup::Unusable(other) => match &mut unusable {
                None => unusable = Some(other),
                Some(first) => first.stated.extend(other.stated),
            },
        }
    }
    match unusable {
        None => Ok(found),
        Some(mut unusable) => {
            unusable.stated.extend(found);
            Err(unusable)
        }
    }
}

/// Whether two values can be of one day. A value without a date can be of any day.
fn same_day(a: &FoundValue, b: &FoundValue) -> bool {
    match (&a.date, &b.date) {
        (Some((_, a)), Some((_, b))) => a.meets(*b),
        _ => true,
    }
}
