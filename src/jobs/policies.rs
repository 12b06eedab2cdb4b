//! What brings new policies into a running server: the operator's signal, and in the demo a change of a file. Both only
//! ask `publication` to read the folders; a mistake there changes nothing and ends nothing.

use crate::error::{Error, Result};
use crate::publication;
use crate::state::State;
use crate::store::policy_sets::How;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two looks at the folders, and how long they must rest before they are read.
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

/// Starts what this server is to listen for.
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

/// Reads the folders at every SIGHUP. The signal is caught from here on, before the first answer.
#[cfg(unix)]
fn on_hangup(state: State, mut stopped: watch::Receiver<bool>) -> Result<Option<JoinHandle<()>>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::internal)?;
    Ok(Some(begin(async move {
        loop {
            tokio::select! {
                came = hangup.recv() => if came.is_none() { return },
                _ = stopped.changed() => return,
            }
            reload(&state, How::Signal).await;
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

/// Reads the folders once at first, since somebody may have written while the server started, then whenever a file has
/// changed and none has changed for a while.
async fn on_change(state: State, mut stopped: watch::Receiver<bool>) {
    let mut read = None;
    let mut before = None;
    loop {
        let config = state.config.clone();
        let now = tokio::task::spawn_blocking(move || publication::fingerprint(&config)).await;
        let now = now.ok();
        if now.is_some() && now == before && now != read {
            reload(&state, How::FileChange).await;
            read.clone_from(&now);
        }
        before = now;
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopped.changed() => return,
        }
    }
}

async fn reload(state: &State, how: How) {
    if let Err(error) = publication::reload(state, how).await {
        tracing::error!(how = how.word(), cause = %error, "the policies could not be published");
    }
}
