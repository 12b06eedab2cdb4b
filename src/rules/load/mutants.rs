//! Mutation testing of policies: every threshold, unit, code and `if_missing` is changed by one step, and the policy's
//! own tests run over each change. A mutant that no test detects shows a gap in the tests.

use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::facts::{Fact, StepBudget};
use crate::rules::evaluate::policy::evaluate_policy;
use crate::rules::evaluate::source::FactSource;
use crate::rules::evaluate::values::TypedValue;
use crate::rules::format::code_set::read_set_entry;
use crate::rules::format::conditions::{
    Condition, DayLimit, FactTest, IfMissing, Limit, Literal, Requirement,
};
use crate::rules::format::policy_file::{IfDifferent, TestKeys};
use crate::rules::load::embedded_tests::{case_document, differences};
use crate::rules::period::Period;
use crate::rules::policy::Policy;
use crate::rules::rule_set::RuleSet;
use chrono::{Days, NaiveDate};

/// A policy changed by one step, and the test that detected it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// What was changed, in one line.
    pub change: String,
    /// The line of the criterion, fact, set or rule that was changed. `None` unless the set was loaded with
    /// `EmbeddedTests::CheckOnly`.
    pub line: Option<usize>,
    /// The first test that detected the change. `None` if no test did.
    pub killed_by: Option<String>,
}

/// A changed policy.
struct Change {
    description: String,
    /// The key of what was changed, such as `criteria/test-age`.
    key: String,
    policy: Policy,
}

/// A changed condition with a description of the change.
type Variant = (String, Condition);

impl RuleSet {
    /// All mutants of a policy, each with the test that detects it.
    pub fn mutants(&self, policy: &Policy) -> Vec<Mutant> {
        let cases: Vec<(&TestKeys, CaseDocument)> = policy
            .keys
            .tests
            .iter()
            .filter_map(|test| Some((test, case_document(&self.fixtures, test).ok()?)))
            .collect();
        let detected_by = |changed: &Policy| {
            cases.iter().find_map(|(test, document)| {
                let verdict = evaluate_policy(changed, document, StepBudget(StepBudget::DEFAULT));
                (!differences(test, &verdict).is_empty()).then(|| test.name.clone())
            })
        };
        changes(policy)
            .into_iter()
            .map(|change| Mutant {
                killed_by: detected_by(&change.policy),
                line: policy.key_lines.by_key.get(&change.key).copied(),
                change: change.description,
            })
            .collect()
    }
}

fn changes(policy: &Policy) -> Vec<Change> {
    let mut all = condition_changes(policy);
    all.extend(fact_changes(policy));
    all.extend(set_changes(policy));
    all
}

/// Changes of criteria, of the conditions of coverage rules, and of `approve.when`.
fn condition_changes(policy: &Policy) -> Vec<Change> {
    let mut all = Vec::new();
    for (name, criterion) in &policy.keys.criteria {
        for (change, condition) in variants(&criterion.condition) {
            let mut policy = policy.clone();
            if let Some(criterion) = policy.keys.criteria.get_mut(name) {
                criterion.condition = condition;
            }
            all.push(Change {
                description: format!("{name}: {change}"),
                key: format!("criteria/{name}"),
                policy,
            });
        }
    }
    for (n, rule) in policy.keys.coverage.iter().enumerate() {
        for (change, condition) in rule.when.iter().flat_map(variants_of_decision) {
            let mut policy = policy.clone();
            if let Some(rule) = policy.keys.coverage.get_mut(n) {
                rule.when = Some(condition);
            }
            all.push(Change {
                description: format!("coverage rule {}: {change}", n + 1),
                key: format!("coverage/{n}"),
                policy,
            });
        }
    }
    for (change, condition) in variants_of_decision(&policy.keys.decision.approve.when) {
        let mut policy = policy.clone();
        policy.keys.decision.approve.when = condition;
        all.push(Change {
            description: format!("approve.when: {change}"),
            key: "decision/approve/when".into(),
            policy,
        });
    }
    all
}

