//! The three outcomes and how conditions combine them (Kleene's three-valued logic). Missing data is unknown.

use crate::rules::verdict::{Outcome, TraceNode};

pub(in crate::rules) fn met_if(is_met: bool) -> Outcome {
    if is_met { Outcome::Met } else { Outcome::NotMet }
}

/// A trace node with an outcome and nothing else.
pub(in crate::rules) fn node_with(outcome: Outcome) -> TraceNode {
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

/// Combines nodes. `combine` is `all`, `any`, `not` or `first_known`.
pub(in crate::rules) fn combined(combine: &str, of: Vec<TraceNode>) -> TraceNode {
    let outcomes = of.iter().map(|node| node.outcome);
    let outcome = match combine {
        "all" => all(outcomes),
        "any" => not(all(outcomes.map(not))),
        "not" => not(all(outcomes)),
        _ => of
            .iter()
            .find(|node| !is_missing(node))
            .map_or(Outcome::Unknown, |node| node.outcome),
    };
    TraceNode {
        combine: Some(combine.to_owned()),
        of,
        ..node_with(outcome)
    }
}

/// The note of a test whose fact was not found.
pub(in crate::rules) const NOTHING_FOUND: &str = "nothing found";

/// Whether a node is unknown only because nothing was found. What was found and cannot be used is not missing: nothing
/// that comes after it may take its place.
fn is_missing(node: &TraceNode) -> bool {
    if node.outcome != Outcome::Unknown {
        return false;
    }
    match &node.leaf {
        Some(leaf) => leaf.note.as_deref() == Some(NOTHING_FOUND),
        None => node
            .of
            .iter()
            .all(|part| part.outcome != Outcome::Unknown || is_missing(part)),
    }
}

/// Whether at least `n` nodes are met. Unknown while the unknown nodes could still change the result.
pub(in crate::rules) fn at_least(n: usize, of: Vec<TraceNode>) -> TraceNode {
    let count = |outcome| of.iter().filter(|node| node.outcome == outcome).count();
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
        ..node_with(outcome)
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

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Met, NotMet, Unknown};

    fn nodes(outcomes: &[Outcome]) -> Vec<TraceNode> {
        outcomes.iter().map(|outcome| node_with(*outcome)).collect()
    }

    const ALL: [Outcome; 3] = [Met, NotMet, Unknown];

    #[test]
    fn combinations_follow_three_valued_logic() {
        // Rows: met, not met, unknown. Columns: the same.
        let table = |combine: &str| ALL.map(|a| ALL.map(|b| combined(combine, nodes(&[a, b])).outcome));
        assert_eq!(
            table("all"),
            [
                [Met, NotMet, Unknown],
                [NotMet, NotMet, NotMet],
                [Unknown, NotMet, Unknown]
            ]
        );
        assert_eq!(
            table("any"),
            [[Met, Met, Met], [Met, NotMet, Unknown], [Met, Unknown, Unknown]]
        );
        assert_eq!(
            table("first_known"),
            [[Met, Met, Met], [NotMet, NotMet, NotMet], [Met, NotMet, Unknown]]
        );
        assert_eq!(
            ALL.map(|outcome| combined("not", nodes(&[outcome])).outcome),
            [NotMet, Met, Unknown]
        );
    }

    #[test]
    fn a_count_is_unknown_while_unknown_nodes_could_change_it() {
        let at_least_two = |outcomes: &[Outcome]| at_least(2, nodes(outcomes)).outcome;
        assert_eq!(at_least_two(&[Met, Met, Unknown]), Met);
        assert_eq!(at_least_two(&[Met, Unknown, NotMet]), Unknown);
        assert_eq!(at_least_two(&[Met, NotMet, NotMet]), NotMet);
        assert_eq!(at_least_two(&[Unknown, Unknown, NotMet]), Unknown);
        assert_eq!(at_least_two(&[NotMet, NotMet, Unknown]), NotMet);
    }
}
