//! A value that many readers ask for at the same time, read for all of them at once.

use crate::error::{Error, Result};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The last value with the time of its read; no value after a read that failed.
type Last<T> = Option<(Instant, Option<T>)>;

/// A value that is read again only when it is older than a limit, however many ask for it.
#[derive(Debug)]
pub struct SharedRead<T> {
    last: Mutex<Last<T>>,
    max_age: Duration,
}

impl<T: Clone> SharedRead<T> {
    /// A value that is up to `max_age` old when it is returned.
    pub(super) fn new(max_age: Duration) -> Self {
        Self {
            last: Mutex::new(None),
            max_age,
        }
    }

    /// The value, read with `read` if the last one is too old. Everybody who asks meanwhile waits for the same read. After
    /// a read that failed, nobody reads again for as long as a value would have been kept.
    pub async fn get(&self, read: impl Future<Output = Result<T>>) -> Result<T> {
        let mut last = self.last.lock().await;
        if let Some((at, value)) = &*last
            && at.elapsed() < self.max_age
        {
            return value
                .clone()
                .ok_or_else(|| Error::unavailable("the last read of a shared value failed"));
        }
        let value = read.await;
        *last = Some((Instant::now(), value.as_ref().ok().cloned()));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn readers_at_the_same_time_share_one_read() {
        let shared = SharedRead::new(Duration::from_secs(60));
        let reads = AtomicU32::new(0);
        let get = || {
            shared.get(async {
                tokio::task::yield_now().await;
                Ok(reads.fetch_add(1, Ordering::Relaxed))
            })
        };
        let (a, b, c) = tokio::join!(get(), get(), get());
        assert_eq!([a.unwrap(), b.unwrap(), c.unwrap()], [0, 0, 0]);
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_old_value_is_read_again_and_a_failed_read_is_not_repeated_at_once() {
        let shared = SharedRead::new(Duration::ZERO);
        assert_eq!(shared.get(async { Ok(1) }).await.unwrap(), 1);
        assert_eq!(shared.get(async { Ok(2) }).await.unwrap(), 2);
        let shared = SharedRead::new(Duration::from_secs(60));
        assert!(
            shared
                .get(async { Err::<i32, _>(Error::unavailable("x")) })
                .await
                .is_err()
        );
        assert!(shared.get(async { Ok(3) }).await.is_err());
    }
}
