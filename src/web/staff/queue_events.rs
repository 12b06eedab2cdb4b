//! Server-sent events for the queue page: the event `changed` whenever a case enters the queue, changes in it or leaves
//! it. The event has no content; the page then fetches the table with its own filters.
//!
//! A stream ends after some seconds and the browser reconnects with the id of the last event that it received. So no
//! change is missed between two streams, a stopping server does not wait for open streams, and the session is checked
//! again with every stream and before every event. Streams that wait share one read of the queue's version.

use crate::review;
use crate::state::State;
use crate::web::session::{BackgroundCaseStaff, staff_of_session};
use axum::extract::State as AppState;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{Stream, unfold};
use std::convert::Infallible;
use std::time::Duration;

/// The time between two checks of the queue.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// The number of checks in one stream.
const CHECKS_PER_STREAM: u32 = 7;

struct QueueWatch {
    state: State,
    /// The fingerprint of the session's secret.
    session: String,
    /// The version of the queue that the browser knows; `None` before its first event.
    version: Option<String>,
    checks: u32,
}

/// `GET /staff/queue/events`.
pub(in crate::web) async fn stream(
    AppState(state): AppState<State>,
    BackgroundCaseStaff(staff): BackgroundCaseStaff,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let version = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let watch = QueueWatch {
        state,
        session: staff.session.hash,
        version,
        checks: 0,
    };
    Sse::new(unfold(watch, |mut watch| async {
        let event = watch.next_event().await?;
        Some((Ok(event), watch))
    }))
}

impl QueueWatch {
    /// Waits for the next event; `None` ends the stream.
    async fn next_event(&mut self) -> Option<Event> {
        while self.checks < CHECKS_PER_STREAM {
            if self.checks > 0 {
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
            self.checks += 1;
            let version = review::queue_version(&self.state).await.ok()?.to_string();
            if self.version.as_ref() == Some(&version) {
                continue;
            }
            let staff = staff_of_session(&self.state, self.session.clone()).await.ok()??;
            staff.may_see_cases().then_some(())?;
            let name = if self.version.is_some() {
                "changed"
            } else {
                "listening"
            };
            self.version = Some(version.clone());
            return Some(
                Event::default()
                    .event(name)
                    .id(version)
                    .retry(CHECK_INTERVAL)
                    .data("queue"),
            );
        }
        None
    }
}
