//! Settings for connections: how many there may be, and how long a client may take to send and to receive.

use super::checks::Check;
use serde::Deserialize;
use std::time::Duration;

/// Connections and the time limits for what is read from them and written to them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// The largest number of open connections.
    pub total: usize,
    /// The largest number of open connections from one client address; behind a trusted proxy, of requests at a time.
    pub per_address: usize,
    /// The time limit for the headers of a request, in milliseconds.
    pub headers_ms: u64,
    /// The largest size of the headers of a request, in bytes.
    pub headers_bytes: usize,
    /// The time after which a connection without a request is closed, in milliseconds.
    pub idle_ms: u64,
    /// The time for a body or a response during which the rate is not checked, in milliseconds.
    pub grace_ms: u64,
    /// The lowest rate of a body and of a response after the grace time, in bytes per second.
    pub bytes_per_second: u64,
    /// The time limit for one body and for one response, in milliseconds.
    pub transfer_ms: u64,
    /// The memory for bodies that are being received or processed, in bytes.
    pub bodies_bytes: usize,
}

impl Connections {
    /// [`headers_ms`](Self::headers_ms) as a duration.
    pub fn headers(&self) -> Duration {
        Duration::from_millis(self.headers_ms)
    }

    /// [`idle_ms`](Self::idle_ms) as a duration.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    /// The time by which this many bytes must have been transferred, counted from the start of the transfer.
    pub fn time_for(&self, bytes: u64) -> Duration {
        let at_lowest_rate = bytes.saturating_mul(1000) / self.bytes_per_second.max(1);
        Duration::from_millis(self.grace_ms.saturating_add(at_lowest_rate).min(self.transfer_ms))
    }

    pub(super) fn checks(&self, body_bytes: usize) -> Vec<Check> {
        let times = [self.headers_ms, self.idle_ms, self.grace_ms, self.transfer_ms];
        vec![
            (self.total >= 1, "connections.total", "must be at least 1."),
            (
                (1..=self.total).contains(&self.per_address),
                "connections.per_address",
                "must be at least 1 and at most connections.total.",
            ),
            (
                (8192..=1_048_576).contains(&self.headers_bytes),
                "connections.headers_bytes",
                "must be from 8192 to 1048576.",
            ),
            (
                times.iter().all(|ms| (1..=3_600_000).contains(ms)),
                "connections.transfer_ms",
                "and the other times of connections must be from 1 to 3600000 milliseconds.",
            ),
            (
                self.bytes_per_second >= 1,
                "connections.bytes_per_second",
                "must be at least 1.",
            ),
            (
                self.bodies_bytes >= body_bytes.saturating_mul(2),
                "connections.bodies_bytes",
                "must be at least twice limits.body_bytes.",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use std::time::Duration;

    #[test]
    fn a_transfer_has_the_grace_time_and_then_a_lowest_rate_up_to_the_time_limit() {
        let mut settings = Config::defaults().unwrap().connections;
        settings.grace_ms = 1000;
        settings.bytes_per_second = 100;
        settings.transfer_ms = 5000;
        assert_eq!(settings.time_for(0), Duration::from_secs(1));
        assert_eq!(settings.time_for(200), Duration::from_secs(3));
        assert_eq!(settings.time_for(1_000_000), Duration::from_secs(5));
    }
}
