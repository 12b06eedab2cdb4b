//! Responses of the pages: HTML, redirects, and errors as a page with the message and a link back. An error page never
//! contains data of a case or a member.

use crate::error::{Error, ErrorKind, Result};
use crate::web::headers::add_private_headers;
use crate::web::paths;
use crate::web::render::{Page, Templates};
use crate::web::views::{ErrorPage, PageFrame};
use crate::{telemetry, wire};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use std::sync::OnceLock;

static TEMPLATES: OnceLock<Templates> = OnceLock::new();

tokio::task_local! {
    /// The id of the HTTP request being handled.
    static REQUEST_ID: String;
}

/// Makes the id of the HTTP request available to [`error_page`], so that users can quote it when they ask for help.
pub(in crate::web) async fn remember_request_id(request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&telemetry::REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    match id {
        Some(id) => REQUEST_ID.scope(id, next.run(request)).await,
        None => next.run(request).await,
    }
}

/// The templates, compiled on first use.
fn templates() -> Result<&'static Templates> {
    if let Some(templates) = TEMPLATES.get() {
        return Ok(templates);
    }
    let templates = Templates::load()?;
    Ok(TEMPLATES.get_or_init(|| templates))
}

/// A rendered page with a status.
pub(in crate::web) fn render_page<P: Page>(status: StatusCode, page: &P) -> Result<Response> {
    templates()?
        .render(page)
        .map(|html| (status, Html(html)).into_response())
}

/// A redirect that the browser follows with GET (303 See Other).
pub(in crate::web) fn redirect(to: &str) -> Result<Response> {
    let to = HeaderValue::from_str(to).map_err(|_| Error::malformed("The redirect address is not valid"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response())
}

/// An error that is shown as a page. `STAFF` selects the link back: the queue, or the member's home page.
#[derive(Debug)]
pub(in crate::web) struct PageError<const STAFF: bool>(pub Error);

/// An error on a staff page.
pub(in crate::web) type StaffPageError = PageError<true>;
/// An error on a member page.
pub(in crate::web) type MemberPageError = PageError<false>;

impl<const STAFF: bool> From<Error> for PageError<STAFF> {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl<const STAFF: bool> IntoResponse for PageError<STAFF> {
    fn into_response(self) -> Response {
        error_page(&self.0, if STAFF { paths::STAFF } else { paths::MEMBER })
    }
}

/// An error as a page with a link to `back`.
pub(in crate::web) fn error_page(error: &Error, back: &str) -> Response {
    let status = wire::status(error.kind());
    if status.is_server_error() {
        tracing::error!(
            status = status.as_u16(),
            cause = error.log_detail().unwrap_or("-"),
            "a page failed"
        );
    } else {
        tracing::info!(
            status = status.as_u16(),
            cause = error.log_detail().unwrap_or("-"),
            "a page request was refused"
        );
    }
    let view = ErrorPage {
        frame: PageFrame::default(),
        status: status.as_u16(),
        title: error_title(error.kind(), back).to_owned(),
        message: error_message(error),
        request_id: REQUEST_ID.try_with(Clone::clone).ok(),
        back: back.to_owned(),
        back_label: back_label(back).to_owned(),
    };
    render_page(status, &view).unwrap_or_else(|_| (status, error.message().to_owned()).into_response())
}

/// An error as a page of its own, for a request that no page handles.
pub fn error_page_for(error: &Error, request: &HeaderMap) -> Response {
    let id = request
        .get(&telemetry::REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .unwrap_or("-");
    let mut response = REQUEST_ID.sync_scope(id.to_owned(), || error_page(error, "/"));
    add_private_headers(response.headers_mut());
    response
}

/// The heading of an error page. `back` tells which part of the site the user was working in.
fn error_title(kind: ErrorKind, back: &str) -> &'static str {
    match kind {
        ErrorKind::Unauthorized => "Please sign in",
        ErrorKind::Forbidden => "This action is not allowed",
        ErrorKind::NotFound | ErrorKind::MethodNotAllowed => "Page not found",
        ErrorKind::Conflict if back == paths::STAFF => "This case was updated while you were working",
        ErrorKind::Conflict => "This page was updated while you were working",
        ErrorKind::TooManyRequests => "Too many attempts",
        ErrorKind::Unavailable => "This service is temporarily unavailable",
        ErrorKind::Internal => "Something went wrong",
        _ => "This request could not be processed",
    }
}

fn back_label(back: &str) -> &'static str {
    match back {
        paths::STAFF => "Back to the queue",
        paths::POLICIES => "Back to the policies",
        paths::ACCESS_LOG => "Back to the access log",
        paths::MEMBER => "Back to your requests",
        paths::PUBLIC_LIST => "Back to the list",
        _ => "Back to the front page",
    }
}

/// The error's message as a sentence. An error about something that was not found does not repeat the requested id.
fn error_message(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "This page does not exist, or you do not have access to it.".to_owned(),
        _ => format!("{}.", error.message().trim_end_matches('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_page_keeps_the_status_and_hides_log_details() {
        let response = StaffPageError::from(Error::internal("row 7 is broken")).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!error_message(&Error::internal("row 7 is broken")).contains("row 7"));
        assert!(!error_message(&Error::not_found("case", "secret")).contains("secret"));
    }

    #[test]
    fn a_redirect_cannot_add_a_second_header() {
        assert!(redirect("/me\r\nset-cookie: a=b").is_err());
        assert_eq!(redirect("/me").unwrap().status(), StatusCode::SEE_OTHER);
    }
}
