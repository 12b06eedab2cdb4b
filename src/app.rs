//! Builds the server from the settings (store, policy set, outbound HTTP and mail, router, workers), runs it, and stops
//! it in order.

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::jobs::{Reload, Workers};
use crate::mail::Mailer;
use crate::net::HttpClient;
pub use crate::publication::read_folder;
use crate::publication::{self, StartFrom};
use crate::state::{PolicySet, State};
use crate::store::Store;
use crate::{http, telemetry};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long requests in progress may continue after the server was asked to stop.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(20);

/// A server that is built and not listening yet.
pub struct App {
    /// What its handlers receive.
    pub state: State,
    /// When the server reads the folders of policies and forms again.
    pub reload: Reload,
    /// The lock on the embedded database.
    database_lock: Option<std::fs::File>,
}

impl App {
    /// Opens the database and starts with the policy set that was published last. If none was ever published, publishes
    /// the folders.
    pub async fn build(config: Config, clock: Clock) -> Result<Self> {
        Self::build_starting_from(config, clock, StartFrom::LatestPublication).await
    }

    /// Like [`App::build`], with the choice of the policy set to start with.
    pub async fn build_starting_from(config: Config, clock: Clock, start_from: StartFrom) -> Result<Self> {
        let (store, lock) = open_store(&config).await?;
        let policy_set = publication::starting_set(&config, &clock, &store, start_from).await?;
        Self::assemble(config, clock, store, lock, policy_set)
    }

    /// Like [`App::build`], with a policy set that is already loaded. It is published.
    pub async fn build_with(config: Config, clock: Clock, policy_set: PolicySet) -> Result<Self> {
        let (store, lock) = open_store(&config).await?;
        let policy_set = publication::publish_at_start(&clock, &store, policy_set).await?;
        Self::assemble(config, clock, store, lock, policy_set)
    }

    fn assemble(
        config: Config,
        clock: Clock,
        store: Store,
        database_lock: Option<std::fs::File>,
        policy_set: PolicySet,
    ) -> Result<Self> {
        let net = HttpClient::new()?;
        let mail = Mailer::new(&config.mail, &config.payer, &config.data)?;
        let state = State::new(config, clock, store, net, mail, policy_set);
        Ok(Self {
            state,
            reload: Reload::Never,
            database_lock,
        })
    }

    /// Listens on the configured address.
    pub async fn listen(&self) -> Result<TcpListener> {
        let address = self.state.config.listen;
        TcpListener::bind(address)
            .await
            .map_err(|e| Error::unavailable(format!("the server cannot listen on {address}: {e}")))
    }

    /// Serves requests until `stop` completes. Then finishes requests in progress, stops the workers and closes the
    /// database. Requests that do not end, such as the stream of queue events, are closed after the shutdown limit.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let workers = Workers::start(&self.state, self.reload)?;
        let router = http::router(self.state.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let (stop_requested, stop_received) = tokio::sync::oneshot::channel();
        let stop = async {
            stop.await;
            // The receiver is gone if the server ended because of an error.
            let _ = stop_requested.send(());
        };
        let shutdown_limit = async {
            match stop_received.await {
                Ok(()) => tokio::time::sleep(SHUTDOWN_LIMIT).await,
                Err(_) => std::future::pending().await,
            }
        };
        let served = tokio::select! {
            served = axum::serve(listener, router).with_graceful_shutdown(stop) => served,
            () = shutdown_limit => {
                tracing::warn!("some requests did not end in time and were closed");
                Ok(())
            }
        };
        workers.stop().await;
        self.state.store.close().await;
        drop(self.database_lock);
        served.map_err(Error::unavailable)
    }
}

/// Opens the database. The embedded one is locked against other servers.
async fn open_store(config: &Config) -> Result<(Store, Option<std::fs::File>)> {
    install_crypto();
    telemetry::start_metrics();
    let store = Store::open(config).await?;
    let lock = store.lock()?;
    Ok((store, lock))
}

/// Installs the crypto provider for all TLS connections of the process.
pub fn install_crypto() {
    // A second call in one process fails because the provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
