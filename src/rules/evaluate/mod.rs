//! Evaluating one policy over one case document: three values throughout, everything evaluated (nothing is cut short,
//! so the trace is whole), coverage first. Trouble pends; nothing here can say no.

pub mod case_document;
pub mod facts;
pub mod index;
pub mod item;
pub mod jsonpath;
pub mod responses;
pub mod trace_text;
pub mod verdict;

use crate::fhir::dates::DateRange;
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::facts::{Budget, Evidence, Reading, Typed};
use crate::rules::evaluate::verdict::{
    Ask, CoverageAnswer, Decision, Grant, Leaf, Outcome, Pend, Source, TraceNode, Verdict, hash_trace,
};
use crate::rules::format::codes::code_key;
use crate::rules::format::conditions::{Anchor, FactTest, IfMissing, Limit, Literal, Moment, Node, Test};
use crate::rules::policy::Policy;
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap};

/// The answer of a policy. Any trouble becomes a pend with `error`.
pub(in crate::rules) fn verdict(policy: &Policy, document: &CaseDocument, budget: Budget) -> Verdict {
    let mut run = Run {
        policy,
        document,
        budget,
        evidence: HashMap::new(),
        criteria: BTreeMap::new(),
        trace: Vec::new(),
    };
    let answered = run.answer();
    let trace_hash = hash_trace(&run.trace);
    let criteria = run
        .criteria
        .iter()
        .map(|(name, node)| ((*name).to_owned(), node.outcome))
        .collect();
    let answer = Verdict {
        criteria,
        trace: run.trace,
        trace_hash,
        ..broken(policy)
    };
    match answered {
        Ok((coverage, decision)) => Verdict {
            coverage,
            decision,
            error: None,
            ..answer
        },
        Err(trouble) => Verdict {
            error: Some(trouble),
            ..answer
        },
    }
}

/// The answer where evaluating went wrong: a person looks, and the provider hears that nothing could be said.
pub(in crate::rules) fn broken(policy: &Policy) -> Verdict {
    Verdict {
        source: Source::Policy {
            policy: policy.name().to_owned(),
            version: policy.version().to_owned(),
            hash: policy.hash().to_owned(),
            title: policy.title().to_owned(),
        },
        coverage: CoverageAnswer::indeterminate("The rule could not be evaluated"),
        decision: pend(policy.queue(), "evaluation-error", Vec::new()),
        criteria: BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: hash_trace(&[]),
        error: Some("the evaluation broke down".into()),
    }
}

pub(in crate::rules) fn pend(queue: &str, reason: &str, ask: Vec<Ask>) -> Decision {
    Decision::Pend(Pend {
        queue: queue.to_owned(),
        reason: reason.to_owned(),
        ask,
    })
}

/// What coverage alone decides: nothing is needed, or nothing is covered. None: the criteria decide.
pub(in crate::rules) fn settled_by_coverage(coverage: &CoverageAnswer) -> Option<Decision> {
    if coverage.covered == "not-covered" {
        return Some(pend("administrative", "not-covered", Vec::new()));
    }
    (coverage.pa.as_deref() == Some("no-auth")).then(|| Decision::NotRequired {
        reason: coverage.reason_text().to_owned(),
    })
}

struct Run<'a> {
    policy: &'a Policy,
    document: &'a CaseDocument,
    budget: Budget,
    evidence: HashMap<&'a str, Evidence>,
    criteria: BTreeMap<&'a str, TraceNode>,
    trace: Vec<TraceNode>,
}

