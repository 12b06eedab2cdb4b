//! What `/readyz` checks: whether the database can be written, the disks have free space, the workers run, and a policy
//! set is published. Each problem is one sentence for the operator.

use crate::clock::Clock;
use crate::config::{Config, Database, folder_of};
use crate::error::Result;
use crate::state::State;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a successful write to the database counts. It bounds what frequent requests cost.
const WRITE_COUNTS_FOR: Duration = Duration::from_secs(1);
/// How long the check of the database may take.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// When the database was last written by a check.
#[derive(Debug, Default)]
pub(super) struct LastWrite(Mutex<Option<Instant>>);

impl LastWrite {
    fn is_recent(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < WRITE_COUNTS_FOR)
    }

    fn set(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Why the server is not ready; empty when it is.
pub(super) async fn problems(state: &State, last_write: &LastWrite) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(database_problem(state, last_write).await);
    problems.extend(disk_problems(&state.config).await);
    for failure in state.workers.failures() {
        problems.push(format!(
            "The worker {} has stopped {} since {} because of an error in it. It is started again automatically; the log says where the error is.",
            failure.worker,
            times(failure.times),
            failure.since.format("%Y-%m-%dT%H:%M:%SZ"),
        ));
    }
    if state.policy_set().publication().is_none() {
        problems.push("No policy set is published.".to_owned());
    }
    problems
}

fn times(count: u32) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}

async fn database_problem(state: &State, last_write: &LastWrite) -> Option<String> {
    if last_write.is_recent() {
        return None;
    }
    match tokio::time::timeout(WRITE_LIMIT, write(state)).await {
        Ok(Ok(())) => {
            last_write.set();
            None
        }
        Ok(Err(error)) => {
            tracing::error!(cause = %error, "not ready: the database cannot be written");
            Some("The database cannot be written. The log says why.".to_owned())
        }
        Err(_) => {
            tracing::error!("not ready: the database does not respond");
            let seconds = WRITE_LIMIT.as_secs();
            Some(format!(
                "The database did not complete a write within {seconds} seconds."
            ))
        }
    }
}

async fn write(state: &State) -> Result<()> {
    // The real time also where a test has fixed the server's clock: the row is only for people.
    state
        .store
        .write(Clock::System.now(), |tx, now| {
            Box::pin(async move { tx.record_worker_run("readiness", *now, 0, 0).await })
        })
        .await
}

/// A folder whose disk must have free space, with what is in it.
type Checked = (&'static str, PathBuf);

async fn disk_problems(config: &Config) -> Vec<String> {
    let least = config.limits.free_disk_mib;
    if least == 0 {
        return Vec::new();
    }
    let mut folders: Vec<Checked> = Vec::new();
    if let Ok(Database::Sqlite(file)) = config.database() {
        folders.push(("the database", folder_of(&file).to_owned()));
    }
    if config.data.exists() {
        folders.push(("the data folder", config.data.clone()));
    }
    // A network file system may not respond at once.
    let checked = tokio::task::spawn_blocking(move || {
        let folders = folders.into_iter();
        folders
            .filter_map(|folder| disk_problem(&folder, least))
            .collect()
    });
    checked.await.unwrap_or_default()
}

fn disk_problem((content, folder): &Checked, least: u64) -> Option<String> {
    match free_mib(folder) {
        Ok(free) if free >= least => None,
        Ok(free) => {
            tracing::error!(content, free, "not ready: the disk is almost full");
            Some(format!(
                "The disk of {content} has {free} MiB left, less than {least} MiB (limits.free_disk_mib). Delete or move files from it."
            ))
        }
        Err(error) => {
            tracing::error!(content, cause = %error, "not ready: the free space is not known");
            Some(format!("The free space on the disk of {content} cannot be read."))
        }
    }
}

/// The free space on the disk of a folder, in MiB.
#[cfg(unix)]
fn free_mib(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) >> 20)
}

/// The free space is not read on other systems.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
fn free_mib(_: &Path) -> std::io::Result<u64> {
    Ok(u64::MAX)
}
