//! Views of the reviewers' pages: sign-in, queue and case. The pages show how many criteria are met and never a score.

pub mod access_log;
pub mod decisions;
pub mod policies;
pub mod set_aside;

use self::decisions::{RecordedDecision, Rejection};
use self::set_aside::SetAsideRow;
use crate::review::CriteriaCounts;
use crate::web::render::Page;
use crate::web::views::{Badge, PageFrame, SelectOption};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

/// The sign-in page of staff.
#[derive(Debug, Serialize)]
pub struct StaffSignInPage {
    /// The page frame.
    pub frame: PageFrame,
    /// The token that ties the form to the browser that opened it.
    pub csrf: String,
    /// The user name as typed, after a failed attempt.
    pub login: String,
    /// Why the last attempt failed. The message is the same for a wrong name and a wrong password.
    pub problem: Option<String>,
    /// The page to open after sign-in, below `/staff`.
    pub next: Option<String>,
}

impl Page for StaffSignInPage {
    const TEMPLATE: &'static str = "staff_sign_in.html";
}

/// The queue page, `/staff`: open cases by due time.
#[derive(Debug, Serialize)]
pub struct QueuePage {
    /// The page frame.
    pub frame: PageFrame,
    /// The select boxes above the table.
    pub filters: Vec<FilterSelect>,
    /// Where the script fetches the table, with the filters.
    pub table_url: String,
    /// Where the script listens for changes (server-sent events).
    pub events_url: String,
    /// The table.
    pub table: QueueTable,
}

impl Page for QueuePage {
    const TEMPLATE: &'static str = "queue.html";
}

/// The queue table without the page around it, which the script puts in place of the old table.
#[derive(Debug, Serialize)]
pub struct QueueTableFragment {
    /// The table.
    pub table: QueueTable,
}

impl Page for QueueTableFragment {
    const TEMPLATE: &'static str = "queue_table.html";
}

/// The rows of the queue and the active filters.
#[derive(Debug, Serialize)]
pub struct QueueTable {
    /// The instant that the countdowns start from.
    pub now: DateTime<Utc>,
    /// The plan's time zone (IANA name).
    pub zone: String,
    /// The active filters.
    pub active_filters: Vec<ActiveFilter>,
    /// The address of the queue without filters.
    pub unfiltered_url: String,
    /// How many open cases match the filters, on all pages.
    pub matching: usize,
    /// How many open cases the filters hide.
    pub hidden: usize,
    /// The cases of this page in the order of due time, receipt and id.
    pub rows: Vec<QueueRow>,
    /// The address of the page before this one, with the filters.
    pub previous_page: Option<String>,
    /// The address of the page after this one, with the filters.
    pub next_page: Option<String>,
}

/// One select box of the filter form.
#[derive(Debug, Serialize)]
pub struct FilterSelect {
    /// The query parameter.
    pub name: String,
    /// The label of the select box.
    pub label: String,
    /// The options.
    pub options: Vec<SelectOption>,
}

/// An active filter with the link that removes it.
#[derive(Debug, Serialize)]
pub struct ActiveFilter {
    /// `Urgency: urgent`.
    pub label: String,
    /// The address of the queue without this filter.
    pub remove_url: String,
}

/// One case in the queue.
#[derive(Debug, Serialize)]
pub struct QueueRow {
    /// The address of the case page.
    pub href: String,
    /// The case number.
    pub number: String,
    /// When the decision is due; `None` (no receipt time) is shown as overdue.
    pub due: Option<DateTime<Utc>>,
    /// How near the due time is.
    pub escalation: Badge,
    /// Whether the provider requested expedited review.
    pub urgent: bool,
    /// Line of business.
    pub line_of_business: String,
    /// The first open service, and how many more there are.
    pub service: ServiceName,
    /// The member whom the request is for.
    pub member: MemberSummary,
    /// The requesting provider.
    pub requester: String,
    /// The case's status.
    pub status: Badge,
    /// The review queue.
    pub queue: String,
    /// When the request was received.
    pub received: Option<DateTime<Utc>>,
    /// How many criteria are met, not met and unknown.
    pub counts: Option<CriteriaCounts>,
}

/// A service by its plain name and its code.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceName {
    /// The billing code.
    pub code: String,
    /// The plain name, if the plan has one.
    pub name: Option<String>,
    /// How many further items the case has.
    pub more: usize,
}

/// A member in a list, without the full name.
#[derive(Debug, Clone, Serialize)]
pub struct MemberSummary {
    /// `J. S.`
    pub initials: String,
    /// The plan's member id.
    pub id: String,
}

