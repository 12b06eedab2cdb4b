//! Pages before any sign-in: the house's front page, and the page behind the link of an e-mail. That link names no
//! case and no person, and opening it does nothing: mail scanners open links too.

use crate::error::{Error, Kind};
use crate::state::State;
use crate::web::reply::{MemberRefusal, page, problem};
use crate::web::views::{Contact, Door, Doorstep, Frame};
use axum::extract::State as Held;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

/// `/`: who are you?
pub(in crate::web) async fn home(Held(state): Held<State>) -> Result<Response, MemberRefusal> {
    let name = &state.config.payer.name;
    show(
        &state,
        "Prior authorization",
        format!("This is where {name} answers requests for approval of care."),
    )
}

/// `/k/{knock}`: the same for every link, whether it was ever sent or not.
pub(in crate::web) async fn knock(Held(state): Held<State>) -> Result<Response, MemberRefusal> {
    let message = "There is something new for you. For your privacy the e-mail and this page say no more: sign in to \
                   read it. Providers find the answer in their own system.";
    show(&state, "Sign in to read it", message.to_owned())
}

/// An address below `/staff` or `/me` where nothing is.
pub(in crate::web) async fn nothing(uri: Uri) -> Response {
    let back = if uri.path().starts_with("/staff") {
        "/staff"
    } else {
        "/me"
    };
    problem(
        &Error::new(Kind::NotFound, "There is nothing at this address"),
        back,
    )
}

/// The plan and its telephone.
pub(in crate::web) fn contact(state: &State) -> Contact {
    let payer = &state.config.payer;
    Contact {
        plan: payer.name.clone(),
        phone: Some(payer.phone.clone()).filter(|phone| !phone.is_empty()),
        tty: None,
    }
}

fn show(state: &State, title: &str, message: String) -> Result<Response, MemberRefusal> {
    let door = |href: &str, label: &str, text: &str| Door {
        href: href.to_owned(),
        label: label.to_owned(),
        text: text.to_owned(),
    };
    let view = Doorstep {
        frame: Frame::default(),
        title: title.to_owned(),
        message,
        doors: vec![
            door(
                "/me",
                "Members",
                "your requests, what we decided, apps with access",
            ),
            door("/staff", "Reviewers", "utilization management staff of the plan"),
            door(
                crate::web::public::public_list::LIST,
                "Services that need authorization",
                "the plan's public list",
            ),
        ],
        contact: contact(state),
    };
    Ok(page(StatusCode::OK, &view)?)
}
