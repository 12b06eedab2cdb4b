//! Conditions of policy files: combinators, references to criteria, and tests of facts. Each key is a variant; there
//! are no expressions in strings, no variables and no functions. Values get their types when they are read. `evaluate`
//! evaluates conditions.

use crate::rules::period::Period;
use chrono::NaiveDate;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::fmt;

/// A criterion: a text for people, a citation, and one combinator.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "CriterionKeys")]
pub(in crate::rules) struct Criterion {
    pub text: String,
    pub cite: String,
    pub condition: Condition,
}

/// A condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "ConditionKeys")]
pub(in crate::rules) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    /// The first condition that is not unknown decides.
    FirstKnown(Vec<Condition>),
    Not(Box<Condition>),
    /// At least so many of the conditions are met.
    AtLeast(usize, Vec<Condition>),
    Criterion(String),
    Test(FactTest),
}

/// One test of one fact.
#[derive(Debug, Clone)]
pub(in crate::rules) struct FactTest {
    pub fact: String,
    pub requirement: Requirement,
    pub if_missing: Option<IfMissing>,
}

/// What a test requires of its fact.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum Requirement {
    AtMost(Limit),
    AtLeast(Limit),
    LessThan(Limit),
    MoreThan(Limit),
    Between(Limit, Limit),
    Equals(Literal),
    InSet(String),
    Exists(bool),
    DatedWithin(DatedWithin),
    OnOrAfter(DayLimit),
    OnOrBefore(DayLimit),
}

/// The outcome when the fact is not found. Without `if_missing` it is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum IfMissing {
    Met,
    NotMet,
}

/// A number, or a number with its UCUM unit: `"55 mm[Hg]"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Literal")]
pub(in crate::rules) struct Limit {
    pub value: f64,
    pub unit: Option<String>,
}

/// A value in a file. Codes are texts, so they need quotes: without quotes, `97161` is a number.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum Literal {
    Bool(bool),
    Number(f64),
    Text(String),
}

/// A date at most so long before a day of the case.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct DatedWithin {
    pub of: CaseDay,
    pub at_most: Period,
}

/// A day of the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum CaseDay {
    Received,
    ServiceStart,
}

/// A day of the case, or a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::rules) enum DayLimit {
    CaseDay(CaseDay),
    Date(NaiveDate),
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct CriterionKeys {
    text: String,
    cite: String,
    all: Option<Vec<Condition>>,
    any: Option<Vec<Condition>>,
    first_known: Option<Vec<Condition>>,
    not: Option<Box<Condition>>,
    at_least: Option<CountKeys>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct CountKeys {
    n: usize,
    of: Vec<Condition>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct ConditionKeys {
    all: Option<Vec<Condition>>,
    any: Option<Vec<Condition>>,
    first_known: Option<Vec<Condition>>,
    not: Option<Box<Condition>>,
    at_least: Option<AtLeastKeys>,
    criterion: Option<String>,
    fact: Option<String>,
    at_most: Option<Limit>,
    less_than: Option<Limit>,
    more_than: Option<Limit>,
    between: Option<(Limit, Limit)>,
    equals: Option<Literal>,
    in_set: Option<String>,
    exists: Option<bool>,
    dated_within: Option<DatedWithin>,
    on_or_after: Option<DayLimit>,
    on_or_before: Option<DayLimit>,
    if_missing: Option<IfMissing>,
}

/// `at_least` is a number of conditions if it is a map, and a limit of a fact if it is a value.
pub(in crate::rules) enum AtLeastKeys {
    Count(CountKeys),
    Limit(Limit),
}

/// The only one that is present. An error if there is none, or more than one.
fn only<T>(found: impl IntoIterator<Item = Option<T>>, choices: &str) -> Result<T, String> {
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("one of these keys is missing: {choices}")),
        (Some(_), Some(_)) => Err(format!("only one of these keys is allowed here: {choices}")),
    }
}

fn at_least(keys: CountKeys) -> Condition {
    Condition::AtLeast(keys.n, keys.of)
}

impl TryFrom<CriterionKeys> for Criterion {
    type Error = String;

    fn try_from(keys: CriterionKeys) -> Result<Self, String> {
        let condition = only(
            [
                keys.all.map(Condition::All),
                keys.any.map(Condition::Any),
                keys.first_known.map(Condition::FirstKnown),
                keys.not.map(Condition::Not),
                keys.at_least.map(at_least),
            ],
            "all, any, first_known, not, at_least",
        )?;
        Ok(Self {
            text: keys.text,
            cite: keys.cite,
            condition,
        })
    }
}

impl TryFrom<ConditionKeys> for Condition {
    type Error = String;