impl<'a> Run<'a> {
    fn answer(&mut self) -> Result<(CoverageAnswer, Decision), String> {
        let policy = self.policy;
        let coverage = self.coverage()?;
        if let Some(decision) = settled_by_coverage(&coverage) {
            return Ok((coverage, decision));
        }
        let keys = &policy.keys.decision;
        let approved = self.node(&keys.approve.when)?;
        let met = approved.outcome == Outcome::Met;
        self.trace.push(approved);
        // A criterion that `approve.when` does not reach is refused at load; those of coverage rules may be left.
        for (name, _, _) in policy.criteria() {
            self.criterion(name)?;
        }
        let may_approve = coverage.covered == "covered"
            && matches!(coverage.pa.as_deref(), Some("auth-needed" | "performpa"));
        let decision = if met && may_approve {
            let grant = &keys.approve.grant;
            Decision::Approve(Grant {
                reason: grant.reason.clone(),
                period: grant.period.map(|p| p.to_string()),
            })
        } else {
            pend(policy.queue(), &keys.otherwise.pend.reason, self.asks())
        };
        Ok((coverage, decision))
    }

    /// The first coverage rule whose condition is met.
    fn coverage(&mut self) -> Result<CoverageAnswer, String> {
        let rules = &self.policy.keys.coverage;
        for (n, rule) in rules.iter().enumerate() {
            let Some(when) = &rule.when else {
                return Ok(rule.answer.answer());
            };
            let mut node = self.node(when)?;
            if node.criterion.is_some() {
                node = combined("all", vec![node]);
            }
            node.text = Some(format!("coverage rule {}", n + 1));
            let met = node.outcome == Outcome::Met;
            self.trace.push(node);
            if met {
                return Ok(rule.answer.answer());
            }
        }
        Err("no coverage rule answers".into())
    }

    fn asks(&self) -> Vec<Ask> {
        let ask_for = &self.policy.keys.decision.otherwise.ask_for;
        let open = |name: &&String| {
            self.criteria
                .get(name.as_str())
                .is_some_and(|c| c.outcome == Outcome::Unknown)
        };
        let asked = self.policy.asked.iter().filter(open);
        asked
            .filter_map(|name| {
                let ask = ask_for.get(name)?;
                Some(Ask {
                    criterion: name.clone(),
                    loinc: ask.loinc.clone(),
                    questionnaire: ask.questionnaire.clone(),
                    text: ask.text.clone(),
                })
            })
            .collect()
    }

    fn node(&mut self, node: &'a Node) -> Result<TraceNode, String> {
        self.budget.spend(1)?;
        match node {
            Node::All(of) => Ok(combined("all", self.nodes(of)?)),
            Node::Any(of) => Ok(combined("any", self.nodes(of)?)),
            Node::FirstKnown(of) => Ok(combined("first_known", self.nodes(of)?)),
            Node::Not(one) => Ok(combined("not", vec![self.node(one)?])),
            Node::AtLeast(n, of) => Ok(counted(*n, self.nodes(of)?)),
            Node::Criterion(name) => self.criterion(name),
            Node::Test(test) => self.test(test),
        }
    }

    fn nodes(&mut self, of: &'a [Node]) -> Result<Vec<TraceNode>, String> {
        of.iter().map(|node| self.node(node)).collect()
    }

    fn criterion(&mut self, name: &'a str) -> Result<TraceNode, String> {
        if let Some(known) = self.criteria.get(name) {
            return Ok(known.clone());
        }
        let criterion = self
            .policy
            .keys
            .criteria
            .get(name)
            .ok_or("a criterion is missing")?;
        let below = self.node(&criterion.node)?;
        let node = TraceNode {
            criterion: Some(name.to_owned()),
            text: Some(criterion.text.clone()),
            cite: Some(criterion.cite.clone()),
            ..below
        };
        self.criteria.insert(name, node.clone());
        Ok(node)
    }