/// The case page, `/staff/cases/{id}`: items, criteria and evidence, deadline, member and provider, actions, history.
#[derive(Debug, Serialize)]
pub struct CasePage {
    /// The page frame.
    pub frame: PageFrame,
    /// The instant that the countdown starts from.
    pub now: DateTime<Utc>,
    /// The plan's time zone (IANA name).
    pub zone: String,
    /// The case number.
    pub number: String,
    /// The case's status.
    pub status: Badge,
    /// Whether the provider requested expedited review.
    pub urgent: bool,
    /// Line of business and plan.
    pub plan: String,
    /// The review queue.
    pub queue: Option<String>,
    /// When the request was received and when the decision is due.
    pub deadline: CaseDeadline,
    /// The requested items.
    pub items: Vec<CaseItem>,
    /// The policy that was applied, if one was.
    pub policy: Option<AppliedPolicy>,
    /// The criteria as a tree.
    pub criteria: Vec<CriterionNode>,
    /// Documents that would answer the unknown criteria.
    pub needed_documents: Vec<NeededDocument>,
    /// The evidence of the request.
    pub evidence: EvidenceTables,
    /// Member, coverage, requesting provider and sending system.
    pub parties: Vec<CaseParty>,
    /// The decision that the person just recorded.
    pub recorded: Option<RecordedDecision>,
    /// The form that the person just submitted and that was not recorded.
    pub rejection: Option<Rejection>,
    /// What the signed-in person may do; `None` when no item is open.
    pub actions: Option<CaseActions>,
    /// The case's events.
    pub history: CaseHistory,
}

impl Page for CasePage {
    const TEMPLATE: &'static str = "case.html";
}

/// When the request was received and when the decision is due.
#[derive(Debug, Serialize)]
pub struct CaseDeadline {
    /// When the request was received.
    pub received: Option<DateTime<Utc>>,
    /// The plan's internal due time; `None` without a receipt time or when no item is open.
    pub due: Option<DateTime<Utc>>,
    /// The legal deadline.
    pub legal: Option<DateTime<Utc>>,
    /// How near the due time is.
    pub escalation: Badge,
    /// The decision clock and its source.
    pub rule: Option<String>,
}

/// One item of the request.
#[derive(Debug, Serialize)]
pub struct CaseItem {
    /// The item's sequence number, which never changes.
    pub sequence: u32,
    /// The service.
    pub service: ServiceName,
    /// The modifiers of the service.
    pub modifiers: Vec<String>,
    /// `12 months`, `3 units`.
    pub quantity: Option<String>,
    /// The dates of service.
    pub period: Option<String>,
    /// The provider that would perform the service.
    pub performer: Option<String>,
    /// The item's status.
    pub status: Badge,
    /// The decision in one sentence.
    pub decision: Option<String>,
}

/// The policy that was applied and its verdict.
#[derive(Debug, Serialize)]
pub struct AppliedPolicy {
    /// The policy's title.
    pub title: String,
    /// `dme.home-oxygen 2026.2`.
    pub version: String,
    /// The verdict in one sentence.
    pub verdict: String,
    /// How many criteria are met, not met and unknown.
    pub counts: CriteriaCounts,
}

/// A node of the criteria tree.
#[derive(Debug, Serialize)]
pub struct CriterionNode {
    /// The outcome (met, not met, unknown); for a node that stands for an item, the item's status.
    pub status: Badge,
    /// The criterion's text.
    pub text: Option<String>,
    /// How its parts are combined: `Any of:`.
    pub combine: Option<String>,
    /// The citation of the criterion's source.
    pub cite: Option<String>,
    /// The test of a fact, at a leaf of the tree.
    pub test: Option<FactTest>,
    /// The parts.
    pub parts: Vec<CriterionNode>,
}

/// A test of one fact: the required and the actual value.
#[derive(Debug, Serialize)]
pub struct FactTest {
    /// The fact's label.
    pub fact: String,
    /// The value that was found, with its unit.
    pub value: Option<String>,
    /// The date of the value.
    pub date: Option<String>,
    /// What the criterion requires: `88% or less`.
    pub required: String,
    /// Where the page shows the evidence.
    pub evidence: Option<EvidenceLink>,
    /// Why the outcome is what it is, where the values do not show it: `nothing found`.
    pub note: Option<String>,
    /// The values that the note is about: those that contradict each other, or one that is not plausible.
    pub stated: Vec<StatedRow>,
}

/// A value that was found and does not count.
#[derive(Debug, Serialize)]
pub struct StatedRow {
    /// The value with its unit.
    pub value: String,
    /// The date of the value.
    pub date: Option<String>,
    /// Where the page shows the evidence.
    pub evidence: Option<EvidenceLink>,
}

