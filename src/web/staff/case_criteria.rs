//! The middle of the case page: the policy that was applied, its criteria as a tree, and the evidence. Each test of a
//! fact links to the row of evidence that it was judged by.

use crate::fhir::dates;
use crate::prior_auth::Item;
use crate::review::{self, CaseView, CriteriaCounts, EvidenceLocation};
use crate::rules::{
    Decision, PolicySource, RuleSet, ShownNode, ShownTest, StatedValue, Verdict, VerdictSource,
};
use crate::web::staff::labels::{
    capitalized, outcome_badge, service_text, source_text, status_badge, verdict_text,
};
use crate::web::staff::views::set_aside::SetAsideRow;
use crate::web::staff::views::{
    AppliedPolicy, ClinicalEntryRow, CriterionNode, EvidenceLink, EvidenceTables, FactTest, FormAnswerRow,
    NeededDocument, OrderDetailRow, StatedRow,
};
use std::collections::HashMap;

/// The policy of the first item that has one, with the counts of all items.
pub(in crate::web) fn applied_policy(items: &[Item]) -> Option<AppliedPolicy> {
    let (item, title) = items.iter().find_map(|item| match &item.verdict.source {
        VerdictSource::Policy { title, .. } => Some((item, title)),
        _ => None,
    })?;
    let all = items
        .iter()
        .filter_map(|item| review::count_conditions(&item.verdict));
    let counts = all.fold(CriteriaCounts::default(), |sum, counts| CriteriaCounts {
        met: sum.met + counts.met,
        not_met: sum.not_met + counts.not_met,
        unknown: sum.unknown + counts.unknown,
    });
    Some(AppliedPolicy {
        title: title.clone(),
        version: source_text(&item.verdict).unwrap_or_default(),
        verdict: format!("{}.", capitalized(&verdict_text(&item.verdict))),
        counts,
    })
}

/// The conditions of the item. When the case has several items, one branch for each item; conditions that are the same as
/// those of an item before are shown once.
pub(in crate::web) fn criteria_tree(view: &CaseView, rules: &RuleSet) -> Vec<CriterionNode> {
    let items = view.case.items.as_slice();
    let conditions = |item: &Item| -> Vec<CriterionNode> {
        let sources = policy_sources(rules, &item.verdict);
        review::conditions(&item.verdict)
            .iter()
            .map(|node| criterion_node(view, sources, &node.shown()))
            .collect()
    };
    if let [only] = items {
        return conditions(only);
    }
    let mut shown: HashMap<(&str, Option<String>), u32> = HashMap::new();
    items
        .iter()
        .filter(|item| !item.verdict.trace.is_empty())
        .map(|item| {
            let source = source_text(&item.verdict);
            let same = (item.verdict.trace_hash.as_str(), source.clone());
            let first = *shown.entry(same).or_insert(item.sequence);
            let is_first = first == item.sequence || item.verdict.trace_hash.is_empty();
            CriterionNode {
                status: status_badge(item.status),
                text: Some(format!("Item {}, {}", item.sequence, service_text(rules, item))),
                combine: (!is_first).then(|| format!("The same criteria and values as item {first}.")),
                cite: source,
                test: None,
                parts: if is_first { conditions(item) } else { Vec::new() },
            }
        })
        .collect()
}

fn criterion_node(view: &CaseView, sources: &[PolicySource], node: &ShownNode<'_>) -> CriterionNode {
    CriterionNode {
        status: outcome_badge(node.outcome),
        text: node.text.map(str::to_owned),
        // A list of one part needs no words, but a negation does.
        combine: node
            .combine
            .as_deref()
            .filter(|_| node.of.len() > 1 || node.is_negation)
            .map(|combine| format!("{}:", capitalized(combine))),
        cite: node.cite.map(|cite| full_citation(sources, cite)),
        test: node.test.as_ref().map(|test| fact_test(view, test)),
        parts: node
            .of
            .iter()
            .map(|part| criterion_node(view, sources, part))
            .collect(),
    }
}

/// The sources of the policy version that was applied; empty when the current policy set does not contain it.
fn policy_sources<'a>(rules: &'a RuleSet, verdict: &Verdict) -> &'a [PolicySource] {
    let VerdictSource::Policy { policy, version, .. } = &verdict.source else {
        return &[];
    };
    let applied = rules
        .policies()
        .find(|p| p.name() == policy && p.version() == version);
    applied.map_or(&[], |policy| policy.sources())
}

/// A citation such as `ncd, section B` with the source's title instead of its id.
fn full_citation(sources: &[PolicySource], cite: &str) -> String {
    let (id, place) = cite.find(',').map_or((cite, ""), |at| cite.split_at(at));
    match sources.iter().find(|source| source.id == id) {
        Some(source) => format!("{}{place}", source.cite),
        None => cite.to_owned(),
    }
}

