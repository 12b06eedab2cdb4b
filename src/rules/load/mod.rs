//! From the files to a rule set: each file is read by what its folder says it is, every finding of every file is
//! collected, and nothing is kept when there is one.

pub mod check;
pub mod embedded_tests;
pub mod files;
#[cfg(test)]
mod hostile_input;
pub mod mutants;
pub mod tables;

use crate::rules::evaluate::index::Index;
use crate::rules::format::codes::{CodeRange, code_key};
use crate::rules::format::yaml::Lines;
use crate::rules::load::check::Paths;
use crate::rules::load::files::Parts;
use crate::rules::load::tables::{Row, overlap};
use crate::rules::policy::Policy;
use crate::rules::{Finding, Loading, RuleSet, Tests};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Reads and checks everything.
pub(in crate::rules) fn load(
    files: &[(String, String)],
    forms: &dyn Fn(&str) -> Option<Vec<String>>,
    loading: &Loading,
) -> Result<RuleSet, Vec<Finding>> {
    let mut files: Vec<(&str, &str)> = files.iter().map(|(f, t)| (f.as_str(), t.as_str())).collect();
    files.sort_unstable();
    let mut parts = Parts::read(&files, loading);
    let mut findings = std::mem::take(&mut parts.findings);
    let mut warnings = Vec::new();
    let mut paths = Paths::new();
    let mut policies: Vec<Policy> = Vec::new();
    let read = std::mem::take(&mut parts.policies);
    let mut places = Places {
        texts: read.iter().map(|r| (r.file, r.text)).collect(),
        known: HashMap::new(),
    };
    for read in read {
        let mut sheet = check::Sheet::new(read.file, read.text, &mut findings, &mut warnings, &mut paths);
        policies.push(check::policy(read, &parts, forms, loading, &mut sheet));
    }
    check_rows(&parts, &policies, forms, &mut findings);
    check_ties(&policies, &mut places, &mut findings);
    gaps(&policies, &mut places, &mut warnings);
    silent(&parts, &policies, &mut warnings);
    let mut set = RuleSet {
        index: Index::build(&policies, &parts.rows),
        policies,
        rows: parts.rows,
        answers: parts.answers,
        plans: parts.plans,
        denials: parts.denials,
        fixtures: parts.fixtures,
        warnings,
        tested: HashSet::new(),
    };
    // Tests run only over files that are sound: a broken file would fail them all with the same message.
    if findings.is_empty() && loading.tests == Tests::Run {
        let (failed, tested) = embedded_tests::findings(&set, &loading.tested);
        findings.extend(
            failed
                .into_iter()
                .map(|(finding, path)| places.put(finding, &path)),
        );
        set.tested = tested;
    }
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    if findings.is_empty() {
        Ok(set)
    } else {
        Err(findings)
    }
}

/// Finds the line of a key when somebody asks: most files are never asked about.
struct Places<'a> {
    texts: HashMap<&'a str, &'a str>,
    known: HashMap<String, Lines>,
}

impl Places<'_> {
    /// The finding with the line of a key of its file.
    fn put(&mut self, mut finding: Finding, path: &str) -> Finding {
        if let Some(text) = self.texts.get(finding.file.as_str()) {
            let file = &finding.file;
            let lines = self
                .known
                .entry(file.clone())
                .or_insert_with(|| Lines::of(file, text).unwrap_or_default());
            finding.line = Some(lines.at(path));
        }
        finding
    }
}

