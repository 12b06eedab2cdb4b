//! The format `pa-policy/1`, key by key. Every map refuses unknown keys; codes are texts by type. The file only says
//! what is written: names are resolved and checked in `check`, paths compiled in `facts`.

use super::answer::AnswerKeys;
use super::criteria::{Criterion, Node};
use super::period::Period;
use super::verdict::Outcome;
use chrono::NaiveDate;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A policy file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyKeys {
    #[serde(rename = "format")]
    pub _format: Format,
    pub policy: String,
    pub version: String,
    pub status: Status,
    pub effective: Effective,
    pub title: String,
    pub owner: String,
    pub approved: Option<Approval>,
    #[serde(default)]
    pub sources: Vec<SourceKeys>,
    pub scope: Scope,
    #[serde(default)]
    pub sets: BTreeMap<String, SetKeys>,
    #[serde(default)]
    pub facts: BTreeMap<String, FactKeys>,
    pub criteria: BTreeMap<String, Criterion>,
    pub coverage: Vec<CoverageRule>,
    pub decision: DecisionKeys,
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// The format's name, in every file.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum Format {
    #[serde(rename = "pa-policy/1")]
    One,
}

/// Where a version stands in its life. Only active ones answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Being written; need not be approved yet.
    Draft,
    /// To run beside the active one.
    Shadow,
    /// Answers.
    Active,
    /// Answers no more; cases that it decided still name it.
    Retired,
}

impl Status {
    /// The word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Shadow => "shadow",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// From when to when a version answers, and which date is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effective {
    /// Which date picks the version.
    pub basis: Basis,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: Option<NaiveDate>,
}

/// Which date picks the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The day of receipt in the plan's zone.
    Received,
    /// The first day of the service; the day of receipt where none is named.
    ServiceStart,
}

/// Who approved a version, when, and where that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The committee or person.
    pub by: String,
    /// The day.
    pub on: NaiveDate,
    /// The record.
    pub record: String,
}

/// A text that criteria cite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceKeys {
    /// The short name in `cite`.
    pub id: String,
    /// Title, number and version.
    pub cite: String,
    /// Where it can be read.
    pub url: String,
    /// When somebody last compared the policy with it.
    pub checked: NaiveDate,
}

/// For which codes, lines and states a policy answers: the only keys that the index uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scope {
    pub codes: Vec<CodesKeys>,
    pub lines: Vec<String>,
    pub states: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodesKeys {
    pub system: String,
    /// Codes, or ranges as `K0813-K0816`.
    pub any: Option<Vec<String>>,
    /// A file of `sets/`, one code or range a line.
    pub file: Option<String>,
}

/// A set of codes: written here, one a line in `sets/*.txt`, or the expansion of a `ValueSet` in `sets/*.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetKeys {
    pub system: Option<String>,
    pub any: Option<Vec<String>>,
    pub file: Option<String>,
    /// Canonical and version of the `ValueSet`: `http://…|2026`.
    pub valueset: Option<String>,
}

/// A fact: where it is found, and as what it is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FactKeys {
    pub from: Option<From>,
    #[serde(default)]
    pub keep: Vec<Keep>,
    pub read: Option<Read>,
    pub dated: Option<String>,
    pub pick: Option<Pick>,
    pub answer: Option<String>,
    #[serde(rename = "as")]
    pub kind: Option<Kind>,
    pub unit: Option<String>,
}

/// Where nodes are found: an indexed search, or a JSONPath for anything else.
#[derive(Debug, Clone)]
pub(super) enum From {
    Search(Search),
    Path(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    #[serde(rename = "type")]
    pub resource: String,
    pub code_in: Option<String>,
    pub status: Option<Vec<String>>,
    pub category: Option<Vec<String>>,
}

/// Keeps nodes that have, at `path`, a code of the set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keep {
    pub path: String,
    pub in_set: String,
}

/// What is read of the node that was picked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    pub path: String,
    #[serde(rename = "as")]
    pub kind: Kind,
    pub unit: Option<String>,
    /// Other units and what their numbers are multiplied with.
    #[serde(default)]
    pub convert: BTreeMap<String, f64>,
}

/// The type of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Number,
    Quantity,
    Date,
    Boolean,
    Text,
    Code,
}

/// Which of several nodes counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Pick {
    Newest,
    Oldest,
    First,
    Lowest,
    Highest,
}

/// One rule of the coverage part: the first whose condition is met answers; the last has none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CoverageRule {
    pub when: Option<Node>,
    pub answer: AnswerKeys,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionKeys {
    pub approve: Approve,
    pub otherwise: Otherwise,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approve {
    pub when: Node,
    pub grant: GrantKeys,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantKeys {
    #[serde(rename = "units")]
    pub _units: Units,
    pub period: Option<Period>,
    pub reason: String,
}

/// How much is granted. A rule can grant what was asked and nothing else; less is a person's decision.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum Units {
    #[serde(rename = "as-asked")]
    AsAsked,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Otherwise {
    pub pend: PendKeys,
    #[serde(default)]
    pub ask_for: BTreeMap<String, AskKeys>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PendKeys {
    pub queue: String,
    pub reason: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskKeys {
    pub loinc: Option<String>,
    pub questionnaire: Option<String>,
    pub text: String,
}

/// An embedded test: a fixture, changes to it (RFC 6902), and what must come out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestKeys {
    pub name: String,
    pub given: Given,
    pub expect: Expect,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    pub base: String,
    #[serde(default)]
    pub change: Vec<json_patch::PatchOperation>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub coverage: Option<String>,
    pub decision: Option<DecisionWord>,
    #[serde(default)]
    pub criteria: BTreeMap<String, Outcome>,
    pub ask: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DecisionWord {
    Approve,
    Pend,
    NotRequired,
}

impl<'de> Deserialize<'de> for From {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = From;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSONPath, or { type, code_in, status, category }")
            }
            fn visit_str<E: de::Error>(self, path: &str) -> Result<From, E> {
                Ok(From::Path(path.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<From, A::Error> {
                Search::deserialize(MapAccessDeserializer::new(map)).map(From::Search)
            }
        }
        from.deserialize_any(Either)
    }
}
