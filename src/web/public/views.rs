//! The view of the public list page.

use crate::web::render::Page;
use crate::web::views::{PageFrame, PlanContact, SelectOption};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

/// One page of the items and services that need prior authorization.
#[derive(Debug, Serialize)]
pub struct PublicListPage {
    /// The frame around the page's content.
    pub frame: PageFrame,
    /// The plan's contact details.
    pub contact: PlanContact,
    /// The URL that the search form is sent to: this list.
    pub action: String,
    /// The code that was searched for.
    pub code: String,
    /// The lines of business to choose from.
    pub lines_of_business: Vec<SelectOption>,
    /// When the list was published.
    pub published: Option<DateTime<Utc>>,
    /// The number of the publication.
    pub number: Option<i64>,
    /// The plan's time zone.
    pub zone: String,
    /// The URL of the current list, if this is an earlier one.
    pub current_list: Option<String>,
    /// The number of rows in the whole list.
    pub total: usize,
    /// The number of rows that match the search.
    pub found: usize,
    /// The number of the first row shown.
    pub first: usize,
    /// The number of the last row shown.
    pub last: usize,
    /// The rows shown.
    pub rows: Vec<ListedRow>,
    /// The URL of the previous page.
    pub previous_page: Option<String>,
    /// The URL of the next page.
    pub next_page: Option<String>,
    /// The URL of the whole list as CSV.
    pub csv: String,
    /// The latest publications.
    pub publications: Vec<PublicationLink>,
}

impl Page for PublicListPage {
    const TEMPLATE: &'static str = "public_list.html";
}

/// A code, a range of codes, or all other codes that may need prior authorization.
#[derive(Debug, Serialize)]
pub struct ListedRow {
    /// The code or range; `None` stands for every code that has no row of its own.
    pub code: Option<String>,
    /// `HCPCS`, `CPT`, or the URL of another code system.
    pub system: Option<String>,
    /// The line of business; `None` stands for all.
    pub line_of_business: Option<String>,
    /// The state; `None` stands for all.
    pub state: Option<String>,
    /// The first day on which the row applies.
    pub from: NaiveDate,
    /// The last day on which the row applies; `None` if there is no end.
    pub to: Option<NaiveDate>,
    /// The policy's title, or the reason from the coding list.
    pub title: String,
    /// The forms to fill in, as `name|version`.
    pub forms: Vec<String>,
    /// The sources of the policy.
    pub sources: Vec<Source>,
}

/// A source that a policy cites.
#[derive(Debug, Serialize)]
pub struct Source {
    /// The citation: title, number, version.
    pub cite: String,
    /// The URL of the source.
    pub url: Option<String>,
}

/// A link to the list of one publication.
#[derive(Debug, Serialize)]
pub struct PublicationLink {
    /// The URL of the list.
    pub href: String,
    /// When it was published.
    pub at: DateTime<Utc>,
    /// Whether it is the list on this page.
    pub shown: bool,
}
