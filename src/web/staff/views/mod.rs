//! The views of the reviewers' pages: sign-in, queue, case. A row and a case show counts of criteria, never a score.

pub mod policies;

use crate::web::render::Page;
use crate::web::views::{Frame, Mark};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

/// The reviewers' sign-in form.
#[derive(Debug, Serialize)]
pub struct StaffSignIn {
    /// The page's surroundings.
    pub frame: Frame,
    /// Ties the form to the browser that asked for it.
    pub csrf: String,
    /// The name as typed, after a failed try.
    pub login: String,
    /// Why the last try failed; the same words whatever was wrong.
    pub problem: Option<String>,
    /// The page to go to afterwards, below `/staff`.
    pub next: Option<String>,
}

impl Page for StaffSignIn {
    const TEMPLATE: &'static str = "staff_sign_in.html";
}

/// `/staff`: what waits, soonest due first.
#[derive(Debug, Serialize)]
pub struct QueuePage {
    /// The page's surroundings.
    pub frame: Frame,
    /// The choices above the table.
    pub filters: Vec<Filter>,
    /// Where a refreshed table is fetched, filters included.
    pub fragment: String,
    /// Where the word "changed" is heard.
    pub events: String,
    /// The table itself.
    pub table: QueueTable,
}

impl Page for QueuePage {
    const TEMPLATE: &'static str = "queue.html";
}

/// The table alone, for the script to put in place of the old one.
#[derive(Debug, Serialize)]
pub struct QueueFragment {
    /// The table.
    pub table: QueueTable,
}

impl Page for QueueFragment {
    const TEMPLATE: &'static str = "queue_table.html";
}

/// The rows with what was filtered away.
#[derive(Debug, Serialize)]
pub struct QueueTable {
    /// The instant that countdowns start from.
    pub now: DateTime<Utc>,
    /// The plan's time zone (IANA name).
    pub zone: String,
    /// The filters in force.
    pub chips: Vec<Chip>,
    /// The queue without any filter.
    pub everything: String,
    /// How many open cases the filters hide.
    pub hidden: usize,
    /// In the one order there is: due, received, id.
    pub rows: Vec<QueueRow>,
}

/// One select box of the filter form.
#[derive(Debug, Serialize)]
pub struct Filter {
    /// The query parameter.
    pub name: String,
    /// The words beside it.
    pub label: String,
    /// Its choices.
    pub options: Vec<Choice>,
}

/// One choice of a select box.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub label: String,
    /// Whether it stands now.
    pub chosen: bool,
}

/// A filter in force and the address without it.
#[derive(Debug, Serialize)]
pub struct Chip {
    /// `Urgency: expedited`.
    pub label: String,
    /// The queue without this filter.
    pub remove: String,
}

/// One waiting case.
#[derive(Debug, Serialize)]
pub struct QueueRow {
    /// The case page.
    pub href: String,
    /// The case's number.
    pub number: String,
    /// When the decision is due; none (no receipt time) is shown as late.
    pub due: Option<DateTime<Utc>>,
    /// How near that is.
    pub band: Mark,
    /// The requester's expedited flag.
    pub urgent: bool,
    /// Line of business.
    pub line: String,
    /// The first service, and how many more.
    pub service: ServiceName,
    /// For whom.
    pub member: Brief,
    /// The requesting provider.
    pub requester: String,
    /// The case's state.
    pub state: Mark,
    /// The queue it waits in.
    pub queue: String,
    /// When it came in.
    pub received: Option<DateTime<Utc>>,
    /// What the rules found.
    pub counts: Option<Counts>,
}

/// A service by code; the plan's own words where it has some.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceName {
    /// The billing code.
    pub code: String,
    /// The plan's plain name for it.
    pub words: Option<String>,
    /// How many further lines the case has.
    pub more: usize,
}

