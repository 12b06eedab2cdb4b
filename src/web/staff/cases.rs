//! Handlers of the case page: show a case, submit a decision. Each time that a case is shown, the access log says who
//! opened it and from where, before the page is sent.

use crate::error::{Error, ErrorKind, Result};
use crate::prior_auth::Reviewer;
use crate::review::{self, CaseView, Opener, ReviewAction, ReviewDecision, ReviewDenial, ReviewResult};
use crate::state::State;
use crate::web::fields::FormFields;
use crate::web::reply::{StaffPageError, redirect, render_page};
use crate::web::session::{self, CaseStaff, SignedInStaff};
use crate::web::staff::case_actions::SubmittedForm;
use crate::web::staff::case_page::{Before, case_page};
use crate::web::staff::confirm_denial::confirm_denial_page;
use crate::wire::{self, ClientAddress};
use axum::extract::{Path, RawQuery, State as AppState};
use axum::http::StatusCode;
use axum::response::Response;
use std::net::IpAddr;
use uuid::Uuid;

type PageResult = Result<Response, StaffPageError>;

/// `GET /staff/cases/{case}`. The query parameter `recorded` is the number of the event that the person just caused;
/// `history=all` shows all events of a long history.
pub(in crate::web) async fn show(
    AppState(state): AppState<State>,
    CaseStaff(staff): CaseStaff,
    ClientAddress(address): ClientAddress,
    Path(case): Path<String>,
    RawQuery(query): RawQuery,
) -> PageResult {
    let visit = Visit {
        state: &state,
        staff: &staff,
        address,
        case: parse_case_id(&case)?,
    };
    let query = FormFields::parse(query.as_deref().unwrap_or(""));
    let before = match query.get("recorded").parse() {
        Ok(last) => Before::Recorded(last),
        Err(_) if query.get("history") == "all" => Before::WholeHistory,
        Err(_) => Before::Nothing,
    };
    visit.page(StatusCode::OK, before).await
}

/// `POST /staff/cases/{case}/decide`.
pub(in crate::web) async fn decide(
    AppState(state): AppState<State>,
    CaseStaff(staff): CaseStaff,
    ClientAddress(address): ClientAddress,
    Path(case): Path<String>,
    fields: FormFields,
) -> PageResult {
    let visit = Visit {
        state: &state,
        staff: &staff,
        address,
        case: parse_case_id(&case)?,
    };
    session::check_csrf_token(&staff.session, &fields)?;
    if fields.get("decision") == "change" {
        let form = SubmittedForm {
            rejection: None,
            fields: &fields,
        };
        return visit.page(StatusCode::OK, Before::Submitted(&form)).await;
    }
    let result = match parse_decision(visit.case, &fields) {
        Ok(decision) => {
            let result = review::decide(&state, &staff.reviewer(), decision.clone()).await;
            result.map(|result| (decision, result))
        }
        Err(error) => Err(error),
    };
    match result {
        Ok((_, ReviewResult::Recorded(case))) => Ok(redirect(&format!(
            "/staff/cases/{}?recorded={}",
            case.id, case.version
        ))?),
        Ok((_, ReviewResult::Unchanged(case))) => Ok(redirect(&format!("/staff/cases/{}", case.id))?),
        Ok((decision, ReviewResult::ConfirmDenial(denial))) => visit.confirmation(&decision, &denial).await,
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => {
            let form = SubmittedForm {
                rejection: Some(format!("{}.", error.message().trim_end_matches('.'))),
                fields: &fields,
            };
            visit
                .page(wire::status(error.kind()), Before::Submitted(&form))
                .await
        }
        Err(error) => Err(error.into()),
    }
}

/// One person at one case.
struct Visit<'a> {
    state: &'a State,
    staff: &'a SignedInStaff,
    address: Option<IpAddr>,
    case: Uuid,
}

impl Visit<'_> {
    /// Reads the case after storing that the person opened it.
    async fn open(&self, by: &Reviewer) -> Result<CaseView> {
        let opener = Opener {
            by,
            address: self.address,
        };
        review::open_case(self.state, &opener, self.case).await
    }

    /// The case as it is now.
    async fn page(&self, status: StatusCode, before: Before<'_>) -> PageResult {
        let view = self.open(&self.staff.reviewer()).await?;
        let page = || render_page(status, &case_page(self.state, self.staff, &view, before));
        Ok(self.state.compute(view.page_size(), page).await?)
    }

    /// What a denial will send, to be confirmed.
    async fn confirmation(&self, decision: &ReviewDecision, denial: &review::DenialToConfirm) -> PageResult {
        let ReviewAction::Deny(words) = &decision.action else {
            return Err(Error::internal("only a denial is confirmed").into());
        };
        let view = self.open(&self.staff.reviewer()).await?;
        let status = if denial.hard_text_not_accepted {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::OK
        };
        let page = || {
            let page = confirm_denial_page(self.state, self.staff, &view, decision, words, denial);
            render_page(status, &page)
        };
        Ok(self.state.compute(view.page_size(), page).await?)
    }
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
        "deny" => ReviewAction::Deny(ReviewDenial {
            reason_code: fields.get("reason").to_owned(),
            criterion: fields.non_blank("criterion").map(str::to_owned),
            text: with_plain_line_ends(fields.get("text")),
            confirmation: fields.get("confirmation").to_owned(),
            accepts_hard_text: fields.get("hard_text") == "accept",
        }),
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
        note: with_plain_line_ends(fields.get("note")),
        action,
    })
}

/// A text with `\n` for each line end. Browsers send `\r\n`.
fn with_plain_line_ends(text: &str) -> String {
    text.replace("\r\n", "\n")
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
    fn a_denial_carries_its_confirmation_and_plain_line_ends() {
        let form = "version=7&item=1&decision=deny&reason=0F&text=a%0D%0Ab&confirmation=abc&hard_text=accept";
        let ReviewAction::Deny(denial) = parse(form).unwrap().action else {
            panic!("not a denial")
        };
        assert_eq!(
            (denial.text.as_str(), denial.confirmation.as_str()),
            ("a\nb", "abc")
        );
        assert!(denial.accepts_hard_text && denial.criterion.is_none());
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
