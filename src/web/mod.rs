//! The HTML pages: reviewers at `/staff`, members at `/me`, the consent page of the authorization server, and the
//! public list. Pages are rendered on the server from plain links and forms and work without the script.
//!
//! Pages show what `review`, `access`, `oauth` and `publication` return and pass form fields on to them. The checks of
//! who may decide are in `prior_auth`, not here, so a request sent without the page meets the same checks as a click.

pub mod assets;
mod cookies;
mod fields;
mod headers;
mod member;
mod paths;
mod public;
pub mod render;
mod reply;
mod session;
mod sign_in;
mod staff;
pub mod views;

pub use reply::error_page_for;

use crate::state::State;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use public::{front_page, public_list};
use std::sync::Arc;

/// The routes of all pages and assets.
pub fn routes() -> Router<State> {
    let pages = Router::new()
        .route("/", get(front_page::home))
        .route("/notice/{token}", get(front_page::notice))
        .route("/staff", get(staff::queue::show))
        .route("/staff/queue", get(staff::queue::show_table))
        .route("/staff/queue/events", get(staff::queue_events::stream))
        .route("/staff/cases/{case}", get(staff::cases::show))
        .route("/staff/cases/{case}/decide", post(staff::cases::decide))
        .route(
            "/staff/access-log",
            get(staff::access_log::show).post(staff::access_log::filter),
        )
        .route("/staff/policies", get(staff::policies::show))
        .route("/staff/policies/changes", get(staff::policies::compare_file))
        .route("/staff/policies/propose", post(staff::policies::propose))
        .route("/staff/policies/confirm", post(staff::policies::confirm))
        .route("/staff/policies/withdraw", post(staff::policies::withdraw))
        .route(
            "/staff/sign-in",
            get(staff::sign_in::show).post(staff::sign_in::sign_in),
        )
        .route("/staff/sign-out", post(staff::sign_in::sign_out))
        .route("/staff/{*rest}", get(front_page::page_not_found))
        .route("/me", get(member::home))
        .route("/me/apps/{grant}/remove", post(member::remove_app))
        .route("/me/sign-in", get(member::sign_in_page).post(member::sign_in))
        .route("/me/sign-out", post(member::sign_out))
        .route("/me/{*rest}", get(front_page::page_not_found))
        .route(
            "/oauth/authorize",
            get(member::consent::show).post(member::consent::submit),
        )
        .layer(middleware::from_fn(reply::remember_request_id))
        .layer(middleware::map_response(headers::set_private_headers));
    let list = Router::new()
        .route("/prior-authorization-list", get(public_list::current_page))
        .route("/prior-authorization-list.csv", get(public_list::current_csv))
        .route(
            "/prior-authorization-list/{publication}",
            get(public_list::earlier),
        )
        .layer(middleware::from_fn(reply::remember_request_id))
        .layer(Extension(Arc::new(public_list::ListCache::default())))
        .layer(middleware::map_response(headers::set_public_headers));
    Router::new()
        .route("/assets/{file}", get(assets::serve))
        .merge(list)
        .merge(pages)
}
