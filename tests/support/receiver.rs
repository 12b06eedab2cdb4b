//! A subscriber on loopback: keeps what it is sent, answers what the test wants.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Kept {
    answers: VecDeque<u16>,
    bodies: Vec<(u16, Value)>,
}

/// A running receiver.
pub struct Receiver {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
}

impl Receiver {
    /// Answers with these statuses in turn, then 200.
    pub async fn answering(statuses: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let kept = Arc::new(Mutex::new(Kept {
            answers: statuses.iter().copied().collect(),
            bodies: Vec::new(),
        }));
        let router = Router::new().route("/hook", post(take)).with_state(kept.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, kept }
    }

    /// What came, each with the status that it was answered.
    pub fn came(&self) -> Vec<(u16, Value)> {
        self.kept.lock().unwrap().bodies.clone()
    }
}

async fn take(State(kept): State<Arc<Mutex<Kept>>>, Json(body): Json<Value>) -> StatusCode {
    let mut kept = kept.lock().unwrap();
    let status = kept.answers.pop_front().unwrap_or(200);
    kept.bodies.push((status, body));
    StatusCode::from_u16(status).unwrap()
}
