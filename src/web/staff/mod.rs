//! The reviewers' pages: sign-in, queue, case, decision. What a person may do is asked of `prior_auth`, here only to
//! choose which buttons are shown.

pub mod case_actions;
pub mod case_criteria;
pub mod case_page;
pub mod history;
pub mod policies;
pub mod policies_page;
pub mod queue_events;
pub mod queue_page;
pub mod views;

use crate::error::{Error, Kind, Result};
use crate::prior_auth::PriorAuth;
use crate::review::{self, Decision, What};
use crate::state::State;
use crate::store::sessions::SessionKind;
use crate::web::fields::{Fields, next_page};
use crate::web::reply::{StaffRefusal, go, page};
use crate::web::session::{self, AnyStaff, Staff, Watching};
use crate::web::sign_in::{STALE, Tries, WRONG, check};
use crate::web::staff::case_actions::Typed;
use crate::web::views::{Frame, QueueFragment, QueuePage, StaffSignIn};
use axum::Extension;
use axum::extract::{Path, RawQuery, State as Held};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use uuid::Uuid;

type Answer = Result<Response, StaffRefusal>;

/// `GET /staff/sign-in`.
pub(in crate::web) async fn sign_in_page(
    Held(state): Held<State>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let query = Fields::read(query.as_deref().unwrap_or(""));
    if session::staff(&state, &headers).await?.is_some() {
        return Ok(go(next_page(query.get("next"), &["/staff"]).unwrap_or("/staff"))?);
    }
    form(&state, &headers, &query, StatusCode::OK, None)
}

