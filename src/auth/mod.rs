//! Who is calling and what may they do: partner systems with signed JWTs or tokens, members' apps with grants.
//!
//! `client` says what a partner may hold, `caller` turns a token into a caller, `scopes` reads SMART scopes, `jwt` and
//! `jwks` check signatures, `password` and `keys` make secrets, `registration` is how clients and people come in.
//! The pages and endpoints that give tokens out are in `oauth` and `web`; no session of a person is judged here.

pub mod caller;
pub mod client;
pub mod jwks;
pub mod jwt;
pub mod keys;
pub mod password;
pub mod registration;
pub mod scopes;

pub use caller::{App, Backend, Jti, app, backend, hook, no_token};
pub use client::{Client, ClientDoc, JtiReplay};
pub use jwks::KeyCache;
pub use scopes::{Level, Scopes};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// What is stored of a secret with 256 bits of its own (token, code, session id, client secret): its SHA-256, base64url.
pub fn fingerprint(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()))
}

/// Compares two texts without telling by time where they differ.
pub fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_sha_256_in_base64url() {
        assert_eq!(fingerprint("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }

    #[test]
    fn same_tells_texts_apart() {
        assert!(same("abc", "abc"));
        assert!(!same("abc", "abd"));
        assert!(!same("abc", "ab"));
    }
}
