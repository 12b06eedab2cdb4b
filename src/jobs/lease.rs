//! The name under which this process leases messages, and the reports by which others see that it is alive. A name is
//! used until the process stops or another process has freed its leases.

use super::jittered;
use crate::clock;
use crate::error::Result;
use crate::state::State;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use uuid::Uuid;

/// Says when a worker stops: when the server does, or when its leases are lost.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    server: Option<watch::Receiver<bool>>,
    own: watch::Sender<bool>,
}

impl Stop {
    pub(super) fn new(server: watch::Receiver<bool>) -> Self {
        Self {
            server: Some(server),
            own: watch::Sender::new(false),
        }
    }

    /// For work that ends by itself.
    pub(super) fn never() -> Self {
        Self {
            server: None,
            own: watch::Sender::new(false),
        }
    }

    pub(super) fn set(&self) {
        self.own.send_replace(true);
    }

    pub(super) fn is_set(&self) -> bool {
        *self.own.borrow() || self.server.as_ref().is_some_and(|server| *server.borrow())
    }

    pub(super) async fn wait(&self) {
        let mut own = self.own.subscribe();
        let server = self.server.clone();
        let server_stops = async {
            match server {
                Some(mut server) => drop(server.wait_for(|stopped| *stopped).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = own.wait_for(|set| *set) => {}
            () = server_stops => {}
        }
    }

    /// Waits for a while, or until it is set.
    pub(super) async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(jittered(time)) => {}
            () = self.wait() => {}
        }
    }
}

/// Takes a new name. The embedded database has one server, which holds the lock file, so all earlier leases are void.
pub(super) async fn register(state: &State) -> Result<Uuid> {
    let owner = clock::new_id(state.now());
    let is_shared = state.store.is_shared();
    state
        .store
        .write((owner, is_shared), |tx, (owner, is_shared)| {
            Box::pin(async move {
                if *is_shared {
                    tx.add_process(*owner).await
                } else {
                    tx.free_all_leases().await
                }
            })
        })
        .await?;
    Ok(owner)
}

/// Gives back what is still leased under this name.
pub(super) async fn unregister(state: &State, owner: Uuid) {
    let removed = state.store.write(owner, |tx, owner| {
        Box::pin(async move { tx.remove_process(*owner).await })
    });
    if let Err(error) = removed.await {
        tracing::warn!(cause = %error, "leases could not be given back; they will be freed later");
    }
}

/// Reports that this process is alive, and frees the leases of others that are silent. Ends when `stop` is set or the
/// leases of this process were freed. Does nothing where there is one server.
pub(super) async fn report_until_lost(state: &State, owner: Uuid, stop: &Stop) {
    if !state.store.is_shared() {
        stop.wait().await;
        return;
    }
    let limit = Duration::from_secs(u64::from(state.config.workers.lease_seconds));
    let mut others = Others::default();
    loop {
        stop.pause(limit / 4).await;
        if stop.is_set() {
            return;
        }
        match report(state, owner, &mut others, limit).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(
                    "another process has freed the leases of this one, which did not report in time"
                );
                return;
            }
            Err(error) => tracing::warn!(cause = %error, "a process could not report that it is alive"),
        }
    }
}

async fn report(state: &State, owner: Uuid, others: &mut Others, limit: Duration) -> Result<bool> {
    let (is_alive, processes) = state
        .store
        .write(owner, |tx, owner| {
            Box::pin(async move {
                let is_alive = tx.report_process(*owner).await?;
                let processes = tx.processes().await?;
                let registered: Vec<Uuid> = processes.iter().map(|(process, _)| *process).collect();
                tx.free_orphaned_leases(&registered).await?;
                Ok((is_alive, processes))
            })
        })
        .await?;
    for silent in others.silent(processes, Instant::now(), limit) {
        let removed = state.store.write(silent, |tx, (process, beats)| {
            Box::pin(async move { tx.remove_silent_process(*process, *beats).await })
        });
        if removed.await? {
            tracing::warn!("a process has stopped; what it had leased is free");
        }
    }
    Ok(is_alive)
}

/// How often each process had reported, and since when that is so.
#[derive(Debug, Default)]
struct Others(HashMap<Uuid, (i64, Instant)>);

impl Others {
    /// The processes that have not reported for `limit`.
    fn silent(&mut self, processes: Vec<(Uuid, i64)>, now: Instant, limit: Duration) -> Vec<(Uuid, i64)> {
        let seen: HashMap<Uuid, (i64, Instant)> = processes
            .into_iter()
            .map(|(process, beats)| match self.0.get(&process) {
                Some((before, since)) if *before == beats => (process, (beats, *since)),
                _ => (process, (beats, now)),
            })
            .collect();
        self.0 = seen;
        let silent = self
            .0
            .iter()
            .filter(|(_, (_, since))| now.duration_since(*since) >= limit);
        silent.map(|(process, (beats, _))| (*process, *beats)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_silent_when_its_count_stays_the_same_for_the_whole_time() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let began = Instant::now();
        let limit = Duration::from_secs(5);
        let mut others = Others::default();
        let mut at = |seconds, processes: &[(Uuid, i64)]| {
            others.silent(processes.to_vec(), began + Duration::from_secs(seconds), limit)
        };
        assert_eq!(at(0, &[(a, 1), (b, 1)]), []);
        assert_eq!(at(4, &[(a, 2), (b, 1)]), []);
        assert_eq!(at(5, &[(a, 2), (b, 1)]), [(b, 1)]);
        assert_eq!(at(6, &[(a, 3)]), []);
        assert_eq!(
            at(11, &[(a, 3), (b, 1)]),
            [(a, 3)],
            "b is seen for the first time again"
        );
    }
}
