//! `text/event-stream` for the queue: the word `changed` whenever a case enters, moves or leaves. The word alone: the
//! table is fetched by the page, with its filters and its rights.
//!
//! A stream lives for some seconds and the browser opens it anew, naming the mark that it saw last: nothing is missed
//! in between, a server that stops waits for nobody, and a session that ended stops hearing.

use crate::review;
use crate::state::State;
use crate::web::session::{Watching, staff_by};
use axum::extract::State as Held;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, Stream};
use std::convert::Infallible;
use std::time::Duration;

/// Between two looks at the queue.
const PAUSE: Duration = Duration::from_secs(2);
/// Looks in the life of one stream.
const LOOKS: u32 = 7;

struct Watch {
    state: State,
    session: String,
    /// What the browser knows; none before its first event.
    mark: Option<String>,
    looks: u32,
}

/// The handler.
pub(in crate::web) async fn get(
    Held(state): Held<State>,
    Watching(staff): Watching,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mark = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let watch = Watch {
        state,
        session: staff.session.hash,
        mark,
        looks: 0,
    };
    Sse::new(stream::unfold(watch, |mut watch| async {
        let event = watch.next().await?;
        Some((Ok(event), watch))
    }))
}

impl Watch {
    /// The next event; none when the stream is over.
    async fn next(&mut self) -> Option<Event> {
        while self.looks < LOOKS {
            if self.looks > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            self.looks += 1;
            let staff = staff_by(&self.state, self.session.clone()).await.ok()??;
            staff.sees_cases().then_some(())?;
            let mark = review::queue_mark(&self.state).await.ok()?;
            if self.mark.as_ref() == Some(&mark) {
                continue;
            }
            let name = if self.mark.is_some() {
                "changed"
            } else {
                "listening"
            };
            self.mark = Some(mark.clone());
            return Some(Event::default().event(name).id(mark).retry(PAUSE).data("queue"));
        }
        None
    }
}
