//! The check of a name and a password. Whatever was wrong, the answer says the same and takes as long; after ten
//! failures within a quarter of an hour a name rests, whether anybody has it or not.

use crate::auth::password;
use crate::auth::registration::fold_name;
use crate::error::{Error, Kind, Result};
use crate::state::State;
use crate::store::sessions::SessionKind;
use chrono::{DateTime, Duration, Utc};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// What a failed try is told.
pub(in crate::web) const WRONG: &str = "The user name or the password is not right.";
/// What a try from a stale form is told.
pub(in crate::web) const STALE: &str = "This page was open for too long. Please try again.";

/// Failures that a name may have within [`WINDOW`].
const MOST: usize = 10;
/// Minutes.
const WINDOW: i64 = 15;
/// Names that are remembered at once; beyond it the ones that have rested are forgotten.
const NAMES: usize = 10_000;

/// Failed tries by kind and name, in the memory of this process.
#[derive(Debug, Default)]
pub(in crate::web) struct Tries(Mutex<HashMap<String, Vec<DateTime<Utc>>>>);

impl Tries {
    fn may_try(&self, key: &str, now: DateTime<Utc>) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(key).is_none_or(|failed| {
            failed.retain(|at| now - *at < Duration::minutes(WINDOW));
            failed.len() < MOST
        })
    }

    fn failed(&self, key: String, now: DateTime<Utc>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= NAMES {
            all.retain(|_, failed| failed.iter().any(|at| now - *at < Duration::minutes(WINDOW)));
        }
        all.entry(key).or_default().push(now);
    }

    fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// The row of the person or login that name and password belong to.
pub(in crate::web) async fn check(
    state: &State,
    tries: &Tries,
    kind: SessionKind,
    name: &str,
    password: &str,
) -> Result<Option<Uuid>> {
    let name = fold_name(name);
    let key = format!("{kind:?}/{name}");
    let now = state.now();
    if !tries.may_try(&key, now) {
        let message = "Too many tries with this name. Wait a quarter of an hour, then try again";
        return Err(Error::new(Kind::TooMany, message));
    }
    let known = known(state, kind, name).await?;
    let stored = known.as_ref().map(|(_, hash)| hash.clone());
    let fits = password::check(password.to_owned(), stored, state.config.password_work).await?;
    let Some((id, _)) = known.filter(|_| fits) else {
        tries.failed(key, now);
        metrics::counter!("assent_sign_in_failures_total").increment(1);
        return Ok(None);
    };
    tries.forget(&key);
    Ok(Some(id))
}

/// The row and the stored hash of a name that may sign in.
async fn known(state: &State, kind: SessionKind, name: String) -> Result<Option<(Uuid, String)>> {
    state
        .store
        .read((kind, name), |tx, (kind, name)| {
            Box::pin(async move {
                Ok(match kind {
                    SessionKind::Staff => {
                        let person = tx.person_by_username(name).await?.filter(|p| !p.disabled);
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
    fn a_name_rests_after_ten_failures_and_no_other_name_does() {
        let tries = Tries::default();
        for n in 0..10 {
            assert!(tries.may_try("staff/a", at(n)));
            tries.failed("staff/a".to_owned(), at(n));
        }
        assert!(!tries.may_try("staff/a", at(10)));
        assert!(tries.may_try("staff/b", at(10)));
        assert!(tries.may_try("staff/a", at(16)), "the first failures are over");
    }

    #[test]
    fn who_gets_in_starts_anew() {
        let tries = Tries::default();
        (0..10).for_each(|_| tries.failed("staff/a".to_owned(), at(0)));
        tries.forget("staff/a");
        assert!(tries.may_try("staff/a", at(0)));
    }
}
