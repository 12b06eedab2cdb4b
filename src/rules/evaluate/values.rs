//! Values of facts: reads a node as a type, and compares and orders what was read.

use crate::fhir::dates::{self, DateRange};
use crate::fhir::quantity::Quantity;
use crate::fhir::text;
use crate::rules::evaluate::jsonpath::FoundNode;
use crate::rules::format::policy_file::FactType;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use std::collections::BTreeMap;

/// The result of looking a fact up in a case document.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum FactLookup {
    NotFound,
    /// Something was found that cannot be used.
    Unusable {
        reason: String,
        path: Option<String>,
    },
    Found(FoundValue),
}

/// A typed value with its date and its place.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) struct FoundValue {
    pub value: TypedValue,
    /// The date of the node: as the source writes it, and the days that it can mean.
    pub date: Option<(String, DateRange)>,
    /// The normalized path of the value in the case document.
    pub path: String,
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
                Some(factor) => Ok(TypedValue::Quantity(quantity.value * factor, own.to_owned())),
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

/// The lookup for a node that cannot be used.
pub(in crate::rules) fn unusable(reason: &str, node: &FoundNode<'_>) -> FactLookup {
    FactLookup::Unusable {
        reason: reason.to_owned(),
        path: Some(node.1.clone()),
    }
}

/// Whether two lookups have the same value, or are equal if one has none.
pub(in crate::rules) fn same_value(a: &FactLookup, b: &FactLookup) -> bool {
    match (a, b) {
        (FactLookup::Found(a), FactLookup::Found(b)) => a.value == b.value,
        _ => a == b,
    }
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
