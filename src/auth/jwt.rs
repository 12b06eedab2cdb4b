//! JWTs signed by partners: parsed first, then verified with a JWK set. Only asymmetric algorithms are accepted, the
//! `kid` selects the key, and callers pass the current time. SMART App Launch 2.2 (`private_key_jwt`) and CDS Hooks 2.0
//! ("JWT").
//!
//! Before `verify` has succeeded, a token may only be used to find out whose keys to verify it with.

use super::parsed_keys;
use crate::fhir;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{Algorithm, Header};
use serde_json::Value;

/// The algorithms for client authentication at the token endpoint (SMART App Launch 2.2).
pub const CLIENT_ASSERTION_ALGORITHMS: [Algorithm; 2] = [Algorithm::RS384, Algorithm::ES384];

/// The algorithms accepted for hook calls.
pub const HOOK_ALGORITHMS: [Algorithm; 7] = [
    Algorithm::ES384,
    Algorithm::RS384,
    Algorithm::ES256,
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The longest `iss`, `sub` and `jti`, in bytes.
const LONGEST_CLAIM: usize = 1024;

/// The accepted difference between the clocks of two systems.
pub fn clock_skew() -> Duration {
    Duration::seconds(30)
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtError {
    /// The key set has no key with the token's `kid`; a newer copy of the set may have it.
    UnknownKey,
    /// The token is not valid, whatever the keys; the message says why.
    Invalid(&'static str),
}

impl JwtError {
    /// The message for the caller.
    pub fn message(self) -> &'static str {
        match self {
            Self::UnknownKey => "The token's kid is not in the registered key set",
            Self::Invalid(why) => why,
        }
    }
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The subject: the client that the token identifies.
    pub sub: Option<String>,
    /// The URLs that the token may be used at.
    pub aud: Vec<String>,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
    /// When it was issued.
    pub iat: Option<i64>,
    /// When it becomes valid.
    pub nbf: Option<i64>,
    /// The token's id.
    pub jti: Option<String>,
}

/// A token that was parsed and not yet verified.
#[derive(Debug)]
pub struct Unverified<'t> {
    header: Header,
    claims: Claims,
    signed: &'t str,
    signature: &'t str,
}

/// Parses a token in the compact serialization.
pub fn parse(token: &str) -> Result<Unverified<'_>, JwtError> {
    const NOT_A_JWT: JwtError = JwtError::Invalid("The token is not a signed JWT");
    let (signed, signature) = token.rsplit_once('.').ok_or(NOT_A_JWT)?;
    let (_, payload) = signed
        .split_once('.')
        .filter(|(_, p)| !p.contains('.'))
        .ok_or(NOT_A_JWT)?;
    let header = jsonwebtoken::decode_header(token).map_err(|_| {
        JwtError::Invalid("The token's header does not name an algorithm that this server supports")
    })?;
    if header.crit.is_some() {
        return Err(JwtError::Invalid(
            "The token's header has critical parameters (crit) that this server does not support",
        ));
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| NOT_A_JWT)?;
    let payload = std::str::from_utf8(&payload).map_err(|_| NOT_A_JWT)?;
    let payload = fhir::json::parse(payload, "The payload").map_err(|_| NOT_A_JWT)?;
    Ok(Unverified {
        header,
        claims: claims(&payload)?,
        signed,
        signature,
    })
}

fn claims(payload: &Value) -> Result<Claims, JwtError> {
    let text = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_owned);
    let aud = match payload.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => return Err(JwtError::Invalid("The token has no aud claim")),
    };
    // These are looked up by index, and the jti is stored.
    let is_too_long = |name: &&str| text(name).is_some_and(|claim| claim.len() > LONGEST_CLAIM);
    if ["iss", "sub", "jti"].iter().any(is_too_long) {
        return Err(JwtError::Invalid(
            "A claim of the token (iss, sub, jti) is too long",
        ));
    }
    Ok(Claims {
        iss: text("iss").ok_or(JwtError::Invalid("The token has no iss claim"))?,
        sub: text("sub"),
        aud,
        exp: seconds(payload, "exp")?.ok_or(JwtError::Invalid("The token has no exp claim"))?,
        iat: seconds(payload, "iat")?,
        nbf: seconds(payload, "nbf")?,
        jti: text("jti").filter(|jti| !jti.is_empty()),
    })
}

/// A `NumericDate` in whole seconds; a fraction is discarded.
fn seconds(payload: &Value, name: &str) -> Result<Option<i64>, JwtError> {
    let Some(value) = payload.get(name) else {
        return Ok(None);
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "casting a float saturates, and the times are compared afterwards"
    )]
    let whole = value.as_i64().or_else(|| value.as_f64().map(|f| f as i64));
    whole.map(Some).ok_or(JwtError::Invalid(
        "A time in the token (exp, iat, nbf) is not a number",
    ))
}

