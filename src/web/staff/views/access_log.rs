//! The view of the access log.

use crate::web::render::Page;
use crate::web::views::PageFrame;
use chrono::{DateTime, Utc};
use serde::Serialize;

/// The access log page: who opened which case.
#[derive(Debug, Serialize)]
pub struct AccessLogPage {
    /// The page frame.
    pub frame: PageFrame,
    /// The CSRF token of the session.
    pub csrf: String,
    /// The plan's time zone (IANA name).
    pub zone: String,
    /// The filters as typed.
    pub filters: AccessLogFilters,
    /// Why no entry is shown: a filter that is not valid or names nothing.
    pub problems: Vec<String>,
    /// The entries, newest first.
    pub rows: Vec<AccessLogRow>,
    /// Where the next page begins, if there is one.
    pub older: Option<String>,
    /// Whether this is not the first page.
    pub is_later_page: bool,
}

impl Page for AccessLogPage {
    const TEMPLATE: &'static str = "access_log.html";
}

/// The filters of the access log as typed.
#[derive(Debug, Default, Serialize)]
pub struct AccessLogFilters {
    /// A case number.
    pub case: String,
    /// A member id.
    pub member: String,
    /// A sign-in name.
    pub person: String,
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
}

/// One opening of a case.
#[derive(Debug, Serialize)]
pub struct AccessLogRow {
    /// When.
    pub at: DateTime<Utc>,
    /// The person's name.
    pub name: String,
    /// The person's sign-in name.
    pub username: String,
    /// The role in which the person opened the case.
    pub role: String,
    /// The case number.
    pub case_number: String,
    /// The member id.
    pub member_id: String,
    /// The network address, if it is known.
    pub address: Option<String>,
}
