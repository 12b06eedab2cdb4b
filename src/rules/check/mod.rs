//! Load-time checks of one policy: every name resolves and is used, paths compile, tests of facts fit their types,
//! CRD's invariants hold, forms and their questions exist. All findings at once, each with its line.

mod compile;
mod conditions;

use super::Finding;
use super::facts::{Fact, Sets};
use super::index::code_key;
use super::jsonpath::Path;
use super::load::Parts;
use super::model::{PolicyKeys, Status};
use super::policy::Policy;
use super::yaml::Lines;
use conditions::node;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Where the findings of one file go.
pub(super) struct Sheet<'a> {
    file: &'a str,
    lines: &'a Lines,
    findings: &'a mut Vec<Finding>,
    paths: HashMap<String, Arc<Path>>,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(file: &'a str, lines: &'a Lines, findings: &'a mut Vec<Finding>) -> Self {
        Self {
            file,
            lines,
            findings,
            paths: HashMap::new(),
        }
    }

    fn find(&mut self, at: &str, message: impl Into<String>) {
        let line = self.lines.at(at);
        self.findings.push(Finding::new(self.file, line, message));
    }

    /// Compiles a path; the same text is compiled once.
    fn path(&mut self, at: &str, text: &str) -> Option<Arc<Path>> {
        if let Some(known) = self.paths.get(text) {
            return Some(Arc::clone(known));
        }
        match Path::compile(text) {
            Ok(path) => {
                let path = Arc::new(path);
                self.paths.insert(text.to_owned(), Arc::clone(&path));
                Some(path)
            }
            Err(message) => {
                self.find(at, message);
                None
            }
        }
    }
}

/// What a policy's conditions and facts name.
#[derive(Default)]
struct Used {
    facts: BTreeSet<String>,
    sets: BTreeSet<String>,
    criteria: BTreeSet<String>,
}

/// Checks a policy and compiles it. A policy with findings is never kept.
pub(super) fn policy(
    keys: PolicyKeys,
    hash: String,
    parts: &Parts,
    forms: &dyn Fn(&str) -> Option<Vec<String>>,
    sheet: &mut Sheet<'_>,
) -> Policy {
    head(&keys, sheet);
    let mut used = Used::default();
    let sets = sets(&keys, parts, sheet);
    let facts = compile::facts(&keys, &mut used, sheet);
    for (name, criterion) in &keys.criteria {
        node(
            &criterion.node,
            &format!("criteria/{name}"),
            &facts,
            &mut used,
            sheet,
        );
        if criterion.text.trim().is_empty() {
            sheet.find(
                &format!("criteria/{name}"),
                format!("The criterion '{name}' has no text"),
            );
        }
        let source = criterion.cite.split(',').next().unwrap_or("").trim();
        if !keys.sources.iter().any(|s| s.id == source) {
            sheet.find(
                &format!("criteria/{name}/cite"),
                format!("'{source}' is none of the sources"),
            );
        }
    }
    coverage(&keys, &facts, &mut used, sheet);
    let approve = &keys.decision.approve.when;
    node(approve, "decision/approve/when", &facts, &mut used, sheet);
    let asked = conditions::asked(approve);
    asks(&keys, &asked, sheet);
    names(&keys, &used, sheet);
    conditions::cycles(&keys, sheet);
    form_questions(&keys, forms, sheet);
    tests(&keys, parts, sheet);
    Policy {
        file: sheet.file.to_owned(),
        keys,
        hash,
        facts,
        sets,
        asked,
    }
}

fn head(keys: &PolicyKeys, sheet: &mut Sheet<'_>) {
    let expected = format!("{}.", keys.version);
    let name = sheet.file.rsplit('/').next().unwrap_or("");
    if !name.starts_with(&expected) {
        sheet.find(
            "version",
            format!("The file of version '{}' is named '{name}'", keys.version),
        );
    }
    if keys.sources.is_empty() {
        sheet.find("sources", "A policy names its sources");
    }
    let live = matches!(keys.status, Status::Active | Status::Shadow);
    if live && keys.approved.is_none() {
        sheet.find(
            "approved",
            "A policy that runs carries the record of its approval",
        );
    }
    if keys.effective.to.is_some_and(|to| to < keys.effective.from) {
        sheet.find("effective", "The last day lies before the first");
    }
    let scope = &keys.scope;
    if scope.lines.is_empty() || scope.states.is_empty() {
        sheet.find("scope", "Name the lines and the states, or write [any]");
    }
    if scope.codes.iter().all(|c| c.any.is_empty()) {
        sheet.find("scope/codes", "A policy names its codes");
    }
}

fn sets(keys: &PolicyKeys, parts: &Parts, sheet: &mut Sheet<'_>) -> Sets {
    let mut sets = Sets::new();
    for (name, set) in &keys.sets {
        let at = format!("sets/{name}");
        let codes = match (&set.any, &set.file) {
            (Some(codes), None) => codes.clone(),
            (None, Some(file)) => parts.sets.get(file).cloned().unwrap_or_else(|| {
                sheet.find(&at, format!("There is no {file}"));
                Vec::new()
            }),
            _ => {
                sheet.find(&at, "A set has either 'any' or 'file'");
                Vec::new()
            }
        };
        if codes.is_empty() {
            sheet.find(&at, format!("The set '{name}' is empty"));
        }
        sets.insert(
            name.clone(),
            codes.iter().map(|code| code_key(&set.system, code)).collect(),
        );
    }
    sets
}

