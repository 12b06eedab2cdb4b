//! What another set of policies would have said of a stored case: line by line against what was said that day, and
//! against what people decided since. Pure; it compares, it changes nothing.

use super::{Actor, Item, ItemStatus};
use crate::rules::{Ask, Decision, Source, Verdict};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// One side of the comparison, in the words of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    /// `dme.home-oxygen@2026.2`; `list:ANSWER` where a list row answered, `none` where nothing did.
    pub policy: String,
    /// `approve`, `pend` or `not-required`.
    pub decision: &'static str,
    /// `covered`, with `/auth-needed` and the like where the answer says it.
    pub coverage: String,
    /// What was asked for: the document or the form, else the criterion.
    pub asks: BTreeSet<String>,
    /// Trouble while evaluating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Side {
    /// A verdict in those words.
    pub fn of(verdict: &Verdict) -> Self {
        let (decision, asks) = match &verdict.decision {
            Decision::Approve(_) => ("approve", &[][..]),
            Decision::NotRequired { .. } => ("not-required", &[][..]),
            Decision::Pend(pend) => ("pend", pend.ask.as_slice()),
        };
        let asked = |ask: &Ask| {
            let what = ask.questionnaire.as_ref().or(ask.loinc.as_ref());
            what.map_or_else(
                || ask.criterion.clone(),
                |what| format!("{}: {what}", ask.criterion),
            )
        };
        let covered = verdict.coverage.covered.clone();
        Self {
            policy: policy(&verdict.source),
            decision,
            coverage: match &verdict.coverage.pa {
                Some(pa) => format!("{covered}/{pa}"),
                None => covered,
            },
            asks: asks.iter().map(asked).collect(),
            error: verdict.error.clone(),
        }
    }
}

/// What answered, in one word.
pub fn policy(source: &Source) -> String {
    match source {
        Source::Policy { policy, version, .. } => format!("{policy}@{version}"),
        Source::List { answer, .. } if answer.is_empty() => "none".to_owned(),
        Source::List { answer, .. } => format!("list:{answer}"),
        Source::Coverage => "coverage".to_owned(),
        Source::NoBillingCode => "no-billing-code".to_owned(),
    }
}

/// What people decided on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum People {
    /// A reviewer approved it as asked.
    Approved,
    /// A physician denied it.
    Denied,
    /// It waits.
    Open,
    /// Nobody had to: a rule settled it.
    Unneeded,
}

impl People {
    /// What people decided on this line.
    pub fn on(item: &Item) -> Self {
        let by_staff = item.decision.as_ref().map(|d| matches!(d.by, Actor::Staff(_)));
        match (by_staff, item.status) {
            (None, _) => Self::Open,
            (Some(true), ItemStatus::Approved) => Self::Approved,
            (Some(true), ItemStatus::Denied) => Self::Denied,
            _ => Self::Unneeded,
        }
    }

    /// The word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Open => "open",
            Self::Unneeded => "unneeded",
        }
    }
}

/// One line of a stored case under both sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The case.
    pub case: Uuid,
    /// The line.
    pub item: u32,
    /// What was said that day.
    pub before: Side,
    /// What the candidate says.
    pub after: Side,
    /// What is asked that was not asked that day.
    pub new_asks: BTreeSet<String>,
    /// What people decided.
    pub people: People,
}

/// A way in which the two sides can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flip {
    /// A rule approved it; a person would have to.
    ApproveToPend,
    /// A person had to; the rule would approve it.
    PendToApprove,
    /// It would need no authorization any more.
    ToNotRequired,
    /// It would need authorization.
    FromNotRequired,
    /// The coverage answer changes.
    Coverage,
    /// Something is asked that was not.
    NewAsks,
    /// Another policy or version answers.
    Policy,
    /// The candidate cannot be evaluated; a person would look.
    Error,
}

impl Flip {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::ApproveToPend => "approve -> pend",
            Self::PendToApprove => "pend -> approve",
            Self::ToNotRequired => "other -> not-required",
            Self::FromNotRequired => "not-required -> other",
            Self::Coverage => "coverage changes",
            Self::NewAsks => "new questions",
            Self::Policy => "another policy answers",
            Self::Error => "evaluation fails",
        }
    }
}

impl Line {
    /// Both verdicts on one line of a case.
    pub fn of(case: Uuid, item: &Item, candidate: &Verdict) -> Self {
        let (before, after) = (Side::of(&item.verdict), Side::of(candidate));
        Self {
            case,
            item: item.sequence,
            new_asks: after.asks.difference(&before.asks).cloned().collect(),
            before,
            after,
            people: People::on(item),
        }
    }

    /// Every way in which the two sides differ.
    pub fn flips(&self) -> Vec<Flip> {
        let (before, after) = (&self.before, &self.after);
        let decision = match (before.decision, after.decision) {
            (a, b) if a == b => None,
            ("approve", "pend") => Some(Flip::ApproveToPend),
            ("pend", "approve") => Some(Flip::PendToApprove),
            (_, "not-required") => Some(Flip::ToNotRequired),
            _ => Some(Flip::FromNotRequired),
        };
        let others = [
            (Flip::Coverage, before.coverage != after.coverage),
            (Flip::NewAsks, !self.new_asks.is_empty()),
            (Flip::Policy, before.policy != after.policy),
            (Flip::Error, before.error.is_none() && after.error.is_some()),
        ];
        let others = others
            .into_iter()
            .filter(|(_, holds)| *holds)
            .map(|(flip, _)| flip);
        decision.into_iter().chain(others).collect()
    }
}

