//! `assent policy backtest --with DIR`: every stored case again under another set, against what was said that day and
//! what people decided since. Reads alone; one page of cases is in memory at a time.

use super::report::{Rows, summary};
use super::{Folders, check};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::pas::stored;
use crate::prior_auth::PriorAuth;
use crate::prior_auth::flips::{FlipTable, Line};
use crate::rules::{Finding, RuleSet, Tests};
use crate::store::Store;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::process::ExitCode;
use uuid::Uuid;

/// How many cases are read at once.
const PAGE: i64 = 50;

/// What is compared with what.
#[derive(Debug, Args)]
pub struct Backtest {
    /// The candidate's folder of rules
    #[arg(long = "with", value_name = "DIR")]
    with: PathBuf,
    /// The candidate's folder of forms; those of the settings without it
    #[arg(long, value_name = "DIR")]
    forms: Option<PathBuf>,
    /// Cases received on or after this day (UTC)
    #[arg(long, value_name = "DATE")]
    since: Option<NaiveDate>,
    /// Writes every line of every case into a file
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    csv: Option<PathBuf>,
    /// The same as a JSON array
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Loads the candidate, runs every case again and tells what would change; exit code 2 when the candidate has findings.
pub async fn run(command: Backtest, config: &Config) -> Result<ExitCode> {
    let folders = Folders {
        rules: Some(command.with.clone()),
        forms: command.forms.clone(),
    };
    let candidate = match folders.load(config, Tests::Run)? {
        Ok(candidate) => candidate,
        Err(findings) => {
            tell_findings(&findings);
            return Ok(ExitCode::from(2));
        }
    };
    let mut rows = match (&command.csv, &command.json) {
        (Some(file), _) => Rows::csv(file)?,
        (None, Some(file)) => Rows::json(file)?,
        (None, None) => Rows::none(),
    };
    let since = since(command.since);
    let store = Store::open(config).await?;
    let bar = progress(&store, since).await?;
    let table = replay(&store, &candidate.rules, since, &mut |step| match step {
        Step::Case => {
            bar.inc(1);
            Ok(())
        }
        Step::Line(line) => rows.add(line),
    })
    .await?;
    rows.finish()?;
    bar.finish_and_clear();
    store.close().await;
    crate::cli::say(&summary(&table, &candidate.hash));
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "a command speaks to the terminal")]
fn tell_findings(findings: &[Finding]) {
    for finding in findings {
        eprint!("{}", check::lines("error", finding));
    }
    eprintln!(
        "The candidate has {}; no case was run again.",
        check::counted(findings.len(), "mistake", "mistakes")
    );
}

/// The first instant of a day in UTC; without a day everything counts.
fn since(day: Option<NaiveDate>) -> DateTime<Utc> {
    day.map_or(DateTime::UNIX_EPOCH, |day| day.and_time(NaiveTime::MIN).and_utc())
}

/// A bar on standard error; it is silent where that is no terminal.
async fn progress(store: &Store, since: DateTime<Utc>) -> Result<ProgressBar> {
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

/// What happened on the way.
#[derive(Debug)]
pub enum Step<'a> {
    /// One case more was looked at.
    Case,
    /// One line was run again.
    Line(&'a Line),
}

/// Runs every case again that was received at or after `since`. Each step is told as it happens.
pub async fn replay(
    store: &Store,
    rules: &RuleSet,
    since: DateTime<Utc>,
    each: &mut (dyn FnMut(Step<'_>) -> Result<()> + Send),
) -> Result<FlipTable> {
    let mut table = FlipTable::default();
    let mut after = Uuid::nil();
    loop {
        let page = store
            .read((after, since), |tx, (after, since)| {
                Box::pin(async move { tx.stored_cases(*after, *since, PAGE).await })
            })
            .await?;
        let Some((last, _)) = page.last() else {
            return Ok(table);
        };
        after = *last;
        for (id, stored) in page {
            let lines = stored.and_then(|(case, text)| run_again(&case, &text, rules));
            each(Step::Case)?;
            match lines {
                Ok(Some(lines)) => {
                    table.cases += 1;
                    for line in &lines {
                        table.add(line);
                        each(Step::Line(line))?;
                    }
                }
                Ok(None) => {
                    let why = "it is older than the facts that are kept with a case";
                    table.left_out.push((id, why.to_owned()));
                }
                Err(error) => {
                    let why = error.log_line().unwrap_or_else(|| error.message());
                    table.left_out.push((id, why.to_owned()));
                }
            }
        }
    }
}

/// Every line of a case under both sets; none when the case cannot be run again.
fn run_again(case: &PriorAuth, request_text: &str, rules: &RuleSet) -> Result<Option<Vec<Line>>> {
    let Some(documents) = stored::documents(case, request_text, rules)? else {
        return Ok(None);
    };
    let lines = documents.iter().map(|(sequence, document)| {
        let item = case
            .item(*sequence)
            .ok_or_else(|| Error::internal("a line of a case was lost"))?;
        Ok(Line::of(case.id, item, &rules.evaluate(document)))
    });
    lines.collect::<Result<Vec<_>>>().map(Some)
}
