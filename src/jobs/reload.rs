//! Reloads policies and forms into a running server: at the operator's signal and, in the demo, when a file changes.
//! This module only calls `publication` to read the folders; if they have findings, the current policy set stays.

use crate::error::{Error, Result};
use crate::publication;
use crate::state::State;
use crate::store::policy_sets::PublicationMethod;
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The time between two checks of the folders. They are read when nothing has changed for that long.
const PAUSE: Duration = Duration::from_secs(1);

/// When a server reads the folders of policies and forms again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Never.
    Never,
    /// At SIGHUP.
    OnSignal,
    /// At SIGHUP, and when a file has changed.
    OnSignalAndChange,
}

/// Starts the tasks for `reload`.
pub(super) fn start(
    state: &State,
    reload: Reload,
    stopped: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>> {
    let mut running = Vec::new();
    if reload != Reload::Never {
        running.extend(on_hangup(state.clone(), stopped.clone())?);
    }
    if reload == Reload::OnSignalAndChange {
        running.push(begin(on_change(state.clone(), stopped.clone())));
    }
    Ok(running)
}

fn begin(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "workers are tracked by Workers, which stops them"
    )]
    tokio::spawn(work)
}

/// Reads the folders at every SIGHUP. The signal is handled from here on, before the server accepts requests.
#[cfg(unix)]
fn on_hangup(state: State, mut stopped: watch::Receiver<bool>) -> Result<Option<JoinHandle<()>>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::internal)?;
    Ok(Some(begin(async move {
        loop {
            tokio::select! {
                received = hangup.recv() => if received.is_none() { return },
                _ = stopped.changed() => return,
            }
            reload(&state, PublicationMethod::Signal).await;
        }
    })))
}

#[cfg(not(unix))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the same shape as where there are signals"
)]
fn on_hangup(_: State, _: watch::Receiver<bool>) -> Result<Option<JoinHandle<()>>> {
    Ok(None)
}

/// Reads the folders once at the beginning, because files may have changed while the server started, and then whenever
/// files have changed and a pause has passed without another change.
async fn on_change(state: State, mut stopped: watch::Receiver<bool>) {
    let mut read = None;
    let mut before = None;
    loop {
        let config = state.config.clone();
        let now = tokio::task::spawn_blocking(move || publication::fingerprint(&config)).await;
        let now = now.ok();
        if now.is_some() && now == before && now != read {
            reload(&state, PublicationMethod::FileChange).await;
            read.clone_from(&now);
        }
        before = now;
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopped.changed() => return,
        }
    }
}

async fn reload(state: &State, method: PublicationMethod) {
    // After a panic, the next signal or change is handled as before; the current set stays.
    let reloaded = AssertUnwindSafe(publication::reload(state, method))
        .catch_unwind()
        .await;
    let reloaded = reloaded.unwrap_or_else(|_| Err(Error::internal("the publication panicked")));
    if let Err(error) = reloaded {
        tracing::error!(method = method.as_str(), cause = %error, "the policies could not be published");
    }
}
