//! Values of facts: reads a node as a type, and compares and orders what was read.

use crate::fhir::dates::{self, DateRange};
use crate::fhir::quantity::Quantity;
use crate::fhir::text;
use crate::rules::format::codes::code_key;
use crate::rules::format::policy_file::FactType;
use crate::rules::verdict::StatedValue;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use std::collections::BTreeMap;

/// The result of looking a fact up in a case document.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum FactLookup {
    NotFound,
    /// Something was found that cannot be used.
    Unusable(Unusable),
    Found(FoundValue),
}

/// Something that was found and cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) struct Unusable {
    /// Why, in words that the trace shows.
    pub reason: String,
    /// Its place in the case document.
    pub path: Option<String>,
    /// The values that were found: those that contradict each other, or the one that is not plausible.
    pub stated: Vec<FoundValue>,
}

/// A typed value with its date and its place.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) struct FoundValue {
    pub value: TypedValue,
    /// The date of the value: as the source writes it, and the days that it can mean.
    pub date: Option<(String, DateRange)>,
    /// The normalized path of the value in the case document.
    pub path: String,
    /// What later sources of the fact state differently. They do not count, because this source goes before them.
    pub others: Vec<FoundValue>,
}

/// A value of a fact.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum TypedValue {
    Number(f64),
    /// The number and its unit, after conversion.
    Quantity(f64, String),
    /// As the source writes it, and the days that it can mean.
    Date(String, DateRange),
    Boolean(bool),
    Text(String),
    /// System and code. The system is empty if the source has none.
    Code(String, String),
}

/// The type of a fact with its units.
pub(in crate::rules) struct ValueType<'a> {
    pub kind: FactType,
    /// The UCUM unit of a quantity.
    pub unit: Option<&'a str>,
    /// Other units, and the factors by which their values are multiplied.
    pub convert: &'a BTreeMap<String, f64>,
}

impl ValueType<'_> {
    /// Reads a JSON value as this type. An error is the reason why the value cannot be used.
    pub(in crate::rules) fn read(&self, value: &Value, zone: Tz) -> Result<TypedValue, String> {
        let typed = match self.kind {
            FactType::Number => value.as_f64().map(TypedValue::Number),
            FactType::Boolean => value.as_bool().map(TypedValue::Boolean),
            FactType::Text => value.as_str().map(|t| TypedValue::Text(t.to_owned())),
            FactType::Code => typed_code(value).map(|(system, code)| TypedValue::Code(system, code)),
            FactType::Date => value
                .as_str()
                .and_then(|t| Some(TypedValue::Date(t.to_owned(), DateRange::read(t, zone)?))),
            FactType::Quantity => return self.quantity(value),
        };
        typed.ok_or_else(|| format!("the value found is not {}", self.kind.text()))
    }

    fn quantity(&self, value: &Value) -> Result<TypedValue, String> {
        let quantity = Quantity::read(value).ok_or("the value found is not a quantity")?;
        if let Some(comparator) = text(value, &["comparator"]) {
            return Err(format!("the value is only a limit ({comparator})"));
        }
        let own = self.unit.unwrap_or("");
        match quantity.unit {
            None => Err("the value has no unit".into()),
            Some(unit) if unit == own => Ok(TypedValue::Quantity(quantity.value, own.to_owned())),
            Some(unit) => match self.convert.get(unit) {
                Some(factor) => Ok(TypedValue::Quantity(
                    rounded(quantity.value * factor),
                    own.to_owned(),
                )),
                None => Err(format!("the value has another unit: {unit}")),
            },
        }
    }
}

