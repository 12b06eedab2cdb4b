//! The EHR's endpoint for subscription notifications: an HTTP listener on the loopback interface that replies 500 to
//! the first event notification and accepts everything else.

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

/// The notifications that arrived.
#[derive(Debug, Default)]
struct Received {
    accepted: Vec<Value>,
    rejected: usize,
}

/// A running listener.
pub struct Subscriber {
    /// The URL for `Subscription.channel.endpoint`.
    pub url: String,
    received: Arc<Mutex<Received>>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Subscriber {
    /// Listens on a free port of the loopback interface.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(Error::unavailable)?;
        let address = listener.local_addr().map_err(Error::unavailable)?;
        let received: Arc<Mutex<Received>> = Arc::default();
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(received.clone());
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
            received,
            stop,
            running,
        })
    }

    /// The accepted notifications of one type (`handshake`, `event-notification`). Waits until there are `count` of
    /// them, at most for `timeout`.
    pub async fn wait(&self, kind: &str, count: usize, timeout: Duration) -> Vec<Value> {
        let deadline = Instant::now() + timeout;
        loop {
            let notifications: Vec<Value> = self
                .received()
                .accepted
                .iter()
                .filter(|bundle| notification_type(bundle) == Some(kind))
                .cloned()
                .collect();
            if notifications.len() >= count || Instant::now() > deadline {
                return notifications;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many notifications got HTTP 500.
    pub fn rejected(&self) -> usize {
        self.received().rejected
    }

    fn received(&self) -> std::sync::MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the listener.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.running.await;
    }
}

async fn receive(State(received): State<Arc<Mutex<Received>>>, Json(bundle): Json<Value>) -> StatusCode {
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    if notification_type(&bundle) == Some("event-notification") && received.rejected == 0 {
        received.rejected += 1;
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    received.accepted.push(bundle);
    StatusCode::OK
}

/// `type` of the notification's status: `handshake` or `event-notification`.
fn notification_type(bundle: &Value) -> Option<&str> {
    super::messages::parameter(bundle.pointer("/entry/0/resource")?, "type")?
        .get("valueCode")?
        .as_str()
}
