//! The public keys of a client: in its registration, or at its registered address. A `jku` in a token is compared,
//! never followed. What was fetched is kept for a few minutes; an unknown `kid` asks once more; when the address
//! does not answer, the last good copy serves for a day. CRD sheet section 10, SMART App Launch 2.2.

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

/// Key sets that were fetched, by address.
#[derive(Debug, Default)]
pub struct KeyCache(Mutex<HashMap<String, Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    keys: Arc<Value>,
    fetched: DateTime<Utc>,
}

impl Kept {
    fn age(&self, now: DateTime<Utc>) -> Duration {
        (now - self.fetched).abs()
    }

    /// Good without asking again.
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.age(now) < Duration::minutes(5)
    }

    /// Good when the address does not answer.
    fn is_usable(&self, now: DateTime<Utc>) -> bool {
        self.age(now) < Duration::days(1)
    }

    /// So new that an unknown `kid` is no reason to ask again: strangers must not make us call.
    fn is_just_fetched(&self, now: DateTime<Utc>) -> bool {
        self.age(now) < Duration::seconds(10)
    }
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
        let own = client
            .doc
            .jwks
            .as_ref()
            .ok_or_else(|| Error::unauthorized("The client has no keys on record"))?;
        return token.verify(own, algorithms).map_err(refused);
    };
    if token.jku().is_some_and(|jku| jku != address) {
        return Err(Error::unauthorized(
            "The token's jku is not the registered address of the client's keys",
        ));
    }
    let kept = current(state, client, address).await?;
    match token.verify(&kept.keys, algorithms) {
        Err(Fault::UnknownKey) if !kept.is_just_fetched(state.now()) => {
            let again = fetch(state, client, address).await?;
            token.verify(&again.keys, algorithms).map_err(refused)
        }
        other => other.map_err(refused),
    }
}

/// The kept copy if it is fresh, else a new one, else the kept one while it is usable.
async fn current(state: &State, client: &Client, address: &str) -> Result<Kept> {
    let kept = state.keys.get(address);
    if let Some(fresh) = kept.clone().filter(|kept| kept.is_fresh(state.now())) {
        return Ok(fresh);
    }
    match (fetch(state, client, address).await, kept) {
        (Err(error), Some(kept)) if kept.is_usable(state.now()) => {
            tracing::warn!(client = %client.id, cause = error.log_line().unwrap_or("-"), "keys not fetched, last copy used");
            Ok(kept)
        }
        (fetched, _) => fetched,
    }
}

async fn fetch(state: &State, client: &Client, address: &str) -> Result<Kept> {
    let hosts = [address.to_owned()];
    let allowed = Allowed {
        hosts: &hosts,
        loopback_http: client.doc.loopback_http,
    };
    let keys = state.net.get_json(address, allowed).await.map_err(|error| {
        Error::unauthorized("The client's keys could not be fetched from their registered address")
            .logged(error.log_line().unwrap_or(error.message()))
    })?;
    let kept = Kept {
        keys: Arc::new(keys),
        fetched: state.now(),
    };
    state.keys.put(address, kept.clone());
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_grows_old_in_steps() {
        let fetched = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let kept = Kept {
            keys: Arc::new(Value::Null),
            fetched,
        };
        let after = |seconds: i64| fetched + Duration::seconds(seconds);
        assert!(kept.is_just_fetched(after(9)) && !kept.is_just_fetched(after(10)));
        assert!(kept.is_fresh(after(299)) && !kept.is_fresh(after(300)));
        assert!(kept.is_usable(after(86_399)) && !kept.is_usable(after(86_400)));
    }
}
