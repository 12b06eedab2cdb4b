//! Rules: what is covered, what needs authorization, what is approved, and which documents to request. Facts in,
//! verdict out; this module does no I/O and does not read the clock.
//!
//! The files of `rules/` (policies in the format `pa-policy/1`, lists, coverage answers, plans and code tables; see
//! `rules/README.md`) are passed in as (path, text) pairs and become one immutable `RuleSet`. A reload replaces the
//! whole set. Each criterion is met, not met or unknown. The format cannot express a denial, and neither can this
//! module.

mod criteria_counts;
mod evaluate;
mod finding;
mod form_question;
mod format;
mod load;
mod period;
mod policy;
mod publish;
mod rule_set;
mod services;
mod shown_trace;
mod trace_hash;
mod trace_text;
mod units;
mod verdict;

pub use criteria_counts::{CriteriaCounts, conditions, count_conditions};
pub use evaluate::case_document::{CaseDocument, CaseInput, CaseKind, MemberFacts};
pub use evaluate::case_evidence::CaseEvidence;
pub use evaluate::item::{ClaimParts, order_item_facts, ordered_references};
pub use evaluate::request_limits::days_asked_for;
pub use finding::Finding;
pub use form_question::{FormQuestion, QuestionKind};
pub use format::codes::billing_code_error;
pub(crate) use format::codes::{CodeRange, code_key};
pub use format::policy_file::{
    EffectiveDateBasis, EffectivePeriod, PolicyApproval, PolicySource, PolicyStatus,
};
pub(crate) use format::yaml::read_yaml;
pub use load::QuestionsOfForm;
pub use load::embedded_tests::{Difference, OutcomeCounts, TestReport};
pub use load::mutants::Mutant;
pub use load::options::{EmbeddedTests, LoadOptions};
pub use load::tables::{DenialReason, Plan};
pub use policy::Policy;
pub use publish::public_list::{PublicList, PublicListDetails, PublicListRow};
pub use rule_set::RuleSet;
pub use shown_trace::{ShownNode, ShownTest};
pub use trace_hash::hash_trace;
pub use trace_text::trace_text;
pub use units::quantity_text;
pub use verdict::{
    ApprovalTerms, Code, CoverageAnswer, CoverageContact, CoverageDetail, CoverageReason, CoverageVerdict,
    Decision, Leaf, NeededDocument, Outcome, Pend, StatedValue, TraceNode, Verdict, VerdictSource, sha256,
};

#[cfg(test)]
pub(crate) mod operator_cases;
#[cfg(test)]
mod tests;