/// Facts with another unit, factor, plausible range, source or date.
fn fact_changes(policy: &Policy) -> Vec<Change> {
    let mut all = Vec::new();
    for (name, fact) in &policy.facts {
        for (description, changed_fact) in changed_facts(fact) {
            let mut changed = policy.clone();
            changed.facts.insert(name.clone(), changed_fact);
            all.push(Change {
                description: format!("{name}: {description}"),
                key: format!("facts/{name}"),
                policy: changed,
            });
        }
    }
    all
}

/// The facts that differ from a fact by one step.
fn changed_facts(fact: &Fact) -> Vec<(String, Fact)> {
    let mut all = Vec::new();
    let mut add = |description: String, change: &dyn Fn(&mut Fact)| {
        let mut changed = fact.clone();
        change(&mut changed);
        all.push((description, changed));
    };
    if let Some(unit) = &fact.unit {
        add(format!("a unit other than '{unit}'"), &|fact| {
            fact.unit = Some("{another}".into());
        });
    }
    if let Some((low, high)) = fact.plausible {
        for (low, high) in [
            (low - step(low), high),
            (low + step(low), high),
            (low, high - step(high)),
            (low, high + step(high)),
        ] {
            add(format!("plausible from {low} to {high}"), &|fact| {
                fact.plausible = Some((low, high));
            });
        }
    }
    let several = fact.sources.len() > 1;
    for (n, source) in fact.sources.iter().enumerate() {
        for (unit, factor) in &source.convert {
            for other in [factor * 1.1, factor / 1.1] {
                add(
                    format!("'{unit}' converted by {other} instead of {factor}"),
                    &|fact| {
                        change_source(fact, n, &|source| {
                            source.convert.insert(unit.clone(), other);
                        });
                    },
                );
            }
        }
        if let Some(TypedValue::Boolean(value)) = source.means {
            add(format!("source {} means {}", n + 1, !value), &|fact| {
                change_source(fact, n, &|source| {
                    source.means = Some(TypedValue::Boolean(!value))
                });
            });
        }
        if source.dated_by.is_some() {
            add(format!("source {} without its date", n + 1), &|fact| {
                change_source(fact, n, &|source| source.dated_by = None);
            });
        }
        if several {
            add(format!("without source {}", n + 1), &|fact| {
                drop(fact.sources.remove(n))
            });
        }
    }
    if several {
        let (text, other) = match fact.if_different {
            IfDifferent::Unknown => ("the first source goes before the others", IfDifferent::First),
            IfDifferent::First => ("unknown if the sources differ", IfDifferent::Unknown),
        };
        add(text.to_owned(), &|fact| fact.if_different = other);
    }
    all
}

fn change_source(fact: &mut Fact, n: usize, change: &dyn Fn(&mut FactSource)) {
    if let Some(source) = fact.sources.get_mut(n) {
        change(source);
    }
}

/// Each code that is written in the policy itself, removed from its set.
fn set_changes(policy: &Policy) -> Vec<Change> {
    let mut all = Vec::new();
    for (name, keys) in &policy.keys.sets {
        let system = keys.system.as_deref().unwrap_or("");
        for code in keys.any.iter().flatten() {
            let mut changed = policy.clone();
            if let Some(set) = changed.sets.get_mut(name)
                && let Ok(entry) = read_set_entry(system, code)
            {
                set.remove(&entry);
            }
            all.push(Change {
                description: format!("{name}: without the code {code}"),
                key: format!("sets/{name}"),
                policy: changed,
            });
        }
    }
    all
}

/// All changes of a condition: one test or count moved by one step, or another meaning of one fact's absence.
fn variants(condition: &Condition) -> Vec<Variant> {
    let mut facts = Vec::new();
    add_facts(condition, &mut facts);
    with_absences(condition, &facts)
}

/// All changes of a condition that matters only when it is met. Not met and unknown have the same effect there, so the
/// meaning of absence is changed only for facts below a `not`.
fn variants_of_decision(condition: &Condition) -> Vec<Variant> {
    let mut facts = Vec::new();
    add_negated_facts(condition, &mut facts);
    with_absences(condition, &facts)
}

fn with_absences(condition: &Condition, facts: &[String]) -> Vec<Variant> {
    let mut all = moved(condition);
    all.extend(facts.iter().flat_map(|fact| absences(condition, fact)));
    all
}

