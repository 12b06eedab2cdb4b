//! Background work: sending outbox messages, checks of due times, and the deletion of expired rows. Each can be switched
//! off in the settings. Messages are leased, so that several processes can share them.

mod escalation;
mod lease;
mod line;
mod notices;
mod notification;
mod outbox;
mod purge;
mod reload;
mod supervise;

pub use reload::Reload;
pub use supervise::supervise;

use crate::error::Result;
use crate::publication;
use crate::state::State;
use crate::telemetry;
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
        if enabled.outbox {
            running.push(supervised("outbox", state, stopped.clone(), outbox::run));
        }
        if enabled.deadlines {
            running.push(repeat(
                "deadlines",
                state,
                second * 60,
                stopped.clone(),
                |state| async move { escalation::check_due_times(&state).await },
            ));
        }
        if enabled.purge {
            running.push(supervised("purge", state, stopped.clone(), purge::run));
        }
        running.push(repeat(
            "policies",
            state,
            second * 2,
            stopped.clone(),
            |state| async move { publication::follow(&state).await },
        ));
        running.push(repeat(
            "metrics",
            state,
            second * 10,
            stopped.clone(),
            |_| async move {
                telemetry::run_upkeep();
                Ok(0)
            },
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

/// Sends all due messages until none are left, for tests. Returns how many there were.
pub async fn run_all_due(state: &State) -> Result<usize> {
    let mut done = 0;
    loop {
        let round = outbox::run_due(state).await?;
        if round == 0 {
            return Ok(done);
        }
        done += round;
    }
}

/// Deletes everything that has expired once, for tests. Returns how many rows there were.
pub async fn delete_expired(state: &State) -> Result<u64> {
    let (_running, stopped) = watch::channel(false);
    purge::delete_expired(state, &stopped).await
}

/// Checks all due times, until every notice that is due was queued, for tests.
pub async fn check_due_times(state: &State) -> Result<()> {
    while escalation::check_due_times(state).await? > 0 {}
    Ok(())
}

/// Starts a task that runs `work` until it ends, and again when it panics.
fn supervised<F, W>(
    name: &'static str,
    state: &State,
    stopped: watch::Receiver<bool>,
    work: F,
) -> JoinHandle<()>
where
    F: Fn(State, watch::Receiver<bool>) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let state = state.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "workers are tracked by Workers, which stops them"
    )]
    tokio::spawn(async move {
        let run = || work(state.clone(), stopped.clone());
        supervise(name, state.clone(), stopped.clone(), run).await;
    })
}

/// Starts a task that calls `work` repeatedly, and again when it panics.
fn repeat<F, W>(
    name: &'static str,
    state: &State,
    pause: Duration,
    stopped: watch::Receiver<bool>,
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
        let rounds = || rounds(name, &state, pause, stopped.clone(), &work);
        supervise(name, state.clone(), stopped.clone(), rounds).await;
    })
}

/// Calls `work` until the server stops: again at once while it returns a count above zero, otherwise after `pause` (with
/// jitter) or, for workers that run every second, when the store reports new work.
async fn rounds<F, W>(
    name: &'static str,
    state: &State,
    pause: Duration,
    mut stopped: watch::Receiver<bool>,
    work: &F,
) where
    F: Fn(State) -> W + Send + Sync,
    W: Future<Output = Result<usize>> + Send,
{
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
        state.workers.has_completed_a_round(name);
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
}

/// A time with ±20 %, so that replicas do not run at the same moment.
fn jittered(time: Duration) -> Duration {
    let [byte] = crate::clock::random_bytes::<1>();
    time.mul_f64(0.8 + 0.4 * f64::from(byte) / 255.0)
}