/// A member in a list: initials and id.
#[derive(Debug, Clone, Serialize)]
pub struct Brief {
    /// `J. S.`
    pub initials: String,
    /// The plan's member id.
    pub id: String,
}

/// Criteria by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Met.
    pub met: usize,
    /// Not met.
    pub not_met: usize,
    /// Not to be told from what was sent.
    pub unknown: usize,
}

/// `/staff/cases/{id}`: the lines, the criteria beside the evidence, the clock, the people, the actions, the history.
#[derive(Debug, Serialize)]
pub struct CasePage {
    /// The page's surroundings.
    pub frame: Frame,
    /// The instant that countdowns start from.
    pub now: DateTime<Utc>,
    /// The plan's time zone (IANA name).
    pub zone: String,
    /// The case's number.
    pub number: String,
    /// The case's state.
    pub state: Mark,
    /// The requester's expedited flag.
    pub urgent: bool,
    /// Line of business and plan.
    pub line: String,
    /// The queue it waits in.
    pub queue: Option<String>,
    /// The times.
    pub clock: CaseClock,
    /// What is asked for.
    pub lines: Vec<Line>,
    /// What the rules answered, if a policy matched.
    pub policy: Option<CasePolicy>,
    /// The criteria, as a tree.
    pub criteria: Vec<Criterion>,
    /// Papers that would settle what is unknown.
    pub asks: Vec<Asked>,
    /// What was sent.
    pub evidence: Evidence,
    /// Member, coverage, requester, sender.
    pub people: Vec<Person>,
    /// What this person may do now; none once nothing is open.
    pub actions: Option<Actions>,
    /// Everything that happened, newest last.
    pub history: Vec<Event>,
}

impl Page for CasePage {
    const TEMPLATE: &'static str = "case.html";
}

/// When the case came, and when it must be answered.
#[derive(Debug, Serialize)]
pub struct CaseClock {
    /// Receipt.
    pub received: Option<DateTime<Utc>>,
    /// The working limit; none while no receipt time is known or nothing is owed.
    pub due: Option<DateTime<Utc>>,
    /// The legal limit.
    pub legal: Option<DateTime<Utc>>,
    /// How near the working limit is.
    pub band: Mark,
    /// The clock rule and its source.
    pub rule: Option<String>,
}

/// One line of the request.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The line's number; never changes.
    pub sequence: u32,
    /// The service.
    pub service: ServiceName,
    /// `12 months`, `3 units`.
    pub quantity: Option<String>,
    /// Dates of service.
    pub period: Option<String>,
    /// Who would perform it.
    pub performer: Option<String>,
    /// The line's state.
    pub state: Mark,
    /// What was decided, in a sentence.
    pub decision: Option<String>,
}

/// The policy that was applied and what came of it.
#[derive(Debug, Serialize)]
pub struct CasePolicy {
    /// The policy's title.
    pub title: String,
    /// `dme.home-oxygen 2026.2`.
    pub version: String,
    /// `Referred: …`, `Approved: …`.
    pub verdict: String,
    /// Criteria by outcome.
    pub counts: Counts,
}

/// A node of the criteria tree.
#[derive(Debug, Serialize)]
pub struct Criterion {
    /// Met, not met or unknown.
    pub mark: Mark,
    /// The criterion's text, or how the parts below count: `all of`, `any of`.
    pub text: Option<String>,
    /// Where the criterion comes from.
    pub cite: Option<String>,
    /// The comparison at the end of a branch.
    pub leaf: Option<LeafView>,
    /// The parts.
    pub of: Vec<Criterion>,
}

/// One comparison: what was wanted and what was found.
#[derive(Debug, Serialize)]
pub struct LeafView {
    /// The fact's name.
    pub fact: String,
    /// The value found, with its unit.
    pub value: Option<String>,
    /// The day of the value.
    pub date: Option<String>,
    /// What the rule wants.
    pub wants: String,
    /// The place in the evidence.
    pub found: Option<Found>,
    /// `nothing found`, `another unit: …`.
    pub note: Option<String>,
}

