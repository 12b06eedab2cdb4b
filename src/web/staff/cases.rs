//! Handlers of the case page: show a case, submit a decision.

use crate::error::{Error, ErrorKind, Result};
use crate::prior_auth::PriorAuth;
use crate::review::{self, ReviewAction, ReviewDecision};
use crate::state::State;
use crate::web::fields::FormFields;
use crate::web::reply::{StaffPageError, redirect, render_page};
use crate::web::session::{self, CaseStaff, SignedInStaff};
use crate::web::staff::case_actions::RejectedForm;
use crate::web::staff::case_page::case_page;
use crate::wire;
use axum::extract::{Path, State as AppState};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

type PageResult = Result<Response, StaffPageError>;

/// `GET /staff/cases/{case}`.
pub(in crate::web) async fn show(
    AppState(state): AppState<State>,
    CaseStaff(staff): CaseStaff,
    Path(case): Path<String>,
) -> PageResult {
    let view = review::read_case_view(&state, parse_case_id(&case)?).await?;
    Ok(render_page(
        StatusCode::OK,
        &case_page(&state, &staff, &view, None),
    )?)
}

/// `POST /staff/cases/{case}/decide`.
pub(in crate::web) async fn decide(
    AppState(state): AppState<State>,
    CaseStaff(staff): CaseStaff,
    Path(case): Path<String>,
    fields: FormFields,
) -> PageResult {
    let case = parse_case_id(&case)?;
    session::check_csrf_token(&staff.session, &fields)?;
    let result = match parse_decision(case, &fields) {
        Ok(decision) => review::decide(&state, &staff.reviewer(), decision).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(PriorAuth { id, .. }) => Ok(redirect(&format!("/staff/cases/{id}"))?),
        Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => {
            rejected_form_page(&state, &staff, case, &fields, &e).await
        }
        Err(e) => Err(e.into()),
    }
}

/// The case as it is now, with the reason of the rejection and everything that was typed.
async fn rejected_form_page(
    state: &State,
    staff: &SignedInStaff,
    case: Uuid,
    fields: &FormFields,
    error: &Error,
) -> PageResult {
    let view = review::read_case_view(state, case).await?;
    let status = wire::status(error.kind());
    let reason = error.message().trim_end_matches('.');
    if !view.case.is_open() {
        let message = format!("{reason}. All items of this case are decided");
        return Ok(StaffPageError::from(Error::conflict(message)).into_response());
    }
    let rejected = RejectedForm {
        reason: format!("{reason}."),
        fields,
    };
    Ok(render_page(
        status,
        &case_page(state, staff, &view, Some(&rejected)),
    )?)
}

fn parse_case_id(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| Error::not_found("case", text))
}

/// Parses the form of a decision. `review` checks whether the decision is allowed.
fn parse_decision(case: Uuid, fields: &FormFields) -> Result<ReviewDecision> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let invalid = |field| Error::invalid(field, format!("The field '{field}' is not valid"));
    let version_seen = number(fields.get("version")).ok_or_else(|| invalid("version"))?;
    let items: Option<Vec<u32>> = fields.all("item").map(number).collect();
    let mut items = items.ok_or_else(|| invalid("item"))?;
    items.sort_unstable();
    items.dedup();
    let action = match fields.get("decision") {
        "approve" => {
            let until = fields.non_blank("until").map(str::parse).transpose();
            ReviewAction::Approve {
                until: until.map_err(|_| invalid("until"))?,
            }
        }
        "deny" => ReviewAction::Deny {
            reason_code: fields.get("reason").to_owned(),
            criterion: fields.non_blank("criterion").map(str::to_owned),
            text: fields.get("text").to_owned(),
        },
        "refer" => ReviewAction::Refer,
        _ => {
            return Err(Error::invalid(
                "decision",
                "Choose an action: approve, refer or deny",
            ));
        }
    };
    Ok(ReviewDecision {
        case,
        version_seen,
        items,
        note: fields.get("note").to_owned(),
        action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &str) -> Result<ReviewDecision> {
        parse_decision(Uuid::nil(), &FormFields::parse(form))
    }

    #[test]
    fn a_submitted_form_becomes_a_decision() {
        let decision =
            parse("version=7&item=2&item=1&item=2&note=n&until=2027-10-05&decision=approve").unwrap();
        assert_eq!(
            (
                decision.version_seen,
                decision.items.as_slice(),
                decision.note.as_str()
            ),
            (7, &[1, 2][..], "n")
        );
        assert!(matches!(
            decision.action,
            ReviewAction::Approve { until: Some(_) }
        ));
    }

    #[test]
    fn an_empty_end_date_stands_for_everything_requested() {
        let decision = parse("version=7&item=1&until=&decision=approve").unwrap();
        assert!(matches!(decision.action, ReviewAction::Approve { until: None }));
    }

    #[test]
    fn an_invalid_field_is_refused_and_named() {
        for (form, field) in [
            ("item=1&decision=approve", "version"),
            ("version=1&item=x&decision=approve", "item"),
            ("version=1&item=1&until=soon&decision=approve", "until"),
            ("version=1&item=1&decision=delete", "decision"),
        ] {
            let error = parse(form).unwrap_err();
            assert_eq!(error.issues()[0].expression, field, "{form}");
        }
    }
}
