//! What does not fit together in the keys of a fact and of its sources.

use crate::rules::format::conditions::{Literal, is_unit};
use crate::rules::format::policy_file::{FactKeys, FactType, PickRule, SourceKeys};

/// What is wrong, and how to fix it.
type Mistake = (String, &'static str);

/// The mistakes of the conditions that hold.
fn broken<const N: usize>(checks: [(bool, &str, &'static str); N]) -> Vec<Mistake> {
    let found = checks.into_iter().filter(|(is_broken, ..)| *is_broken);
    found.map(|(_, message, fix)| (message.to_owned(), fix)).collect()
}

fn is_number(kind: FactType) -> bool {
    matches!(kind, FactType::Number | FactType::Quantity)
}

/// What does not fit together in a fact. `source_mistakes` has the mistakes of its sources.
pub(in crate::rules) fn mistakes(keys: &FactKeys, kind: FactType, unit: Option<&str>) -> Vec<Mistake> {
    let mut mistakes = broken([
        (
            keys.label.as_ref().is_some_and(|label| label.trim().is_empty()),
            "the label is empty",
            "Write what people read instead of the fact's name, or remove 'label'",
        ),
        (
            kind == FactType::Quantity && unit.is_none(),
            "a quantity needs a 'unit'",
            "Add the UCUM unit that values must have: unit: \"mm[Hg]\"",
        ),
        (
            kind != FactType::Quantity && unit.is_some(),
            "only a quantity can have a 'unit'",
            "Remove 'unit', or read the fact as: quantity",
        ),
        (
            keys.if_different.is_some() && keys.also.is_empty(),
            "'if_different' needs several sources",
            "Add the other sources under 'also', or remove 'if_different'",
        ),
    ]);
    mistakes.extend(invalid_unit(unit));
    mistakes.extend(implausible_range(keys, kind, unit));
    mistakes
}

fn invalid_unit(unit: Option<&str>) -> Option<Mistake> {
    let invalid = unit.filter(|unit| !is_unit(unit))?;
    Some((
        format!("'{invalid}' is not a valid UCUM unit"),
        "Write the UCUM code: %, mm[Hg], mo, 1",
    ))
}

fn implausible_range(keys: &FactKeys, kind: FactType, unit: Option<&str>) -> Vec<Mistake> {
    let Some((low, high)) = &keys.plausible else {
        return Vec::new();
    };
    let other_unit = |limit: Option<&str>| limit != unit;
    broken([
        (
            !is_number(kind),
            "only a number or a quantity can have a plausible range",
            "Remove 'plausible'",
        ),
        (
            is_number(kind) && (other_unit(low.unit.as_deref()) || other_unit(high.unit.as_deref())),
            "the plausible range does not have the fact's unit",
            "Write both values in the fact's unit: plausible: [\"50 %\", \"100 %\"]; a number has no unit",
        ),
        (
            low.value >= high.value,
            "the lowest plausible value is not below the highest",
            "Write the lower value first",
        ),
    ])
}

/// What does not fit together in one source of a fact.
pub(in crate::rules) fn source_mistakes(
    keys: &SourceKeys,
    kind: FactType,
    unit: Option<&str>,
) -> Vec<Mistake> {
    let mut mistakes = broken([
        (
            keys.from.is_some() && keys.answer.is_none() && keys.read.is_none() == keys.means.is_none(),
            "a source in the chart needs either 'read' or 'means'",
            "Write 'read' for a value of what is found, or 'means' for what finding it means",
        ),
        (
            keys.answer.is_some()
                && keys.from.is_none()
                && (keys.read.is_some()
                    || keys.means.is_some()
                    || keys.dated.is_some()
                    || !keys.keep.is_empty()),
            "'read', 'means', 'dated' and 'keep' are for sources in the chart",
            "Remove them; the question for the date of an answer is 'dated_by'",
        ),
        (
            keys.dated_by.is_some() && keys.answer.is_none(),
            "'dated_by' is for answers",
            "Write the path of the date under 'dated'",
        ),
        (
            keys.means.as_ref().is_some_and(|value| !is_meaning(value, kind)),
            "'means' does not have the fact's type",
            "Write a value of the fact's type: true, 4, or a text in quotes; a quantity or a date cannot be written",
        ),
        (
            keys.means.is_some() && keys.pick.is_some(),
            "'pick' has no effect next to 'means'",
            "Remove 'pick'",
        ),
        (
            matches!(keys.pick, Some(PickRule::Newest | PickRule::Oldest)) && keys.dated.is_none(),
            "'pick' by date needs 'dated'",
            "Add 'dated' with the path of the date",
        ),
        (
            matches!(keys.pick, Some(PickRule::Lowest | PickRule::Highest)) && !is_number(kind),
            "'pick' by value needs a number or a quantity",
            "Read the fact as number or quantity, or pick newest, oldest or first",
        ),
    ]);
    mistakes.extend(read_mistakes(keys, kind, unit));
    mistakes
}

fn is_meaning(value: &Literal, kind: FactType) -> bool {
    matches!(
        (kind, value),
        (FactType::Boolean, Literal::Bool(_))
            | (FactType::Number, Literal::Number(_))
            | (FactType::Text | FactType::Code, Literal::Text(_))
    )
}

/// Mistakes in `read`.
fn read_mistakes(keys: &SourceKeys, kind: FactType, unit: Option<&str>) -> Vec<Mistake> {
    let Some(read) = &keys.read else {
        return Vec::new();
    };
    let mut factors = read.convert.values();
    let mut mistakes = broken([
        (
            read.kind != kind || read.unit.as_deref().is_some_and(|own| Some(own) != unit),
            "all sources of a fact have the same type and unit",
            "Write the type and the unit of the fact; values in other units need 'convert'",
        ),
        (
            factors.any(|factor| !factor.is_finite() || *factor <= 0.0),
            "a conversion factor must be a number above zero",
            "Write the factor by which a value in the other unit is multiplied: convert: { kPa: 7.50062 }",
        ),
        (
            unit.is_some_and(|unit| read.convert.contains_key(unit)),
            "'convert' has the fact's own unit",
            "Remove that unit from 'convert'",
        ),
    ]);
    mistakes.extend(read.convert.keys().filter_map(|unit| invalid_unit(Some(unit))));
    mistakes
}
