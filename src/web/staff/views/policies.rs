//! Views of the policies page and of the page that compares one changed file.

use crate::web::render::Page;
use crate::web::views::{Badge, PageFrame};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

/// The policies page: the current policy set, the proposal, and the publication log.
#[derive(Debug, Serialize)]
pub struct PoliciesPage {
    /// The page frame.
    pub frame: PageFrame,
    /// The CSRF token of the session.
    pub csrf: String,
    /// The plan's time zone (IANA name).
    pub zone: String,
    /// The current policy set.
    pub current: CurrentSet,
    /// A newer policy set that was refused.
    pub refused: Option<RefusedSet>,
    /// Whether the person may propose, publish and withdraw.
    pub may_publish: bool,
    /// Whether a proposal was requested although the folders match the current policy set.
    pub nothing_to_propose: bool,
    /// The findings of the policy set that the person just tried to propose or publish.
    pub findings: Vec<String>,
    /// The pending proposal.
    pub proposal: Option<PendingProposal>,
    /// The number of policies in the current policy set.
    pub total: usize,
    /// One page of the policies.
    pub policies: Vec<PolicyRow>,
    /// The address of the previous page.
    pub previous_page: Option<String>,
    /// The address of the next page.
    pub next_page: Option<String>,
    /// How many warnings the current policy set has.
    pub warning_count: usize,
    /// The first warnings.
    pub warnings: Vec<String>,
    /// The newest publications.
    pub publications: Vec<PublicationRow>,
}

impl Page for PoliciesPage {
    const TEMPLATE: &'static str = "policies.html";
}

/// The current policy set.
#[derive(Debug, Serialize)]
pub struct CurrentSet {
    /// The publication that made it current.
    pub publication: Option<PublicationRow>,
    /// The number of files in both folders.
    pub files: usize,
    /// The number of forms, every version counted.
    pub forms: usize,
    /// The number of rows in the public list.
    pub listed: usize,
}

/// A policy set that was refused because it has mistakes.
#[derive(Debug, Serialize)]
pub struct RefusedSet {
    /// Its hash, if its files could be read.
    pub hash: Option<String>,
    /// When it was refused.
    pub at: DateTime<Utc>,
    /// The findings, with file and line.
    pub findings: Vec<String>,
}

/// A proposal that waits for a second person.
#[derive(Debug, Serialize)]
pub struct PendingProposal {
    /// Its row id, for the forms.
    pub id: String,
    /// The hash of the proposed policy set.
    pub hash: String,
    /// The proposer's name.
    pub proposer: String,
    /// When it was proposed.
    pub at: DateTime<Utc>,
    /// Whether the signed-in person is the proposer.
    pub is_own: bool,
    /// Whether another policy set was published after the proposal.
    pub is_outdated: bool,
    /// The first files that it changes.
    pub files: Vec<FileChange>,
    /// How many further files it changes.
    pub more_files: usize,
}

/// A file that a proposal changes.
#[derive(Debug, Serialize)]
pub struct FileChange {
    /// Its path.
    pub path: String,
    /// The address of the page that compares both versions.
    pub href: String,
    /// `new`, `changed`, `removed`.
    pub kind: String,
    /// The number of lines added.
    pub added_lines: usize,
    /// The number of lines removed.
    pub removed_lines: usize,
}

/// One version of a policy.
#[derive(Debug, Serialize)]
pub struct PolicyRow {
    /// Its title.
    pub title: String,
    /// Its name: `dme.home-oxygen`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its status: draft, shadow, active, retired.
    pub status: Badge,
    /// The first effective day.
    pub from: NaiveDate,
    /// The last effective day.
    pub to: Option<NaiveDate>,
    /// Its lines of business.
    pub lines_of_business: String,
    /// The number of codes and code ranges in its scope.
    pub codes: usize,
    /// The forms that it names.
    pub forms: Vec<String>,
    /// The number of warnings about its file.
    pub warnings: usize,
}

/// One entry of the publication log.
#[derive(Debug, Serialize)]
pub struct PublicationRow {
    /// Its number.
    pub number: i64,
    /// When it was published.
    pub at: DateTime<Utc>,
    /// How it was published, in words.
    pub method: String,
    /// Who proposed it.
    pub proposed_by: Option<String>,
    /// Who confirmed it.
    pub confirmed_by: Option<String>,
    /// The hash of the policy set.
    pub hash: String,
    /// The address of its public list.
    pub list: String,
}

/// One file of the proposal beside the current version.
#[derive(Debug, Serialize)]
pub struct FileComparisonPage {
    /// The page frame.
    pub frame: PageFrame,
    /// The file's path.
    pub path: String,
    /// `new`, `changed`, `removed`.
    pub kind: String,
    /// The current version.
    pub current: FileExcerpt,
    /// The proposed version.
    pub proposed: FileExcerpt,
}

impl Page for FileComparisonPage {
    const TEMPLATE: &'static str = "file_comparison.html";
}

/// The part of a file version that contains the changes.
#[derive(Debug, Serialize)]
pub struct FileExcerpt {
    /// The number of the first line shown.
    pub first_line: usize,
    /// The lines shown.
    pub lines: Vec<FileLine>,
    /// How many lines are omitted at the end.
    pub omitted: usize,
}

/// One line of a file version.
#[derive(Debug, Serialize)]
pub struct FileLine {
    /// Its text.
    pub text: String,
    /// Whether the other version does not contain it.
    pub is_changed: bool,
}
