//! What the page of the public list is given.

use crate::web::render::Page;
use crate::web::views::{Choice, Contact, Frame};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

/// Items and services that need prior authorization, one page of them.
#[derive(Debug, Serialize)]
pub struct PublicListPage {
    /// The page's surroundings.
    pub frame: Frame,
    /// The plan, and whom to call.
    pub contact: Contact,
    /// Where the search form leads: this list.
    pub action: String,
    /// The code that was asked for.
    pub code: String,
    /// Lines of business to choose from.
    pub lines: Vec<Choice>,
    /// When the list was published.
    pub published: Option<DateTime<Utc>>,
    /// Its number in the log of publications.
    pub number: Option<i64>,
    /// The plan's time zone.
    pub zone: String,
    /// Where the list in force is, on the page of an earlier one.
    pub today: Option<String>,
    /// Rows of the whole list.
    pub total: usize,
    /// Rows that the search found.
    pub found: usize,
    /// The number of the first row shown.
    pub first: usize,
    /// The number of the last row shown.
    pub last: usize,
    /// The rows shown.
    pub rows: Vec<ListedRow>,
    /// The page before this one.
    pub back: Option<String>,
    /// The page after this one.
    pub on: Option<String>,
    /// The whole list as a table.
    pub csv: String,
    /// The newest publications, this one among them.
    pub editions: Vec<Edition>,
}

impl Page for PublicListPage {
    const TEMPLATE: &'static str = "public_list.html";
}

/// A code, range or remainder that may need authorization.
#[derive(Debug, Serialize)]
pub struct ListedRow {
    /// The code or range; none stands for every code of the line that has no row.
    pub code: Option<String>,
    /// HCPCS, CPT, or the system's URL.
    pub system: Option<String>,
    /// The line of business; none stands for all.
    pub line: Option<String>,
    /// The state; none stands for all.
    pub state: Option<String>,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: Option<NaiveDate>,
    /// The policy's title or the answer's reason.
    pub title: String,
    /// Forms to fill in.
    pub forms: Vec<String>,
    /// What the policy rests on.
    pub sources: Vec<Source>,
}

/// A text that a policy cites.
#[derive(Debug, Serialize)]
pub struct Source {
    /// Title, number, version.
    pub cite: String,
    /// Where it can be read.
    pub url: Option<String>,
}

/// A publication of the list.
#[derive(Debug, Serialize)]
pub struct Edition {
    /// Its address.
    pub href: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether it is the one on the page.
    pub shown: bool,
}