impl TypedValue {
    /// The number of a number or quantity.
    pub(in crate::rules) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(n) | Self::Quantity(n, _) => Some(*n),
            _ => None,
        }
    }

    /// The unit of a quantity.
    pub(in crate::rules) fn unit(&self) -> Option<&str> {
        match self {
            Self::Quantity(_, unit) => Some(unit),
            _ => None,
        }
    }

    /// Whether two values are the same. Numbers may differ by the rounding of a conversion, dates must be the same
    /// days, and a code without a system is the same code in any system.
    pub(in crate::rules) fn same_as(&self, other: &Self) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0);
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => close(*a, *b),
            (Self::Quantity(a, unit), Self::Quantity(b, other_unit)) => unit == other_unit && close(*a, *b),
            (Self::Date(_, a), Self::Date(_, b)) => a == b,
            (Self::Code(system, a), Self::Code(other_system, b)) => {
                let any_system = system.is_empty() || other_system.is_empty();
                a == b && (any_system || code_key(system, a) == code_key(other_system, b))
            }
            (a, b) => a == b,
        }
    }

    /// The value in the trace.
    pub(in crate::rules) fn as_json(&self) -> Value {
        match self {
            Self::Number(n) | Self::Quantity(n, _) => number_as_json(*n),
            Self::Date(text, _) | Self::Text(text) | Self::Code(_, text) => Value::from(text.as_str()),
            Self::Boolean(b) => Value::from(*b),
        }
    }
}

/// Whole numbers have no decimal point.
fn number_as_json(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 1e15")]
        let whole = n as i64;
        Value::from(whole)
    } else {
        Value::from(n)
    }
}

impl FoundValue {
    /// The date as the source writes it.
    pub(in crate::rules) fn date_text(&self) -> Option<String> {
        self.date.as_ref().map(|(text, _)| text.clone())
    }

    /// What the trace says beside the value.
    pub(in crate::rules) fn note(&self) -> Option<String> {
        let is_contradicted = !self.others.is_empty();
        is_contradicted.then(|| "a later source differs".to_owned())
    }

    /// The value as the trace shows it beside a note.
    pub(in crate::rules) fn stated(&self) -> StatedValue {
        StatedValue {
            value: self.value.as_json(),
            unit: self.value.unit().map(str::to_owned),
            date: self.date_text(),
            path: self.path.clone(),
        }
    }
}

impl Unusable {
    /// Evidence that was set aside when the message was received.
    pub(in crate::rules) fn set_aside(what: &str, reason: &str) -> Self {
        Self {
            reason: format!("{what} was set aside: {reason}"),
            path: None,
            stated: Vec::new(),
        }
    }
}

impl FactLookup {
    /// Something that cannot be used, with its place.
    pub(in crate::rules) fn unusable(reason: impl Into<String>, path: &str) -> Self {
        Self::Unusable(Unusable {
            reason: reason.into(),
            path: Some(path.to_owned()),
            stated: Vec::new(),
        })
    }

    /// Values that contradict each other, or one that contradicts itself.
    pub(in crate::rules) fn unusable_values(reason: &str, stated: Vec<FoundValue>) -> Self {
        Self::Unusable(Unusable {
            reason: reason.to_owned(),
            path: stated.first().map(|first| first.path.clone()),
            stated,
        })
    }
}

/// Without the last digits, which a conversion makes up: `0.57` times 100 is 57.
fn rounded(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

/// System and code of a text, a Coding, or a `CodeableConcept` with exactly one coding.
pub(in crate::rules) fn typed_code(value: &Value) -> Option<(String, String)> {
    if let Some(code) = value.as_str() {
        return Some((String::new(), code.to_owned()));
    }
    if let Some(codings) = value.get("coding").and_then(Value::as_array) {
        let [only] = codings.as_slice() else { return None };
        return typed_code(only);
    }
    let system = text(value, &["system"]).unwrap_or("");
    Some((system.to_owned(), text(value, &["code"])?.to_owned()))
}

/// The first and last instant that a date can mean.
pub(in crate::rules) fn span(
    text: &str,
    days: DateRange,
    zone: Tz,
) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    if let Some(instant) = dates::instant(text) {
        let instant = instant.with_timezone(&Utc);
        return Some((instant, instant));
    }
    Some((midnight(days.first, zone), midnight(days.last.succ_opt()?, zone)))
}

fn midnight(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let naive = day.and_time(NaiveTime::MIN);
    let local = naive.and_local_timezone(zone).earliest();
    local.map_or_else(|| naive.and_utc(), |t| t.with_timezone(&Utc))
}