/// Rows name answers and policies that exist, no two of them say different things of one code, and every line that a
/// plan has is answered for.
fn check_rows(
    parts: &Parts<'_>,
    policies: &[Policy],
    forms: &dyn Fn(&str) -> Option<Vec<String>>,
    findings: &mut Vec<Finding>,
) {
    let mut scopes: HashMap<&str, Scope> = HashMap::new();
    for policy in policies {
        scopes.entry(policy.name()).or_default().add(policy);
    }
    let mut by_key: HashMap<String, Vec<&Row>> = HashMap::new();
    let mut ranges: Vec<(CodeRange, &Row)> = Vec::new();
    let lines: BTreeSet<&str> = parts.plans.iter().map(|p| p.line.as_str()).collect();
    for row in &parts.rows {
        if let Some(line) = row
            .line
            .as_deref()
            .filter(|line| !lines.is_empty() && !lines.contains(line))
        {
            let message = format!("No plan of plans.csv has the line '{line}'");
            findings.push(of_row(
                row,
                message,
                "Mend the line, or add the plan to plans.csv",
            ));
        }
        if !parts.answers.contains_key(&*row.answer) {
            let message = format!("There is no answer '{}' in answers/", row.answer);
            findings.push(of_row(
                row,
                message,
                "Mend the name, or add the answer to a file of answers/",
            ));
        }
        findings.extend(deferring(row, &scopes, parts.unread));
        match CodeRange::read(&row.system, &row.code) {
            Some(Ok(range)) => ranges.push((range, row)),
            _ => {
                let same = by_key.entry(code_key(&row.system, &row.code)).or_default();
                findings.extend(same.iter().filter_map(|other| twice(other, row)));
                same.push(row);
            }
        }
    }
    findings.extend(meeting(ranges).into_iter().filter_map(|(a, b)| twice(a, b)));
    check_answers(parts, forms, findings);
    for line in lines {
        let answered =
            |r: &Row| &*r.code == "*" && r.state.is_none() && r.line.as_deref().is_none_or(|l| l == line);
        if !parts.rows.iter().any(answered) {
            let message = format!("No list row '*' answers for the line '{line}'");
            let mend =
                "Add a row '*' for the line to a file of lists/: it answers for every code without a row";
            findings.push(Finding::new("plans.csv", Some(1), message).mend(mend));
        }
    }
}

/// The codes of all versions of a policy.
#[derive(Default)]
struct Scope {
    codes: HashSet<String>,
    ranges: Vec<CodeRange>,
}

impl Scope {
    fn add(&mut self, policy: &Policy) {
        for (system, code) in policy.codes() {
            match CodeRange::read(system, code) {
                Some(range) => self.ranges.extend(range.ok()),
                None => drop(self.codes.insert(code_key(system, code))),
            }
        }
    }

    fn holds(&self, row: &Row) -> bool {
        let range = match CodeRange::read(&row.system, &row.code) {
            Some(range) => range.ok(),
            None if self.codes.contains(&code_key(&row.system, &row.code)) => return true,
            None => CodeRange::of_code(&row.system, &row.code),
        };
        range.is_some_and(|range| {
            self.ranges.iter().any(|own| own.holds(&range))
                || range
                    .codes()
                    .is_some_and(|mut codes| codes.all(|code| self.codes.contains(&code)))
        })
    }
}

/// A row that defers to a policy which is not there, or which does not answer for the row's code.
fn deferring(row: &Row, scopes: &HashMap<&str, Scope>, unread: bool) -> Option<Finding> {
    let policy = row.policy.as_deref()?;
    match scopes.get(policy) {
        // The policy may be in a file that could not be read, and that is told already.
        None if unread => None,
        None => Some(of_row(
            row,
            format!("There is no policy '{policy}'"),
            "Mend the name, or leave the last column empty",
        )),
        Some(scope) if !scope.holds(row) => Some(of_row(
            row,
            format!("The policy '{policy}' does not answer for {}", row.code),
            "Add the code to the policy's scope, or leave the last column empty",
        )),
        Some(_) => None,
    }
}

fn of_row(row: &Row, message: String, mend: &str) -> Finding {
    Finding::new(&row.file, Some(row.at), message).mend(mend)
}

/// Two rows that speak for one code, line, state and day.
fn twice(before: &Row, row: &Row) -> Option<Finding> {
    let tie = before.line == row.line && before.state == row.state;
    (tie && overlap((before.from, before.to), (row.from, row.to))).then(|| {
        of_row(
            row,
            format!(
                "This row and line {} of {} speak for the same code and day",
                before.at, before.file
            ),
            "End one of them on the day before the other begins, or keep one",
        )
    })
}

/// Every pair of ranges that share a code. The order of the file is kept in each pair.
fn meeting<T: Copy>(mut ranges: Vec<(CodeRange, T)>) -> Vec<(T, T)> {
    ranges.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
    let mut pairs = Vec::new();
    let mut open: Vec<(CodeRange, T)> = Vec::new();
    for (range, one) in ranges {
        open.retain(|(before, _)| before.meets(&range));
        pairs.extend(open.iter().map(|(_, other)| (*other, one)));
        open.push((range, one));
    }
    pairs
}