/// `POST /staff/sign-in`.
pub(in crate::web) async fn sign_in(
    Held(state): Held<State>,
    Extension(tries): Extension<Arc<Tries>>,
    headers: HeaderMap,
    fields: Fields,
) -> Answer {
    if !session::is_own_form(&headers, &fields) {
        return form(&state, &headers, &fields, StatusCode::FORBIDDEN, Some(STALE));
    }
    let found = check(
        &state,
        &tries,
        SessionKind::Staff,
        fields.get("login"),
        fields.get("password"),
    )
    .await;
    let person = match found {
        Ok(Some(person)) => person,
        Ok(None) => return form(&state, &headers, &fields, StatusCode::UNAUTHORIZED, Some(WRONG)),
        Err(e) if e.kind() == Kind::TooMany => {
            return form(
                &state,
                &headers,
                &fields,
                StatusCode::TOO_MANY_REQUESTS,
                Some(e.message()),
            );
        }
        Err(e) => return Err(e.into()),
    };
    let cookie = session::open(&state, &headers, SessionKind::Staff, person).await?;
    let mut response = go(next_page(fields.get("next"), &["/staff"]).unwrap_or("/staff"))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

fn form(
    state: &State,
    headers: &HeaderMap,
    typed: &Fields,
    status: StatusCode,
    problem: Option<&str>,
) -> Answer {
    let (csrf, cookie) = session::form_token(state, headers)?;
    let view = StaffSignIn {
        frame: Frame::default(),
        csrf,
        login: typed.get("login").to_owned(),
        problem: problem.map(str::to_owned),
        next: next_page(typed.get("next"), &["/staff"]).map(str::to_owned),
    };
    let mut response = page(status, &view)?;
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST /staff/sign-out`.
pub(in crate::web) async fn sign_out(
    Held(state): Held<State>,
    AnyStaff(staff): AnyStaff,
    fields: Fields,
) -> Answer {
    session::check_form(&staff.session, &fields)?;
    Ok(session::close(&state, staff.session, "/staff/sign-in").await?)
}

/// `GET /staff`: the queue.
pub(in crate::web) async fn queue(
    Held(state): Held<State>,
    staff: Staff,
    RawQuery(query): RawQuery,
) -> Answer {
    let filters = queue_page::filters(query.as_deref().unwrap_or(""));
    let queue = review::queue(&state, &filters).await?;
    let view = QueuePage {
        frame: staff.frame(),
        filters: queue_page::boxes(&filters, &queue),
        fragment: queue_page::fragment(&filters),
        events: "/staff/queue/events".to_owned(),
        table: queue_page::table(&filters, &queue),
    };
    Ok(page(StatusCode::OK, &view)?)
}

/// `GET /staff/queue`: the table alone, for the script.
pub(in crate::web) async fn queue_table(
    Held(state): Held<State>,
    _: Watching,
    RawQuery(query): RawQuery,
) -> Answer {
    let filters = queue_page::filters(query.as_deref().unwrap_or(""));
    let queue = review::queue(&state, &filters).await?;
    Ok(page(
        StatusCode::OK,
        &QueueFragment {
            table: queue_page::table(&filters, &queue),
        },
    )?)
}

/// `GET /staff/cases/{case}`.
pub(in crate::web) async fn case(Held(state): Held<State>, staff: Staff, Path(case): Path<String>) -> Answer {
    let view = review::case_view(&state, case_id(&case)?).await?;
    Ok(page(
        StatusCode::OK,
        &case_page::page(&state, &staff, &view, None),
    )?)
}

/// `POST /staff/cases/{case}/decide`.
pub(in crate::web) async fn decide(
    Held(state): Held<State>,
    staff: Staff,
    Path(case): Path<String>,
    fields: Fields,
) -> Answer {
    let case = case_id(&case)?;
    session::check_form(&staff.session, &fields)?;
    let outcome = match decision(case, &fields) {
        Ok(decision) => review::decide(&state, &staff.reviewer(), decision).await,
        Err(unreadable) => Err(unreadable),
    };
    match outcome {
        Ok(PriorAuth { id, .. }) => Ok(go(&format!("/staff/cases/{id}"))?),
        Err(e) if matches!(e.kind(), Kind::Conflict | Kind::Invalid) => {
            refused(&state, &staff, case, &fields, &e).await
        }
        Err(e) => Err(e.into()),
    }
}

/// The case as it stands now, with the reason of the refusal and everything that was typed.
async fn refused(state: &State, staff: &Staff, case: Uuid, fields: &Fields, error: &Error) -> Answer {
    let view = review::case_view(state, case).await?;
    let status = crate::wire::status(error.kind());
    if !view.case.is_open() {
        let message = format!("{}. Nothing is open on this case any more", error.message());
        return Ok(StaffRefusal::from(Error::conflict(message)).into_response());
    }
    let typed = Typed {
        refused: format!("{}.", error.message().trim_end_matches('.')),
        fields,
    };
    Ok(page(status, &case_page::page(state, staff, &view, Some(&typed)))?)
}

fn case_id(text: &str) -> Result<Uuid> {
    text.parse()
        .map_err(|_| Error::not_found("case", "of this address"))
}

/// Reads the form of a decision. What it asks for is judged elsewhere.
fn decision(case: Uuid, fields: &Fields) -> Result<Decision> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let unreadable = |field| Error::invalid(field, format!("The field {field} could not be read"));
    let seen = number(fields.get("version")).ok_or_else(|| unreadable("version"))?;
    let lines: Option<Vec<u32>> = fields.all("line").map(number).collect();
    let mut lines = lines.ok_or_else(|| unreadable("line"))?;
    lines.sort_unstable();
    lines.dedup();
    let what = match fields.get("decision") {
        "approve" => {
            let until = fields.filled("until").map(str::parse).transpose();
            What::Approve {
                until: until.map_err(|_| unreadable("until"))?,
            }
        }
        "deny" => What::Deny {
            reason_code: fields.get("reason").to_owned(),
            criterion: fields.filled("criterion").map(str::to_owned),
            text: fields.get("text").to_owned(),
        },
        "refer" => What::Refer,
        _ => {
            return Err(Error::invalid(
                "decision",
                "Choose what to do: approve, refer or deny",
            ));
        }
    };
    Ok(Decision {
        case,
        seen,
        lines,
        note: fields.get("note").to_owned(),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Decision> {
        decision(Uuid::nil(), &Fields::read(text))
    }

    #[test]
    fn a_form_becomes_a_decision() {
        let read = read("version=7&line=2&line=1&line=2&note=n&until=2027-10-05&decision=approve").unwrap();
        assert_eq!(
            (read.seen, read.lines.as_slice(), read.note.as_str()),
            (7, &[1, 2][..], "n")
        );
        assert!(matches!(read.what, What::Approve { until: Some(_) }));
    }

    #[test]
    fn an_empty_end_means_all_that_was_asked() {
        let read = read("version=7&line=1&until=&decision=approve").unwrap();
        assert!(matches!(read.what, What::Approve { until: None }));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_field() {
        for (form, field) in [
            ("line=1&decision=approve", "version"),
            ("version=1&line=x&decision=approve", "line"),
            ("version=1&line=1&until=soon&decision=approve", "until"),
            ("version=1&line=1&decision=delete", "decision"),
        ] {
            let error = read(form).unwrap_err();
            assert_eq!(error.issues()[0].expression, field, "{form}");
        }
    }
}
