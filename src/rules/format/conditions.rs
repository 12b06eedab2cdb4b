//! Conditions as policy files write them: four combinators, a reference to another criterion, or one test of one fact.
//! One variant per key; there are no expressions in strings, no variables and no functions. Values are typed while
//! they are read. Evaluation is elsewhere.

use crate::rules::format::period::Period;
use chrono::NaiveDate;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::fmt;

/// A criterion: words for people, a citation, and one combinator.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "CriterionKeys")]
pub(in crate::rules) struct Criterion {
    pub text: String,
    pub cite: String,
    pub node: Node,
}

/// A condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "NodeKeys")]
pub(in crate::rules) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    /// The first that is not unknown decides.
    FirstKnown(Vec<Node>),
    Not(Box<Node>),
    AtLeast(usize, Vec<Node>),
    Criterion(String),
    Test(FactTest),
}

/// One test of one fact.
#[derive(Debug, Clone)]
pub(in crate::rules) struct FactTest {
    pub fact: String,
    pub test: Test,
    pub if_missing: Option<IfMissing>,
}

/// What a test wants of its fact.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum Test {
    AtMost(Limit),
    AtLeast(Limit),
    LessThan(Limit),
    MoreThan(Limit),
    Between(Limit, Limit),
    Equals(Literal),
    InSet(String),
    Exists(bool),
    DatedWithin(DatedWithin),
    OnOrAfter(Moment),
    OnOrBefore(Moment),
}

/// What the absence of data counts as; without it absence is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum IfMissing {
    Met,
    NotMet,
}

/// A bare number, or a number with its UCUM unit as `"55 mm[Hg]"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Literal")]
pub(in crate::rules) struct Limit {
    pub value: f64,
    pub unit: Option<String>,
}

/// A value in a file. A code is a text: a number without quotes is a number.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum Literal {
    Bool(bool),
    Number(f64),
    Text(String),
}

/// A date no older than a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct DatedWithin {
    pub of: Anchor,
    pub at_most: Period,
}

/// A day of the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum Anchor {
    Received,
    ServiceStart,
}

/// A day of the case, or a written day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::rules) enum Moment {
    Of(Anchor),
    Day(NaiveDate),
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct CriterionKeys {
    text: String,
    cite: String,
    all: Option<Vec<Node>>,
    any: Option<Vec<Node>>,
    first_known: Option<Vec<Node>>,
    not: Option<Box<Node>>,
    at_least: Option<CountKeys>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct CountKeys {
    n: usize,
    of: Vec<Node>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct NodeKeys {
    all: Option<Vec<Node>>,
    any: Option<Vec<Node>>,
    first_known: Option<Vec<Node>>,
    not: Option<Box<Node>>,
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
    on_or_after: Option<Moment>,
    on_or_before: Option<Moment>,
    if_missing: Option<IfMissing>,
}

/// `at_least` counts conditions when it is a map, and limits a fact when it is a value.
pub(in crate::rules) enum AtLeastKeys {
    Count(CountKeys),
    Limit(Limit),
}

/// The single condition among those that were written.
fn only<T>(found: impl IntoIterator<Item = Option<T>>, choices: &str) -> Result<T, String> {
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("one of {choices} is missing")),
        (Some(_), Some(_)) => Err(format!("only one of {choices} can stand here")),
    }
}

fn count(keys: CountKeys) -> Node {
    Node::AtLeast(keys.n, keys.of)
}

impl TryFrom<CriterionKeys> for Criterion {
    type Error = String;

    fn try_from(keys: CriterionKeys) -> Result<Self, String> {
        let node = only(
            [
                keys.all.map(Node::All),
                keys.any.map(Node::Any),
                keys.first_known.map(Node::FirstKnown),
                keys.not.map(Node::Not),
                keys.at_least.map(count),
            ],
            "all, any, first_known, not, at_least",
        )?;
        Ok(Self {
            text: keys.text,
            cite: keys.cite,
            node,
        })
    }
}

impl TryFrom<NodeKeys> for Node {
    type Error = String;

    fn try_from(keys: NodeKeys) -> Result<Self, String> {
        let (counted, limited) = match keys.at_least {
            Some(AtLeastKeys::Count(keys)) => (Some(count(keys)), None),
            Some(AtLeastKeys::Limit(limit)) => (None, Some(Test::AtLeast(limit))),
            None => (None, None),
        };
        let tests = [
            limited,
            keys.at_most.map(Test::AtMost),
            keys.less_than.map(Test::LessThan),
            keys.more_than.map(Test::MoreThan),
            keys.between.map(|(low, high)| Test::Between(low, high)),
            keys.equals.map(Test::Equals),
            keys.in_set.map(Test::InSet),
            keys.exists.map(Test::Exists),
            keys.dated_within.map(Test::DatedWithin),
            keys.on_or_after.map(Test::OnOrAfter),
            keys.on_or_before.map(Test::OnOrBefore),
        ];
        let test = match keys.fact {
            Some(fact) => {
                let choices = "at_most, at_least, less_than, more_than, between, equals, in_set, exists, dated_within, \
                               on_or_after, on_or_before";
                Some(Node::Test(FactTest {
                    test: only(tests, choices).map_err(|e| format!("in the test of '{fact}' {e}"))?,
                    fact,
                    if_missing: keys.if_missing,
                }))
            }
            None if tests.iter().any(Option::is_some) || keys.if_missing.is_some() => {
                return Err("a test needs the 'fact' that it tests".into());
            }
            None => None,
        };
        only(
            [
                keys.all.map(Self::All),
                keys.any.map(Self::Any),
                keys.first_known.map(Self::FirstKnown),
                keys.not.map(Self::Not),
                counted,
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
        let wrong = || format!("'{text}' is no number with a unit; write it like \"55 mm[Hg]\"");
        let (value, unit) = text.split_once(' ').ok_or_else(wrong)?;
        let value: f64 = value
            .parse()
            .ok()
            .filter(|v: &f64| v.is_finite())
            .ok_or_else(wrong)?;
        if !is_unit(unit) {
            return Err(wrong());
        }
        Ok(Self {
            value,
            unit: Some(unit.to_owned()),
        })
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "received" => Ok(Self::Of(Anchor::Received)),
            "service-start" => Ok(Self::Of(Anchor::ServiceStart)),
            day => day.parse().map(Self::Day).map_err(|_| {
                format!("'{text}' is neither a day (2026-10-01) nor received nor service-start")
            }),
        }
    }
}

/// Whether a text has the shape of a UCUM code: printable ASCII without spaces, brackets closed.
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

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Received => "received",
            Self::ServiceStart => "service-start",
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(anchor) => write!(f, "{anchor}"),
            Self::Day(day) => write!(f, "{day}"),
        }
    }
}

/// The test in words, as traces show it.
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at_most {limit}"),
            Self::AtLeast(limit) => write!(f, "at_least {limit}"),
            Self::LessThan(limit) => write!(f, "less_than {limit}"),
            Self::MoreThan(limit) => write!(f, "more_than {limit}"),
            Self::Between(low, high) => write!(f, "between {low} and {high}"),
            Self::Equals(value) => write!(f, "equals {value}"),
            Self::InSet(set) => write!(f, "in_set {set}"),
            Self::Exists(wanted) => write!(f, "exists {wanted}"),
            Self::DatedWithin(w) => write!(f, "dated within \"{}\" of \"{}\"", w.at_most, w.of),
            Self::OnOrAfter(moment) => write!(f, "on_or_after \"{moment}\""),
            Self::OnOrBefore(moment) => write!(f, "on_or_before \"{moment}\""),
        }
    }
}
