//! Signed JWTs of partners: read, then checked against a JWK set. Asymmetric algorithms only; the key is chosen by
//! `kid`; the time is a parameter. SMART App Launch 2.2 (`private_key_jwt`) and CDS Hooks 2.0 ("JWT").
//!
//! Nothing of a token may be used before `verify` held, except to find out whose keys to ask for.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::Value;

/// What SMART asks of a token request.
pub const FOR_TOKENS: [Algorithm; 2] = [Algorithm::RS384, Algorithm::ES384];

/// What a hook call may be signed with.
pub const FOR_HOOKS: [Algorithm; 7] = [
    Algorithm::ES384,
    Algorithm::RS384,
    Algorithm::ES256,
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// How far two clocks may stand apart.
pub fn skew() -> Duration {
    Duration::seconds(30)
}

/// Why a token does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The key set has no such key; a fresher one may.
    UnknownKey,
    /// It never will; the sentence says why.
    Refused(&'static str),
}

impl Fault {
    /// The sentence for the caller.
    pub fn message(self) -> &'static str {
        match self {
            Self::UnknownKey => "The token's kid names no key of the registered key set",
            Self::Refused(why) => why,
        }
    }
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who made it.
    pub iss: String,
    /// Whom it speaks for.
    pub sub: Option<String>,
    /// Whom it is for.
    pub aud: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it was made.
    pub iat: Option<i64>,
    /// When it begins to hold.
    pub nbf: Option<i64>,
    /// Its own id.
    pub jti: Option<String>,
}

/// A token that was read and not yet checked.
#[derive(Debug)]
pub struct Unverified<'t> {
    header: Header,
    claims: Claims,
    message: &'t str,
    signature: &'t str,
}

/// Reads a token in the compact form.
pub fn read(token: &str) -> Result<Unverified<'_>, Fault> {
    const NO_JWT: Fault = Fault::Refused("The token is no signed JWT");
    let (message, signature) = token.rsplit_once('.').ok_or(NO_JWT)?;
    let (_, payload) = message
        .split_once('.')
        .filter(|(_, p)| !p.contains('.'))
        .ok_or(NO_JWT)?;
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| Fault::Refused("The token's header names no algorithm that this server knows"))?;
    if header.crit.is_some() {
        return Err(Fault::Refused(
            "The token's header holds critical members that this server does not know",
        ));
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| NO_JWT)?;
    let payload: Value = serde_json::from_slice(&payload).map_err(|_| NO_JWT)?;
    Ok(Unverified {
        header,
        claims: claims(&payload)?,
        message,
        signature,
    })
}

fn claims(payload: &Value) -> Result<Claims, Fault> {
    let text = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_owned);
    let aud = match payload.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => return Err(Fault::Refused("The token has no aud")),
    };
    Ok(Claims {
        iss: text("iss").ok_or(Fault::Refused("The token has no iss"))?,
        sub: text("sub"),
        aud,
        exp: seconds(payload, "exp")?.ok_or(Fault::Refused("The token has no exp"))?,
        iat: seconds(payload, "iat")?,
        nbf: seconds(payload, "nbf")?,
        jti: text("jti").filter(|jti| !jti.is_empty()),
    })
}

/// A `NumericDate`: whole seconds; a fraction is cut off.
fn seconds(payload: &Value, name: &str) -> Result<Option<i64>, Fault> {
    let Some(value) = payload.get(name) else {
        return Ok(None);
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates; the times are compared after it"
    )]
    let whole = value.as_i64().or_else(|| value.as_f64().map(|f| f as i64));
    whole
        .map(Some)
        .ok_or(Fault::Refused("A time in the token is no number"))
}

impl Unverified<'_> {
    /// Who says to have made it; only to find the keys.
    pub fn claimed_issuer(&self) -> &str {
        &self.claims.iss
    }

    /// Where it says its keys are; only to compare with what is registered.
    pub fn jku(&self) -> Option<&str> {
        self.header.jku.as_deref()
    }

    /// Checks the signature with the one key of the set that `kid` names, and gives the claims out.
    pub fn verify(&self, keys: &Value, algorithms: &[Algorithm]) -> Result<&Claims, Fault> {
        let algorithm = self.header.alg;
        if !algorithms.contains(&algorithm) {
            return Err(Fault::Refused(
                "The token is signed with an algorithm that is not taken here",
            ));
        }
        let kid = self
            .header
            .kid
            .as_deref()
            .ok_or(Fault::Refused("The token's header has no kid"))?;
        let key = choose(keys, kid, algorithm)?;
        let held = jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), &key, algorithm);
        if held.unwrap_or(false) {
            Ok(&self.claims)
        } else {
            Err(Fault::Refused("The token's signature does not hold"))
        }
    }
}

