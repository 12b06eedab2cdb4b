//! Proof key for code exchange (RFC 7636): S256 alone. `plain` is never taken.

use crate::auth::{fingerprint, same};

/// Whether a challenge has the form of a SHA-256 in base64url.
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(is_base64url)
}

/// Whether the verifier is the one that the challenge was made from.
pub fn fits(verifier: &str, challenge: &str) -> bool {
    is_verifier(verifier) && same(&fingerprint(verifier), challenge)
}

/// 43 to 128 unreserved letters (RFC 7636, section 4.1).
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
    fn the_verifier_of_the_rfc_fits_its_challenge() {
        assert!(is_challenge(CHALLENGE));
        assert!(fits(VERIFIER, CHALLENGE));
    }

    #[test]
    fn another_verifier_and_the_challenge_itself_do_not() {
        assert!(!fits(&VERIFIER.replace('d', "e"), CHALLENGE));
        assert!(!fits(CHALLENGE, CHALLENGE));
        assert!(!fits("", CHALLENGE));
        assert!(!fits(&"a".repeat(129), CHALLENGE));
        assert!(!is_challenge("short"));
        assert!(!is_challenge(&format!("{}=", &CHALLENGE[..42])));
    }
}
