//! Load-time checks of one policy: every name resolves and is used, paths compile, tests of facts fit their types,
//! CRD's invariants hold, forms and their questions exist. All findings at once, each with its line and how to mend it.

mod compile;
mod conditions;
mod names;
mod scope;

use crate::rules::evaluate::facts::{Fact, Sets};
use crate::rules::evaluate::jsonpath::Path;
use crate::rules::format::codes::code_key;
use crate::rules::format::policy_file::{PolicyKeys, SetKeys, Status};
use crate::rules::format::yaml::Lines;
use crate::rules::load::files::{Parts, ReadPolicy};
use crate::rules::policy::{Places, Policy};
use crate::rules::{Finding, Loading, Tests};
use chrono::{Months, NaiveDate};
use conditions::node;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Compiled paths by their text, shared by all policies of a set.
pub(in crate::rules) type Paths = HashMap<String, Arc<Path>>;

/// Where the findings of one file go. Lines are counted when the first finding asks.
pub(in crate::rules) struct Sheet<'a> {
    file: &'a str,
    text: &'a str,
    lines: OnceCell<Lines>,
    findings: &'a mut Vec<Finding>,
    warnings: &'a mut Vec<Finding>,
    paths: &'a mut Paths,
}

impl<'a> Sheet<'a> {
    pub(in crate::rules) fn new(
        file: &'a str,
        text: &'a str,
        findings: &'a mut Vec<Finding>,
        warnings: &'a mut Vec<Finding>,
        paths: &'a mut Paths,
    ) -> Self {
        Self {
            file,
            text,
            lines: OnceCell::new(),
            findings,
            warnings,
            paths,
        }
    }

    fn lines(&self) -> &Lines {
        self.lines
            .get_or_init(|| Lines::of(self.file, self.text).unwrap_or_default())
    }

    fn find(&mut self, at: &str, message: impl Into<String>, mend: &str) {
        let line = Some(self.lines().at(at));
        self.findings
            .push(Finding::new(self.file, line, message).mend(mend));
    }

    fn warn(&mut self, at: &str, message: impl Into<String>, mend: &str) {
        let line = Some(self.lines().at(at));
        self.warnings
            .push(Finding::new(self.file, line, message).mend(mend));
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
                self.find(
                    at,
                    message,
                    "Let the path find nodes only, as $.res.Condition[?@.code.text=='x'], and leave the rest to keys",
                );
                None
            }
        }
    }
}

/// What a policy's conditions and facts name, each with the key where it stands first.
#[derive(Default)]
struct Used {
    facts: BTreeMap<String, String>,
    sets: BTreeMap<String, String>,
    criteria: BTreeMap<String, String>,
}

/// Notes a name; the place is the first one.
fn note(names: &mut BTreeMap<String, String>, name: &str, at: &str) {
    if !names.contains_key(name) {
        names.insert(name.to_owned(), at.to_owned());
    }
}

