//! The page of the policies: what is in force and since when, what a proposed set would change, the log. Supervisors
//! look; policy authors and approvers also propose, confirm and withdraw. Who may do that is asked of `publication`, here
//! only to choose which buttons are shown.

use crate::error::{Error, Result};
use crate::publication::{self, Proposed, Reloaded};
use crate::state::State;
use crate::web::fields::Fields;
use crate::web::reply::{go, page as show, problem};
use crate::web::session::{self, AnyStaff, Staff};
use crate::web::staff::policies_page::{self, Said};
use axum::extract::{RawQuery, State as Held};
use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

/// Where the page is.
pub(in crate::web) const POLICIES: &str = "/staff/policies";

/// `GET /staff/policies`.
pub(in crate::web) async fn page(
    Held(state): Held<State>,
    AnyStaff(staff): AnyStaff,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Fields::read(query.as_deref().unwrap_or(""));
    let at = query.get("page").parse().unwrap_or(1);
    told(with(&state, &staff, StatusCode::OK, at, Said::Nothing).await)
}

/// `GET /staff/policies/changes?file=…`: one file of the proposal beside what is in force.
pub(in crate::web) async fn changes(
    Held(state): Held<State>,
    AnyStaff(staff): AnyStaff,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Fields::read(query.as_deref().unwrap_or(""));
    told(one_file(&state, &staff, query.get("file")).await)
}

async fn one_file(state: &State, staff: &Staff, file: &str) -> Result<Response> {
    may_look(staff)?;
    let nothing = || Error::not_found("change", "of this address");
    let (_, files) = publication::waiting(state).await?.ok_or_else(nothing)?;
    let view = policies_page::one_file(state.published().files(), &files, staff, file).ok_or_else(nothing)?;
    show(StatusCode::OK, &view)
}

/// `POST /staff/policies/propose`.
pub(in crate::web) async fn propose(
    Held(state): Held<State>,
    AnyStaff(staff): AnyStaff,
    fields: Fields,
) -> Response {
    let proposed = async {
        session::check_form(&staff.session, &fields)?;
        may_look(&staff)?;
        match publication::propose(&state, &staff.reviewer()).await? {
            Proposed::Waits => go(POLICIES),
            Proposed::Same => with(&state, &staff, StatusCode::OK, 1, Said::Same).await,
            Proposed::Refused(findings) => {
                let said = Said::Findings(findings);
                with(&state, &staff, StatusCode::UNPROCESSABLE_ENTITY, 1, said).await
            }
        }
    };
    told(proposed.await)
}

/// `POST /staff/policies/confirm`.
pub(in crate::web) async fn confirm(
    Held(state): Held<State>,
    AnyStaff(staff): AnyStaff,
    fields: Fields,
) -> Response {
    let confirmed = async {
        session::check_form(&staff.session, &fields)?;
        may_look(&staff)?;
        match publication::confirm(&state, &staff.reviewer(), proposal(&fields)?).await? {
            Reloaded::Published(_) | Reloaded::Same => go(POLICIES),
            Reloaded::Refused(findings) => {
                let said = Said::Findings(findings);
                with(&state, &staff, StatusCode::UNPROCESSABLE_ENTITY, 1, said).await
            }
        }
    };
    told(confirmed.await)
}

/// `POST /staff/policies/withdraw`.
pub(in crate::web) async fn withdraw(
    Held(state): Held<State>,
    AnyStaff(staff): AnyStaff,
    fields: Fields,
) -> Response {
    let withdrawn = async {
        session::check_form(&staff.session, &fields)?;
        may_look(&staff)?;
        publication::withdraw(&state, &staff.reviewer(), proposal(&fields)?).await?;
        go(POLICIES)
    };
    told(withdrawn.await)
}

fn proposal(fields: &Fields) -> Result<Uuid> {
    let id = fields.get("proposal").parse();
    id.map_err(|_| Error::invalid("proposal", "The form does not say which proposal is meant"))
}

async fn with(state: &State, staff: &Staff, status: StatusCode, at: usize, said: Said) -> Result<Response> {
    may_look(staff)?;
    let log = state.store.read((), |tx, ()| {
        Box::pin(async move { tx.publications(policies_page::LOG).await })
    });
    let log = log.await?;
    let waiting = match publication::waiting(state).await? {
        Some((proposal, files)) => {
            let held = state.published();
            let compared = tokio::task::spawn_blocking(move || publication::changes(held.files(), &files));
            Some((proposal, compared.await.map_err(Error::internal)?))
        }
        None => None,
    };
    show(
        status,
        &policies_page::page(state, staff, &log, waiting, at, said),
    )
}

fn may_look(staff: &Staff) -> Result<()> {
    if staff.reviewer().may_see_policies() {
        return Ok(());
    }
    Err(Error::forbidden(
        "Only policy authors, policy approvers and supervisors may look at the policies",
    ))
}

fn told(answer: Result<Response>) -> Response {
    answer.unwrap_or_else(|e| problem(&e, POLICIES))
}
