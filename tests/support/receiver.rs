//! A subscriber on loopback that stores the notifications it receives and responds with the statuses of the test.

use super::validator;
use assent::ig::pas::PasGuide;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Exchange {
    statuses: VecDeque<u16>,
    received: Vec<(u16, Value)>,
}

/// A running receiver.
pub struct Receiver {
    pub url: String,
    exchange: Arc<Mutex<Exchange>>,
}

impl Receiver {
    /// A receiver that responds with these statuses in turn, then with 200.
    pub async fn responding_with(statuses: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let exchange = Arc::new(Mutex::new(Exchange {
            statuses: statuses.iter().copied().collect(),
            received: Vec::new(),
        }));
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(exchange.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, exchange }
    }

    /// How many bodies were received.
    pub fn count(&self) -> usize {
        self.exchange.lock().unwrap().received.len()
    }

    /// The received bodies, each with the status of the response.
    pub fn received(&self) -> Vec<(u16, Value)> {
        self.exchange.lock().unwrap().received.clone()
    }
}

async fn receive(State(exchange): State<Arc<Mutex<Exchange>>>, Json(body): Json<Value>) -> StatusCode {
    validator::keep(
        "notification",
        PasGuide::for_client(&[]).base_path,
        &body.to_string(),
    );
    let mut exchange = exchange.lock().unwrap();
    let status = exchange.statuses.pop_front().unwrap_or(200);
    exchange.received.push((status, body));
    StatusCode::from_u16(status).unwrap()
}
