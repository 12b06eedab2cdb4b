//! Handlers of the access log page, for auditors. Filters are sent with POST, because a URL with a member id would stay
//! in the browser's history and in the logs of proxies.

use crate::error::Result;
use crate::review::{self, AccessFilters, AccessPage};
use crate::state::State;
use crate::store::access_log::Access;
use crate::web::fields::FormFields;
use crate::web::paths::ACCESS_LOG;
use crate::web::reply::{error_page, render_page};
use crate::web::session::{self, AnyStaff, SignedInStaff, role_name_label};
use crate::web::staff::views::access_log::{AccessLogFilters, AccessLogPage, AccessLogRow};
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

/// `GET /staff/access-log`: the newest entries.
pub(in crate::web) async fn show(AppState(state): AppState<State>, AnyStaff(staff): AnyStaff) -> Response {
    let page = log_page(&state, &staff, &FormFields::default()).await;
    page.unwrap_or_else(|error| error_page(&error, ACCESS_LOG))
}

/// `POST /staff/access-log`: entries that match filters, or older ones.
pub(in crate::web) async fn filter(
    AppState(state): AppState<State>,
    AnyStaff(staff): AnyStaff,
    fields: FormFields,
) -> Response {
    let page = match session::check_csrf_token(&staff.session, &fields) {
        Ok(()) => log_page(&state, &staff, &fields).await,
        Err(error) => Err(error),
    };
    page.unwrap_or_else(|error| error_page(&error, ACCESS_LOG))
}

async fn log_page(state: &State, staff: &SignedInStaff, fields: &FormFields) -> Result<Response> {
    let zone = state.policy_set().rules.zone();
    let (filters, mut problems) = parse_filters(fields, zone);
    let is_later_page = filters.after.is_some();
    let page = if problems.is_empty() {
        review::read_access_log(state, &staff.reviewer(), &filters).await?
    } else {
        // Permission is checked although nothing is read.
        review::check_may_see_access_log(&staff.reviewer())?;
        AccessPage::default()
    };
    problems.extend(page.unknown.iter().map(|filter| unknown_text(filter).to_owned()));
    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let typed = |name| fields.get(name).trim().to_owned();
    let view = AccessLogPage {
        frame: staff.frame(),
        csrf: staff.session.csrf.clone(),
        zone: zone.name().to_owned(),
        filters: AccessLogFilters {
            case: typed("case"),
            member: typed("member"),
            person: typed("person"),
            from: typed("from"),
            to: typed("to"),
        },
        problems,
        older: page.entries.last().filter(|_| page.has_more).map(position),
        rows: page.entries.into_iter().map(row).collect(),
        is_later_page,
    };
    render_page(status, &view)
}

fn unknown_text(filter: &str) -> &'static str {
    match filter {
        "case" => "No case has this number.",
        "member" => "No member has this member ID.",
        _ => "No staff account has this user name.",
    }
}

fn row(access: Access) -> AccessLogRow {
    AccessLogRow {
        at: access.at,
        name: access.name,
        username: access.username,
        role: role_name_label(&access.role).to_owned(),
        case_number: access.case_number,
        member_id: access.member_id,
        address: access.address,
    }
}

/// The place of an entry in the log, for the button to the next page: time and row.
fn position(last: &Access) -> String {
    format!("{} {}", last.at.to_rfc3339(), last.id)
}

fn parse_position(text: &str) -> Option<(DateTime<Utc>, Uuid)> {
    let (at, id) = text.split_once(' ')?;
    let at = DateTime::parse_from_rfc3339(at).ok()?;
    Some((at.to_utc(), id.parse().ok()?))
}

/// The filters of a form, and what is wrong with them. Days are days in the plan's time zone.
fn parse_filters(fields: &FormFields, zone: Tz) -> (AccessFilters, Vec<String>) {
    let mut problems = Vec::new();
    let mut day = |name, label: &str| -> Option<NaiveDate> {
        let text = fields.non_blank(name)?;
        let day = text.parse().ok();
        if day.is_none() {
            problems.push(format!("{label} is not a date. Enter it as YYYY-MM-DD."));
        }
        day
    };
    let (from, to) = (day("from", "The first day"), day("to", "The last day"));
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        problems.push("The last day is before the first day.".to_owned());
    }
    let typed = |name| fields.get(name).trim().to_owned();
    let filters = AccessFilters {
        case: typed("case"),
        member: typed("member"),
        person: typed("person"),
        from: from.map(|day| start_of_day(day, zone)),
        until: to
            .and_then(|day| day.checked_add_days(Days::new(1)))
            .map(|day| start_of_day(day, zone)),
        after: fields.non_blank("after").and_then(parse_position),
    };
    (filters, problems)
}

/// The instant at which a day begins. A day that begins with a change of the clock begins at its first instant.
fn start_of_day(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    zone.from_local_datetime(&midnight)
        .earliest()
        .map_or_else(|| midnight.and_utc(), |at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: Tz = chrono_tz::America::New_York;

    #[test]
    fn days_are_days_of_the_plan() {
        let fields = FormFields::parse("from=2026-11-20&to=2026-11-20&case=+RF-1+&person=nora");
        let (filters, problems) = parse_filters(&fields, ZONE);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            (filters.from, filters.until),
            (
                "2026-11-20T05:00:00Z".parse().ok(),
                "2026-11-21T05:00:00Z".parse().ok()
            )
        );
        assert_eq!((filters.case.as_str(), filters.person.as_str()), ("RF-1", "nora"));
    }

    #[test]
    fn impossible_days_are_named() {
        let wrong = |query: &str| parse_filters(&FormFields::parse(query), ZONE).1;
        assert!(wrong("from=2026-13-45")[0].starts_with("The first day is not a date"));
        assert!(wrong("from=2026-11-20&to=2026-11-19")[0].contains("before the first day"));
    }

    #[test]
    fn the_next_page_begins_after_the_last_entry() {
        let last = Access {
            id: Uuid::from_u128(7),
            at: "2026-11-20T15:04:05.123456Z".parse().unwrap(),
            username: String::new(),
            name: String::new(),
            role: String::new(),
            case_number: String::new(),
            member_id: String::new(),
            address: None,
        };
        assert_eq!(parse_position(&position(&last)), Some((last.at, last.id)));
        assert_eq!(parse_position("yesterday"), None);
    }
}
