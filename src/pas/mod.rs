//! The PAS API: `Claim/$submit`, `Claim/$inquire` and subscriptions (Da Vinci PAS 2.2.1; `ig::pas` has what other
//! versions change). This module makes no coverage decision: policies decide (`rules`), or reviewers (`review`).

mod assertion;
mod business_error;
mod capability;
mod commit;
mod communication_request;
mod content_checks;
mod earlier_request;
mod echo;
mod evaluate;
mod evidence_checks;
mod inquire;
mod member_match;
mod notification;
mod open;
mod records;
mod replay;
mod request;
mod request_checks;
mod request_size;
mod requester;
mod response;
mod response_context;
mod rest_hook;
mod submit;
mod submit_call;
mod subscription;
mod subscription_checks;
mod subscription_search;

pub use capability::statement_for as capability_statement;
pub use evaluate::stored_case_documents;
pub use notification::{NotificationKind, notification_bundle};
pub use request::Request;
pub use response::current_response;
pub use rest_hook::{endpoint, rest_hook_headers};
pub use subscription::subscription_url;

use crate::ig::pas::{PasGuide, PasVersion};
use crate::state::State;
use axum::Router;
use axum::routing::{get, post};

/// The routes of every version's FHIR base.
pub fn routes() -> Router<State> {
    PasVersion::SERVED
        .into_iter()
        .map(|version| version_routes(version.guide()))
        .fold(Router::new(), Router::merge)
}

fn version_routes(guide: &'static PasGuide) -> Router<State> {
    let base = guide.base_path;
    Router::new()
        .route(&format!("{base}/metadata"), get(capability::get))
        .route(&format!("{base}/Claim/$submit"), post(submit::post))
        .route(&format!("{base}/Claim/$inquire"), post(inquire::post))
        .route(
            &format!("{base}/Subscription"),
            post(subscription::create).get(subscription_search::search),
        )
        .route(
            &format!("{base}/Subscription/{{id}}"),
            get(subscription::read)
                .put(subscription::update)
                .delete(subscription::delete),
        )
        .route(
            &format!("{base}/Subscription/$status"),
            get(subscription_search::status_of_all).post(subscription_search::status_of_all),
        )
        .route(
            &format!("{base}/Subscription/{{id}}/$status"),
            get(subscription_search::status).post(subscription_search::status),
        )
}
