//! The middle of the case screen: the policy that was applied, its criteria as a tree, the evidence beside it. Each leaf
//! that was judged by something points at the row where that stands.

use crate::fhir::dates;
use crate::prior_auth::Item;
use crate::review::{self, CaseView, Spot};
use crate::rules::policy_file::SourceKeys;
use crate::rules::{Leaf, Outcome, RuleSet, Source, TraceNode, Verdict};
use crate::web::staff::history::{policy_words, verdict_words};
use crate::web::staff::queue_page::{counts, state_mark};
use crate::web::views::{
    Answer, Asked, CasePolicy, Counts, Criterion, Evidence, Fact, Found, LeafView, Mark, Observation, Tone,
};
use serde_json::Value;

/// The policy of the first line that has one; with several lines the tree names each.
pub(in crate::web) fn policy(items: &[Item]) -> Option<CasePolicy> {
    let (item, title) = items.iter().find_map(|item| match &item.verdict.source {
        Source::Policy { title, .. } => Some((item, title)),
        _ => None,
    })?;
    let all = items.iter().filter_map(|item| counts(&item.verdict));
    let counts = all.fold(Counts::default(), |sum, one| Counts {
        met: sum.met + one.met,
        not_met: sum.not_met + one.not_met,
        unknown: sum.unknown + one.unknown,
    });
    let verdict = verdict_words(&item.verdict);
    Some(CasePolicy {
        title: title.clone(),
        version: policy_words(&item.verdict).unwrap_or_default(),
        verdict: capital(&verdict),
        counts,
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).chain(['.']).collect()
    })
}

/// The conditions of each line; with several lines one branch for each.
pub(in crate::web) fn criteria(view: &CaseView, rules: &RuleSet) -> Vec<Criterion> {
    let items = view.case.items.as_slice();
    let of = |item: &Item| -> Vec<Criterion> {
        let sources = sources(rules, &item.verdict);
        review::conditions(&item.verdict)
            .iter()
            .map(|node| criterion(view, sources, node))
            .collect()
    };
    if let [only] = items {
        return of(only);
    }
    items
        .iter()
        .filter(|item| !item.verdict.trace.is_empty())
        .map(|item| Criterion {
            mark: state_mark(item.status),
            text: Some(format!("Line {}, {}", item.sequence, item.code)),
            cite: policy_words(&item.verdict),
            leaf: None,
            of: of(item),
        })
        .collect()
}

fn criterion(view: &CaseView, sources: &[SourceKeys], node: &TraceNode) -> Criterion {
    let how = node
        .combine
        .as_deref()
        .map(combine_words)
        .filter(|_| node.of.len() > 1);
    let text = match (&node.text, how) {
        (Some(text), Some(how)) => Some(format!("{text} ({how})")),
        (Some(text), None) => Some(text.clone()),
        (None, how) if node.leaf.is_none() => how,
        (None, _) => None,
    };
    Criterion {
        mark: outcome_mark(node.outcome),
        text,
        cite: node.cite.as_deref().map(|cite| full_cite(sources, cite)),
        leaf: node.leaf.as_ref().map(|leaf| leaf_view(view, leaf)),
        of: node
            .of
            .iter()
            .map(|below| criterion(view, sources, below))
            .collect(),
    }
}

/// The sources of the policy version that was applied; none once it is no longer published.
fn sources<'a>(rules: &'a RuleSet, verdict: &Verdict) -> &'a [SourceKeys] {
    let Source::Policy { policy, version, .. } = &verdict.source else {
        return &[];
    };
    let applied = rules
        .policies()
        .find(|p| p.name() == policy && p.version() == version);
    applied.map_or(&[], |policy| policy.sources())
}

/// A citation with its source's title in place of the short name: `ncd, section B`.
fn full_cite(sources: &[SourceKeys], cite: &str) -> String {
    let (id, place) = cite.find(',').map_or((cite, ""), |at| cite.split_at(at));
    match sources.iter().find(|source| source.id == id) {
        Some(source) => format!("{}{place}", source.cite),
        None => cite.to_owned(),
    }
}

fn combine_words(combine: &str) -> String {
    match combine {
        "all" => "all of".to_owned(),
        "any" => "any of".to_owned(),
        "first_known" => "the first that is known of".to_owned(),
        "not" => "not".to_owned(),
        other => format!("{} of", other.replace('_', " ")),
    }
}

/// Met, not met or unknown, as a mark.
pub(in crate::web) fn outcome_mark(outcome: Outcome) -> Mark {
    match outcome {
        Outcome::Met => Mark::new(Tone::Met, "met"),
        Outcome::NotMet => Mark::new(Tone::NotMet, "not met"),
        Outcome::Unknown => Mark::new(Tone::Unknown, "unknown"),
    }
}

fn leaf_view(view: &CaseView, leaf: &Leaf) -> LeafView {
    let value = leaf
        .value
        .as_ref()
        .map(value_words)
        .map(|value| match &leaf.unit {
            Some(unit) => format!("{value} {unit}"),
            None => value,
        });
    LeafView {
        fact: leaf.fact.clone(),
        value,
        date: leaf
            .date
            .clone()
            .filter(|date| dates::DateRange::read(date, chrono_tz::UTC).is_some()),
        wants: wants_words(&leaf.wants),
        found: leaf.path.as_deref().and_then(|path| found(view, path)),
        note: leaf.note.clone(),
    }
}

