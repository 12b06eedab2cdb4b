//! Conditions: whether each test fits its fact, what they name, and whether criteria lead back to themselves.

use crate::rules::evaluate::facts::Fact;
use crate::rules::format::conditions::{FactTest, IfMissing, Limit, Literal, Node, Test};
use crate::rules::format::policy_file::{Kind, PolicyKeys};
use crate::rules::load::check::{Sheet, Used, note};
use std::collections::{BTreeMap, BTreeSet};

/// Checks a condition and notes what it names.
pub(in crate::rules) fn node(
    node: &Node,
    at: &str,
    facts: &BTreeMap<String, Fact>,
    used: &mut Used,
    sheet: &mut Sheet<'_>,
) {
    match node {
        Node::All(of) | Node::Any(of) | Node::FirstKnown(of) | Node::AtLeast(_, of) => {
            if of.is_empty() {
                sheet.find(
                    at,
                    "An empty list of conditions decides nothing",
                    "Write at least one condition",
                );
            }
            if let Node::AtLeast(n, of) = node
                && (*n == 0 || *n > of.len())
            {
                sheet.find(
                    at,
                    format!("'at_least {n}' of {} conditions decides nothing", of.len()),
                    "Let 'n' be at least 1 and at most the number of conditions under 'of'",
                );
            }
            let list = match node {
                Node::Any(_) => "any",
                Node::FirstKnown(_) => "first_known",
                Node::AtLeast(..) => "at_least/of",
                _ => "all",
            };
            for (n, one) in of.iter().enumerate() {
                self::node(one, &format!("{at}/{list}/{n}"), facts, used, sheet);
            }
        }
        Node::Not(one) => self::node(one, &format!("{at}/not"), facts, used, sheet),
        Node::Criterion(name) => note(&mut used.criteria, name, at),
        Node::Test(test) => {
            note(&mut used.facts, &test.fact, at);
            if let Test::InSet(set) = &test.test {
                note(&mut used.sets, set, at);
            }
            // An unknown fact is told by name later.
            if let Some(fact) = facts.get(&test.fact)
                && let Err((message, mend)) = fits(test, fact)
            {
                sheet.find(at, format!("In the test of '{}': {message}", test.fact), mend);
            }
        }
    }
}