/// The whole comparison: counts and case ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FlipTable {
    /// Cases that were run again.
    pub cases: usize,
    /// Their lines.
    pub lines: usize,
    /// Cases that cannot be run again, each with the reason.
    pub left_out: Vec<(Uuid, String)>,
    /// For each kind of difference its cases, once for each line.
    pub flips: BTreeMap<Flip, Vec<Uuid>>,
    /// What people decided where the candidate would approve and that day's rules did not.
    pub against_people: Against,
    /// Cases with a line that a physician denied and that would need no authorization.
    pub denied_and_not_required: Vec<Uuid>,
}

/// Lines that the candidate would approve and the rules of the day left to people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Against {
    /// People approved as asked.
    pub approved: Vec<Uuid>,
    /// A physician denied: each is a false approval.
    pub denied: Vec<Uuid>,
    /// Nobody has decided yet.
    pub open: Vec<Uuid>,
}

impl Against {
    /// How many lines those are.
    pub fn lines(&self) -> usize {
        self.approved.len() + self.denied.len() + self.open.len()
    }
}

impl FlipTable {
    /// Counts one line.
    pub fn add(&mut self, line: &Line) {
        self.lines += 1;
        for flip in line.flips() {
            self.flips.entry(flip).or_default().push(line.case);
        }
        let left_to_people = match line.people {
            People::Approved => Some(&mut self.against_people.approved),
            People::Denied => Some(&mut self.against_people.denied),
            People::Open => Some(&mut self.against_people.open),
            People::Unneeded => None,
        };
        if let Some(cases) = left_to_people.filter(|_| line.after.decision == "approve") {
            cases.push(line.case);
        }
        if line.people == People::Denied && line.after.decision == "not-required" {
            self.denied_and_not_required.push(line.case);
        }
    }

    /// Whether the candidate says the same of everything.
    pub fn is_empty(&self) -> bool {
        self.flips.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{CoverageAnswer, Grant, Pend};

    fn verdict(decision: Decision, version: &str) -> Verdict {
        Verdict {
            source: Source::Policy {
                policy: "p".into(),
                version: version.into(),
                hash: String::new(),
                title: String::new(),
            },
            coverage: CoverageAnswer {
                covered: "covered".into(),
                pa: Some("auth-needed".into()),
                ..CoverageAnswer::default()
            },
            decision,
            criteria: BTreeMap::new(),
            trace: Vec::new(),
            trace_hash: String::new(),
            error: None,
        }
    }

    fn approve() -> Decision {
        Decision::Approve(Grant {
            reason: String::new(),
            period: None,
        })
    }

    fn pend(asks: &[&str]) -> Decision {
        let ask = |name: &&str| Ask {
            criterion: (*name).to_owned(),
            loinc: Some("59408-5".into()),
            questionnaire: None,
            text: String::new(),
        };
        Decision::Pend(Pend {
            queue: "q".into(),
            reason: String::new(),
            ask: asks.iter().map(ask).collect(),
        })
    }

    fn not_required() -> Decision {
        Decision::NotRequired {
            reason: String::new(),
        }
    }

    fn line(before: Decision, after: Decision, people: People) -> Line {
        let (before, after) = (Side::of(&verdict(before, "1")), Side::of(&verdict(after, "1")));
        Line {
            case: Uuid::from_u128(7),
            item: 1,
            new_asks: after.asks.difference(&before.asks).cloned().collect(),
            before,
            after,
            people,
        }
    }

    #[test]
    fn equal_verdicts_are_no_flip() {
        for decision in [approve(), pend(&["a"]), not_required()] {
            assert!(line(decision.clone(), decision, People::Open).flips().is_empty());
        }
    }

    #[test]
    fn each_change_of_a_decision_has_its_name() {
        let flips = |before, after| line(before, after, People::Open).flips();
        assert_eq!(flips(approve(), pend(&[])), [Flip::ApproveToPend]);
        assert_eq!(flips(pend(&["a"]), approve()), [Flip::PendToApprove]);
        assert_eq!(flips(pend(&[]), not_required()), [Flip::ToNotRequired]);
        assert_eq!(flips(approve(), not_required()), [Flip::ToNotRequired]);
        assert_eq!(flips(not_required(), approve()), [Flip::FromNotRequired]);
        assert_eq!(flips(pend(&["a"]), pend(&["a", "b"])), [Flip::NewAsks]);
        assert_eq!(flips(pend(&["a", "b"]), pend(&["a"])), []);
    }

    #[test]
    fn another_version_another_coverage_and_trouble_are_told() {
        let mut other = verdict(approve(), "2");
        other.coverage.pa = None;
        other.error = Some("budget".into());
        let line = Line {
            after: Side::of(&other),
            ..line(approve(), approve(), People::Unneeded)
        };
        assert_eq!(line.flips(), [Flip::Coverage, Flip::Policy, Flip::Error]);
        assert_eq!(
            (line.after.policy.as_str(), line.after.coverage.as_str()),
            ("p@2", "covered")
        );
    }

    #[test]
    fn what_a_physician_denied_and_the_candidate_lets_pass_is_listed() {
        let mut table = FlipTable::default();
        table.add(&line(pend(&[]), approve(), People::Denied));
        table.add(&line(pend(&[]), approve(), People::Approved));
        table.add(&line(pend(&[]), approve(), People::Open));
        table.add(&line(approve(), approve(), People::Unneeded));
        table.add(&line(pend(&[]), not_required(), People::Denied));
        table.add(&line(pend(&[]), pend(&[]), People::Denied));
        let against = &table.against_people;
        assert_eq!(
            (against.lines(), against.denied.len(), against.open.len()),
            (3, 1, 1)
        );
        assert_eq!(table.denied_and_not_required.len(), 1);
        assert_eq!((table.lines, table.flips[&Flip::PendToApprove].len()), (6, 3));
    }
}