/// The one key with this `kid` that fits the algorithm.
fn choose(keys: &Value, kid: &str, algorithm: Algorithm) -> Result<DecodingKey, Fault> {
    const UNUSABLE: Fault = Fault::Refused("The registered key cannot be used");
    let listed = keys
        .get("keys")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut fitting = listed
        .iter()
        .filter(|key| key.get("kid").and_then(Value::as_str) == Some(kid) && fits(key, algorithm));
    let (key, more) = (fitting.next().ok_or(Fault::UnknownKey)?, fitting.next());
    if more.is_some() {
        return Err(Fault::Refused("The token's kid names more than one key"));
    }
    let jwk: Jwk = serde_json::from_value(key.clone()).map_err(|_| UNUSABLE)?;
    DecodingKey::from_jwk(&jwk).map_err(|_| UNUSABLE)
}

/// Whether a key is of the algorithm's kind, for signatures, and long enough (RSA: 2048 bits).
fn fits(key: &Value, algorithm: Algorithm) -> bool {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let kind = match algorithm {
        Algorithm::ES256 => text("kty") == Some("EC") && text("crv") == Some("P-256"),
        Algorithm::ES384 => text("kty") == Some("EC") && text("crv") == Some("P-384"),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 | Algorithm::EdDSA => false,
        _ => text("kty") == Some("RSA") && text("n").is_some_and(|n| n.len() >= 342),
    };
    let named = text("alg").is_none_or(|alg| alg == format!("{algorithm:?}"));
    kind && named && text("use").is_none_or(|u| u == "sig")
}

impl Claims {
    /// Whether it is for one of these addresses; a slash at the end makes no difference.
    pub fn is_for(&self, addresses: &[&str]) -> bool {
        self.aud.iter().any(|aud| {
            addresses
                .iter()
                .any(|a| a.trim_end_matches('/') == aud.trim_end_matches('/'))
        })
    }

