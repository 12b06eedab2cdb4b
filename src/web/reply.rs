//! Answers of the pages: HTML, redirects, and errors as a page that says what happened and where to go on. Nothing of
//! a case or a member stands in an error.

use crate::error::{Error, Kind, Result};
use crate::web::render::{Page, Pages};
use crate::web::views::{Frame, Problem};
use crate::{telemetry, wire};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use std::sync::OnceLock;

static PAGES: OnceLock<Pages> = OnceLock::new();

tokio::task_local! {
    /// The id of the request that is being answered.
    static REQUEST: String;
}

/// Lets an error's page name the request's id, for whoever asks for help.
pub(in crate::web) async fn remember_request(request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&telemetry::REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    match id {
        Some(id) => REQUEST.scope(id, next.run(request)).await,
        None => next.run(request).await,
    }
}

/// Every template, compiled once.
fn pages() -> Result<&'static Pages> {
    if let Some(pages) = PAGES.get() {
        return Ok(pages);
    }
    let pages = Pages::load()?;
    Ok(PAGES.get_or_init(|| pages))
}

/// A page with a status.
pub(in crate::web) fn page<P: Page>(status: StatusCode, page: &P) -> Result<Response> {
    pages()?
        .render(page)
        .map(|html| (status, Html(html)).into_response())
}

/// "Go there and read": after a form, and on the way to sign-in.
pub(in crate::web) fn go(to: &str) -> Result<Response> {
    let to =
        HeaderValue::from_str(to).map_err(|_| Error::malformed("The address to go on to cannot be used"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response())
}

/// An error as a page. `STAFF` tells where "go on" leads: the queue or the member's home.
#[derive(Debug)]
pub(in crate::web) struct Refusal<const STAFF: bool>(pub Error);

/// An error of a reviewers' page.
pub(in crate::web) type StaffRefusal = Refusal<true>;
/// An error of a members' page.
pub(in crate::web) type MemberRefusal = Refusal<false>;

impl<const STAFF: bool> From<Error> for Refusal<STAFF> {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl<const STAFF: bool> IntoResponse for Refusal<STAFF> {
    fn into_response(self) -> Response {
        problem(&self.0, if STAFF { "/staff" } else { "/me" })
    }
}

/// An error as a page that leads on to `back`.
pub(in crate::web) fn problem(error: &Error, back: &str) -> Response {
    let status = wire::status(error.kind());
    if status.is_server_error() {
        tracing::error!(
            status = status.as_u16(),
            cause = error.log_line().unwrap_or("-"),
            "a page failed"
        );
    } else {
        tracing::info!(
            status = status.as_u16(),
            cause = error.log_line().unwrap_or("-"),
            "a page was refused"
        );
    }
    let problem = Problem {
        frame: Frame::default(),
        status: status.as_u16(),
        title: title(error.kind()).to_owned(),
        message: sentence(error),
        request_id: REQUEST.try_with(Clone::clone).ok(),
        back: back.to_owned(),
    };
    page(status, &problem).unwrap_or_else(|_| (status, error.message().to_owned()).into_response())
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Unauthorized => "Sign in first",
        Kind::Forbidden => "This is not allowed",
        Kind::NotFound | Kind::NotAllowed => "There is no such page",
        Kind::Conflict => "This has changed meanwhile",
        Kind::TooMany => "Too many tries",
        Kind::Unavailable => "This does not work right now",
        Kind::Internal => "Something went wrong",
        _ => "This could not be read",
    }
}

/// The error's sentence; one about a thing that is not there does not repeat what was asked for.
fn sentence(error: &Error) -> String {
    match error.kind() {
        Kind::NotFound => "There is nothing at this address, or it is not yours to see.".to_owned(),
        _ => format!("{}.", error.message().trim_end_matches('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_status_and_tells_the_log_line_to_nobody() {
        let response = StaffRefusal::from(Error::internal("row 7 is broken")).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!sentence(&Error::internal("row 7 is broken")).contains("row 7"));
        assert!(!sentence(&Error::not_found("case", "secret")).contains("secret"));
    }

    #[test]
    fn a_redirect_cannot_carry_a_second_header() {
        assert!(go("/me\r\nset-cookie: a=b").is_err());
        assert_eq!(go("/me").unwrap().status(), StatusCode::SEE_OTHER);
    }
}
