//! The format `pa-policy/1`, key by key. Every map refuses unknown keys; codes are texts by type. The file only says
//! what is written: names are resolved and checked in `check`, paths compiled in `facts`.

use crate::rules::evaluate::verdict::Outcome;
use crate::rules::format::conditions::{Criterion, Node};
use crate::rules::format::coverage_answer::AnswerKeys;
use crate::rules::format::period::Period;
use chrono::NaiveDate;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A policy file.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct PolicyKeys {
    /// The format: `pa-policy/1`.
    #[serde(rename = "format")]
    pub _format: Format,
    /// Area and name: `dme.home-oxygen`.
    pub policy: String,
    /// The version; the file is named after it.
    pub version: String,
    /// Where this version stands in its life.
    pub status: Status,
    /// From when to when it answers, and which date is asked.
    pub effective: Effective,
    /// What people read above it.
    pub title: String,
    /// Who keeps it.
    pub owner: String,
    /// The record of its approval; needed to be active or shadow.
    pub approved: Option<Approval>,
    /// The texts that criteria cite.
    #[serde(default)]
    pub sources: Vec<SourceKeys>,
    /// For which codes, lines and states it answers: the only keys that the index uses.
    pub scope: Scope,
    /// Sets of codes, by name.
    #[serde(default)]
    pub sets: BTreeMap<String, SetKeys>,
    /// What is read of the case, by name.
    #[serde(default)]
    pub facts: BTreeMap<String, FactKeys>,
    /// What must hold, in words and as conditions, by name.
    pub criteria: BTreeMap<String, Criterion>,
    /// The CRD answer: the first rule whose `when` is met; the last has none.
    pub coverage: Vec<CoverageRule>,
    /// The PAS answer: approve as asked, or let a person decide.
    pub decision: DecisionKeys,
    /// Cases and what must come out; each criterion is seen met, not met and unknown.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// The format's name, in every file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::rules) enum Format {
    #[serde(rename = "pa-policy/1")]
    One,
}

/// Where a version stands in its life. Only active ones answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The day of receipt in the plan's zone.
    Received,
    /// The first day of the service; the day of receipt where none is named.
    ServiceStart,
}

/// Who approved a version, when, and where that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct Scope {
    /// Codes and ranges by system.
    pub codes: Vec<CodesKeys>,
    /// Lines of business, or `[any]`.
    pub lines: Vec<String>,
    /// States, or `[any]`.
    pub states: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct CodesKeys {
    /// The URL of the code system.
    pub system: String,
    /// Codes, or ranges as `K0813-K0816`.
    pub any: Option<Vec<String>>,
    /// A file of `sets/`, one code or range a line.
    pub file: Option<String>,
}

/// A set of codes: written here, one a line in `sets/*.txt`, or the expansion of a `ValueSet` in `sets/*.json`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct SetKeys {
    /// The URL of the code system, with `any` or `file`.
    pub system: Option<String>,
    /// The codes.
    pub any: Option<Vec<String>>,
    /// A file of `sets/`, one code a line.
    pub file: Option<String>,
    /// Canonical and version of the `ValueSet`: `http://…|2026`.
    pub valueset: Option<String>,
}

/// A fact: where it is found, and as what it is read.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct FactKeys {
    /// An indexed search, or a JSONPath from the case document.
    pub from: Option<From>,
    /// Keeps the nodes that have a code of a set at a path.
    #[serde(default)]
    pub keep: Vec<Keep>,
    /// What is read of each node, and as what.
    pub read: Option<Read>,
    /// The path of the date, from the node.
    pub dated: Option<String>,
    /// Which of several nodes counts; without it they must agree.
    pub pick: Option<Pick>,
    /// The linkId of a question of the policy's form, instead of `from`.
    pub answer: Option<String>,
    /// The type of the answer.
    #[serde(rename = "as")]
    pub kind: Option<Kind>,
    /// The UCUM unit of a quantity.
    pub unit: Option<String>,
}

/// Where nodes are found: an indexed search, or a JSONPath for anything else.
#[derive(Debug, Clone)]
pub(in crate::rules) enum From {
    Search(Search),
    Path(String),
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct Search {
    /// The resource type.
    #[serde(rename = "type")]
    pub resource: String,
    /// The name of a set.
    pub code_in: Option<String>,
    /// Statuses that count.
    pub status: Option<Vec<String>>,
    /// Category codes that count.
    pub category: Option<Vec<String>>,
}

/// Keeps nodes that have, at `path`, a code of the set.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct Keep {
    /// Where the codes are, from the node.
    pub path: String,
    /// The name of a set.
    pub in_set: String,
}

/// What is read of the node that was picked.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct Read {
    /// Where the value is, from the node.
    pub path: String,
    /// Its type.
    #[serde(rename = "as")]
    pub kind: Kind,
    /// The UCUM unit that a quantity must have.
    pub unit: Option<String>,
    /// Other units and what their numbers are multiplied with.
    #[serde(default)]
    pub convert: BTreeMap<String, f64>,
}

/// The type of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum Kind {
    Number,
    Quantity,
    Date,
    Boolean,
    Text,
    Code,
}

/// Which of several nodes counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum Pick {
    Newest,
    Oldest,
    First,
    Lowest,
    Highest,
}

/// One rule of the coverage part: the first whose condition is met answers; the last has none.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct CoverageRule {
    /// When this rule answers; the last rule has none.
    pub when: Option<Node>,
    /// What it answers.
    pub answer: AnswerKeys,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct DecisionKeys {
    /// When the request is approved as asked, and for how long.
    pub approve: Approve,
    /// Where it waits for a person, and what is asked for.
    pub otherwise: Otherwise,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct Approve {
    /// The criteria that must all be met, as references.
    pub when: Node,
    /// What is granted.
    pub grant: GrantKeys,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct GrantKeys {
    /// `as-asked`: a rule cannot grant less.
    #[serde(rename = "units")]
    pub _units: Units,
    /// How long: `12 months`.
    pub period: Option<Period>,
    /// Why, in one sentence.
    pub reason: String,
}

/// How much is granted. A rule can grant what was asked and nothing else; less is a person's decision.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::rules) enum Units {
    #[serde(rename = "as-asked")]
    AsAsked,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct Otherwise {
    /// Where the request waits.
    pub pend: PendKeys,
    /// What to send for each criterion of `approve.when` that is unknown.
    #[serde(default)]
    pub ask_for: BTreeMap<String, AskKeys>,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct PendKeys {
    /// The reviewers' queue.
    pub queue: String,
    /// Why it waits, in a short word.
    pub reason: String,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct AskKeys {
    /// The LOINC code of a document.
    pub loinc: Option<String>,
    /// A form, as `name|version`.
    pub questionnaire: Option<String>,
    /// In words.
    pub text: String,
}

/// An embedded test: a fixture, changes to it (RFC 6902), and what must come out.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct TestKeys {
    /// What it shows.
    pub name: String,
    /// The case.
    pub given: Given,
    /// What must come out.
    pub expect: Expect,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct Given {
    /// A case document of `fixtures/`.
    pub base: String,
    /// Changes to it, RFC 6902.
    #[serde(default)]
    #[cfg_attr(
        test,
        schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")
    )]
    pub change: Vec<json_patch::PatchOperation>,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct Expect {
    /// The word of the coverage answer: `pa` where it is given, else `covered`.
    pub coverage: Option<String>,
    /// The decision.
    pub decision: Option<DecisionWord>,
    /// Outcomes by criterion.
    #[serde(default)]
    pub criteria: BTreeMap<String, Outcome>,
    /// The criteria that are asked about, in order.
    pub ask: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum DecisionWord {
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
