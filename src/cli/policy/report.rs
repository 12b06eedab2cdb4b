//! How a back-test is told: a summary for the terminal, and each line of each case as CSV or JSON.

use crate::error::{Error, Result};
use crate::prior_auth::flips::{Flip, FlipTable, Line};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use uuid::Uuid;

/// How many case ids of one kind the summary names; the files name all.
const NAMED: usize = 10;

/// The columns of the CSV.
const COLUMNS: [&str; 13] = [
    "case",
    "item",
    "flips",
    "policy_before",
    "policy_after",
    "decision_before",
    "decision_after",
    "coverage_before",
    "coverage_after",
    "new_asks",
    "people",
    "error_before",
    "error_after",
];

/// Where the lines go.
pub struct Rows(Kind);

enum Kind {
    None,
    Csv(Box<csv::Writer<File>>),
    Json { file: BufWriter<File>, first: bool },
}

impl Rows {
    /// Nowhere.
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// Into a new CSV file.
    pub fn csv(path: &Path) -> Result<Self> {
        let mut file = csv::Writer::from_writer(create(path)?);
        file.write_record(COLUMNS).map_err(unwritten)?;
        Ok(Self(Kind::Csv(Box::new(file))))
    }

    /// Into a new JSON file, one array.
    pub fn json(path: &Path) -> Result<Self> {
        let file = BufWriter::new(create(path)?);
        Ok(Self(Kind::Json { file, first: true }))
    }

    /// Writes one line.
    pub fn add(&mut self, line: &Line) -> Result<()> {
        match &mut self.0 {
            Kind::None => Ok(()),
            Kind::Csv(file) => file.write_record(record(line)).map_err(unwritten),
            Kind::Json { file, first } => {
                let before = if std::mem::take(first) { "[\n" } else { ",\n" };
                let text = serde_json::to_string(line).map_err(Error::internal)?;
                write!(file, "{before}{text}").map_err(unwritten)
            }
        }
    }

    /// Writes what is left.
    pub fn finish(self) -> Result<()> {
        match self.0 {
            Kind::None => Ok(()),
            Kind::Csv(mut file) => file.flush().map_err(unwritten),
            Kind::Json { mut file, first } => {
                let end = if first { "[]\n" } else { "\n]\n" };
                file.write_all(end.as_bytes())
                    .and_then(|()| file.flush())
                    .map_err(unwritten)
            }
        }
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|e| Error::malformed(format!("{} cannot be written: {e}", path.display())))
}

fn unwritten(error: impl std::fmt::Display) -> Error {
    Error::malformed(format!("The lines cannot be written: {error}"))
}

fn record(line: &Line) -> [String; 13] {
    let (before, after) = (&line.before, &line.after);
    let flips: Vec<&str> = line.flips().into_iter().map(Flip::words).collect();
    let asks: Vec<&str> = line.new_asks.iter().map(String::as_str).collect();
    [
        line.case.to_string(),
        line.item.to_string(),
        flips.join("; "),
        before.policy.clone(),
        after.policy.clone(),
        before.decision.to_owned(),
        after.decision.to_owned(),
        before.coverage.clone(),
        after.coverage.clone(),
        asks.join("; "),
        line.people.word().to_owned(),
        before.error.clone().unwrap_or_default(),
        after.error.clone().unwrap_or_default(),
    ]
}

/// The whole table in words. Cases that a physician denied are named all, others the first few.
pub fn summary(table: &FlipTable, candidate: &str) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} cases with {} lines were run again under {candidate}.",
        table.cases, table.lines
    );
    if !table.left_out.is_empty() {
        let _ = writeln!(text, "{} cases cannot be run again:", table.left_out.len());
        for (case, why) in table.left_out.iter().take(NAMED) {
            let _ = writeln!(text, "  {case}: {why}");
        }
    }
    if table.is_empty() {
        text += "Nothing would change.\n";
    }
    for (flip, cases) in &table.flips {
        let _ = writeln!(text, "{:<24}{:>7}  {}", flip.words(), cases.len(), some(cases));
    }
    let against = &table.against_people;
    let _ = writeln!(
        text,
        "Of {} lines that people had to decide and the candidate would approve, people approved {} as asked, denied {}; \
         {} are still open.",
        against.lines(),
        against.approved.len(),
        against.denied.len(),
        against.open.len()
    );
    for (what, cases) in [
        (
            "Denied by a physician, and the candidate would approve:",
            &against.denied,
        ),
        (
            "Denied by a physician, and the candidate asks for no authorization:",
            &table.denied_and_not_required,
        ),
    ] {
        if !cases.is_empty() {
            let _ = writeln!(text, "{what}");
        }
        for case in cases {
            let _ = writeln!(text, "  {case}");
        }
    }
    text
}

fn some(cases: &[Uuid]) -> String {
    let named: Vec<String> = cases.iter().take(NAMED).map(Uuid::to_string).collect();
    let more = if cases.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}