fn check_answers(
    parts: &Parts<'_>,
    forms: &dyn Fn(&str) -> Option<Vec<String>>,
    findings: &mut Vec<Finding>,
) {
    let used: HashSet<&str> = parts.rows.iter().map(|r| &*r.answer).collect();
    for (name, answer) in &parts.answers {
        let (file, line) = &answer.place;
        let mut find = |message: String, mend: &str| {
            findings.push(Finding::new(file, *line, message).mend(mend));
        };
        if !used.contains(name.as_str()) {
            find(
                format!("No list row uses the answer '{name}'"),
                "Take it out, or name it in the seventh column of a row",
            );
        }
        for form in answer
            .answer
            .questionnaires()
            .iter()
            .filter(|f| forms(f).is_none())
        {
            find(
                format!("There is no form '{form}'"),
                "Name a folder of questionnaires/ as name|version",
            );
        }
    }
}

/// Two active versions that would answer for the same code, line, state and day.
fn check_ties(policies: &[Policy], places: &mut Places<'_>, findings: &mut Vec<Finding>) {
    let mut by_code: HashMap<String, Vec<&Policy>> = HashMap::new();
    let mut ranges: Vec<(CodeRange, usize)> = Vec::new();
    let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
    let tell = |a: &Policy, b: &Policy| {
        Finding::new(
            &b.file,
            None,
            format!(
                "This version and {} would answer for the same code, line, state and day",
                a.file
            ),
        )
        .mend("Close the older version with effective.to, or retire it")
    };
    for (n, policy) in policies.iter().enumerate().filter(|(_, p)| p.is_active()) {
        for (system, code) in policy.codes() {
            if let Some(range) = CodeRange::read(system, code) {
                ranges.extend(range.ok().map(|range| (range, n)));
                continue;
            }
            let same = by_code.entry(code_key(system, code)).or_default();
            for other in same.iter().filter(|other| tie(other, policy)) {
                if told.insert((&other.file, &policy.file)) {
                    findings.push(places.put(tell(other, policy), "effective"));
                }
            }
            if !same.iter().any(|other| std::ptr::eq(*other, policy)) {
                same.push(policy);
            }
        }
    }
    for (a, b) in meeting(ranges) {
        if let (Some(a), Some(b)) = (policies.get(a.min(b)), policies.get(a.max(b)))
            && a.file != b.file
            && tie(a, b)
            && told.insert((&a.file, &b.file))
        {
            findings.push(places.put(tell(a, b), "effective"));
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
    a.file != b.file
        && share(a.lines(), b.lines())
        && share(a.states(), b.states())
        && overlap(window(a), window(b))
}

/// Rows that defer to a policy of which no version is active: nobody reads its criteria.
fn silent(parts: &Parts<'_>, policies: &[Policy], warnings: &mut Vec<Finding>) {
    let active: HashSet<&str> = policies
        .iter()
        .filter(|p| p.is_active())
        .map(Policy::name)
        .collect();
    let mut told = HashSet::new();
    for row in &parts.rows {
        if let Some(policy) = row.policy.as_deref()
            && !active.contains(policy)
            && told.insert(policy)
        {
            let message =
                format!("The policy '{policy}' has no active version: the answers of its rows stand in");
            let mend =
                "Leave the last column empty until a version is active, so that the row answers itself";
            warnings.push(of_row(row, message, mend));
        }
    }
}

/// Days between two active versions of one policy on which none answers.
fn gaps(policies: &[Policy], places: &mut Places<'_>, warnings: &mut Vec<Finding>) {
    let mut by_name: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
    for policy in policies.iter().filter(|p| p.is_active()) {
        by_name.entry(policy.name()).or_default().push(policy);
    }
    for versions in by_name.values_mut() {
        versions.sort_by_key(|p| p.effective().from);
        for pair in versions.windows(2) {
            let [before, after] = pair else { continue };
            let Some(to) = before.effective().to else { continue };
            if to.succ_opt().is_some_and(|next| next < after.effective().from) {
                let message = format!(
                    "Between {to} and {} no version of '{}' answers",
                    after.effective().from,
                    after.name()
                );
                let mend =
                    "Let the older version end on the day before this one begins, if the gap is not meant";
                warnings.push(places.put(Finding::new(&after.file, None, message).mend(mend), "effective"));
            }
        }
    }
}