/// What is wrong, and how to mend it.
type Misfit = (String, &'static str);

/// Whether a test can be made of a fact of this type.
fn fits(test: &FactTest, fact: &Fact) -> Result<(), Misfit> {
    let kind = fact.kind;
    let wrong = |what: String, mend| Err((what, mend));
    match &test.test {
        Test::AtMost(l) | Test::AtLeast(l) | Test::LessThan(l) | Test::MoreThan(l) => limited(l, fact)?,
        Test::Between(low, high) => {
            limited(low, fact)?;
            limited(high, fact)?;
            if low.value > high.value {
                return wrong("the lower limit is above the upper".into(), "Swap the two limits");
            }
        }
        Test::Equals(literal) => {
            let same = matches!(
                (kind, literal),
                (Kind::Boolean, Literal::Bool(_))
                    | (Kind::Number, Literal::Number(_))
                    | (Kind::Text | Kind::Code, Literal::Text(_))
            );
            if !same {
                return wrong(
                    format!("a {} never equals {literal}", kind.word()),
                    "Write the value as the fact's type has it: true, 4, or a quoted text",
                );
            }
        }
        Test::InSet(_) if kind != Kind::Code => {
            return wrong(
                format!("a {} is in no set of codes", kind.word()),
                "Read the fact as: code, or use 'equals'",
            );
        }
        Test::DatedWithin(_) | Test::OnOrAfter(_) | Test::OnOrBefore(_)
            if kind != Kind::Date && fact.dated.is_none() =>
        {
            return wrong(
                format!("a {} has no date, and the fact has no 'dated'", kind.word()),
                "Add 'dated' with the path of the date, or read the fact as: date",
            );
        }
        Test::Exists(wanted) => {
            let natural = if *wanted {
                IfMissing::NotMet
            } else {
                IfMissing::Met
            };
            match test.if_missing {
                None => {
                    return wrong(
                        "'exists' needs 'if_missing'".into(),
                        "Say what absence counts as: exists: true, if_missing: not-met",
                    );
                }
                Some(given) if given != natural => {
                    return wrong(
                        "'if_missing' contradicts 'exists'".into(),
                        "Absence is not-met for exists: true, and met for exists: false",
                    );
                }
                Some(_) => {}
            }
        }
        Test::InSet(_) | Test::DatedWithin(_) | Test::OnOrAfter(_) | Test::OnOrBefore(_) => {}
    }
    if test.if_missing == Some(IfMissing::Met) && !matches!(test.test, Test::Exists(false)) {
        return wrong(
            "missing data never counts as met".into(),
            "Leave 'if_missing' out, so that missing is unknown, or write not-met",
        );
    }
    Ok(())
}

fn limited(limit: &Limit, fact: &Fact) -> Result<(), Misfit> {
    match (fact.kind, &limit.unit) {
        (Kind::Number, None) => Ok(()),
        (Kind::Number, Some(_)) => Err((
            "the fact is a number without a unit".into(),
            "Take the unit out of the limit, or read the fact as: quantity",
        )),
        (Kind::Quantity, None) => Err((
            "a test of a quantity needs a unit".into(),
            "Write the limit with its UCUM unit: \"55 mm[Hg]\"",
        )),
        (Kind::Quantity, Some(unit)) if Some(unit) == fact.unit.as_ref() => Ok(()),
        (Kind::Quantity, Some(unit)) => Err((
            format!("the limit's unit '{unit}' is not the fact's"),
            "Write limit and fact in one unit; other units are converted by 'convert' of the fact",
        )),
        (kind, _) => Err((
            format!("a {} has no limit", kind.word()),
            "Limits are for numbers and quantities; for dates use dated_within, on_or_after, on_or_before",
        )),
    }
}

/// The criteria that `approve.when` names itself, in order.
pub(in crate::rules) fn asked(when: &Node) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![when];
    while let Some(node) = open.pop() {
        match node {
            Node::All(of) | Node::Any(of) | Node::FirstKnown(of) | Node::AtLeast(_, of) => {
                open.extend(of.iter().rev());
            }
            Node::Not(one) => open.push(one),
            Node::Criterion(name) if !names.contains(name) => names.push(name.clone()),
            Node::Criterion(_) | Node::Test(_) => {}
        }
    }
    names
}

/// Criteria that need each other. Each is walked once; what lies on the way down must not come again.
pub(in crate::rules) fn cycles(keys: &PolicyKeys, sheet: &mut Sheet<'_>) {
    fn walk<'k>(
        keys: &'k PolicyKeys,
        name: &'k str,
        way: &mut Vec<&'k str>,
        done: &mut BTreeSet<&'k str>,
    ) -> bool {
        if way.contains(&name) {
            return true;
        }
        if !done.insert(name) {
            return false;
        }
        way.push(name);
        let below = keys
            .criteria
            .get_key_value(name)
            .map(|(_, c)| references(&c.node))
            .unwrap_or_default();
        let found = below.into_iter().any(|next| walk(keys, next, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    for name in keys.criteria.keys() {
        if walk(keys, name, &mut Vec::new(), &mut done) {
            sheet.find(
                &format!("criteria/{name}"),
                format!("The criterion '{name}' leads back to itself"),
                "Break the circle: a criterion may not need one that needs it",
            );
        }
    }
}

fn references(node: &Node) -> Vec<&str> {
    match node {
        Node::All(of) | Node::Any(of) | Node::FirstKnown(of) | Node::AtLeast(_, of) => {
            of.iter().flat_map(references).collect()
        }
        Node::Not(one) => references(one),
        Node::Criterion(name) => vec![name],
        Node::Test(_) => Vec::new(),
    }
}
