//! The verdict on one item: coverage answer, decision, outcome of each criterion, and trace. These types are stored
//! with the case and read back unchanged; what is empty is not written, because half of a trace would be empty members.
//! They cannot express a denial: only a physician can deny.

use crate::rules::evaluate::request_limits::limit_text;
use crate::rules::period::Period;
use aws_lc_rs::digest::{SHA256, digest};
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The result of evaluating one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The policy or list row that was applied.
    pub source: VerdictSource,
    /// The coverage answer, for CRD.
    pub coverage: CoverageAnswer,
    /// The decision, for PAS.
    pub decision: Decision,
    /// The outcome of each criterion of the policy. Empty if the coverage answer decided alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub criteria: BTreeMap<String, Outcome>,
    /// The coverage rules up to the one that applied, then the condition `approve.when`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceNode>,
    /// The hash of the trace, from `hash_trace`.
    pub trace_hash: String,
    /// Why the evaluation failed. The decision is then a pend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The coverage answer for an order, without what only a request needs: decision, criteria and trace.
#[derive(Debug, Clone, PartialEq)]
pub struct CoverageVerdict {
    /// The policy or list row that was applied.
    pub source: VerdictSource,
    /// The coverage answer.
    pub coverage: CoverageAnswer,
    /// Why the evaluation failed.
    pub error: Option<String>,
}

impl From<Verdict> for CoverageVerdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            source: verdict.source,
            coverage: verdict.coverage,
            error: verdict.error,
        }
    }
}

/// The policy or list row that gave a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum VerdictSource {
    /// A policy of `rules/policies`.
    Policy {
        /// The policy's name, such as `dme.home-oxygen`.
        policy: String,
        /// The policy's version.
        version: String,
        /// `sha256:…` of the policy's file.
        hash: String,
        /// The policy's title.
        title: String,
    },
    /// The member's coverage: it is not active, so no policy was evaluated.
    Coverage,
    /// A row of `rules/lists`.
    List {
        /// The file, relative to `rules/`. Empty if no row applies.
        file: String,
        /// The line in the file, counted from 1. 0 if no row applies.
        line: usize,
        /// The name of the row's answer in `rules/answers`. Empty if no row applies.
        answer: String,
    },
    /// None: the item has no billing code.
    NoBillingCode,
}

/// The outcome of a criterion or test. Missing data is unknown, not a failure to meet the criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is met.
    Met,
    /// It is not met.
    NotMet,
    /// The data is missing or unusable.
    Unknown,
}

impl Outcome {
    /// The code in policy files: `met`, `not-met`, `unknown`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet => "not-met",
            Self::Unknown => "unknown",
        }
    }

    /// In words: `met`, `not met`, `unknown`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet => "not met",
            Self::Unknown => "unknown",
        }
    }
}

/// What happens with the item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Decision {
    /// Approved as requested.
    Approve(ApprovalTerms),
    /// Pended: a reviewer decides.
    Pend(Pend),
    /// Authorization is not required.
    NotRequired {
        /// Why, in one sentence.
        reason: String,
    },
}

/// The terms of an approval. It is always for the quantity requested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalTerms {
    /// Why, in one sentence.
    pub reason: String,
    /// How long the approval is valid, as the policy writes it: `12 months`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
}

impl ApprovalTerms {
    /// The last day of an approval that starts on `start`. `None` without a period.
    pub fn ends(&self, start: NaiveDate) -> Option<NaiveDate> {
        let period = Period::read(self.period.as_deref()?).ok()?;
        period.after(start)?.checked_sub_days(Days::new(1))
    }
}

/// A pended item: its queue, and the documents needed to decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pend {
    /// The reviewers' queue.
    pub queue: String,
    /// Why, as a code: `clinical-review`, `not-covered`, `detail-code`, `evaluation-error`, `service-in-the-past`, …
    pub reason: String,
    /// One document or form for each criterion that is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents_needed: Vec<NeededDocument>,
}

