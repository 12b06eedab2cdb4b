//! What the tests of a policy would not notice: every threshold, unit, code and `if_missing` is moved by one step, and
//! the policy's own tests run over each change. A mutant that no test notices is a hole in the tests.

use crate::rules::RuleSet;
use crate::rules::evaluate;
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::facts::Budget;
use crate::rules::format::conditions::{FactTest, IfMissing, Limit, Literal, Moment, Node, Test};
use crate::rules::format::period::Period;
use crate::rules::format::policy_file::TestKeys;
use crate::rules::load::embedded_tests::{differences, given};
use crate::rules::policy::Policy;
use chrono::Days;

/// One change and the test that noticed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// What was changed.
    pub what: String,
    /// The line of what it was changed in.
    pub line: Option<usize>,
    /// The first test that noticed; none when the mutant lives.
    pub killed_by: Option<String>,
}

/// A change of a policy.
struct Change {
    what: String,
    at: String,
    policy: Policy,
}

/// Every mutant of a policy.
pub(in crate::rules) fn mutants(set: &RuleSet, policy: &Policy) -> Vec<Mutant> {
    let cases: Vec<(&TestKeys, CaseDocument)> = policy
        .keys
        .tests
        .iter()
        .filter_map(|test| Some((test, given(&set.fixtures, test).ok()?)))
        .collect();
    let notices = |changed: &Policy| {
        cases.iter().find_map(|(test, document)| {
            let verdict = evaluate::verdict(changed, document, Budget(Budget::WHOLE));
            (!differences(test, &verdict).is_empty()).then(|| test.name.clone())
        })
    };
    changes(policy)
        .into_iter()
        .map(|change| Mutant {
            killed_by: notices(&change.policy),
            line: policy.places.named.get(&change.at).copied(),
            what: change.what,
        })
        .collect()
}

fn changes(policy: &Policy) -> Vec<Change> {
    let mut all = Vec::new();
    for (name, criterion) in &policy.keys.criteria {
        let at = format!("criteria/{name}");
        for (what, node) in variants(&criterion.node) {
            let mut policy = policy.clone();
            if let Some(criterion) = policy.keys.criteria.get_mut(name) {
                criterion.node = node;
            }
            all.push(Change {
                what: format!("{name}: {what}"),
                at: at.clone(),
                policy,
            });
        }
    }
    for (n, rule) in policy.keys.coverage.iter().enumerate() {
        for (what, node) in rule.when.iter().flat_map(deciding) {
            let mut policy = policy.clone();
            if let Some(rule) = policy.keys.coverage.get_mut(n) {
                rule.when = Some(node);
            }
            let what = format!("coverage rule {}: {what}", n + 1);
            all.push(Change {
                what,
                at: format!("coverage/{n}"),
                policy,
            });
        }
    }
    for (what, node) in deciding(&policy.keys.decision.approve.when) {
        let mut policy = policy.clone();
        policy.keys.decision.approve.when = node;
        let what = format!("approve.when: {what}");
        all.push(Change {
            what,
            at: "decision/approve/when".into(),
            policy,
        });
    }
    all.extend(of_facts(policy));
    all.extend(of_sets(policy));
    all
}

/// Another unit, and other factors between units.
fn of_facts(policy: &Policy) -> Vec<Change> {
    let mut all = Vec::new();
    for (name, fact) in &policy.facts {
        let at = format!("facts/{name}");
        if let Some(unit) = &fact.unit {
            let mut changed = policy.clone();
            if let Some(fact) = changed.facts.get_mut(name) {
                fact.unit = Some("{another}".into());
            }
            let what = format!("{name}: another unit than '{unit}'");
            all.push(Change {
                what,
                at: at.clone(),
                policy: changed,
            });
        }
        for (unit, factor) in &fact.convert {
            for other in [factor * 1.1, factor / 1.1] {
                let mut changed = policy.clone();
                if let Some(fact) = changed.facts.get_mut(name) {
                    fact.convert.insert(unit.clone(), other);
                }
                let what = format!("{name}: '{unit}' converted with {other} instead of {factor}");
                all.push(Change {
                    what,
                    at: at.clone(),
                    policy: changed,
                });
            }
        }
    }
    all
}

