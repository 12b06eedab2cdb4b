//! The guides' numbered requirements and their status: one file per guide and version, one row per statement
//! (`id,level,status,where,note`). A row that is `met` names the test functions that fail if the requirement is broken,
//! separated by `;`. `docs/conformance.md` is generated from these files: with `UPDATE_DOCS=1` the test writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const STATUSES: [&str; 6] = ["todo", "met", "partly", "not-offered", "operator", "defect"];

struct Row {
    id: String,
    level: String,
    status: String,
    tests: String,
    note: String,
}

/// The rows of each guide, by file name without `.csv`.
fn guides() -> BTreeMap<String, Vec<Row>> {
    files_below(&root().join("tests/conformance"), "csv")
        .into_iter()
        .map(|path| {
            let guide = path.file_stem().unwrap().to_string_lossy().into_owned();
            let rows = read(&path);
            (guide, rows)
        })
        .collect()
}

fn read(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(
        header,
        ["id", "level", "status", "where", "note"],
        "{}",
        path.display()
    );
    reader
        .records()
        .map(|record| {
            let record = record.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let column = |n: usize| record[n].to_owned();
            Row {
                id: column(0),
                level: column(1),
                status: column(2),
                tests: column(3),
                note: column(4),
            }
        })
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The names of the functions in `source` that carry a test attribute or are declared inside `both!`.
fn tests_in(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines() {
        // Tests inside `both!` are indented by one step; functions at the margin are helpers.
        let is_in_both = line.starts_with("    async fn ") && line.ends_with(": &TestApp) {");
        let line = line.trim();
        if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, after)) = line.split_once("fn ")
            && (is_test || is_in_both)
        {
            names.extend(after.split(['(', '<']).next().map(str::to_owned));
            is_test = false;
        }
    }
    names
}

fn all_tests() -> BTreeSet<String> {
    ["src", "tests"]
        .iter()
        .flat_map(|folder| files_below(&root().join(folder), "rs"))
        .flat_map(|path| tests_in(&std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// What is wrong with one row, if anything.
fn problem(row: &Row, tests: &BTreeSet<String>) -> Option<String> {
    let mut named = row.tests.split(';').map(str::trim).filter(|t| !t.is_empty());
    let names_a_test = named.clone().next().is_some();
    let missing = named.find(|t| !tests.contains(*t));
    match (row.status.as_str(), missing) {
        (status, _) if !STATUSES.contains(&status) => Some(format!("unknown status {status}")),
        (_, Some(test)) => Some(format!("there is no test {test}")),
        ("met", None) if !names_a_test => Some("met without a test".into()),
        ("partly" | "not-offered" | "operator" | "defect", None) if row.note.trim().is_empty() => {
            Some(format!("{} without a note", row.status))
        }
        _ if row.id.is_empty() || row.level.is_empty() => Some("id or level is missing".into()),
        _ => None,
    }
}

#[test]
fn every_requirement_has_one_row_with_a_known_status_and_existing_tests() {
    let tests = all_tests();
    let mut problems = Vec::new();
    for (guide, rows) in guides() {
        let mut ids = BTreeSet::new();
        for row in &rows {
            if !ids.insert(&row.id) {
                problems.push(format!("{guide} {}: occurs twice", row.id));
            }
            problems.extend(problem(row, &tests).map(|p| format!("{guide} {}: {p}", row.id)));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_row_that_claims_more_than_its_tests_show_is_found() {
    let tests = BTreeSet::from(["a_test".to_owned()]);
    let row = |status: &str, tests: &str, note: &str| Row {
        id: "1".into(),
        level: "SHALL".into(),
        status: status.into(),
        tests: tests.into(),
        note: note.into(),
    };
    assert_eq!(problem(&row("met", "a_test", ""), &tests), None);
    assert_eq!(problem(&row("todo", "", ""), &tests), None);
    for (bad, why) in [
        (row("done", "", ""), "unknown status done"),
        (row("met", "", ""), "met without a test"),
        (row("met", "a_test; gone", ""), "there is no test gone"),
        (row("operator", "", " "), "operator without a note"),
    ] {
        assert_eq!(problem(&bad, &tests).as_deref(), Some(why));
    }
    let source = "#[test]\nfn one() {}\nfn two() {}\n#[tokio::test]\n#[ignore]\nasync fn three() {}\n    async fn \
                  four(app: &TestApp) {";
    assert_eq!(tests_in(source), ["one", "three", "four"]);
}

/// The page: what each status means, then the totals.
fn page() -> String {
    let mut page = String::from(PAGE);
    let mut totals = [0; STATUSES.len() + 1];
    for (guide, rows) in guides() {
        let counts = counts(&rows);
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
        page.push_str(&table_row(&guide, &counts));
    }
    page.push_str(&table_row("**all**", &totals));
    page
}

/// The number of rows, then the number for each status.
fn counts(rows: &[Row]) -> [usize; STATUSES.len() + 1] {
    let mut counts = [0; STATUSES.len() + 1];
    counts[0] = rows.len();
    for (count, status) in counts.iter_mut().skip(1).zip(STATUSES) {
        *count = rows.iter().filter(|row| row.status == status).count();
    }
    counts
}

fn table_row(name: &str, counts: &[usize]) -> String {
    let numbers: Vec<_> = counts.iter().map(usize::to_string).collect();
    format!("| {name} | {} |\n", numbers.join(" | "))
}

const PAGE: &str = "\
# Conformance

Each numbered requirement of a guide has one row in `tests/conformance/<guide>-<version>.csv`. This page is generated
from those files; after a change run `UPDATE_DOCS=1 cargo test conformance`.

- **todo**: the feature is not built yet, or no test shows it yet.
- **met**: the row names a test that fails when the requirement is broken.
- **partly**: the row's note says what is missing.
- **not-offered**: the feature is optional and the note says why it is not offered.
- **operator**: the note says what the operator must do.
- **defect**: the guide contradicts itself, and the note says what Assent does.

| Guide | Rows | todo | met | partly | not-offered | operator | defect |
|---|---|---|---|---|---|---|---|
";

#[test]
fn the_conformance_page_shows_the_totals_of_the_files() {
    let path = root().join("docs/conformance.md");
    #[expect(
        clippy::disallowed_methods,
        reason = "an option of the test run, not a setting of the server"
    )]
    let update = std::env::var("UPDATE_DOCS").is_ok();
    if update {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written,
        page(),
        "docs/conformance.md is out of date: run with UPDATE_DOCS=1"
    );
}
