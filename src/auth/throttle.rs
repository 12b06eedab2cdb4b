//! Limits how often a password or secret may be guessed. A try is counted in the database before anything is checked, so
//! that parallel guesses count as well, on every replica. A right credential takes its try back.
//!
//! Three counters apply: the name at this address, the name at all addresses, and the address for all names. The first
//! is strict. The second is generous, and does not apply at an address where the name has signed in before: nobody can
//! lock out the owner of an account by guessing from elsewhere.

use super::fingerprint;
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use crate::state::State;
use crate::store::Tx;
use chrono::{DateTime, Duration, Utc};
use std::net::IpAddr;

/// The longest name that an account or a client can have, in characters.
pub const MAX_NAME_LENGTH: usize = 200;

/// How long an address is remembered where a name has signed in, in days.
const REMEMBERED_DAYS: i64 = 90;

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct Guess<'a> {
    /// The kind of credential; also the label of the metric.
    pub kind: &'static str,
    /// The name of the account or client, whether or not it exists.
    pub name: &'a str,
    /// Where the request came from, if it is known.
    pub address: Option<IpAddr>,
    /// Whether many people use the name, as with a public app. Then there is no counter for the name alone.
    pub is_shared: bool,
}

/// A counted try, to be returned when the credential was right or was not checked.
#[derive(Debug, Clone)]
pub struct Reservation(Keys);

/// The keys of the counters, as fingerprints.
#[derive(Debug, Clone)]
struct Keys {
    name_here: String,
    name: Option<String>,
    address: Option<String>,
    has_signed_in_here: String,
}

impl Keys {
    fn of(guess: &Guess<'_>) -> Self {
        let network = guess
            .address
            .map_or_else(|| "unknown".to_owned(), |address| network(address).to_string());
        let key = |parts: &[&str]| fingerprint(&parts.join("\n"));
        Self {
            name_here: key(&["name and address", guess.kind, guess.name, &network]),
            name: (!guess.is_shared).then(|| key(&["name", guess.kind, guess.name])),
            address: guess.address.map(|_| key(&["address", guess.kind, &network])),
            has_signed_in_here: key(&["signed in", guess.kind, guess.name, &network]),
        }
    }

    /// The keys of all counters, in one order for all, so that two units of work never wait for each other.
    fn all(&self) -> Vec<&str> {
        let mut all = vec![self.name_here.as_str()];
        all.extend(self.name.iter().chain(&self.address).map(String::as_str));
        all.sort_unstable();
        all
    }

    /// The counters that apply, each with its limit, in the same order.
    fn counters(&self, limits: &config::SignIn, has_signed_in_here: bool) -> Vec<(&str, u32)> {
        // Many people may use a public app from one address.
        let here = if self.name.is_some() {
            limits.tries
        } else {
            limits.account_tries
        };
        let mut counters = vec![(self.name_here.as_str(), here)];
        counters.extend(self.address.as_deref().map(|key| (key, limits.address_tries)));
        if !has_signed_in_here {
            counters.extend(self.name.as_deref().map(|key| (key, limits.account_tries)));
        }
        counters.sort_unstable();
        counters
    }

    async fn count(&self, tx: &mut Tx, limits: &config::SignIn, now: DateTime<Utc>) -> Result<bool> {
        let expires = now + Duration::minutes(i64::from(limits.window_minutes));
        let has_signed_in_here = tx.is_remembered(&self.has_signed_in_here, now).await?;
        for (key, most) in self.counters(limits, has_signed_in_here) {
            if !tx.count_try(key, most, now, expires).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// An address, or the network of an IPv6 address: one customer has all addresses of a /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// Counts a try before its credential is checked. `TooManyRequests` when there were too many; then nothing is counted.
pub async fn reserve(state: &State, guess: &Guess<'_>) -> Result<Reservation> {
    let keys = Keys::of(guess);
    let input = (keys.clone(), state.config.sign_in.clone(), state.now());
    let counted = state
        .store
        .write(input, |tx, (keys, limits, now)| {
            Box::pin(async move {
                if keys.count(tx, limits, *now).await? {
                    Ok(())
                } else {
                    Err(too_many(limits))
                }
            })
        })
        .await;
    if counted
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::TooManyRequests)
    {
        metrics::counter!("assent_throttled_total", "kind" => guess.kind).increment(1);
    }
    counted.map(|()| Reservation(keys))
}

fn too_many(limits: &config::SignIn) -> Error {
    let minutes = limits.window_minutes;
    Error::new(
        ErrorKind::TooManyRequests,
        format!("Too many attempts. Try again in {minutes} minutes."),
    )
}

impl Reservation {
    /// The credential was right: the name has no tries at this address any more, and the address is remembered.
    pub async fn succeed(self, state: &State) -> Result<()> {
        let until = state.now() + Duration::days(REMEMBERED_DAYS);
        state
            .store
            .write((self.0, until), |tx, (keys, until)| {
                Box::pin(async move {
                    tx.remember(&keys.has_signed_in_here, *until).await?;
                    for key in keys.all() {
                        if key == keys.name_here {
                            tx.return_all_tries(key).await?;
                        } else {
                            tx.return_try(key).await?;
                        }
                    }
                    Ok(())
                })
            })
            .await
    }

    /// The credential was not checked: the try does not count.
    pub async fn cancel(self, state: &State) -> Result<()> {
        state
            .store
            .write(self.0, |tx, keys| {
                Box::pin(async move {
                    for key in keys.all() {
                        tx.return_try(key).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(kind: &'static str, name: &str, address: &str) -> Keys {
        Keys::of(&Guess {
            kind,
            name,
            address: address.parse().ok(),
            is_shared: false,
        })
    }

    #[test]
    fn keys_have_the_same_length_whatever_was_typed() {
        let long = "x".repeat(9_000_000);
        assert_eq!(keys("staff", &long, "192.0.2.1").name_here.len(), 43);
        assert_ne!(
            keys("staff", "a", "192.0.2.1").name,
            keys("member", "a", "192.0.2.1").name
        );
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_their_counters() {
        let one = keys("staff", "a", "2001:db8:1:2::1");
        assert_eq!(one.address, keys("staff", "a", "2001:db8:1:2:ffff::9").address);
        assert_ne!(one.address, keys("staff", "a", "2001:db8:1:3::1").address);
        assert_ne!(one.address, keys("staff", "a", "192.0.2.1").address);
    }

    #[test]
    fn the_counter_of_the_name_alone_does_not_apply_where_it_has_signed_in() {
        let limits = config::Config::defaults().unwrap().sign_in;
        let keys = keys("staff", "a", "192.0.2.1");
        assert_eq!(keys.counters(&limits, false).len(), 3);
        assert_eq!(keys.counters(&limits, true).len(), 2);
    }
}
