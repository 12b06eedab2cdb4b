//! What happens on one connection, and when it has to end: headers that do not arrive, no request for too long, a response
//! that the client does not take.

use crate::config::Connections;
use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use std::collections::BTreeMap;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What the first bytes of an HTTP/2 connection are.
const HTTP2_START: &[u8] = b"PRI";
/// The largest part of a response that is given to an HTTP/2 connection at a time. The rest waits until it was sent, so that
/// the end of the response means that the client took nearly all of it.
const HTTP2_PART: usize = 64 * 1024;

/// What to do with a connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again after this time.
    Continue(Duration),
    /// Finish what is in progress and close it.
    Close,
    /// Close it at once.
    Cut,
}

/// The state of one connection. Times are in milliseconds since it was opened, plus one; 0 is none.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    is_http2: AtomicBool,
    /// How many requests have no complete response.
    requests: AtomicUsize,
    /// Since when there is no request.
    idle_since: AtomicU64,
    /// When the first byte of a request arrived whose headers are not complete.
    headers_since: AtomicU64,
    /// Since when there is something to send that the connection did not take, and how much it took since.
    blocked_since: AtomicU64,
    sent_since: AtomicU64,
    /// When each response of an HTTP/2 connection began that is not complete.
    responses: Mutex<BTreeMap<u64, u64>>,
    next_response: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            is_http2: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(1),
            headers_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            sent_since: AtomicU64::new(0),
            responses: Mutex::default(),
            next_response: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Whether the connection only waits for a next request.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
            && self.headers_since.load(Ordering::Relaxed) == 0
            && self.blocked_since.load(Ordering::Relaxed) == 0
    }

    /// Counts a request until the returned value is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> InProgress {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.headers_since.store(0, Ordering::Relaxed);
        InProgress {
            activity: self.clone(),
            response: None,
        }
    }

    /// What to do with the connection.
    pub(super) fn verdict(&self, settings: &Connections) -> Verdict {
        let now = self.now();
        let blocked_since = self.blocked_since.load(Ordering::Relaxed);
        let headers_since = self.headers_since.load(Ordering::Relaxed);
        let is_waiting = self.requests.load(Ordering::Relaxed) == 0 && blocked_since == 0;
        let mut limits = Vec::with_capacity(3);
        if blocked_since > 0 {
            let sent = self.sent_since.load(Ordering::Relaxed);
            limits.push((blocked_since + millis(settings.time_for(sent)), Verdict::Cut));
        }
        if let Some(began) = self.oldest_response() {
            limits.push((began + settings.transfer_ms, Verdict::Cut));
        }
        if is_waiting && headers_since > 0 {
            limits.push((headers_since + settings.headers_ms, Verdict::Cut));
        } else if is_waiting {
            let idle_since = self.idle_since.load(Ordering::Relaxed);
            limits.push((idle_since + settings.idle_ms, Verdict::Close));
        }
        if let Some((_, verdict)) = limits.iter().find(|(due, _)| *due <= now) {
            return *verdict;
        }
        // Another limit may begin to run at any time, so the next look is not later than the shortest one.
        let shortest = settings.headers_ms.min(settings.idle_ms).min(settings.grace_ms);
        let next = limits.iter().map(|(due, _)| due - now).fold(shortest, u64::min);
        Verdict::Continue(Duration::from_millis(next.max(1)))
    }

    fn oldest_response(&self) -> Option<u64> {
        if !self.is_http2.load(Ordering::Relaxed) {
            return None;
        }
        let responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.values().next().copied()
    }

    fn received(&self, bytes: &[u8]) {
        let is_first =
            self.idle_since.load(Ordering::Relaxed) == 1 && self.headers_since.load(Ordering::Relaxed) == 0;
        if is_first && bytes.starts_with(HTTP2_START) {
            self.is_http2.store(true, Ordering::Relaxed);
        }
        let begins_headers = !bytes.is_empty()
            && !self.is_http2.load(Ordering::Relaxed)
            && self.requests.load(Ordering::Relaxed) == 0
            && self.headers_since.load(Ordering::Relaxed) == 0;
        if begins_headers {
            self.headers_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Records an attempt to send `wanted` bytes.
    fn sent(&self, wanted: usize, sent: &Poll<Result<usize>>) {
        let taken = match sent {
            Poll::Ready(Ok(taken)) => *taken,
            Poll::Ready(Err(_)) => return,
            Poll::Pending => 0,
        };
        if taken >= wanted {
            self.blocked_since.store(0, Ordering::Relaxed);
            return;
        }
        if self.blocked_since.load(Ordering::Relaxed) == 0 {
            self.sent_since.store(0, Ordering::Relaxed);
            self.blocked_since.store(self.now(), Ordering::Relaxed);
        } else {
            self.sent_since.fetch_add(taken as u64, Ordering::Relaxed);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

/// A request whose response is not complete.
#[derive(Debug)]
pub(super) struct InProgress {
    activity: Arc<Activity>,
    /// The number of the response, if its time is limited.
    response: Option<u64>,
}

impl InProgress {
    /// The response with this request's end tied to its end. An event stream has no time limit.
    pub(super) fn respond(mut self, body: Body, is_event_stream: bool) -> WatchedBody {
        let activity = &self.activity;
        let is_http2 = activity.is_http2.load(Ordering::Relaxed);
        if is_http2 && !is_event_stream {
            let number = activity.next_response.fetch_add(1, Ordering::Relaxed);
            let mut responses = activity.responses.lock().unwrap_or_else(PoisonError::into_inner);
            responses.insert(number, activity.now());
            drop(responses);
            self.response = Some(number);
        }
        WatchedBody {
            body,
            rest: Bytes::new(),
            part: if is_http2 { HTTP2_PART } else { usize::MAX },
            _request: self,
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let activity = &self.activity;
        if let Some(number) = self.response {
            let mut responses = activity.responses.lock().unwrap_or_else(PoisonError::into_inner);
            responses.remove(&number);
        }
        if activity.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            activity
                .idle_since
                .store(activity.now().max(2), Ordering::Relaxed);
        }
    }
}

/// The body of a response.
pub(super) struct WatchedBody {
    body: Body,
    /// What was taken from the body and not sent yet.
    rest: Bytes,
    /// The largest part to send at a time.
    part: usize,
    _request: InProgress,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if data.len() > self.part => self.rest = data,
                Some(Ok(Ok(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.part.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

/// A connection that records what is read from it and written to it.
pub(super) struct WatchedStream<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> WatchedStream<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.activity
            .received(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.sent(bytes.len(), &sent);
        sent
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.activity
            .sent(parts.iter().map(|part| part.len()).sum(), &sent);
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use http_body_util::BodyExt;
    use tokio::time::sleep;

    fn settings() -> Connections {
        let mut settings = Config::defaults().unwrap().connections;
        (settings.headers_ms, settings.idle_ms) = (60_000, 60_000);
        (settings.grace_ms, settings.transfer_ms) = (20, 60);
        settings.bytes_per_second = 1_000_000;
        settings
    }

    #[tokio::test]
    async fn a_response_that_an_http_2_client_does_not_take_ends_the_connection_and_an_event_stream_does_not()
    {
        let settings = settings();
        let activity = Activity::new();
        activity.received(b"PRI * HTTP/2.0\r\n");
        let stream = activity.begin_request().respond(Body::from("x"), true);
        sleep(Duration::from_millis(80)).await;
        assert!(matches!(activity.verdict(&settings), Verdict::Continue(_)));
        let response = activity.begin_request().respond(Body::from("x"), false);
        assert!(matches!(activity.verdict(&settings), Verdict::Continue(_)));
        sleep(Duration::from_millis(80)).await;
        assert_eq!(activity.verdict(&settings), Verdict::Cut);
        drop(response);
        assert!(matches!(activity.verdict(&settings), Verdict::Continue(_)));
        drop(stream);
        assert!(activity.is_idle());
    }

    #[tokio::test]
    async fn a_response_is_given_to_an_http_2_connection_in_parts_and_complete() {
        let activity = Activity::new();
        activity.received(b"PRI * HTTP/2.0\r\n");
        let text = "0123456789".repeat(20_000);
        let mut body = activity.begin_request().respond(Body::from(text.clone()), false);
        assert_eq!(body.size_hint().exact(), Some(200_000));
        let mut received = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= HTTP2_PART);
            received.extend_from_slice(&data);
            assert_eq!(body.size_hint().exact(), Some(200_000 - received.len() as u64));
        }
        assert_eq!(received, text.into_bytes());
    }

    #[tokio::test]
    async fn a_connection_that_takes_what_it_gets_slower_than_the_lowest_rate_is_cut() {
        let settings = settings();
        let activity = Activity::new();
        let _request = activity.begin_request();
        activity.sent(100, &Poll::Ready(Ok(50)));
        sleep(Duration::from_millis(30)).await;
        assert_eq!(activity.verdict(&settings), Verdict::Cut);
        // Fast enough again: 100,000 bytes since the connection was blocked.
        activity.sent(200_000, &Poll::Ready(Ok(100_000)));
        assert!(matches!(activity.verdict(&settings), Verdict::Continue(_)));
        activity.sent(10, &Poll::Ready(Ok(10)));
        sleep(Duration::from_millis(100)).await;
        assert!(matches!(activity.verdict(&settings), Verdict::Continue(_)));
    }
}
