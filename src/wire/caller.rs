//! Extractors for the caller of a request. The extractor in a handler's signature is the handler's access rule: there
//! is no caller of a FHIR API without the resource type and the interaction that its scopes must allow.
//!
//! `BackendToken<Claim, Create>` accepts a partner's token with the scope `system/Claim.c`, and
//! `AppToken<ExplanationOfBenefit, Search>` a member's app's token with `patient/ExplanationOfBenefit.s`. A call
//! without a valid token gets 401 and one without the scope 403, both before the body is read.

use super::failure::{FhirFailure, HookFailure};
use super::interaction::Interaction;
use super::resource::ResourceType;
use crate::auth::{self, AppCaller, BackendCaller, Client};
use crate::error::Error;
use crate::state::State;
use axum::extract::FromRequestParts;
use axum::http::{header, request::Parts};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A call by a partner's system whose token allows the interaction `I` on the resource type `R`.
#[derive(Debug)]
pub struct BackendToken<R, I> {
    /// Who is calling.
    pub caller: BackendCaller,
    scope: PhantomData<fn() -> (R, I)>,
}

/// A call by a member's app whose token allows the interaction `I` on the resource type `R`.
#[derive(Debug)]
pub struct AppToken<R, I> {
    /// Who is calling, and for which member.
    pub caller: AppCaller,
    scope: PhantomData<fn() -> (R, I)>,
}

/// A hook call by an EHR, authenticated by its signed JWT. Hook calls have no scopes (CDS Hooks 2.0). The `jti` is not
/// spent yet; the unit of work that stores the response spends it.
#[derive(Debug)]
pub struct HookCall {
    /// The client whose issuer signed the JWT.
    pub client: Arc<Client>,
    /// The JWT's `jti` and its expiry.
    pub jti: auth::Jti,
    /// When the headers of the call had arrived. The time limit of the call begins then.
    pub received: Instant,
}

impl<R: ResourceType, I: Interaction> FromRequestParts<State> for BackendToken<R, I> {
    type Rejection = FhirFailure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        let token = bearer_token(parts).ok_or_else(auth::missing_token)?;
        let caller = auth::backend(state, token, R::NAME, I::PERMISSION).await?;
        let scope = PhantomData;
        Ok(Self { caller, scope })
    }
}

impl<R: ResourceType, I: Interaction> FromRequestParts<State> for AppToken<R, I> {
    type Rejection = FhirFailure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        let token = bearer_token(parts).ok_or_else(auth::missing_token)?;
        let caller = auth::app(state, token, R::NAME, I::PERMISSION).await?;
        let scope = PhantomData;
        Ok(Self { caller, scope })
    }
}

impl FromRequestParts<State> for HookCall {
    type Rejection = HookFailure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        let received = Instant::now();
        let token = bearer_token(parts).ok_or_else(auth::missing_token)?;
        let limit = Duration::from_millis(state.config.limits.hook_ms);
        let check = auth::hook(state, token, parts.uri.path());
        let late = |_| Error::unavailable("the token of a hook call was not checked in time");
        let (client, jti) = timeout_at(received + limit, check).await.map_err(late)??;
        Ok(Self {
            client,
            jti,
            received,
        })
    }
}

/// The token in `Authorization: Bearer …`.
fn bearer_token(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|t| !t.is_empty())
}
