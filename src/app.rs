//! Builds the server from the settings (store, policy set, outbound HTTP and mail, router, workers), runs it, and stops
//! it in order.

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;
use crate::jobs::{Reload, Workers};
use crate::mail::Mailer;
use crate::net::HttpClient;
pub use crate::publication::read_folder;
use crate::publication::{self, StartFrom};
use crate::state::{PolicySet, State};
use crate::store::Store;
use crate::{http, telemetry};
use std::future::Future;
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

    /// Serves requests until `stop` completes. Then finishes requests in progress, stops the workers and closes the
    /// database. Requests that do not end, such as the stream of queue events, are closed after the shutdown limit.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let workers = Workers::start(&self.state, self.reload)?;
        http::serve(listener, self.state.clone(), stop, SHUTDOWN_LIMIT).await;
        workers.stop().await;
        self.state.store.close().await;
        drop(self.database_lock);
        Ok(())
    }
}

/// Opens the database. The embedded one is locked against other servers.
async fn open_store(config: &Config) -> Result<(Store, Option<std::fs::File>)> {
    install_crypto();
    telemetry::start_metrics();
    // The lock comes first: the migrations of a newer program must not change a database that an older one is using.
    let lock = Store::lock(config)?;
    let store = Store::open(config).await?;
    Ok((store, lock))
}

/// Installs the crypto provider for all TLS connections of the process.
pub fn install_crypto() {
    // A second call in one process fails because the provider is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
