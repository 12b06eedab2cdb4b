//! The PAS door: `Claim/$submit`, `Claim/$inquire`, subscriptions. Da Vinci PAS 2.2.1; see `ig::pas` for what other
//! versions change. It judges nothing itself: policies do (`rules`), people do (`review`).

mod asking;
mod capability;
mod echo;
mod inquire;
mod notification;
mod party;
mod request;
mod requester;
mod response;
pub mod stored;
mod submit;
mod subscription;

pub use notification::{Kind as NotificationKind, build as notification};
pub use request::Request;
pub use submit::current_answer;
pub use subscription::{channel, endpoint};

use crate::state::State;
use axum::Router;
use axum::routing::{get, post};

/// The routes of the 2.2 base.
pub fn routes() -> Router<State> {
    let operations = [("submit", post(submit::post)), ("inquire", post(inquire::post))];
    let mut router = Router::new()
        .route("/pas/2.2/metadata", get(capability::get))
        .route(
            "/pas/2.2/Subscription",
            post(subscription::create).get(subscription::search),
        )
        .route(
            "/pas/2.2/Subscription/{id}",
            get(subscription::read)
                .put(subscription::update)
                .delete(subscription::delete),
        )
        .route(
            "/pas/2.2/Subscription/$status",
            get(subscription::all_status).post(subscription::all_status),
        )
        .route(
            "/pas/2.2/Subscription/{id}/$status",
            get(subscription::status).post(subscription::status),
        );
    for (name, handler) in operations {
        router = router.route(&format!("/pas/2.2/Claim/${name}"), handler);
    }
    router
}
