//! Checks signatures with public keys of a JWK set. Each key is parsed once and kept in a bounded cache under its own
//! content, so that a changed key set needs no invalidation.

use super::jwt::JwtError;
use aws_lc_rs::signature::{
    self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use quick_cache::sync::Cache;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// How many keys are kept; a client has one to three.
const MAX_KEYS: usize = 1000;

/// Parsed keys by algorithm and key material.
static PARSED: LazyLock<Cache<String, Arc<ParsedPublicKey>>> = LazyLock::new(|| Cache::new(MAX_KEYS));

/// How signatures of an algorithm are checked.
enum Scheme {
    Ecdsa(&'static dyn VerificationAlgorithm),
    Rsa(&'static RsaParameters),
}

/// Checks a signature in base64url with a public key (a JWK).
pub(super) fn verify(
    jwk: &Value,
    algorithm: Algorithm,
    signed: &str,
    signature: &str,
) -> Result<(), JwtError> {
    const NOT_VALID: JwtError = JwtError::Invalid("The token's signature is not valid");
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| NOT_VALID)?;
    let key = parsed(jwk, algorithm).ok_or(JwtError::Invalid("The registered key cannot be used"))?;
    key.verify_sig(signed.as_bytes(), &signature)
        .map_err(|_| NOT_VALID)
}

/// Whether a JWK is a public key that can check signatures of this algorithm.
pub(super) fn is_public_key(jwk: &Value, algorithm: Algorithm) -> bool {
    parsed(jwk, algorithm).is_some()
}

fn parsed(jwk: &Value, algorithm: Algorithm) -> Option<Arc<ParsedPublicKey>> {
    let scheme = scheme(algorithm)?;
    let (first, second) = match scheme {
        Scheme::Ecdsa(_) => ("x", "y"),
        Scheme::Rsa(_) => ("n", "e"),
    };
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let (first, second) = (text(first)?, text(second)?);
    let name = format!("{algorithm:?} {first} {second}");
    if let Some(key) = PARSED.get(&name) {
        return Some(key);
    }
    let key = Arc::new(parse(&scheme, first, second)?);
    PARSED.insert(name, key.clone());
    Some(key)
}

fn parse(scheme: &Scheme, first: &str, second: &str) -> Option<ParsedPublicKey> {
    let (first, second) = (
        URL_SAFE_NO_PAD.decode(first).ok()?,
        URL_SAFE_NO_PAD.decode(second).ok()?,
    );
    match scheme {
        Scheme::Ecdsa(algorithm) => {
            // an uncompressed point (SEC 1, section 2.3.3)
            let point = [&[4], first.as_slice(), second.as_slice()].concat();
            ParsedPublicKey::new(*algorithm, point).ok()
        }
        Scheme::Rsa(parameters) => {
            let [n, e] = [&first, &second].map(|number| without_leading_zeros(number));
            RsaPublicKeyComponents { n, e }
                .to_parsed_public_key(parameters)
                .ok()
        }
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn scheme(algorithm: Algorithm) -> Option<Scheme> {
    match algorithm {
        Algorithm::ES256 => Some(Scheme::Ecdsa(&signature::ECDSA_P256_SHA256_FIXED)),
        Algorithm::ES384 => Some(Scheme::Ecdsa(&signature::ECDSA_P384_SHA384_FIXED)),
        Algorithm::RS256 => Some(Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256)),
        Algorithm::RS384 => Some(Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384)),
        Algorithm::RS512 => Some(Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512)),
        Algorithm::PS256 => Some(Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA256)),
        Algorithm::PS384 => Some(Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA384)),
        Algorithm::PS512 => Some(Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA512)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys;
    use serde_json::json;

    fn signed_by(key: &keys::KeyPair) -> (String, String) {
        let token = key.sign(&json!({"iss": "ehr"})).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        (signed.to_owned(), signature.to_owned())
    }

    #[test]
    fn a_key_is_parsed_once_and_another_key_with_its_kid_is_another_key() {
        let (one, other) = (keys::new_es384("k").unwrap(), keys::new_es384("k").unwrap());
        let (signed, signature) = signed_by(&one);
        let check = |key: &keys::KeyPair| verify(&key.jwk, Algorithm::ES384, &signed, &signature);
        assert_eq!(check(&one), Ok(()));
        let kept = parsed(&one.jwk, Algorithm::ES384).unwrap();
        assert!(Arc::ptr_eq(&kept, &parsed(&one.jwk, Algorithm::ES384).unwrap()));
        assert!(matches!(check(&other), Err(JwtError::Invalid(_))));
        assert_eq!(check(&one), Ok(()));
    }

    #[test]
    fn a_key_that_is_no_point_of_the_curve_cannot_be_used() {
        let mut key = keys::new_es384("k").unwrap();
        let (signed, signature) = signed_by(&key);
        key.jwk["y"] = key.jwk["x"].clone();
        let unusable = Err(JwtError::Invalid("The registered key cannot be used"));
        assert_eq!(verify(&key.jwk, Algorithm::ES384, &signed, &signature), unusable);
    }

    #[test]
    fn an_rs384_signature_is_checked_with_the_modulus_and_exponent() {
        use aws_lc_rs::rsa::KeySize;
        use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA384, RsaKeyPair};
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA384, &random, b"signed", &mut signature)
            .unwrap();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = pair.public_key();
        let jwk = json!({
            "kty": "RSA",
            "n": part(public.modulus().big_endian_without_leading_zero()),
            "e": part(public.exponent().big_endian_without_leading_zero()),
        });
        assert_eq!(
            verify(&jwk, Algorithm::RS384, "signed", &part(&signature)),
            Ok(())
        );
        assert!(verify(&jwk, Algorithm::RS384, "changed", &part(&signature)).is_err());
        assert!(verify(&jwk, Algorithm::RS256, "signed", &part(&signature)).is_err());
    }
}
