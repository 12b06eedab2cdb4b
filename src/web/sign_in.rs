//! Checks user name and password. Whatever is wrong, the message is the same and takes the same time. After ten
//! failures within 15 minutes a user name is blocked until the failures are older, whether or not the name exists.

use crate::auth::password;
use crate::auth::registration::normalize_username;
use crate::error::{Error, ErrorKind, Result};
use crate::state::State;
use crate::store::sessions::SessionKind;
use chrono::{DateTime, Duration, Utc};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// The message after a failed attempt.
pub(in crate::web) const WRONG_CREDENTIALS: &str = "The user name or password is not correct.";
/// The message when a form was sent without a valid form token.
pub(in crate::web) const STALE_FORM: &str = "This page was open too long. Please try again.";

/// The number of failures within [`WINDOW_MINUTES`] after which a name is blocked.
const MAX_FAILURES: usize = 10;
/// How long a failure counts, in minutes.
const WINDOW_MINUTES: i64 = 15;
/// How many names are kept. Beyond this number, names without recent failures are removed.
const MAX_NAMES: usize = 10_000;

/// Failed attempts by kind of session and user name, in the memory of this process.
#[derive(Debug, Default)]
pub(in crate::web) struct FailedSignIns(Mutex<HashMap<String, Vec<DateTime<Utc>>>>);

impl FailedSignIns {
    fn is_allowed(&self, key: &str, now: DateTime<Utc>) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(key).is_none_or(|failures| {
            failures.retain(|at| is_recent(*at, now));
            failures.len() < MAX_FAILURES
        })
    }

    fn record(&self, key: String, now: DateTime<Utc>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_NAMES {
            all.retain(|_, failures| failures.iter().any(|at| is_recent(*at, now)));
        }
        all.entry(key).or_default().push(now);
    }

    fn clear(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn is_recent(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - at < Duration::minutes(WINDOW_MINUTES)
}

/// The row id of the member of staff (`person`) or member login that the name and password belong to. `None` when they
/// are wrong; an error when the name is blocked.
pub(in crate::web) async fn check_credentials(
    state: &State,
    failed_sign_ins: &FailedSignIns,
    kind: SessionKind,
    name: &str,
    password: &str,
) -> Result<Option<Uuid>> {
    let name = normalize_username(name);
    let key = format!("{kind:?}/{name}");
    let now = state.now();
    if !failed_sign_ins.is_allowed(&key, now) {
        let message = "Too many attempts. Try again in 15 minutes.";
        return Err(Error::new(ErrorKind::TooManyRequests, message));
    }
    let account = find_account(state, kind, name).await?;
    let stored_hash = account.as_ref().map(|(_, hash)| hash.clone());
    let matches = password::check(password.to_owned(), stored_hash, state.config.password_cost).await?;
    let Some((id, _)) = account.filter(|_| matches) else {
        failed_sign_ins.record(key, now);
        metrics::counter!("assent_sign_in_failures_total").increment(1);
        return Ok(None);
    };
    failed_sign_ins.clear(&key);
    Ok(Some(id))
}

/// The row id and password hash of a name that is not disabled.
async fn find_account(state: &State, kind: SessionKind, name: String) -> Result<Option<(Uuid, String)>> {
    state
        .store
        .read((kind, name), |tx, (kind, name)| {
            Box::pin(async move {
                Ok(match kind {
                    SessionKind::Staff => {
                        let person = tx.staff_member_by_username(name).await?.filter(|p| !p.disabled);
                        person.map(|p| (p.id, p.password))
                    }
                    SessionKind::Member => {
                        let login = tx.login_by_username(name).await?.filter(|l| !l.disabled);
                        login.map(|l| (l.id, l.password))
                    }
                })
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        crate::review::samples::now() + Duration::minutes(minutes)
    }

    #[test]
    fn ten_failures_block_a_name_and_no_other() {
        let failures = FailedSignIns::default();
        for n in 0..10 {
            assert!(failures.is_allowed("staff/a", at(n)));
            failures.record("staff/a".to_owned(), at(n));
        }
        assert!(!failures.is_allowed("staff/a", at(10)));
        assert!(failures.is_allowed("staff/b", at(10)));
        assert!(
            failures.is_allowed("staff/a", at(16)),
            "the first failures no longer count"
        );
    }

    #[test]
    fn a_successful_sign_in_clears_the_failures() {
        let failures = FailedSignIns::default();
        (0..10).for_each(|_| failures.record("staff/a".to_owned(), at(0)));
        failures.clear("staff/a");
        assert!(failures.is_allowed("staff/a", at(0)));
    }
}
