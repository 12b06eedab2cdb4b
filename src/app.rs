//! Everything built once from the config: store, policies, ways out, router, workers; and how it all stops.

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::jobs::{Reload, Workers};
use crate::mail::Mailer;
use crate::net::Net;
pub use crate::publication::files;
use crate::publication::{self, Opening};
use crate::state::{Published, State};
use crate::store::Store;
use crate::{http, telemetry};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long requests may go on after the server was told to stop.
const FINISH: Duration = Duration::from_secs(20);

/// A server that is built and does not listen yet.
pub struct App {
    /// What its handlers get.
    pub state: State,
    /// When it reads the folders of policies and forms again.
    pub reload: Reload,
    /// Keeps other servers off the embedded database.
    lock: Option<std::fs::File>,
}

impl App {
    /// Opens the database and puts in force what was published last; the folders when nothing ever was.
    pub async fn build(config: Config, clock: Clock) -> Result<Self> {
        Self::build_opening(config, clock, Opening::Stored).await
    }

    /// The same with a choice of the set that it starts with.
    pub async fn build_opening(config: Config, clock: Clock, opening: Opening) -> Result<Self> {
        let (store, lock) = open_store(&config).await?;
        let published = publication::open(&config, &clock, &store, opening).await?;
        Self::together(config, clock, store, lock, published)
    }

    /// The same with a set that is loaded already; it is published.
    pub async fn build_with(config: Config, clock: Clock, published: Published) -> Result<Self> {
        let (store, lock) = open_store(&config).await?;
        let published = publication::first(&clock, &store, published).await?;
        Self::together(config, clock, store, lock, published)
    }

    fn together(
        config: Config,
        clock: Clock,
        store: Store,
        lock: Option<std::fs::File>,
        published: Published,
    ) -> Result<Self> {
        let net = Net::new()?;
        let mail = Mailer::new(&config.mail, &config.payer, &config.data)?;
        let state = State::new(config, clock, store, net, mail, published);
        let reload = Reload::Never;
        Ok(Self { state, reload, lock })
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
        let workers = Workers::start(&self.state, self.reload)?;
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

/// The database, and what keeps other servers off the embedded one.
async fn open_store(config: &Config) -> Result<(Store, Option<std::fs::File>)> {
    install_crypto();
    telemetry::start_metrics();
    let store = Store::open(config).await?;
    let lock = store.lock()?;
    Ok((store, lock))
}

/// One crypto provider for every TLS connection of the process.
pub fn install_crypto() {
    // A second call in one process finds the provider installed, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
