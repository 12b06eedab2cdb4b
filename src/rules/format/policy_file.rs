//! The format `pa-policy/1`, key by key. Unknown keys are refused, and codes must be quoted texts. The comments become
//! the descriptions in `rules/schema/`. `load::check` resolves names and compiles paths.

use crate::rules::format::conditions::{Condition, Criterion, Limit, Literal};
use crate::rules::format::coverage_answer::AnswerKeys;
use crate::rules::period::Period;
use crate::rules::verdict::Outcome;
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
    pub _format: FormatName,
    /// The policy's name: an area and a name, such as `dme.home-oxygen`.
    pub policy: String,
    /// The version. The file has the same name.
    pub version: String,
    /// Draft, shadow, active or retired.
    pub status: PolicyStatus,
    /// On which days the version is effective, and which date of a case counts.
    pub effective: EffectivePeriod,
    /// The title that people read.
    pub title: String,
    /// The group that maintains the policy.
    pub owner: String,
    /// The record of its approval. An active or shadow version needs one.
    pub approved: Option<PolicyApproval>,
    /// The sources that criteria cite.
    #[serde(default)]
    pub sources: Vec<PolicySource>,
    /// The codes, lines of business and states that the policy applies to.
    pub scope: ScopeKeys,
    /// Sets of codes, by name.
    #[serde(default)]
    pub sets: BTreeMap<String, SetKeys>,
    /// Values that are read from the case document, by name.
    #[serde(default)]
    pub facts: BTreeMap<String, FactKeys>,
    /// What must be true, as a text and as a condition, by name.
    pub criteria: BTreeMap<String, Criterion>,
    /// Coverage answers for CRD. The first rule whose `when` is met applies; the last rule has no `when`.
    pub coverage: Vec<CoverageRule>,
    /// The decision for PAS: approve as requested, or pend for a reviewer.
    pub decision: DecisionKeys,
    /// Questions of the policy's forms that no fact reads, each with the reason.
    #[serde(default)]
    pub not_read: BTreeMap<String, String>,
    /// Cases and their expected verdicts. Each criterion must be shown met, not met and unknown.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// The name of the format.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::rules) enum FormatName {
    #[serde(rename = "pa-policy/1")]
    One,
}

/// The status of a policy version. Only active versions are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PolicyStatus {
    /// Being written. It needs no approval yet.
    Draft,
    /// Evaluated next to the active version, for comparison. Its verdicts are not sent to anyone.
    Shadow,
    /// Applied to requests and orders.
    Active,
    /// No longer applied. Cases that it decided still name it.
    Retired,
}

impl PolicyStatus {
    /// The code in policy files.
    pub fn code(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Shadow => "shadow",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// On which days a version is effective, and which date of a case counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EffectivePeriod {
    /// Which date of a case selects the version.
    pub basis: EffectiveDateBasis,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: Option<NaiveDate>,
}

/// Which date of a case selects the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EffectiveDateBasis {
    /// The day of receipt in the plan's time zone.
    Received,
    /// The first day of service, or the day of receipt if the item has no date of service.
    ServiceStart,
}

/// Who approved a version, when, and where the approval is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyApproval {
    /// The committee or person that approved the version.
    pub by: String,
    /// The day of the approval.
    pub on: NaiveDate,
    /// The number or name of the record.
    pub record: String,
}

/// A source that criteria cite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// The short name that `cite` uses.
    pub id: String,
    /// Title, number and version of the source.
    pub cite: String,
    /// The web address of the source.
    pub url: String,
    /// The day on which somebody last compared the policy with the source.
    pub checked: NaiveDate,
}

/// The codes, lines of business and states that a policy applies to.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct ScopeKeys {
    /// Codes and ranges by system.
    pub codes: Vec<CodesKeys>,
    /// Lines of business, or `[any]`.
    pub lines_of_business: Vec<String>,
    /// States, or `[any]`.
    pub states: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct CodesKeys {
    /// The URL of the code system.
    pub system: String,
    /// Codes, or ranges such as `K0813-K0816`.
    pub any: Option<Vec<String>>,
    /// A file of `sets/` with one code or range per line.
    pub file: Option<String>,
}

