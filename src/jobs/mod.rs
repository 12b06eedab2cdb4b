//! What runs beside the answers: work inside the house, effects that leave it, the watch over due times, the removal
//! of what has expired. Each can be switched off by config; work is leased, so several processes share it.

mod deadlines_watch;
mod fan_out;
mod outbox;
mod policies;

pub use policies::Reload;

use crate::error::Result;
use crate::publication;
use crate::state::State;
use chrono::{DateTime, Duration as Span, Utc};
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Pieces of work per lease.
const MOST: i64 = 50;

/// The running workers.
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts those that the config wants, and those that keep the policies fresh.
    pub fn start(state: &State, reload: Reload) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let wanted = &state.config.workers;
        let mut running = Vec::new();
        let second = Duration::from_secs(1);
        if wanted.jobs {
            running.push(repeat(
                "jobs",
                state,
                second,
                stopped.clone(),
                |state| async move { fan_out::run_due(&state).await },
            ));
        }
        if wanted.outbox {
            running.push(repeat(
                "outbox",
                state,
                second,
                stopped.clone(),
                |state| async move { outbox::run_due(&state).await },
            ));
        }
        if wanted.deadlines {
            running.push(repeat(
                "deadlines",
                state,
                second * 60,
                stopped.clone(),
                |state| async move { deadlines_watch::sweep(&state).await.map(|()| 0) },
            ));
        }
        if wanted.purge {
            running.push(repeat(
                "purge",
                state,
                second * 3600,
                stopped.clone(),
                |state| async move { purge(&state).await.map(|()| 0) },
            ));
        }
        running.push(repeat(
            "policies",
            state,
            second * 2,
            stopped.clone(),
            |state| async move { publication::follow(&state).await },
        ));
        running.extend(policies::start(state, reload, &stopped)?);
        Ok(Self { stop, running })
    }

    /// Lets each finish the piece that it is at.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for worker in self.running {
            let _ = worker.await;
        }
    }
}

/// Everything that is due now, jobs first, until nothing is left; for tests. Answers with how much was done.
pub async fn drain(state: &State) -> Result<usize> {
    let mut done = 0;
    loop {
        let round = fan_out::run_due(state).await? + outbox::run_due(state).await?;
        if round == 0 {
            return Ok(done);
        }
        done += round;
    }
}

/// One sweep over the due times, for tests.
pub async fn sweep_deadlines(state: &State) -> Result<()> {
    deadlines_watch::sweep(state).await
}

/// Runs `work` again and again: at once while there is some, when the store wakes it, else after a while with jitter.
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
            // Listens before it looks: what is enqueued meanwhile is not slept over.
            let mut woken = std::pin::pin!(wake.notified());
            woken.as_mut().enable();
            let did = match work(state.clone()).await {
                Ok(did) => did,
                Err(error) => {
                    tracing::error!(worker = name, cause = %error, "a worker failed and goes on");
                    0
                }
            };
            metrics::counter!("assent_worker_rounds_total", "worker" => name).increment(1);
            if did > 0 {
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

/// Until when a lease holds that is taken now.
fn lease_end(state: &State, now: DateTime<Utc>) -> DateTime<Utc> {
    now + Span::seconds(i64::from(state.config.workers.lease_seconds))
}

/// A time with ±20 %, so that replicas do not move in step.
fn jittered(time: Duration) -> Duration {
    let [byte] = crate::clock::random_bytes::<1>();
    time.mul_f64(0.8 + 0.4 * f64::from(byte) / 255.0)
}

async fn purge(state: &State) -> Result<()> {
    let now = state.now();
    let gone = state
        .store
        .write(now, |tx, now| {
            Box::pin(async move {
                let gone = tx.purge(*now, *now - Span::days(90)).await?;
                tx.beat("purge", *now, 0, i64::try_from(gone).unwrap_or(i64::MAX))
                    .await?;
                Ok(gone)
            })
        })
        .await?;
    tracing::info!(rows = gone, "expired rows removed");
    Ok(())
}
