//! Everything built once from the config: store, policies, ways out, router, workers; and how it all stops.

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::jobs::Workers;
use crate::mail::Mailer;
use crate::net::Net;
use crate::state::{Published, State};
use crate::store::Store;
use crate::{http, telemetry};
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long requests may go on after the server was told to stop.
const FINISH: Duration = Duration::from_secs(20);

/// A server that is built and does not listen yet.
pub struct App {
    /// What its handlers get.
    pub state: State,
    /// Keeps other servers off the embedded database.
    lock: Option<std::fs::File>,
}

impl App {
    /// Opens the database, loads policies and forms, publishes their set.
    pub async fn build(config: Config, clock: Clock) -> Result<Self> {
        let published = load(&config.rules, &config.forms)?;
        Self::build_with(config, clock, published).await
    }

    /// The same with policies that are loaded already.
    pub async fn build_with(config: Config, clock: Clock, published: Published) -> Result<Self> {
        install_crypto();
        telemetry::start_metrics();
        let store = Store::open(&config).await?;
        let lock = store.lock()?;
        let net = Net::new()?;
        let mail = Mailer::new(&config.mail, &config.payer, &config.data)?;
        let state = State::new(config, clock, store, net, mail, published);
        publish_set(&state).await?;
        Ok(Self { state, lock })
    }

    /// The socket that the config names.
    pub async fn listen(&self) -> Result<TcpListener> {
        let address = self.state.config.listen;
        TcpListener::bind(address)
            .await
            .map_err(|e| Error::unavailable(format!("{address} cannot be listened on: {e}")))
    }

    /// Answers until `stop` comes true, finishes what it has begun (a page that follows the queue never ends by
    /// itself: it is cut off after a while), stops the workers, closes the database.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let workers = Workers::start(&self.state);
        let router = http::router(self.state.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let (asked, begun) = tokio::sync::oneshot::channel();
        let stop = async {
            stop.await;
            // Nobody listens when the server ended by itself.
            let _ = asked.send(());
        };
        let too_long = async {
            match begun.await {
                Ok(()) => tokio::time::sleep(FINISH).await,
                Err(_) => std::future::pending().await,
            }
        };
        let served = tokio::select! {
            served = axum::serve(listener, router).with_graceful_shutdown(stop) => served,
            () = too_long => {
                tracing::warn!("requests were still open and are cut off");
                Ok(())
            }
        };
        workers.stop().await;
        self.state.store.close().await;
        drop(self.lock);
        served.map_err(Error::unavailable)
    }
}

/// One crypto provider for every TLS connection of the process.
pub fn install_crypto() {
    // A second call in one process finds the provider installed, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads policies and forms from their folders.
pub fn load(rules: &Path, forms: &Path) -> Result<Published> {
    Published::load(&files(rules)?, &files(forms)?)
}

/// Every file below a folder as (path with `/`, text), in order.
pub fn files(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    let failed =
        |path: &Path, e: std::io::Error| Error::malformed(format!("{} cannot be read: {e}", path.display()));
    while let Some(at) = waiting.pop() {
        for entry in std::fs::read_dir(&at).map_err(|e| failed(&at, e))? {
            let path = entry.map_err(|e| failed(&at, e))?.path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, e))?;
            let name = path
                .strip_prefix(folder)
                .unwrap_or(&path)
                .to_string_lossy()
                .replace('\\', "/");
            found.push((name, text));
        }
    }
    found.sort();
    Ok(found)
}

/// Keeps the set in the database under its hash.
async fn publish_set(state: &State) -> Result<()> {
    let files = files(&state.config.rules)?;
    let hash = state.published().rules.hash().to_owned();
    let now = state.now();
    state
        .store
        .write((hash, files, now), |tx, (hash, files, now)| {
            Box::pin(async move { tx.add_policy_set(hash, files, *now).await })
        })
        .await
}