    fn test(&mut self, test: &'a FactTest) -> Result<TraceNode, String> {
        let policy = self.policy;
        if !self.evidence.contains_key(test.fact.as_str()) {
            let fact = policy.facts.get(&test.fact).ok_or("a fact is missing")?;
            let found = fact.look_up(self.document, &policy.sets, &mut self.budget)?;
            self.evidence.insert(&test.fact, found);
        }
        let evidence = self
            .evidence
            .get(test.fact.as_str())
            .unwrap_or(&Evidence::Nothing);
        let (outcome, note) = self.outcome(test, evidence);
        let reading = match evidence {
            Evidence::Read(reading) => Some(reading),
            Evidence::Nothing | Evidence::Unreadable { .. } => None,
        };
        let path = match evidence {
            Evidence::Unreadable { path, .. } => path.clone(),
            _ => reading.map(|r| r.path.clone()),
        };
        Ok(TraceNode {
            leaf: Some(Leaf {
                fact: test.fact.clone(),
                value: reading.map(|r| r.value.shown()),
                unit: reading.and_then(|r| match &r.value {
                    Typed::Quantity(_, unit) => Some(unit.clone()),
                    _ => None,
                }),
                date: reading.and_then(|r| r.date.as_ref().map(|(text, _)| text.clone())),
                path,
                wants: test.test.to_string(),
                note,
            }),
            ..bare(outcome)
        })
    }

    fn outcome(&self, test: &FactTest, evidence: &Evidence) -> (Outcome, Option<String>) {
        match (evidence, &test.test) {
            (Evidence::Nothing, _) => match test.if_missing {
                None => (Outcome::Unknown, Some("nothing found".into())),
                Some(IfMissing::Met) => (Outcome::Met, Some("nothing found; missing counts as met".into())),
                Some(IfMissing::NotMet) => (
                    Outcome::NotMet,
                    Some("nothing found; missing counts as not met".into()),
                ),
            },
            (_, Test::Exists(wanted)) => (yes(*wanted), None),
            (Evidence::Unreadable { note, .. }, _) => (Outcome::Unknown, Some(note.clone())),
            (Evidence::Read(reading), wanted) => match self.compare(reading, wanted) {
                Ok(outcome) => (outcome, None),
                Err(note) => (Outcome::Unknown, Some(note)),
            },
        }
    }

    fn compare(&self, reading: &Reading, wanted: &Test) -> Result<Outcome, String> {
        let number = |limit: &Limit| match (&reading.value, &limit.unit) {
            (Typed::Number(n), None) => Ok((*n, limit.value)),
            (Typed::Quantity(n, unit), Some(wanted)) if unit == wanted => Ok((*n, limit.value)),
            _ => Err("the value and the limit cannot be compared".to_owned()),
        };
        Ok(match wanted {
            Test::AtMost(limit) => number(limit).map(|(n, limit)| yes(n <= limit))?,
            Test::AtLeast(limit) => number(limit).map(|(n, limit)| yes(n >= limit))?,
            Test::LessThan(limit) => number(limit).map(|(n, limit)| yes(n < limit))?,
            Test::MoreThan(limit) => number(limit).map(|(n, limit)| yes(n > limit))?,
            Test::Between(low, high) => {
                let (n, low) = number(low)?;
                let (_, high) = number(high)?;
                yes(low <= n && n <= high)
            }
            Test::Equals(literal) => yes(equal(&reading.value, literal)?),
            Test::InSet(set) => self.in_set(&reading.value, set)?,
            // `exists` is answered before a value is looked at.
            Test::Exists(wanted) => yes(*wanted),
            Test::DatedWithin(within) => {
                let anchor = self.day(within.of)?;
                let oldest = within
                    .at_most
                    .before(anchor)
                    .ok_or("the limit lies outside the calendar")?;
                let days = days_of(reading)?;
                if days.first > anchor {
                    return Err(format!("dated after \"{}\"", within.of));
                }
                let days = DateRange {
                    last: days.last.min(anchor),
                    ..days
                };
                not_before(days, oldest)?
            }
            Test::OnOrAfter(moment) => not_before(days_of(reading)?, self.moment(*moment)?)?,
            Test::OnOrBefore(moment) => {
                let (days, limit) = (days_of(reading)?, self.moment(*moment)?);
                if days.last <= limit {
                    Outcome::Met
                } else if days.first > limit {
                    Outcome::NotMet
                } else {
                    return Err(STRADDLES.to_owned());
                }
            }
        })
    }

