//! Work of the processor that a request asks for: parsing, evaluating, writing large messages. Small work runs where it
//! is: a change of threads costs more than it. Large work runs off the threads that serve requests, with a limit on how
//! many run at once and how many wait, so that a few large requests never delay the small ones.

use crate::error::{Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::block_in_place;

/// Work up to this size runs where it is: a millisecond or two.
const SMALL: usize = 128 * 1024;

/// The size of one evaluation of an item or order, in bytes of JSON that are read in the same time.
const EVALUATION: usize = 4096;

/// How many computations may wait for each one that may run.
const WAITING_FOR_EACH: usize = 16;

/// About how much work a computation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkSize(usize);

impl WorkSize {
    /// The work on a message of this many bytes, with one evaluation for each of its items or orders.
    pub fn new(bytes: usize, evaluations: usize) -> Self {
        Self(bytes.saturating_add(evaluations.saturating_mul(EVALUATION)))
    }

    /// Whether the work is done before a change of threads would have paid.
    pub fn is_small(self) -> bool {
        self.0 <= SMALL
    }
}

/// The places for large computations of this process.
#[derive(Debug)]
pub(super) struct Compute {
    slots: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Compute {
    /// Places for `at_once` computations; 0 for one for each processor.
    pub(super) fn new(at_once: usize) -> Self {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let at_once = if at_once == 0 { processors() } else { at_once };
        Self {
            slots: Semaphore::new(at_once),
            waiting: AtomicUsize::new(0),
            most_waiting: at_once.saturating_mul(WAITING_FOR_EACH),
        }
    }

    /// Runs `work`, where it is if it is small and otherwise as soon as a place is free.
    pub(super) async fn run<T>(&self, size: WorkSize, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if size.is_small() {
            return guarded(work);
        }
        let _place = self.place().await?;
        // A runtime with a single thread, as tests use it, has no other thread that could take over.
        match Handle::current().runtime_flavor() {
            RuntimeFlavor::CurrentThread => guarded(work),
            _ => block_in_place(|| guarded(work)),
        }
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>> {
        let started = Instant::now();
        let place = match self.slots.try_acquire() {
            Ok(place) => place,
            Err(_) => {
                let _waiting = Waiting::enter(&self.waiting, self.most_waiting).ok_or_else(busy)?;
                self.slots.acquire().await.map_err(Error::internal)?
            }
        };
        metrics::histogram!("assent_compute_wait_seconds").record(started.elapsed().as_secs_f64());
        Ok(place)
    }
}

/// One computation that waits; dropped when it has a place or its caller gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let entered = Self(waiting);
        (before < most).then_some(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// 503 with `Retry-After`.
fn busy() -> Error {
    metrics::counter!("assent_compute_refused_total").increment(1);
    Error::new(
        ErrorKind::Unavailable,
        "The server is busy with other large requests. Send this one again in a few seconds.",
    )
    .with_log_detail("too many large computations wait")
}

/// Runs `work`; a panic is an error of the server. The panic's message is dropped because it may contain content of the
/// request.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::internal("a computation panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    const LARGE: WorkSize = WorkSize(usize::MAX);

    #[test]
    fn work_is_large_by_its_bytes_or_its_evaluations() {
        assert!(WorkSize::new(60_000, 10).is_small());
        assert!(!WorkSize::new(1_000_000, 0).is_small());
        assert!(!WorkSize::new(20_000, 1000).is_small());
    }

    #[tokio::test]
    async fn a_panic_in_a_computation_is_an_error_of_the_server() {
        let compute = Compute::new(1);
        for size in [WorkSize::new(1, 1), LARGE] {
            let failed = compute
                .run(size, || -> Result<()> { panic!("a name") })
                .await
                .unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::Internal);
            assert!(!failed.to_string().contains("a name"));
        }
        assert_eq!(compute.run(LARGE, || Ok(3)).await.unwrap(), 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[expect(clippy::disallowed_methods, reason = "the test waits for its own tasks")]
    async fn large_computations_wait_for_a_place_and_too_many_are_refused() {
        let compute = Arc::new(Compute::new(1));
        let (release, held) = channel::<()>();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let first = compute.clone();
        let first = tokio::spawn(async move {
            let hold = move || {
                let _ = started.send(());
                let _ = held.recv_timeout(Duration::from_secs(20));
                Ok(())
            };
            first.run(LARGE, hold).await
        });
        has_started.await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING_FOR_EACH)
            .map(|n| {
                let compute = compute.clone();
                tokio::spawn(async move { compute.run(LARGE, || Ok(n)).await })
            })
            .collect();
        while compute.waiting.load(Ordering::Relaxed) < WAITING_FOR_EACH {
            tokio::task::yield_now().await;
        }
        let refused = compute.run(LARGE, || Ok(())).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        // Small work needs no place, and a caller that gives up leaves the line.
        assert_eq!(compute.run(WorkSize::new(1, 1), || Ok(1)).await.unwrap(), 1);
        waiting.pop().unwrap().abort();
        while compute.waiting.load(Ordering::Relaxed) == WAITING_FOR_EACH {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        first.await.unwrap().unwrap();
        for (n, result) in waiting.into_iter().enumerate() {
            assert_eq!(result.await.unwrap().unwrap(), n);
        }
    }
}
