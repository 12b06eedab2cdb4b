//! Proof Key for Code Exchange (RFC 7636) with the method S256. The method `plain` is not supported.

use crate::auth::{constant_time_eq, fingerprint};

/// Whether a code challenge is a SHA-256 hash in base64url.
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(is_base64url)
}

/// Whether a code challenge was made from this code verifier.
pub fn verifier_matches(verifier: &str, challenge: &str) -> bool {
    is_verifier(verifier) && constant_time_eq(&fingerprint(verifier), challenge)
}

/// 43 to 128 unreserved characters (RFC 7636, section 4.1).
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|b| is_base64url(b) || b == b'.' || b == b'~')
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_matches() {
        assert!(is_challenge(CHALLENGE));
        assert!(verifier_matches(VERIFIER, CHALLENGE));
    }

    #[test]
    fn another_verifier_and_the_challenge_itself_do_not_match() {
        assert!(!verifier_matches(&VERIFIER.replace('d', "e"), CHALLENGE));
        assert!(!verifier_matches(CHALLENGE, CHALLENGE));
        assert!(!verifier_matches("", CHALLENGE));
        assert!(!verifier_matches(&"a".repeat(129), CHALLENGE));
        assert!(!is_challenge("short"));
        assert!(!is_challenge(&format!("{}=", &CHALLENGE[..42])));
    }
}
