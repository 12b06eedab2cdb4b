//! Who is calling, as extractors: a handler's signature is its access rule.

use super::failure::{Failure, FhirFailure, HookFailure};
use crate::auth::{self, App, Backend, Client};
use crate::state::State;
use axum::extract::FromRequestParts;
use axum::http::{header, request::Parts};

/// A partner's system with a backend-services token for this FHIR base.
#[derive(Debug)]
pub struct BackendToken(pub Backend);

/// A member's app with a token for one patient.
#[derive(Debug)]
pub struct AppToken(pub App);

/// An EHR that fires a hook, known by its signed JWT. The `jti` is not yet spent: the unit that stores the answer
/// spends it.
#[derive(Debug)]
pub struct HookCall {
    /// The client whose issuer signed.
    pub client: Client,
    /// The token's `jti` with its end, to be spent in the unit of the answer.
    pub jti: auth::Jti,
}

impl FromRequestParts<State> for BackendToken {
    type Rejection = FhirFailure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        let token = bearer(parts).ok_or_else(auth::no_token)?;
        Ok(Self(auth::backend(state, token).await?))
    }
}

impl FromRequestParts<State> for AppToken {
    type Rejection = FhirFailure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        let token = bearer(parts).ok_or_else(auth::no_token)?;
        Ok(Self(auth::app(state, token).await?))
    }
}

impl FromRequestParts<State> for HookCall {
    type Rejection = HookFailure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        let token = bearer(parts).ok_or_else(auth::no_token)?;
        let (client, jti) = auth::hook(state, token, parts.uri.path())
            .await
            .map_err(Failure)?;
        Ok(Self { client, jti })
    }
}

/// The token of `Authorization: Bearer …`.
fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|t| !t.is_empty())
}