/// Adds the facts below a `not`.
fn add_negated_facts(condition: &Condition, into: &mut Vec<String>) {
    match condition {
        Condition::All(of) | Condition::Any(of) | Condition::FirstKnown(of) | Condition::AtLeast(_, of) => {
            of.iter().for_each(|one| add_negated_facts(one, into));
        }
        Condition::Not(one) => add_facts(one, into),
        Condition::Criterion(_) | Condition::Test(_) => {}
    }
}

/// The condition with another meaning of one fact's absence.
fn absences(condition: &Condition, fact: &str) -> Vec<Variant> {
    [
        ("missing data counts as not met", None, Some(IfMissing::NotMet)),
        ("missing data is unknown", Some(IfMissing::NotMet), None),
    ]
    .into_iter()
    .filter_map(|(change, from, to)| {
        let mut changed = condition.clone();
        replace_if_missing(&mut changed, fact, from, to).then(|| (format!("{fact}: {change}"), changed))
    })
    .collect()
}

/// Each test or count of a condition moved by one step.
fn moved(condition: &Condition) -> Vec<Variant> {
    match condition {
        Condition::All(of) => moved_in_list(of, &Condition::All),
        Condition::Any(of) => moved_in_list(of, &Condition::Any),
        Condition::FirstKnown(of) => moved_in_list(of, &Condition::FirstKnown),
        Condition::Not(one) => moved(one)
            .into_iter()
            .map(|(change, condition)| (change, Condition::Not(Box::new(condition))))
            .collect(),
        Condition::AtLeast(n, of) => {
            let mut all = moved_in_list(of, &|of| Condition::AtLeast(*n, of));
            for other in [n.saturating_sub(1), n + 1] {
                if (1..=of.len()).contains(&other) {
                    all.push((
                        format!("at_least {other} instead of {n}"),
                        Condition::AtLeast(other, of.clone()),
                    ));
                }
            }
            all
        }
        Condition::Criterion(_) => Vec::new(),
        Condition::Test(test) => moved_tests(test),
    }
}

fn moved_in_list(of: &[Condition], rebuild: &dyn Fn(Vec<Condition>) -> Condition) -> Vec<Variant> {
    let with_place = |(n, one)| {
        moved(one)
            .into_iter()
            .map(move |(change, condition)| (n, change, condition))
    };
    of.iter()
        .enumerate()
        .flat_map(with_place)
        .map(|(n, change, condition): (usize, String, Condition)| {
            let mut of = of.to_vec();
            if let Some(place) = of.get_mut(n) {
                *place = condition;
            }
            (change, rebuild(of))
        })
        .collect()
}

fn moved_tests(test: &FactTest) -> Vec<Variant> {
    let with_requirement = |requirement: Requirement| {
        let change = format!("{}: {requirement} instead of {}", test.fact, test.requirement);
        // `exists` needs the `if_missing` that belongs to it.
        let if_missing = match (&requirement, test.if_missing) {
            (Requirement::Exists(true), Some(_)) => Some(IfMissing::NotMet),
            (Requirement::Exists(false), Some(_)) => Some(IfMissing::Met),
            (_, given) => given,
        };
        let test = FactTest {
            fact: test.fact.clone(),
            requirement,
            if_missing,
        };
        (change, Condition::Test(test))
    };
    neighbors(&test.requirement)
        .into_iter()
        .map(with_requirement)
        .collect()
}

