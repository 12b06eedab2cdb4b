//! Checks user name and password. Whatever is wrong, the message is the same and takes the same time. The try is counted
//! before the password is checked (`auth::throttle`), whether or not the name exists.

use crate::auth::password;
use crate::auth::registration::{MAX_PASSWORD_LENGTH, normalize_username};
use crate::auth::throttle::{self, Guess, MAX_NAME_LENGTH};
use crate::error::Result;
use crate::state::State;
use crate::store::sessions::SessionKind;
use std::net::IpAddr;
use uuid::Uuid;

/// The message after a failed attempt.
pub(in crate::web) const WRONG_CREDENTIALS: &str = "The user name or password is not correct.";
/// The message when a form was sent without a valid form token.
pub(in crate::web) const STALE_FORM: &str = "This page was open too long. Please try again.";

/// The row id of the member of staff (`person`) or member login that the name and password belong to. `None` when they
/// are wrong; `TooManyRequests` when there were too many attempts.
pub(in crate::web) async fn check_credentials(
    state: &State,
    kind: SessionKind,
    name: &str,
    password: &str,
    address: Option<IpAddr>,
) -> Result<Option<Uuid>> {
    let name = normalize_username(name);
    let guess = Guess {
        kind: match kind {
            SessionKind::Staff => "staff",
            SessionKind::Member => "member",
        },
        name: &name,
        address,
        is_shared: false,
    };
    let reservation = throttle::reserve(state, &guess).await?;
    // No account can have such a name or password.
    if name.chars().count() > MAX_NAME_LENGTH || password.len() > MAX_PASSWORD_LENGTH {
        metrics::counter!("assent_sign_in_failures_total").increment(1);
        return Ok(None);
    }
    match check_password(state, kind, name, password).await {
        Ok(Some(id)) => {
            reservation.succeed(state).await?;
            Ok(Some(id))
        }
        Ok(None) => {
            metrics::counter!("assent_sign_in_failures_total").increment(1);
            Ok(None)
        }
        Err(error) => {
            // The error of the check is the one to report, also when the try cannot be returned.
            let _ = reservation.cancel(state).await;
            Err(error)
        }
    }
}

async fn check_password(
    state: &State,
    kind: SessionKind,
    name: String,
    password: &str,
) -> Result<Option<Uuid>> {
    let account = find_account(state, kind, name).await?;
    let stored_hash = account.as_ref().map(|(_, hash)| hash.clone());
    let matches = password::check(password.to_owned(), stored_hash, state.config.password_cost).await?;
    Ok(account.filter(|_| matches).map(|(id, _)| id))
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
