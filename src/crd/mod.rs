//! The hook's door: Coverage Requirements Discovery (CRD 2.2.1 over CDS Hooks). An EHR that is about to sign orders
//! asks what the plan covers and whether authorization and papers are needed; each order gets its answer as an
//! extension, and the answer is stored before it leaves.
//!
//! `order_sign` is the walk through one call; `request` reads it, `prefetch` and `ehr` bring what it names, `payer`
//! and `member` say whose it is (section "Coverage and member resolution"), `finding` asks the rules,
//! `coverage_information` and `cards` write the answer, `invariants` holds it against the guide, `echo` puts it into
//! the order's own text, `record` keeps the whole call for disputes.
//!
//! This door never changes an order beside its coverage information, never gives a case number, never keeps the
//! EHR's token.

mod cards;
mod coverage_information;
mod discovery;
mod echo;
mod ehr;
mod feedback;
mod finding;
mod invariants;
mod member;
mod order_sign;
mod payer;
mod prefetch;
mod record;
mod request;
#[cfg(test)]
mod samples;

use crate::error::Error;
use crate::state::State;
use crate::wire::{HookFailure, not_allowed};
use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::http::{Method, header, request::Parts};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::cors::{Any, CorsLayer};

/// The one service of this release.
const ORDER_SIGN: &str = "order-sign-crd";

/// Every address of this door. EHRs may be browser apps: any origin may call, since nothing here rests on a cookie.
pub fn routes() -> Router<State> {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE]);
    Router::new()
        .route("/cds-services", get(discovery::get))
        .route("/cds-services/{id}", post(order_sign::post))
        .route("/cds-services/{id}/feedback", post(feedback::post))
        .method_not_allowed_fallback(not_allowed)
        .layer(cors)
}

/// A service id that exists; any other is 404 before anything else is looked at.
#[derive(Debug, Clone, Copy)]
struct KnownService;

impl FromRequestParts<State> for KnownService {
    type Rejection = HookFailure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        let id = Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(id)| id)
            .unwrap_or_default();
        if id == ORDER_SIGN {
            return Ok(Self);
        }
        Err(HookFailure::from(Error::not_found("service of this", "id")))
    }
}

/// 200 with JSON that is text already.
fn json_answer(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}