impl Unverified<'_> {
    /// The issuer that the token claims. Use it only to find the keys.
    pub fn claimed_issuer(&self) -> &str {
        &self.claims.iss
    }

    /// The URL of the keys that the token claims. Use it only to compare it with the registered URL.
    pub fn jku(&self) -> Option<&str> {
        self.header.jku.as_deref()
    }

    /// Verifies the signature with the key of the set that `kid` names and returns the claims.
    pub fn verify(&self, keys: &Value, algorithms: &[Algorithm]) -> Result<&Claims, JwtError> {
        let algorithm = self.header.alg;
        if !algorithms.contains(&algorithm) {
            return Err(JwtError::Invalid(
                "The token is signed with an algorithm that is not accepted",
            ));
        }
        let kid = self
            .header
            .kid
            .as_deref()
            .ok_or(JwtError::Invalid("The token's header has no kid"))?;
        let key = select_key(keys, kid, algorithm)?;
        parsed_keys::verify(key, algorithm, self.signed, self.signature)?;
        Ok(&self.claims)
    }
}

/// The only key with this `kid` that can be used with the algorithm.
fn select_key<'k>(keys: &'k Value, kid: &str, algorithm: Algorithm) -> Result<&'k Value, JwtError> {
    let listed = keys
        .get("keys")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut matching = listed
        .iter()
        .filter(|key| key.get("kid").and_then(Value::as_str) == Some(kid) && is_usable(key, algorithm));
    let (key, more) = (matching.next().ok_or(JwtError::UnknownKey)?, matching.next());
    if more.is_some() {
        return Err(JwtError::Invalid(
            "The registered key set has more than one key with the token's kid",
        ));
    }
    Ok(key)
}

/// Whether a key set has a key, with a `kid`, that verifies one of these algorithms.
pub fn has_usable_key(keys: &Value, algorithms: &[Algorithm]) -> bool {
    let listed = keys.get("keys").and_then(Value::as_array);
    let listed = listed.map(Vec::as_slice).unwrap_or_default();
    listed.iter().any(|key| {
        let has_kid = key.get("kid").is_some_and(Value::is_string);
        let verifies =
            |algorithm: &Algorithm| is_usable(key, *algorithm) && parsed_keys::is_public_key(key, *algorithm);
        has_kid && algorithms.iter().any(verifies)
    })
}

/// Whether a key has the algorithm's type, is meant for signatures, and is long enough (RSA: 2048 bits).
fn is_usable(key: &Value, algorithm: Algorithm) -> bool {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let right_type = match algorithm {
        Algorithm::ES256 => text("kty") == Some("EC") && text("crv") == Some("P-256"),
        Algorithm::ES384 => text("kty") == Some("EC") && text("crv") == Some("P-384"),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 | Algorithm::EdDSA => false,
        _ => text("kty") == Some("RSA") && text("n").is_some_and(|n| n.len() >= 342),
    };
    let right_algorithm = text("alg").is_none_or(|alg| alg == format!("{algorithm:?}"));
    right_type && right_algorithm && text("use").is_none_or(|u| u == "sig")
}

impl Claims {
    /// Whether `aud` names one of these URLs; a trailing slash makes no difference.
    pub fn is_for(&self, urls: &[&str]) -> bool {
        self.aud.iter().any(|aud| {
            urls.iter()
                .any(|url| url.trim_end_matches('/') == aud.trim_end_matches('/'))
        })
    }

    /// Checks that the token has not expired, is already valid, and has a lifetime of at most `longest`. Returns the
    /// time of expiry including the clock skew.
    pub fn check_times(&self, now: DateTime<Utc>, longest: Duration) -> Result<DateTime<Utc>, JwtError> {
        let now = now.timestamp();
        let skew = clock_skew().num_seconds();
        let longest = longest.num_seconds() + skew;
        if self.exp <= now.saturating_sub(skew) {
            return Err(JwtError::Invalid("The token has expired (exp)"));
        }
        if self.iat.max(self.nbf).is_some_and(|start| start > now + skew) {
            return Err(JwtError::Invalid("The token is not valid yet (iat, nbf)"));
        }
        let start = self.iat.unwrap_or(now);
        if self.exp.saturating_sub(start) > longest || self.exp.saturating_sub(now) > longest {
            return Err(JwtError::Invalid(
                "The token's lifetime is longer than allowed (exp)",
            ));
        }
        DateTime::from_timestamp(self.exp + skew, 0)
            .ok_or(JwtError::Invalid("The token's exp claim is not a valid time"))
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
        json!({
            "iss": "ehr", "sub": "ehr", "aud": "https://pa.example/oauth/token",
            "exp": NOW + 300, "iat": NOW, "jti": "1",
        })
    }

    fn key() -> KeyPair {
        keys::new_es384("k1").unwrap()
    }

