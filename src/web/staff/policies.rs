//! Handlers of the policies page: the current policy set, the proposal, the publication log. Supervisors can view them;
//! policy authors and policy approvers also propose, publish and withdraw. `publication` checks who may do that; this
//! module only selects the buttons that are shown.

use crate::error::{Error, Result};
use crate::publication::{self, ProposalOutcome, ReloadOutcome};
use crate::rules::Finding;
use crate::state::State;
use crate::web::fields::FormFields;
use crate::web::paths::POLICIES;
use crate::web::reply::{error_page, redirect, render_page};
use crate::web::session::{self, AnyStaff, SignedInStaff};
use crate::web::staff::policies_page::{self, Notice, PageRequest};
use axum::extract::{RawQuery, State as AppState};
use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

/// `GET /staff/policies`.
pub(in crate::web) async fn show(
    AppState(state): AppState<State>,
    AnyStaff(staff): AnyStaff,
    RawQuery(query): RawQuery,
) -> Response {
    let query = FormFields::parse(query.as_deref().unwrap_or(""));
    let page = query.get("page").parse().unwrap_or(1);
    or_error_page(policies_page(&state, &staff, StatusCode::OK, page, Notice::None).await)
}

/// `GET /staff/policies/changes?file=…`: one file of the proposal beside the current version.
pub(in crate::web) async fn compare_file(
    AppState(state): AppState<State>,
    AnyStaff(staff): AnyStaff,
    RawQuery(query): RawQuery,
) -> Response {
    let query = FormFields::parse(query.as_deref().unwrap_or(""));
    or_error_page(file_comparison_page(&state, &staff, query.get("file")).await)
}

async fn file_comparison_page(state: &State, staff: &SignedInStaff, file: &str) -> Result<Response> {
    check_may_see_policies(staff)?;
    let not_found = || Error::not_found("changed file", file);
    let (_, proposed) = publication::pending_proposal(state)
        .await?
        .ok_or_else(not_found)?;
    let current = state.policy_set();
    let view =
        policies_page::file_comparison_page(current.files(), &proposed, staff, file).ok_or_else(not_found)?;
    render_page(StatusCode::OK, &view)
}

/// `POST /staff/policies/propose`.
pub(in crate::web) async fn propose(
    AppState(state): AppState<State>,
    AnyStaff(staff): AnyStaff,
    fields: FormFields,
) -> Response {
    let response = async {
        check_form(&staff, &fields)?;
        match publication::propose(&state, &staff.reviewer()).await? {
            ProposalOutcome::Pending => redirect(POLICIES),
            ProposalOutcome::Unchanged => {
                policies_page(&state, &staff, StatusCode::OK, 1, Notice::NothingToPropose).await
            }
            ProposalOutcome::Refused(findings) => refusal_page(&state, &staff, findings).await,
        }
    };
    or_error_page(response.await)
}

/// `POST /staff/policies/confirm`: publishes the proposal.
pub(in crate::web) async fn confirm(
    AppState(state): AppState<State>,
    AnyStaff(staff): AnyStaff,
    fields: FormFields,
) -> Response {
    let response = async {
        check_form(&staff, &fields)?;
        match publication::confirm(&state, &staff.reviewer(), proposal_id(&fields)?).await? {
            ReloadOutcome::Published(_) | ReloadOutcome::Unchanged => redirect(POLICIES),
            ReloadOutcome::Refused(findings) => refusal_page(&state, &staff, findings).await,
        }
    };
    or_error_page(response.await)
}

/// `POST /staff/policies/withdraw`.
pub(in crate::web) async fn withdraw(
    AppState(state): AppState<State>,
    AnyStaff(staff): AnyStaff,
    fields: FormFields,
) -> Response {
    let response = async {
        check_form(&staff, &fields)?;
        publication::withdraw(&state, &staff.reviewer(), proposal_id(&fields)?).await?;
        redirect(POLICIES)
    };
    or_error_page(response.await)
}

fn proposal_id(fields: &FormFields) -> Result<Uuid> {
    let id = fields.get("proposal").parse();
    id.map_err(|_| Error::invalid("proposal", "The form does not name a valid proposal"))
}

/// The form is this session's, and the person may see the policies.
fn check_form(staff: &SignedInStaff, fields: &FormFields) -> Result<()> {
    session::check_csrf_token(&staff.session, fields)?;
    check_may_see_policies(staff)
}

/// The page with the mistakes for which a policy set was refused.
async fn refusal_page(state: &State, staff: &SignedInStaff, findings: Vec<Finding>) -> Result<Response> {
    let notice = Notice::Findings(findings);
    policies_page(state, staff, StatusCode::UNPROCESSABLE_ENTITY, 1, notice).await
}

async fn policies_page(
    state: &State,
    staff: &SignedInStaff,
    status: StatusCode,
    page: usize,
    notice: Notice,
) -> Result<Response> {
    check_may_see_policies(staff)?;
    let publications = state.store.read_one((), |tx, ()| {
        Box::pin(async move { tx.publications(policies_page::MAX_PUBLICATIONS).await })
    });
    let publications = publications.await?;
    let proposal = match publication::pending_proposal(state).await? {
        Some((proposal, files)) => {
            let current = state.policy_set();
            let changes = tokio::task::spawn_blocking(move || publication::changes(current.files(), &files));
            Some((proposal, changes.await.map_err(Error::internal)?))
        }
        None => None,
    };
    let request = PageRequest {
        publications: &publications,
        proposal,
        page,
        notice,
    };
    render_page(status, &policies_page::policies_page(state, staff, request))
}

fn check_may_see_policies(staff: &SignedInStaff) -> Result<()> {
    if staff.reviewer().may_see_policies() {
        return Ok(());
    }
    Err(Error::forbidden(
        "Only policy authors, policy approvers and supervisors may see the policies",
    ))
}

fn or_error_page(response: Result<Response>) -> Response {
    response.unwrap_or_else(|e| error_page(&e, POLICIES))
}
