//! Handlers of the queue page.

use crate::review;
use crate::state::State;
use crate::web::reply::{StaffPageError, render_page};
use crate::web::session::{BackgroundCaseStaff, CaseStaff};
use crate::web::staff::queue_page::{filter_selects, parse_request, queue_table, table_url};
use crate::web::staff::views::{QueuePage, QueueTableFragment};
use axum::extract::{RawQuery, State as AppState};
use axum::http::StatusCode;
use axum::response::Response;

/// `GET /staff`.
pub(in crate::web) async fn show(
    AppState(state): AppState<State>,
    CaseStaff(staff): CaseStaff,
    RawQuery(query): RawQuery,
) -> Result<Response, StaffPageError> {
    let (filters, position) = parse_request(query.as_deref().unwrap_or(""));
    let queue = review::read_queue(&state, &filters, position).await?;
    let view = QueuePage {
        frame: staff.frame(),
        filters: filter_selects(&filters, &queue),
        table_url: table_url(&filters, position),
        events_url: "/staff/queue/events".to_owned(),
        table: queue_table(&filters, &queue, &state.policy_set().rules),
    };
    Ok(render_page(StatusCode::OK, &view)?)
}

/// `GET /staff/queue`: only the table, for the script.
pub(in crate::web) async fn show_table(
    AppState(state): AppState<State>,
    _: BackgroundCaseStaff,
    RawQuery(query): RawQuery,
) -> Result<Response, StaffPageError> {
    let (filters, position) = parse_request(query.as_deref().unwrap_or(""));
    let queue = review::read_queue(&state, &filters, position).await?;
    let view = QueueTableFragment {
        table: queue_table(&filters, &queue, &state.policy_set().rules),
    };
    Ok(render_page(StatusCode::OK, &view)?)
}