/// Checks a policy and compiles it. A policy with findings is never kept.
pub(in crate::rules) fn policy(
    read: ReadPolicy<'_>,
    parts: &Parts<'_>,
    forms: &dyn Fn(&str) -> Option<Vec<String>>,
    loading: &Loading,
    sheet: &mut Sheet<'_>,
) -> Policy {
    let keys = read.keys;
    head(&keys, sheet);
    sources(&keys, loading.today, sheet);
    let codes = scope::codes(&keys, parts, sheet);
    scope::listed(&keys, &codes, parts, sheet);
    scope::lines(&keys, parts, sheet);
    let mut used = Used::default();
    let sets = sets(&keys, parts, sheet);
    let facts = compile::facts(&keys, &mut used, sheet);
    for (name, criterion) in &keys.criteria {
        let at = format!("criteria/{name}");
        node(&criterion.node, &at, &facts, &mut used, sheet);
        if criterion.text.trim().is_empty() {
            sheet.find(
                &at,
                format!("The criterion '{name}' has no text"),
                "Say in one sentence what must hold",
            );
        }
        let source = criterion.cite.split(',').next().unwrap_or("").trim();
        if !keys.sources.iter().any(|s| s.id == source) {
            sheet.find(
                &format!("{at}/cite"),
                format!("'{source}' is none of the sources"),
                "Begin 'cite' with the id of a source, then a comma and the section",
            );
        }
    }
    coverage(&keys, &facts, &mut used, sheet);
    if keys.decision.otherwise.pend.queue.trim().is_empty() {
        sheet.find(
            "decision/otherwise/pend",
            "The queue has no name",
            "Name the queue in which a person looks: queue: clinical-review",
        );
    }
    let approve = &keys.decision.approve.when;
    node(approve, "decision/approve/when", &facts, &mut used, sheet);
    let asked = conditions::asked(approve);
    names::asks(&keys, &asked, sheet);
    names::used(&keys, &used, sheet);
    conditions::cycles(&keys, sheet);
    names::form_questions(&keys, forms, sheet);
    if !read.tests_left {
        names::tests(&keys, parts, sheet);
    }
    // Whoever reads the tests to run them wants their lines.
    let places = match loading.tests {
        Tests::Read => places(&keys, sheet.lines()),
        Tests::Run | Tests::Leave => Places::default(),
    };
    Policy {
        file: sheet.file.to_owned(),
        keys,
        hash: read.hash,
        tests_key: read.tests_key,
        codes,
        facts,
        sets,
        asked,
        places,
    }
}

fn places(keys: &PolicyKeys, lines: &Lines) -> Places {
    let criteria = keys.criteria.keys().map(|name| format!("criteria/{name}"));
    let facts = keys.facts.keys().map(|name| format!("facts/{name}"));
    let sets = keys.sets.keys().map(|name| format!("sets/{name}"));
    let rules = (0..keys.coverage.len()).map(|n| format!("coverage/{n}"));
    let others = ["decision/approve/when".to_owned()];
    let named = criteria.chain(facts).chain(sets).chain(rules).chain(others);
    Places {
        tests: (0..keys.tests.len())
            .map(|n| lines.at(&format!("tests/{n}/name")))
            .collect(),
        named: named.map(|path| (path.clone(), lines.at(&path))).collect(),
    }
}

fn head(keys: &PolicyKeys, sheet: &mut Sheet<'_>) {
    let expected = format!("{}.", keys.version);
    let name = sheet.file.rsplit('/').next().unwrap_or("").to_owned();
    if !name.starts_with(&expected) {
        sheet.find(
            "version",
            format!("The file of version '{}' is named '{name}'", keys.version),
            "Name the file after its version: 2026.2.yaml",
        );
    }
    let live = matches!(keys.status, Status::Active | Status::Shadow);
    if live && keys.approved.is_none() {
        sheet.find(
            "approved",
            "A policy that runs carries the record of its approval",
            "Add approved: { by: …, on: …, record: … }, or set the status to draft",
        );
    }
    if keys.effective.to.is_some_and(|to| to < keys.effective.from) {
        sheet.find(
            "effective",
            "The last day lies before the first",
            "Swap 'from' and 'to', or mend the year",
        );
    }
    let scope = &keys.scope;
    if scope.lines.is_empty() || scope.states.is_empty() {
        sheet.find(
            "scope",
            "A policy names its lines and its states",
            "Write them, or [any] for every one",
        );
    }
}

