//! Passwords: hashed with argon2id and stored as PHC strings. The only rule for passwords is a minimum length
//! (`registration`).

use crate::clock::random_bytes;
use crate::config::PasswordCost;
use crate::error::{Error, ErrorKind, Result};
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Limits the number of passwords that are hashed at the same time: each takes 19 MiB.
static PERMITS: Semaphore = Semaphore::const_new(4);

/// How long a sign-in waits for its turn. It bounds how many wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The stored form of a password. It takes tens of milliseconds at the standard cost.
pub fn hash(password: &str, cost: PasswordCost) -> Result<String> {
    let params = match cost {
        PasswordCost::Standard => Params::DEFAULT,
        PasswordCost::Minimal => Params::new(Params::MIN_M_COST, 1, 1, None).map_err(Error::internal)?,
    };
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt: [u8; 16] = random_bytes();
    argon
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(Error::internal)
}

/// Whether a password matches its stored form. No password matches a stored text that cannot be read.
pub fn verify(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// Checks a password on a blocking thread. `stored` is none when no account has the name; the password is hashed
/// anyway, so that the response time does not show whether the account exists.
pub async fn check(password: String, stored: Option<String>, cost: PasswordCost) -> Result<bool> {
    let permit = tokio::time::timeout(LONGEST_WAIT, PERMITS.acquire()).await;
    let _permit = permit
        .map_err(|_| {
            let message = "Too many people are signing in at the moment. Try again in a minute.";
            Error::new(ErrorKind::TooManyRequests, message)
        })?
        .map_err(Error::internal)?;
    let checked = tokio::task::spawn_blocking(move || match stored {
        Some(stored) => Ok(verify(&password, &stored)),
        None => hash(&password, cost).map(|_| false),
    });
    checked.await.map_err(Error::internal)?
}

/// A random password of 120 bits, 20 characters long.
pub fn generate() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(random_bytes::<15>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_only_its_own_hash() {
        let stored = hash("correct horse", PasswordCost::Minimal).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        assert!(verify("correct horse", &stored));
        assert!(!verify("correct horsf", &stored));
        assert!(!verify("correct horse", "not a hash"));
    }

    #[test]
    fn the_standard_cost_is_19_mib_and_two_passes() {
        let stored = hash("x", PasswordCost::Standard).unwrap();
        assert!(stored.contains("m=19456,t=2,p=1"), "{stored}");
    }

    #[test]
    fn two_hashes_of_the_same_password_differ() {
        let one = hash("x", PasswordCost::Minimal).unwrap();
        assert_ne!(one, hash("x", PasswordCost::Minimal).unwrap());
    }

    #[tokio::test]
    async fn no_password_matches_an_account_that_does_not_exist() {
        assert!(!check("x".to_owned(), None, PasswordCost::Minimal).await.unwrap());
        let stored = hash("x", PasswordCost::Minimal).unwrap();
        assert!(
            check("x".to_owned(), Some(stored), PasswordCost::Minimal)
                .await
                .unwrap()
        );
    }
}
