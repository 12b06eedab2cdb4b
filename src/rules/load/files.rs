//! Reads the files of `rules/`, each according to its folder. Policies are most of the text and are read in parallel.
//! Checks that need more than one file are in `check`, `list_checks` and `version_checks`.

use crate::fhir::{list, resource_type, text};
use crate::rules::finding::Finding;
use crate::rules::format::coverage_answer::AnswerKeys;
use crate::rules::format::policy_file::{PolicyKeys, TestKeys};
use crate::rules::format::yaml::{KeyLineIndex, read_yaml};
use crate::rules::load::options::{EmbeddedTests, LoadOptions};
use crate::rules::load::tables::{
    DenialReason, ListRow, Plan, read_denial_reasons, read_list, read_plans, read_services,
};
use crate::rules::services::Service;
use crate::rules::verdict::sha256;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A coverage answer that list rows name.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct NamedAnswer {
    /// The coverage answer.
    pub answer: AnswerKeys,
    /// The reviewers' queue for requests, if the answer needs authorization.
    pub queue: Option<String>,
    /// File and line, for findings.
    #[serde(skip)]
    pub place: (String, Option<usize>),
}

/// A file of `answers/`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct AnswersFile {
    /// The format: `pa-answers/1`.
    format: String,
    /// The answers, by the name that list rows use.
    answers: BTreeMap<String, NamedAnswer>,
}

/// A policy file after reading.
pub(in crate::rules) struct ParsedPolicy<'a> {
    pub keys: PolicyKeys,
    pub file: &'a str,
    pub text: &'a str,
    pub hash: String,
    /// The hash of everything that its tests read.
    pub tests_hash: String,
    /// Whether its tests were not read, because they will not run.
    pub tests_skipped: bool,
}

/// The contents of the files of `rules/`.
#[derive(Default)]
pub(in crate::rules) struct ParsedFiles<'a> {
    pub rows: Vec<ListRow>,
    /// The places in `rows` of the rows that name a policy, by the policy's name.
    pub rows_by_policy: HashMap<String, Vec<usize>>,
    pub plans: Vec<Plan>,
    pub denial_reasons: Vec<DenialReason>,
    pub services: Vec<Service>,
    pub answers: BTreeMap<String, NamedAnswer>,
    /// Codes of `sets/*.txt`, by file.
    pub sets: HashMap<String, Vec<String>>,
    /// The (system, code) pairs of `sets/*.json`, by `url|version`.
    pub value_sets: HashMap<String, Vec<(String, String)>>,
    /// The case documents of `fixtures/`, by file.
    pub fixtures: HashMap<String, Value>,
    pub policies: Vec<ParsedPolicy<'a>>,
    pub findings: Vec<Finding>,
    /// Whether a policy file could not be read, so that the name of its policy is unknown.
    pub has_unreadable_policy: bool,
}

impl<'a> ParsedFiles<'a> {
    /// Reads (path, text) pairs.
    pub(in crate::rules) fn read(files: &[(&'a str, &'a str)], options: &LoadOptions) -> Self {
        let mut parsed = Self::default();
        let is_policy = |file: &str| {
            file.starts_with("policies/") && matches!(file.rsplit_once('.'), Some((_, "yaml" | "json")))
        };
        let (policies, others): (Vec<_>, Vec<_>) =
            files.iter().copied().partition(|(file, _)| is_policy(file));
        let referenced = ReferencedFiles::read(&others);
        for (file, text) in others {
            parsed.read_file(file, text);
        }
        let read = |file: &(&'a str, &'a str)| read_policy(file.0, file.1, &referenced, options);
        for policy in parallel_map(&policies, read) {
            match policy {
                Ok(policy) => parsed.policies.push(policy),
                Err(finding) => {
                    parsed.has_unreadable_policy = true;
                    parsed.findings.push(finding);
                }
            }
        }
        for (n, row) in parsed.rows.iter().enumerate() {
            if let Some(policy) = &row.policy {
                parsed
                    .rows_by_policy
                    .entry(policy.to_string())
                    .or_default()
                    .push(n);
            }
        }
        parsed
    }

    fn error(&mut self, file: &str, line: Option<usize>, message: impl Into<String>, fix: &str) {
        self.findings.push(Finding::new(file, line, message).fix(fix));
    }

