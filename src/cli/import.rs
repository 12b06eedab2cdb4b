//! `assent import PATH…`: imports files or folders of FHIR NDJSON or JSON Bundles. Importing again replaces records.

use super::print;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::import;
use crate::publication;
use crate::store::Store;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::IgnoredAny;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Options of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Files (.ndjson, .json), or folders that contain them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// Imports every file, prints the counts, and lists every rejected row; exit code 2 when a row was rejected.
pub async fn run(command: Import, config: &Config) -> Result<ExitCode> {
    let files = files(&command.paths)?;
    let store = Store::open(config).await?;
    let policy_set = Arc::new(publication::current_or_folders(config, &Clock::System, &store).await?);
    let mut import = import::Import::new(store.clone(), policy_set, Clock::System.now());
    let bytes = files
        .iter()
        .filter_map(|f| f.metadata().ok())
        .map(|m| m.len())
        .sum();
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg}") {
        bar.set_style(style);
    }
    for file in &files {
        import_file(&mut import, file, &bar).await?;
    }
    let report = import.finish().await?;
    bar.finish_and_clear();
    store.close().await;
    for row in &report.rejected {
        // A closed pipe is not an error.
        let _ = writeln!(std::io::stderr(), "{}:{}: {}", row.file, row.line, row.reason);
    }
    print(&format!(
        "{} records imported, {} resources of other types skipped, {} rows rejected",
        report.written,
        report.skipped,
        report.rejected.len()
    ));
    Ok(if report.rejected.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}

fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let failed =
        |path: &Path, e: std::io::Error| Error::malformed(format!("{} cannot be read: {e}", path.display()));
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            std::fs::File::open(path).map_err(|e| failed(path, e))?;
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        for entry in std::fs::read_dir(path).map_err(|e| failed(path, e))? {
            let inner = entry.map_err(|e| failed(path, e))?.path();
            let has_known_extension = inner.extension().is_some_and(|e| e == "ndjson" || e == "json");
            if inner.is_file() && has_known_extension {
                files.push(inner);
            }
        }
        if files.len() == before {
            return Err(Error::malformed(format!(
                "{} contains no .ndjson or .json file",
                path.display()
            )));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a file: as one resource if the whole file is JSON, otherwise line by line.
async fn import_file(import: &mut import::Import, path: &Path, bar: &ProgressBar) -> Result<()> {
    let failed = |e: std::io::Error| Error::malformed(format!("{} cannot be read: {e}", path.display()));
    let name = path.display().to_string();
    let may_be_one_resource = path.extension().is_some_and(|e| e == "json");
    if may_be_one_resource {
        let text = std::fs::read_to_string(path).map_err(failed)?;
        if serde_json::from_str::<IgnoredAny>(&text).is_ok() {
            return import.read_line(&name, 1, &text).await;
        }
    }
    let file = BufReader::new(std::fs::File::open(path).map_err(failed)?);
    for (n, line) in file.lines().enumerate() {
        let line = line.map_err(failed)?;
        import.read_line(&name, n + 1, &line).await?;
        bar.inc(line.len() as u64 + 1);
        bar.set_message(format!("{} rows", import.rows_read()));
    }
    Ok(())
}