/// Sources exist, and somebody looked at each within a year (42 CFR 422.137 asks for a yearly review).
fn sources(keys: &PolicyKeys, today: Option<NaiveDate>, sheet: &mut Sheet<'_>) {
    if keys.sources.is_empty() {
        sheet.find(
            "sources",
            "A policy names its sources",
            "Add sources: [ { id, cite, url, checked } ]",
        );
    }
    for (n, source) in keys.sources.iter().enumerate() {
        if !["https://", "http://"]
            .iter()
            .any(|scheme| source.url.starts_with(scheme))
        {
            sheet.find(
                &format!("sources/{n}/url"),
                format!("The address of the source '{}' is no web address", source.id),
                "Write the address of a page that people can open: https://…",
            );
        }
    }
    let Some(oldest) = today.and_then(|day| day.checked_sub_months(Months::new(12))) else {
        return;
    };
    if keys.status == Status::Retired {
        return;
    }
    for (n, source) in keys
        .sources
        .iter()
        .enumerate()
        .filter(|(_, s)| s.checked < oldest)
    {
        sheet.warn(
            &format!("sources/{n}"),
            format!(
                "The source '{}' was last checked on {}, more than a year ago",
                source.id, source.checked
            ),
            "Compare the policy with it again and set 'checked' to that day",
        );
    }
}

fn sets(keys: &PolicyKeys, parts: &Parts<'_>, sheet: &mut Sheet<'_>) -> Sets {
    let mut sets = Sets::new();
    for (name, set) in &keys.sets {
        let at = format!("sets/{name}");
        let codes = set_codes(set, &at, parts, sheet);
        if codes.is_empty() {
            sheet.find(
                &at,
                format!("The set '{name}' is empty"),
                "Name at least one code",
            );
        }
        sets.insert(name.clone(), codes);
    }
    sets
}

fn set_codes(
    set: &SetKeys,
    at: &str,
    parts: &Parts<'_>,
    sheet: &mut Sheet<'_>,
) -> std::collections::HashSet<String> {
    let under = |system: &str, codes: &[String]| codes.iter().map(|code| code_key(system, code)).collect();
    match (&set.system, &set.any, &set.file, &set.valueset) {
        (Some(system), Some(codes), None, None) => under(system, codes),
        (Some(system), None, Some(file), None) => match parts.sets.get(file) {
            Some(codes) => under(system, codes),
            None => {
                sheet.find(
                    at,
                    format!("There is no {file}"),
                    "Put the file into sets/, one code a line",
                );
                under(system, &[])
            }
        },
        (None, None, None, Some(canonical)) => match parts.value_sets.get(canonical) {
            Some(codes) => codes
                .iter()
                .map(|(system, code)| code_key(system, code))
                .collect(),
            None => {
                sheet.find(
                    at,
                    format!("There is no expanded ValueSet '{canonical}' in sets/"),
                    "Put its expansion into sets/ as JSON; name it by url|version",
                );
                under("", &[])
            }
        },
        _ => {
            sheet.find(
                at,
                "A set is 'system' with 'any', 'system' with 'file', or 'valueset'",
                "Keep one of the three forms",
            );
            under("", &[])
        }
    }
}

fn coverage(keys: &PolicyKeys, facts: &BTreeMap<String, Fact>, used: &mut Used, sheet: &mut Sheet<'_>) {
    let last = keys.coverage.len().saturating_sub(1);
    for (n, rule) in keys.coverage.iter().enumerate() {
        let at = format!("coverage/{n}");
        if let Some(when) = &rule.when {
            node(when, &format!("{at}/when"), facts, used, sheet);
        }
        if rule.when.is_some() == (n == last) {
            sheet.find(
                &at,
                "The last coverage rule has no 'when', and every other has one",
                "Put the rule that always answers at the end",
            );
        }
        for mistake in rule.answer.mistakes() {
            sheet.find(
                &format!("{at}/answer"),
                format!("In coverage rule {}: {}", n + 1, mistake.what),
                mistake.mend,
            );
        }
    }
    if keys.coverage.is_empty() {
        sheet.find(
            "coverage",
            "A policy says what is covered",
            "Add a rule with an 'answer' under 'coverage'",
        );
    } else if !keys.coverage.iter().any(|rule| rule.answer.needs_authorization()) {
        sheet.find(
            "coverage",
            "No coverage rule ever needs authorization",
            "Use a list row with an answer instead of a policy, or say pa: auth-needed in the last rule",
        );
    }
}

#[cfg(test)]
mod tests;
