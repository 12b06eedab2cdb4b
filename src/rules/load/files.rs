//! The files of `rules/`, each read by what its folder says it is. Policies are read on every core: they are most of
//! the text. Nothing is checked here that needs a second file.

use crate::fhir::{list, resource_type, text};
use crate::rules::evaluate::verdict::sha256;
use crate::rules::format::coverage_answer::AnswerKeys;
use crate::rules::format::policy_file::{PolicyKeys, TestKeys};
use crate::rules::format::yaml::{Lines, read_yaml};
use crate::rules::load::tables::{DenialReason, Plan, Row, read_denials, read_plans, read_rows};
use crate::rules::{Finding, Loading, Tests};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// A named answer for list rows.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct NamedAnswer {
    /// What is answered.
    pub answer: AnswerKeys,
    /// Where a request waits, when the answer needs authorization.
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
    /// Answers by the name that list rows use.
    answers: BTreeMap<String, NamedAnswer>,
}

/// A policy file as read.
pub(in crate::rules) struct ReadPolicy<'a> {
    pub keys: PolicyKeys,
    pub file: &'a str,
    pub text: &'a str,
    pub hash: String,
    /// The hash of all that its tests read.
    pub tests_key: String,
    /// Whether its tests were left unread, because nobody will run them.
    pub tests_left: bool,
}

/// What the files of `rules/` hold.
#[derive(Default)]
pub(in crate::rules) struct Parts<'a> {
    pub rows: Vec<Row>,
    /// The places of the rows that name a policy.
    pub rows_by_policy: HashMap<String, Vec<usize>>,
    pub plans: Vec<Plan>,
    pub denials: Vec<DenialReason>,
    pub answers: BTreeMap<String, NamedAnswer>,
    /// Codes of `sets/*.txt`, by file.
    pub sets: HashMap<String, Vec<String>>,
    /// (system, code) of `sets/*.json`, by `url|version`.
    pub value_sets: HashMap<String, Vec<(String, String)>>,
    pub fixtures: HashMap<String, Value>,
    pub policies: Vec<ReadPolicy<'a>>,
    pub findings: Vec<Finding>,
    /// Whether a policy file could not be read, so that its name is not known.
    pub unread: bool,
}

impl<'a> Parts<'a> {
    /// Reads (path, text) pairs.
    pub(in crate::rules) fn read(files: &[(&'a str, &'a str)], loading: &Loading) -> Self {
        let mut parts = Self::default();
        let is_policy = |file: &str| {
            file.starts_with("policies/") && matches!(file.rsplit_once('.'), Some((_, "yaml" | "json")))
        };
        let (policies, others): (Vec<_>, Vec<_>) =
            files.iter().copied().partition(|(file, _)| is_policy(file));
        let beside = Beside::of(&others);
        for (file, text) in others {
            parts.read_one(file, text);
        }
        let read = |file: &(&'a str, &'a str)| read_policy(file.0, file.1, &beside, loading);
        for read in on_every_core(&policies, read) {
            match read {
                Ok(policy) => parts.policies.push(policy),
                Err(finding) => {
                    parts.unread = true;
                    parts.findings.push(finding);
                }
            }
        }
        for (n, row) in parts.rows.iter().enumerate() {
            if let Some(policy) = &row.policy {
                parts
                    .rows_by_policy
                    .entry(policy.to_string())
                    .or_default()
                    .push(n);
            }
        }
        parts
    }

    fn find(&mut self, file: &str, line: Option<usize>, message: impl Into<String>, mend: &str) {
        self.findings.push(Finding::new(file, line, message).mend(mend));
    }

    fn read_one(&mut self, file: &str, text: &str) {
        let folder = file.split_once('/').map_or("", |(folder, _)| folder);
        let kind = file.rsplit_once('.').map_or("", |(_, kind)| kind);
        match (folder, kind) {
            ("lists", "csv") => self.rows.extend(read_rows(file, text, &mut self.findings)),
            ("codes", "csv") if file == "codes/denial.csv" => {
                self.denials = read_denials(file, text, &mut self.findings);
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
            // Read elsewhere: clocks by `deadlines`, letters by the notices.
            ("clocks" | "letters" | "schema", _) | (_, "md") => {}
            _ => self.find(
                file,
                None,
                "Nothing reads this file",
                "Is it in the right folder? rules/README.md names them",
            ),
        }
    }

    /// One code or range a line; `#` begins a remark.
    fn read_codes(&mut self, file: &str, text: &str) {
        let mut codes = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let code = line.split('#').next().unwrap_or("").trim();
            if code
                .chars()
                .any(|c| !(c.is_ascii_alphanumeric() || ".-/".contains(c)))
            {
                self.find(
                    file,
                    Some(n + 1),
                    format!("'{code}' is no code"),
                    "Write one code a line",
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
                self.find(
                    file,
                    Some(error.line()),
                    error.to_string(),
                    "Mend the JSON at this line",
                );
                None
            }
        }
    }

    /// An expanded `ValueSet`: its `expansion.contains`, whatever the depth. Abstract and inactive entries are no codes.
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
        let named = (text(&value, &["url"]), text(&value, &["version"]));
        match named {
            (Some(url), Some(version)) if resource_type(&value) == Some("ValueSet") && !codes.is_empty() => {
                let name = format!("{url}|{version}");
                if self.value_sets.insert(name.clone(), codes).is_some() {
                    self.find(file, None, format!("Two files hold '{name}'"), "Keep one of the two");
                }
            }
            _ => self.find(
                file,
                None,
                "This is no expanded ValueSet",
                "Put the answer of $expand here: resourceType ValueSet with url, version and expansion.contains",
            ),
        }
    }

