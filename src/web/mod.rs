//! The pages: reviewers at `/staff`, members at `/me`, the consent page of the authorization server. Rendered on the
//! server, plain links and forms; the one script only adds to them.
//!
//! Pages show what `review`, `access` and `oauth` answer and send what people typed back to them. No rule about who may
//! decide lives here: it sits in `prior_auth`, so a raw POST meets the same guard as a click.

pub mod assets;
mod fields;
mod member;
mod public;
pub mod render;
mod reply;
mod session;
mod sign_in;
mod staff;
pub mod views;

use crate::state::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use sign_in::Tries;
use std::sync::Arc;

use public::{front_page, public_list};
/// Every page of the house.
pub fn routes() -> Router<State> {
    let pages = Router::new()
        .route("/", get(front_page::home))
        .route("/k/{knock}", get(front_page::knock))
        .route("/staff", get(staff::queue))
        .route("/staff/queue", get(staff::queue_table))
        .route("/staff/queue/events", get(staff::queue_events::get))
        .route("/staff/cases/{case}", get(staff::case))
        .route("/staff/cases/{case}/decide", post(staff::decide))
        .route("/staff/policies", get(staff::policies::page))
        .route("/staff/policies/changes", get(staff::policies::changes))
        .route("/staff/policies/propose", post(staff::policies::propose))
        .route("/staff/policies/confirm", post(staff::policies::confirm))
        .route("/staff/policies/withdraw", post(staff::policies::withdraw))
        .route("/staff/sign-in", get(staff::sign_in_page).post(staff::sign_in))
        .route("/staff/sign-out", post(staff::sign_out))
        .route("/staff/{*rest}", get(front_page::nothing))
        .route("/me", get(member::home))
        .route("/me/apps/{grant}/remove", post(member::remove_app))
        .route("/me/sign-in", get(member::sign_in_page).post(member::sign_in))
        .route("/me/sign-out", post(member::sign_out))
        .route("/me/{*rest}", get(front_page::nothing))
        .route(
            "/oauth/authorize",
            get(member::consent::ask).post(member::consent::answer),
        )
        .layer(middleware::from_fn(reply::remember_request))
        .layer(Extension(Arc::new(Tries::default())))
        .layer(middleware::map_response(guarded));
    let list = Router::new()
        .route("/prior-authorization-list", get(public_list::today))
        .route("/prior-authorization-list.csv", get(public_list::today_as_table))
        .route("/prior-authorization-list/{which}", get(public_list::earlier))
        .layer(middleware::from_fn(reply::remember_request))
        .layer(Extension(Arc::new(public_list::Lists::default())))
        .layer(middleware::map_response(open));
    Router::new()
        .route("/assets/{file}", get(assets::get))
        .merge(list)
        .merge(pages)
}

/// What a page may load and where its forms may go: this house alone. `forms` is one more origin that a form's answer
/// may be sent on to.
fn content_policy(forms: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self' {forms}; frame-ancestors 'none'; base-uri 'none'"
    )
    .replace(" ;", ";")
}

/// The headers of a page that anybody may read and a cache may keep.
async fn open(mut response: Response) -> Response {
    let headers = response.headers_mut();
    guard(headers);
    if !headers.contains_key(header::CACHE_CONTROL) {
        set(headers, header::CACHE_CONTROL, "no-store");
    }
    response
}

/// The headers that every page carries, unless its handler chose otherwise.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    guard(headers);
    set(headers, header::CACHE_CONTROL, "no-store");
    response
}

fn guard(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY)
        && let Ok(policy) = HeaderValue::from_str(&content_policy(""))
    {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_may_go_to_this_house_and_to_one_more_origin_at_most() {
        assert!(content_policy("").contains("form-action 'self'; frame-ancestors 'none'"));
        assert!(content_policy("https://app.example").contains("form-action 'self' https://app.example;"));
    }

    #[tokio::test]
    async fn a_page_keeps_the_policy_that_its_handler_chose() {
        let mut response = Response::default();
        let own = HeaderValue::from_static("default-src 'none'");
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, own.clone());
        let response = guarded(response).await;
        assert_eq!(
            response.headers().get(header::CONTENT_SECURITY_POLICY),
            Some(&own)
        );
        assert_eq!(response.headers().get(header::CACHE_CONTROL).unwrap(), "no-store");
    }
}