fn fact_test(view: &CaseView, test: &ShownTest<'_>) -> FactTest {
    let leaf = test.leaf;
    let stated = |one: &StatedValue| StatedRow {
        value: one.text(),
        date: shown_date(one.date.as_deref()),
        evidence: evidence_link(view, &one.path),
    };
    FactTest {
        fact: leaf.title().to_owned(),
        value: leaf.found().map(|value| shown_value(value, view)),
        // A value that is itself the date needs no second one.
        date: shown_date(leaf.date.as_deref()).filter(|date| leaf.found().as_ref() != Some(date)),
        required: test.required.clone(),
        evidence: leaf.path.as_deref().and_then(|path| evidence_link(view, path)),
        note: leaf.note.clone(),
        stated: leaf.stated.iter().map(stated).collect(),
    }
}

/// A value in words; an instant as its day in the plan's time zone.
fn shown_value(value: String, view: &CaseView) -> String {
    match dates::instant(&value) {
        Some(at) => at
            .with_timezone(&view.case.received.zone)
            .date_naive()
            .to_string(),
        None => value,
    }
}

/// A date that the page can show.
fn shown_date(date: Option<&str>) -> Option<String> {
    date.filter(|date| dates::DateRange::read(date, chrono_tz::UTC).is_some())
        .map(str::to_owned)
}

fn evidence_link(view: &CaseView, path: &str) -> Option<EvidenceLink> {
    let (anchor, label) = match view.evidence.locate(path)? {
        EvidenceLocation::ClinicalEntry(n) => (
            clinical_entry_anchor(n),
            view.evidence.clinical_entries.get(n)?.name.clone(),
        ),
        EvidenceLocation::FormAnswer(n) => (form_answer_anchor(n), format!("Form answer {}", n + 1)),
        EvidenceLocation::OrderDetail(n) => (order_detail_anchor(n), "Order".to_owned()),
        EvidenceLocation::RequestedItem => ("items".to_owned(), "Requested items".to_owned()),
        EvidenceLocation::Member => ("parties".to_owned(), "Member".to_owned()),
    };
    Some(EvidenceLink { anchor, label })
}

fn clinical_entry_anchor(n: usize) -> String {
    format!("entry-{}", n + 1)
}

fn form_answer_anchor(n: usize) -> String {
    format!("answer-{}", n + 1)
}

fn order_detail_anchor(n: usize) -> String {
    format!("order-{}", n + 1)
}

/// The evidence of the request. Each row has an anchor that criteria link to.
pub(in crate::web) fn evidence_tables(view: &CaseView) -> EvidenceTables {
    let evidence = &view.evidence;
    EvidenceTables {
        clinical_entries: evidence
            .clinical_entries
            .iter()
            .enumerate()
            .map(|(n, entry)| ClinicalEntryRow {
                anchor: clinical_entry_anchor(n),
                subject: entry.subject.clone(),
                value: entry.value.clone(),
                date: entry.date.clone(),
                status: entry.status.clone(),
            })
            .collect(),
        form_answers: evidence
            .form_answers
            .iter()
            .enumerate()
            .map(|(n, answer)| FormAnswerRow {
                anchor: form_answer_anchor(n),
                question: answer.question.clone(),
                value: answer.value.clone(),
                origin: answer.origin.map(|origin| origin.label().to_owned()),
            })
            .collect(),
        order_details: evidence
            .order_details
            .iter()
            .enumerate()
            .map(|(n, detail)| OrderDetailRow {
                anchor: order_detail_anchor(n),
                label: detail.label.clone(),
                value: detail.value.clone(),
            })
            .collect(),
        set_aside: evidence
            .set_aside
            .iter()
            .map(|row| SetAsideRow {
                name: row.name.clone(),
                content: row.content.clone(),
                place: row.place.clone(),
                reason: row.reason.clone(),
            })
            .collect(),
    }
}