/// Where a value was found.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The id of the evidence row on the page.
    pub anchor: String,
    /// In words: `Observation 1`.
    pub place: String,
}

/// A paper to ask for.
#[derive(Debug, Serialize)]
pub struct Asked {
    /// What, in words.
    pub text: String,
    /// The LOINC document code, or the form.
    pub code: Option<String>,
}

/// What came with the request.
#[derive(Debug, Serialize)]
pub struct Evidence {
    /// Measurements and conditions.
    pub observations: Vec<Observation>,
    /// The answers of the forms.
    pub answers: Vec<Answer>,
    /// The order.
    pub order: Vec<Fact>,
}

/// A clinical entry of the request.
#[derive(Debug, Serialize)]
pub struct Observation {
    /// The row's id on the page.
    pub anchor: String,
    /// `Oxygen saturation (LOINC 59408-5)`.
    pub what: String,
    /// The value with its unit.
    pub value: String,
    /// A FHIR date or instant.
    pub date: Option<String>,
    /// `final`, `active`.
    pub status: Option<String>,
}

/// An answer of a form.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The row's id on the page.
    pub anchor: String,
    /// The question's text, or its link id.
    pub question: String,
    /// The answer.
    pub value: String,
    /// Where it came from: `filled from the record`, `typed by the practitioner`.
    pub origin: Option<String>,
}

/// A label with its value.
#[derive(Debug, Serialize)]
pub struct Fact {
    /// The row's id on the page.
    pub anchor: String,
    /// The label.
    pub label: String,
    /// The value.
    pub value: String,
}

/// Someone who has to do with the case.
#[derive(Debug, Serialize)]
pub struct Person {
    /// `Member`, `Requesting provider`.
    pub role: String,
    /// The name.
    pub name: String,
    /// Ids, birth date, telephone: one per line.
    pub details: Vec<String>,
}

/// What the signed-in person may do with the case as it was shown.
#[derive(Debug, Serialize)]
pub struct Actions {
    /// Where the form posts to.
    pub post: String,
    /// The token of the session.
    pub csrf: String,
    /// The version of the case that was shown.
    pub version: i64,
    /// The lines that are still open.
    pub open: Vec<Step>,
    /// Under whose name and credential a decision goes on record.
    pub signs_as: String,
    /// Approving, if allowed.
    pub approve: Option<Approval>,
    /// Denying, if allowed.
    pub deny: Option<Denial>,
    /// Whether the case can be handed to a physician.
    pub refer: bool,
    /// What the person may not do, and why.
    pub limits: Option<String>,
    /// Why the last try was refused.
    pub refused: Option<String>,
    /// What was typed before it was refused, for the file.
    pub note: String,
}

/// An open line that a decision can be about.
#[derive(Debug, Serialize)]
pub struct Step {
    /// The line's number.
    pub sequence: u32,
    /// The service in a few words.
    pub label: String,
    /// Whether it is ticked.
    pub chosen: bool,
}

/// The form to approve.
#[derive(Debug, Serialize)]
pub struct Approval {
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub until: Option<NaiveDate>,
    /// Why a note is asked for: criteria that are not met or unknown.
    pub against: Option<String>,
}

/// The form to deny.
#[derive(Debug, Serialize)]
pub struct Denial {
    /// Opened because the last try was a denial.
    pub open: bool,
    /// The plan's reasons by code.
    pub reasons: Vec<Choice>,
    /// The criteria that can be cited.
    pub criteria: Vec<Choice>,
    /// The specific reason, as typed.
    pub text: String,
}

/// One entry of the history.
#[derive(Debug, Serialize)]
pub struct Event {
    /// Its number in the case.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What happened.
    pub what: String,
    /// Who: a person, a system, the rules.
    pub actor: String,
    /// The role and credential held then.
    pub credential: Option<String>,
    /// More about it.
    pub detail: Option<String>,
}