impl Pend {
    /// The reason in one sentence, if it does not lie in the policy: days that nothing may decide, or an item that does not
    /// name one service.
    pub fn limit_text(&self) -> Option<&'static str> {
        limit_text(&self.reason)
    }
}

/// A document or form that the provider should send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeededDocument {
    /// The name of the criterion that is unknown.
    pub criterion: String,
    /// The type of document, as a LOINC code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loinc: Option<String>,
    /// The form, as `name|version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub questionnaire: Option<String>,
    /// What to send, in words.
    pub text: String,
}

/// The coverage answer: the elements of CRD's coverage information (CRD 2.2 `ext-coverage-information`). Fields hold
/// its codes; an element that is absent is empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CoverageAnswer {
    /// `covered`, `not-covered`, `conditional` or `indeterminate`.
    pub covered: String,
    /// `pa-needed`: `no-auth`, `auth-needed`, `performpa`, `conditional`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pa: Option<String>,
    /// `doc-needed`: `clinical`, `admin`, `patient`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doc: Vec<String>,
    /// `doc-purpose`: `withpa`, `withclaim`, `withorder`, `retain-doc`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doc_purpose: Vec<String>,
    /// `info-needed`: `performer`, `location`, `timeframe`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub info_needed: Vec<String>,
    /// Forms, as `name|version`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub questionnaires: Vec<String>,
    /// The reasons for the answer. The first one is the main reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<CoverageReason>,
    /// Limits, decisional and other details.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<CoverageDetail>,
    /// Whom to contact about the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<CoverageContact>,
    /// How long the answer is valid: `90 days`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The billing codes that the answer is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub billing_codes: Vec<Code>,
    /// Codes of other orders at the same hook that the answer depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependency: Vec<Code>,
}

impl CoverageAnswer {
    /// The day on which an answer given on `from` expires.
    pub fn expiry_date(&self, from: NaiveDate) -> Option<NaiveDate> {
        Period::read(self.expires.as_deref()?).ok()?.after(from)
    }

    /// The answer when there is none for a technical reason.
    pub fn indeterminate(reason_text: &str) -> Self {
        Self {
            covered: "indeterminate".into(),
            reason: vec![CoverageReason {
                code: Some("technical".into()),
                text: reason_text.into(),
            }],
            ..Self::default()
        }
    }

    /// Not covered, with a reason code of CRD's value set.
    pub fn not_covered(reason_code: &str, text: &str) -> Self {
        Self {
            covered: "not-covered".into(),
            reason: vec![CoverageReason {
                code: Some(reason_code.into()),
                text: text.into(),
            }],
            ..Self::default()
        }
    }

    /// The answer for an order without a billing code, or with a malformed one.
    pub fn detail_code_needed() -> Self {
        Self {
            covered: "conditional".into(),
            pa: Some("conditional".into()),
            info_needed: vec!["detail-code".into()],
            reason: vec![CoverageReason {
                code: None,
                text: "The order has no billing code, or one that is not written like a code of its system. The answer depends on \
                       the code that will be billed"
                    .into(),
            }],
            ..Self::default()
        }
    }

    /// The text of the first reason. Empty if there is none.
    pub fn reason_text(&self) -> &str {
        self.reason.first().map_or("", |r| r.text.as_str())
    }

    /// The code that stands for the whole answer in tests and traces: `pa` if there is one, else `covered`.
    pub fn summary_code(&self) -> &str {
        self.pa.as_deref().unwrap_or(&self.covered)
    }
}

/// A reason for a coverage answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoverageReason {
    /// A code of CRD's value set, if one fits: `gold-card`, `auth-out-network`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The reason in one sentence.
    pub text: String,
}

/// A code and its system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The system's URL, in the stored spelling.
    pub system: String,
    /// The code.
    pub code: String,
}

