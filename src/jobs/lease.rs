//! How much work is leased at once, and for how long.

use crate::state::State;
use chrono::{DateTime, Duration, Utc};

/// How many jobs or messages are leased at once.
pub(super) const BATCH_SIZE: i64 = 50;

/// When a lease that is taken now ends.
pub(super) fn lease_end(state: &State, now: DateTime<Utc>) -> DateTime<Utc> {
    now + Duration::seconds(i64::from(state.config.workers.lease_seconds))
}
