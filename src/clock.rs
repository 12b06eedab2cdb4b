//! The only source of time and of random values. Callers pass times on as parameters, so that tests can choose the time
//! and a case can be evaluated again as of the original time.

use chrono::{DateTime, Duration, SubsecRound, Utc};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// The current time, from the system or set by a test.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A fixed time, until the test advances it.
    Test(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// A test clock at the time `at`.
    pub fn fixed_at(at: DateTime<Utc>) -> Self {
        Self::Test(Arc::new(Mutex::new(at)))
    }

    /// The current time in UTC, truncated to microseconds, which both databases store without loss.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match self {
            #[expect(
                clippy::disallowed_methods,
                reason = "this is the only place that reads the system clock"
            )]
            Self::System => Utc::now(),
            Self::Test(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.trunc_subsecs(6)
    }

    /// Advances a test clock. The system clock ignores it.
    pub fn advance(&self, by: Duration) {
        if let Self::Test(at) = self {
            *at.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }
}

/// A new version 7 UUID for the time `now`. Ids sort by time, and ids made by one process at the same time sort in the
/// order in which they were made, because a counter follows the time (RFC 9562, section 6.2).
pub fn new_id(now: DateTime<Utc>) -> Uuid {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let counter = u64::from(COUNTER.fetch_add(1, Ordering::Relaxed));
    // The top two bits of the third byte hold the UUID variant, so the counter's bits are placed around them.
    let spread = (counter & 0xffff) | ((counter >> 16) & 0x3f) << 16 | (counter >> 22) << 24;
    let [_, _, _, c0, c1, c2, c3, c4] = spread.to_be_bytes();
    let [r0, r1, r2, r3, r4] = random_bytes::<5>();
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[c0, c1, c2, c3, c4, r0, r1, r2, r3, r4]).into_uuid()
}

/// `N` random bytes from a cryptographically secure generator.
pub fn random_bytes<const N: usize>() -> [u8; N]
where
    rand::distr::StandardUniform: rand::distr::Distribution<[u8; N]>,
{
    rand::random()
}

/// A random secret of 256 bits in base64url without padding, for tokens, codes and session ids.
pub fn new_secret() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// A random number that is easy to read out: a prefix and ten letters and digits (50 bits), without letters that look
/// like digits.
pub fn new_number(prefix: &str) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let letters = random_bytes::<10>()
        .into_iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
    format!(
        "{prefix}-{}",
        letters.map(|letter| char::from(*letter)).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_at_the_same_time_sort_in_the_order_of_creation() {
        let now = DateTime::UNIX_EPOCH;
        let made: Vec<Uuid> = (0..100_000).map(|_| new_id(now)).collect();
        assert!(made.is_sorted());
        assert!(
            made.iter()
                .all(|id| id.get_version_num() == 7 && *id < new_id(now + Duration::milliseconds(1)))
        );
    }
}