    fn in_set(&self, value: &Typed, set: &str) -> Result<Outcome, String> {
        match value {
            Typed::Code(system, _) if system.is_empty() => Err("a code without its system".into()),
            Typed::Code(system, code) => {
                let holds = self
                    .policy
                    .sets
                    .get(set)
                    .is_some_and(|s| s.contains(&code_key(system, code)));
                Ok(yes(holds))
            }
            _ => Err("the value is no code".into()),
        }
    }

    fn day(&self, anchor: Anchor) -> Result<NaiveDate, String> {
        match anchor {
            Anchor::Received => Ok(self.document.received_day()),
            Anchor::ServiceStart => self
                .document
                .service_start()
                .ok_or_else(|| "the item names no day of service".to_owned()),
        }
    }

    fn moment(&self, moment: Moment) -> Result<NaiveDate, String> {
        match moment {
            Moment::Of(anchor) => self.day(anchor),
            Moment::Day(day) => Ok(day),
        }
    }
}

const STRADDLES: &str = "the date is partial and its days lie on both sides of the limit";

fn yes(holds: bool) -> Outcome {
    if holds { Outcome::Met } else { Outcome::NotMet }
}

/// The days of a fact: its value where it is a date, else the date of its node.
fn days_of(reading: &Reading) -> Result<DateRange, String> {
    match (&reading.value, &reading.date) {
        (Typed::Date(_, days), _) | (_, Some((_, days))) => Ok(*days),
        _ => Err("no date".into()),
    }
}

fn not_before(days: DateRange, limit: NaiveDate) -> Result<Outcome, String> {
    if days.first >= limit {
        Ok(Outcome::Met)
    } else if days.last < limit {
        Ok(Outcome::NotMet)
    } else {
        Err(STRADDLES.to_owned())
    }
}

fn equal(value: &Typed, wanted: &Literal) -> Result<bool, String> {
    match (value, wanted) {
        (Typed::Boolean(a), Literal::Bool(b)) => Ok(a == b),
        (Typed::Number(a), Literal::Number(b)) => Ok((a - b).abs() < f64::EPSILON),
        (Typed::Text(a) | Typed::Code(_, a), Literal::Text(b)) => Ok(a == b),
        _ => Err("the value and what is wanted cannot be compared".into()),
    }
}

fn bare(outcome: Outcome) -> TraceNode {
    TraceNode {
        outcome,
        criterion: None,
        text: None,
        cite: None,
        combine: None,
        of: Vec::new(),
        leaf: None,
    }
}

fn combined(combine: &str, of: Vec<TraceNode>) -> TraceNode {
    let mut outcomes = of.iter().map(|n| n.outcome);
    let outcome = match combine {
        "all" => all(outcomes),
        "any" => not(all(outcomes.map(not))),
        "not" => not(all(outcomes)),
        _ => outcomes
            .find(|o| *o != Outcome::Unknown)
            .unwrap_or(Outcome::Unknown),
    };
    TraceNode {
        combine: Some(combine.to_owned()),
        of,
        ..bare(outcome)
    }
}

fn all(outcomes: impl Iterator<Item = Outcome>) -> Outcome {
    let mut all = Outcome::Met;
    for outcome in outcomes {
        match outcome {
            Outcome::NotMet => return Outcome::NotMet,
            Outcome::Unknown => all = Outcome::Unknown,
            Outcome::Met => {}
        }
    }
    all
}

fn not(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Met => Outcome::NotMet,
        Outcome::NotMet => Outcome::Met,
        Outcome::Unknown => Outcome::Unknown,
    }
}

/// At least `n` are met; as long as the unknown ones could still tip it, unknown.
fn counted(n: usize, of: Vec<TraceNode>) -> TraceNode {
    let count = |wanted| of.iter().filter(|node| node.outcome == wanted).count();
    let (met, unknown) = (count(Outcome::Met), count(Outcome::Unknown));
    let outcome = if met >= n {
        Outcome::Met
    } else if met + unknown < n {
        Outcome::NotMet
    } else {
        Outcome::Unknown
    };
    TraceNode {
        combine: Some(format!("at_least {n}")),
        of,
        ..bare(outcome)
    }
}

#[cfg(test)]
mod tests;