/// What a test wants, as people say it.
fn wants_words(wants: &str) -> String {
    match wants {
        "equals true" => "yes".to_owned(),
        "equals false" => "no".to_owned(),
        "exists true" => "something on record".to_owned(),
        "exists false" => "nothing on record".to_owned(),
        other => other
            .strip_prefix("equals ")
            .map_or_else(|| other.replace('_', " ").replace('"', ""), str::to_owned),
    }
}

fn value_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

fn found(view: &CaseView, path: &str) -> Option<Found> {
    let (anchor, place) = match view.evidence.find(path)? {
        Spot::Entry(n) => (entry_anchor(n), view.evidence.entries.get(n)?.name.clone()),
        Spot::Answer(n) => (answer_anchor(n), format!("Answer {}", n + 1)),
        Spot::Order(n) => (order_anchor(n), "Order".to_owned()),
        Spot::Line => ("lines".to_owned(), "Requested".to_owned()),
        Spot::Member => ("people".to_owned(), "Member".to_owned()),
    };
    Some(Found { anchor, place })
}

fn entry_anchor(n: usize) -> String {
    format!("entry-{}", n + 1)
}

fn answer_anchor(n: usize) -> String {
    format!("answer-{}", n + 1)
}

fn order_anchor(n: usize) -> String {
    format!("order-{}", n + 1)
}

/// What came with the request, with an anchor for each row.
pub(in crate::web) fn evidence(view: &CaseView) -> Evidence {
    let sent = &view.evidence;
    Evidence {
        observations: sent
            .entries
            .iter()
            .enumerate()
            .map(|(n, entry)| Observation {
                anchor: entry_anchor(n),
                what: entry.what.clone(),
                value: entry.value.clone(),
                date: entry.date.clone(),
                status: entry.status.clone(),
            })
            .collect(),
        answers: sent
            .answers
            .iter()
            .enumerate()
            .map(|(n, answer)| Answer {
                anchor: answer_anchor(n),
                question: answer.question.clone(),
                value: answer.value.clone(),
                origin: answer.origin.map(|origin| origin.words().to_owned()),
            })
            .collect(),
        order: sent
            .order
            .iter()
            .enumerate()
            .map(|(n, fact)| Fact {
                anchor: order_anchor(n),
                label: fact.label.clone(),
                value: fact.value.clone(),
            })
            .collect(),
    }
}

/// Papers that would settle what is unknown on an open line, each once.
pub(in crate::web) fn asks(items: &[Item]) -> Vec<Asked> {
    let mut all: Vec<Asked> = Vec::new();
    for item in items.iter().filter(|item| item.status.is_open()) {
        let crate::rules::Decision::Pend(pend) = &item.verdict.decision else {
            continue;
        };
        for ask in &pend.ask {
            if all.iter().any(|known| known.text == ask.text) {
                continue;
            }
            let loinc = ask.loinc.as_ref().map(|code| format!("LOINC {code}"));
            let form = ask
                .questionnaire
                .as_ref()
                .map(|form| format!("form {}", form.replace('|', " ")));
            all.push(Asked {
                text: ask.text.clone(),
                code: loinc.or(form),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::staff::case_page::tests::view;

    fn rules() -> RuleSet {
        RuleSet::load(&[], &|_| None).unwrap()
    }

    #[test]
    fn a_leaf_points_at_the_evidence_that_it_was_judged_by() {
        let tree = criteria(&view(), &rules());
        let leaf = tree[0].of[0].of[0].leaf.as_ref().unwrap();
        assert_eq!(
            (leaf.value.as_deref(), leaf.wants.as_str()),
            (Some("91 %"), "at most 88 %")
        );
        let found = leaf.found.as_ref().unwrap();
        assert_eq!(
            (found.anchor.as_str(), found.place.as_str()),
            ("entry-1", "Observation 1")
        );
        let shown = evidence(&view());
        assert!(shown.observations.iter().any(|row| row.anchor == found.anchor));
    }

    #[test]
    fn a_citation_names_its_source_in_full() {
        let source = SourceKeys {
            id: "ncd".to_owned(),
            cite: "CMS NCD 240.2".to_owned(),
            url: String::new(),
            checked: chrono::NaiveDate::MIN,
        };
        let sources = [source];
        assert_eq!(full_cite(&sources, "ncd, section B"), "CMS NCD 240.2, section B");
        assert_eq!(full_cite(&sources, "ncd"), "CMS NCD 240.2");
        assert_eq!(full_cite(&sources, "plan, section 3"), "plan, section 3");
    }

    #[test]
    fn a_test_is_told_in_words() {
        assert_eq!(wants_words("at_most \"88 %\""), "at most 88 %");
        assert_eq!(wants_words("equals true"), "yes");
        assert_eq!(wants_words("equals rest_awake"), "rest_awake");
    }
}
