//! Handlers for staff sign-in and sign-out.

use crate::error::ErrorKind;
use crate::state::State;
use crate::store::sessions::SessionKind;
use crate::web::fields::{FormFields, allowed_next_page};
use crate::web::paths;
use crate::web::reply::{StaffPageError, redirect, render_page};
use crate::web::session::{self, AnyStaff};
use crate::web::sign_in::{STALE_FORM, WRONG_CREDENTIALS, check_credentials};
use crate::web::staff::views::StaffSignInPage;
use crate::web::views::PageFrame;
use crate::wire::ClientAddress;
use axum::extract::{RawQuery, State as AppState};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

type PageResult = Result<Response, StaffPageError>;

/// `GET /staff/sign-in`.
pub(in crate::web) async fn show(
    AppState(state): AppState<State>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> PageResult {
    let query = FormFields::parse(query.as_deref().unwrap_or(""));
    if session::signed_in_staff(&state, &headers).await?.is_some() {
        return Ok(redirect(next_page(&query).unwrap_or(paths::STAFF))?);
    }
    sign_in_page(&state, &headers, &query, StatusCode::OK, None)
}

/// `POST /staff/sign-in`.
pub(in crate::web) async fn sign_in(
    AppState(state): AppState<State>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    fields: FormFields,
) -> PageResult {
    let rejected = |status, problem: &str| sign_in_page(&state, &headers, &fields, status, Some(problem));
    if !session::is_own_sign_in_form(&state, &headers, &fields) {
        return rejected(StatusCode::FORBIDDEN, STALE_FORM);
    }
    let checked = check_credentials(
        &state,
        SessionKind::Staff,
        fields.get("login"),
        fields.get("password"),
        address,
    )
    .await;
    let account = match checked {
        Ok(Some(account)) => account,
        Ok(None) => return rejected(StatusCode::UNAUTHORIZED, WRONG_CREDENTIALS),
        Err(e) if e.kind() == ErrorKind::TooManyRequests => {
            return rejected(StatusCode::TOO_MANY_REQUESTS, e.message());
        }
        Err(e) => return Err(e.into()),
    };
    let cookie = session::start_session(&state, &headers, SessionKind::Staff, account).await?;
    let mut response = redirect(next_page(&fields).unwrap_or(paths::STAFF))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// `POST /staff/sign-out`.
pub(in crate::web) async fn sign_out(
    AppState(state): AppState<State>,
    AnyStaff(staff): AnyStaff,
    fields: FormFields,
) -> PageResult {
    session::check_csrf_token(&staff.session, &fields)?;
    Ok(session::sign_out(&state, staff.session, paths::STAFF_SIGN_IN).await?)
}

/// The page to open after sign-in, if the fields name one below `/staff`.
fn next_page(fields: &FormFields) -> Option<&str> {
    allowed_next_page(fields.get("next"), &[paths::STAFF])
}

fn sign_in_page(
    state: &State,
    headers: &HeaderMap,
    fields: &FormFields,
    status: StatusCode,
    problem: Option<&str>,
) -> PageResult {
    let (csrf, cookie) = session::sign_in_form_token(state, headers)?;
    let view = StaffSignInPage {
        frame: PageFrame::default(),
        csrf,
        login: fields.get("login").to_owned(),
        problem: problem.map(str::to_owned),
        next: next_page(fields).map(str::to_owned),
    };
    let mut response = render_page(status, &view)?;
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
