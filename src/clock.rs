//! The one source of time, and the one source of randomness. Both are values that are handed in, so that a test
//! can stand at any second and a replay sees what the first run saw.

use chrono::{DateTime, Duration, SubsecRound, Utc};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Tells the time: the system's, or a test's.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Stands still until it is moved.
    Test(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// A clock that stands at `at`.
    pub fn standing_at(at: DateTime<Utc>) -> Self {
        Self::Test(Arc::new(Mutex::new(at)))
    }

    /// Now, in UTC, cut to microseconds: what both databases give back unchanged.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match self {
            #[expect(clippy::disallowed_methods, reason = "the one home of the system's clock")]
            Self::System => Utc::now(),
            Self::Test(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.trunc_subsecs(6)
    }

    /// Moves a test's clock; the system's clock cannot be moved and ignores it.
    pub fn advance(&self, by: Duration) {
        if let Self::Test(at) = self {
            *at.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }
}

/// A new id: a version 7 UUID of the given instant, so that ids sort by time; those of one process and one instant
/// sort in the order in which they were made (RFC 9562, section 6.2, a counter after the time).
pub fn new_id(now: DateTime<Utc>) -> Uuid {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = u64::from(MADE.fetch_add(1, Ordering::Relaxed));
    // The top two bits of the third byte are the variant's, so the counter goes around them.
    let around = (made & 0xffff) | ((made >> 16) & 0x3f) << 16 | (made >> 22) << 24;
    let [_, _, _, c0, c1, c2, c3, c4] = around.to_be_bytes();
    let [r0, r1, r2, r3, r4] = random_bytes::<5>();
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[c0, c1, c2, c3, c4, r0, r1, r2, r3, r4]).into_uuid()
}

/// `N` bytes that nobody can guess.
pub fn random_bytes<const N: usize>() -> [u8; N]
where
    rand::distr::StandardUniform: rand::distr::Distribution<[u8; N]>,
{
    rand::random()
}

/// A secret of 256 bits, as base64url without padding: tokens, codes, session ids.
pub fn new_secret() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// A number for people to read out: a prefix and ten letters and digits (50 bits) that nobody confuses.
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
    fn ids_of_one_instant_sort_in_the_order_in_which_they_were_made() {
        let now = DateTime::UNIX_EPOCH;
        let made: Vec<Uuid> = (0..100_000).map(|_| new_id(now)).collect();
        assert!(made.is_sorted());
        assert!(
            made.iter()
                .all(|id| id.get_version_num() == 7 && *id < new_id(now + Duration::milliseconds(1)))
        );
    }
}
