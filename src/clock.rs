//! The one source of time, and the one source of randomness. Both are values that are handed in, so that a test
//! can stand at any second and a replay sees what the first run saw.

use chrono::{DateTime, Duration, SubsecRound, Utc};
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

/// A new id: a version 7 UUID of the given instant, so that ids sort by time.
pub fn new_id(now: DateTime<Utc>) -> Uuid {
    let random: [u8; 10] = rand::random();
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
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