    fn set(key: &KeyPair) -> Value {
        json!({"keys": [key.jwk]})
    }

    /// A token with any header and signature.
    fn forged(header: &Value, claims: &Value, signature: &str) -> String {
        let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
        format!("{}.{}.{signature}", part(header), part(claims))
    }

    fn check_times_with(changes: &Value) -> Result<DateTime<Utc>, JwtError> {
        let mut all = good();
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        claims(&all)?.check_times(now(), Duration::seconds(300))
    }

    #[test]
    fn a_token_signed_with_the_registered_key_is_valid() {
        let key = key();
        let token = key.sign(&good()).unwrap();
        let unverified = parse(&token).unwrap();
        let claims = unverified
            .verify(&set(&key), &CLIENT_ASSERTION_ALGORITHMS)
            .unwrap();
        assert_eq!((claims.iss.as_str(), claims.jti.as_deref()), ("ehr", Some("1")));
        assert!(claims.check_times(now(), Duration::seconds(300)).is_ok());
    }

    #[test]
    fn a_changed_claim_or_another_key_makes_the_signature_invalid() {
        let key = key();
        let token = key.sign(&good()).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(good().to_string().replace("\"1\"", "\"2\""));
        parts[1] = &other;
        let changed = parts.join(".");
        let invalid = JwtError::Invalid("The token's signature is not valid");
        assert_eq!(
            parse(&changed)
                .unwrap()
                .verify(&set(&key), &CLIENT_ASSERTION_ALGORITHMS),
            Err(invalid)
        );
        let other_key = self::key();
        assert_eq!(
            parse(&token)
                .unwrap()
                .verify(&set(&other_key), &CLIENT_ASSERTION_ALGORITHMS),
            Err(invalid)
        );
    }

    #[test]
    fn the_algorithm_none_is_not_accepted() {
        let token = forged(&json!({"alg": "none", "kid": "k1"}), &good(), "");
        assert!(matches!(parse(&token), Err(JwtError::Invalid(_))));
    }

    #[test]
    fn a_token_signed_with_a_public_key_as_shared_secret_is_not_accepted() {
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
        let not_accepted = JwtError::Invalid("The token is signed with an algorithm that is not accepted");
        assert_eq!(
            parse(&token).unwrap().verify(&set(&key), &HOOK_ALGORITHMS),
            Err(not_accepted)
        );
        let shared_secret = [Algorithm::HS256];
        assert_eq!(
            parse(&token).unwrap().verify(&set(&key), &shared_secret),
            Err(JwtError::UnknownKey)
        );
    }

    #[test]
    fn a_key_with_another_type_use_or_kid_is_not_selected() {
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
                parse(&token).unwrap().verify(&keys, &CLIENT_ASSERTION_ALGORITHMS),
                Err(JwtError::UnknownKey),
                "{change}"
            );
        }
        let twice = json!({"keys": [key.jwk, key.jwk]});
        assert!(matches!(
            parse(&token)
                .unwrap()
                .verify(&twice, &CLIENT_ASSERTION_ALGORITHMS),
            Err(JwtError::Invalid(_))
        ));
        assert_eq!(
            parse(&token)
                .unwrap()
                .verify(&json!({}), &CLIENT_ASSERTION_ALGORITHMS),
            Err(JwtError::UnknownKey)
        );
    }

    #[test]
    fn a_malformed_token_is_rejected() {
        for token in [
            "",
            "a",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "..",
            "eyJhbGciOiJFUzM4NCJ9.e30.x",
        ] {
            assert!(parse(token).is_err(), "{token}");
        }
        let critical = forged(
            &json!({"alg": "ES384", "kid": "k1", "crit": ["exp"]}),
            &good(),
            "x",
        );
        assert!(parse(&critical).is_err());
    }

    #[test]
    fn a_short_rsa_key_is_not_usable() {
        let short = json!({"kty": "RSA", "kid": "r", "n": "A".repeat(171), "e": "AQAB"});
        let long = json!({"kty": "RSA", "kid": "r", "n": "A".repeat(342), "e": "AQAB"});
        assert!(!is_usable(&short, Algorithm::RS384));
        assert!(is_usable(&long, Algorithm::RS384));
        assert!(!is_usable(&long, Algorithm::ES384));
    }

    #[test]
    fn the_whole_audience_url_is_compared() {
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
    fn times_are_checked_with_the_clock_skew() {
        assert!(check_times_with(&json!({})).is_ok());
        assert!(check_times_with(&json!({"exp": NOW + 330})).is_ok());
        assert!(check_times_with(&json!({"exp": NOW - 29, "iat": NOW - 300})).is_ok());
        assert!(check_times_with(&json!({"iat": NOW + 30})).is_ok());
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
            assert!(check_times_with(&late).is_err(), "{late}");
        }
        assert!(check_times_with(&json!({"exp": 1_790_000_100.5})).is_ok());
    }
}