/// A set of codes: written here, in a file `sets/*.txt`, or as the expansion of a `ValueSet` in `sets/*.json`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct SetKeys {
    /// What people read instead of the set's name.
    pub label: Option<String>,
    /// The URL of the code system, for `any` or `file`.
    pub system: Option<String>,
    /// The codes.
    pub any: Option<Vec<String>>,
    /// A file of `sets/` with one code per line.
    pub file: Option<String>,
    /// Canonical URL and version of the `ValueSet`: `http://…|2026`.
    pub valueset: Option<String>,
}

/// A fact: where it is found, and as which type it is read.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct FactKeys {
    /// What people read instead of the fact's name: `SpO2 at rest`.
    pub label: Option<String>,
    /// A search for resources, or a JSONPath from the root of the case document.
    pub from: Option<FromKeys>,
    /// Keeps only nodes that have a code of a set at a path.
    #[serde(default)]
    pub keep: Vec<KeepKeys>,
    /// Which value of a node is read, and as which type.
    pub read: Option<ReadKeys>,
    /// The path from the node to its date.
    pub dated: Option<String>,
    /// Which of several nodes is used. Without it they must have the same value.
    pub pick: Option<PickRule>,
    /// The linkId of a question in one of the policy's forms, instead of `from`.
    pub answer: Option<String>,
    /// The type of the answer, or of `means`.
    #[serde(rename = "as")]
    pub kind: Option<FactType>,
    /// The UCUM unit of a quantity.
    pub unit: Option<String>,
    /// The value of the fact if `from` finds something, instead of `read`.
    pub means: Option<Literal>,
    /// The linkId of the question whose answer is the date of `answer`.
    pub dated_by: Option<String>,
    /// More sources that state the same fact. If two sources differ, the fact is unknown.
    #[serde(default)]
    pub also: Vec<SourceKeys>,
    /// What counts if the sources differ: `unknown`, or the `first` source that states the fact.
    pub if_different: Option<IfDifferent>,
    /// The lowest and the highest plausible value. A fact with a value outside is unknown.
    pub plausible: Option<(Limit, Limit)>,
}

/// Another source of a fact, with the type and unit of the fact.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct SourceKeys {
    /// A search for resources, or a JSONPath from the root of the case document.
    pub from: Option<FromKeys>,
    /// Keeps only nodes that have a code of a set at a path.
    #[serde(default)]
    pub keep: Vec<KeepKeys>,
    /// Which value of a node is read. Type and unit are those of the fact.
    pub read: Option<ReadKeys>,
    /// The value of the fact if `from` finds something, instead of `read`.
    pub means: Option<Literal>,
    /// The path from the node to its date.
    pub dated: Option<String>,
    /// Which of several nodes is used. Without it they must have the same value.
    pub pick: Option<PickRule>,
    /// The linkId of a question in one of the policy's forms, instead of `from`.
    pub answer: Option<String>,
    /// The linkId of the question whose answer is the date of `answer`.
    pub dated_by: Option<String>,
}

impl FactKeys {
    /// The keys of the fact's own source, without those of `also`.
    pub(in crate::rules) fn first_source(&self) -> SourceKeys {
        SourceKeys {
            from: self.from.clone(),
            keep: self.keep.clone(),
            read: self.read.clone(),
            means: self.means.clone(),
            dated: self.dated.clone(),
            pick: self.pick,
            answer: self.answer.clone(),
            dated_by: self.dated_by.clone(),
        }
    }
}

/// What counts if the sources of a fact differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum IfDifferent {
    /// Nothing: the fact is unknown.
    Unknown,
    /// The first source that states the fact.
    First,
}

/// Where nodes are found: by a search for resources, which uses an index, or by a JSONPath.
#[derive(Debug, Clone)]
pub(in crate::rules) enum FromKeys {
    Search(ResourceSearch),
    Path(String),
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct ResourceSearch {
    /// The resource type.
    #[serde(rename = "type")]
    pub resource: String,
    /// The name of a set; the resource has one of its codes.
    pub code_in: Option<String>,
    /// The resource has one of these statuses.
    pub status: Option<Vec<String>>,
    /// The resource has one of these category codes.
    pub category: Option<Vec<String>>,
}

/// Keeps only nodes that have a code of the set at `path`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct KeepKeys {
    /// The path from the node to its codes.
    pub path: String,
    /// The name of a set.
    pub in_set: String,
}

