//! The front page, and the page behind the link of an email notice. The link identifies no case and no person, and
//! opening it changes nothing, because mail scanners open links too.

use crate::error::{Error, ErrorKind};
use crate::state::State;
use crate::web::paths::PUBLIC_LIST;
use crate::web::reply::{MemberPageError, error_page, render_page};
use crate::web::views::{FrontPage, FrontPageLink, PageFrame, PlanContact};
use axum::extract::State as AppState;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

/// `GET /`: the front page.
pub(in crate::web) async fn home(AppState(state): AppState<State>) -> Result<Response, MemberPageError> {
    let name = &state.config.payer.name;
    show(
        &state,
        "Prior authorization",
        format!(
            "Some care needs approval from {name} before you get it. This is called prior authorization."
        ),
    )
}

/// `GET /notice/{token}`: the page behind the link of an email notice. It is the same for every token, sent or not.
pub(in crate::web) async fn notice(AppState(state): AppState<State>) -> Result<Response, MemberPageError> {
    let message = "An email with this link says that there is something new. To protect privacy, the email and this page do \
                   not show it. Members and plan staff: sign in to see it. Providers: look it up in the system that you \
                   sent the request with.";
    show(&state, "About the email from the plan", message.to_owned())
}

/// The page for an unknown path below `/staff` or `/me`.
pub(in crate::web) async fn page_not_found(uri: Uri) -> Response {
    let back = if uri.path().starts_with("/staff") {
        "/staff"
    } else {
        "/me"
    };
    error_page(&Error::new(ErrorKind::NotFound, "Page not found"), back)
}

/// The plan's name and phone number.
pub(in crate::web) fn plan_contact(state: &State) -> PlanContact {
    let payer = &state.config.payer;
    PlanContact {
        plan: payer.name.clone(),
        phone: Some(payer.phone.clone()).filter(|phone| !phone.is_empty()),
        tty: None,
    }
}

fn show(state: &State, title: &str, message: String) -> Result<Response, MemberPageError> {
    let link = |href: &str, label: &str, text: &str| FrontPageLink {
        href: href.to_owned(),
        label: label.to_owned(),
        text: text.to_owned(),
    };
    let view = FrontPage {
        frame: PageFrame::default(),
        title: title.to_owned(),
        message,
        links: vec![
            link(
                "/me",
                "Members",
                "See your requests, our decisions, and the apps that can read your data",
            ),
            link("/staff", "Plan staff", "Review requests"),
            link(
                PUBLIC_LIST,
                "Services that need prior authorization",
                "Search the plan's public list",
            ),
        ],
        contact: plan_contact(state),
    };
    Ok(render_page(StatusCode::OK, &view)?)
}
