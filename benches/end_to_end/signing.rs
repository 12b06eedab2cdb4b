//! The tokens that an EHR signs for its hook calls: with ES384 or RS384, a new one for each call.

use assent::auth::keys;
use assent::clock::{Clock, new_id};
use assent::error::{Error, Result};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA384};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The id of the RSA key in the client's key set.
const RSA_KEY_ID: &str = "bench-rsa";

/// How a client signs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signing {
    /// `ES384` or `RS384`.
    pub algorithm: String,
    /// The private key as PKCS#8 in base64url.
    pub key: String,
    /// The id of the key.
    pub key_id: String,
    /// The issuer of the tokens.
    pub issuer: String,
    /// The URL that is called.
    pub audience: String,
}

/// A new RSA key of 2048 bits: the private key as PKCS#8 in base64url, its id, and the public key as a JWK.
pub fn new_rsa_key() -> Result<(String, String, Value)> {
    let failed = |_| Error::internal("an RSA key could not be generated");
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    // The public key is the DER of a sequence of two integers. Its header has 8 bytes, and a zero byte follows, so that
    // the modulus of 256 bytes is positive. The exponent is 65537.
    let modulus = pair
        .public_key()
        .as_ref()
        .get(9..265)
        .map(|n| URL_SAFE_NO_PAD.encode(n));
    let jwk = json!({
        "kty": "RSA", "alg": "RS384", "use": "sig", "kid": RSA_KEY_ID, "n": modulus, "e": "AQAB",
    });
    Ok((
        URL_SAFE_NO_PAD.encode(private.as_ref()),
        RSA_KEY_ID.to_owned(),
        jwk,
    ))
}

impl Signing {
    /// A new token, valid for four minutes.
    pub fn token(&self) -> Result<String> {
        let now = Clock::System.now();
        let seconds = now.timestamp();
        let claims = json!({
            "iss": self.issuer, "sub": self.issuer, "aud": self.audience,
            "iat": seconds, "exp": seconds + 240, "jti": new_id(now),
        });
        let key = URL_SAFE_NO_PAD.decode(&self.key).map_err(Error::internal)?;
        if self.algorithm == "ES384" {
            return keys::from_pkcs8(&self.key_id, key)?.sign(&claims);
        }
        let header = json!({ "alg": self.algorithm, "typ": "JWT", "kid": self.key_id });
        let encoded = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let text = format!("{}.{}", encoded(&header), encoded(&claims));
        let pair = KeyPair::from_pkcs8(&key).map_err(Error::internal)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA384,
            &SystemRandom::new(),
            text.as_bytes(),
            &mut signature,
        )
        .map_err(|_| Error::internal("a token could not be signed"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