/// Which value of the node is read.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct ReadKeys {
    /// The path from the node to the value.
    pub path: String,
    /// The type of the value.
    #[serde(rename = "as")]
    pub kind: FactType,
    /// The UCUM unit that a quantity must have.
    pub unit: Option<String>,
    /// Other units, and the factors by which their values are multiplied.
    #[serde(default)]
    pub convert: BTreeMap<String, f64>,
}

/// The type of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum FactType {
    Number,
    Quantity,
    Date,
    Boolean,
    Text,
    Code,
}

/// Which of several nodes is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum PickRule {
    Newest,
    Oldest,
    First,
    Lowest,
    Highest,
}

/// One coverage rule. The first rule whose condition is met applies; the last rule has no condition.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct CoverageRule {
    /// When the rule applies. The last rule has none.
    pub when: Option<Condition>,
    /// The coverage answer.
    pub answer: AnswerKeys,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct DecisionKeys {
    /// When the item is approved as requested, and for how long.
    pub approve: ApproveKeys,
    /// The queue for manual review, and the documents to request.
    pub otherwise: OtherwiseKeys,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct ApproveKeys {
    /// The condition for approval, as references to criteria.
    pub when: Condition,
    /// The terms of the approval.
    pub grant: GrantKeys,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct GrantKeys {
    /// `as-asked`: a rule approves the quantity requested, never less.
    #[serde(rename = "units")]
    pub _units: GrantedUnits,
    /// How long the approval is valid: `12 months`.
    pub period: Option<Period>,
    /// The reason in one sentence.
    pub reason: String,
}

/// The quantity that a rule approves. It can only approve the quantity requested; a reviewer may approve less.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::rules) enum GrantedUnits {
    #[serde(rename = "as-asked")]
    AsAsked,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct OtherwiseKeys {
    /// The queue and the reason.
    pub pend: PendKeys,
    /// What the provider should send, for each criterion of `approve.when`, if the criterion is unknown.
    #[serde(default)]
    pub ask_for: BTreeMap<String, AskKeys>,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct PendKeys {
    /// The reviewers' queue.
    pub queue: String,
    /// Why the item is pended, as a code.
    pub reason: String,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct AskKeys {
    /// The LOINC code of a document type.
    pub loinc: Option<String>,
    /// A form, as `name|version`.
    pub questionnaire: Option<String>,
    /// What to send, in words.
    pub text: String,
}

/// An embedded test: a fixture, changes to it (RFC 6902), and the expected verdict.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct TestKeys {
    /// What the test shows.
    pub name: String,
    /// The case document.
    pub given: GivenKeys,
    /// The expected verdict.
    pub expect: ExpectKeys,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct GivenKeys {
    /// A file of `fixtures/`.
    pub base: String,
    /// Changes to it (RFC 6902).
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
pub(in crate::rules) struct ExpectKeys {
    /// The code of the coverage answer: its `pa` if it has one, else its `covered`.
    pub coverage: Option<String>,
    /// The decision.
    pub decision: Option<ExpectedDecision>,
    /// Outcomes by criterion.
    #[serde(default)]
    pub criteria: BTreeMap<String, Outcome>,
    /// The criteria for which documents are requested, in order.
    pub ask: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::rules) enum ExpectedDecision {
    Approve,
    Pend,
    NotRequired,
}

impl FactType {
    /// The type with its article, for messages to people.
    pub(in crate::rules) fn text(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Quantity => "a quantity",
            Self::Date => "a date",
            Self::Boolean => "yes or no",
            Self::Text => "a text",
            Self::Code => "a code",
        }
    }

    /// The code in policy files.
    pub(in crate::rules) fn code(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Quantity => "quantity",
            Self::Date => "date",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Code => "code",
        }
    }
}

impl<'de> Deserialize<'de> for FromKeys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = FromKeys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSONPath, or { type, code_in, status, category }")
            }
            fn visit_str<E: de::Error>(self, path: &str) -> Result<FromKeys, E> {
                Ok(FromKeys::Path(path.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FromKeys, A::Error> {
                ResourceSearch::deserialize(MapAccessDeserializer::new(map)).map(FromKeys::Search)
            }
        }
        from.deserialize_any(Either)
    }
}