    fn try_from(keys: ConditionKeys) -> Result<Self, String> {
        let (count, limit) = match keys.at_least {
            Some(AtLeastKeys::Count(keys)) => (Some(at_least(keys)), None),
            Some(AtLeastKeys::Limit(limit)) => (None, Some(Requirement::AtLeast(limit))),
            None => (None, None),
        };
        let tests = [
            limit,
            keys.at_most.map(Requirement::AtMost),
            keys.less_than.map(Requirement::LessThan),
            keys.more_than.map(Requirement::MoreThan),
            keys.between.map(|(low, high)| Requirement::Between(low, high)),
            keys.equals.map(Requirement::Equals),
            keys.in_set.map(Requirement::InSet),
            keys.exists.map(Requirement::Exists),
            keys.dated_within.map(Requirement::DatedWithin),
            keys.on_or_after.map(Requirement::OnOrAfter),
            keys.on_or_before.map(Requirement::OnOrBefore),
        ];
        let test = match keys.fact {
            Some(fact) => {
                let choices = "at_most, at_least, less_than, more_than, between, equals, in_set, exists, dated_within, \
                               on_or_after, on_or_before";
                Some(Condition::Test(FactTest {
                    requirement: only(tests, choices).map_err(|e| format!("in the test of '{fact}', {e}"))?,
                    fact,
                    if_missing: keys.if_missing,
                }))
            }
            None if tests.iter().any(Option::is_some) || keys.if_missing.is_some() => {
                return Err("a test needs the key 'fact'".into());
            }
            None => None,
        };
        only(
            [
                keys.all.map(Self::All),
                keys.any.map(Self::Any),
                keys.first_known.map(Self::FirstKnown),
                keys.not.map(Self::Not),
                count,
                keys.criterion.map(Self::Criterion),
                test,
            ],
            "all, any, first_known, not, at_least, criterion, fact",
        )
    }
}

impl<'de> Deserialize<'de> for AtLeastKeys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = AtLeastKeys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ n, of }, or a limit such as \"55 mm[Hg]\"")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                CountKeys::deserialize(MapAccessDeserializer::new(map)).map(AtLeastKeys::Count)
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Self::Value, E> {
                limit(Literal::Number(n))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Self::Value, E> {
                LiteralVisitor.visit_i64(n).and_then(limit)
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Self::Value, E> {
                LiteralVisitor.visit_u64(n).and_then(limit)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                limit(Literal::Text(text.to_owned()))
            }
        }
        fn limit<E: de::Error>(literal: Literal) -> Result<AtLeastKeys, E> {
            Limit::try_from(literal)
                .map(AtLeastKeys::Limit)
                .map_err(E::custom)
        }
        from.deserialize_any(Either)
    }
}

struct LiteralVisitor;

impl Visitor<'_> for LiteralVisitor {
    type Value = Literal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, a number or a text")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Literal, E> {
        Ok(Literal::Bool(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Literal, E> {
        Ok(Literal::Number(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Literal, E> {
        i32::try_from(value)
            .map(|n| Literal::Number(n.into()))
            .map_err(|_| E::custom("the number is too large"))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Literal, E> {
        u32::try_from(value)
            .map(|n| Literal::Number(n.into()))
            .map_err(|_| E::custom("the number is too large"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Literal, E> {
        Ok(Literal::Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LiteralVisitor)
    }
}

impl TryFrom<Literal> for Limit {
    type Error = String;

    fn try_from(literal: Literal) -> Result<Self, String> {
        let text = match literal {
            Literal::Number(value) => return Ok(Self { value, unit: None }),
            Literal::Text(text) => text,
            Literal::Bool(_) => return Err("a limit is a number, or a number with its unit".into()),
        };
        let error = || format!("'{text}' is not a number with a unit; write it as \"55 mm[Hg]\"");
        let (value, unit) = text.split_once(' ').ok_or_else(error)?;
        let value: f64 = value
            .parse()
            .ok()
            .filter(|v: &f64| v.is_finite())
            .ok_or_else(error)?;
        if !is_unit(unit) {
            return Err(error());
        }
        Ok(Self {
            value,
            unit: Some(unit.to_owned()),
        })
    }
}

impl TryFrom<String> for DayLimit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "received" => Ok(Self::CaseDay(CaseDay::Received)),
            "service-start" => Ok(Self::CaseDay(CaseDay::ServiceStart)),
            day => day
                .parse()
                .map(Self::Date)
                .map_err(|_| format!("'{text}' is not a day (2026-10-01), 'received' or 'service-start'")),
        }
    }
}

/// Whether a text has the shape of a UCUM code: printable ASCII without spaces, all brackets closed.
pub(in crate::rules) fn is_unit(text: &str) -> bool {
    let balanced = |open, close| text.matches(open).count() == text.matches(close).count();
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_graphic())
        && balanced('[', ']')
        && balanced('(', ')')
        && balanced('{', '}')
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Some(unit) => write!(f, "\"{} {unit}\"", self.value),
            None => write!(f, "{}", self.value),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl fmt::Display for CaseDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Received => "received",
            Self::ServiceStart => "service-start",
        })
    }
}

impl fmt::Display for DayLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaseDay(day) => write!(f, "{day}"),
            Self::Date(day) => write!(f, "{day}"),
        }
    }
}

/// The test as the policy file writes it; part of the trace. `evaluate::requirement` has the words for people.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at_most {limit}"),
            Self::AtLeast(limit) => write!(f, "at_least {limit}"),
            Self::LessThan(limit) => write!(f, "less_than {limit}"),
            Self::MoreThan(limit) => write!(f, "more_than {limit}"),
            Self::Between(low, high) => write!(f, "between {low} and {high}"),
            Self::Equals(value) => write!(f, "equals {value}"),
            Self::InSet(set) => write!(f, "in_set {set}"),
            Self::Exists(required) => write!(f, "exists {required}"),
            Self::DatedWithin(w) => write!(f, "dated within \"{}\" of \"{}\"", w.at_most, w.of),
            Self::OnOrAfter(limit) => write!(f, "on_or_after \"{limit}\""),
            Self::OnOrBefore(limit) => write!(f, "on_or_before \"{limit}\""),
        }
    }
}