    fn read_file(&mut self, file: &str, text: &str) {
        let folder = file.split_once('/').map_or("", |(folder, _)| folder);
        let kind = file.rsplit_once('.').map_or("", |(_, kind)| kind);
        match (folder, kind) {
            ("lists", "csv") => self.rows.extend(read_list(file, text, &mut self.findings)),
            ("codes", "csv") if file == "codes/denial.csv" => {
                self.denial_reasons = read_denial_reasons(file, text, &mut self.findings);
            }
            ("codes", "csv") if file == "codes/services.csv" => {
                self.services = read_services(file, text, &mut self.findings);
            }
            ("", "csv") if file == "plans.csv" => self.plans = read_plans(file, text, &mut self.findings),
            ("sets", "txt") => self.read_codes(file, text),
            ("sets", "json") => self.read_value_set(file, text),
            ("fixtures", "json") => {
                if let Some(value) = self.read_json(file, text) {
                    self.fixtures.insert(file.to_owned(), value);
                }
            }
            ("answers", "yaml") => self.read_answers(file, text),
            // `deadlines` reads the clocks. Letters, schemas and README files are not rules.
            ("clocks" | "letters" | "schema", _) | (_, "md") => {}
            _ => self.error(
                file,
                None,
                "The server does not read this file",
                "Move it to the right folder; rules/README.md lists the folders",
            ),
        }
    }

    /// Reads one code, range or prefix per line. `#` begins a comment.
    fn read_codes(&mut self, file: &str, text: &str) {
        let mut codes = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let code = line.split('#').next().unwrap_or("").trim();
            if code
                .chars()
                .any(|c| !(c.is_ascii_alphanumeric() || ".-/*".contains(c)))
            {
                self.error(
                    file,
                    Some(n + 1),
                    format!("'{code}' is not a valid code"),
                    "Write one code per line",
                );
            } else if !code.is_empty() {
                codes.push(code.to_owned());
            }
        }
        self.sets.insert(file.to_owned(), codes);
    }

    fn read_json(&mut self, file: &str, text: &str) -> Option<Value> {
        match serde_json::from_str(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(
                    file,
                    Some(error.line()),
                    error.to_string(),
                    "Correct the JSON at this line",
                );
                None
            }
        }
    }

    /// Reads the codes of an expanded `ValueSet` at all levels of `expansion.contains`, except abstract and inactive
    /// ones.
    fn read_value_set(&mut self, file: &str, source: &str) {
        let Some(value) = self.read_json(file, source) else {
            return;
        };
        let mut codes = Vec::new();
        let mut open: Vec<&Value> = value
            .get("expansion")
            .map(|e| list(e, "contains").collect())
            .unwrap_or_default();
        while let Some(entry) = open.pop() {
            let flag = |name: &str| entry.get(name).and_then(Value::as_bool) == Some(true);
            if let (Some(system), Some(code)) = (text(entry, &["system"]), text(entry, &["code"]))
                && !flag("abstract")
                && !flag("inactive")
            {
                codes.push((system.to_owned(), code.to_owned()));
            }
            open.extend(list(entry, "contains"));
        }
        match (text(&value, &["url"]), text(&value, &["version"])) {
            (Some(url), Some(version)) if resource_type(&value) == Some("ValueSet") && !codes.is_empty() => {
                let name = format!("{url}|{version}");
                if self.value_sets.insert(name.clone(), codes).is_some() {
                    self.error(file, None, format!("Two files have the ValueSet '{name}'"), "Keep one of the two");
                }
            }
            _ => self.error(
                file,
                None,
                "This file is not an expanded ValueSet",
                "Save the response of $expand: resourceType ValueSet with url, version and expansion.contains",
            ),
        }
    }

    fn read_answers(&mut self, file: &str, text: &str) {
        let read = || {
            Ok((
                KeyLineIndex::read(file, text)?,
                read_yaml::<AnswersFile>(file, text)?,
            ))
        };
        let (lines, answers) = match read() {
            Ok(read) => read,
            Err(finding) => return self.findings.push(finding),
        };
        if answers.format != "pa-answers/1" {
            self.error(
                file,
                Some(lines.line_of("format")),
                format!("'{}' is not the format of this folder", answers.format),
                "Write format: pa-answers/1",
            );
        }
        for (name, mut answer) in answers.answers {
            let line = Some(lines.line_of(&format!("answers/{name}")));
            answer.place = (file.to_owned(), line);
            for violation in answer.answer.invariant_violations() {
                self.error(
                    file,
                    line,
                    format!("In the answer '{name}': {}", violation.message),
                    violation.fix,
                );
            }
            if self.answers.insert(name.clone(), answer).is_some() {
                self.error(
                    file,
                    line,
                    format!("Two answers are named '{name}'"),
                    "Rename one of them",
                );
            }
        }
    }
}

/// The hashes of the files that the tests of policies read, besides the policy itself.
struct ReferencedFiles<'a> {
    /// Fixtures and sets, by file.
    files: HashMap<&'a str, String>,
    /// The hash of all expanded value sets: policies name them by URL and not by file.
    value_sets: String,
}

