//! From the files to a rule set: each file is read by what its folder says it is, every finding of every file is
//! collected, and nothing is kept when there is one.

use super::answer::AnswerKeys;
use super::check;
use super::index::Index;
use super::lists::{Row, overlap, read_denials, read_plans, read_rows};
use super::model::PolicyKeys;
use super::policy::Policy;
use super::verdict::sha256;
use super::yaml::{Lines, read_yaml};
use super::{Finding, RuleSet, embedded};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A named answer for list rows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedAnswer {
    pub answer: AnswerKeys,
    /// Where a request waits, when the answer needs authorization.
    pub queue: Option<String>,
    /// File and line, for findings.
    #[serde(skip)]
    place: (String, Option<usize>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswersFile {
    format: String,
    answers: BTreeMap<String, NamedAnswer>,
}

/// What the files of `rules/` hold, read one by one.
#[derive(Default)]
pub(super) struct Parts {
    pub rows: Vec<Row>,
    pub plans: Vec<super::Plan>,
    pub denials: Vec<super::DenialReason>,
    pub answers: BTreeMap<String, NamedAnswer>,
    pub sets: HashMap<String, Vec<String>>,
    pub fixtures: HashMap<String, Value>,
    pub policies: Vec<(PolicyKeys, Lines, String, String)>,
    pub findings: Vec<Finding>,
}

impl Parts {
    fn find(&mut self, file: &str, line: Option<usize>, message: impl Into<String>) {
        self.findings.push(Finding::new(file, line, message));
    }

    fn read(&mut self, file: &str, text: &str) {
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
            ("fixtures", "json") => match serde_json::from_str(text) {
                Ok(value) => {
                    self.fixtures.insert(file.to_owned(), value);
                }
                Err(error) => self.find(file, Some(error.line()), error.to_string()),
            },
            ("answers", "yaml") => self.read_answers(file, text),
            ("policies", "yaml" | "json") => self.read_policy(file, text),
            // Read elsewhere: clocks by `deadlines`, letters by the notices.
            ("clocks" | "letters" | "schema", _) | (_, "md") => {}
            _ => self.find(file, None, "Nothing reads this file; is it in the right folder?"),
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
                lines.at("format"),
                "The format of this folder is pa-answers/1",
            );
        }
        for (name, mut answer) in answers.answers {
            let line = lines.at(&format!("answers/{name}"));
            answer.place = (file.to_owned(), line);
            for mistake in answer.answer.mistakes() {
                self.find(file, line, format!("In the answer '{name}': {mistake}"));
            }
            if self.answers.insert(name.clone(), answer).is_some() {
                self.find(file, line, format!("Two answers are named '{name}'"));
            }
        }
    }

    fn read_policy(&mut self, file: &str, text: &str) {
        match Lines::of(file, text).and_then(|lines| Ok((lines, read_yaml(file, text)?))) {
            Ok((lines, keys)) => self
                .policies
                .push((keys, lines, file.to_owned(), sha256(text.as_bytes()))),
            Err(finding) => self.findings.push(finding),
        }
    }
}

/// Reads and checks everything.
pub(super) fn load(
    files: &[(String, String)],
    forms: &dyn Fn(&str) -> Option<Vec<String>>,
) -> Result<RuleSet, Vec<Finding>> {
    let mut files: Vec<(&str, &str)> = files.iter().map(|(f, t)| (f.as_str(), t.as_str())).collect();
    files.sort_unstable();
    let mut parts = Parts::default();
    for (file, text) in &files {
        parts.read(file, text);
    }
    let mut findings = std::mem::take(&mut parts.findings);
    let mut policies: Vec<Policy> = Vec::new();
    for (keys, lines, file, hash) in std::mem::take(&mut parts.policies) {
        let mut sheet = check::Sheet::new(&file, &lines, &mut findings);
        policies.push(check::policy(keys, hash, &parts, forms, &mut sheet));
    }
    check_rows(&parts, &policies, forms, &mut findings);
    check_ties(&policies, &mut findings);
    let set = RuleSet {
        hash: hash_of(&files),
        index: Index::build(&policies, &parts.rows),
        policies,
        rows: parts.rows,
        answers: parts.answers,
        plans: parts.plans,
        denials: parts.denials,
        fixtures: parts.fixtures,
    };
    // Tests run only over files that are sound: a broken file would fail them all with the same message.
    if findings.is_empty() {
        findings.extend(embedded::findings(&set));
    }
    if findings.is_empty() {
        Ok(set)
    } else {
        Err(findings)
    }
}