fn coverage(keys: &PolicyKeys, facts: &BTreeMap<String, Fact>, used: &mut Used, sheet: &mut Sheet<'_>) {
    let last = keys.coverage.len().saturating_sub(1);
    for (n, rule) in keys.coverage.iter().enumerate() {
        let at = format!("coverage/{n}");
        if let Some(when) = &rule.when {
            node(when, &at, facts, used, sheet);
        }
        if rule.when.is_some() == (n == last) {
            sheet.find(
                "coverage",
                "The last coverage rule has no 'when', and every other has one",
            );
        }
        for mistake in rule.answer.mistakes() {
            sheet.find(
                &format!("{at}/answer"),
                format!("In coverage rule {}: {mistake}", n + 1),
            );
        }
    }
    if keys.coverage.is_empty() {
        sheet.find("coverage", "A policy says what is covered");
    }
    if !keys.coverage.iter().any(|rule| rule.answer.needs_authorization()) {
        sheet.find(
            "coverage",
            "No coverage rule ever needs authorization; a list row is enough for that",
        );
    }
}

fn asks(keys: &PolicyKeys, asked: &[String], sheet: &mut Sheet<'_>) {
    let ask_for = &keys.decision.otherwise.ask_for;
    if asked.is_empty() {
        sheet.find("decision/approve/when", "'approve.when' names no criterion");
    }
    for name in asked.iter().filter(|n| !ask_for.contains_key(*n)) {
        sheet.find(
            "decision/otherwise/ask_for",
            format!("'ask_for' does not say what to ask for '{name}'"),
        );
    }
    for (name, ask) in ask_for {
        let at = format!("decision/otherwise/ask_for/{name}");
        if !asked.contains(name) {
            sheet.find(&at, format!("'approve.when' does not name '{name}'"));
        }
        if ask.loinc.is_none() && ask.questionnaire.is_none() {
            sheet.find(&at, format!("Ask for '{name}' by loinc or by questionnaire"));
        }
    }
}

/// Unknown and unused names.
fn names(keys: &PolicyKeys, used: &Used, sheet: &mut Sheet<'_>) {
    let named = |all: Vec<&String>| all.into_iter().cloned().collect::<BTreeSet<String>>();
    for (folder, what, known, used) in [
        ("facts", "fact", named(keys.facts.keys().collect()), &used.facts),
        ("sets", "set", named(keys.sets.keys().collect()), &used.sets),
        (
            "criteria",
            "criterion",
            named(keys.criteria.keys().collect()),
            &used.criteria,
        ),
    ] {
        for name in used.difference(&known) {
            sheet.find(folder, format!("There is no {what} '{name}'"));
        }
        for name in known.difference(used) {
            sheet.find(
                &format!("{folder}/{name}"),
                format!("Nothing uses the {what} '{name}'"),
            );
        }
    }
}

/// Every form exists, and every `answer:` is a question of one of them.
fn form_questions(keys: &PolicyKeys, forms: &dyn Fn(&str) -> Option<Vec<String>>, sheet: &mut Sheet<'_>) {
    let in_coverage = keys.coverage.iter().enumerate().flat_map(|(n, rule)| {
        let forms = rule.answer.questionnaires().iter();
        forms.map(move |form| (form, format!("coverage/{n}/answer/questionnaires")))
    });
    let in_asks = keys.decision.otherwise.ask_for.iter().filter_map(|(name, ask)| {
        Some((
            ask.questionnaire.as_ref()?,
            format!("decision/otherwise/ask_for/{name}"),
        ))
    });
    let mut known: BTreeMap<&str, Option<Vec<String>>> = BTreeMap::new();
    for (form, at) in in_coverage.chain(in_asks) {
        if known.entry(form).or_insert_with(|| forms(form)).is_none() {
            sheet.find(&at, format!("There is no form '{form}'"));
        }
    }
    let questions: BTreeSet<&String> = known.values().flatten().flatten().collect();
    for (name, fact) in &keys.facts {
        if let Some(link_id) = fact.answer.as_ref().filter(|l| !questions.contains(l)) {
            sheet.find(
                &format!("facts/{name}"),
                format!("No form of this policy asks '{link_id}'"),
            );
        }
    }
}

fn tests(keys: &PolicyKeys, parts: &Parts, sheet: &mut Sheet<'_>) {
    if keys.tests.is_empty() && keys.status != Status::Retired {
        sheet.find("tests", "A policy carries its tests");
    }
    let mut seen = BTreeSet::new();
    for (n, test) in keys.tests.iter().enumerate() {
        let at = format!("tests/{n}/name");
        if !seen.insert(&test.name) {
            sheet.find(&at, format!("Two tests are named '{}'", test.name));
        }
        if !parts.fixtures.contains_key(&test.given.base) {
            sheet.find(&at, format!("There is no {}", test.given.base));
        }
        let named = test
            .expect
            .criteria
            .keys()
            .chain(test.expect.ask.iter().flatten());
        for name in named.filter(|name| !keys.criteria.contains_key(*name)) {
            sheet.find(
                &at,
                format!(
                    "The test '{}' expects something of '{name}', which is no criterion",
                    test.name
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests;