impl<'a> ReferencedFiles<'a> {
    fn read(others: &[(&'a str, &'a str)]) -> Self {
        let is_read = |file: &str| file.starts_with("fixtures/") || file.starts_with("sets/");
        let files: HashMap<&str, String> = others
            .iter()
            .filter(|(file, _)| is_read(file))
            .map(|(file, text)| (*file, sha256(text.as_bytes())))
            .collect();
        let mut value_sets: Vec<&str> = files
            .iter()
            .filter(|(file, _)| file.starts_with("sets/") && file.ends_with(".json"))
            .map(|(_, hash)| hash.as_str())
            .collect();
        value_sets.sort_unstable();
        let value_sets = sha256(value_sets.join("\n").as_bytes());
        Self { files, value_sets }
    }

    /// The hash of everything that a policy's tests read: the version of this program, the policy, and the fixtures and
    /// sets that the policy's text names.
    fn tests_hash(&self, policy_hash: &str, text: &str) -> String {
        let names = ["fixtures/", "sets/"].iter().flat_map(|folder| {
            text.match_indices(folder).map(|(at, _)| {
                let rest = text.get(at..).unwrap_or_default();
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c)))
                    .unwrap_or(rest.len());
                rest.get(..end).unwrap_or_default()
            })
        });
        let names: BTreeSet<&str> = names.collect();
        let mut parts = vec![env!("CARGO_PKG_VERSION"), policy_hash, &self.value_sets];
        parts.extend(
            names
                .into_iter()
                .filter_map(|name| self.files.get(name))
                .map(String::as_str),
        );
        sha256(parts.join("\n").as_bytes())
    }
}

/// Maps a function over a list with one thread per core. The order is kept.
pub(in crate::rules) fn parallel_map<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let each = all.len().div_ceil(cores).max(4);
    if all.len() <= each {
        return all.iter().map(work).collect();
    }
    let work = &work;
    std::thread::scope(|scope| {
        let start = |chunk| scope.spawn(move || Vec::from_iter(<[T]>::iter(chunk).map(work)));
        let threads: Vec<_> = all.chunks(each).map(|chunk: &[T]| start(chunk)).collect();
        let results = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        // A panic in a thread is an error of the program and not of a file, so it is passed on.
        results
            .flat_map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The `tests` of a policy, which are at the end of most files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestsPart {
    tests: Vec<TestKeys>,
}

fn read_policy<'a>(
    file: &'a str,
    text: &'a str,
    referenced: &ReferencedFiles<'_>,
    options: &LoadOptions,
) -> Result<ParsedPolicy<'a>, Finding> {
    if may_have_deny(text) {
        // Finds the key anywhere in the file, also in maps whose keys are free names.
        KeyLineIndex::read(file, text)?;
    }
    let hash = sha256(text.as_bytes());
    let tests_hash = referenced.tests_hash(&hash, text);
    let skip_tests = match options.embedded_tests {
        EmbeddedTests::Run => options.passed_tests.contains(&tests_hash),
        EmbeddedTests::CheckOnly => false,
        EmbeddedTests::Skip => true,
    };
    let (keys, tests_skipped) =
        read_in_two_parts(file, text, skip_tests).map_or_else(|| Ok((read_yaml(file, text)?, false)), Ok)?;
    Ok(ParsedPolicy {
        keys,
        file,
        text,
        hash,
        tests_hash,
        tests_skipped,
    })
}

/// Whether `deny` appears where a key could be. Only then is the file searched for the key, which costs as much as
/// reading it.
fn may_have_deny(text: &str) -> bool {
    text.match_indices("deny").any(|(at, word)| {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''))
            .starts_with([':', '#', '?'])
    })
}

/// Reads a policy and its tests separately, because most of the text is tests. Returns the policy and whether its tests
/// were skipped. `None`: the tests are not at the end or the file has a mistake, so it must be read as a whole.
fn read_in_two_parts(file: &str, text: &str, skip_tests: bool) -> Option<(PolicyKeys, bool)> {
    let at = text.find("\ntests:")? + 1;
    let (head, tests) = text.split_at_checked(at)?;
    let mut keys: PolicyKeys = read_yaml(file, head).ok()?;
    // Only tests may be skipped.
    let only_tests = tests
        .lines()
        .skip(1)
        .all(|line| line.is_empty() || line.starts_with([' ', '#', '-']));
    if skip_tests && only_tests {
        return Some((keys, true));
    }
    keys.tests = read_yaml::<TestsPart>(file, tests).ok()?.tests;
    Some((keys, false))
}
