//! Which background workers of this process have stopped because of a panic and have not completed a round since.

use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The workers that have failed, by name.
#[derive(Debug, Default)]
pub struct WorkerHealth(Mutex<BTreeMap<&'static str, WorkerFailure>>);

/// A worker that has stopped because of a panic. It is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerFailure {
    /// The worker's name.
    pub worker: &'static str,
    /// When it stopped first.
    pub since: DateTime<Utc>,
    /// How often it has stopped since it last completed a round.
    pub times: u32,
}

impl WorkerHealth {
    /// A worker has stopped.
    pub fn has_failed(&self, worker: &'static str, at: DateTime<Utc>) {
        let mut all = self.all();
        let failure = all.entry(worker).or_insert(WorkerFailure {
            worker,
            since: at,
            times: 0,
        });
        failure.times = failure.times.saturating_add(1);
    }

    /// A worker has completed a round.
    pub fn has_completed_a_round(&self, worker: &'static str) {
        self.all().remove(worker);
    }

    /// The workers that have stopped and have not completed a round since.
    pub fn failures(&self) -> Vec<WorkerFailure> {
        self.all().values().copied().collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<&'static str, WorkerFailure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