/// The requirements that differ from a requirement by one step.
fn neighbors(requirement: &Requirement) -> Vec<Requirement> {
    match requirement {
        Requirement::AtMost(limit) => limit_neighbors(limit).map(Requirement::AtMost).into(),
        Requirement::AtLeast(limit) => limit_neighbors(limit).map(Requirement::AtLeast).into(),
        Requirement::LessThan(limit) => limit_neighbors(limit).map(Requirement::LessThan).into(),
        Requirement::MoreThan(limit) => limit_neighbors(limit).map(Requirement::MoreThan).into(),
        Requirement::Between(low, high) => {
            let lows = limit_neighbors(low).map(|low| Requirement::Between(low, high.clone()));
            let highs = limit_neighbors(high).map(|high| Requirement::Between(low.clone(), high));
            lows.into_iter().chain(highs).collect()
        }
        Requirement::Equals(Literal::Bool(value)) => vec![Requirement::Equals(Literal::Bool(!value))],
        Requirement::Equals(Literal::Number(value)) => [value - step(*value), value + step(*value)]
            .map(|value| Requirement::Equals(Literal::Number(value)))
            .into(),
        Requirement::Equals(Literal::Text(text)) => {
            vec![Requirement::Equals(Literal::Text(format!("{text}~")))]
        }
        Requirement::Exists(required) => vec![Requirement::Exists(!required)],
        Requirement::DatedWithin(within) => [-1, 1]
            .into_iter()
            .filter_map(|by| {
                let mut within = *within;
                within.at_most = lengthened(within.at_most, by)?;
                Some(Requirement::DatedWithin(within))
            })
            .collect(),
        Requirement::OnOrAfter(DayLimit::Date(day)) => day_neighbors(*day)
            .map(|day| Requirement::OnOrAfter(DayLimit::Date(day)))
            .collect(),
        Requirement::OnOrBefore(DayLimit::Date(day)) => day_neighbors(*day)
            .map(|day| Requirement::OnOrBefore(DayLimit::Date(day)))
            .collect(),
        // The codes of sets are removed in `set_changes`. A day of the case is not a threshold.
        Requirement::InSet(_)
        | Requirement::OnOrAfter(DayLimit::CaseDay(_))
        | Requirement::OnOrBefore(DayLimit::CaseDay(_)) => Vec::new(),
    }
}

fn limit_neighbors(limit: &Limit) -> [Limit; 2] {
    let step = step(limit.value);
    [limit.value - step, limit.value + step].map(|value| Limit {
        value,
        unit: limit.unit.clone(),
    })
}

/// One in the last decimal place of the number as it is written.
fn step(value: f64) -> f64 {
    let text = value.to_string();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    (0..decimals).fold(1.0, |step, _| step / 10.0)
}

fn lengthened(period: Period, by: i64) -> Option<Period> {
    let add = |n: u32| u32::try_from(i64::from(n) + by).ok();
    match period {
        Period::Days(n) => add(n).map(Period::Days),
        Period::Months(n) => add(n).map(Period::Months),
    }
}

fn day_neighbors(day: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    [
        day.checked_sub_days(Days::new(1)),
        day.checked_add_days(Days::new(1)),
    ]
    .into_iter()
    .flatten()
}

/// Adds the facts of a condition, each once. Facts of `exists` are left out: `exists` itself says what absence means.
fn add_facts(condition: &Condition, into: &mut Vec<String>) {
    match condition {
        Condition::All(of) | Condition::Any(of) | Condition::FirstKnown(of) | Condition::AtLeast(_, of) => {
            of.iter().for_each(|one| add_facts(one, into));
        }
        Condition::Not(one) => add_facts(one, into),
        Condition::Test(test)
            if !into.contains(&test.fact) && !matches!(test.requirement, Requirement::Exists(_)) =>
        {
            into.push(test.fact.clone());
        }
        Condition::Test(_) | Condition::Criterion(_) => {}
    }
}

/// Replaces `if_missing` in every test of one fact that has the value `from`. False if there is no such test.
fn replace_if_missing(
    condition: &mut Condition,
    fact: &str,
    from: Option<IfMissing>,
    to: Option<IfMissing>,
) -> bool {
    match condition {
        Condition::All(of) | Condition::Any(of) | Condition::FirstKnown(of) | Condition::AtLeast(_, of) => of
            .iter_mut()
            .fold(false, |any, one| replace_if_missing(one, fact, from, to) | any),
        Condition::Not(one) => replace_if_missing(one, fact, from, to),
        Condition::Test(test) => {
            let applies = test.fact == fact
                && test.if_missing == from
                && !matches!(test.requirement, Requirement::Exists(_));
            if applies {
                test.if_missing = to;
            }
            applies
        }
        Condition::Criterion(_) => false,
    }
}