/// A detail of a coverage answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoverageDetail {
    /// `cat-limitation`, `cat-decisional` or `cat-other`.
    pub category: String,
    /// A code of `crd-coverage-detail`.
    pub code: String,
    /// An object with one member: `valueUrl`, `valueQuantity`, `valueString`, `valueBoolean` or `valuePeriod`.
    pub value: Value,
    /// When the detail applies, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qualification: Option<String>,
}

/// Whom to contact about a coverage answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoverageContact {
    /// The name of the department.
    pub name: String,
    /// Its telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Its web page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One node of the trace: a criterion, a combination of nodes, or the test of a fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceNode {
    /// The outcome.
    pub outcome: Outcome,
    /// The name, if this node is a criterion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criterion: Option<String>,
    /// The criterion's text. For a coverage rule, its number: `coverage rule 1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The criterion's citation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cite: Option<String>,
    /// How `of` is combined: `all`, `any`, `first_known`, `not` or `at_least 2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combine: Option<String>,
    /// The nodes that are combined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<TraceNode>,
    /// The test, if this node is a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<Leaf>,
}

/// One test of one fact: what was found, where, and what was required.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    /// The fact's name in the policy.
    pub fact: String,
    /// What people read instead of the name. Not part of the trace's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The value found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The UCUM unit of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The date of the value, as the source writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The normalized JSONPath of the value in the case document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The test as the policy writes it: `at_most "88 %"`.
    pub test: String,
    /// What the test requires, in words: `88% or less`. Not part of the trace's hash.
    pub required: String,
    /// What the opposite requires, in words: `more than 88%`. Only for a test that the policy negates. Not part of the
    /// trace's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negated: Option<String>,
    /// Why the test has this outcome, if value and requirement do not explain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The values that `note` is about: those that contradict each other, or one that is not plausible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stated: Vec<StatedValue>,
}

/// A value of a fact that was found and does not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatedValue {
    /// The value.
    pub value: Value,
    /// The UCUM unit of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The date of the value, as the source writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The normalized JSONPath of the value in the case document.
    pub path: String,
}

/// `sha256:` and the digest in lowercase hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(digest(&SHA256, bytes).as_ref()))
}

/// Lowercase hexadecimal digits.
pub(in crate::rules) fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::trace_hash::hash_trace;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn an_approval_for_twelve_months_ends_on_the_day_before_the_anniversary() {
        let terms = ApprovalTerms {
            reason: String::new(),
            period: Some("12 months".into()),
        };
        assert_eq!(terms.ends(day("2026-10-01")), Some(day("2027-09-30")));
        assert_eq!(terms.ends(day("2024-02-29")), Some(day("2025-02-27")));
    }

    #[test]
    fn an_answer_that_is_valid_for_ninety_days_expires_ninety_days_later() {
        let answer = CoverageAnswer {
            expires: Some("90 days".into()),
            ..CoverageAnswer::default()
        };
        assert_eq!(answer.expiry_date(day("2026-10-01")), Some(day("2026-12-30")));
    }

    #[test]
    fn labels_and_words_are_not_part_of_the_traces_hash() {
        let leaf = |label: Option<&str>, required: &str, test: &str| {
            let leaf = Leaf {
                fact: "spo2.rest".into(),
                label: label.map(str::to_owned),
                value: None,
                unit: None,
                date: None,
                path: None,
                test: test.into(),
                required: required.into(),
                negated: Some(required.into()),
                note: None,
                stated: Vec::new(),
            };
            let node = |leaf, of| TraceNode {
                outcome: Outcome::Unknown,
                criterion: None,
                text: None,
                cite: None,
                combine: None,
                of,
                leaf,
            };
            hash_trace(&[node(None, vec![node(Some(leaf), Vec::new())])])
        };
        let without = leaf(None, "", "at_most \"88 %\"");
        assert_eq!(
            leaf(Some("SpO2 at rest"), "88% or less", "at_most \"88 %\""),
            without
        );
        assert_ne!(leaf(None, "", "at_most \"89 %\""), without);
    }
}
