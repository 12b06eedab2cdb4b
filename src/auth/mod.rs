//! Who is calling and what the caller may do: partner systems with signed JWTs or access tokens, and members' apps with
//! grants.
//!
//! `client` is a registered client, `caller` turns an access token into a caller, `scopes` parses SMART scopes, `jwt`,
//! `jwks` and `parsed_keys` verify signatures, `password` and `keys` create and check secrets, `throttle` limits how often they
//! are guessed, and `registration` adds clients, staff and members' accounts. Tokens are issued in `oauth`, and sessions of staff and members are checked in `web`.

pub mod caller;
pub mod client;
mod client_cache;
pub mod jwks;
pub mod jwt;
pub mod keys;
mod parsed_keys;
pub mod password;
pub mod registration;
pub mod scopes;
pub mod throttle;

pub use caller::{AppCaller, BackendCaller, Jti, app, backend, hook, missing_token};
pub use client::{Client, ClientDoc, JtiReplay};
pub use client_cache::ClientCache;
pub use jwks::KeyCache;
pub use scopes::{Permission, ScopeLevel, Scopes};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The stored form of a random secret of 256 bits (token, code, session id, client secret): its SHA-256 in base64url.
pub fn fingerprint(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, secret.as_bytes()))
}

/// Whether two texts are equal, compared in constant time.
pub fn constant_time_eq(a: &str, b: &str) -> bool {
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
    fn constant_time_comparison_finds_differences() {
        assert!(constant_time_eq("abc", "abc"));
        assert!(!constant_time_eq("abc", "abd"));
        assert!(!constant_time_eq("abc", "ab"));
    }
}
