//! Rules: what is covered, what needs authorization, what approves it, what to ask for. Facts in, verdict out; pure.
//!
//! `rules/policies/**.yaml` (format `pa-policy/1`), `rules/lists/*.csv` with `rules/answers/*.yaml`, `rules/plans.csv`
//! and `rules/codes/denial.csv` come in as (path, text) pairs and make one `RuleSet`, swapped whole on reload. Each
//! criterion is met, not met or unknown. The format has no word for a denial, and neither has this module.

mod evaluate;
mod format;
mod load;
mod policy;
mod publish;

pub use evaluate::case_document::{CaseDocument, CaseInput, CaseKind, MemberFacts};
pub use evaluate::item::{item_of_claim, item_of_order};
pub use evaluate::trace_text::readable;
pub use evaluate::verdict;
pub use evaluate::verdict::{
    Ask, Code, Contact, CoverageAnswer, Decision, Detail, Grant, Leaf, Outcome, Pend, Reason, Source,
    TraceNode, Verdict,
};
pub use format::codes::code_mistake;
pub use format::policy_file;
pub(crate) use format::yaml::read_yaml;
pub use load::embedded_tests::{Difference, Seen, TestReport};
pub use load::mutants::Mutant;
pub use load::tables::{DenialReason, Plan};
pub use policy::Policy;
pub use publish::public_list::{About, Listed, PublicList};

use chrono::NaiveDate;
use evaluate::facts::Budget;
use evaluate::index::{Answering, Index};
use evaluate::{pend, settled_by_coverage};
use load::files::NamedAnswer;
use load::tables::{Row, holds_on};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

/// Every rule, immutable: read, checked and tested as one.
#[derive(Debug)]
pub struct RuleSet {
    index: Index,
    policies: Vec<Policy>,
    rows: Vec<Row>,
    answers: BTreeMap<String, NamedAnswer>,
    plans: Vec<Plan>,
    denials: Vec<DenialReason>,
    fixtures: HashMap<String, Value>,
    warnings: Vec<Finding>,
    tested: HashSet<String>,
}

/// How a set is loaded.
#[derive(Debug, Clone, Default)]
pub struct Loading {
    /// The day on which sources are asked whether somebody looked at them within a year; without it nobody asks.
    pub today: Option<NaiveDate>,
    /// Policies whose embedded tests passed before, by the hash of all that they read; their tests are not run again.
    pub tested: HashSet<String>,
    /// What happens to the embedded tests.
    pub tests: Tests,
}

/// What loading does with embedded tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tests {
    /// Runs those that did not pass before; a failure is a finding.
    #[default]
    Run,
    /// Reads and checks them for whoever runs them next.
    Read,
    /// Leaves them alone: the set was published, so they have passed.
    Leave,
}

/// A mistake in a rule file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to `rules/`.
    pub file: String,
    /// The line, counted from 1, where one is known.
    pub line: Option<usize>,
    /// One sentence: what is wrong.
    pub message: String,
    /// One sentence: how to mend it; empty where the message says it.
    pub mend: String,
}

impl Finding {
    pub(crate) fn new(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            message: message.into(),
            mend: String::new(),
        }
    }

    pub(crate) fn mend(mut self, sentence: &str) -> Self {
        sentence.clone_into(&mut self.mend);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message)?,
            None => write!(f, "{}: {}", self.file, self.message)?,
        }
        if self.mend.is_empty() {
            Ok(())
        } else {
            write!(f, ". {}", self.mend)
        }
    }
}

impl RuleSet {
    /// `files`: (path relative to `rules/`, text). `forms`: the link ids of a form named `name|version`; none when
    /// there is no such form. Runs every load-time check and every embedded test; all findings at once.
    pub fn load(
        files: &[(String, String)],
        forms: &dyn Fn(&str) -> Option<Vec<String>>,
    ) -> Result<Self, Vec<Finding>> {
        load::load(files, forms, &Loading::default())
    }

    /// The same with a say in what is run.
    pub fn load_with(
        files: &[(String, String)],
        forms: &dyn Fn(&str) -> Option<Vec<String>>,
        loading: &Loading,
    ) -> Result<Self, Vec<Finding>> {
        load::load(files, forms, loading)
    }

    /// What is not wrong, but should be looked at: sources unchecked for a year, days without a version.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// The policies whose embedded tests passed, for the next loading.
    pub fn tested(&self) -> &HashSet<String> {
        &self.tested
    }

    /// The plan that `Coverage.class[plan]` names, as it stands on a day.
    pub fn plan(&self, code: &str, on: NaiveDate) -> Option<&Plan> {
        self.plans
            .iter()
            .find(|p| p.code == code && holds_on(p.from, p.to, on))
    }

