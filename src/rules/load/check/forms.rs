//! Checks of a policy against its forms: every form exists, every question that a fact reads exists and has answers of
//! the fact's type, every value that a test requires is an option, and no question stays unread without a reason.

use crate::rules::form_question::{FormQuestion, QuestionKind};
use crate::rules::format::conditions::{Condition, FactTest, Literal, Requirement};
use crate::rules::format::policy_file::{FactKeys, FactType, PolicyKeys, PolicyStatus, SourceKeys};
use crate::rules::load::QuestionsOfForm;
use crate::rules::load::check::collector::FindingCollector;
use std::collections::{BTreeMap, BTreeSet};

/// The questions of the policy's forms by link id.
type Questions<'q> = BTreeMap<&'q str, &'q FormQuestion>;

/// A form that the policy names, and the key that names it first.
struct NamedForm<'k> {
    name: &'k str,
    key: String,
    questions: Vec<FormQuestion>,
}

/// Checks the forms that the policy names, and what its facts read from them.
pub(in crate::rules) fn check_forms(
    keys: &PolicyKeys,
    forms: &QuestionsOfForm<'_>,
    collector: &mut FindingCollector<'_>,
) {
    let named = named_forms(keys, forms, collector);
    let of_all_forms = named.iter().flat_map(|form| &form.questions);
    let questions: Questions<'_> = of_all_forms.map(|one| (one.link_id.as_str(), one)).collect();
    let mut read: BTreeSet<String> = BTreeSet::new();
    for (name, fact) in &keys.facts {
        for (key, source) in sources(name, fact) {
            let kind = fact.kind.or(fact.read.as_ref().map(|read| read.kind));
            check_source(&key, kind, &source, &questions, collector);
            read.extend(source.answer.into_iter().chain(source.dated_by));
        }
    }
    check_options(keys, &questions, collector);
    check_not_read(keys, &questions, &read, collector);
    if keys.status != PolicyStatus::Retired {
        read.extend(keys.not_read.keys().cloned());
        named.iter().for_each(|form| warn_unread(form, &read, collector));
    }
}

/// The forms that the policy names, each once. A form that does not exist is a finding.
fn named_forms<'k>(
    keys: &'k PolicyKeys,
    forms: &QuestionsOfForm<'_>,
    collector: &mut FindingCollector<'_>,
) -> Vec<NamedForm<'k>> {
    let in_coverage = keys.coverage.iter().enumerate().flat_map(|(n, rule)| {
        let forms = rule.answer.questionnaires().iter();
        forms.map(move |form| (form, format!("coverage/{n}/answer/questionnaires")))
    });
    let in_ask_for = keys.decision.otherwise.ask_for.iter().filter_map(|(name, ask)| {
        Some((
            ask.questionnaire.as_ref()?,
            format!("decision/otherwise/ask_for/{name}"),
        ))
    });
    let mut named: Vec<NamedForm<'k>> = Vec::new();
    for (name, key) in in_coverage.chain(in_ask_for) {
        if named.iter().any(|form| form.name == name) {
            continue;
        }
        match forms(name) {
            Some(questions) => named.push(NamedForm { name, key, questions }),
            None => collector.error(
                &key,
                format!("The form '{name}' does not exist"),
                "Name a folder of questionnaires/ as name|version",
            ),
        }
    }
    named
}

/// The sources of a fact, each with its key in the file.
fn sources(name: &str, fact: &FactKeys) -> Vec<(String, SourceKeys)> {
    let also = fact.also.iter().enumerate();
    let also = also.map(|(n, source)| (format!("facts/{name}/also/{n}"), source.clone()));
    std::iter::once((format!("facts/{name}"), fact.first_source()))
        .chain(also)
        .collect()
}

/// Every question that a source reads exists, and its answers have the fact's type.
fn check_source(
    key: &str,
    kind: Option<FactType>,
    source: &SourceKeys,
    questions: &Questions<'_>,
    collector: &mut FindingCollector<'_>,
) {
    let read_as = [(&source.answer, kind), (&source.dated_by, Some(FactType::Date))];
    for (link_id, kind) in read_as
        .into_iter()
        .filter_map(|(id, kind)| Some((id.as_ref()?, kind)))
    {
        let Some(question) = questions.get(link_id.as_str()) else {
            collector.error(
                key,
                format!("No form of this policy has the question '{link_id}'"),
                "Write a linkId of a form that this policy names in 'questionnaires' or 'ask_for'",
            );
            continue;
        };
        if let Some(kind) = kind.filter(|kind| !question.can_be_read_as(*kind)) {
            collector.error(
                key,
                format!(
                    "The answers to '{link_id}' are {} and cannot be read as: {}",
                    question.kind.answers_text(),
                    kind.code()
                ),
                "Read the answer as the type of the question, or name another question",
            );
        }
    }
}