    /// Checks the times against now: not over, not yet to come, and not made to live longer than `longest`. Gives
    /// the end, with the clocks' difference in it.
    pub fn check_times(&self, now: DateTime<Utc>, longest: Duration) -> Result<DateTime<Utc>, Fault> {
        let now = now.timestamp();
        let skew = skew().num_seconds();
        let longest = longest.num_seconds() + skew;
        if self.exp <= now.saturating_sub(skew) {
            return Err(Fault::Refused("The token is over (exp)"));
        }
        if self.iat.max(self.nbf).is_some_and(|start| start > now + skew) {
            return Err(Fault::Refused("The token is made in the future (iat, nbf)"));
        }
        let start = self.iat.unwrap_or(now);
        if self.exp.saturating_sub(start) > longest || self.exp.saturating_sub(now) > longest {
            return Err(Fault::Refused("The token lives longer than is taken here (exp)"));
        }
        DateTime::from_timestamp(self.exp + skew, 0).ok_or(Fault::Refused("The token's exp is no time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::{self, KeyPair};
    use serde_json::json;

    const NOW: i64 = 1_790_000_000;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(NOW, 0).unwrap()
    }

    fn good() -> Value {
        json!({"iss": "ehr", "sub": "ehr", "aud": "https://pa.example/oauth/token", "exp": NOW + 300, "iat": NOW, "jti": "1"})
    }

    fn key() -> KeyPair {
        keys::new_es384("k1").unwrap()
    }

    fn set(key: &KeyPair) -> Value {
        json!({"keys": [key.jwk]})
    }

    /// A token whose header and signature are whatever the caller likes.
    fn forged(header: &Value, claims: &Value, signature: &str) -> String {
        let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
        format!("{}.{}.{signature}", part(header), part(claims))
    }

    fn times(changes: &Value) -> Result<DateTime<Utc>, Fault> {
        let mut all = good();
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        claims(&all)?.check_times(now(), Duration::seconds(300))
    }

    #[test]
    fn a_token_signed_with_the_registered_key_holds() {
        let key = key();
        let token = key.sign(&good()).unwrap();
        let read = read(&token).unwrap();
        let claims = read.verify(&set(&key), &FOR_TOKENS).unwrap();
        assert_eq!((claims.iss.as_str(), claims.jti.as_deref()), ("ehr", Some("1")));
        assert!(claims.check_times(now(), Duration::seconds(300)).is_ok());
    }

    #[test]
    fn a_changed_claim_or_another_key_breaks_the_signature() {
        let key = key();
        let token = key.sign(&good()).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(good().to_string().replace("\"1\"", "\"2\""));
        parts[1] = &other;
        let changed = parts.join(".");
        let refused = Fault::Refused("The token's signature does not hold");
        assert_eq!(
            read(&changed).unwrap().verify(&set(&key), &FOR_TOKENS),
            Err(refused)
        );
        let stranger = self::key();
        assert_eq!(
            read(&token).unwrap().verify(&set(&stranger), &FOR_TOKENS),
            Err(refused)
        );
    }

    #[test]
    fn none_is_no_algorithm() {
        let token = forged(&json!({"alg": "none", "kid": "k1"}), &good(), "");
        assert!(matches!(read(&token), Err(Fault::Refused(_))));
    }

    #[test]
    fn a_public_key_used_as_a_shared_secret_opens_nothing() {
        let key = key();
        let secret = key.jwk["x"].as_str().unwrap();
        let header = jsonwebtoken::Header {
            kid: Some("k1".to_owned()),
            ..jsonwebtoken::Header::new(Algorithm::HS256)
        };
        let token = jsonwebtoken::encode(
            &header,
            &good(),
            &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes()),
        )
        .unwrap();
        let not_taken = Fault::Refused("The token is signed with an algorithm that is not taken here");
        assert_eq!(
            read(&token).unwrap().verify(&set(&key), &FOR_HOOKS),
            Err(not_taken)
        );
        let everything = [Algorithm::HS256];
        assert_eq!(
            read(&token).unwrap().verify(&set(&key), &everything),
            Err(Fault::UnknownKey)
        );
    }

    #[test]
    fn a_key_of_another_kind_use_or_name_is_not_chosen() {
        let key = key();
        let token = key.sign(&good()).unwrap();
        for change in [
            json!({"kid": "k2"}),
            json!({"crv": "P-256"}),
            json!({"use": "enc"}),
            json!({"alg": "ES256"}),
            json!({"kty": "RSA"}),
        ] {
            let mut jwk = key.jwk.clone();
            for (name, value) in change.as_object().unwrap() {
                jwk[name] = value.clone();
            }
            let keys = json!({"keys": [jwk]});
            assert_eq!(
                read(&token).unwrap().verify(&keys, &FOR_TOKENS),
                Err(Fault::UnknownKey),
                "{change}"
            );
        }
        let twice = json!({"keys": [key.jwk, key.jwk]});
        assert!(matches!(
            read(&token).unwrap().verify(&twice, &FOR_TOKENS),
            Err(Fault::Refused(_))
        ));
        assert_eq!(
            read(&token).unwrap().verify(&json!({}), &FOR_TOKENS),
            Err(Fault::UnknownKey)
        );
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for token in [
            "",
            "a",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "..",
            "eyJhbGciOiJFUzM4NCJ9.e30.x",
        ] {
            assert!(read(token).is_err(), "{token}");
        }
        let critical = forged(
            &json!({"alg": "ES384", "kid": "k1", "crit": ["exp"]}),
            &good(),
            "x",
        );
        assert!(read(&critical).is_err());
    }

    #[test]
    fn a_short_rsa_key_is_no_key() {
        let short = json!({"kty": "RSA", "kid": "r", "n": "A".repeat(171), "e": "AQAB"});
        let long = json!({"kty": "RSA", "kid": "r", "n": "A".repeat(342), "e": "AQAB"});
        assert!(!fits(&short, Algorithm::RS384));
        assert!(fits(&long, Algorithm::RS384));
        assert!(!fits(&long, Algorithm::ES384));
    }

    #[test]
    fn the_audience_is_compared_whole() {
        let one = claims(&good()).unwrap();
        assert!(one.is_for(&["https://pa.example/oauth/token/"]));
        assert!(!one.is_for(&["https://pa.example/oauth"]));
        let mut many = good();
        many["aud"] = json!([
            "https://other.example",
            "https://pa.example/cds-services/order-sign-crd"
        ]);
        assert!(
            claims(&many)
                .unwrap()
                .is_for(&["https://pa.example/cds-services/order-sign-crd"])
        );
    }

    #[test]
    fn times_have_a_little_slack_and_no_more() {
        assert!(times(&json!({})).is_ok());
        assert!(times(&json!({"exp": NOW + 330})).is_ok());
        assert!(times(&json!({"exp": NOW - 29, "iat": NOW - 300})).is_ok());
        assert!(times(&json!({"iat": NOW + 30})).is_ok());
        for late in [
            json!({"exp": NOW - 30}),
            json!({"exp": NOW + 331}),
            json!({"exp": NOW + 200, "iat": NOW - 200}),
            json!({"iat": NOW + 31}),
            json!({"nbf": NOW + 31}),
            json!({"exp": i64::MAX}),
            json!({"exp": i64::MIN}),
            json!({"exp": "soon"}),
        ] {
            assert!(times(&late).is_err(), "{late}");
        }
        assert!(times(&json!({"exp": 1_790_000_100.5})).is_ok());
    }
}