    /// The lines of business that plans have.
    pub fn lines(&self) -> BTreeSet<&str> {
        self.plans.iter().map(|plan| plan.line.as_str()).collect()
    }

    /// The reasons that a reviewer may give for a denial.
    pub fn denial_reasons(&self) -> &[DenialReason] {
        &self.denials
    }

    /// Every policy, also drafts and retired ones.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// Makes the case document: finds the policy of the item and collects the answers of its forms, and of no other:
    /// what another version asked is no answer to this one's question.
    pub fn document(&self, input: CaseInput<'_>) -> CaseDocument {
        let document = CaseDocument::build(input);
        let forms = self.policy_for(&document).map(Policy::forms).unwrap_or_default();
        document.answered(&forms)
    }

    /// The verdict on one document. Any trouble is a pend with `error`; the same document gives the same verdict.
    pub fn evaluate(&self, document: &CaseDocument) -> Verdict {
        let demanding = |row: &Row| {
            self.answers
                .get(&*row.answer)
                .is_some_and(|a| a.answer.answer().word() != "no-auth")
        };
        match self
            .index
            .answering(document, &self.policies, &self.rows, demanding)
        {
            Answering::Policy(policy) => evaluated(policy, document),
            Answering::Row(row) => self.by_list(row),
            Answering::NoBillingCode => {
                let waits = pend("intake", "detail-code", Vec::new());
                untraced(
                    Source::NoBillingCode,
                    CoverageAnswer::detail_code_needed(),
                    waits,
                    None,
                )
            }
            Answering::Nothing => unanswered(),
        }
    }

    /// The active policy that answers for the document's item, if one does.
    pub fn policy_for(&self, document: &CaseDocument) -> Option<&Policy> {
        self.index.policy(document, &self.policies)
    }

    /// What the shadow versions would have said of the same item, each with the answers of its own forms. It is stored
    /// and compared; nobody is told.
    pub fn shadows(&self, document: &CaseDocument) -> Vec<Verdict> {
        let speaking = self.index.shadows(document, &self.policies);
        let verdict = |policy: &Policy| {
            let document = document.clone().answered(&policy.forms());
            evaluated(policy, &document)
        };
        speaking.into_iter().map(verdict).collect()
    }

    /// Runs the embedded tests of every policy.
    pub fn run_tests(&self) -> Vec<TestReport> {
        load::embedded_tests::run(self)
    }

    /// Runs the embedded tests of one policy.
    pub fn run_tests_of(&self, policy: &Policy) -> Vec<TestReport> {
        load::embedded_tests::run_policy(self, policy)
    }

    /// The policy with each threshold, unit, code and `if_missing` moved by one step, and which test notices.
    pub fn mutants(&self, policy: &Policy) -> Vec<Mutant> {
        load::mutants::mutants(self, policy)
    }

    /// How often those tests show each criterion of a policy met, not met and unknown.
    pub fn seen<'a>(&self, policy: &'a Policy, reports: &[TestReport]) -> BTreeMap<&'a str, Seen> {
        load::embedded_tests::seen(policy, reports)
    }

    fn by_list(&self, row: &Row) -> Verdict {
        let source = Source::List {
            file: row.file.to_string(),
            line: row.at,
            answer: row.answer.to_string(),
        };
        let Some(named) = self.answers.get(&*row.answer) else {
            return unanswered();
        };
        let coverage = named.answer.answer();
        let queue = named.queue.as_deref().unwrap_or("clinical-review");
        let waits = || pend(queue, "clinical-review", Vec::new());
        let decision = settled_by_coverage(&coverage).unwrap_or_else(waits);
        untraced(source, coverage, decision, None)
    }
}

/// The verdict of a policy. Even a mistake of the evaluator itself pends: no answer is lost to it.
fn evaluated(policy: &Policy, document: &CaseDocument) -> Verdict {
    let work = || evaluate::verdict(policy, document, Budget(Budget::WHOLE));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| evaluate::broken(policy))
}

/// No row speaks for the line: a person looks.
fn unanswered() -> Verdict {
    let source = Source::List {
        file: String::new(),
        line: 0,
        answer: String::new(),
    };
    let coverage = CoverageAnswer::indeterminate("No rule answers for this coverage");
    let waits = pend("administrative", "evaluation-error", Vec::new());
    untraced(
        source,
        coverage,
        waits,
        Some("no list row speaks for the line of business on that day".into()),
    )
}

/// A verdict without criteria.
fn untraced(source: Source, coverage: CoverageAnswer, decision: Decision, error: Option<String>) -> Verdict {
    Verdict {
        source,
        coverage,
        decision,
        criteria: BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: verdict::hash_trace(&[]),
        error,
    }
}

#[cfg(test)]
mod tests;
