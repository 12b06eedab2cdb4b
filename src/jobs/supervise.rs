//! Starts a worker again when it panics: at once at first, then after longer and longer pauses. `/readyz` names the worker
//! until it completes a round.

use super::jittered;
use crate::state::State;
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The pause after the first panic. Each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A worker that has run for so long begins with the first pause again.
const STABLE: Duration = Duration::from_secs(300);

/// Runs `work` until it ends by itself or `stopped` is set, and again after each panic.
pub async fn supervise<F, W>(name: &'static str, state: State, mut stopped: watch::Receiver<bool>, work: F)
where
    F: Fn() -> W + Send + Sync,
    W: Future<Output = ()> + Send,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        // What the worker left behind is in the store, where a unit of work is stored as a whole or not at all.
        if AssertUnwindSafe(work()).catch_unwind().await.is_ok() {
            return;
        }
        if started.elapsed() >= STABLE {
            pause = FIRST_PAUSE;
        }
        state.workers.has_failed(name, state.now());
        metrics::counter!("assent_worker_panics_total", "worker" => name).increment(1);
        tracing::error!(worker = name, pause = ?pause, "a worker panicked and will be started again");
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => {}
            _ = stopped.changed() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