/// The documents that would answer the unknown criteria of open items, each once.
pub(in crate::web) fn needed_documents(items: &[Item]) -> Vec<NeededDocument> {
    let mut all: Vec<NeededDocument> = Vec::new();
    for item in items.iter().filter(|item| item.status.is_open()) {
        let Decision::Pend(pend) = &item.verdict.decision else {
            continue;
        };
        for document in &pend.documents_needed {
            if all.iter().any(|known| known.text == document.text) {
                continue;
            }
            let loinc = document.loinc.as_ref().map(|code| format!("LOINC {code}"));
            let form = document
                .questionnaire
                .as_ref()
                .map(|form| format!("form {}", form.replace('|', " ")));
            all.push(NeededDocument {
                text: document.text.clone(),
                code: loinc.or(form),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::operator_cases::operator_cases;
    use crate::rules::{Outcome, TraceNode};
    use crate::web::staff::samples::{case_view, no_rules};

    #[test]
    fn a_test_links_to_the_evidence_that_it_was_judged_by() {
        let tree = criteria_tree(&case_view(), &no_rules());
        let test = tree[0].parts[0].parts[0].test.as_ref().unwrap();
        assert_eq!(
            (test.value.as_deref(), test.required.as_str()),
            (Some("91%"), "88% or less")
        );
        let link = test.evidence.as_ref().unwrap();
        assert_eq!(
            (link.anchor.as_str(), link.label.as_str()),
            ("entry-1", "Observation 1")
        );
        let tables = evidence_tables(&case_view());
        assert!(
            tables
                .clinical_entries
                .iter()
                .any(|row| row.anchor == link.anchor)
        );
    }

    #[test]
    fn the_page_says_every_operator_with_each_outcome_plain_and_negated() {
        let view = case_view();
        for case in operator_cases() {
            let node = criterion_node(&view, &[], &case.node().shown());
            let [fact, required, found] = &case.words;
            assert_eq!(
                node.status.text,
                outcome_badge(case.outcome).text,
                "{}",
                case.condition
            );
            let test = node.test.unwrap();
            assert_eq!(
                (&test.fact, &test.required),
                (fact, required),
                "{}",
                case.condition
            );
            assert_eq!(test.value.unwrap_or_default(), *found, "{}", case.condition);
            assert!(node.parts.is_empty());
        }
    }

    #[test]
    fn a_negation_of_several_tests_is_named() {
        let case = operator_cases().remove(0);
        let part = case.node().clone();
        let all = TraceNode {
            combine: Some("all".to_owned()),
            of: vec![part.clone(), part.clone()],
            leaf: None,
            ..part
        };
        let not = TraceNode {
            outcome: Outcome::NotMet,
            combine: Some("not".to_owned()),
            of: vec![all.clone()],
            ..all
        };
        let node = criterion_node(&case_view(), &[], &not.shown());
        assert_eq!(node.combine.as_deref(), Some("Not:"));
        assert_eq!(node.parts[0].combine.as_deref(), Some("All of:"));
    }

    #[test]
    fn conditions_that_items_share_are_shown_once() {
        let mut view = case_view();
        view.case.items[0].verdict.trace_hash = "sha256:1".to_owned();
        let mut second = view.case.items[0].clone();
        second.sequence = 2;
        let mut third = second.clone();
        third.sequence = 3;
        third.verdict.trace_hash = "sha256:2".to_owned();
        view.case.items.extend([second, third]);
        let tree = criteria_tree(&view, &no_rules());
        let parts: Vec<usize> = tree.iter().map(|node| node.parts.len()).collect();
        assert_eq!(parts, [3, 0, 3]);
        assert_eq!(
            tree[1].combine.as_deref(),
            Some("The same criteria and values as item 1.")
        );
    }

    #[test]
    fn values_that_contradict_each_other_are_shown_with_their_evidence() {
        let stated = |value: i32, path: &str| StatedValue {
            value: serde_json::json!(value),
            unit: Some("%".to_owned()),
            date: Some("2026-09-24".to_owned()),
            path: path.to_owned(),
        };
        let mut node = operator_cases().remove(0).node().clone();
        let leaf = node.leaf.as_mut().unwrap();
        leaf.value = None;
        leaf.note = Some("the sources state different values".to_owned());
        leaf.stated = vec![
            stated(87, "$['res']['Observation'][0]['valueQuantity']"),
            stated(97, "$['answers']['oxygen.spo2'][0]"),
        ];
        let test = criterion_node(&case_view(), &[], &node.shown()).test.unwrap();
        let values: Vec<&str> = test.stated.iter().map(|row| row.value.as_str()).collect();
        assert_eq!(values, ["87%", "97%"]);
        assert_eq!(test.stated[0].evidence.as_ref().unwrap().label, "Observation 1");
    }

    #[test]
    fn an_instant_is_shown_once_as_the_day_in_the_plans_time_zone() {
        let mut view = case_view();
        let conditions = &mut view.case.items[0].verdict.trace[0].of;
        let leaf = conditions[1].of[0].leaf.as_mut().unwrap();
        leaf.value = Some(serde_json::json!("2026-09-25T01:30:00Z"));
        leaf.unit = None;
        leaf.date = Some("2026-09-25T01:30:00Z".to_owned());
        let tree = criteria_tree(&view, &no_rules());
        let test = tree[1].parts[0].test.as_ref().unwrap();
        assert_eq!(
            (test.value.as_deref(), test.date.as_deref()),
            (Some("2026-09-24"), None)
        );
    }

    #[test]
    fn a_citation_names_its_source_in_full() {
        let source = PolicySource {
            id: "ncd".to_owned(),
            cite: "CMS NCD 240.2".to_owned(),
            url: String::new(),
            checked: chrono::NaiveDate::MIN,
        };
        let sources = [source];
        assert_eq!(
            full_citation(&sources, "ncd, section B"),
            "CMS NCD 240.2, section B"
        );
        assert_eq!(full_citation(&sources, "ncd"), "CMS NCD 240.2");
        assert_eq!(full_citation(&sources, "plan, section 3"), "plan, section 3");
    }
}
