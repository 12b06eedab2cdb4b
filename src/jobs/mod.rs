//! Background work: jobs, outbox messages, checks of due times, and the deletion of expired rows. Each can be switched
//! off in the settings. Work is leased, so that several processes can share it.

mod escalation;
mod fan_out;
mod lease;
mod outbox;
mod payload;
mod reload;

pub use reload::Reload;

use crate::error::Result;
use crate::publication;
use crate::state::State;
use chrono::TimeDelta;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The running workers.
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts the workers that the settings enable, and those that load new policy sets.
    pub fn start(state: &State, reload: Reload) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let enabled = &state.config.workers;
        let mut running = Vec::new();
        let second = Duration::from_secs(1);
        if enabled.jobs {
            running.push(repeat(
                "jobs",
                state,
                second,
                stopped.clone(),
                |state| async move { fan_out::run_due(&state).await },
            ));
        }
        if enabled.outbox {
            running.push(repeat(
                "outbox",
                state,
                second,
                stopped.clone(),
                |state| async move { outbox::run_due(&state).await },
            ));
        }
        if enabled.deadlines {
            running.push(repeat(
                "deadlines",
                state,
                second * 60,
                stopped.clone(),
                |state| async move { escalation::check_due_times(&state).await.map(|()| 0) },
            ));
        }
        if enabled.purge {
            running.push(repeat(
                "purge",
                state,
                second * 3600,
                stopped.clone(),
                |state| async move { delete_expired(&state).await.map(|()| 0) },
            ));
        }
        running.push(repeat(
            "policies",
            state,
            second * 2,
            stopped.clone(),
            |state| async move { publication::follow(&state).await },
        ));
        running.extend(reload::start(state, reload, &stopped)?);
        Ok(Self { stop, running })
    }

    /// Stops all workers after their current piece of work.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for worker in self.running {
            let _ = worker.await;
        }
    }
}

/// Runs all due jobs and sends all due messages until none are left, for tests. Returns how many there were.
pub async fn run_all_due(state: &State) -> Result<usize> {
    let mut done = 0;
    loop {
        let round = fan_out::run_due(state).await? + outbox::run_due(state).await?;
        if round == 0 {
            return Ok(done);
        }
        done += round;
    }
}

/// Checks all due times once, for tests.
pub async fn check_due_times(state: &State) -> Result<()> {
    escalation::check_due_times(state).await
}

/// Starts a task that calls `work` repeatedly: again at once while it returns a count above zero, otherwise after
/// `pause` (with jitter) or, for workers that run every second, when the store reports new work.
fn repeat<F, W>(
    name: &'static str,
    state: &State,
    pause: Duration,
    mut stopped: watch::Receiver<bool>,
    work: F,
) -> JoinHandle<()>
where
    F: Fn(State) -> W + Send + Sync + 'static,
    W: Future<Output = Result<usize>> + Send,
{
    let state = state.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "workers are tracked by Workers, which stops them"
    )]
    tokio::spawn(async move {
        let wake = state.store.wake();
        while !*stopped.borrow() {
            // Starts listening before `work` looks, so that work enqueued in between is not missed.
            let mut woken = std::pin::pin!(wake.notified());
            woken.as_mut().enable();
            let count = match work(state.clone()).await {
                Ok(count) => count,
                Err(error) => {
                    tracing::error!(worker = name, cause = %error, "a worker failed and will try again");
                    0
                }
            };
            metrics::counter!("assent_worker_rounds_total", "worker" => name).increment(1);
            if count > 0 {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(jittered(pause)) => {}
                () = woken, if pause <= Duration::from_secs(1) => {}
                _ = stopped.changed() => {}
            }
        }
    })
}

/// A time with ±20 %, so that replicas do not run at the same moment.
fn jittered(time: Duration) -> Duration {
    let [byte] = crate::clock::random_bytes::<1>();
    time.mul_f64(0.8 + 0.4 * f64::from(byte) / 255.0)
}

async fn delete_expired(state: &State) -> Result<()> {
    let now = state.now();
    let deleted = state
        .store
        .write(now, |tx, now| {
            Box::pin(async move {
                let deleted = tx.delete_expired(*now, *now - TimeDelta::days(90)).await?;
                tx.record_worker_run("purge", *now, 0, i64::try_from(deleted).unwrap_or(i64::MAX))
                    .await?;
                Ok(deleted)
            })
        })
        .await?;
    tracing::info!(rows = deleted, "expired rows were deleted");
    Ok(())
}