    fn read_answers(&mut self, file: &str, text: &str) {
        let read = Lines::of(file, text).and_then(|lines| Ok((lines, read_yaml::<AnswersFile>(file, text)?)));
        let (lines, answers) = match read {
            Ok(read) => read,
            Err(finding) => return self.findings.push(finding),
        };
        if answers.format != "pa-answers/1" {
            self.find(
                file,
                Some(lines.at("format")),
                format!("'{}' is not the format of this folder", answers.format),
                "Write format: pa-answers/1",
            );
        }
        for (name, mut answer) in answers.answers {
            let line = Some(lines.at(&format!("answers/{name}")));
            answer.place = (file.to_owned(), line);
            for mistake in answer.answer.mistakes() {
                self.find(
                    file,
                    line,
                    format!("In the answer '{name}': {}", mistake.what),
                    mistake.mend,
                );
            }
            if self.answers.insert(name.clone(), answer).is_some() {
                self.find(
                    file,
                    line,
                    format!("Two answers are named '{name}'"),
                    "Rename one of them",
                );
            }
        }
    }
}

/// The hashes of the files that policies read beside themselves.
struct Beside<'a> {
    files: HashMap<&'a str, String>,
    value_sets: String,
}

impl<'a> Beside<'a> {
    fn of(others: &[(&'a str, &'a str)]) -> Self {
        let read = |file: &str| file.starts_with("fixtures/") || file.starts_with("sets/");
        let files: HashMap<&str, String> = others
            .iter()
            .filter(|(file, _)| read(file))
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

    /// The hash of the evaluator's version, a policy and every file of fixtures and sets that its text names.
    fn key(&self, hash: &str, text: &str) -> String {
        let names = ["fixtures/", "sets/"].iter().flat_map(|folder| {
            text.match_indices(folder).map(|(at, _)| {
                let rest = text.get(at..).unwrap_or_default();
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c)))
                    .unwrap_or(rest.len());
                rest.get(..end).unwrap_or_default()
            })
        });
        let named: std::collections::BTreeSet<&str> = names.collect();
        let mut read = vec![env!("CARGO_PKG_VERSION"), hash, &self.value_sets];
        read.extend(
            named
                .into_iter()
                .filter_map(|name| self.files.get(name))
                .map(String::as_str),
        );
        sha256(read.join("\n").as_bytes())
    }
}

/// Does the same with each of many, on every core; the order is kept.
pub(in crate::rules) fn on_every_core<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let each = all.len().div_ceil(cores).max(4);
    if all.len() <= each {
        return all.iter().map(work).collect();
    }
    let work = &work;
    std::thread::scope(|scope| {
        let begin = |some| scope.spawn(move || Vec::from_iter(<[T]>::iter(some).map(work)));
        let workers: Vec<_> = all.chunks(each).map(|some: &[T]| begin(some)).collect();
        let ended = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        // A panic of a worker goes on here: it is a mistake of the program, not of a file.
        ended
            .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The tests alone, as they stand at the end of most policies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestsPart {
    tests: Vec<TestKeys>,
}

fn read_policy<'a>(
    file: &'a str,
    text: &'a str,
    beside: &Beside<'_>,
    loading: &Loading,
) -> Result<ReadPolicy<'a>, Finding> {
    if may_have_deny(text) {
        // Finds the key wherever it stands, also where names are free.
        Lines::of(file, text)?;
    }
    let hash = sha256(text.as_bytes());
    let tests_key = beside.key(&hash, text);
    let unwanted = match loading.tests {
        Tests::Run => loading.tested.contains(&tests_key),
        Tests::Read => false,
        Tests::Leave => true,
    };
    let (keys, tests_left) =
        in_parts(file, text, unwanted).map_or_else(|| Ok((read_yaml(file, text)?, false)), Ok)?;
    Ok(ReadPolicy {
        keys,
        file,
        text,
        hash,
        tests_key,
        tests_left,
    })
}

/// Whether the word stands where a key could: the walk that makes sure costs as much as reading.
fn may_have_deny(text: &str) -> bool {
    text.match_indices("deny").any(|(at, word)| {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''))
            .starts_with([':', '#', '?'])
    })
}

/// Reads the policy and its tests apart, and the tests only when they are wanted: they are most of the text. None: the
/// file is not written that way or has a mistake, and is read as a whole.
fn in_parts(file: &str, text: &str, unwanted: bool) -> Option<(PolicyKeys, bool)> {
    let at = text.find("\ntests:")? + 1;
    let (head, tests) = text.split_at_checked(at)?;
    let mut keys: PolicyKeys = read_yaml(file, head).ok()?;
    // Nothing but tests may be left unread.
    let only_tests = tests
        .lines()
        .skip(1)
        .all(|line| line.is_empty() || line.starts_with([' ', '#', '-']));
    if unwanted && only_tests {
        return Some((keys, true));
    }
    keys.tests = read_yaml::<TestsPart>(file, tests).ok()?.tests;
    Some((keys, false))
}
