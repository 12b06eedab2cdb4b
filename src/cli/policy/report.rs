//! The output of a back-test: a summary for the terminal, and every item of every case as CSV or JSON.

use crate::error::{Error, Result};
use crate::prior_auth::comparison::{Change, Comparison, ItemComparison};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use uuid::Uuid;

/// How many case ids the summary lists per kind of change; the files list all.
const MAX_IDS: usize = 10;

/// The columns of the CSV file.
const COLUMNS: [&str; 13] = [
    "case",
    "item",
    "changes",
    "policy_before",
    "policy_after",
    "decision_before",
    "decision_after",
    "coverage_before",
    "coverage_after",
    "newly_requested",
    "staff_decision",
    "error_before",
    "error_after",
];

/// The file to which items are written, if any.
pub struct BacktestFile(Format);

enum Format {
    None,
    Csv(Box<csv::Writer<File>>),
    Json { file: BufWriter<File>, is_empty: bool },
}

impl BacktestFile {
    /// Writes nothing.
    pub fn none() -> Self {
        Self(Format::None)
    }

    /// Creates a CSV file. `Malformed` when it cannot be written.
    pub fn csv(path: &Path) -> Result<Self> {
        let mut file = csv::Writer::from_writer(create(path)?);
        file.write_record(COLUMNS).map_err(write_error)?;
        Ok(Self(Format::Csv(Box::new(file))))
    }

    /// Creates a JSON file with one array. `Malformed` when it cannot be written.
    pub fn json(path: &Path) -> Result<Self> {
        let file = BufWriter::new(create(path)?);
        Ok(Self(Format::Json { file, is_empty: true }))
    }

    /// Writes one item.
    pub fn add(&mut self, item: &ItemComparison) -> Result<()> {
        match &mut self.0 {
            Format::None => Ok(()),
            Format::Csv(file) => file.write_record(csv_record(item)).map_err(write_error),
            Format::Json { file, is_empty } => {
                let separator = if std::mem::take(is_empty) { "[\n" } else { ",\n" };
                let text = serde_json::to_string(item).map_err(Error::internal)?;
                write!(file, "{separator}{text}").map_err(write_error)
            }
        }
    }

    /// Completes the file.
    pub fn finish(self) -> Result<()> {
        match self.0 {
            Format::None => Ok(()),
            Format::Csv(mut file) => file.flush().map_err(write_error),
            Format::Json { mut file, is_empty } => {
                let end = if is_empty { "[]\n" } else { "\n]\n" };
                file.write_all(end.as_bytes())
                    .and_then(|()| file.flush())
                    .map_err(write_error)
            }
        }
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|e| Error::malformed(format!("{} cannot be written: {e}", path.display())))
}

fn write_error(error: impl std::fmt::Display) -> Error {
    Error::malformed(format!("The back-test file cannot be written: {error}"))
}

fn csv_record(item: &ItemComparison) -> [String; 13] {
    let (before, after) = (&item.before, &item.after);
    let changes: Vec<&str> = item.changes().into_iter().map(Change::description).collect();
    let requested: Vec<&str> = item.newly_requested.iter().map(String::as_str).collect();
    [
        item.case.to_string(),
        item.item.to_string(),
        changes.join("; "),
        before.policy.clone(),
        after.policy.clone(),
        before.decision.to_owned(),
        after.decision.to_owned(),
        before.coverage.clone(),
        after.coverage.clone(),
        requested.join("; "),
        item.staff_decision.as_str().to_owned(),
        before.error.clone().unwrap_or_default(),
        after.error.clone().unwrap_or_default(),
    ]
}

/// The whole comparison as text. Cases that a physician denied are all listed, others only the first few.
pub fn summary(comparison: &Comparison, candidate: &str) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} cases with {} items were evaluated under {candidate}.",
        comparison.cases, comparison.items
    );
    if !comparison.skipped.is_empty() {
        let _ = writeln!(text, "{} cases cannot be evaluated:", comparison.skipped.len());
        for (case, reason) in comparison.skipped.iter().take(MAX_IDS) {
            let _ = writeln!(text, "  {case}: {reason}");
        }
    }
    if comparison.is_empty() {
        text += "Nothing would change.\n";
    }
    for (change, cases) in &comparison.changes {
        let _ = writeln!(
            text,
            "{:<24}{:>7}  {}",
            change.description(),
            cases.len(),
            first_ids(cases)
        );
    }
    let approvals = &comparison.new_approvals;
    let _ = writeln!(
        text,
        "The candidate would approve {} items that staff had to decide: staff approved {} of them as requested and \
         denied {}; {} are still open.",
        approvals.total(),
        approvals.approved.len(),
        approvals.denied.len(),
        approvals.open.len()
    );
    let denied = [
        (
            "Denied by a physician, but the candidate would approve:",
            &approvals.denied,
        ),
        (
            "Denied by a physician, but the candidate would not require authorization:",
            &comparison.denied_and_not_required,
        ),
    ];
    for (heading, cases) in denied {
        if !cases.is_empty() {
            let _ = writeln!(text, "{heading}");
        }
        for case in cases {
            let _ = writeln!(text, "  {case}");
        }
    }
    text
}

fn first_ids(cases: &[Uuid]) -> String {
    let ids: Vec<String> = cases.iter().take(MAX_IDS).map(Uuid::to_string).collect();
    let more = if cases.len() > MAX_IDS { ", …" } else { "" };
    format!("{}{more}", ids.join(", "))
}
