//! The files of `rules/`, each read by what its folder says it is. Policies are read on every core: they are most of
//! the text. Nothing is checked here that needs a second file.

use super::Finding;
use super::answer::AnswerKeys;
use super::lists::{DenialReason, Plan, Row, read_denials, read_plans, read_rows};
use super::model::PolicyKeys;
use super::verdict::sha256;
use super::yaml::{Lines, read_yaml};
use crate::fhir::{list, resource_type, text};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// A named answer for list rows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedAnswer {
    pub answer: AnswerKeys,
    /// Where a request waits, when the answer needs authorization.
    pub queue: Option<String>,
    /// File and line, for findings.
    #[serde(skip)]
    pub place: (String, Option<usize>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswersFile {
    format: String,
    answers: BTreeMap<String, NamedAnswer>,
}

/// A policy file as read.
pub(super) struct ReadPolicy {
    pub keys: PolicyKeys,
    pub lines: Lines,
    pub file: String,
    pub hash: String,
}

/// What the files of `rules/` hold.
#[derive(Default)]
pub(super) struct Parts {
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
    pub policies: Vec<ReadPolicy>,
    pub findings: Vec<Finding>,
    /// Whether a policy file could not be read, so that its name is not known.
    pub unread: bool,
}

impl Parts {
    /// Reads (path, text) pairs.
    pub(super) fn read(files: &[(&str, &str)]) -> Self {
        let mut parts = Self::default();
        let is_policy = |file: &str| {
            file.starts_with("policies/") && matches!(file.rsplit_once('.'), Some((_, "yaml" | "json")))
        };
        let (policies, others): (Vec<_>, Vec<_>) =
            files.iter().copied().partition(|(file, _)| is_policy(file));
        for (file, text) in others {
            parts.read_one(file, text);
        }
        for read in read_policies(&policies) {
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
            ("sets", "txt") => {
                let codes = text.lines().map(|l| l.split('#').next().unwrap_or("").trim());
                self.sets.insert(
                    file.to_owned(),
                    codes.filter(|c| !c.is_empty()).map(str::to_owned).collect(),
                );
            }
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

/// Reads policy files on every core; the order is that of the files.
fn read_policies(files: &[(&str, &str)]) -> Vec<Result<ReadPolicy, Finding>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let each = files.len().div_ceil(cores).max(8);
    if files.len() <= each {
        return files.iter().map(|(file, text)| read_policy(file, text)).collect();
    }
    std::thread::scope(|scope| {
        let readers: Vec<_> = files
            .chunks(each)
            .map(|some| {
                let read = || {
                    some.iter()
                        .map(|(file, text)| read_policy(file, text))
                        .collect::<Vec<_>>()
                };
                (some, scope.spawn(read))
            })
            .collect();
        readers
            .into_iter()
            .flat_map(|(some, reader)| reader.join().unwrap_or_else(|_| unread(some)))
            .collect()
    })
}

/// A reader that broke down: its files count as unreadable.
fn unread(files: &[(&str, &str)]) -> Vec<Result<ReadPolicy, Finding>> {
    let broke = |file: &str| Finding::new(file, None, "The reader broke down over this file or one near it");
    files.iter().map(|(file, _)| Err(broke(file))).collect()
}

fn read_policy(file: &str, text: &str) -> Result<ReadPolicy, Finding> {
    let lines = Lines::of(file, text)?;
    let keys = read_yaml(file, text)?;
    Ok(ReadPolicy {
        keys,
        lines,
        file: file.to_owned(),
        hash: sha256(text.as_bytes()),
    })
}
