//! What comes out of a rule: the coverage answer, the decision, the outcome of each criterion and the full trace.
//! Everything here is stored with the case and read back unchanged. There is no word for a denial among these types:
//! only a person can make one.

use crate::rules::format::period::Period;
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The answer to one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What answered: a policy, a list row, or nothing because no code can be billed.
    pub source: Source,
    /// What a CRD answer says.
    pub coverage: CoverageAnswer,
    /// What a PAS answer does.
    pub decision: Decision,
    /// Every criterion of the policy with its outcome; empty when coverage alone decided.
    pub criteria: BTreeMap<String, Outcome>,
    /// The coverage rules that were looked at, then the conditions of `approve.when`.
    pub trace: Vec<TraceNode>,
    /// `sha256:…` over the canonical JSON of the trace.
    pub trace_hash: String,
    /// Trouble while evaluating; the decision is then a pend.
    pub error: Option<String>,
}

/// What answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Source {
    /// A policy of `rules/policies`.
    Policy {
        /// Its name, such as `dme.home-oxygen`.
        policy: String,
        /// Its version.
        version: String,
        /// `sha256:…` over its file.
        hash: String,
        /// Its title.
        title: String,
    },
    /// The coverage itself: it is not in force, so no policy was asked.
    Coverage,
    /// A row of `rules/lists`.
    List {
        /// The file; empty when no row answered.
        file: String,
        /// The line in the file, counted from 1; 0 when no row answered.
        line: usize,
        /// The name of the row's answer in `rules/answers`.
        answer: String,
    },
    /// The item has no code that can be billed.
    NoBillingCode,
}

/// The three values. Missing data is unknown, never a no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Met,
    /// It does not hold.
    NotMet,
    /// The data do not say.
    Unknown,
}

impl Outcome {
    /// The word in files and traces.
    pub fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet => "not-met",
            Self::Unknown => "unknown",
        }
    }
}

/// What happens to the item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Decision {
    /// Approved as asked.
    Approve(Grant),
    /// A person decides.
    Pend(Pend),
    /// No authorization is needed.
    NotRequired {
        /// Why, in one sentence.
        reason: String,
    },
}

/// What an approval grants: the units as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Why, in one sentence.
    pub reason: String,
    /// How long, as the policy writes it: `12 months`.
    pub period: Option<String>,
}

impl Grant {
    /// The last day that the approval covers when it starts on `start`.
    pub fn ends(&self, start: NaiveDate) -> Option<NaiveDate> {
        let period = Period::read(self.period.as_deref()?).ok()?;
        period.after(start)?.checked_sub_days(Days::new(1))
    }
}

/// A pended item: where it waits and what is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pend {
    /// The reviewers' queue.
    pub queue: String,
    /// Why, as a short word: `clinical-review`, `not-covered`, `detail-code`.
    pub reason: String,
    /// One entry for each criterion that came out unknown.
    pub ask: Vec<Ask>,
}

/// What to ask the provider for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// The criterion that is open.
    pub criterion: String,
    /// The kind of document, by LOINC.
    pub loinc: Option<String>,
    /// The form, as `name|version`.
    pub questionnaire: Option<String>,
    /// In words.
    pub text: String,
}

/// All that CRD's coverage-information can carry (CRD 2.2 `ext-coverage-information`); absent members are empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CoverageAnswer {
    /// `covered`, `not-covered`, `conditional` or `indeterminate`.
    pub covered: String,
    /// `pa-needed`.
    pub pa: Option<String>,
    /// `doc-needed`.
    pub doc: Vec<String>,
    /// `doc-purpose`.
    pub doc_purpose: Vec<String>,
    /// `info-needed`.
    pub info_needed: Vec<String>,
    /// Forms, as `name|version`.
    pub questionnaires: Vec<String>,
    /// The reason whose code explains the answer comes first.
    pub reason: Vec<Reason>,
    /// Limits, decisional and other details.
    pub detail: Vec<Detail>,
    /// Whom to ask.
    pub contact: Vec<Contact>,
    /// How long the answer holds: `90 days`.
    pub expires: Option<String>,
    /// The billing codes that the answer is about.
    pub billing_codes: Vec<Code>,
    /// Codes of other orders of the same call that the answer depends on.
    pub dependency: Vec<Code>,
}

