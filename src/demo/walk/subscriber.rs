//! The EHR's side of a subscription: a listener on loopback that answers the first event with 500 and takes the rest.

use crate::error::{Error, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What arrived.
#[derive(Debug, Default)]
struct Arrived {
    taken: Vec<Value>,
    turned_away: usize,
}

/// A running listener.
pub struct Subscriber {
    /// Its address.
    pub url: String,
    arrived: Arc<Mutex<Arrived>>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Subscriber {
    /// Listens on a free port of loopback.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(Error::unavailable)?;
        let address = listener.local_addr().map_err(Error::unavailable)?;
        let arrived: Arc<Mutex<Arrived>> = Arc::default();
        let router = Router::new()
            .route("/hook", post(take))
            .with_state(arrived.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        #[expect(clippy::disallowed_methods, reason = "stopped by Subscriber::stop")]
        let running = tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(async {
                let _ = stopped.await;
            });
            let _ = served.await;
        });
        Ok(Self {
            url: format!("http://{address}/hook"),
            arrived,
            stop,
            running,
        })
    }

    /// What was taken, of one type (`handshake`, `event-notification`), once there are `count`, or after `patience`.
    pub async fn wait(&self, kind: &str, count: usize, patience: Duration) -> Vec<Value> {
        let until = Instant::now() + patience;
        loop {
            let found: Vec<Value> = self
                .look()
                .taken
                .iter()
                .filter(|b| kind_of(b) == Some(kind))
                .cloned()
                .collect();
            if found.len() >= count || Instant::now() > until {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many were answered with 500.
    pub fn turned_away(&self) -> usize {
        self.look().turned_away
    }

    fn look(&self) -> std::sync::MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the listener.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.running.await;
    }
}

async fn take(State(arrived): State<Arc<Mutex<Arrived>>>, Json(body): Json<Value>) -> StatusCode {
    let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
    if kind_of(&body) == Some("event-notification") && arrived.turned_away == 0 {
        arrived.turned_away += 1;
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    arrived.taken.push(body);
    StatusCode::OK
}

/// `type` of a notification's status.
fn kind_of(bundle: &Value) -> Option<&str> {
    super::messages::parameter(bundle.pointer("/entry/0/resource")?, "type")?
        .get("valueCode")?
        .as_str()
}
