//! Views of what belongs to a decision: a rejected form, the confirmation of a denial, and what a recorded decision
//! leads to.

use crate::web::render::Page;
use crate::web::staff::views::ServiceName;
use crate::web::views::{Badge, PageFrame};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// A form that was not recorded.
#[derive(Debug, Serialize)]
pub struct Rejection {
    /// Why.
    pub reason: String,
    /// What changed in the case after the person opened it.
    pub changes: Vec<CaseChange>,
    /// The texts that the person typed, when no form shows them.
    pub unsaved: Vec<UnsavedText>,
}

/// A change of the case by somebody else.
#[derive(Debug, Serialize)]
pub struct CaseChange {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened and who did it.
    pub text: String,
}

/// A text that was typed and not saved.
#[derive(Debug, Serialize)]
pub struct UnsavedText {
    /// The HTML id of the field.
    pub id: String,
    /// The label of the field.
    pub label: String,
    /// The text.
    pub text: String,
}

/// What a recorded decision did and what follows from it.
#[derive(Debug, Serialize)]
pub struct RecordedDecision {
    /// What happened, one sentence for each item.
    pub happened: Vec<String>,
    /// What is sent next, and what is not.
    pub next: Vec<String>,
}

/// The page on which a physician confirms a denial after reading what will be sent.
#[derive(Debug, Serialize)]
pub struct ConfirmDenialPage {
    /// The page frame.
    pub frame: PageFrame,
    /// The case number.
    pub number: String,
    /// Where the form posts to.
    pub post_url: String,
    /// The CSRF token of the session.
    pub csrf: String,
    /// The hidden fields that repeat the denial: name and value.
    pub fields: Vec<HiddenField>,
    /// The items as the member reads them.
    pub items: Vec<DeniedItem>,
    /// The plan's text of the reason code.
    pub reason: String,
    /// The reason code.
    pub reason_code: String,
    /// The criterion that is cited in the case, which is not sent.
    pub criterion: Option<String>,
    /// The specific reason as it will be sent.
    pub text: String,
    /// How to appeal, as the member reads it.
    pub appeal_instructions: Option<String>,
    /// Who is informed, and who is not.
    pub deliveries: Vec<String>,
    /// Why the text is hard to read, if it is.
    pub hard_text: Option<HardTextWarning>,
    /// Why the last confirmation was not accepted.
    pub problem: Option<String>,
    /// The name and credential that the denial is recorded under.
    pub recorded_as: String,
}

impl Page for ConfirmDenialPage {
    const TEMPLATE: &'static str = "confirm_denial.html";
}

/// A hidden field of a form.
#[derive(Debug, Serialize)]
pub struct HiddenField {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

/// A denied item as the member reads it.
#[derive(Debug, Serialize)]
pub struct DeniedItem {
    /// The service.
    pub service: ServiceName,
    /// The status as the member reads it.
    pub status: Badge,
    /// The status in a sentence.
    pub explanation: String,
}

/// Why a reason for a member is hard to read.
#[derive(Debug, Serialize)]
pub struct HardTextWarning {
    /// The reading grade of the text and the plan's limit, in a sentence.
    pub summary: String,
    /// The sentences that are hard to read.
    pub sentences: Vec<String>,
}