/// A link to a row of the evidence.
#[derive(Debug, Serialize)]
pub struct EvidenceLink {
    /// The HTML id of the row.
    pub anchor: String,
    /// The text of the link: `Observation 1`.
    pub label: String,
}

/// A document that would answer an unknown criterion.
#[derive(Debug, Serialize)]
pub struct NeededDocument {
    /// The document in words.
    pub text: String,
    /// The LOINC document code, or the form.
    pub code: Option<String>,
}

/// The evidence of the request.
#[derive(Debug, Serialize)]
pub struct EvidenceTables {
    /// Observations, conditions and other clinical resources.
    pub clinical_entries: Vec<ClinicalEntryRow>,
    /// The answers of completed forms.
    pub form_answers: Vec<FormAnswerRow>,
    /// Details of the order.
    pub order_details: Vec<OrderDetailRow>,
    /// What may not decide.
    pub set_aside: Vec<SetAsideRow>,
}

/// A clinical resource of the request.
#[derive(Debug, Serialize)]
pub struct ClinicalEntryRow {
    /// The HTML id of the row.
    pub anchor: String,
    /// `Oxygen saturation (LOINC 59408-5)`.
    pub subject: String,
    /// The value with its unit.
    pub value: String,
    /// A FHIR date or instant.
    pub date: Option<String>,
    /// `final`, `active`.
    pub status: Option<String>,
}

/// An answer of a form.
#[derive(Debug, Serialize)]
pub struct FormAnswerRow {
    /// The HTML id of the row.
    pub anchor: String,
    /// The question's text, or its link id.
    pub question: String,
    /// The answer.
    pub value: String,
    /// Where the answer came from: `entered by a person`.
    pub origin: Option<String>,
}

/// A detail of an order.
#[derive(Debug, Serialize)]
pub struct OrderDetailRow {
    /// The HTML id of the row.
    pub anchor: String,
    /// The label: `Quantity`.
    pub label: String,
    /// The value.
    pub value: String,
}

/// A person, organization or system involved in the case.
#[derive(Debug, Serialize)]
pub struct CaseParty {
    /// `Member`, `Requesting provider`.
    pub role: String,
    /// The name.
    pub name: String,
    /// Ids, birth date and the like, one on each line.
    pub details: Vec<String>,
}

/// What the signed-in person may do with the case.
#[derive(Debug, Serialize)]
pub struct CaseActions {
    /// Where the form posts to.
    pub post_url: String,
    /// The CSRF token of the session.
    pub csrf: String,
    /// The version of the case that the page shows.
    pub version: i64,
    /// The open items.
    pub open_items: Vec<OpenItem>,
    /// The name and credential that the decision is recorded under.
    pub recorded_as: String,
    /// The form to approve, if the person may approve.
    pub approve: Option<ApprovalForm>,
    /// The form to deny, if the person may deny.
    pub deny: Option<DenialForm>,
    /// Whether the person can refer the case to a physician.
    pub can_refer: bool,
    /// What the person may not do, and why.
    pub restriction: Option<String>,
    /// The case note as typed before the form was rejected.
    pub note: String,
}

/// An open item that can be selected for a decision.
#[derive(Debug, Serialize)]
pub struct OpenItem {
    /// The item's sequence number.
    pub sequence: u32,
    /// The service in a few words.
    pub label: String,
    /// Whether it is selected.
    pub selected: bool,
}

/// The form to approve.
#[derive(Debug, Serialize)]
pub struct ApprovalForm {
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub until: Option<NaiveDate>,
    /// Why a note and a last day are required: criteria that are not met or unknown, or no policy.
    pub note_required: Option<String>,
}

/// The form to deny.
#[derive(Debug, Serialize)]
pub struct DenialForm {
    /// Whether the form is shown open, because the last submitted form was a denial.
    pub open: bool,
    /// The plan's denial reasons.
    pub reasons: Vec<SelectOption>,
    /// The criteria that can be cited.
    pub criteria: Vec<SelectOption>,
    /// The specific reason, as typed.
    pub text: String,
}

/// The events of the case.
#[derive(Debug, Serialize)]
pub struct CaseHistory {
    /// The events that are shown, oldest first.
    pub rows: Vec<HistoryRow>,
    /// How many older events are not shown.
    pub omitted: usize,
    /// The address of the page with all events.
    pub whole_url: String,
}

/// One event of the case.
#[derive(Debug, Serialize)]
pub struct HistoryRow {
    /// The event's number in the case.
    pub seq: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub summary: String,
    /// Who did it: a person, a client or the policies.
    pub actor: String,
    /// The actor's role and license at that time, or the policy version.
    pub credential: Option<String>,
    /// Details.
    pub detail: Option<String>,
}