impl CoverageAnswer {
    /// The day on which the answer lapses when it is given on `from`.
    pub fn expiry_date(&self, from: NaiveDate) -> Option<NaiveDate> {
        Period::read(self.expires.as_deref()?).ok()?.after(from)
    }

    /// No answer can be given for a technical reason.
    pub fn indeterminate(reason_text: &str) -> Self {
        Self {
            covered: "indeterminate".into(),
            reason: vec![Reason {
                code: Some("technical".into()),
                text: reason_text.into(),
            }],
            ..Self::default()
        }
    }

    /// Not covered, for a reason of CRD's value set.
    pub fn not_covered(reason_code: &str, text: &str) -> Self {
        Self {
            covered: "not-covered".into(),
            reason: vec![Reason {
                code: Some(reason_code.into()),
                text: text.into(),
            }],
            ..Self::default()
        }
    }

    /// The order names no code that can be billed.
    pub fn detail_code_needed() -> Self {
        Self {
            covered: "conditional".into(),
            pa: Some("conditional".into()),
            info_needed: vec!["detail-code".into()],
            reason: vec![Reason {
                code: None,
                text: "The order has no billing code; the answer depends on the one that will be billed"
                    .into(),
            }],
            ..Self::default()
        }
    }

    /// The text of the first reason, or an empty text.
    pub fn reason_text(&self) -> &str {
        self.reason.first().map_or("", |r| r.text.as_str())
    }

    /// The word that stands for the whole answer in tests and traces: `pa` where it is given, else `covered`.
    pub fn word(&self) -> &str {
        self.pa.as_deref().unwrap_or(&self.covered)
    }
}

/// One reason, with a code of CRD's value set where one fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// `gold-card`, `auth-out-network`, …
    pub code: Option<String>,
    /// Always a text.
    pub text: String,
}

/// A code and its system, in the stored spelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The system's URL.
    pub system: String,
    /// The code.
    pub code: String,
}

/// One detail of a coverage answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// `cat-limitation`, `cat-decisional` or `cat-other`.
    pub category: String,
    /// A code of `crd-coverage-detail`.
    pub code: String,
    /// One member: `{"valueUrl": …}`, `{"valueQuantity": …}`, `{"valueString": …}`, `{"valueBoolean": …}`, `{"valuePeriod": …}`.
    pub value: Value,
    /// When it applies, in words.
    pub qualification: Option<String>,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// The desk.
    pub name: String,
    /// Its telephone.
    pub phone: Option<String>,
    /// Its page.
    pub url: Option<String>,
}

/// One node of the trace: a criterion, a combinator or a leaf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceNode {
    /// What came out.
    pub outcome: Outcome,
    /// The criterion's name, if this is one.
    pub criterion: Option<String>,
    /// Its text; for a coverage rule, which one it is.
    pub text: Option<String>,
    /// Its citation.
    pub cite: Option<String>,
    /// `all`, `any`, `first_known`, `not` or `at_least 2`.
    pub combine: Option<String>,
    /// What stands below.
    pub of: Vec<TraceNode>,
    /// The test itself, on a leaf.
    pub leaf: Option<Leaf>,
}

/// One test of one fact: what was found, where, and what was wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    /// The fact's name.
    pub fact: String,
    /// The value that was found.
    pub value: Option<Value>,
    /// Its unit.
    pub unit: Option<String>,
    /// Its date, as the source writes it.
    pub date: Option<String>,
    /// The normalised JSONPath of the place in the case document.
    pub path: Option<String>,
    /// The test in words: `at_most "88 %"`.
    pub wants: String,
    /// Why the outcome is what it is, where value and test do not say it.
    pub note: Option<String>,
}

/// `sha256:…` over the canonical JSON of a trace: members sorted, no white space.
pub fn hash_trace(trace: &[TraceNode]) -> String {
    let mut json = serde_json::to_value(trace).unwrap_or_default();
    json.sort_all_objects();
    sha256(json.to_string().as_bytes())
}

/// `sha256:` and the digest in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::from("sha256:"), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
