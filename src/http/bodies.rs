//! Limits for request bodies, whatever the route: each arrives at a lowest rate and within a time limit, and all that are
//! being received or processed share a bounded memory. The memory grows with what has arrived, not with what was announced.
//! The first 64 KiB of a body are counted apart from the rest, so that a few large bodies do not keep ordinary ones out.

use crate::config::Connections;
use crate::wire::BodyFault;
use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State as Shared};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

/// How much of a body counts as small, in bytes.
const SMALL_PART: usize = 64 * 1024;

/// The memory for bodies, and what is used of it.
#[derive(Debug)]
pub(super) struct Bodies {
    settings: Connections,
    small: AtomicUsize,
    large: AtomicUsize,
}

impl Bodies {
    pub(super) fn new(settings: Connections) -> Arc<Self> {
        Arc::new(Self {
            settings,
            small: AtomicUsize::new(0),
            large: AtomicUsize::new(0),
        })
    }
}

/// Limits the body of a request. Its memory is free again when the response is ready.
pub(super) async fn limit(Shared(bodies): Shared<Arc<Bodies>>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let held = Arc::new(Held {
        bodies,
        small: AtomicUsize::new(0),
        large: AtomicUsize::new(0),
    });
    let limited = held.clone();
    let request = request.map(|body| {
        Body::new(LimitedBody {
            body,
            held: limited,
            started: None,
            received: 0,
            deadline: None,
        })
    });
    let response = next.run(request).await;
    drop(held);
    response
}

/// The memory that one body holds.
#[derive(Debug)]
struct Held {
    bodies: Arc<Bodies>,
    small: AtomicUsize,
    large: AtomicUsize,
}

impl Held {
    /// Takes memory for more bytes; false when there is none.
    fn grow(&self, bytes: usize) -> bool {
        let left = SMALL_PART.saturating_sub(self.small.load(Ordering::Relaxed));
        let small = bytes.min(left);
        let limit = self.bodies.settings.bodies_bytes;
        take(&self.bodies.small, &self.small, small, limit / 2)
            && take(&self.bodies.large, &self.large, bytes - small, limit)
    }
}

fn take(all: &AtomicUsize, own: &AtomicUsize, bytes: usize, limit: usize) -> bool {
    if bytes == 0 {
        return true;
    }
    if all.fetch_add(bytes, Ordering::Relaxed) + bytes > limit {
        all.fetch_sub(bytes, Ordering::Relaxed);
        return false;
    }
    own.fetch_add(bytes, Ordering::Relaxed);
    true
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bodies
            .small
            .fetch_sub(*self.small.get_mut(), Ordering::Relaxed);
        self.bodies
            .large
            .fetch_sub(*self.large.get_mut(), Ordering::Relaxed);
    }
}

/// A body with the limits applied.
struct LimitedBody {
    body: Body,
    held: Arc<Held>,
    /// When the handler began to wait for the body.
    started: Option<Instant>,
    received: u64,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl LimitedBody {
    /// Waits until the time for what has arrived so far is over.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let started = *self.started.get_or_insert_with(Instant::now);
        let due = started + self.held.bodies.settings.time_for(self.received);
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if deadline.deadline() != due {
            deadline.as_mut().reset(due);
        }
        deadline.as_mut().poll(context)
    }
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.received += length as u64;
                if !self.held.grow(length) {
                    metrics::counter!("assent_bodies_refused_total", "reason" => "memory").increment(1);
                    return Poll::Ready(Some(Err(BodyFault::NoMemory.into())));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => self.poll_deadline(context).map(|()| {
                metrics::counter!("assent_bodies_refused_total", "reason" => "slow").increment(1);
                Some(Err(BodyFault::TooSlow.into()))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn held(bodies: &Arc<Bodies>) -> Held {
        Held {
            bodies: bodies.clone(),
            small: AtomicUsize::new(0),
            large: AtomicUsize::new(0),
        }
    }

    #[test]
    fn large_bodies_use_up_their_own_memory_and_give_it_back() {
        let mut settings = Config::defaults().unwrap().connections;
        settings.bodies_bytes = 1024 * 1024;
        let bodies = Bodies::new(settings);
        let large = held(&bodies);
        assert!(large.grow(SMALL_PART + 1024 * 1024));
        assert!(!large.grow(1));
        let second = held(&bodies);
        assert!(!second.grow(SMALL_PART + 1));
        let small = held(&bodies);
        assert!(small.grow(SMALL_PART));
        drop((large, second, small));
        assert!(held(&bodies).grow(SMALL_PART + 1024 * 1024));
        assert_eq!(
            bodies.small.load(Ordering::Relaxed) + bodies.large.load(Ordering::Relaxed),
            0
        );
    }
}
