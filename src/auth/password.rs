//! Passwords: argon2id, stored as PHC text. No rule about their content but a least length (`registration`).

use crate::clock::random_bytes;
use crate::config::PasswordWork;
use crate::error::{Error, Result};
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

/// Hashes that may be made at once: each takes 19 MiB.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// The stored form of a password. Takes tens of milliseconds at full work.
pub fn hash(password: &str, work: PasswordWork) -> Result<String> {
    let params = match work {
        PasswordWork::Full => Params::DEFAULT,
        PasswordWork::Quick => Params::new(Params::MIN_M_COST, 1, 1, None).map_err(Error::internal)?,
    };
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt: [u8; 16] = random_bytes();
    argon
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(Error::internal)
}

/// Whether the password is the one that was stored. A stored text that cannot be read fits no password.
pub fn verify(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// Checks a sign-in away from the threads that answer requests. `stored` is none for a name that nobody has: the
/// same work is done, so that the time does not tell.
pub async fn check(password: String, stored: Option<String>, work: PasswordWork) -> Result<bool> {
    let _turn = AT_ONCE.acquire().await.map_err(Error::internal)?;
    let checked = tokio::task::spawn_blocking(move || match stored {
        Some(stored) => Ok(verify(&password, &stored)),
        None => hash(&password, work).map(|_| false),
    });
    checked.await.map_err(Error::internal)?
}

/// A password that nobody chose: 120 bits, 20 letters.
pub fn generate() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(random_bytes::<15>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_alone() {
        let stored = hash("correct horse", PasswordWork::Quick).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        assert!(verify("correct horse", &stored));
        assert!(!verify("correct horsf", &stored));
        assert!(!verify("correct horse", "not a hash"));
    }

    #[test]
    fn full_work_is_what_the_defaults_promise() {
        let stored = hash("x", PasswordWork::Full).unwrap();
        assert!(stored.contains("m=19456,t=2,p=1"), "{stored}");
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let one = hash("x", PasswordWork::Quick).unwrap();
        assert_ne!(one, hash("x", PasswordWork::Quick).unwrap());
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        assert!(!check("x".to_owned(), None, PasswordWork::Quick).await.unwrap());
        let stored = hash("x", PasswordWork::Quick).unwrap();
        assert!(
            check("x".to_owned(), Some(stored), PasswordWork::Quick)
                .await
                .unwrap()
        );
    }
}
