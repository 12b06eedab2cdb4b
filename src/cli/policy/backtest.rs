//! `assent policy backtest --with DIR`: evaluates every stored case again under a candidate policy set and compares the
//! result with the stored verdicts and with what staff decided since. It only reads; one page of cases is in memory at
//! a time.

use super::report::{BacktestFile, summary};
use super::{Folders, check};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::pas::stored_case_documents;
use crate::prior_auth::PriorAuth;
use crate::prior_auth::comparison::{Comparison, ItemComparison};
use crate::rules::{EmbeddedTests, Finding, RuleSet};
use crate::store::Store;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::process::ExitCode;
use uuid::Uuid;

/// How many cases are read at once.
const PAGE: i64 = 50;

/// Options of `policy backtest`.
#[derive(Debug, Args)]
pub struct Backtest {
    /// Folder of the candidate's rules
    #[arg(long = "with", value_name = "DIR")]
    with: PathBuf,
    /// Folder of the candidate's forms; by default the folder in the settings
    #[arg(long, value_name = "DIR")]
    forms: Option<PathBuf>,
    /// Include only cases received on or after this day (UTC)
    #[arg(long, value_name = "DATE")]
    since: Option<NaiveDate>,
    /// Write every item of every case to a CSV file
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    csv: Option<PathBuf>,
    /// Write every item of every case to a JSON file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Loads the candidate, evaluates every case and prints what would change; exit code 2 when the candidate has findings.
pub async fn run(command: Backtest, config: &Config) -> Result<ExitCode> {
    let folders = Folders {
        rules: Some(command.with.clone()),
        forms: command.forms.clone(),
    };
    let candidate = match folders.load(config, EmbeddedTests::Run)? {
        Ok(candidate) => candidate,
        Err(findings) => {
            print_findings(&findings);
            return Ok(ExitCode::from(2));
        }
    };
    let mut file = match (&command.csv, &command.json) {
        (Some(path), _) => BacktestFile::csv(path)?,
        (None, Some(path)) => BacktestFile::json(path)?,
        (None, None) => BacktestFile::none(),
    };
    let since = start_of_day(command.since);
    let store = Store::open(config).await?;
    let bar = progress_bar(&store, since).await?;
    let comparison = compare_all(&store, &candidate.rules, since, &mut |progress| match progress {
        Progress::Case => {
            bar.inc(1);
            Ok(())
        }
        Progress::Item(item) => file.add(item),
    })
    .await?;
    file.finish()?;
    bar.finish_and_clear();
    store.close().await;
    crate::cli::print(&summary(&comparison, &candidate.hash));
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "a command writes to the terminal")]
fn print_findings(findings: &[Finding]) {
    for finding in findings {
        eprint!("{}", check::finding_text("error", finding));
    }
    eprintln!(
        "The candidate has {}. No case was evaluated.",
        check::counted(findings.len(), "error", "errors")
    );
}

/// The start of a day in UTC; without a day the start of 1970, so that every case is included.
fn start_of_day(day: Option<NaiveDate>) -> DateTime<Utc> {
    day.map_or(DateTime::UNIX_EPOCH, |day| day.and_time(NaiveTime::MIN).and_utc())
}

/// A progress bar on standard error; hidden where standard error is not a terminal.
async fn progress_bar(store: &Store, since: DateTime<Utc>) -> Result<ProgressBar> {
    let cases = store
        .read(since, |tx, since| {
            Box::pin(async move { tx.count_cases_since(*since).await })
        })
        .await?;
    let bar = ProgressBar::new(u64::try_from(cases).unwrap_or(0));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} cases, {eta} left") {
        bar.set_style(style);
    }
    Ok(bar)
}

/// What [`compare_all`] reports while it runs.
#[derive(Debug)]
pub enum Progress<'a> {
    /// One more case was read.
    Case,
    /// One item was evaluated.
    Item(&'a ItemComparison),
}

/// Evaluates every case received at or after `since` again and compares the results; `report` is called for each case
/// and item. A case that cannot be evaluated is counted as skipped.
pub async fn compare_all(
    store: &Store,
    rules: &RuleSet,
    since: DateTime<Utc>,
    report: &mut (dyn FnMut(Progress<'_>) -> Result<()> + Send),
) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut last_id = Uuid::nil();
    loop {
        let page = store
            .read((last_id, since), |tx, (last_id, since)| {
                Box::pin(async move { tx.stored_cases(*last_id, *since, PAGE).await })
            })
            .await?;
        let Some((last, _)) = page.last() else {
            return Ok(comparison);
        };
        last_id = *last;
        for (id, stored) in page {
            let items = stored.and_then(|(case, text)| compare_case(&case, &text, rules));
            report(Progress::Case)?;
            match items {
                Ok(Some(items)) => {
                    comparison.cases += 1;
                    for item in &items {
                        comparison.add(item);
                        report(Progress::Item(item))?;
                    }
                }
                Ok(None) => {
                    let reason = "the case was stored before member facts were kept with cases";
                    comparison.skipped.push((id, reason.to_owned()));
                }
                Err(error) => {
                    let reason = error.log_detail().unwrap_or_else(|| error.message());
                    comparison.skipped.push((id, reason.to_owned()));
                }
            }
        }
    }
}

/// Every item of a case under its stored verdict and under the candidate; `None` when the case was stored without the
/// facts that an evaluation needs.
fn compare_case(
    case: &PriorAuth,
    request_text: &str,
    rules: &RuleSet,
) -> Result<Option<Vec<ItemComparison>>> {
    let Some(documents) = stored_case_documents(case, request_text, rules)? else {
        return Ok(None);
    };
    let items = documents.iter().map(|(sequence, document)| {
        let item = case
            .item(*sequence)
            .ok_or_else(|| Error::internal("the request has an item that the case does not have"))?;
        Ok(ItemComparison::new(case.id, item, &rules.evaluate(document)))
    });
    items.collect::<Result<Vec<_>>>().map(Some)
}
