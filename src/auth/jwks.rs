//! The public keys of a client: in its registration, or at its registered address. A `jku` in a token is compared,
//! never followed. What was fetched is kept for a few minutes; an unknown `kid` asks once more; while the address
//! does not answer, the last good copy serves for a day. CDS Hooks 2.0, SMART App Launch 2.2.

use super::client::Client;
use super::jwt::{Claims, Fault, Unverified};
use crate::error::{Error, Result};
use crate::net::Allowed;
use crate::state::State;
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::Algorithm;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a fetch may take: a hook has to answer in time.
const FETCH: std::time::Duration = std::time::Duration::from_millis(1500);

/// Key sets that were fetched, by address.
#[derive(Debug, Default)]
pub struct KeyCache(Mutex<HashMap<String, Kept>>);

/// What is known of one address.
#[derive(Debug, Clone)]
struct Kept {
    /// The last good copy.
    keys: Option<Arc<Value>>,
    /// When it came.
    fetched: DateTime<Utc>,
    /// When the address was last asked.
    tried: DateTime<Utc>,
}

impl Kept {
    /// The copy, if no one need ask the address: it is new, or the address was asked in vain a moment ago.
    fn settled(&self, now: DateTime<Utc>) -> Option<Arc<Value>> {
        let rested = since(self.tried, now) < Duration::minutes(1);
        let new = since(self.fetched, now) < Duration::minutes(5);
        self.usable(now).filter(|_| new || rested)
    }

    /// The copy, if it may serve while the address does not answer.
    fn usable(&self, now: DateTime<Utc>) -> Option<Arc<Value>> {
        self.keys
            .clone()
            .filter(|_| since(self.fetched, now) < Duration::days(1))
    }

    /// Asked so lately that an unknown `kid` is no reason to ask again: strangers must not make us call.
    fn was_just_asked(&self, now: DateTime<Utc>) -> bool {
        since(self.tried, now) < Duration::seconds(10)
    }
}

fn since(then: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - then).abs()
}

impl KeyCache {
    fn get(&self, address: &str) -> Option<Kept> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(address)
            .cloned()
    }

    fn put(&self, address: &str, kept: Kept) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(address.to_owned(), kept);
    }
}

/// Checks a token's signature with the keys of this client.
pub async fn verify<'t>(
    state: &State,
    client: &Client,
    token: &'t Unverified<'_>,
    algorithms: &[Algorithm],
) -> Result<&'t Claims> {
    let refused = |fault: Fault| Error::unauthorized(fault.message());
    let Some(address) = client.doc.jwks_uri.as_deref() else {
        let none = || Error::unauthorized("The client has no keys on record");
        return token
            .verify(client.doc.jwks.as_ref().ok_or_else(none)?, algorithms)
            .map_err(refused);
    };
    if token.jku().is_some_and(|jku| jku != address) {
        return Err(Error::unauthorized(
            "The token's jku is not the registered address of the client's keys",
        ));
    }
    let keys = current(state, client, address).await?;
    match token.verify(&keys, algorithms) {
        Err(Fault::UnknownKey)
            if !state
                .keys
                .get(address)
                .is_some_and(|k| k.was_just_asked(state.now())) =>
        {
            let keys = fetch(state, client, address).await?;
            token.verify(&keys, algorithms).map_err(refused)
        }
        other => other.map_err(refused),
    }
}

/// The kept copy if no one need ask, else a new one, else the kept one while it may serve.
async fn current(state: &State, client: &Client, address: &str) -> Result<Arc<Value>> {
    let now = state.now();
    let kept = state.keys.get(address);
    if let Some(keys) = kept.as_ref().and_then(|kept| kept.settled(now)) {
        return Ok(keys);
    }
    if kept
        .as_ref()
        .is_some_and(|kept| kept.keys.is_none() && kept.was_just_asked(now))
    {
        return Err(unreachable_keys());
    }
    match fetch(state, client, address).await {
        Err(error) => {
            let last = kept.and_then(|kept| kept.usable(now)).ok_or(error)?;
            tracing::warn!(client = %client.id, "keys could not be fetched, the last copy serves");
            Ok(last)
        }
        fetched => fetched,
    }
}

/// Asks the address and keeps what came of it.
async fn fetch(state: &State, client: &Client, address: &str) -> Result<Arc<Value>> {
    let hosts = [address.to_owned()];
    let allowed = Allowed {
        hosts: &hosts,
        loopback_http: client.doc.loopback_http,
    };
    let asked = tokio::time::timeout(FETCH, state.net.get_json(address, allowed)).await;
    let tried = state.now();
    let answer = asked.unwrap_or_else(|_| Err(Error::unavailable("the key set did not come in time")));
    match answer {
        Ok(keys) => {
            let keys = Arc::new(keys);
            state.keys.put(
                address,
                Kept {
                    keys: Some(keys.clone()),
                    fetched: tried,
                    tried,
                },
            );
            Ok(keys)
        }
        Err(error) => {
            let before = state.keys.get(address);
            let empty = Kept {
                keys: None,
                fetched: tried,
                tried,
            };
            state
                .keys
                .put(address, before.map_or(empty, |kept| Kept { tried, ..kept }));
            Err(unreachable_keys().logged(error.log_line().unwrap_or(error.message())))
        }
    }
}

fn unreachable_keys() -> Error {
    Error::unauthorized("The client's keys could not be fetched from their registered address")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(tried: i64) -> (Kept, impl Fn(i64) -> DateTime<Utc>) {
        let fetched = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let after = move |seconds: i64| fetched + Duration::seconds(seconds);
        (
            Kept {
                keys: Some(Arc::new(Value::Null)),
                fetched,
                tried: after(tried),
            },
            after,
        )
    }

    #[test]
    fn a_copy_serves_five_minutes_without_asking_and_a_day_when_nobody_answers() {
        let (kept, after) = kept(0);
        assert!(kept.settled(after(299)).is_some() && kept.settled(after(300)).is_none());
        assert!(kept.usable(after(86_399)).is_some() && kept.usable(after(86_400)).is_none());
    }

    #[test]
    fn an_address_that_was_asked_in_vain_rests_a_minute() {
        let (kept, after) = kept(1000);
        assert!(kept.settled(after(1059)).is_some() && kept.settled(after(1060)).is_none());
        let (empty, after) = (Kept { keys: None, ..kept }, after);
        assert!(empty.settled(after(1001)).is_none());
        assert!(empty.was_just_asked(after(1009)) && !empty.was_just_asked(after(1010)));
    }
}