/// Every text that a fact must equal, or that `means` gives it, is an option of the question that states the fact. Free
/// text that must equal something is a warning: the answer may say the same in other words.
fn check_options(keys: &PolicyKeys, questions: &Questions<'_>, collector: &mut FindingCollector<'_>) {
    for (key, name, text) in required_texts(keys) {
        let Some(fact) = keys.facts.get(name) else {
            continue;
        };
        let answers = fact
            .also
            .iter()
            .map(|source| &source.answer)
            .chain([&fact.answer]);
        let questions = answers
            .flatten()
            .filter_map(|link_id| questions.get(link_id.as_str()));
        for question in questions {
            let id = &question.link_id;
            let has_options = question.kind == QuestionKind::Choice && !question.options.is_empty();
            if has_options && !question.options.iter().any(|option| option == text) {
                collector.error(
                    &key,
                    format!("'{text}' is not an option of the question '{id}'"),
                    "Write the code of an option of the form",
                );
            }
            if question.kind == QuestionKind::Text {
                collector.warning(
                    &key,
                    format!("The question '{id}' takes any text, and the policy compares it with '{text}'"),
                    "Give the question options, or leave its answer to the reviewer",
                );
            }
        }
    }
}

/// The texts that facts must equal or that `means` gives them: the key in the file, the fact, and the text.
fn required_texts(keys: &PolicyKeys) -> Vec<(String, &str, &str)> {
    let mut required: Vec<(String, &str, &str)> = Vec::new();
    for (key, test) in tests(keys) {
        if let Requirement::Equals(Literal::Text(text)) = &test.requirement {
            required.push((key, &test.fact, text));
        }
    }
    for (name, fact) in &keys.facts {
        let meanings = fact.also.iter().map(|source| &source.means).chain([&fact.means]);
        for meaning in meanings.flatten() {
            if let Literal::Text(text) = meaning {
                required.push((format!("facts/{name}"), name, text));
            }
        }
    }
    required
}

/// Every test of the policy, with the key of the criterion or rule that it belongs to.
fn tests(keys: &PolicyKeys) -> Vec<(String, &FactTest)> {
    fn add<'c>(condition: &'c Condition, key: &str, into: &mut Vec<(String, &'c FactTest)>) {
        match condition {
            Condition::All(of)
            | Condition::Any(of)
            | Condition::FirstKnown(of)
            | Condition::AtLeast(_, of) => {
                of.iter().for_each(|one| add(one, key, into));
            }
            Condition::Not(one) => add(one, key, into),
            Condition::Test(test) => into.push((key.to_owned(), test)),
            Condition::Criterion(_) => {}
        }
    }
    let mut all = Vec::new();
    for (name, criterion) in &keys.criteria {
        add(&criterion.condition, &format!("criteria/{name}"), &mut all);
    }
    for (n, rule) in keys.coverage.iter().enumerate() {
        if let Some(when) = &rule.when {
            add(when, &format!("coverage/{n}/when"), &mut all);
        }
    }
    add(&keys.decision.approve.when, "decision/approve/when", &mut all);
    all
}

/// `not_read` names questions of the policy's forms that no fact reads, each with a reason.
fn check_not_read(
    keys: &PolicyKeys,
    questions: &Questions<'_>,
    read: &BTreeSet<String>,
    collector: &mut FindingCollector<'_>,
) {
    for (link_id, reason) in &keys.not_read {
        let key = format!("not_read/{link_id}");
        if !questions.contains_key(link_id.as_str()) {
            collector.error(
                &key,
                format!("No form of this policy has the question '{link_id}'"),
                "Correct the linkId, or remove the entry",
            );
        } else if read.contains(link_id) {
            collector.error(
                &key,
                format!("A fact reads the question '{link_id}'"),
                "Remove the entry",
            );
        } else if reason.trim().is_empty() {
            collector.error(
                &key,
                format!("The question '{link_id}' has no reason"),
                "Write in one sentence why the policy does not need the answer",
            );
        }
    }
}

/// Questions that people answer and nobody reads: an answer that contradicts the chart would go unnoticed.
fn warn_unread(form: &NamedForm<'_>, read: &BTreeSet<String>, collector: &mut FindingCollector<'_>) {
    let unread: Vec<&str> = form
        .questions
        .iter()
        .map(|question| question.link_id.as_str())
        .filter(|link_id| !read.contains(*link_id))
        .collect();
    if !unread.is_empty() {
        collector.warning(
            &form.key,
            format!("No fact reads these questions of the form {}: {}", form.name, unread.join(", ")),
            "Read each as a source of a fact, or write under 'not_read' why the policy does not need the answer",
        );
    }
}
