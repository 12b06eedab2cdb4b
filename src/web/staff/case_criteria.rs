//! The middle of the case page: the policy that was applied, its criteria as a tree, and the evidence. Each test of a
//! fact links to the row of evidence that it was judged by.

use crate::fhir::dates;
use crate::prior_auth::Item;
use crate::review::{self, CaseView, CriteriaCounts, EvidenceLocation};
use crate::rules::{Decision, Leaf, PolicySource, RuleSet, TraceNode, Verdict, VerdictSource, combine_text};
use crate::web::staff::labels::{outcome_badge, service_text, source_text, status_badge, verdict_text};
use crate::web::staff::views::{
    AppliedPolicy, ClinicalEntryRow, CriterionNode, EvidenceLink, EvidenceTables, FactTest, FormAnswerRow,
    NeededDocument, OrderDetailRow,
};

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

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The conditions of the item. When the case has several items, one branch for each item.
pub(in crate::web) fn criteria_tree(view: &CaseView, rules: &RuleSet) -> Vec<CriterionNode> {
    let items = view.case.items.as_slice();
    let conditions = |item: &Item| -> Vec<CriterionNode> {
        let sources = policy_sources(rules, &item.verdict);
        review::conditions(&item.verdict)
            .iter()
            .map(|node| criterion_node(view, sources, node))
            .collect()
    };
    if let [only] = items {
        return conditions(only);
    }
    items
        .iter()
        .filter(|item| !item.verdict.trace.is_empty())
        .map(|item| CriterionNode {
            status: status_badge(item.status),
            text: Some(format!("Item {}, {}", item.sequence, service_text(rules, item))),
            combine: None,
            cite: source_text(&item.verdict),
            test: None,
            parts: conditions(item),
        })
        .collect()
}

fn criterion_node(view: &CaseView, sources: &[PolicySource], node: &TraceNode) -> CriterionNode {
    CriterionNode {
        status: outcome_badge(node.outcome),
        text: node.text.clone(),
        combine: node
            .combine
            .as_deref()
            .filter(|_| node.of.len() > 1)
            .map(|combine| format!("{}:", capitalized(&combine_text(combine)))),
        cite: node.cite.as_deref().map(|cite| full_citation(sources, cite)),
        test: node.leaf.as_ref().map(|leaf| fact_test(view, leaf)),
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

fn fact_test(view: &CaseView, leaf: &Leaf) -> FactTest {
    FactTest {
        fact: leaf.title().to_owned(),
        value: leaf.found(),
        date: leaf
            .date
            .clone()
            .filter(|date| dates::DateRange::read(date, chrono_tz::UTC).is_some()),
        required: leaf.required.clone(),
        evidence: leaf.path.as_deref().and_then(|path| evidence_link(view, path)),
        note: leaf.note.clone(),
    }
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