/// Each code that a policy writes itself, left out.
fn of_sets(policy: &Policy) -> Vec<Change> {
    let mut all = Vec::new();
    for (name, keys) in &policy.keys.sets {
        let system = keys.system.as_deref().unwrap_or("");
        for code in keys.any.iter().flatten() {
            let mut changed = policy.clone();
            if let Some(set) = changed.sets.get_mut(name) {
                set.remove(&crate::rules::format::codes::code_key(system, code));
            }
            let what = format!("{name}: another code than {code}");
            all.push(Change {
                what,
                at: format!("sets/{name}"),
                policy: changed,
            });
        }
    }
    all
}

/// Every change of a condition: one leaf or count moved, or what absence of one fact counts as.
fn variants(node: &Node) -> Vec<(String, Node)> {
    let mut facts = Vec::new();
    facts_of(node, &mut facts);
    let mut all = moved(node);
    all.extend(facts.iter().flat_map(|fact| absences(node, fact)));
    all
}

/// Every change of a condition that counts only when it is met: not met or unknown is the same there, except for facts
/// that a `not` turns round.
fn deciding(node: &Node) -> Vec<(String, Node)> {
    let mut facts = Vec::new();
    turned_round(node, &mut facts);
    let mut all = moved(node);
    all.extend(facts.iter().flat_map(|fact| absences(node, fact)));
    all
}

/// The facts below a `not`.
fn turned_round(node: &Node, into: &mut Vec<String>) {
    match node {
        Node::All(of) | Node::Any(of) | Node::FirstKnown(of) | Node::AtLeast(_, of) => {
            of.iter().for_each(|one| turned_round(one, into));
        }
        Node::Not(one) => facts_of(one, into),
        Node::Criterion(_) | Node::Test(_) => {}
    }
}

/// The condition with another meaning of one fact's absence.
fn absences(node: &Node, fact: &str) -> Vec<(String, Node)> {
    [
        ("missing counts as not met", None, Some(IfMissing::NotMet)),
        ("missing is unknown", Some(IfMissing::NotMet), None),
    ]
    .into_iter()
    .filter_map(|(word, from, to)| Some((format!("{fact}: {word}"), missing(node, fact, from, to)?)))
    .collect()
}

/// Each leaf or count of a condition moved by one step.
fn moved(node: &Node) -> Vec<(String, Node)> {
    let within = |of: &[Node], rebuild: &dyn Fn(Vec<Node>) -> Node| -> Vec<(String, Node)> {
        of.iter()
            .enumerate()
            .flat_map(|(n, one)| moved(one).into_iter().map(move |(what, new)| (n, what, new)))
            .map(|(n, what, new)| {
                let mut of = of.to_vec();
                if let Some(place) = of.get_mut(n) {
                    *place = new;
                }
                (what, rebuild(of))
            })
            .collect()
    };
    match node {
        Node::All(of) => within(of, &Node::All),
        Node::Any(of) => within(of, &Node::Any),
        Node::FirstKnown(of) => within(of, &Node::FirstKnown),
        Node::Not(one) => moved(one)
            .into_iter()
            .map(|(what, new)| (what, Node::Not(Box::new(new))))
            .collect(),
        Node::AtLeast(n, of) => {
            let mut all = within(of, &|of| Node::AtLeast(*n, of));
            for other in [n.saturating_sub(1), n + 1] {
                if (1..=of.len()).contains(&other) {
                    all.push((
                        format!("at_least {other} instead of {n}"),
                        Node::AtLeast(other, of.clone()),
                    ));
                }
            }
            all
        }
        Node::Criterion(_) => Vec::new(),
        Node::Test(test) => tests(&test.test)
            .into_iter()
            .map(|other| {
                let what = format!("{}: {other} instead of {}", test.fact, test.test);
                let if_missing = match (&other, test.if_missing) {
                    (Test::Exists(wanted), Some(_)) => Some(if *wanted {
                        IfMissing::NotMet
                    } else {
                        IfMissing::Met
                    }),
                    (_, given) => given,
                };
                (
                    what,
                    Node::Test(FactTest {
                        fact: test.fact.clone(),
                        test: other,
                        if_missing,
                    }),
                )
            })
            .collect(),
    }
}

