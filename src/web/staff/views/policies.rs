//! What the page of the policies and that of one changed file are given.

use crate::web::render::Page;
use crate::web::views::{Frame, Mark};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

/// Policies: in force, proposed, as they came.
#[derive(Debug, Serialize)]
pub struct PoliciesPage {
    /// The page's surroundings.
    pub frame: Frame,
    /// The session's token for forms.
    pub csrf: String,
    /// The plan's time zone.
    pub zone: String,
    /// The set in force.
    pub in_force: InForce,
    /// The set that was refused since.
    pub refused: Option<RefusedSet>,
    /// Whether the person may propose, confirm and withdraw.
    pub may_publish: bool,
    /// A proposal was asked for and the folders hold what is in force.
    pub same: bool,
    /// The mistakes of the set that was just proposed or confirmed.
    pub findings: Vec<String>,
    /// The proposal that waits.
    pub waiting: Option<WaitingSet>,
    /// Policies of the set in force.
    pub total: usize,
    /// One page of them.
    pub policies: Vec<PolicyRow>,
    /// The page before.
    pub back: Option<String>,
    /// The page after.
    pub on: Option<String>,
    /// What should be looked at.
    pub warnings: Vec<String>,
    /// The newest publications.
    pub log: Vec<LogEntry>,
}

impl Page for PoliciesPage {
    const TEMPLATE: &'static str = "policies.html";
}

/// The set in force.
#[derive(Debug, Serialize)]
pub struct InForce {
    /// What put it in force, with its name.
    pub entry: Option<LogEntry>,
    /// Files of both folders.
    pub files: usize,
    /// Forms in all their versions.
    pub forms: usize,
    /// Rows of the public list.
    pub listed: usize,
}

/// A set that stayed out.
#[derive(Debug, Serialize)]
pub struct RefusedSet {
    /// Its name, when its files could be read.
    pub hash: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    /// What is wrong with it, by file and line.
    pub findings: Vec<String>,
}

/// A proposal.
#[derive(Debug, Serialize)]
pub struct WaitingSet {
    /// Its row, for the forms.
    pub id: String,
    /// The set's name.
    pub hash: String,
    /// Who proposed it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether the person who looks has proposed it.
    pub mine: bool,
    /// Whether another set has come into force since.
    pub stale: bool,
    /// What it changes.
    pub files: Vec<FileChange>,
}

/// A file that a proposal changes.
#[derive(Debug, Serialize)]
pub struct FileChange {
    /// Its path.
    pub path: String,
    /// Both texts.
    pub href: String,
    /// `new`, `changed`, `removed`.
    pub what: String,
    /// Lines that come.
    pub plus: usize,
    /// Lines that go.
    pub minus: usize,
}

/// One policy in one version.
#[derive(Debug, Serialize)]
pub struct PolicyRow {
    /// Its title.
    pub title: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it stands in its life.
    pub status: Mark,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: Option<NaiveDate>,
    /// Lines of business in words.
    pub lines: String,
    /// Codes and ranges of its scope.
    pub codes: usize,
    /// Forms that it names.
    pub forms: Vec<String>,
    /// How many warnings are about it.
    pub warnings: usize,
}

/// A line of the log.
#[derive(Debug, Serialize)]
pub struct LogEntry {
    /// Its number.
    pub number: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// How, in words.
    pub how: String,
    /// Who proposed it.
    pub proposed_by: Option<String>,
    /// Who confirmed it.
    pub confirmed_by: Option<String>,
    /// The set's name.
    pub hash: String,
    /// The public list of that day.
    pub list: String,
}

/// One file before and after.
#[derive(Debug, Serialize)]
pub struct PolicyChanges {
    /// The page's surroundings.
    pub frame: Frame,
    /// The file.
    pub path: String,
    /// `new`, `changed`, `removed`.
    pub what: String,
    /// In force.
    pub old: TextSide,
    /// Proposed.
    pub new: TextSide,
}

impl Page for PolicyChanges {
    const TEMPLATE: &'static str = "policy_changes.html";
}

/// Lines of one text.
#[derive(Debug, Serialize)]
pub struct TextSide {
    /// The number of the first line.
    pub first: usize,
    /// The lines.
    pub lines: Vec<TextLine>,
    /// Lines that are left out at the end.
    pub more: usize,
}

/// A line.
#[derive(Debug, Serialize)]
pub struct TextLine {
    /// Its text.
    pub text: String,
    /// Whether the other side lacks it.
    pub own: bool,
}