fn hash_of(files: &[(&str, &str)]) -> String {
    let one = |(file, text): &(&str, &str)| format!("{file} {}", sha256(text.as_bytes()));
    sha256(files.iter().map(one).collect::<Vec<_>>().join("\n").as_bytes())
}

/// Rows name answers and policies that exist, no two of them say different things of one code, and every line that a
/// plan has is answered for.
fn check_rows(
    parts: &Parts,
    policies: &[Policy],
    forms: &dyn Fn(&str) -> Option<Vec<String>>,
    findings: &mut Vec<Finding>,
) {
    let mut by_key: HashMap<String, Vec<&Row>> = HashMap::new();
    for row in &parts.rows {
        let mut find = |message: String| findings.push(Finding::new(&row.file, Some(row.at), message));
        if !parts.answers.contains_key(&row.answer) {
            find(format!("There is no answer '{}' in answers/", row.answer));
        }
        if let Some(policy) = &row.policy
            && !policies.iter().any(|p| p.name() == policy)
        {
            find(format!("There is no policy '{policy}'"));
        }
        let same = by_key
            .entry(super::index::code_key(&row.system, &row.code))
            .or_default();
        for other in same.iter() {
            let tie = other.line == row.line && other.state == row.state;
            if tie && overlap((other.from, other.to), (row.from, row.to)) {
                find(format!(
                    "This row and line {} of {} speak for the same code and day",
                    other.at, other.file
                ));
            }
        }
        same.push(row);
    }
    let used: BTreeSet<&str> = parts.rows.iter().map(|r| r.answer.as_str()).collect();
    for (name, answer) in &parts.answers {
        let (file, line) = &answer.place;
        let mut find = |message: String| findings.push(Finding::new(file, *line, message));
        if !used.contains(name.as_str()) {
            find(format!("No list row uses the answer '{name}'"));
        }
        for form in answer
            .answer
            .questionnaires()
            .iter()
            .filter(|f| forms(f).is_none())
        {
            find(format!("There is no form '{form}'"));
        }
    }
    let lines: BTreeSet<&str> = parts.plans.iter().map(|p| p.line.as_str()).collect();
    for line in lines {
        let answered =
            |r: &Row| r.code == "*" && r.state.is_none() && r.line.as_deref().is_none_or(|l| l == line);
        if !parts.rows.iter().any(answered) {
            findings.push(Finding::new(
                "plans.csv",
                None,
                format!("No list row '*' answers for the line '{line}'"),
            ));
        }
    }
}

/// Two active versions that would answer for the same code, line, state and day.
fn check_ties(policies: &[Policy], findings: &mut Vec<Finding>) {
    let mut by_code: HashMap<String, Vec<&Policy>> = HashMap::new();
    for policy in policies.iter().filter(|p| p.is_active()) {
        let mut told: BTreeSet<&str> = BTreeSet::new();
        for key in policy.code_keys() {
            let same = by_code.entry(key).or_default();
            for other in same.iter().filter(|other| tie(other, policy)) {
                if told.insert(&other.file) {
                    let message = format!(
                        "This version and {} would answer for the same code, line, state and day",
                        other.file
                    );
                    findings.push(Finding::new(&policy.file, None, message));
                }
            }
            same.push(policy);
        }
    }
}

fn tie(a: &Policy, b: &Policy) -> bool {
    let share = |a: Option<&[String]>, b: Option<&[String]>| match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.iter().any(|one| b.contains(one)),
        // A named scope goes before 'any'.
        _ => false,
    };
    let window = |p: &Policy| (p.effective().from, p.effective().to);
    share(a.lines(), b.lines()) && share(a.states(), b.states()) && overlap(window(a), window(b))
}
