//! The public keys of a client, from its registration or from its registered URL (CDS Hooks 2.0, SMART App Launch 2.2).
//! A `jku` in a token is compared with the registered URL and never followed. Fetched keys are cached for five minutes;
//! an unknown `kid` causes one more fetch; while the URL does not respond, the last good copy is used for up to a day.

use super::client::Client;
use super::jwt::{Claims, JwtError, Unverified};
use crate::error::{Error, Result};
use crate::net::AllowedHosts;
use crate::state::State;
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::Algorithm;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a fetch may take. It is short because a hook call waits for it.
const FETCH_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(1500);

/// Fetched key sets by URL.
#[derive(Debug, Default)]
pub struct KeyCache(Mutex<HashMap<String, CachedKeys>>);

/// The cached keys of one URL.
#[derive(Debug, Clone)]
struct CachedKeys {
    /// The last good copy; none when no fetch has succeeded.
    keys: Option<Arc<Value>>,
    /// When the copy was fetched.
    fetched: DateTime<Utc>,
    /// When the last fetch was tried.
    tried: DateTime<Utc>,
}

impl CachedKeys {
    /// The copy, if no fetch is needed: it is less than five minutes old, or a fetch was tried within the last minute.
    fn fresh(&self, now: DateTime<Utc>) -> Option<Arc<Value>> {
        let just_tried = time_between(self.tried, now) < Duration::minutes(1);
        let new = time_between(self.fetched, now) < Duration::minutes(5);
        self.usable(now).filter(|_| new || just_tried)
    }

    /// The copy, if it may be used while the URL does not respond.
    fn usable(&self, now: DateTime<Utc>) -> Option<Arc<Value>> {
        self.keys
            .clone()
            .filter(|_| time_between(self.fetched, now) < Duration::days(1))
    }

    /// Whether a fetch was tried within the last ten seconds. If so, an unknown `kid` does not cause another one, so
    /// that nobody can make the server send many requests.
    fn was_just_tried(&self, now: DateTime<Utc>) -> bool {
        time_between(self.tried, now) < Duration::seconds(10)
    }
}

fn time_between(then: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - then).abs()
}

impl KeyCache {
    fn get(&self, url: &str) -> Option<CachedKeys> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(url)
            .cloned()
    }

    fn put(&self, url: &str, keys: CachedKeys) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(url.to_owned(), keys);
    }
}

/// Verifies a token's signature with the keys of a client.
pub async fn verify<'t>(
    state: &State,
    client: &Client,
    token: &'t Unverified<'_>,
    algorithms: &[Algorithm],
) -> Result<&'t Claims> {
    let refused = |error: JwtError| Error::unauthorized(error.message());
    let Some(url) = client.doc.jwks_uri.as_deref() else {
        let no_keys = || Error::unauthorized("The client has no registered keys");
        return token
            .verify(client.doc.jwks.as_ref().ok_or_else(no_keys)?, algorithms)
            .map_err(refused);
    };
    if token.jku().is_some_and(|jku| jku != url) {
        return Err(Error::unauthorized(
            "The token's jku is not the registered URL of the client's keys",
        ));
    }
    let keys = cached_or_fetched(state, client, url).await?;
    match token.verify(&keys, algorithms) {
        Err(JwtError::UnknownKey) if !state.keys.get(url).is_some_and(|k| k.was_just_tried(state.now())) => {
            let keys = fetch(state, client, url).await?;
            token.verify(&keys, algorithms).map_err(refused)
        }
        other => other.map_err(refused),
    }
}

/// The cached copy if it is fresh, else a newly fetched one, else the cached copy while it may be used.
async fn cached_or_fetched(state: &State, client: &Client, url: &str) -> Result<Arc<Value>> {
    let now = state.now();
    let cached = state.keys.get(url);
    if let Some(keys) = cached.as_ref().and_then(|cached| cached.fresh(now)) {
        return Ok(keys);
    }
    if cached
        .as_ref()
        .is_some_and(|cached| cached.keys.is_none() && cached.was_just_tried(now))
    {
        return Err(unreachable_keys());
    }
    match fetch(state, client, url).await {
        Err(error) => {
            let last = cached.and_then(|cached| cached.usable(now)).ok_or(error)?;
            tracing::warn!(client = %client.id, "the client's keys could not be fetched; using the last copy");
            Ok(last)
        }
        fetched => fetched,
    }
}

/// Fetches the key set and caches the result.
async fn fetch(state: &State, client: &Client, url: &str) -> Result<Arc<Value>> {
    let hosts = [url.to_owned()];
    let allowed = AllowedHosts {
        hosts: &hosts,
        loopback_http: client.doc.loopback_http,
    };
    let fetched = tokio::time::timeout(FETCH_TIMEOUT, state.net.get_json(url, allowed)).await;
    let tried = state.now();
    let result = fetched.unwrap_or_else(|_| Err(Error::unavailable("the key set was not received in time")));
    match result {
        Ok(keys) => {
            let keys = Arc::new(keys);
            state.keys.put(
                url,
                CachedKeys {
                    keys: Some(keys.clone()),
                    fetched: tried,
                    tried,
                },
            );
            Ok(keys)
        }
        Err(error) => {
            let before = state.keys.get(url);
            let empty = CachedKeys {
                keys: None,
                fetched: tried,
                tried,
            };
            state
                .keys
                .put(url, before.map_or(empty, |cached| CachedKeys { tried, ..cached }));
            Err(unreachable_keys().with_log_detail(error.log_detail().unwrap_or(error.message())))
        }
    }
}

fn unreachable_keys() -> Error {
    Error::unauthorized("The client's keys could not be fetched from their registered URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(tried: i64) -> (CachedKeys, impl Fn(i64) -> DateTime<Utc>) {
        let fetched = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let after = move |seconds: i64| fetched + Duration::seconds(seconds);
        (
            CachedKeys {
                keys: Some(Arc::new(Value::Null)),
                fetched,
                tried: after(tried),
            },
            after,
        )
    }

    #[test]
    fn a_copy_is_used_for_five_minutes_and_for_a_day_while_the_url_does_not_respond() {
        let (cached, after) = cached(0);
        assert!(cached.fresh(after(299)).is_some() && cached.fresh(after(300)).is_none());
        assert!(cached.usable(after(86_399)).is_some() && cached.usable(after(86_400)).is_none());
    }

    #[test]
    fn after_a_failed_fetch_the_url_is_not_tried_for_a_minute() {
        let (cached, after) = cached(1000);
        assert!(cached.fresh(after(1059)).is_some() && cached.fresh(after(1060)).is_none());
        let (empty, after) = (CachedKeys { keys: None, ..cached }, after);
        assert!(empty.fresh(after(1001)).is_none());
        assert!(empty.was_just_tried(after(1009)) && !empty.was_just_tried(after(1010)));
    }
}
