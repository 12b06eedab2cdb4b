//! Key pairs for signing JWTs as a partner does: ECDSA on P-384 (ES384). The end-to-end check and the tests use them
//! where they act as a partner. The server itself stores no private key.

use crate::error::{Error, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::fmt;

/// A private key with its public key.
#[derive(Clone)]
pub struct KeyPair {
    /// The private key as PKCS#8 in DER.
    pub pkcs8: Vec<u8>,
    /// The public key, as a JWK with `kid`, `alg` and `use`.
    pub jwk: Value,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("jwk", &self.jwk)
            .finish_non_exhaustive()
    }
}

/// A new key pair with this `kid`.
pub fn new_es384(kid: &str) -> Result<KeyPair> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|_| Error::internal("a key pair could not be generated"))?;
    from_pkcs8(kid, document.as_ref().to_vec())
}

/// The key pair of a private key stored as PKCS#8.
pub fn from_pkcs8(kid: &str, pkcs8: Vec<u8>) -> Result<KeyPair> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pkcs8)
        .map_err(|_| Error::malformed("The private key is not a PKCS#8 key on P-384"))?;
    let point = pair.public_key().as_ref();
    let coordinate = |from: usize| {
        point
            .get(from..from + 48)
            .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
    };
    let jwk = json!({
        "kty": "EC", "crv": "P-384", "alg": "ES384", "use": "sig", "kid": kid,
        "x": coordinate(1), "y": coordinate(49),
    });
    Ok(KeyPair { pkcs8, jwk })
}

impl KeyPair {
    /// The public key as a JWK set.
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.jwk]})
    }

    /// A JWT with these claims, signed with ES384.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let kid = self.jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
        let header = Header {
            kid,
            ..Header::new(Algorithm::ES384)
        };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&self.pkcs8)).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_is_read_back_unchanged() {
        let new = new_es384("k").unwrap();
        let stored = from_pkcs8("k", new.pkcs8.clone()).unwrap();
        assert_eq!(stored.jwk, new.jwk);
        assert!(!format!("{new:?}").contains("pkcs8"));
        assert!(from_pkcs8("k", vec![1, 2, 3]).is_err());
    }
}