/// The tests one step beside a test.
fn tests(test: &Test) -> Vec<Test> {
    match test {
        Test::AtMost(limit) => steps(limit).map(Test::AtMost).into(),
        Test::AtLeast(limit) => steps(limit).map(Test::AtLeast).into(),
        Test::LessThan(limit) => steps(limit).map(Test::LessThan).into(),
        Test::MoreThan(limit) => steps(limit).map(Test::MoreThan).into(),
        Test::Between(low, high) => {
            let lows = steps(low).map(|low| Test::Between(low, high.clone()));
            let highs = steps(high).map(|high| Test::Between(low.clone(), high));
            lows.into_iter().chain(highs).collect()
        }
        Test::Equals(Literal::Bool(value)) => vec![Test::Equals(Literal::Bool(!value))],
        Test::Equals(Literal::Number(value)) => [value - step(*value), value + step(*value)]
            .map(|v| Test::Equals(Literal::Number(v)))
            .into(),
        Test::Equals(Literal::Text(text)) => vec![Test::Equals(Literal::Text(format!("{text}~")))],
        Test::Exists(wanted) => vec![Test::Exists(!wanted)],
        Test::DatedWithin(within) => [-1, 1]
            .into_iter()
            .filter_map(|by| {
                let mut within = *within;
                within.at_most = longer(within.at_most, by)?;
                Some(Test::DatedWithin(within))
            })
            .collect(),
        Test::OnOrAfter(Moment::Day(day)) => beside(*day).map(|d| Test::OnOrAfter(Moment::Day(d))).collect(),
        Test::OnOrBefore(Moment::Day(day)) => {
            beside(*day).map(|d| Test::OnOrBefore(Moment::Day(d))).collect()
        }
        // Sets are changed as sets; a day of the case is no threshold.
        Test::InSet(_) | Test::OnOrAfter(Moment::Of(_)) | Test::OnOrBefore(Moment::Of(_)) => Vec::new(),
    }
}

fn steps(limit: &Limit) -> [Limit; 2] {
    let step = step(limit.value);
    [limit.value - step, limit.value + step].map(|value| Limit {
        value,
        unit: limit.unit.clone(),
    })
}

/// One in the last decimal that is written.
fn step(value: f64) -> f64 {
    let text = value.to_string();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    (0..decimals).fold(1.0, |step, _| step / 10.0)
}

fn longer(period: Period, by: i64) -> Option<Period> {
    let moved = |n: u32| u32::try_from(i64::from(n) + by).ok();
    match period {
        Period::Days(n) => moved(n).map(Period::Days),
        Period::Months(n) => moved(n).map(Period::Months),
    }
}

fn beside(day: chrono::NaiveDate) -> impl Iterator<Item = chrono::NaiveDate> {
    [
        day.checked_sub_days(Days::new(1)),
        day.checked_add_days(Days::new(1)),
    ]
    .into_iter()
    .flatten()
}

/// The facts of a condition, each once; `exists` says itself what absence is.
fn facts_of(node: &Node, into: &mut Vec<String>) {
    match node {
        Node::All(of) | Node::Any(of) | Node::FirstKnown(of) | Node::AtLeast(_, of) => {
            of.iter().for_each(|one| facts_of(one, into));
        }
        Node::Not(one) => facts_of(one, into),
        Node::Test(test) if !into.contains(&test.fact) && !matches!(test.test, Test::Exists(_)) => {
            into.push(test.fact.clone());
        }
        Node::Test(_) | Node::Criterion(_) => {}
    }
}

/// The condition with another meaning of absence in every test of one fact; none when that changes nothing.
fn missing(node: &Node, fact: &str, from: Option<IfMissing>, to: Option<IfMissing>) -> Option<Node> {
    fn walk(node: &mut Node, fact: &str, from: Option<IfMissing>, to: Option<IfMissing>) -> bool {
        match node {
            Node::All(of) | Node::Any(of) | Node::FirstKnown(of) | Node::AtLeast(_, of) => of
                .iter_mut()
                .fold(false, |any, one| walk(one, fact, from, to) | any),
            Node::Not(one) => walk(one, fact, from, to),
            Node::Test(test) => {
                let applies =
                    test.fact == fact && test.if_missing == from && !matches!(test.test, Test::Exists(_));
                if applies {
                    test.if_missing = to;
                }
                applies
            }
            Node::Criterion(_) => false,
        }
    }
    let mut changed = node.clone();
    walk(&mut changed, fact, from, to).then_some(changed)
}
